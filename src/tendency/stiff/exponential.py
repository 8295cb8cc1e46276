"""Exponential time differencing: the linear part exactly, the rest at order 4."""

import math
from typing import Self

import equinox as eqx
import numpy as np

from tendency.errors import InputError
from tendency.integrate import AbstractScheme
from tendency.stiff.spectral import Multiplier, SpectralLinear, positive, require_same


class ETDRK4(AbstractScheme):
    """Exponential time differencing of order 4, by `ETDRK4.of(linear, h)`.

    a = e^{hL/2} x + Q N(x), b = e^{hL/2} x + Q N(a),
    d = e^{hL/2} a + Q (2 N(b) - N(x)),
    x' = e^{hL} x + f₁ N(x) + 2 f₂ (N(a) + N(b)) + f₃ N(d),

    where N = f - L, Q = h/2 φ₁(hL/2), and at hL f₁ = h (φ₁ - 3 φ₂ + 4 φ₃),
    f₂ = h (φ₂ - 2 φ₃), f₃ = h (4 φ₃ - φ₂).

    Cox & Matthews (2002, J. Comput. Phys. 176, 430), 26-29, with the φ of Kassam &
    Trefethen (2005, SIAM J. Sci. Comput. 26, 1214). A linear tendency is stepped
    exactly; without a linear part this is RK4. The order of four falls where the
    nonlinear part is stiff by itself.
    """

    linear: SpectralLinear
    h: float = eqx.field(static=True)  # [time unit of the tendency]
    full: Multiplier  # e^{hL}
    half: Multiplier  # e^{hL/2}
    stage: Multiplier  # Q
    weights: tuple[Multiplier, Multiplier, Multiplier]  # f₁, 2 f₂, f₃

    @classmethod
    def of(cls, linear: SpectralLinear, h: float) -> Self:
        """The scheme of steps of `h`, which is `dt / substeps` of an `Integrated`.

        Raises:
            InputError: `h` is not positive, or e^{hL} overflows.
        """
        symbol = positive(h) * linear.symbol.numpy()
        coupled = symbol.ndim > len(linear.shape) + 1
        phi = _matrix_phi if coupled else _phi
        with np.errstate(over="ignore", invalid="ignore"):
            half, at_half, _, _ = phi(symbol / 2)
            full, p1, p2, p3 = phi(symbol)
            first, middle, last = p1 - 3 * p2 + 4 * p3, 2 * (p2 - 2 * p3), 4 * p3 - p2
        if not all(np.isfinite(x).all() for x in (full, first, middle, last)):
            raise InputError(
                f"the exponential of the linear part over a step of {h} overflows: its "
                "modes grow that fast; check its sign, or take a shorter step"
            )
        return cls(
            linear,
            float(h),
            Multiplier.of(full),
            Multiplier.of(half),
            Multiplier.of(h / 2 * at_half),
            (
                Multiplier.of(h * first),
                Multiplier.of(h * middle),
                Multiplier.of(h * last),
            ),
        )

    def init(self, state):
        return None

    def step(self, f, state, memory, h):
        require_same(self.h, h)
        rest = self.linear.rest(f)
        x = self.linear.forward(state)
        nx = rest(0.0, x, state)
        drift = self.half(x)
        a = drift + self.stage(nx)
        na = rest(0.5, a)
        nb = rest(0.5, drift + self.stage(na))
        nd = rest(1.0, self.half(a) + self.stage(2 * nb - nx))
        first, middle, last = self.weights
        new = self.full(x) + first(nx) + middle(na + nb) + last(nd)
        return self.linear.backward(new), None


def _phi(z: np.ndarray) -> tuple[np.ndarray, ...]:
    """e^z, φ₁(z), φ₂(z), φ₃(z), with φⱼ₊₁(z) = (φⱼ(z) - 1/j!) / z.

    Where |z| < 1 the quotients cancel, and are means over a circle of radius 2 about z
    (Kassam & Trefethen 2005, 2.5), which stays clear of zero.
    """
    near = np.abs(z) < 1
    points = 2 * np.exp(2j * np.pi * (np.arange(32) + 0.5) / 32)
    circle = z[near][:, None] + points
    found = [np.exp(z)]
    beyond = [np.exp(z[~near])]
    around = [np.exp(circle)]
    for first in (1.0, 1.0, 1 / 2):
        beyond.append((beyond[-1] - first) / z[~near])
        around.append((around[-1] - first) / circle)
        value = np.empty_like(z)
        mean = around[-1].mean(-1)
        value[near] = mean if np.iscomplexobj(z) else mean.real
        value[~near] = beyond[-1]
        found.append(value)
    return tuple(found)


def _matrix_phi(symbol: np.ndarray) -> tuple[np.ndarray, ...]:
    """The same of matrices, (m, m, *w), by series of A / 2ˢ doubled s times.

    2ʲ φⱼ(2 A) = e^A φⱼ(A) + Σᵢ φᵢ(A) / (j - i)!, i from 1 to j; s is each wavenumber's
    own, since doubling a matrix that is small already would lose its digits.
    """
    A = np.moveaxis(symbol, (0, 1), (-2, -1))
    size = np.abs(A).sum(-2).max(-1)
    doublings = np.ceil(np.log2(np.maximum(size, 1))).astype(int)[..., None, None]
    A = A / 2.0**doublings
    eye = np.broadcast_to(np.eye(A.shape[-1]), A.shape)
    p3 = eye / math.factorial(20)
    for n in reversed(range(17)):
        p3 = A @ p3 + eye / math.factorial(n + 3)
    p2 = A @ p3 + eye / 2
    p1 = A @ p2 + eye
    e = A @ p1 + eye
    for done in range(doublings.max()):
        doubled = (
            e @ e,
            (e @ p1 + p1) / 2,
            (e @ p2 + p2 + p1) / 4,
            (e @ p3 + p3 + p2 + p1 / 2) / 8,
        )
        more = done < doublings
        e, p1, p2, p3 = (
            np.where(more, new, old)
            for new, old in zip(doubled, (e, p1, p2, p3), strict=True)
        )
    return tuple(np.moveaxis(p, (-2, -1), (0, 1)) for p in (e, p1, p2, p3))
