"""Implicit-explicit Runge-Kutta: the linear part implicit, the rest explicit."""

import math
from typing import Self

import equinox as eqx
import numpy as np
from jaxtyping import Array

from tendency.errors import InputError
from tendency.integrate import AbstractScheme
from tendency.stiff.spectral import Multiplier, SpectralLinear, positive, require_same


class IMEXTableau(eqx.Module):
    """Tableaux of an explicit and a diagonally implicit scheme with the same stages.

    xᵢ = x + h Σⱼ (âᵢⱼ N(xⱼ) + aᵢⱼ L xⱼ) + h γ L xᵢ, x' = x + h Σᵢ (b̂ᵢ N(xᵢ) + bᵢ L xᵢ),
    where b is the last row of a, with its γ.
    """

    explicit: tuple[tuple[float, ...], ...] = eqx.field(static=True)  # row i: i entries
    implicit: tuple[tuple[float, ...], ...] = eqx.field(static=True)  # without γ
    b: tuple[float, ...] = eqx.field(static=True)  # b̂
    gamma: float = eqx.field(static=True)
    order: int = eqx.field(static=True)


def _ars222() -> IMEXTableau:
    g = 1 - math.sqrt(1 / 2)
    delta = 1 - 1 / (2 * g)
    return IMEXTableau(
        explicit=((), (g,), (delta, 1 - delta)),
        implicit=((), (0.0,), (0.0, 1 - g)),
        b=(delta, 1 - delta, 0.0),
        gamma=g,
        order=2,
    )


def _ars343() -> IMEXTableau:
    g = 0.435866521508458999416019451194  # of 6 g³ - 18 g² + 9 g = 1
    b1, b2 = -3 / 2 * g**2 + 4 * g - 1 / 4, 3 / 2 * g**2 - 5 * g + 5 / 4
    free = 0.5529291480359398  # a₄₂ = a₄₃ of the paper, for stability
    a31 = free * (15 / 4 - 15 * g + 21 / 4 * g**2) - 7 / 2 + 13 * g - 9 / 2 * g**2
    return IMEXTableau(
        explicit=((), (g,), (a31, (1 + g) / 2 - a31), (1 - 2 * free, free, free)),
        implicit=((), (0.0,), (0.0, (1 - g) / 2), (0.0, b1, b2)),
        b=(0.0, b1, b2, g),
        gamma=g,
        order=3,
    )


ars222 = _ars222()
"""Two implicit stages, order 2, L-stable: Ascher, Ruuth & Spiteri (1997), 2.6."""

ars343 = _ars343()
"""Three implicit stages, order 3, L-stable: Ascher, Ruuth & Spiteri (1997), 2.7."""


class IMEXRungeKutta(AbstractScheme):
    """The linear part implicit, the rest explicit: `IMEXRungeKutta.of(linear, h)`.

    Damps what is too fast for the step, where `ETDRK4` follows it exactly.

    Ascher, Ruuth & Spiteri (1997, Appl. Numer. Math. 25, 151), 2.1-2.3.
    """

    linear: SpectralLinear
    h: float = eqx.field(static=True)  # [time unit of the tendency]
    inverse: Multiplier  # (I - h γ L)⁻¹
    tableau: IMEXTableau

    @classmethod
    def of(
        cls, linear: SpectralLinear, h: float, tableau: IMEXTableau = ars343
    ) -> Self:
        """The scheme of steps of `h`, which is `dt / substeps` of an `Integrated`.

        Raises:
            InputError: `h` is not positive, or h γ L has an eigenvalue of one.
        """
        symbol = positive(h) * tableau.gamma * linear.symbol.numpy()
        try:
            with np.errstate(divide="raise", invalid="raise"):
                inverse = _inverse(symbol, coupled=symbol.ndim > len(linear.shape) + 1)
        except (FloatingPointError, np.linalg.LinAlgError):
            raise InputError(
                f"a mode of the linear part grows so fast that no implicit step of {h} "
                "can be solved: check its sign, or take a shorter step"
            ) from None
        return cls(linear, float(h), Multiplier.of(inverse), tableau)

    def init(self, state):
        return None

    def step(self, f, state, memory, h):
        require_same(self.h, h)
        table, rest = self.tableau, self.linear.rest(f)
        # b and the last row of a are one: the new state is the last stage, and what the
        # explicit weights differ by.
        last_row = (*table.explicit[-1], 0.0)
        final = [b - a for b, a in zip(table.b, last_row, strict=True)]
        x = y = self.linear.forward(state)
        explicit, implicit = [rest(0.0, x, state)], [x]  # the first is never implicit
        for row, implicit_row in zip(
            table.explicit[1:], table.implicit[1:], strict=True
        ):
            y = _plus(_plus(x, h, row, explicit), h, implicit_row, implicit)
            y = self.inverse(y)
            implicit.append(self.linear.symbol(y))
            if len(explicit) < len(final) - 1 or final[-1] != 0:
                explicit.append(rest(math.fsum(row), y))
        return self.linear.backward(_plus(y, h, final, explicit)), None


def _plus(x: Array, h: float, weights, slopes) -> Array:
    """`x + h * sum(weights * slopes)`, terms of zero weight left out."""
    for w, k in zip(weights, slopes, strict=False):
        x = x if w == 0 else x + h * w * k
    return x


def _inverse(symbol: np.ndarray, coupled: bool) -> np.ndarray:
    """(1 - S)⁻¹, of numbers or of matrices."""
    if not coupled:
        return 1 / (1 - symbol)
    matrix = np.eye(len(symbol)) - np.moveaxis(symbol, (0, 1), (-2, -1))
    return np.moveaxis(np.linalg.inv(matrix), (-2, -1), (0, 1))
