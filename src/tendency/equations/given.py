"""Floor 5: fields and series from files, checked against the grid and the run."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float

from tendency.equations.expressions import Numbers, finite
from tendency.equations.settings import Given
from tendency.errors import InputError, nearest

Positions = Mapping[str, Float[np.ndarray, " points"]]
_TIMES = ("time", "t")
FACES = "_faces"  # after the name of a coordinate: that of a staggered field


def field_from_file(
    given: Given,
    positions: Positions,
    where: str,
    sea: Bool[np.ndarray, "..."] | None = None,
) -> Numbers:
    """A field on these positions, axes in their order; of several times the last.

    Where there is no sea, values may be missing, and are 0.

    Raises:
        InputError: no such file or variable, other axes, sizes or positions, or values
            that are missing.
    """
    return finite(_last(given, positions, where), where, sea)


def water_from_file(
    given: Given, positions: Positions, where: str
) -> Bool[np.ndarray, "..."]:
    """Where the values are above 0; where they are missing there is land.

    Raises:
        InputError: as for a field.
    """
    return _last(given, positions, where) > 0


def _last(given: Given, positions: Positions, where: str) -> Numbers:
    found = _variable(given, [*positions], where)
    for time in _TIMES:
        if time in found.dims and time not in positions:
            found = found.isel({time: -1})
    return _arranged(found, positions, where)


def series_from_file(
    given: Given,
    times: Float[np.ndarray, " time"],
    positions: Positions,
    where: str,
) -> Numbers:
    """A function of time, interpolated linearly to `times`.

    Raises:
        InputError: as for a field; no axis of time, or one that does not rise or does
            not cover the run.
    """
    found = _variable(given, [_time_of(given), *positions], where)
    axis = next((d for d in _TIMES if d in found.dims), None)
    if axis is None or axis not in found.coords:
        raise InputError(
            f"{where}: {given.variable} of {given.file} has the axes "
            f"{', '.join(map(str, found.dims)) or 'none'}, a time axis with its values "
            "was expected: name it time"
        )
    there = np.asarray(found[axis].values, float)
    if len(there) < 2 or not (np.diff(there) > 0).all():
        raise InputError(
            f"{where}: the times of {given.file} do not rise from one to the next, or "
            "are fewer than 2: sort them"
        )
    slack = 1e-9 * (abs(times[0]) + abs(times[-1]))
    if there[0] > times[0] + slack or there[-1] < times[-1] - slack:
        raise InputError(
            f"{where}: {given.file} goes from t = {there[0]:g} to {there[-1]:g}, and "
            f"the run from {times[0]:g} to {times[-1]:g}: shorten it, or give more"
        )
    rows = {axis: there, **positions}
    values = finite(_arranged(found, rows, where), where)
    right = np.clip(np.searchsorted(there, times), 1, len(there) - 1)
    share = (times - there[right - 1]) / (there[right] - there[right - 1])
    share = np.clip(share, 0, 1).reshape(-1, *(1,) * (values.ndim - 1))
    return (1 - share) * values[right - 1] + share * values[right]


def record_from_file(
    given: Given, positions: Positions, where: str
) -> tuple[Float[np.ndarray, " time"], Numbers]:
    """The times of a file and a field at them; NaN is missing.

    Raises:
        InputError: as for a field; no axis of time, or one of fewer than 2 times.
    """
    found = _variable(given, [_TIMES[0], *positions], where)
    axis = next((d for d in _TIMES if d in found.dims), None)
    if axis is None or axis not in found.coords or found.sizes[axis] < 2:
        raise InputError(
            f"{where}: {given.variable} of {given.file} has the axes "
            f"{', '.join(map(str, found.dims)) or 'none'}, a time axis with at least 2 "
            "values was expected: name it time"
        )
    times = np.asarray(found[axis].values, float)
    values = np.array(_arranged(found, {axis: times, **positions}, where))
    return times, np.where(np.isfinite(values), values, np.nan)


def _time_of(given: Given) -> str:
    if not str(given.file).endswith(".csv"):
        return _TIMES[0]
    try:
        columns = pd.read_csv(str(given.file), nrows=0).columns
    except (OSError, ValueError):
        return _TIMES[0]  # told by who reads it
    return next((t for t in _TIMES if t in columns), _TIMES[0])


def _variable(given: Given, axes: list[str], where: str) -> xr.DataArray:
    path = str(given.file)
    if "://" not in path and not Path(path).exists():
        raise InputError(
            f"{where}: the file {path} is not there: correct its path, which starts "
            "from the folder of the TOML"
        )
    is_table = path.endswith(".csv")
    try:
        if is_table:
            table = pd.read_csv(path)
            names = [c for c in map(str, table.columns) if c not in axes]
        else:
            engine = "zarr" if Path(path).is_dir() else None
            with xr.open_dataset(path, engine=engine, decode_times=False) as opened:
                dataset = opened.load()
            names = [str(n) for n in dataset.data_vars]
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{where}: {path} could not be read ({reason}): give NetCDF, Zarr or CSV"
        ) from None
    name = given.variable or (names[0] if len(names) == 1 else None)
    if name is None:
        raise InputError(
            f"{where}: {path} holds {', '.join(names) or 'nothing'}: name one by "
            "variable"
        )
    if name not in names:
        raise InputError(f"{where}: {path} holds no {name}: {nearest(name, names)}")
    if not is_table:
        return dataset[name]
    missing = [a for a in axes if a not in table.columns]
    if missing:
        raise InputError(
            f"{where}: {path} has no column {', '.join(missing)}: give one "
            "for each axis"
        )
    try:
        return table.set_index(axes)[name].sort_index().to_xarray()
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{where}: {path} makes no grid ({reason})") from None


def _arranged(found: xr.DataArray, positions: Positions, where: str) -> Numbers:
    """With the axes in the order of the positions, which must be the same."""
    faces = {d: str(d).removesuffix(FACES) for d in found.dims}
    found = found.rename({d: n for d, n in faces.items() if n != d})
    single = [d for d in found.dims if d not in positions and found.sizes[d] == 1]
    found = found.squeeze(single, drop=True)
    if {*found.dims} != {*positions}:
        raise InputError(
            f"{where} has the axes {', '.join(map(str, found.dims)) or 'none'} in its "
            f"file, {', '.join(positions) or 'none'} were expected"
        )
    found = found.transpose(*positions)
    for axis, expected in positions.items():
        if found.sizes[axis] != len(expected):
            raise InputError(
                f"{where} has {found.sizes[axis]} points along {axis} in its file, "
                f"{len(expected)} were expected"
            )
        if axis not in found.coords:
            continue
        there = np.asarray(found[axis].values, float)
        if there[0] > there[-1] and expected[0] < expected[-1]:
            found, there = found.isel({axis: slice(None, None, -1)}), there[::-1]
        far = np.abs(there - expected).max()
        step = np.abs(np.diff(expected)).min() if len(expected) > 1 else 1.0
        if not far <= 1e-3 * step:
            raise InputError(
                f"{where} stands at other {axis} in its file, {there[0]:g} to "
                f"{there[-1]:g}, than the grid's {expected[0]:g} to {expected[-1]:g}: "
                "interpolate it first"
            )
    try:
        return np.asarray(found.values, float)
    except (TypeError, ValueError):
        raise InputError(f"{where} holds no numbers in its file") from None
