"""The twin experiment: 40 variables, forcing 8, all of them observed with errors."""

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
from tendency.studies.lorenz96_assimilation.methods import POINTS, Climate

DT = 0.05
VARIANCE = 1.0  # of the observations' errors
SIZE = 40
_START = jnp.zeros(SIZE).at[0].set(1.0)
_FIRST_SPREAD = 0.03  # of the truth's start and of the first ensemble: DAPPER's
_LOST = 1.0  # an error beyond that of the observations: the filter has diverged


@dataclass(frozen=True)
class Reached:
    """Of one method and one size of the ensemble, a value a seed."""

    error: Float[np.ndarray, " seed"]  # of analyses, mean over cycles
    spread: Float[np.ndarray, " seed"]
    errors: Float[np.ndarray, " cycle"]  # of the first seed
    spreads: Float[np.ndarray, " cycle"]
    every: int  # so many steps lie between the cycles
    smoothed: Float[np.ndarray, " seed"] | None = None  # error of smoothed states

    @property
    def median(self) -> float:
        """The error of the middle seed."""
        return float(np.median(self.error))

    @property
    def lost(self) -> int:
        """Of how many seeds the filter diverged."""
        return int((~(self.error < _LOST)).sum())


def reach(
    method: AbstractMethod,
    members: int | None,
    cycles: int,
    keys: Key[Array, " seed"],
    every: int = 1,
) -> Reached:
    """Run a method once a key, side by side; the first twentieth is not scored.

    Nor are the last ten cycles of smoothed states, which few observations followed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FilterDivergence)  # the table tells
        found = _all(method, members, cycles, keys, every)
    errors, spreads, smoothed = jax.tree.map(np.asarray, found)
    kept = slice(cycles // 20, None)
    if smoothed is not None:
        smoothed = smoothed[:, kept.start : -10].mean(1)
    return Reached(
        errors[:, kept].mean(1),
        spreads[:, kept].mean(1),
        errors[0],
        spreads[0],
        every,
        smoothed,
    )


@eqx.filter_jit
def climate(key: Key[Array, ""]) -> Climate:
    """States of a long run, half a unit of time apart."""
    cell = Integrated(Lorenz96(), DT)
    start = _START + _FIRST_SPREAD * jax.random.normal(key, _START.shape)
    return forecast(cell, cell.init(start), 101_000, every=10)[1][100:]


def _all(method, members: int | None, cycles: int, keys, every: int):
    cell = Integrated(Lorenz96(), DT)
    steps = every * np.arange(1, cycles + 1)

    def one(key):
        begin, noise, draw, run = jax.random.split(key, 4)
        first = _START + _FIRST_SPREAD * jax.random.normal(begin, _START.shape)
        _, truth = forecast(cell, cell.init(first), every * cycles, every=every)
        values = truth + VARIANCE**0.5 * jax.random.normal(noise, truth.shape)
        observations = Observations.of(values, steps, error=VARIANCE, positions=POINTS)
        prior = cell.init(_START)
        if members is not None:
            prior = ensemble_of(cell, _START, _FIRST_SPREAD, size=members, key=draw)
        found = assimilate(cell, prior, observations, method, key=run)

        def error(states):
            return jnp.sqrt(jnp.mean((states - truth) ** 2, 1))

        smoothed = None if found.smoothed_mean is None else error(found.smoothed_mean)
        spread = jnp.sqrt(jnp.mean(found.analysis_spread**2, 1))
        return error(found.analysis_mean), spread, smoothed

    # The method is closed over: what is near a point must be known to the compiler.
    return jax.jit(jax.vmap(one))(keys)
