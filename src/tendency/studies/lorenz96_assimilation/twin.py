"""The twin experiment: 40 variables, forcing 8, all observed at each step of 0.05."""

import warnings
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from tendency.assimilation import FilterDivergence, assimilate, ensemble_of
from tendency.assimilation.method import AbstractMethod
from tendency.forecasting import forecast
from tendency.integrate import Integrated
from tendency.observing import Observations
from tendency.physics import Lorenz96

DT = 0.05
VARIANCE = 1.0  # of the observations' errors
SIZE = 40
_FIRST_SPREAD = 0.03  # of the truth's start and of the first ensemble: DAPPER's
_LOST = 1.0  # an error beyond that of the observations: the filter has diverged


@dataclass(frozen=True)
class Reached:
    """Of one method and one size of the ensemble, a value a seed."""

    error: Float[np.ndarray, " seed"]  # of analyses, mean over cycles
    spread: Float[np.ndarray, " seed"]
    errors: Float[np.ndarray, " cycle"]  # of the first seed
    spreads: Float[np.ndarray, " cycle"]

    @property
    def median(self) -> float:
        """The error of the middle seed."""
        return float(np.median(self.error))

    @property
    def lost(self) -> int:
        """Of how many seeds the filter diverged."""
        return int((~(self.error < _LOST)).sum())


def reach(
    method: AbstractMethod, members: int, cycles: int, keys: Key[Array, " seed"]
) -> Reached:
    """Run a method once a key, side by side; the first twentieth is not scored."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FilterDivergence)  # the table tells
        errors, spreads = map(np.asarray, _all(method, members, cycles, keys))
    kept = slice(cycles // 20, None)
    return Reached(
        errors[:, kept].mean(1), spreads[:, kept].mean(1), errors[0], spreads[0]
    )


@eqx.filter_jit
def _all(method, members: int, cycles: int, keys) -> tuple[Array, Array]:
    cell = Integrated(Lorenz96(), DT)
    start = jnp.zeros(SIZE).at[0].set(1.0)

    def one(key):
        begin, noise, draw, run = jax.random.split(key, 4)
        first = start + _FIRST_SPREAD * jax.random.normal(begin, start.shape)
        _, truth = forecast(cell, cell.init(first), cycles)
        values = truth + VARIANCE**0.5 * jax.random.normal(noise, truth.shape)
        observations = Observations.of(values, np.arange(1, cycles + 1), error=VARIANCE)
        prior = ensemble_of(cell, start, _FIRST_SPREAD, size=members, key=draw)
        found = assimilate(cell, prior, observations, method, key=run)
        error = jnp.sqrt(jnp.mean((found.analysis_mean - truth) ** 2, 1))
        return error, jnp.sqrt(jnp.mean(found.analysis_spread**2, 1))

    return jax.vmap(one)(keys)
