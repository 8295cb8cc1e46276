"""Multiple shooting: weights and one initial state a window, by Levenberg-Marquardt.

For the weights θ and the states s_w, the Gauss-Newton matrix is an arrow,

    [ H      C_1  C_2 ...]
    [ C_1ᵀ   D_1         ]      H = Σ A_wᵀA_w, C_w = A_wᵀB_w, D_w = B_wᵀB_w,
    [ C_2ᵀ        D_2    ]

with A_w, B_w the Jacobians of the window's residuals. Eliminating the states leaves the
Schur complement H - Σ C_w D_w⁻¹ C_wᵀ, of the size of θ. The damping is Marquardt's
(1963, J. SIAM 11, 431): a multiple of the diagonal.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from tendency.fitting.problem import Free, Problem

_WINDOWS_AT_ONCE = 256  # bounds the memory of the Jacobians
_TOLERANCE = 1e-10  # relative decrease of the cost at which to stop


@eqx.filter_jit
def shoot(problem: Problem, free: Free, max_steps: int) -> tuple[Free, Int[Array, ""]]:
    """The weights and initial states of least misfit, and the iterations it took."""
    theta, to_weights = ravel_pytree(free.weights)
    states, to_state = _flat_states(free.initial)
    index = jnp.arange(len(problem.windows))

    def residuals(theta, state, i):
        window = eqx.tree_at(
            lambda w: w.initial,
            problem.windows.take(i),
            to_state(state),
            is_leaf=lambda x: x is None,
        )
        cell = problem.cell(Free(to_weights(theta)))
        return ravel_pytree(problem.loss.residuals(cell, window))[0]

    def over_windows(function, *batched):
        size = min(len(problem.windows), _WINDOWS_AT_ONCE)
        return jax.lax.map(lambda xs: function(*xs), batched, batch_size=size)

    def cost(theta, states):
        square = lambda s, i: jnp.sum(residuals(theta, s, i) ** 2)  # noqa: E731
        return over_windows(square, states, index).sum()

    def blocks(theta, state, i):
        r = residuals(theta, state, i)
        a, b = jax.jacfwd(residuals, (0, 1))(theta, state, i)
        return a.T @ a, a.T @ b, b.T @ b, a.T @ r, b.T @ r

    def normal_equations(theta, states):
        h, c, d, g, f = over_windows(lambda s, i: blocks(theta, s, i), states, index)
        return h.sum(0), c, d, g.sum(0), f

    def move(equations, damping):
        h, c, d, g, f = equations
        h = h + damping * jnp.diag(_positive(jnp.diag(h)))
        diagonal = _positive(jnp.diagonal(d, axis1=1, axis2=2))
        d = d + damping * diagonal[:, :, None] * jnp.eye(d.shape[-1], dtype=d.dtype)
        right = jnp.concatenate([jnp.swapaxes(c, 1, 2), f[:, :, None]], -1)
        solved = jnp.linalg.solve(d, right)
        d_ct, d_f = solved[..., :-1], solved[..., -1]
        schur = h - jnp.einsum("wpm,wmq->pq", c, d_ct)
        d_theta = -jnp.linalg.solve(schur, g - jnp.einsum("wpm,wm->p", c, d_f))
        return d_theta, -(d_f + jnp.einsum("wmp,p->wm", d_ct, d_theta))

    def body(now):
        theta, states, value, damping, equations, steps, _ = now
        d_theta, d_states = move(equations, damping)
        new = theta + d_theta, states + d_states
        new_value = cost(*new)
        better = new_value < value  # false for NaN
        decrease = jnp.where(better, (value - new_value) / value, jnp.inf)
        theta, states = jax.tree.map(
            lambda a, b: jnp.where(better, a, b), new, (theta, states)
        )
        equations = jax.lax.cond(
            better, lambda: normal_equations(theta, states), lambda: equations
        )
        damping = jnp.where(better, damping / 5, damping * 4)
        value = jnp.where(better, new_value, value)
        done = (decrease < _TOLERANCE) | (damping > 1e12) | (value == 0)
        return theta, states, value, damping, equations, steps + 1, done

    start = (
        theta,
        states,
        cost(theta, states),
        jnp.asarray(1e-2, theta.dtype),
        normal_equations(theta, states),
        jnp.zeros((), jnp.int32),
        jnp.asarray(False),
    )
    wanted = lambda now: ~now[-1] & (now[-2] < max_steps)  # noqa: E731
    theta, states, *_, steps, _ = jax.lax.while_loop(wanted, body, start)
    return Free(to_weights(theta), jax.vmap(to_state)(states)), steps


def _flat_states(states) -> tuple[Float[Array, "window state"], Callable]:
    one = jax.tree.map(lambda a: a[0], states)
    _, to_state = ravel_pytree(one)
    return jax.vmap(lambda s: ravel_pytree(s)[0])(states), to_state


def _positive(diagonal: Array) -> Array:
    """A diagonal that damps even what the residuals do not see."""
    return diagonal + 1e-12 * jnp.max(diagonal)
