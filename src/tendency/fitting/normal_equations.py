r"""The cost of states and parameters together, and its Gauss-Newton system.

For states x_k and parameters θ, with ε the ratio of the variances of model and
observation errors and s the scale of the latter in each component of the state,

    J = Σ |R^-1/2 (y_k - H x_k)|² + Σ |(x_k+1 - M(x_k; θ)) / s|² / ε.

Its Gauss-Newton matrix is an arrow: block-tridiagonal in the states, bordered by the
parameters,

    [ A   B ]
    [ Bᵀ  C ]

so that a step costs as many operations as there are states, times a constant; the
Schur complement C - Bᵀ A⁻¹ B is what all observations together say of θ.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from tendency.cell import Carry
from tendency.fitting.chain import Chain
from tendency.fitting.levenberg_marquardt import jacobian
from tendency.fitting.tridiagonal import inverse_blocks, solve_tridiagonal

_UNSEEN = 1e-13  # of the largest eigenvalue, is rounding


class Unknowns(eqx.Module):
    """What a joint fit looks for."""

    states: Float[Array, "N n"]  # flattened
    theta: Float[Array, " p"]


class JointProblem(eqx.Module):
    """What a joint fit is given."""

    fixed: PyTree  # the cell without its free weights
    weights: PyTree[Array]  # the first of these
    state: PyTree[Array]  # one, for its structure
    chain: Chain
    scale: Float[Array, " n"]  # s [units of the state]

    def cell(self, theta: Float[Array, " p"]):
        """The cell with these parameters."""
        return eqx.combine(self.to_weights(theta), self.fixed)

    def to_weights(self, theta: Float[Array, " p"]) -> PyTree[Array]:
        """The parameters in their places."""
        return ravel_pytree(self.weights)[1](theta)

    def to_state(self, row: Float[Array, " n"]) -> PyTree[Array]:
        """A state from its numbers."""
        return ravel_pytree(self.state)[1](row)

    def step(self, row, theta, forcing) -> Float[Array, " n"]:
        """M(x; θ)."""
        cell = self.cell(theta)
        new = cell.step(
            Carry(self.to_state(row), cell.init(self.state).memory), forcing
        )
        return ravel_pytree(new.state)[0]

    def departure(self, row, index) -> Float[Array, " obs"]:
        """R^-1/2 (y - H x) of one row of observations."""
        there = self.chain.observations.at(index)
        equivalents = there.observe(self.to_state(row))
        return there.whiten(there.departures(equivalents))

    def misfits(self, at: Unknowns) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """The two sums of J, the second times ε."""
        chain = self.chain
        index = jnp.arange(len(chain.places))
        e = jax.vmap(self.departure)(at.states[chain.places], index)
        each = jax.vmap(self.step, (0, None, 0))
        d = at.states[1:] - each(at.states[:-1], at.theta, chain.forcing)
        d = jnp.where(chain.linked[:, None] > 0, d / self.scale[None], 0.0)
        return jnp.sum(e**2), jnp.sum(d**2)

    def cost(self, at: Unknowns, ratio: Float[Array, ""]) -> Float[Array, ""]:
        """J."""
        observed, modelled = self.misfits(at)
        return observed + modelled / ratio


class Normal(NamedTuple):
    """The Gauss-Newton system, and half the gradient of J."""

    diagonal: Float[Array, "N n n"]  # of A
    below: Float[Array, "link n n"]  # of A
    border: Float[Array, "N n p"]  # B
    corner: Float[Array, "p p"]  # C
    g_states: Float[Array, "N n"]
    g_theta: Float[Array, " p"]


def normal_equations(
    problem: JointProblem, at: Unknowns, ratio: Float[Array, ""]
) -> Normal:
    """Linearise around `at`, with exact Jacobians of one step."""
    chain, x = problem.chain, at.states
    n, p = x.shape[1], at.theta.size
    places, index = chain.places, jnp.arange(len(chain.places))

    def observed(row, i):
        e, slope = problem.departure(row, i), jax.jacfwd(problem.departure)(row, i)
        return slope.T @ slope, slope.T @ e

    def stepped(row, theta, forcing):
        derive = jacobian(problem.step, (0, 1) if p else (0,), n, n + p)
        slopes = derive(row, theta, forcing)
        by_theta = slopes[1] if p else jnp.zeros((n, 0), row.dtype)
        return problem.step(row, theta, forcing), slopes[0], by_theta

    hh, hd = jax.vmap(observed)(x[places], index)
    ahead, a, b = jax.vmap(stepped, (0, None, 0))(x[:-1], at.theta, chain.forcing)
    there = chain.linked[:, None] > 0
    d = jnp.where(there, x[1:] - ahead, 0.0)
    a = jnp.where(there[..., None], a, 0.0)  # what is not linked may not be finite
    b = jnp.where(there[..., None], b, 0.0)
    w = chain.linked[:, None] / (ratio * problem.scale[None] ** 2)
    wa, wb, wd = w[..., None] * a, w[..., None] * b, w * d
    at_ = _transposed(a)
    diagonal = jnp.zeros((len(x), n, n), x.dtype).at[places].add(hh)
    diagonal = diagonal.at[:-1].add(at_ @ wa)
    diagonal = diagonal.at[1:].add(w[..., None] * jnp.eye(n, dtype=x.dtype)[None])
    g = jnp.zeros_like(x).at[places].add(hd).at[1:].add(wd)
    g = g.at[:-1].add(-(at_ @ wd[..., None])[..., 0])
    border = jnp.zeros((len(x), n, p), x.dtype).at[:-1].add(at_ @ wb)
    border = border.at[1:].add(-wb)
    flat = b.reshape(w.size, p)
    corner = flat.T @ wb.reshape(w.size, p)
    return Normal(diagonal, -wa, border, corner, g, -flat.T @ wd.ravel())


def move(
    normal: Normal,
    damping: Float[Array, ""],
    scale: Float[Array, " n"],
    free: Float[Array, " p"],
    hold: Array,
) -> Unknowns:
    """The damped Gauss-Newton step; `hold` keeps the states where they are.

    States are damped by a multiple of what the observations say of them, parameters by
    one of the diagonal of their Schur complement: what the model says of a state is so
    much more that a multiple of it would stop all that is slow.
    """

    def together():
        diagonal = normal.diagonal + damping * jnp.diag(1 / scale**2)[None]
        right = jnp.concatenate([normal.border, normal.g_states[..., None]], axis=-1)
        solved = solve_tridiagonal(diagonal, normal.below, right)
        own, by_theta = solved[..., -1], solved[..., :-1]
        schur = normal.corner - jnp.einsum("kip,kiq->pq", normal.border, by_theta)
        g = normal.g_theta - jnp.einsum("kip,ki->p", normal.border, own)
        d_theta = -_solve(schur, g[:, None], damping, free)[:, 0]
        return Unknowns(-own - by_theta @ d_theta, d_theta)

    def alone():
        right = normal.g_theta[:, None]
        d_theta = -_solve(normal.corner, right, damping, free)[:, 0]
        return Unknowns(jnp.zeros_like(normal.g_states), d_theta)

    return jax.lax.cond(hold, alone, together)


def covariances(
    normal: Normal, free: Float[Array, " p"]
) -> tuple[Float[Array, "p p"], Float[Array, "N n n"]]:
    """Of the parameters, and of each state, given all observations.

    They are blocks of the inverse of the Gauss-Newton matrix.
    """
    by_theta = solve_tridiagonal(normal.diagonal, normal.below, normal.border)
    schur = normal.corner - jnp.einsum("kip,kiq->pq", normal.border, by_theta)
    theta = _solve(schur, jnp.eye(len(free), dtype=free.dtype), 0.0, free)
    states = inverse_blocks(normal.diagonal, normal.below)
    return theta, states + by_theta @ theta @ _transposed(by_theta)


def _solve(
    matrix: Float[Array, "p p"], right: Float[Array, "p m"], damping, free: Array
) -> Float[Array, "p m"]:
    """A symmetric system among the free unknowns, scaled to a unit diagonal.

    Directions that the data do not see at all, to rounding, are left alone.
    """
    if not len(matrix):
        return right
    diagonal = jnp.diag(matrix)
    seen = (free > 0) & (diagonal > 0)
    s = jnp.where(seen, 1 / jnp.sqrt(jnp.where(seen, diagonal, 1.0)), 0.0)[:, None]
    scaled = s * matrix * s.T
    values, vectors = jnp.linalg.eigh((scaled + scaled.T) / 2)
    keep = values > _UNSEEN * values[-1]
    inverse = jnp.where(keep, 1 / jnp.where(keep, values + damping, 1.0), 0.0)
    return s * (vectors @ (inverse[:, None] * (vectors.T @ (s * right))))


def _transposed(blocks: Array) -> Array:
    return jnp.swapaxes(blocks, -1, -2)
