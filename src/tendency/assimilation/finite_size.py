"""The finite-size ensemble Kalman filter, which needs no tuned inflation."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from tendency.assimilation.ensemble import AbstractEnsembleFilter
from tendency.assimilation.inflation import AbstractInflation, NoInflation
from tendency.assimilation.transform import (
    Departures,
    Square,
    Transform,
    inverse_root,
)
from tendency.cell import Carry


class EnKFN(AbstractEnsembleFilter):
    """Finite-size ensemble Kalman filter: an ETKF that finds its own inflation.

    The ensemble is taken for a sample, not for the truth about the errors, and what it
    leaves unknown is integrated out. In the dual form the background anomalies are
    inflated by the root of the u that minimises

        dᵀ (I + u SᵀS)⁻¹ d + (N-1) (ε / u + c log u),

    with ε = (N+1)/N and c = (N+g)/(N-1), corrected towards the mode of the hyperprior:
    Bocquet, Raanes & Hannart (2015, Nonlin. Processes Geophys. 22, 645);
    the dual form is Bocquet & Sakov's (2012, Nonlin. Processes Geophys. 19, 383).

    Arguments:
        weight: of the hyperprior, 1 in the paper; a larger one stays closer to u = 1,
            as nearly linear systems with plenty of members want.
        null_space: g, the dimension of the null space of the anomalies.
    """

    inflation: AbstractInflation = NoInflation()
    weight: Float[Array, ""] = eqx.field(default=1.0, converter=jnp.asarray)
    null_space: int = eqx.field(static=True, default=0)
    rotated: bool = eqx.field(static=True, default=False)
    resample: bool = eqx.field(static=True, default=False)

    def update(
        self, ensemble: Carry, departures: Departures, key: PRNGKeyArray
    ) -> tuple[Carry, Transform]:
        S, d = departures.anomalies, departures.innovation
        N = len(S)
        gram, pull = S @ S.T, S @ d
        u = jnp.exp(self._log_inflation(gram, pull))
        root = inverse_root(jnp.eye(N, dtype=S.dtype) + u * gram)
        w = u * (root @ (root @ pull)) * (N - 1) ** -0.5
        transform = Transform(w, jnp.sqrt(u) * root)
        if self.rotated:
            transform = transform.rotated(key)
        return transform.apply(ensemble), transform

    def coefficients(
        self, ignorance: Float[Array, ""], members: int
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """The numbers ε and c, corrected and weighted.

        `ignorance` is the mean eigenvalue of (I + S Sᵀ)⁻¹: 1 where the observations say
        nothing, 0 where they say all.
        """
        epsilon = (members + 1) / members
        c = (members + self.null_space) / (members - 1)
        correction = jnp.sqrt((epsilon / c) ** ignorance)
        weight = self.weight.astype(ignorance.dtype)
        return weight * epsilon / correction, weight * c * correction

    def _log_inflation(self, gram: Square, pull: Float[Array, " member"]) -> Array:
        """The log u at which the dual cost is least; differentiable."""
        N = len(gram)
        eye = jnp.eye(N, dtype=gram.dtype)
        values, vectors = jnp.linalg.eigh(
            jax.lax.stop_gradient(gram), symmetrize_input=False
        )
        square = (jax.lax.stop_gradient(pull) @ vectors) ** 2
        known = self.coefficients(jnp.mean(1 / (1 + values)), N)

        def slope(log_u):  # u/2 times the derivative of the cost by u, of the matrices
            u = jnp.exp(log_u)
            ignorance = jnp.trace(jnp.linalg.solve(eye + gram, eye)) / N
            epsilon, c = self.coefficients(ignorance, N)
            half = jnp.linalg.solve(eye + u * gram, pull)
            return ((N - 1) * (c - epsilon / u) - u * half @ half) / 2

        def solve(_, start):  # the same of the eigenvalues, which have no derivative
            return _log_root(values, square, *known, N - 1)

        return jax.lax.custom_root(
            slope,
            jnp.zeros((), gram.dtype),
            solve,
            lambda g, y: y / g(jnp.ones_like(y)),
        )


def _log_root(values, square, epsilon, c, N1) -> Array:
    """Newton's iteration for log u, kept within a bracket by bisection."""

    def slope_and_curvature(log_u):
        u = jnp.exp(log_u)
        share = u * square / (1 + u * values) ** 2
        slope = N1 * (c - epsilon / u) - jnp.sum(share)
        return slope, N1 * epsilon / u + jnp.sum(
            share * (u * values - 1) / (1 + u * values)
        )

    def improve(now):
        log_u, low, high, _, count = now
        slope, curvature = slope_and_curvature(log_u)
        low, high = jnp.where(slope < 0, log_u, low), jnp.where(slope < 0, high, log_u)
        newton = log_u - slope / curvature
        inside = (curvature > 0) & (newton > low) & (newton < high)
        new = jnp.where(inside, newton, (low + high) / 2)
        return new, low, high, jnp.abs(new - log_u), count + 1

    def unfinished(now):
        *_, change, count = now
        return (change > 8 * jnp.finfo(values.dtype).eps) & (count < 60)

    # The cost falls at u = ε / c and rises at the end of the bracket, where the spread
    # is a thousand times what it was.
    zero = jnp.zeros((), values.dtype)
    low, high = jnp.log(epsilon / c), zero + 2 * math.log(1e3)
    start = (zero, low, high, zero + 1, 0)
    return jax.lax.while_loop(unfinished, improve, start)[0]
