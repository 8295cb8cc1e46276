"""The error variance of observations, found while they are assimilated."""

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

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
        if not self.times >= 1:
            raise InputError(
                f"the memory is {self.times} times of observations, 1 or more expected"
            )

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
