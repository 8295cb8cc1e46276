"""What a method of assimilation is: `AbstractMethod`, and one that goes step by step.

A filter holds a *belief* about the present (an ensemble; a mean and a covariance) which
the model advances and observations correct. `AbstractFilter` cycles any of them in one
compiled scan; a method that needs many times at once (a smoother, 4DVar) implements
`AbstractMethod.run` itself.
"""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell
from tendency.forecasting import ramps
from tendency.observing import Observation, Observations


class Progress(eqx.Module):
    """Where an assimilation stands: give it as the prior to go on from there."""

    belief: Any
    step: Int[Array | np.ndarray, ""]  # of the model, from the first prior


class Diagnostics(eqx.Module):
    """What one analysis tells besides its result."""

    innovation: Float[Array, " obs"]  # y - H(xᵇ)
    expected_variance: Float[Array, " obs"]  # of the innovation: diag(H Pᵇ Hᵀ + R)
    residual: Float[Array, " obs"]  # y - H(xᵃ)
    misfit: Float[Array, ""]  # dᵀ (H Pᵇ Hᵀ + R)⁻¹ d of the innovation d
    log_likelihood: Float[Array, ""]  # of the observations, given those before
    failed: Bool[Array, " member"]  # members of the background that are not finite
    transform: Any = None  # of the members, where the filter is one: a `Transform`
    effective_size: Any = None  # of weighted particles: 1 / Σ w²


class Cycle(eqx.Module):
    """One time of an assimilation: what `save` may keep something of."""

    background: Any  # the belief before the analysis
    analysis: Any  # and after
    observation: Observation
    diagnostics: Diagnostics


class Record(eqx.Module):
    """What is kept of each time, time first."""

    background: tuple[PyTree[Array], PyTree[Array]]  # mean and spread
    analysis: tuple[PyTree[Array], PyTree[Array]]
    diagnostics: Diagnostics  # its transform left out
    saved: Any
    smoothed: tuple[PyTree[Array], PyTree[Array]] | None = None


class Run(eqx.Module):
    """What an assimilation is given besides the model, checked."""

    observations: Observations
    forcing: PyTree[Array]  # from the step of the prior to the last observation
    key: PRNGKeyArray
    gaps: Int[Array, " time"]  # steps before each observation
    longest: int = eqx.field(static=True)  # of the gaps, or more
    even: bool = eqx.field(static=True)  # whether all gaps are the longest
    ramped: bool = eqx.field(static=True)  # whether the forcing is given at ends
    save: Callable[[Cycle], Any] = eqx.field(static=True)

    def forcing_at(self, index: Any) -> PyTree:
        """What the step sees that comes so many steps after the prior."""
        if self.forcing is None:
            return None
        forcing = ramps(self.forcing) if self.ramped else self.forcing
        return jax.tree.map(lambda a: a[index], forcing)


class AbstractMethod(eqx.Module):
    """A way to assimilate: a small frozen object that holds its settings."""

    @abc.abstractmethod
    def begin(self, cell: AbstractCell, prior: Any) -> Any:
        """The belief at the start, from the prior that the user gives.

        Raises:
            InputError: a prior of another kind than the method needs.
        """

    @abc.abstractmethod
    def state(self, belief: Any) -> PyTree[Array]:
        """A state of one member, whose values do not matter: for its shapes."""

    @abc.abstractmethod
    def run(
        self, cell: AbstractCell, start: Progress, run: Run
    ) -> tuple[Progress, Record]:
        """All times of `run`; called under `jit`."""


class AbstractFilter(AbstractMethod):
    """A method that sees one time after the other."""

    @abc.abstractmethod
    def advance(
        self, cell: AbstractCell, belief: Any, forcing: PyTree, key: PRNGKeyArray
    ) -> Any:
        """The belief one step of the model later."""

    @abc.abstractmethod
    def analyse(
        self, belief: Any, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Any, Diagnostics]:
        """The belief after an observation; called where something was seen."""

    @abc.abstractmethod
    def unseen(self, belief: Any) -> Any:
        """The belief after a time at which nothing was seen; most keep it."""

    @abc.abstractmethod
    def summary(self, belief: Any) -> tuple[PyTree[Array], PyTree[Array]]:
        """Mean and standard deviation of the state."""

    def run(
        self, cell: AbstractCell, start: Progress, run: Run
    ) -> tuple[Progress, Record]:
        return cycled(self, cell, start, run)


def cycled(
    method: AbstractFilter, cell: AbstractCell, start: Progress, run: Run
) -> tuple[Progress, Record]:
    """Advance and analyse, time after time: one scan over the observations.

    Random numbers depend on the key and on the step of the model alone, so that an
    assimilation in parts gives the numbers of one in a piece. A time at which nothing
    was seen changes nothing.
    """
    advance_key, analysis_key = jax.random.split(run.key)
    times = run.gaps.shape[0]

    def step(now: Progress) -> Progress:
        here = run.forcing_at(now.step - start.step)
        key = jax.random.fold_in(advance_key, now.step)
        return Progress(method.advance(cell, now.belief, here, key), now.step + 1)

    def steps(now: Progress, gap: Array) -> Progress:
        def one(now, i):
            if run.even:
                return step(now), None
            return jax.lax.cond(i < gap, step, lambda now: now, now), None

        return jax.lax.scan(one, now, jnp.arange(run.longest, dtype=jnp.int32))[0]

    def cycle(now: Progress, inputs):
        index, gap, live = inputs
        if run.longest:
            now = jax.checkpoint(steps, prevent_cse=False)(now, gap)
        observation = run.observations.at(index)
        seen = observation.seen & live
        observation = eqx.tree_at(lambda o: o.seen, observation, seen)
        key = jax.random.fold_in(analysis_key, now.step)

        def analyse(belief):
            return method.analyse(belief, observation, key)

        untold = jax.eval_shape(analyse, now.belief)[1]

        def skip(belief):
            nothing = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), untold)
            return method.unseen(belief), nothing

        analysis, told = jax.lax.cond(jnp.any(seen), analyse, skip, now.belief)
        kept = run.save(Cycle(now.belief, analysis, observation, told))
        told = eqx.tree_at(
            lambda t: t.transform, told, None, is_leaf=lambda x: x is None
        )
        record = Record(
            method.summary(now.belief),
            method.summary(analysis),
            hidden(told, seen),
            kept,
        )
        return Progress(analysis, now.step), record

    # A loop of one is unrolled by the compiler, which then rounds otherwise: a second,
    # empty time keeps the numbers of an assimilation in parts those of one in a piece.
    padding = max(2 - times, 0)
    index = jnp.minimum(jnp.arange(times + padding), times - 1)
    live = jnp.arange(times + padding) < times
    gaps = jnp.where(live, run.gaps[index], 0)
    begin = Progress(start.belief, jnp.asarray(start.step))
    end, record = jax.lax.scan(cycle, begin, (index, gaps, live))
    return end, jax.tree.map(lambda a: a[:times], record)


def hidden(told: Diagnostics, seen: Array) -> Diagnostics:
    """NaN where nothing was seen."""

    def masked(row):
        return jnp.where(seen, row, jnp.full_like(row, jnp.nan))

    return Diagnostics(
        masked(told.innovation),
        masked(told.expected_variance),
        masked(told.residual),
        told.misfit,
        told.log_likelihood,
        told.failed,
        effective_size=told.effective_size,
    )
