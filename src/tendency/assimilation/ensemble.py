"""What all ensemble filters share: members in parallel, departures, inflation.

A filter of this kind implements `update`, which corrects the background ensemble; the
whole carry of each member is corrected (hidden states, past tendencies, parameters
under estimation), counters left as they are.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree

from tendency.assimilation.inflation import AbstractInflation, noise_like
from tendency.assimilation.method import AbstractFilter, Diagnostics
from tendency.assimilation.transform import (
    Departures,
    Resampled,
    ThinTransform,
    Transform,
    failed_members,
    mean_and_spread,
    members,
)
from tendency.cell import AbstractCell, Carry
from tendency.errors import InputError
from tendency.observing import Observation


class EnsembleBelief(eqx.Module):
    """An ensemble, and what its inflation remembers."""

    ensemble: Carry  # members first
    inflation: Any = None


class AbstractEnsembleFilter(AbstractFilter):
    """An ensemble filter: all but its `update`.

    `resample` replaces members that are no longer finite by copies of others, drawn at
    random; else they spoil the ensemble and the assimilation says so.
    """

    inflation: eqx.AbstractVar[AbstractInflation]
    resample: eqx.AbstractVar[bool]

    @abc.abstractmethod
    def update(
        self, ensemble: Carry, departures: Departures, key: PRNGKeyArray
    ) -> tuple[Carry, Transform | ThinTransform | None]:
        """The corrected ensemble, and the transform that did it where there is one."""

    def begin(self, cell: AbstractCell, prior: Any) -> EnsembleBelief:
        check_ensemble(prior, type(self).__name__)
        return EnsembleBelief(prior, self.inflation.begin(prior))

    def state(self, belief: EnsembleBelief) -> PyTree[Array]:
        return jax.tree.map(lambda x: x[0], belief.ensemble.state)

    def advance(
        self,
        cell: AbstractCell,
        belief: EnsembleBelief,
        forcing: PyTree,
        key: PRNGKeyArray,
    ) -> EnsembleBelief:
        ensemble = advanced(cell, belief.ensemble, forcing, key)
        return EnsembleBelief(ensemble, belief.inflation)

    def analyse(
        self, belief: EnsembleBelief, observation: Observation, key: PRNGKeyArray
    ) -> tuple[EnsembleBelief, Diagnostics]:
        update_key, inflation_key, draw_key = jax.random.split(key, 3)
        background = belief.ensemble
        failed = failed_members(background)
        source = None
        if self.resample:
            source = _replacements(failed, draw_key)
            background = jax.tree.map(lambda x: x[source], background)
        seen_background = self.inflation.before(background, belief.inflation)
        departures = Departures.of(seen_background.state, observation)
        analysis, transform = self.update(seen_background, departures, update_key)
        if source is not None and transform is not None:
            transform = Resampled(transform, source)
        equivalents = jax.vmap(observation.observe)(analysis.state)
        variance = observation.error.variances().astype(equivalents.dtype)
        told = Diagnostics(
            observation.departures(departures.equivalents.mean(0)),
            departures.equivalents.var(0, ddof=1) + variance,
            observation.departures(equivalents.mean(0)),
            *departures.misfit_and_log_likelihood(),
            failed,
            transform,
        )
        analysis, memory = self.inflation.after(
            seen_background, analysis, departures, belief.inflation, inflation_key
        )
        return EnsembleBelief(analysis, memory), told

    def widened(
        self, belief: EnsembleBelief, std: PyTree[Array], key: PRNGKeyArray
    ) -> EnsembleBelief:
        """With independent noise added to the states, of that standard deviation."""
        ensemble = belief.ensemble
        noise = noise_like(ensemble.state, std, key)
        states = jax.tree.map(jnp.add, ensemble.state, noise)
        return EnsembleBelief(Carry(states, ensemble.memory), belief.inflation)

    def unseen(self, belief: EnsembleBelief) -> EnsembleBelief:
        return belief

    def summary(self, belief: EnsembleBelief) -> tuple[PyTree[Array], PyTree[Array]]:
        return mean_and_spread(belief.ensemble.state)


def advanced(
    cell: AbstractCell, ensemble: Carry, forcing: PyTree, key: PRNGKeyArray
) -> Carry:
    """One step of each member, with random numbers of its own."""
    keys = jax.random.split(key, members(ensemble))
    return jax.vmap(lambda carry, key: cell.step(carry, forcing, key=key))(
        ensemble, keys
    )


def check_ensemble(prior: Any, method: str) -> None:
    """Refuse what is no ensemble.

    Raises:
        InputError: not a carry, one member, or members of different number.
    """
    if not isinstance(prior, Carry):
        raise InputError(
            f"{method} was given a prior of the type {type(prior).__name__}, an "
            "ensemble was expected: draw one with ensemble_of"
        )
    leaves = jax.tree.leaves(prior)
    counts = sorted({jnp.shape(x)[0] if jnp.ndim(x) else 0 for x in leaves})
    if len(counts) != 1 or counts[0] < 2:
        raise InputError(
            f"the ensemble has arrays of {', '.join(map(str, counts))} members, at "
            "least 2 were expected, first in every array of the carry: draw an "
            "ensemble with ensemble_of"
        )


def _replacements(failed: Array, key: PRNGKeyArray) -> Array:
    """Which member stands in each place: itself, or one that has not failed."""
    weights = jnp.where(failed, -jnp.inf, 0.0)
    drawn = jax.random.categorical(key, weights, shape=failed.shape)
    return jnp.where(failed & ~failed.all(), drawn, jnp.arange(failed.size))
