"""Gauss-Newton and Levenberg-Marquardt: for small models, to rounding in few steps."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from tendency.errors import InputError
from tendency.fitting.problem import (
    AbstractMethod,
    Diverged,
    Fitted,
    Free,
    Problem,
    Run,
)
from tendency.fitting.shooting import shoot


class LeastSquares(AbstractMethod):
    """Bring down the sum of squared residuals of all windows together.

    With weights alone, any Optimistix least-squares solver does it; its Jacobian is
    dense, so the number of weights should stay in the hundreds. With free initial
    states the normal equations have the shape of an arrow (each window's state meets
    only itself and the weights), and Levenberg-Marquardt eliminates the states window
    by window (`shoot`): the cost is linear in the number of windows.

    Raises:
        InputError: the loss has no `residuals` (only a `RolloutLoss` has).
        Diverged: the residuals are not finite at the start.
    """

    solver: optx.AbstractLeastSquaresSolver = optx.LevenbergMarquardt(
        rtol=1e-10, atol=1e-10
    )
    max_steps: int = eqx.field(static=True, default=100)

    def solve(self, problem: Problem, free: Free, run: Run) -> Fitted:
        if not hasattr(problem.loss, "residuals"):
            raise InputError(
                f"least squares needs a loss with residuals and {problem.loss!r} has "
                "none: use RolloutLoss, or fit by Descent"
            )
        cost = _cost(problem, free)
        if not jnp.isfinite(cost):
            fitted = Fitted(problem.cell(free), {"train_loss": np.empty(0)}, -1)
            raise Diverged(
                "the residuals are not finite at the first weights: start from smaller "
                "weights, or shorten the horizon",
                fitted,
            )
        if free.initial is None:
            new, steps = _solve_weights(self, problem, free)
        else:
            new, steps = shoot(problem, free, self.max_steps)
        history = {"train_loss": np.asarray([cost, _cost(problem, new)])}
        if problem.validation is not None:
            history["validation_loss"] = np.asarray(
                [_validation(problem, f) for f in (free, new)]
            )
        if run.report is not None:
            run.report({"epoch": int(steps), "train_loss": history["train_loss"][-1]})
        return Fitted(problem.cell(new), history, int(steps), new.initial)


def window_residuals(problem: Problem, free: Free, index: Array) -> Float[Array, " r"]:
    """The residuals of one window, flat."""
    sample = problem.sample(free, index)
    return ravel_pytree(problem.loss.residuals(problem.cell(free), sample))[0]


@eqx.filter_jit
def _solve_weights(
    method: LeastSquares, problem: Problem, free: Free
) -> tuple[Free, Array]:
    index = jnp.arange(len(problem.windows))

    def residuals(weights: PyTree[Array], problem: Problem) -> Array:
        return jax.vmap(lambda i: window_residuals(problem, Free(weights), i))(index)

    solution = optx.least_squares(
        residuals,
        method.solver,
        free.weights,
        args=problem,
        max_steps=method.max_steps,
        throw=False,
    )
    return Free(solution.value), solution.stats["num_steps"]


@eqx.filter_jit
def _cost(problem: Problem, free: Free) -> Float[Array, ""]:
    index = jnp.arange(len(problem.windows))
    each = jax.vmap(lambda i: window_residuals(problem, free, i))(index)
    return jnp.mean(each**2)


@eqx.filter_jit
def _validation(problem: Problem, free: Free) -> Float[Array, ""]:
    windows, cell = problem.validation, problem.cell(free)
    each = jax.vmap(lambda i: problem.loss(cell, windows.take(i)))(  # pyright: ignore
        jnp.arange(len(windows))  # pyright: ignore
    )
    return jnp.mean(each)
