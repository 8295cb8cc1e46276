"""What a joint fit knows of states and parameters."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from tendency.fitting.normal_equations import JointProblem, Unknowns


@dataclass(frozen=True)
class Posterior:
    """States and parameters given all observations, with their errors.

    Errors are those of a Gaussian around the minimum, if observations have the errors
    that were stated: with a mean squared misfit m in place of 1, √m of them.

    `states` and `spread` (standard errors) are states, time first, from the first
    observation to the last; for several series lists of these.
    """

    states: Any
    spread: Any
    scale: Float[Array, " n"]  # of observation errors, as `JointFit` takes it
    parameter_covariance: Float[np.ndarray, "p p"]
    parameter_std: PyTree[Array]  # a cell with errors in place of what was fitted

    @classmethod
    def of(
        cls,
        problem: JointProblem,
        at: Unknowns,
        covariance: Float[Array, "p p"],
        states: Float[Array, "N n n"],
        one: bool,
    ) -> "Posterior":
        """Unflatten; NaN is the error of what was pruned or has no effect."""
        variance = jnp.diagonal(states, axis1=1, axis2=2)
        rows = (at.states, jnp.sqrt(variance))
        found = [problem.chain.split(jax.vmap(problem.to_state)(r)) for r in rows]
        std = jnp.sqrt(jnp.diag(covariance))
        std = jnp.where(std > 0, std, jnp.nan)
        blank = jax.tree.map(lambda _: None, problem.fixed)
        cell = eqx.combine(problem.to_weights(std), blank)
        states_, spread = (f[0] for f in found) if one else found
        return cls(states_, spread, problem.scale, np.asarray(covariance), cell)
