"""Floor 4: the part of a file that is wanted, by names, CF names and coordinates."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import cf_xarray  # noqa: F401  (registers the accessor `.cf`)
import numpy as np
import xarray as xr

from tendency.data.clock import DATETIME64, as_dates, period, show
from tendency.errors import InputError


def choose(dataset: xr.Dataset, names: Sequence[str], time: str) -> xr.Dataset:
    """The variables of those names or CF standard names, in that order.

    Raises:
        InputError: no such variable, a standard name that several have, a variable
            that does not vary in time or holds no numbers.
    """
    chosen = [_find(dataset, name) for name in names]
    for name in chosen:
        array = dataset[name]
        if time not in array.dims:
            raise InputError(
                f"the variable {name} has the dimensions {tuple(array.dims)} and no "
                f"time axis {time}: leave it out of data.variables, or name its time "
                "axis in data.time"
            )
        if array.dtype.kind not in "fiub":
            raise InputError(
                f"the variable {name} holds {array.dtype} values, numbers were "
                "expected: leave it out of data.variables"
            )
    return dataset[list(dict.fromkeys(chosen))]


def subset(dataset: xr.Dataset, wanted: Mapping[str, Any], time: str) -> xr.Dataset:
    """The part of a dataset within ranges of coordinates, or nearest to a value.

    `{"lat": [30, 45]}` keeps that range, ends included, whichever way the axis runs; a
    range of longitudes may use either convention and cross where the file is cut;
    `{"depth": 5}` takes the nearest level and drops the axis; dates go as text. Where a
    coordinate has two dimensions the rows and columns that the range touches are kept.

    Raises:
        InputError: no such coordinate, nothing within the range.
    """
    for key, value in wanted.items():
        name = _coordinate(dataset, key)
        if name == time:
            dataset = _period_of(dataset, name, value)
            continue
        bounds = value if isinstance(value, list) else [value]
        if not all(isinstance(b, int | float) for b in bounds) or len(bounds) > 2:
            raise InputError(
                f"data.subset.{key} is {value}, a number or a range [from, to] was "
                "expected: change it"
            )
        if len(bounds) == 1:
            dataset = _nearest(dataset, name, float(bounds[0]))
        elif is_longitude(dataset[name]) and dataset[name].ndim == 1:
            dataset = _longitudes(dataset, name, *map(float, bounds))
        else:
            dataset = _range(dataset, name, *sorted(map(float, bounds)))
    return dataset


def closest(name: str, known: Sequence[str]) -> str:
    """The names most like it, for a message."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"choose from {', '.join(known)}" if known else "there is none"


def _find(dataset: xr.Dataset, name: str) -> str:
    if name in dataset.data_vars:
        return name
    arrays = dataset.data_vars.items()
    titled = [str(n) for n, a in arrays if a.attrs.get("standard_name") == name]
    titled = titled or [
        str(n) for n in dataset.data_vars if str(n).lower() == name.lower()
    ]
    if len(titled) == 1:
        return titled[0]
    if titled:
        raise InputError(
            f"{name} is the standard name of {len(titled)} variables "
            f"({', '.join(titled)}), one was expected: give the variable's own name"
        )
    standard = [str(a.attrs.get("standard_name", "")) for _, a in arrays]
    known = [str(n) for n in dataset.data_vars] + [s for s in standard if s]
    raise InputError(
        f"the file has no variable {name}, by name or by standard name: "
        f"{closest(name, known)}"
    )


def _coordinate(dataset: xr.Dataset, key: str) -> str:
    if key in dataset.dims or key in dataset.coords:
        return key
    for table in (dataset.cf.coordinates, dataset.cf.axes, dataset.cf.standard_names):
        found = [n for n in table.get(key, []) if n in dataset.coords]
        if len(found) == 1:
            return str(found[0])
    known = list(dict.fromkeys(map(str, (*dataset.dims, *dataset.coords))))
    raise InputError(
        f"data.subset names {key}, which is not a coordinate of the file: "
        f"{closest(key, known)}"
    )


def _values(dataset: xr.Dataset, name: str) -> np.ndarray:
    """The coordinate, or positions where a dimension has none."""
    if name not in dataset.coords:
        return np.arange(dataset.sizes[name], dtype=float)
    if dataset[name].dtype.kind not in "fiu":
        raise InputError(
            f"data.subset names {name}, which holds {dataset[name].dtype} values, "
            "numbers were expected: leave it out"
        )
    return dataset[name].values.astype(float)


def _range(dataset: xr.Dataset, name: str, low: float, high: float) -> xr.Dataset:
    values = _values(dataset, name)
    # Bounds written with few digits must catch values rounded to float32.
    slack = 1e-6 * max(abs(low), abs(high))
    inside = (values >= low - slack) & (values <= high + slack)
    _check_any(inside, name, f"[{low:g}, {high:g}]", values)
    dims = dataset[name].dims if name in dataset.coords else (name,)
    index = {
        d: np.flatnonzero(inside.any(tuple(j for j in range(len(dims)) if j != i)))
        for i, d in enumerate(dims)
    }
    return dataset.isel(index)


def _longitudes(dataset: xr.Dataset, name: str, west: float, east: float) -> xr.Dataset:
    """Eastward from `west` to `east`, numbered on from `west`."""
    values = _values(dataset, name)
    if west > east and west - east < 180 and (values <= 180).all():
        west, east = east, west  # a range written the other way round
    width = 360.0 if abs(east - west) >= 360 else (east - west) % 360
    offset = (values - west + 1e-4) % 360 - 1e-4
    inside = np.flatnonzero(offset <= width + 1e-4)
    _check_any(inside.size > 0, name, f"[{west:g}, {east:g}]", values)
    turns = np.rint((west + offset - values) / 360)
    if not turns[inside].any():
        return dataset.isel({name: inside})
    moved = values + 360 * turns
    inside = inside[np.argsort(moved[inside], kind="stable")]
    moved = moved[inside].astype(dataset[name].dtype)
    dataset = dataset.isel({name: inside})
    return dataset.assign_coords({name: (name, moved, dataset[name].attrs)})


def _nearest(dataset: xr.Dataset, name: str, value: float) -> xr.Dataset:
    values = _values(dataset, name)
    if values.ndim != 1:
        raise InputError(
            f"data.subset.{name} is {value:g} and {name} has {values.ndim} dimensions: "
            "give a range [from, to]"
        )
    spacing = np.abs(np.diff(values)).max(initial=0)
    distance = np.abs(values - value)
    near = distance.min(initial=np.inf) <= max(spacing, 1e-6 * abs(value))
    _check_any(near, name, f"{value:g}", values)
    return dataset.isel({name: int(distance.argmin())})


def _period_of(dataset: xr.Dataset, name: str, value: Any) -> xr.Dataset:
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(
            f"data.subset.{name} is {value}, a range of two dates was expected: write "
            '["1979", "2010"]'
        )
    times = as_dates(dataset[name].values)
    calendar = DATETIME64 if times.dtype.kind == "M" else times[0].calendar
    first, last = (period(str(v), calendar) for v in value)
    inside = (times >= first[0]) & (times < last[1])
    if not inside.any():
        raise InputError(
            f"data.subset.{name} is {value} and the data run from {show(times[0])} to "
            f"{show(times[-1])}: change the range"
        )
    return dataset.isel({name: np.flatnonzero(inside)})


def is_longitude(array: xr.DataArray) -> bool:
    """By CF's standard name or units, else by its own name."""
    return (
        array.attrs.get("standard_name") == "longitude"
        or str(array.attrs.get("units", "")).startswith(("degrees_e", "degree_e"))
        or str(array.name).lower() in ("lon", "longitude")
    )


def _check_any(inside: Any, name: str, wanted: str, values: np.ndarray) -> None:
    if not np.any(inside):
        raise InputError(
            f"data.subset.{name} is {wanted} and the data run from "
            f"{np.nanmin(values):g} to {np.nanmax(values):g}: change the range"
        )
