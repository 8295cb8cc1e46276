"""Floor 5: the climatology that anomalies are taken from, at the times asked for."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Int

from tendency.data.axes import decoded, time_axis
from tendency.data.clock import as_dates
from tendency.errors import InputError

_MONTHS = ("month", "months")
_DAYS = ("dayofyear", "day_of_year", "doy")


def cycle_of(
    dataset: xr.Dataset, path: str
) -> tuple[xr.Dataset, str | None, Callable[[Any], Int[np.ndarray, "..."]]]:
    """The climatology, its axis of time, and the index along it of any dates.

    The axis is `month` or `dayofyear`, or holds 12 months or 365 or 366 days of any
    year; without one the climatology is the same at all times. A day 366 that it lacks
    is its last.

    Raises:
        InputError: its axis of time is none of these.
    """
    for dims, unit in ((_MONTHS, month_of), (_DAYS, day_of)):
        found = [str(d) for d in dataset.dims if str(d).lower() in dims]
        if found:
            size = dataset.sizes[found[0]]
            return dataset, found[0], lambda t, u=unit, n=size: np.minimum(u(t), n) - 1
    try:
        name = time_axis(dataset)
    except InputError:
        return dataset, None, lambda t: np.zeros(np.shape(t), int)
    dataset = decoded(dataset, name)
    size = dataset.sizes[name]
    if size == 1:
        return dataset, name, lambda t: np.zeros(np.shape(t), int)
    unit = {12: month_of, 365: day_of, 366: day_of}.get(size)
    if unit is None:
        raise InputError(
            f"the climatology {path} has {size} times, 12 months or 365 or 366 days "
            "were expected, or none: average its years first"
        )
    dataset = dataset.isel({name: np.argsort(unit(as_dates(dataset[name].values)))})
    return dataset, name, lambda t: np.minimum(unit(t), size) - 1


def month_of(dates: Any) -> Int[np.ndarray, "..."]:
    """1 to 12."""
    if dates.dtype.kind == "M":
        return dates.astype("datetime64[M]").astype(int) % 12 + 1
    return np.vectorize(lambda t: t.month, otypes=[int])(dates)


def day_of(dates: Any) -> Int[np.ndarray, "..."]:
    """1 to 366, of the year."""
    if dates.dtype.kind == "M":
        days = dates.astype("datetime64[D]")
        return (days - dates.astype("datetime64[Y]").astype(days.dtype)).astype(int) + 1
    return np.vectorize(lambda t: t.dayofyr, otypes=[int])(dates)
