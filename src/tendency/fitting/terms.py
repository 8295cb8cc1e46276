"""Terms of a loss that look at maps: their differences, spectra and energy.

The square of the errors is least for the mean of what may come, which is smooth; these
terms ask for maps that look like the truth. They see the standardised maps of a frame,
so that none has units, and no point whose weight is zero.
"""

import abc
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.errors import InputError

Maps = Float[Array, "lead channel row column"]


class AbstractTerm(eqx.Module):
    """What is added to a loss, `weight` times."""

    weight: eqx.AbstractVar[float]

    @abc.abstractmethod
    def __call__(self, told: Maps, truth: Maps, weights: Maps) -> Float[Array, ""]:
        """Zero at the truth; a point counts where its weight is above zero."""


class Gradient(AbstractTerm):
    """Σ w (δe)² / Σ w, δe the differences of the errors between neighbours.

    Along rows and columns, each pair with the smaller of its two weights.

    Source: Mathieu, Couprie & LeCun (2016, arXiv:1511.05440), eq. 7, squared.
    """

    weight: float = eqx.field(static=True, default=1.0)

    def __check_init__(self):
        _check_weight(self)

    def __call__(self, told, truth, weights):
        errors = jnp.where(weights > 0, told - truth, 0)
        squares, total = jnp.zeros((), errors.dtype), jnp.zeros((), errors.dtype)
        for axis in (-2, -1):
            if errors.shape[axis] < 2:
                continue
            first, second = (
                jnp.take(weights, places, axis)
                for places in _neighbours(errors.shape[axis])
            )
            pair = jnp.minimum(first, second)
            squares += jnp.sum(pair * jnp.diff(errors, axis=axis) ** 2)
            total += jnp.sum(pair)
        return squares / jnp.where(total > 0, total, 1)


class Spectral(AbstractTerm):
    """The mean of (m(P̂ₖ) - m(Pₖ))² over leads, channels and the wavenumbers k > 0.

    P is the power spectrum along the rows, averaged over them, or with `isotropic` in
    rings of both wavenumbers; its sum over all k is the mean square of the map. m is
    log(P + floor) or, for `amplitude`, √(P + floor). Where a weight is zero forecast
    and truth are both zero, so that what a coast does to a spectrum it does to both.

    Arguments:
        measure: `log` counts all scales alike, `amplitude` those that hold power.
        floor: the power below which nothing is seen; the whole of a map holds about 1.

    Raises:
        InputError: a weight or a floor that is not positive, another measure.
    """

    weight: float = eqx.field(static=True, default=1.0)
    measure: Literal["log", "amplitude"] = eqx.field(static=True, default="log")
    isotropic: bool = eqx.field(static=True, default=False)
    floor: float = eqx.field(static=True, default=1e-6)

    def __check_init__(self):
        _check_weight(self)
        if not self.floor > 0:
            raise InputError(
                f"the floor of a spectrum is {self.floor}, a positive power was "
                "expected: it is what the logarithm of nothing would be of"
            )
        if self.measure not in ("log", "amplitude"):
            raise InputError(
                f"the measure of a spectrum is {self.measure!r}, log or amplitude was "
                "expected"
            )

    def __call__(self, told, truth, weights):
        power = isotropic_power if self.isotropic else row_power
        m = jnp.log if self.measure == "log" else jnp.sqrt
        a, b = (
            m(power(jnp.where(weights > 0, x, 0))[..., 1:] + self.floor)
            for x in (told, truth)
        )
        return jnp.mean((a - b) ** 2) if a.shape[-1] else jnp.zeros((), a.dtype)


class Energy(AbstractTerm):
    """The mean of (log Ê - log E)² over leads and channels, E = Σ w z² / Σ w.

    z are standardised: E is the variance of a channel over the map, of a current its
    kinetic energy, which a long roll-out must neither lose nor gain.

    Arguments:
        floor: an energy below which nothing is seen.

    Raises:
        InputError: a weight or a floor that is not positive.
    """

    weight: float = eqx.field(static=True, default=1.0)
    floor: float = eqx.field(static=True, default=1e-6)

    def __check_init__(self):
        _check_weight(self)
        if not self.floor > 0:
            raise InputError(f"the floor is {self.floor}, a positive one was expected")

    def __call__(self, told, truth, weights):
        total = weights.sum((-2, -1))

        def log_energy(x):
            square = (weights * jnp.where(weights > 0, x, 0) ** 2).sum((-2, -1))
            return jnp.log(square / jnp.where(total > 0, total, 1) + self.floor)

        return jnp.mean((log_energy(told) - log_energy(truth)) ** 2)


def row_power(
    x: Float[Array, "*some row column"],
) -> Float[Array, "*some wavenumber"]:
    """|x̂ₖ|² along the rows, averaged over them, k = 0, 1, ... cycles a row.

    Negative wavenumbers are added to the positive ones: the sum is the mean of x².
    """
    count = x.shape[-1]
    modes = jnp.fft.rfft(x) / count
    double = np.full(modes.shape[-1], 2.0)
    double[0] = 1
    if count % 2 == 0:
        double[-1] = 1
    power = modes.real**2 + modes.imag**2
    double = jnp.asarray(double, power.dtype)
    return (power * jnp.broadcast_to(double, power.shape)).mean(-2)


def isotropic_power(
    x: Float[Array, "*some row column"],
) -> Float[Array, "*some wavenumber"]:
    """|x̂|² summed in rings, by cycles on the longer side; the sum is the mean of x².

    Points are as far apart along rows as along columns.
    """
    rows, columns = x.shape[-2:]
    modes = jnp.fft.fft2(x) / (rows * columns)
    k = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)[None])
    ring = np.rint(k * max(rows, columns)).astype(int)
    power = modes.real**2 + modes.imag**2
    empty = jnp.zeros((*x.shape[:-2], ring.max() + 1), power.dtype)
    return empty.at[..., ring].add(power)


def _neighbours(size: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(size - 1), np.arange(1, size)


def _check_weight(term: Any) -> None:
    if not term.weight > 0:
        raise InputError(
            f"the weight of {type(term).__name__} is {term.weight}, a positive number "
            "was expected: leave the term out where it is not wanted"
        )
