"""Floor 5: observations at points of their own, from a table with one in a row."""

from collections.abc import Callable

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from tendency.data.layout import Layout
from tendency.data.variables import Variable
from tendency.errors import InputError
from tendency.jobs.assimilation.observed import Seen


def at_points(
    dataset: xr.Dataset,
    time: str,
    layout: Layout,
    steps: Int[np.ndarray, " row"],
    positions: list[str],
    observed: list[str],
    say: Callable[[str], None],
) -> Seen:
    """Rows of (time, position, values), each interpolated between the model's points.

    Linear along each axis; where some of the corners are no points of the model (land)
    the others stand for them, and a row without any is left out.

    Raises:
        InputError: no such columns, variables without such axes, a row outside.
    """
    for name in positions:
        if name not in dataset or dataset[name].dims != (time,):
            raise InputError(
                f"observations.positions names {name}, a column of the table was "
                f"expected: choose from {', '.join(map(str, dataset.variables))}"
            )
    order = np.argsort(steps, kind="stable")
    where = np.stack([dataset[n].values.astype(float) for n in positions], 1)[order]
    columns, lost = [], 0
    for number, variable in enumerate(layout.variables):
        if variable.name not in observed:
            continue
        points, weights = _corners(layout, variable, where, positions)
        values = dataset[variable.name].values.astype(float)[order]
        nowhere = weights.sum(1) == 0
        lost += int((nowhere & np.isfinite(values)).sum())
        values = np.where(nowhere, np.nan, values)
        columns.append((np.full(len(values), number), values, points, weights))
    if lost:
        say(f"{lost} observations lie where the model has no point, and are left out")
    rows = steps[order]
    which, values, points, weights = (
        np.concatenate(parts) for parts in zip(*columns, strict=True)
    )
    rows = np.tile(rows, len(columns))
    times = np.unique(rows)
    slot = np.zeros(len(rows), int)
    row = np.searchsorted(times, rows)
    for i in range(len(times)):
        here = np.flatnonzero(row == i)
        slot[here] = np.arange(len(here))
    shape = (len(times), int(slot.max()) + 1)

    def padded(flat: np.ndarray, filler: float) -> np.ndarray:
        full = np.full((*shape, *flat.shape[1:]), filler, flat.dtype)
        full[row, slot] = flat
        return full

    return Seen(
        times,
        padded(values, np.nan),
        padded(which, 0),
        None,
        padded(points, 0),
        padded(weights, 0.0),
    )


def packed(seen: Seen) -> tuple[Seen, Int[np.ndarray, "time packed"] | None]:
    """The values of each time side by side, where most of its columns are empty.

    And which column each is of, -1 where a shorter time is filled up; `None` where
    nothing was changed. What solves for all columns at once is then much quicker.
    """
    there = np.isfinite(seen.values)
    most = int(there.sum(1).max())
    if seen.index is None or 2 * most > there.shape[1]:
        return seen, None
    order = np.argsort(~there, axis=1, kind="stable")[:, :most]
    kept = np.take_along_axis(there, order, 1)
    columns = np.where(kept, order, -1)
    return (
        Seen(
            seen.steps,
            np.take_along_axis(seen.values, order, 1),
            np.take_along_axis(seen.variable, order, 1),
            None,
            np.where(kept, seen.index[order], 0)[..., None],
            kept[..., None].astype(float),
        ),
        columns,
    )


def _corners(
    layout: Layout,
    variable: Variable,
    where: Float[np.ndarray, "row axis"],
    positions: list[str],
) -> tuple[Int[np.ndarray, "row corner"], Float[np.ndarray, "row corner"]]:
    """Components around each row, and their weights, which sum to one or are zero."""
    space = [d for d in variable.dims if d != layout.time]
    if sorted(space) != sorted(positions):
        raise InputError(
            f"observations.positions is {positions} and {variable.name} lies along "
            f"{space}: name these, in the table as in the model"
        )
    components = np.full(variable.valid.size, -1)
    part = layout.parts[variable.name]
    components[variable.valid.reshape(-1)] = np.arange(part.start, part.stop)
    components = components.reshape(variable.valid.shape)
    lower, share = [], []
    for name in space:
        held = next(c.values for c in layout.coordinates if c.name == name)
        axis, at = np.asarray(held, float), where[:, positions.index(name)]
        sign = 1.0 if axis[-1] > axis[0] else -1.0
        outside = ~((at >= axis.min()) & (at <= axis.max()))
        if outside.any():
            i = int(np.argmax(outside))
            raise InputError(
                f"an observation lies at {name} {at[i]:g} and the model reaches from "
                f"{axis.min():g} to {axis.max():g} ({int(outside.sum())} such rows): "
                "leave out what lies outside"
            )
        below = np.searchsorted(sign * axis, sign * at, side="right") - 1
        below = np.clip(below, 0, len(axis) - 2)
        lower.append(below)
        share.append((at - axis[below]) / (axis[below + 1] - axis[below]))
    points, weights = [], []
    for corner in np.ndindex(*(2,) * len(space)):
        index = tuple(low + c for low, c in zip(lower, corner, strict=True))
        weight = np.prod(
            [s if c else 1 - s for s, c in zip(share, corner, strict=True)], 0
        )
        found = components[index]
        points.append(np.maximum(found, 0))
        weights.append(np.where(found >= 0, weight, 0.0))
    total = np.stack(weights, 1)
    whole = total.sum(1, keepdims=True)
    total = np.where(whole > 1e-9, total / np.maximum(whole, 1e-9), 0.0)
    return np.stack(points, 1), total
