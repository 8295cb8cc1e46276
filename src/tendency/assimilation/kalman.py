"""The Kalman filter, extended to models that are not linear."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.assimilation.inflation import stds_of
from tendency.assimilation.method import AbstractFilter, Diagnostics
from tendency.assimilation.prior import Gaussian
from tendency.cell import AbstractCell, Carry
from tendency.errors import InputError
from tendency.observing import Observation

Matrix = Float[Array, "n n"]


class GaussianBelief(eqx.Module):
    """A mean carry, the covariance of its inexact arrays, and how it came about.

    `transition` is the tangent-linear model since the last time of observations.
    """

    mean: Carry
    covariance: Matrix
    transition: Matrix


class KalmanFilter(AbstractFilter):
    """Kalman filter; for a model that is not linear, the extended Kalman filter.

    x' = f(x), P' = M P Mᵀ + Q with M the tangent-linear model at x, and at an analysis
    K = P Hᵀ (H P Hᵀ + R)⁻¹, x + K (y - H(x)), P by Joseph's form: Kalman (1960, J.
    Basic Eng. 82, 35); Jazwinski (1970, Stochastic Processes and Filtering Theory).
    Derivatives are exact (automatic). The mean step of the model is taken, so that the
    noise of a stochastic cell has to be told as `model_error`. The cost grows as the
    cube of the size of the carry.

    Arguments:
        model_error: Q, the covariance that a step of the model adds, of all inexact
            arrays of the carry, leaf after leaf.
    """

    model_error: Matrix | None = None

    def begin(self, cell: AbstractCell, prior: Any) -> GaussianBelief:
        check_gaussian(prior, "KalmanFilter", self.model_error)
        size = row_of(prior.mean)[0].size
        eye = jnp.eye(size, dtype=prior.covariance.dtype)
        return GaussianBelief(prior.mean, prior.covariance, eye)

    def state(self, belief: GaussianBelief) -> PyTree[Array]:
        return belief.mean.state

    def advance(
        self,
        cell: AbstractCell,
        belief: GaussianBelief,
        forcing: PyTree,
        key: PRNGKeyArray,
    ) -> GaussianBelief:
        row, carry_of = row_of(belief.mean)

        def step(row):
            new = cell.step(carry_of(row), forcing)
            return row_of(new)[0], new

        M, mean = jax.jacfwd(step, has_aux=True)(row)
        covariance = M @ belief.covariance @ M.T
        if self.model_error is not None:
            covariance = covariance + self.model_error.astype(covariance.dtype)
        return GaussianBelief(mean, covariance, M @ belief.transition)

    def analyse(
        self, belief: GaussianBelief, observation: Observation, key: PRNGKeyArray
    ) -> tuple[GaussianBelief, Diagnostics]:
        row, carry_of = row_of(belief.mean)
        P = belief.covariance
        eye = jnp.eye(len(P), dtype=P.dtype)

        def observe(row):
            found = observation.observe(carry_of(row).state)
            return found, found

        H, equivalents = jax.jacfwd(observe, has_aux=True)(row)
        white = jax.vmap(observation.whiten, 1, 1)(H)  # R^-1/2 H
        innovation = observation.departures(equivalents)
        d = observation.whiten(innovation)
        S = jnp.eye(len(d), dtype=P.dtype) + white @ P @ white.T
        factor = jnp.linalg.cholesky(S)
        K = cho_solve((factor, True), white @ P).T
        row = row + K @ d
        left = eye - K @ white
        analysis = GaussianBelief(carry_of(row), left @ P @ left.T + K @ K.T, eye)
        seen = observation.seen
        log_det = observation.error.log_determinant(seen).astype(d.dtype)
        log_det += 2 * jnp.sum(jnp.log(jnp.diagonal(factor)))
        count = jnp.sum(seen).astype(d.dtype)
        misfit = d @ cho_solve((factor, True), d)
        told = Diagnostics(
            innovation,
            jnp.sum((H @ P) * H, 1) + observation.error.variances().astype(P.dtype),
            observation.departures(observation.observe(analysis.mean.state)),
            misfit,
            -0.5 * (misfit + log_det + count * jnp.log(2 * jnp.pi).astype(d.dtype)),
            ~jnp.isfinite(row).all()[None],
        )
        return analysis, told

    def widened(
        self, belief: GaussianBelief, std: PyTree[Array], key: PRNGKeyArray
    ) -> GaussianBelief:
        """With the variances of independent errors added to those of the state."""
        leaves, structure = jax.tree.flatten(belief.mean.state)
        stds = zip(leaves, stds_of(structure, std), strict=True)
        wide = [jnp.broadcast_to(s.astype(x.dtype), x.shape) for x, s in stds]
        none = jax.tree.map(jnp.zeros_like, belief.mean.memory)
        added = row_of(Carry(jax.tree.unflatten(structure, wide), none))[0] ** 2
        covariance = belief.covariance + jnp.diag(added.astype(belief.covariance.dtype))
        return GaussianBelief(belief.mean, covariance, belief.transition)

    def unseen(self, belief: GaussianBelief) -> GaussianBelief:
        eye = jnp.eye(len(belief.covariance), dtype=belief.covariance.dtype)
        return GaussianBelief(belief.mean, belief.covariance, eye)

    def summary(self, belief: GaussianBelief) -> tuple[PyTree[Array], PyTree[Array]]:
        return state_and_spread(belief.mean, belief.covariance)


def check_gaussian(prior: Any, method: str, model_error: Matrix | None = None) -> None:
    """Refuse what is no Gaussian of all that a carry holds.

    Raises:
        InputError: a prior of another type, or a covariance of another shape.
    """
    if not isinstance(prior, Gaussian):
        raise InputError(
            f"{method} was given a prior of the type {type(prior).__name__}, a "
            "Gaussian was expected: give a mean carry and its covariance"
        )
    size = row_of(prior.mean)[0].size
    for name, matrix in (
        ("the prior", prior.covariance),
        ("the model error", model_error),
    ):
        if matrix is not None and jnp.shape(matrix) != (size, size):
            raise InputError(
                f"the covariance of {name} is {jnp.shape(matrix)} and the carry "
                f"holds {size} numbers: give a matrix {size} by {size}"
            )


def state_and_spread(
    mean: Carry, covariance: Matrix
) -> tuple[PyTree[Array], PyTree[Array]]:
    """The state of a mean carry, and the standard deviations of that state."""
    row, carry_of = row_of(mean)
    variance = jnp.maximum(jnp.diagonal(covariance), 0.0).astype(row.dtype)
    return mean.state, carry_of(jnp.sqrt(variance)).state


def row_of(carry: Carry):
    """The inexact arrays of a carry in one row, and the way back."""
    moving, fixed = eqx.partition(carry, eqx.is_inexact_array)
    row, unravel = ravel_pytree(moving)
    return row, lambda row: eqx.combine(unravel(row), fixed)
