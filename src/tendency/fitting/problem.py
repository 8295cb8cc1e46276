"""What every method of `fit` is given, and what it returns."""

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.errors import InputError
from tendency.windows import Window


class Free(eqx.Module):
    """What a fit may change."""

    weights: PyTree[Array]  # the trainable part of the cell
    initial: PyTree[Array] = None  # (window, *state), in multiple shooting


class Problem(eqx.Module):
    """A cell split into what is free and what is fixed, and the data to fit it to."""

    fixed: PyTree  # the rest of the cell
    windows: Any  # Windows, or lazy ones, which the loop takes out: then None
    loss: Any  # RolloutLoss, or any callable of the same arguments
    validation: Any  # the same

    def cell(self, free: Free) -> Any:
        """The cell with the free weights in place."""
        return eqx.combine(free.weights, self.fixed)

    def sample(self, free: Free, index: int | Array) -> Window:
        """One training window, with its free initial state where there is one."""
        window = self.windows.take(index)
        if free.initial is None:
            return window
        initial = jax.tree.map(lambda a: a[index], free.initial)
        return eqx.tree_at(
            lambda w: w.initial, window, initial, is_leaf=lambda x: x is None
        )


@dataclass(frozen=True)
class Fitted:
    """A fitted cell and how it came about.

    `history` holds one value an epoch (or an iteration) under each name: `train_loss`,
    and `validation_loss` where there was validation data. `best` is the epoch whose
    weights were kept. `initial_states` are those of multiple shooting, `posterior` is
    what a joint fit knows of states and parameters, `covariance` what `LeastSquares`
    knows of the weights, in the order of `ravel_pytree`, if residuals are independent
    and all alike.
    """

    cell: Any
    history: Mapping[str, Float[np.ndarray, " epoch"]]
    best: int
    initial_states: PyTree[Array] = None
    posterior: Any = None
    weights: PyTree[Array] = None  # of `LeastSquares`: the cell, but for what is fixed
    covariance: Float[np.ndarray, "p p"] | None = None

    def standard_error(self, of: Callable[[Any], Array]) -> Float[np.ndarray, "..."]:
        """Of what `of(cell)` gives, a number or an array, to first order.

        Raises:
            InputError: the fit has no covariance, which `LeastSquares` gives.
        """
        if self.covariance is None:
            raise InputError(
                "standard errors need a covariance, and this fit has none: fit by "
                "LeastSquares(), without a solver of Optimistix"
            )
        flat, back = ravel_pytree(self.weights)
        given = lambda flat: of(eqx.combine(back(flat), self.cell))  # noqa: E731
        slopes = np.asarray(eqx.filter_jit(jax.jacfwd(given))(flat))
        variance = np.einsum("...p,pq,...q->...", slopes, self.covariance, slopes)
        return np.asarray(np.sqrt(variance))


class Diverged(ArithmeticError):
    """The loss stopped being finite; `fitted` holds the best model before that."""

    def __init__(self, message: str, fitted: Fitted):
        super().__init__(message)
        self.fitted = fitted


@dataclass(frozen=True)
class Run:
    """Where a fit leaves its traces: a directory, a progress line, a random key."""

    key: PRNGKeyArray
    directory: Path | None = None
    report: Callable[[Mapping[str, float]], None] | None = None
    watch: Callable[[int, Any], None] | None = None


class AbstractMethod(eqx.Module):
    """A way to fit: gradient descent, or least squares."""

    @abc.abstractmethod
    def solve(self, problem: Problem, free: Free, run: Run) -> Fitted:
        """Bring the loss of `problem` down from `free`."""
