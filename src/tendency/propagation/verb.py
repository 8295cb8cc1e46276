"""The verb `propagate`."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell
from tendency.errors import InputError
from tendency.grid import Grid
from tendency.propagation.method import AbstractPropagation, Setting
from tendency.propagation.propagated import Propagated, PropagationFailed


def propagate(
    cell: AbstractCell,
    prior: Any,
    steps: int,
    method: AbstractPropagation,
    *,
    every: int = 1,
    forcing: PyTree[Array] = None,
    grid: Grid | None = None,
    key: PRNGKeyArray | None = None,
) -> Propagated:
    """Mean and variance of the state while the model goes on, in one compiled scan.

    Arguments:
        prior: a `Gaussian`, or an ensemble (a carry with members first), or what the
            method says.
        steps: how many; `every` so many the moments are kept, which must divide it.
        method: `Members()`, `TangentLinear()`, `Parametric()`.
        forcing: as for `forecast`, the same for all.
        grid: of fields, whose leaves end in its axes: the lengths of the correlation
            along them are told.
        key: of what the method draws, members and the noise of a stochastic cell.

    Raises:
        InputError: numbers of steps or a prior that do not fit.
        PropagationFailed: a variance is negative or not finite; the exception names
            where and when, and holds what was there before.
    """
    if steps < 1 or every < 1 or steps % every:
        raise InputError(
            f"{steps} steps were asked for, of which every {every} shall be kept: give "
            "a positive multiple"
        )
    if grid is not None and any(axis.stretch is not None for axis in grid.axes):
        raise InputError(
            "lengths of a correlation were asked for on a stretched grid, an even one "
            "was expected: leave the grid out, and lengths with it"
        )
    setting = Setting(forcing, key, steps, every, grid)
    start = method.begin(cell, prior, setting)
    found = _compiled(cell, method, start, setting)
    kept = np.arange(0, steps + 1, every)
    propagated = Propagated(kept, kept * float(cell.dt), **found)
    if not any(isinstance(x, Tracer) for x in jax.tree.leaves(found)):
        _examine(propagated, method.finite)
    return propagated


@eqx.filter_jit
def _compiled(cell, method, start, setting):
    return method.run(cell, start, setting)


def _examine(propagated: Propagated, names: tuple[str, ...]) -> None:
    """Say what is no number, or no variance, first.

    Raises:
        PropagationFailed: there is something.
    """
    worst: list[tuple[int, str]] = []
    for name in names:
        leaves = jax.tree_util.tree_leaves_with_path(getattr(propagated, name))
        for path, leaf in leaves:
            values = np.asarray(leaf)
            bad = ~np.isfinite(values) | ((values < 0) & (name == "variance"))
            if not bad.any():
                continue
            first = tuple(int(i) for i in np.argwhere(bad)[0])
            when, where = first[0], first[1:]
            if name == "length":
                where = where[1:]  # without the axis that it is along
            of = jax.tree_util.keystr(path).strip("[]'\".") or "the state"
            what = _WHAT.get(name, f"the {name} of {of} is {values[first]:.3g}")
            place = f" at the point {where}" if where else ""
            worst.append((when, what.format(of=of) + place))
    if not worst:
        return
    when, said = min(worst, key=lambda one: one[0])
    raise PropagationFailed(
        f"{said} at step {propagated.steps[when]}: try a shorter step, a closure that "
        "keeps its equations stable, or members; what was there before is in the "
        "exception",
        _until(propagated, when),
    )


_WHAT = {"length": "the aspect of {of} is not positive (it has no length)"}


def _until(propagated: Propagated, time: int) -> Propagated:
    def cut(x):
        return x[:time]

    return Propagated(
        propagated.steps[:time],
        propagated.times[:time],
        jax.tree.map(cut, propagated.mean),
        jax.tree.map(cut, propagated.variance),
        jax.tree.map(cut, propagated.length),
        None if propagated.covariance is None else propagated.covariance[:time],
        propagated.members,
    )
