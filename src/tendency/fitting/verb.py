"""The verb `fit`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray, PyTree

from tendency.buckets import Buckets
from tendency.cell import trainable
from tendency.errors import InputError
from tendency.fitting.descent import Descent
from tendency.fitting.joint import JointFit
from tendency.fitting.loss import AbstractRolloutLoss, RolloutLoss
from tendency.fitting.problem import AbstractMethod, Fitted, Free, Problem, Run
from tendency.lazy_windows import LazyWindows
from tendency.observing import Observations
from tendency.windows import Windows


def fit(
    cell: Any,
    data: Windows | Buckets | LazyWindows | Observations | Sequence[Observations],
    method: AbstractMethod | JointFit,
    *,
    key: PRNGKeyArray,
    loss: Callable = RolloutLoss(),  # noqa: B008
    where: Callable[[Any], Any] | None = None,
    validation: Windows | Buckets | LazyWindows | None = None,
    free_initial_states: bool | PyTree = False,
    first_guess: PyTree = None,
    forcing: PyTree = None,
    directory: str | Path | None = None,
    report: Callable[[Mapping[str, float]], None] | None = None,
    watch: Callable[[int, Any], None] | None = None,
) -> Fitted:
    """Fit `cell` to windows of states by `Descent` or `LeastSquares`.

    Or to observations, noisy, partial and irregular as they may be, by `JointFit`, one
    series or a sequence of them.

    Arguments:
        cell: a cell, or whatever else the loss can judge, as `AutoEncoding` does an
            auto-encoder.
        data: `Windows`, for `Descent` also `LazyWindows`, and `Buckets` of samples of
            several lengths, or for `JointFit` `Observations`, whose steps are the
            cell's.
        loss: a `RolloutLoss`, or for `Descent` any `loss(cell, window, *, key)`.
        where: `where(cell)` picks the leaves to fit, as for `equinox.tree_at`; by
            default all inexact arrays outside `Constant`s.
        validation: windows that choose the best epoch and stop the fit early.
        free_initial_states: fit an initial state for each window together with the
            weights (multiple shooting), which is what noisy states need: a roll-out
            from a noisy state is wrong before its first step. `True` starts from the
            observed states; an array (window, *state) starts from those.
        first_guess: of the states, for `JointFit`: time first, from the first
            observation to the last (a list for a sequence of series); by default the
            observations, smoothed, where they see the whole state.
        forcing: for `JointFit`: of each step from step 0 to the last observation, or at
            the ends of these steps (a list for a sequence of series).
        directory: where `Descent` writes `checkpoint.safetensors` and `log.jsonl`; a
            fit that finds its own checkpoint there goes on from it, bit for bit.
        report: called with the latest figures, for a progress display.
        watch: called by `Descent` with an epoch that has ended and the cell as it would
            be returned there, which is valid during the call; epochs that take a
            fraction of a second are not all told.

    Raises:
        InputError: the windows do not fit the cell or the loss, nothing is to be
            fitted, or the directory holds the checkpoint of another fit.
        Diverged: the loss stopped being finite; the best model is in the exception.
    """
    _check(data, method, first_guess, forcing)
    if watch is not None and not isinstance(method, Descent):
        raise InputError(
            f"{type(method).__name__} has no epochs to watch: leave out watch, or fit "
            "by Descent"
        )
    for name, windows in (("training", data), ("validation", validation)):
        if isinstance(windows, _WINDOWS) and isinstance(loss, AbstractRolloutLoss):
            loss.check(cell, windows.length, name)
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
    folder = None if directory is None else Path(directory)
    run = Run(key, folder, report, watch)
    if isinstance(method, JointFit):
        assert not isinstance(data, _WINDOWS)
        return method.solve(fixed, weights, data, first_guess, forcing, run)
    assert isinstance(data, _WINDOWS)
    initial = None
    given = (data, validation)
    if any(isinstance(windows, LazyWindows | Buckets) for windows in given):
        _check_descent(method, given, free_initial_states)
    elif free_initial_states is True:
        assert isinstance(data, Windows)
        first = data.starts + cell.spin_up_steps
        initial = jax.tree.map(lambda a: a[first], data.states)
    elif free_initial_states is not False:
        initial = jax.tree.map(jnp.array, free_initial_states)
        sizes = {a.shape[0] for a in jax.tree.leaves(initial)}
        if sizes != {len(data)}:
            raise InputError(
                f"free_initial_states holds {sorted(sizes)} states and there are "
                f"{len(data)} windows, one a window was expected"
            )
    problem = Problem(fixed, data, loss, validation)
    return method.solve(problem, Free(weights, initial), run)


_WINDOWS = (Windows, Buckets, LazyWindows)


def _check_descent(method: Any, given: Any, free_initial_states: Any) -> None:
    """Whether windows that are read, or in buckets, are used where they can be."""
    lazy = any(isinstance(windows, LazyWindows) for windows in given)
    name = "LazyWindows" if lazy else "Buckets"
    if not isinstance(method, Descent):
        raise InputError(
            f"{type(method).__name__} needs all windows at once and was given "
            f"{name}: give Windows, or fit by Descent"
        )
    if free_initial_states is not False:
        raise InputError(
            "free_initial_states holds a state for each window and the windows are "
            f"{'lazy' if lazy else 'in buckets'}: give Windows, or leave the initial "
            "states as they are observed"
        )


def _check(data: Any, method: Any, first_guess: Any, forcing: Any) -> None:
    windows = isinstance(data, _WINDOWS)
    if windows == isinstance(method, JointFit):
        needed, given = (
            ("Observations", "Windows") if windows else ("Windows", "others")
        )
        raise InputError(
            f"{type(method).__name__} fits to {needed} and was given {given}: give "
            f"{needed}, or "
            + ("choose LeastSquares or Descent" if windows else "choose JointFit")
        )
    if windows and (first_guess is not None or forcing is not None):
        raise InputError(
            "first_guess and forcing belong to a joint fit: give the windows their "
            "forcing, and free_initial_states for multiple shooting"
        )
