"""Floor 4: the files of one record, joined along time on the grid of the first.

What is only written otherwise is brought together: files out of order, an axis that
runs the other way, longitudes of 0 to 360 beside those of -180 to 180, units that
convert. What differs is refused, and the file named in which it does.
"""

import itertools
from collections.abc import Mapping

import numpy as np
import xarray as xr

from tendency.data.axes import decoded, time_axis
from tendency.data.clock import as_dates, show
from tendency.data.select import is_longitude
from tendency.data.units import linear
from tendency.data.variables import order_of
from tendency.errors import InputError


def joined(files: Mapping[str, xr.Dataset], pattern: str) -> xr.Dataset:
    """One Dataset, its numbers still on disk.

    Arguments:
        files: by path, their times as they are written.
        pattern: that found them, to name it.

    Raises:
        InputError: axes of time, calendars, variables, grids or units differ, or two
            files hold the same times.
    """
    names = {time_axis(part) for part in files.values()}
    if len(names) > 1:
        raise InputError(
            f"the files of {pattern} have different time axes ({', '.join(names)}), "
            "one was expected: narrow the pattern"
        )
    (time,) = names
    parts = {path: decoded(part, time) for path, part in files.items()}
    calendars = {str(part[time].dt.calendar) for part in parts.values()}
    if len(calendars) > 1:
        raise InputError(
            f"the files of {pattern} mix the calendars {', '.join(sorted(calendars))}, "
            "one was expected: convert them to one calendar"
        )
    dates = {path: as_dates(part[time].values) for path, part in parts.items()}
    held = [path for path in parts if dates[path].size] or list(parts)[:1]
    if len(held) > 1:
        held.sort(key=lambda path: dates[path].min())
    first, *others = held
    fixed = [n for n, a in parts[first].data_vars.items() if time not in a.dims]
    model = parts[first].drop_vars(fixed)
    alike = [_like(parts[path], model, time, (path, first)) for path in others]
    for before, after in itertools.pairwise(held):
        end, begin = dates[before].max(), dates[after].min()
        if begin <= end:
            raise InputError(
                f"{before} runs to {show(end)} and {after} from {show(begin)} on, and "
                "files that follow each other were expected: narrow the pattern, or "
                "cut one of them"
            )
    whole = xr.concat(
        [model, *alike],
        time,
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )
    return whole.assign({name: parts[first][name] for name in fixed})


def _like(
    part: xr.Dataset, model: xr.Dataset, time: str, names: tuple[str, str]
) -> xr.Dataset:
    """A file on the grid and in the units of another.

    Arguments:
        names: of both.

    Raises:
        InputError: what cannot be brought together.
    """
    for name in model.data_vars:
        if name not in part:
            there = ", ".join(map(str, part.data_vars)) or "none"
            raise InputError(
                f"{names[0]} has no variable {name}, as {names[1]} has (it has "
                f"{there}), and the same were expected in all files: narrow the pattern"
            )
        ours, theirs = part[name].dims, model[name].dims
        if set(ours) != set(theirs):
            raise InputError(
                f"{name} has the dimensions {', '.join(map(str, ours))} in {names[0]} "
                f"and {', '.join(map(str, theirs))} in {names[1]}, the same were "
                "expected: rename them, or narrow the pattern"
            )
    part = part[list(model.data_vars)]
    for dim in part.dims:
        if dim != time:
            part = _on_axis(part, model, str(dim), names)
    for name in part.data_vars:
        part = _in_units(part, model, str(name), names)
    return part


def _on_axis(
    part: xr.Dataset, model: xr.Dataset, dim: str, names: tuple[str, str]
) -> xr.Dataset:
    """A file whose points along a dimension are those of another, in their order."""
    if dim not in model.coords or dim not in part.coords:
        if part.sizes[dim] != model.sizes[dim]:
            raise _differ(
                names, dim, *(f"{d.sizes[dim]} points" for d in (part, model))
            )
        return part
    ours, theirs = part[dim].values, model[dim].values
    circle = is_longitude(model[dim])
    order = (_around if circle else order_of)(ours, theirs)
    if order is None:
        raise _differ(names, dim, _run(ours), _run(theirs))
    if (order != np.arange(order.size)).any():
        part = part.isel({dim: order})
    return part.assign_coords({dim: model[dim]})


def _around(found: np.ndarray, wanted: np.ndarray) -> np.ndarray | None:
    """As `order_of`, of longitudes, which are the same a turn further."""
    if found.shape != wanted.shape:
        return None
    gap = (found[None].astype(float) - wanted[:, None] + 180) % 360 - 180
    order = np.abs(gap).argmin(1)
    near = np.abs(gap).min(1, initial=np.inf).max(initial=0) < 1e-3
    return order if near and np.unique(order).size == order.size else None


def _in_units(
    part: xr.Dataset, model: xr.Dataset, name: str, names: tuple[str, str]
) -> xr.Dataset:
    ours, theirs = (str(d[name].attrs.get("units", "")) for d in (part, model))
    if ours == theirs:
        return part
    found = linear(ours, theirs, name) if ours and theirs else None
    if found is None:
        raise InputError(
            f"{name} is in {ours!r} in {names[0]} and in {theirs!r} in {names[1]}, "
            "units that do not convert: give the same in all files"
        )
    return part.assign({name: part[name] * found[0] + found[1]})


def _differ(names: tuple[str, str], dim: str, ours: str, theirs: str) -> InputError:
    return InputError(
        f"the grids differ along {dim}: {ours} in {names[0]}, {theirs} in "
        f"{names[1]}, and one grid was expected in all files: interpolate them to one, "
        "or narrow the pattern"
    )


def _run(values: np.ndarray) -> str:
    text = f"{values.size} points"
    if values.size and values.dtype.kind in "fiu":
        text += f" from {values[0]:g} to {values[-1]:g}"
    return text
