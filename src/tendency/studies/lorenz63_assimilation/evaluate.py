"""Each segment assimilated with a model: what a filter and a smoother make of it."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from tendency.assimilation import (
    ETKF,
    EnsembleSmoother,
    Multiplicative,
    assimilate,
    ensemble_of,
    equivalents,
    rank_histogram,
)
from tendency.cell import AbstractCell
from tendency.observing import Observations, Select
from tendency.studies.lorenz63_assimilation.twin import EVERY, VARIANCE, Twin

METHOD = EnsembleSmoother(ETKF(Multiplicative(1.01), rotated=True))  # pyright: ignore
_LOST = 4.0  # the components vary by 7.9, 9.0 and 8.6
OBSERVED = {"x observed": (0,), "x, y, z observed": (0, 1, 2)}


@dataclass(frozen=True)
class Followed:
    """The figures of one model, segment first; the series are of the first segment."""

    filter: Float[np.ndarray, " segment"]  # root mean square over times and components
    smoother: Float[np.ndarray, " segment"]
    spread: Float[np.ndarray, " segment"]  # of the smoothed ensemble, likewise
    chi_square: float
    ranks: Int[np.ndarray, " rank"]
    series: dict[str, Float[np.ndarray, "time 3"]]
    values: Float[np.ndarray, "time obs"]

    @property
    def kept(self) -> Bool[np.ndarray, " segment"]:
        """Which segments were followed: their error is below half the climate's spread.

        Members that a regression has thrown off the attractor may never return to it,
        and one such segment would make any mean its own.
        """
        return self.smoother < _LOST

    def mean(self, name: str) -> float:
        """Over the segments that were followed."""
        return float(getattr(self, name)[self.kept].mean())

    def standard_error(self, name: str) -> float:
        """Of that mean."""
        values = getattr(self, name)[self.kept]
        return float(values.std(ddof=1) / np.sqrt(len(values)))

    def over(self, true: "Followed", name: str) -> tuple[float, float]:
        """The ratio to another model over the same segments, its standard error."""
        mine, kept = getattr(self, name), self.kept
        return ratio(mine[kept], getattr(true, name)[: len(mine)][kept])


def follow(
    cell: AbstractCell, twin: Twin, observed: tuple[int, ...], members: int
) -> Followed:
    """Assimilate all segments side by side.

    The first guess of a segment errs as the observations do, in every component, and
    the prior knows it.
    """
    index = jnp.asarray(observed, jnp.int32)
    told = _all(cell, twin.starts, twin.truth, twin.keys, index, members)
    told = jax.tree.map(np.asarray, told)
    values, ensembles = told["values"], told["ensembles"]
    flat = values.reshape(-1, values.shape[-1])
    together = Observations.of(
        flat, np.arange(len(flat)), Select(index), error=VARIANCE
    )
    ranks = rank_histogram(
        jnp.asarray(ensembles.reshape(len(flat), members, -1)),
        together,
        key=jax.random.key(0),
    )
    names = ("background", "analysis", "smoothed", "spread")
    return Followed(
        told["filter"],
        told["smoother"],
        np.sqrt(np.mean(told["spread"] ** 2, (1, 2))),
        float(told["misfit"].mean() / len(observed)),
        ranks,
        {name: told[name][0] for name in names},
        values[0],
    )


@eqx.filter_jit
def _all(cell, starts, truth, keys, index, members: int) -> dict[str, Array]:
    steps = EVERY * np.arange(1, truth.shape[1] + 1)

    def one(start, truth, key):
        noise, guess, draw, run = jax.random.split(key, 4)
        std = jnp.sqrt(VARIANCE)
        # Errors of all components are drawn, so that x errs alike however it is seen.
        errors = std * jax.random.normal(noise, truth.shape)
        values = (truth + errors)[:, index]
        first = start + std * jax.random.normal(guess, start.shape)
        prior = ensemble_of(cell, first, std, size=members, key=draw)
        observations = Observations.of(values, steps, Select(index), error=VARIANCE)
        found = assimilate(cell, prior, observations, METHOD, save=equivalents, key=run)

        def error(states):
            return jnp.sqrt(jnp.mean((states - truth) ** 2))

        return {
            "filter": error(found.analysis_mean),
            "smoother": error(found.smoothed_mean),
            "background": found.background_mean,
            "analysis": found.analysis_mean,
            "smoothed": found.smoothed_mean,
            "spread": found.smoothed_spread,
            "misfit": found.misfit,
            "ensembles": found.saved,
            "values": values,
        }

    return jax.vmap(one)(starts, truth, keys)


def ratio(
    mine: Float[np.ndarray, " segment"], other: Float[np.ndarray, " segment"]
) -> tuple[float, float]:
    """Of the means over the same segments, and its standard error (jackknife)."""
    count = len(mine)
    left_out = (mine.sum() - mine) / (other.sum() - other)
    error = np.sqrt((count - 1) / count * np.sum((left_out - left_out.mean()) ** 2))
    return float(mine.sum() / other.sum()), float(error)
