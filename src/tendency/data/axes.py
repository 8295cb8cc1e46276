"""Floor 4: which axis of a file is time, and its dates in any encoding and calendar."""

import re
import warnings
from typing import Any

import cf_xarray  # noqa: F401  (registers the accessor `.cf`)
import numpy as np
import xarray as xr

from tendency.data.clock import DATETIME64, Clock, period
from tendency.errors import InputError

NAMES = ("time", "t", "date", "datetime", "timestamp", "valid_time", "times")
_SINCE = re.compile(r"\s*\w+\s+since\s+\S.*", re.IGNORECASE)
_MONTHS_SINCE = re.compile(
    r"\s*(month|year)s?\s+since\s+(\d+-\d+-\d+).*", re.IGNORECASE
)
_ABSOLUTE = re.compile(r"\s*day as %Y%m%d.*", re.IGNORECASE)


def time_axis(dataset: xr.Dataset, asked: str | None = None) -> str:
    """The name of the coordinate that holds the dates.

    By CF (`axis`, `standard_name`), else by its units or type, else by its name.

    Raises:
        InputError: there is none, or more than one.
    """
    if asked is not None:
        if asked in dataset.variables and dataset[asked].ndim == 1:
            return asked
        raise InputError(
            f"data.time is {asked}, a variable along one dimension was expected: "
            f"choose from {', '.join(_lines(dataset)) or 'none'}"
        )
    lines = _lines(dataset)
    by_cf = {
        *dataset.cf.axes.get("T", []),
        *dataset.cf.coordinates.get("time", []),
    }
    choices = (
        [n for n in lines if n in by_cf and _is_dated(dataset[n])],
        [n for n in lines if _is_dated(dataset[n])],
        [n for n in lines if n.lower() in NAMES],
    )
    found = next((c for c in choices if c), [])
    if len(found) > 1:
        axes = [n for n in found if dataset[n].dims == (n,)]
        found = axes or found
    if len(found) > 1:
        found = [n for n in found if n.lower() in NAMES] or found
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"the file has {len(found)} time axes ({', '.join(found)}), one was "
            "expected: name it in data.time"
        )
    raise InputError(
        f"the file has no time axis (its dimensions are {_sizes(dataset)}), a "
        "coordinate with dates was expected: name it in data.time, or give data.start "
        "and data.step"
    )


def decoded(dataset: xr.Dataset, name: str) -> xr.Dataset:
    """The dataset with dates along a dimension of that name.

    Times that are missing (NaN) are left out.

    Raises:
        InputError: the numbers or text cannot be read as dates.
    """
    array = dataset[name]
    (dim,) = array.dims
    values = array.values
    present = ~_is_missing(values)
    if not present.all():
        dataset, values = dataset.isel({dim: present}), values[present]
    dates = _dates(values, array.attrs, name)
    present = ~_is_missing(dates)  # a whole number that stands for missing
    if not present.all():
        dataset, dates = dataset.isel({dim: present}), dates[present]
    attributes = {
        k: v for k, v in array.attrs.items() if k not in ("units", "calendar")
    }
    return _dated(dataset.drop_vars(name), str(dim), name, dates, attributes)


def dated(dataset: xr.Dataset, start: str, step: tuple[float, str]) -> xr.Dataset:
    """A dataset without dates, given its first date and its step.

    Raises:
        InputError: it is not clear which dimension is time.
    """
    dims = [str(d) for d in dataset.sizes]
    named = [d for d in dims if d.lower() in (*NAMES, "row")]
    first = {str(v.dims[0]) for v in dataset.data_vars.values() if v.dims}
    found = named or (dims if len(dims) == 1 else sorted(first))
    if len(found) != 1:
        raise InputError(
            f"the file has no time axis and several dimensions ({_sizes(dataset)}), "
            "one named time was expected: rename it in the file"
        )
    clock = Clock(*step, reference=str(period(start)[0]))
    dates = clock.date(step[0] * np.arange(dataset.sizes[found[0]]))
    dataset = dataset.drop_vars(found[0], errors="ignore")
    return _dated(dataset, found[0], "time", dates, {})


def _dated(
    dataset: xr.Dataset, dim: str, name: str, dates: np.ndarray, attributes: Any
) -> xr.Dataset:
    if dim != name:
        dataset = dataset.drop_vars(dim, errors="ignore").rename({dim: name})
    return dataset.assign_coords({name: (name, dates, attributes)})


def _lines(dataset: xr.Dataset) -> list[str]:
    """The variables along one dimension, but for bounds."""
    bounds = {str(v.attrs.get("bounds")) for v in dataset.variables.values()}
    return [
        str(n) for n, v in dataset.variables.items() if v.ndim == 1 and n not in bounds
    ]


def _is_dated(array: xr.DataArray) -> bool:
    units = str(array.attrs.get("units", ""))
    if array.dtype.kind == "M" or _SINCE.fullmatch(units) or _ABSOLUTE.fullmatch(units):
        return True
    if array.dtype.kind in "SUO" and array.size:
        first = array.values.flat[0]
        if hasattr(first, "calendar"):
            return True
        return str(array.name).lower() in NAMES
    return False


def _is_missing(values: np.ndarray) -> np.ndarray:
    kind = values.dtype.kind
    if kind == "M":
        return np.isnat(values)
    return ~np.isfinite(values) if kind == "f" else np.zeros(values.shape, bool)


def _dates(values: np.ndarray, attributes: dict[str, Any], name: str) -> np.ndarray:
    kind = values.dtype.kind
    if kind == "M" or (kind == "O" and values.size and hasattr(values[0], "calendar")):
        return values
    units = str(attributes.get("units", ""))
    calendar = str(attributes.get("calendar", "standard"))
    try:
        if kind in "SUO":
            text = [_text(v) for v in values]
            return np.array([period(t)[0] for t in text], "datetime64[us]")
        if _ABSOLUTE.fullmatch(units):
            whole = np.floor(values).astype(np.int64)
            days = np.array(
                [f"{w // 10000:04d}-{w // 100 % 100:02d}-{w % 100:02d}" for w in whole],
                "datetime64[us]",
            )
            fraction = np.rint((values - whole) * 86400e6).astype("timedelta64[us]")
            return days + fraction
        counted = _MONTHS_SINCE.fullmatch(units)
        if counted:
            # IRI's calendar `360` numbers months, with 0.5 for the middle of one.
            calendar = calendar if calendar in ("noleap", "360_day") else DATETIME64
            clock = Clock(1.0, counted[1].lower(), counted[2], calendar)
            return clock.date(np.floor(values))
        if not _SINCE.fullmatch(units):
            raise ValueError("they have no units")
        variable = xr.Variable(name, values, {"units": units, "calendar": calendar})
        with warnings.catch_warnings():  # before 1582 it tells that it takes cftime
            warnings.simplefilter("ignore", xr.SerializationWarning)
            dates = xr.decode_cf(xr.Dataset(coords={name: variable}))[name].values
        if dates.dtype.kind not in "MO":
            raise ValueError("they did not decode")
        return _whole(dates) if values.dtype.kind == "f" else dates
    except (ValueError, OverflowError, TypeError) as error:
        shown = ", ".join(str(v) for v in values[:2])
        raise InputError(
            f"the times of {name} ({shown}, ...) with units {units!r} and calendar "
            f"{calendar!r} could not be read as dates ({_short(error)}), units like "
            "'days since 1950-01-01' were expected: mend them in the file, or give "
            "data.start and data.step"
        ) from error


def _whole(dates: np.ndarray) -> np.ndarray:
    """Dates to the second, where they were floats that miss it by their rounding."""
    if dates.dtype.kind != "M":
        return dates
    micro = dates.astype("datetime64[us]").astype(np.int64)
    seconds = (micro + 500_000) // 1_000_000
    small = np.abs(micro - seconds * 1_000_000).max(initial=0) < 1000
    return (seconds * 1_000_000).astype("datetime64[us]") if small else dates


def _text(value: Any) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return text.strip().replace("_", "T").split(".")[0]


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return re.split(r"\. |: ", text)[0][:100]


def _sizes(dataset: xr.Dataset) -> str:
    return ", ".join(f"{d}: {n}" for d, n in dataset.sizes.items())
