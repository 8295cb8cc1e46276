"""Optimal interpolation and 3DVar: one time after the other, with a static B."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Array, PRNGKeyArray, PyTree

from tendency.assimilation.background import (
    Estimate,
    check_carry,
    check_size,
    covariance_of,
    moved,
    size_of,
    spread_like,
    static_spread,
)
from tendency.assimilation.judged import judged, unknown_like
from tendency.assimilation.kalman import row_of
from tendency.assimilation.method import AbstractFilter, Diagnostics
from tendency.assimilation.minimise import (
    GaussNewton,
    Minimiser,
    Posterior,
    is_dense,
    linearised,
    minimum,
)
from tendency.cell import AbstractCell, Carry
from tendency.errors import InputError
from tendency.observing import AbstractCovariance, Observation, flat


class OptimalInterpolation(AbstractFilter):
    """Optimal interpolation (OI): x + B Hᵀ (H B Hᵀ + R)⁻¹ (y - H x), with a static B.

    Gandin (1963, Objective Analysis of Meteorological Fields); Lorenc (1981, Mon. Wea.
    Rev. 109, 701). H is linearised at the background. The system that is solved is of
    the size of the observations of a time.

    Arguments:
        background: B, static: a covariance, a matrix, one variance a component or one
            number, see `climatology`; of the state, or of the whole carry.
        mean: a state to interpolate from at all times, that of the climate; by default
            the forecast of the model.

    Raises:
        InputError: a variance of B that is not positive, another shape than the state.
    """

    background: AbstractCovariance = eqx.field(converter=covariance_of)
    mean: PyTree[Array] = None

    def begin(self, cell: AbstractCell, prior: Any) -> Estimate:
        found = started(self.background, prior, "OptimalInterpolation")
        if self.mean is not None:
            _check_mean(self.mean, prior.state)
            found = Estimate(self._anchored(prior), found.spread)
        return found

    def state(self, belief: Estimate) -> PyTree[Array]:
        return belief.mean.state

    def advance(
        self, cell: AbstractCell, belief: Estimate, forcing: PyTree, key: PRNGKeyArray
    ) -> Estimate:
        found = stepped(self.background, cell, belief, forcing)
        return Estimate(self._anchored(found.mean), found.spread)

    def analyse(
        self, belief: Estimate, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Estimate, Diagnostics]:
        B, carry = self.background, belief.mean
        zero = jnp.zeros(size_of(B, carry), row_of(carry)[0].dtype)

        def observe(v):
            return observation.observe(moved(carry, B.colour(v)).state), None

        equivalents, H, _ = linearised(observe, zero)  # H B^1/2
        G = jax.vmap(observation.whiten, 1, 1)(H)
        innovation = observation.departures(equivalents)
        d = observation.whiten(innovation)
        factor = jnp.linalg.cholesky(G @ G.T + jnp.eye(len(G), dtype=G.dtype))
        v = G.T @ cho_solve((factor, True), d)
        lost = jax.vmap(B.colour)(solve_triangular(factor, G, lower=True))
        variance = B.variances().astype(zero.dtype) - jnp.sum(lost**2, 0)
        mean = moved(carry, B.colour(v))
        half = solve_triangular(factor, d, lower=True)
        told = judged(
            observation,
            innovation,
            observation.departures(observation.observe(mean.state)),
            jnp.sum(H**2, 1),
            half @ half,
            2 * jnp.sum(jnp.log(jnp.diagonal(factor))),
            is_lost(mean),
        )
        return Estimate(mean, spread_like(carry, variance)), told

    def unseen(self, belief: Estimate) -> Estimate:
        return belief

    def summary(self, belief: Estimate) -> tuple[PyTree[Array], PyTree[Array]]:
        return belief.mean.state, belief.spread

    def _anchored(self, carry: Carry) -> Carry:
        return carry if self.mean is None else Carry(self.mean, carry.memory)


class ThreeDVar(AbstractFilter):
    """3DVar: the x of least |x - xᵇ|²/B + |y - H(x)|²/R, by minimisation.

    The control variable is v with x = xᵇ + B^1/2 v: Lorenc (1986, Q. J. R. Meteorol.
    Soc. 112, 1177); Parrish & Derber (1992, Mon. Wea. Rev. 120, 1747). For a linear H
    it is optimal interpolation; an H that is not linear is followed to the minimum.

    Arguments:
        background: as of `OptimalInterpolation`.
        minimiser: `GaussNewton()`, or a minimiser of Optimistix, say
            `optimistix.LBFGS(rtol, atol)`. Spreads and likelihoods are known where
            Gauss-Newton forms matrices, else NaN.

    Raises:
        InputError: as `OptimalInterpolation`.
    """

    background: AbstractCovariance = eqx.field(converter=covariance_of)
    minimiser: Minimiser = GaussNewton()

    def begin(self, cell: AbstractCell, prior: Any) -> Estimate:
        return started(self.background, prior, "ThreeDVar")

    def state(self, belief: Estimate) -> PyTree[Array]:
        return belief.mean.state

    def advance(
        self, cell: AbstractCell, belief: Estimate, forcing: PyTree, key: PRNGKeyArray
    ) -> Estimate:
        return stepped(self.background, cell, belief, forcing)

    def analyse(
        self, belief: Estimate, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Estimate, Diagnostics]:
        B, carry = self.background, belief.mean
        zero = jnp.zeros(size_of(B, carry), row_of(carry)[0].dtype)

        def observe(v):
            return observation.observe(moved(carry, B.colour(v)).state)

        def residual(v):
            return observation.whiten(observation.departures(observe(v)))

        v = minimum(self.minimiser, residual, zero)
        mean = moved(carry, B.colour(v))
        innovation = observation.departures(observe(zero))
        left = observation.departures(observe(v))
        if is_dense(self.minimiser):
            _, H, _ = linearised(lambda v: (observe(v), None), v)
            G = jax.vmap(observation.whiten, 1, 1)(H)
            posterior = Posterior.of(G)
            root = jax.vmap(B.colour, 1, 1)(jnp.eye(zero.size, dtype=zero.dtype))
            spread = spread_like(carry, posterior.variance(root))
            known = jnp.sum(H**2, 1)
            log_det = posterior.log_determinant()
        else:
            spread = jax.tree.map(unknown_like, carry.state)
            known, log_det = unknown_like(innovation), unknown_like(zero[0])
        r = residual(v)
        told = judged(
            observation, innovation, left, known, v @ v + r @ r, log_det, is_lost(mean)
        )
        return Estimate(mean, spread), told

    def unseen(self, belief: Estimate) -> Estimate:
        return belief

    def summary(self, belief: Estimate) -> tuple[PyTree[Array], PyTree[Array]]:
        return belief.mean.state, belief.spread


def started(background: AbstractCovariance, prior: Any, method: str) -> Estimate:
    """The belief at the start: a carry, as uncertain as any background."""
    check_carry(prior, method)
    check_size(background, prior, "the background")
    prior = jax.tree.map(jnp.asarray, prior)
    return Estimate(prior, static_spread(background, prior))


def stepped(
    background: AbstractCovariance,
    cell: AbstractCell,
    belief: Estimate,
    forcing: PyTree,
) -> Estimate:
    """One (mean) step later it is as uncertain as any background again."""
    carry = cell.step(belief.mean, forcing)
    return Estimate(carry, static_spread(background, carry))


def is_lost(carry: Carry) -> Array:
    """[1]: whether a number of the carry is not finite."""
    return ~jnp.isfinite(row_of(carry)[0]).all()[None]


def _check_mean(mean: PyTree[Array], state: PyTree[Array]) -> None:
    same = jax.tree.structure(mean) == jax.tree.structure(state)
    if not same or flat(mean).size != flat(state).size:
        shapes = [jax.tree.map(jnp.shape, x) for x in (mean, state)]
        raise InputError(
            f"the mean of the climate has the shape {shapes[0]} and the state "
            f"{shapes[1]}: give a state"
        )
