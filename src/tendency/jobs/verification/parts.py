"""Floor 5: forecasts and the truth, a few starts at a time in memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Int

from tendency.data.files import load
from tendency.data.fills import fill_in
from tendency.errors import InputError
from tendency.jobs.verification.opened import Forecasts, Truth
from tendency.scores.comparing import LEAD, MEMBER, START


@dataclass(frozen=True, eq=False)
class Pairing:
    """What is to be compared, on one grid and in one unit, still on disk."""

    told: Forecasts
    names: dict[str, str]  # of the variables: the forecast's, the truth's
    seen: xr.Dataset  # the truth under the forecast's names, on its grid
    truth: Truth
    index: Int[np.ndarray, "start lead"]  # of the valid time in the truth, -1: none
    scale: dict[str, tuple[float, float]]  # to the units of the truth
    missing_value: float | None = None
    climatology: xr.Dataset | None = None
    cycle: tuple[str | None, Callable[[Any], Int[np.ndarray, "..."]]] | None = None
    counts: dict[str, list[int]] = field(default_factory=dict)


def parts_of(
    pairing: Pairing, dates: Any, step: int
) -> Iterator[tuple[xr.Dataset, xr.Dataset, xr.Dataset | None]]:
    """Forecast, truth and climatology of some starts, of others next.

    Points that are known in one of forecast and truth only are left out of the truth,
    and counted: `pairing.counts` holds for each variable how many, of how many, and the
    starts without any forecast. A forecast that stops being finite at some lead time is
    kept as it is, lost.

    Arguments:
        dates: when the forecasts are valid (start, lead).
        step: starts in a part.

    Raises:
        InputError: the numbers cannot be read, or hold a fill value that the file does
            not declare.
    """
    told = pairing.told.dataset[list(pairing.names)]
    count = told.sizes[START]
    for name in pairing.names:
        pairing.counts[name] = [0, 0, 0]
    for first in range(0, count, step):
        part = slice(first, min(first + step, count))
        forecast = load(told.isel({START: part}).copy(), pairing.told.source)
        index = pairing.index[part]
        truth = _taken(pairing.seen, pairing.truth.time, index, pairing.truth.source)
        for name in pairing.names:
            forecast[name], truth[name] = _compared(
                pairing, name, forecast[name], truth[name], index
            )
        climatology = None
        if pairing.climatology is not None and pairing.cycle is not None:
            dim, place = pairing.cycle
            at = place(dates[part])
            climatology = _taken(pairing.climatology, dim, at, "the climatology")
        coords = {START: forecast[START], LEAD: forecast[LEAD]}
        truth = truth.assign_coords(coords)
        if climatology is not None:
            climatology = climatology.assign_coords(coords)
        yield forecast, truth, climatology


def _taken(
    dataset: xr.Dataset, dim: str | None, index: np.ndarray, source: str
) -> xr.Dataset:
    """The dataset at indices (start, lead) along a dimension, NaN where -1."""
    if dim is None:
        size = {START: index.shape[0], LEAD: index.shape[1]}
        return load(dataset, source).expand_dims(size)
    wanted, place = np.unique(np.maximum(index, 0), return_inverse=True)
    found = load(dataset.isel({dim: wanted}), source).drop_vars(dim, errors="ignore")
    found = found.isel(
        {dim: xr.DataArray(place.reshape(index.shape), dims=(START, LEAD))}
    )
    there = xr.DataArray(index >= 0, dims=(START, LEAD))
    return found.transpose(START, LEAD, ...).where(there)


def _compared(
    pairing: Pairing,
    name: str,
    told: xr.DataArray,
    seen: xr.DataArray,
    index: np.ndarray,
) -> tuple[xr.DataArray, xr.DataArray]:
    told = _known(told, pairing.missing_value, pairing.told.source)
    seen = _known(seen, pairing.missing_value, pairing.truth.source)
    factor, offset = pairing.scale[name]
    told = told.transpose(START, LEAD, ...) * factor + offset
    finite = abs(told) < np.inf
    blown = abs(told) == np.inf
    if MEMBER in told.dims:
        finite = finite.all(MEMBER)
    inner = [d for d in finite.dims if d not in (START, LEAD)]
    absent = ~finite.any([LEAD, *inner])  # starts that hold no forecast at all
    lost = ~finite.any(inner) & ~absent if inner else ~finite & ~absent
    lost = lost | blown.any([d for d in blown.dims if d not in (START, LEAD)])
    masked = ~finite & ~lost
    there = xr.DataArray(index >= 0, dims=(START, LEAD)) & ~lost & ~absent
    known = seen.notnull()
    counts = pairing.counts[name]
    counts[0] += int(((known != finite) & there).sum())
    counts[1] += int(((known | finite) & there).sum())
    counts[2] += int(absent.sum())
    return told, seen.where(~masked)


def _known(array: xr.DataArray, missing: float | None, source: str) -> xr.DataArray:
    """NaN for the value that stands for missing; others that look like one refused."""
    array = array.astype(np.float64)
    if missing is not None and not np.isnan(missing):
        array = array.where(abs(array - missing) > 1e-6 * max(1.0, abs(missing)))
    if missing is not None and np.isnan(missing):
        return array
    strange = fill_in(array.values)
    if strange is not None:
        raise InputError(
            f"{array.name} holds {strange:g} in {source}, which looks like a fill "
            "value that the file does not declare: give --missing-value "
            f"{strange:g}, or nan where it is a true value"
        )
    return array
