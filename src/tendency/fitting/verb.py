"""The verb `fit`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, trainable
from tendency.errors import InputError
from tendency.fitting.loss import RolloutLoss
from tendency.fitting.problem import AbstractMethod, Fitted, Free, Problem, Run
from tendency.windows import Windows


def fit(
    cell: AbstractCell,
    windows: Windows,
    method: AbstractMethod,
    *,
    key: PRNGKeyArray,
    loss: Callable = RolloutLoss(),  # noqa: B008
    where: Callable[[Any], Any] | None = None,
    validation: Windows | None = None,
    free_initial_states: bool | PyTree = False,
    directory: str | Path | None = None,
    report: Callable[[Mapping[str, float]], None] | None = None,
) -> Fitted:
    """Fit `cell` to `windows` by `method`, `Descent` or `LeastSquares`.

    Arguments:
        loss: a `RolloutLoss`, or for `Descent` any `loss(cell, window, *, key)`.
        where: `where(cell)` picks the leaves to fit, as for `equinox.tree_at`; by
            default all inexact arrays outside `Constant`s.
        validation: windows that choose the best epoch and stop the fit early.
        free_initial_states: fit an initial state for each window together with the
            weights (multiple shooting), which is what noisy states need: a roll-out
            from a noisy state is wrong before its first step. `True` starts from the
            observed states; an array (window, *state) starts from those.
        directory: where `Descent` writes `checkpoint.safetensors` and `log.jsonl`; a
            fit that finds its own checkpoint there goes on from it, bit for bit.
        report: called with the latest figures, for a progress display.

    Raises:
        InputError: the windows do not fit the cell or the loss, nothing is to be
            fitted, or the directory holds the checkpoint of another fit.
        Diverged: the loss stopped being finite; the best model is in the exception.
    """
    for name, data in (("training", windows), ("validation", validation)):
        if data is not None and isinstance(loss, RolloutLoss):
            loss.check(cell, data.length, name)
    spec = trainable(cell)
    if where is not None:
        nothing = jax.tree.map(lambda _: False, cell)
        chosen = eqx.tree_at(where, nothing, replace_fn=lambda _: True)
        spec = chosen
    weights, fixed = eqx.partition(cell, spec)
    if not jax.tree.leaves(weights):
        raise InputError(
            f"{type(cell).__name__} has nothing to fit: it holds no trainable array"
            + ("" if where is None else " where `where` points")
        )
    weights = jax.tree.map(jnp.array, weights)  # a copy: its buffers will be donated
    initial = None
    if free_initial_states is True:
        first = windows.starts + cell.spin_up_steps
        initial = jax.tree.map(lambda a: a[first], windows.states)
    elif free_initial_states is not False:
        initial = jax.tree.map(jnp.array, free_initial_states)
        sizes = {a.shape[0] for a in jax.tree.leaves(initial)}
        if sizes != {len(windows)}:
            raise InputError(
                f"free_initial_states holds {sorted(sizes)} states and there are "
                f"{len(windows)} windows, one a window was expected"
            )
    problem = Problem(fixed, windows, loss, validation)
    folder = None if directory is None else Path(directory)
    return method.solve(problem, Free(weights, initial), Run(key, folder, report))
