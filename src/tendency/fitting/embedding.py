"""A first guess of what is never observed, from one observed series and its past."""

from typing import Self

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from tendency.errors import InputError
from tendency.fitting.first_guess import smoothed


class DelayEmbedding(eqx.Module):
    r"""Three coordinates of a flow seen through one: x, its slope, a fading memory.

        (x, u, w),  u = T dx/dt,  w = s (v - m),  dv/dt = x² - r v,

    with T, m and s such that u and w vary as much as x does. By the theorem of Takens
    (1981) almost any such functions of the past embed an attractor of low dimension;
    these are ones in which a quadratic tendency comes close. In a joint fit they are
    where hidden components start, with the first equation held at dx/dt = u / T: it
    fixes the scale of u, which the data do not.

    Source: Ouala et al. (2020, Chaos 30, 103121) for the joint estimation of hidden
    components and their dynamics.
    """

    dt: float = eqx.field(static=True)  # [time unit]
    rate: float = eqx.field(static=True)  # r [1 / time unit]
    time_scale: float = eqx.field(static=True)  # T [time unit]
    mean: float = eqx.field(static=True)  # m
    factor: float = eqx.field(static=True)  # s

    @classmethod
    def of(
        cls, values: Float[Array | np.ndarray, " time"], dt: float, rate: float
    ) -> Self:
        """Scaled for a series; NaN is missing.

        Raises:
            InputError: a rate that is not positive or too fast for the interval.
        """
        if not 0 < rate * dt < 1:
            raise InputError(
                f"the memory fades at the rate {rate} and the interval is {dt}, a rate "
                f"between 0 and {1 / dt:g} was expected"
            )
        x, slope = smoothed(np.asarray(values, np.float64))
        v = _faded(x, dt, rate)
        settled = v[int(2 / (rate * dt)) :]
        return cls(
            dt,
            rate,
            float(x.std() / (slope / dt).std()),
            float(settled.mean()),
            float(x.std() / settled.std()),
        )

    def states(
        self, values: Float[Array | np.ndarray, " time"]
    ) -> Float[np.ndarray, "time 3"]:
        """The three coordinates at each time of a series; the first are rough."""
        x, slope = smoothed(np.asarray(values, np.float64))
        w = self.factor * (_faded(x, self.dt, self.rate, self.mean) - self.mean)
        return np.stack([x, self.time_scale * slope / self.dt, w], axis=1)


def _faded(x: np.ndarray, dt: float, rate: float, start: float | None = None):
    """V of dv/dt = x² - r v by implicit steps, from its mean."""
    v = np.empty_like(x)
    now = np.mean(x**2) / rate if start is None else start
    for i, square in enumerate(x**2):
        v[i] = now
        now = (now + dt * square) / (1 + dt * rate)
    return v
