"""Gauss-Newton and Levenberg-Marquardt: for small models, to rounding in few steps."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from tendency.errors import InputError
from tendency.fitting.levenberg_marquardt import levenberg_marquardt
from tendency.fitting.problem import (
    AbstractMethod,
    Diverged,
    Fitted,
    Free,
    Problem,
    Run,
)
from tendency.windows import Windows


class LeastSquares(AbstractMethod):
    """Bring down the sum of squared residuals of all windows together.

    By default with Levenberg-Marquardt on normal equations that are summed window by
    window, which takes free initial states too; or, for weights alone, with any
    `solver` of Optimistix (`optimistix.GaussNewton(rtol, atol)`, say), whose Jacobian
    of all residuals is stored. Either way the number of weights should stay in the
    hundreds.

    Arguments:
        max_steps: iterations at most.
        tolerance: stop where an iteration lowers the cost by less than this part of it.

    Raises:
        InputError: the loss has no `residuals` (a `RolloutLoss` has); a `solver` and
            free initial states together.
        Diverged: the residuals are not finite at the first weights.
    """

    solver: optx.AbstractLeastSquaresSolver | None = None
    max_steps: int = eqx.field(static=True, default=100)
    tolerance: float = eqx.field(static=True, default=1e-10)

    def solve(self, problem: Problem, free: Free, run: Run) -> Fitted:
        if not hasattr(problem.loss, "residuals"):
            raise InputError(
                f"least squares needs a loss with residuals and {problem.loss!r} has "
                "none: use RolloutLoss, or fit by Descent"
            )
        if self.solver is not None and free.initial is not None:
            raise InputError(
                f"{type(self.solver).__name__} was asked to fit free initial states, "
                "which only the default solver does: leave the solver out"
            )
        covariance = None
        if self.solver is None:
            new, steps, costs, covariance = levenberg_marquardt(
                problem, free, self.max_steps, self.tolerance
            )
        else:
            new, steps, costs = _by_optimistix(
                self.solver, self.max_steps, problem, free
            )
        costs = np.asarray(costs)
        if not np.isfinite(costs[0]):
            fitted = Fitted(problem.cell(free), {"train_loss": np.empty(0)}, -1)
            raise Diverged(
                "the residuals are not finite at the first weights: start from smaller "
                "weights, or shorten the horizon",
                fitted,
            )
        history = {"train_loss": costs}
        if problem.validation is not None:
            history["validation_loss"] = np.asarray(
                [_validation(problem, problem.validation, f) for f in (free, new)]
            )
        if run.report is not None:
            run.report({"epoch": int(steps), "train_loss": costs[-1]})
        if covariance is not None:
            covariance = np.asarray(covariance)
        return Fitted(
            problem.cell(new),
            history,
            int(steps),
            new.initial,
            weights=new.weights,
            covariance=covariance,
        )


@eqx.filter_jit
def _by_optimistix(
    solver: optx.AbstractLeastSquaresSolver,
    max_steps: int,
    problem: Problem,
    free: Free,
) -> tuple[Free, Array, Float[Array, "2"]]:
    def residuals(weights: PyTree[Array], problem: Problem) -> Array:
        return _residuals(problem, Free(weights))

    def cost(weights: PyTree[Array]) -> Array:
        return jnp.mean(residuals(weights, problem) ** 2)

    solution = optx.least_squares(
        residuals, solver, free.weights, problem, max_steps=max_steps, throw=False
    )
    costs = jnp.stack([cost(free.weights), cost(solution.value)])
    return Free(solution.value), solution.stats["num_steps"], costs


def _residuals(problem: Problem, free: Free) -> Float[Array, "window residual"]:
    """The residuals of every window."""

    def one(index):
        sample = problem.sample(free, index)
        return ravel_pytree(problem.loss.residuals(problem.cell(free), sample))[0]

    index = jnp.arange(len(problem.windows))
    return jax.lax.map(one, index, batch_size=min(len(problem.windows), 1024))


@eqx.filter_jit
def _validation(problem: Problem, windows: Windows, free: Free) -> Float[Array, ""]:
    cell = problem.cell(free)
    index = jnp.arange(len(windows))
    return jax.vmap(lambda i: problem.loss(cell, windows.take(i)))(index).mean()
