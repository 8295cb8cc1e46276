"""Error variances of observations and of the model, found while one assimilates."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.assimilation.ensemble import AbstractEnsembleFilter
from tendency.assimilation.inflation import noise_like
from tendency.assimilation.kalman import KalmanFilter
from tendency.assimilation.method import AbstractFilter, Diagnostics
from tendency.cell import AbstractCell
from tendency.errors import InputError
from tendency.observing import DiagonalCovariance, Observation


class ScaledBelief(eqx.Module):
    """A belief, and how many times the given error variances the true ones seem."""

    belief: Any
    factor: Float[Array, ""]

    @property
    def ensemble(self) -> Any:
        """Of the belief, where it has one."""
        return self.belief.ensemble


class EstimatedErrors(AbstractFilter):
    """Any filter, with error variances times a factor that the innovations tell.

    E[(y - H xᵃ)(y - H xᵇ)] = R, averaged over what is seen and, with a fading memory,
    over the times: Desroziers, Berre, Chapnik & Poli (2005, Q. J. R. Meteorol. Soc.
    131, 3385), equation 2; Li, Kalnay & Miyoshi (2009, 135, 523). The factor of
    the last time is `analyses.final.belief.factor`. With `Adaptive` inflation in the
    filter the spread of the background is estimated as well. Each relies on the other's
    being nearly right.

    Arguments:
        filter: any filter; observations with independent errors.
        times: how long the memory is; longer is steadier and slower.
        least: of the factor, which samples might make negative.

    Raises:
        InputError: a memory shorter than one time.
    """

    filter: AbstractFilter
    times: float = 100.0
    least: float = 0.05

    def __check_init__(self):
        _check_memory(self.times)

    def begin(self, cell: AbstractCell, prior: Any) -> ScaledBelief:
        return ScaledBelief(self.filter.begin(cell, prior), jnp.ones(()))

    def state(self, belief: ScaledBelief) -> PyTree[Array]:
        return self.filter.state(belief.belief)

    def advance(
        self,
        cell: AbstractCell,
        belief: ScaledBelief,
        forcing: PyTree,
        key: PRNGKeyArray,
    ) -> ScaledBelief:
        advanced = self.filter.advance(cell, belief.belief, forcing, key)
        return ScaledBelief(advanced, belief.factor)

    def analyse(
        self, belief: ScaledBelief, observation: Observation, key: PRNGKeyArray
    ) -> tuple[ScaledBelief, Diagnostics]:
        error = observation.error
        if not isinstance(error, DiagonalCovariance):
            raise InputError(
                f"the errors are a {type(error).__name__} and EstimatedErrors scales "
                "independent ones: give a DiagonalCovariance"
            )
        factor = belief.factor.astype(error.variance.dtype)
        scaled = DiagonalCovariance(error.variance * factor)
        observation = dataclasses.replace(observation, error=scaled)
        analysis, told = self.filter.analyse(belief.belief, observation, key)
        ratio = told.residual * told.innovation / error.variance.astype(factor.dtype)
        count = jnp.sum(observation.seen).astype(factor.dtype)
        found = jnp.sum(jnp.where(observation.seen, ratio, 0.0)) / count
        factor = jnp.maximum(factor + (found - factor) / self.times, self.least)
        return ScaledBelief(analysis, factor.astype(belief.factor.dtype)), told

    def unseen(self, belief: ScaledBelief) -> ScaledBelief:
        return ScaledBelief(self.filter.unseen(belief.belief), belief.factor)

    def summary(self, belief: ScaledBelief) -> tuple[PyTree[Array], PyTree[Array]]:
        return self.filter.summary(belief.belief)


class NoisyBelief(eqx.Module):
    """A belief, and how many times the given model error variances the true ones seem.

    `elapsed` is the time since the last analysis.
    """

    belief: Any
    factor: Float[Array, ""]
    elapsed: Float[Array, ""]

    @property
    def ensemble(self) -> Any:
        """Of the belief, where it has one."""
        return self.belief.ensemble


class EstimatedModelError(AbstractFilter):
    """An ensemble or Kalman filter whose model errs, by how much the innovations tell.

    Each step of the model adds independent errors of the variance factor · std² · dt.
    Innovations expect E[(y - H xᵇ)²] = diag(H Pᵇ Hᵀ + R), and where they are larger
    the factor rises, in units of what these errors add to what is observed, with a
    fading memory: Mehra (1970, IEEE Trans. Autom. Control 15, 175); Tandeo et al.
    (2020, Mon. Wea. Rev. 148, 3973), section 3. The factor of the last time is
    `analyses.final.belief.factor`. The error variances of the observations are taken
    as given: that both of them are wrong does not show in the size of the innovations,
    but in `analyses.log_likelihood`, whose sum has derivatives.

    Arguments:
        filter: an ensemble filter, or a `KalmanFilter`.
        std: of the errors, per square root of time: one number, or a pytree like the
            state [units of the state].
        times: how long the memory is; longer is steadier and slower.
        start: the factor to begin with.

    Raises:
        InputError: a memory shorter than one time, or a filter of another kind.
    """

    filter: Any  # an `AbstractEnsembleFilter` or a `KalmanFilter`
    std: PyTree[Array] = eqx.field(converter=lambda tree: jax.tree.map(_real, tree))
    times: float = 100.0
    start: float = 1.0

    def __check_init__(self):
        _check_memory(self.times)
        if not isinstance(self.filter, AbstractEnsembleFilter | KalmanFilter):
            raise InputError(
                f"the filter is of the type {type(self.filter).__name__}, an ensemble "
                "filter or a KalmanFilter was expected: give one of these"
            )

    def begin(self, cell: AbstractCell, prior: Any) -> NoisyBelief:
        belief = self.filter.begin(cell, prior)
        return NoisyBelief(belief, _real(self.start), jnp.zeros(()))

    def state(self, belief: NoisyBelief) -> PyTree[Array]:
        return self.filter.state(belief.belief)

    def advance(
        self,
        cell: AbstractCell,
        belief: NoisyBelief,
        forcing: PyTree,
        key: PRNGKeyArray,
    ) -> NoisyBelief:
        step_key, noise_key = jax.random.split(key)
        advanced = self.filter.advance(cell, belief.belief, forcing, step_key)
        scale = jnp.sqrt(belief.factor * cell.dt)
        std = jax.tree.map(lambda s: scale.astype(s.dtype) * s, self.std)
        advanced = self.filter.widened(advanced, std, noise_key)
        return NoisyBelief(advanced, belief.factor, belief.elapsed + cell.dt)

    def analyse(
        self, belief: NoisyBelief, observation: Observation, key: PRNGKeyArray
    ) -> tuple[NoisyBelief, Diagnostics]:
        analysis_key, probe_key = jax.random.split(key)
        analysis, told = self.filter.analyse(belief.belief, observation, analysis_key)
        mean, _ = self.filter.summary(belief.belief)
        probes = jax.tree.map(lambda x: jnp.broadcast_to(x, (_PROBES, *x.shape)), mean)
        probes = noise_like(probes, self.std, probe_key)

        def seen_of(change):
            return jax.jvp(observation.observe, (mean,), (change,))[1]

        added = (jax.vmap(seen_of)(probes) ** 2).mean(0)  # diag H std² Hᵀ
        added = added * belief.elapsed.astype(added.dtype)
        excess = told.innovation**2 - told.expected_variance
        weight = observation.error.variances().astype(added.dtype) ** -1
        weight = jnp.where(observation.seen, weight, jnp.zeros_like(added))
        weight = weight / jnp.sum(weight)
        found = weight @ jnp.where(observation.seen, excess, 0.0)
        factor = belief.factor.astype(found.dtype)
        # At the step of the prior, or where they are zero, these errors add nothing.
        told_of = weight @ added
        safe = jnp.where(told_of > 0, told_of, jnp.ones_like(told_of))
        change = (
            jnp.where(told_of > 0, found / safe, jnp.zeros_like(found)) / self.times
        )
        factor = jnp.maximum(factor + change, 0.0).astype(belief.factor.dtype)
        return NoisyBelief(analysis, factor, jnp.zeros_like(belief.elapsed)), told

    def unseen(self, belief: NoisyBelief) -> NoisyBelief:
        unseen = self.filter.unseen(belief.belief)
        return NoisyBelief(unseen, belief.factor, belief.elapsed)

    def summary(self, belief: NoisyBelief) -> tuple[PyTree[Array], PyTree[Array]]:
        return self.filter.summary(belief.belief)


def _real(number: Any) -> Array:
    """An array of a floating type, of a whole number too."""
    array = jnp.asarray(number)
    return array if eqx.is_inexact_array(array) else array.astype(float)


_PROBES = 8  # directions in which the observation operator is looked at


def _check_memory(times: float) -> None:
    if not times >= 1:
        raise InputError(
            f"the memory is {times} times of observations, 1 or more expected"
        )
