"""Levenberg-Marquardt on weights, and on one initial state a window if they are free.

For the weights θ and the states s_w, the Gauss-Newton matrix is an arrow,

    [ H      C_1  C_2 ...]
    [ C_1ᵀ   D_1         ]      H = Σ A_wᵀA_w, C_w = A_wᵀB_w, D_w = B_wᵀB_w,
    [ C_2ᵀ        D_2    ]

with A_w, B_w the Jacobians of the window's residuals. Eliminating the states leaves the
Schur complement H - Σ C_w D_w⁻¹ C_wᵀ, of the size of θ: the cost is linear in the
number of windows, and no Jacobian of all of them is ever stored. The damping is
Marquardt's (1963, J. SIAM 11, 431): a multiple of the diagonal.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, PyTree

from tendency.fitting.problem import Free, Problem

_WINDOWS_AT_ONCE = 256  # bounds the memory of the Jacobians


class _Normal(NamedTuple):
    """The normal equations, block by block."""

    h: Float[Array, "p p"]
    g: Float[Array, " p"]
    c: Float[Array, "window p m"]
    d: Float[Array, "window m m"]
    f: Float[Array, "window m"]
    cost: Float[Array, ""]
    seen: Int[Array, ""]  # residuals that are not masked: zero, that is


class _Search(NamedTuple):
    """Where the iteration stands."""

    theta: Float[Array, " p"]
    states: Float[Array, "window m"]
    normal: _Normal  # at these, unless `moved`
    moved: Bool[Array, ""]
    damping: Float[Array, ""]
    steps: Int[Array, ""]
    costs: Float[Array, "2"]  # first and last
    done: Bool[Array, ""]


@eqx.filter_jit
def levenberg_marquardt(
    problem: Problem, free: Free, max_steps: int, tolerance: float
) -> tuple[Free, Int[Array, ""], Float[Array, "2"], Float[Array, "p p"]]:
    """The weights (and initial states) of least misfit, and the iterations it took.

    It stops when a step lowers the cost by less than `tolerance` of it. The third
    result is the mean squared residual at the beginning and at the end; where the first
    is not finite nothing was done. The last is the covariance of the weights if the
    residuals are independent and alike, where the last iteration began.
    """
    theta, to_weights = ravel_pytree(free.weights)
    count = len(problem.windows)
    states, to_state = _flat_states(free.initial, count, theta.dtype)
    size = min(count, _WINDOWS_AT_ONCE)
    padding = -count % size
    chunks = (count + padding) // size

    def residuals(theta, state, index):
        window = problem.windows.take(index)
        if free.initial is not None:
            window = eqx.tree_at(
                lambda w: w.initial, window, to_state(state), is_leaf=_is_none
            )
        cell = problem.cell(Free(to_weights(theta)))
        return ravel_pytree(problem.loss.residuals(cell, window))[0]

    def blocks(theta, state, index, there):
        r = there * residuals(theta, state, index)
        inputs = (0, 1) if state.size else (0,)  # a derivative by nothing is refused
        columns = theta.size + state.size
        a, *b = jacobian(residuals, inputs, r.size, columns)(theta, state, index)
        b = b[0] if b else jnp.zeros((r.size, 0), r.dtype)
        return r, there * a, there * b

    def in_chunks(states):
        index = jnp.pad(jnp.arange(count), (0, padding))
        there = jnp.pad(jnp.ones(count, theta.dtype), (0, padding))
        padded = jnp.pad(states, ((0, padding), (0, 0)))
        shaped = lambda x: x.reshape(chunks, size, *x.shape[1:])  # noqa: E731
        return jax.tree.map(shaped, (padded, index, there))

    def normal_equations(theta, states) -> _Normal:
        def add(total, chunk):
            r, a, b = jax.vmap(blocks, (None, 0, 0, 0))(theta, *chunk)
            flat = a.reshape(-1, a.shape[-1])
            h, g, cost, seen = total
            h, g = h + flat.T @ flat, g + flat.T @ r.ravel()
            total = h, g, cost + jnp.sum(r**2), seen + jnp.count_nonzero(r)
            product = lambda x, y: jnp.swapaxes(x, 1, 2) @ y  # noqa: E731
            f = product(b, r[..., None])[..., 0]
            return total, (product(a, b), product(b, b), f)

        p = theta.size
        nothing = jnp.zeros((p, p), theta.dtype), jnp.zeros_like(theta)
        total = (*nothing, jnp.zeros((), theta.dtype), jnp.zeros((), int))
        (h, g, cost, seen), own = jax.lax.scan(add, total, in_chunks(states))
        c, d, f = (x.reshape(chunks * size, *x.shape[2:])[:count] for x in own)
        return _Normal(h, g, c, d, f, cost, seen)

    def cost_of(theta, states):
        def add(total, chunk):
            state, index, there = chunk
            each = jax.vmap(residuals, (None, 0, 0))(theta, state, index)
            return total + jnp.sum((there[:, None] * each) ** 2), None

        nothing = jnp.zeros((), theta.dtype)
        return jax.lax.scan(add, nothing, in_chunks(states))[0]

    def body(now: _Search) -> _Search:
        normal = jax.lax.cond(  # here and nowhere else, as it is long to compile
            now.moved,
            lambda: normal_equations(now.theta, now.states),
            lambda: now.normal,
        )
        d_theta, d_states = _move(normal, now.damping)
        new = now.theta + d_theta, now.states + d_states
        cost = cost_of(*new)
        better = cost < normal.cost  # false for NaN
        theta, states = jax.tree.map(
            lambda a, b: jnp.where(better, a, b), new, (now.theta, now.states)
        )
        damping = jnp.where(better, now.damping / 5, now.damping * 4)
        damping = jnp.maximum(damping, 1e-15)
        little = (normal.cost - cost) / normal.cost < tolerance
        done = jnp.where(better, little, now.damping > 1e12)
        done |= ~jnp.isfinite(normal.cost) | (normal.cost == 0)
        first = jnp.where(now.steps == 0, normal.cost, now.costs[0])
        costs = jnp.stack([first, jnp.where(better, cost, normal.cost)])
        return _Search(
            theta, states, normal, better, damping, now.steps + 1, costs, done
        )

    shapes = jax.eval_shape(normal_equations, theta, states)
    start = _Search(
        theta,
        states,
        jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes),
        moved=jnp.asarray(True),
        damping=jnp.asarray(1e-2, theta.dtype),
        steps=jnp.zeros((), jnp.int32),
        costs=jnp.zeros(2, theta.dtype),
        done=jnp.asarray(False),
    )
    wanted = lambda now: ~now.done & (now.steps < max_steps)  # noqa: E731
    found = jax.lax.while_loop(wanted, body, start)
    initial = None if free.initial is None else jax.vmap(to_state)(found.states)
    number = (
        count * jax.eval_shape(residuals, theta, states[0], jnp.zeros((), int)).size
    )
    costs = found.costs / number
    covariance = _covariance(found.normal)
    return Free(to_weights(found.theta), initial), found.steps, costs, covariance


def _move(
    normal: _Normal, damping: Array
) -> tuple[Float[Array, " p"], Float[Array, "window m"]]:
    """The damped Gauss-Newton step."""
    matrix, right, d_ct, d_f = _eliminated(normal, damping)
    d_theta = -_solve(matrix, right)
    return d_theta, -(d_f + jnp.einsum("wmp,p->wm", d_ct, d_theta))


def _eliminated(normal: _Normal, damping: Array):
    """The damped equations of the weights alone, D⁻¹Cᵀ and D⁻¹f."""
    h = normal.h + damping * jnp.diag(_positive(jnp.diag(normal.h)))
    if not normal.f.size:
        return h, normal.g, jnp.swapaxes(normal.c, 1, 2), normal.f
    diagonal = _positive(jnp.diagonal(normal.d, axis1=1, axis2=2))
    identity = jnp.eye(normal.d.shape[-1], dtype=h.dtype)[None]
    d = normal.d + damping * diagonal[:, :, None] * identity
    right = jnp.concatenate(
        [jnp.swapaxes(normal.c, 1, 2), normal.f[:, :, None]], axis=-1
    )
    solved = jnp.linalg.solve(d, right)
    d_ct, d_f = solved[..., :-1], solved[..., -1]
    schur = h - jnp.einsum("wpm,wmq->pq", normal.c, d_ct)
    return schur, normal.g - jnp.einsum("wpm,wm->p", normal.c, d_f), d_ct, d_f


def _covariance(normal: _Normal) -> Float[Array, "p p"]:
    """σ² (H - Σ C D⁻¹Cᵀ)⁻¹; where nothing tells, errors are huge rather than none."""
    matrix, right, *_ = _eliminated(normal, jnp.zeros((), normal.g.dtype))
    scale = jnp.sqrt(_positive(jnp.diag(matrix)))
    values, vectors = jnp.linalg.eigh(matrix / (scale[:, None] * scale[None]))
    values = jnp.maximum(values, len(right) * jnp.finfo(values.dtype).eps)
    freedom = jnp.maximum(normal.seen - right.size - normal.f.size, 1)
    unscaled = (vectors / values[None]) @ vectors.T / (scale[:, None] * scale[None])
    return normal.cost / freedom.astype(values.dtype) * unscaled


def _solve(matrix: Float[Array, "p p"], right: Float[Array, " p"]) -> Array:
    """A symmetric system, scaled to a unit diagonal first: weights differ in size."""
    scale = jnp.sqrt(_positive(jnp.diag(matrix)))
    scaled = matrix / (scale[:, None] * scale[None])
    return jnp.linalg.solve(scaled, right / scale) / scale


def _flat_states(
    states: PyTree[Array], count: int, dtype: jnp.dtype
) -> tuple[Float[Array, "window m"], Callable]:
    if states is None:
        return jnp.zeros((count, 0), dtype), lambda flat: None
    _, to_state = ravel_pytree(jax.tree.map(lambda a: a[0], states))
    return jax.vmap(lambda s: ravel_pytree(s)[0])(states), to_state


def _positive(diagonal: Array) -> Array:
    """A diagonal that damps even what the residuals do not see."""
    floor = 1e-12 * jnp.max(diagonal) + jnp.finfo(diagonal.dtype).tiny
    return diagonal + floor


def jacobian(function: Callable, inputs: tuple[int, ...], rows: int, columns: int):
    """The Jacobian in reverse mode where it has few rows, else in forward mode.

    A solver that allows one mode only (an adaptive one) is given that.
    """
    modes = [jax.jacrev, jax.jacfwd]
    if 4 * rows > columns:
        modes.reverse()

    def jacobian(*args):
        try:
            return modes[0](function, inputs)(*args)
        except (TypeError, ValueError):
            return modes[1](function, inputs)(*args)

    return jacobian


def _is_none(node) -> bool:
    return node is None
