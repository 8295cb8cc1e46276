"""Floor 4: a first look at a file, to guess what its owner may want of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Bool, Shaped

from tendency.data.axes import dated
from tendency.data.clock import Clock, as_dates, infer_clock, parse_step
from tendency.data.files import load, open_file
from tendency.data.fills import fill_in
from tendency.data.record import with_dates
from tendency.errors import InputError

GUESS = ("2000-01-01", "1 day")
"""The first date and the step that stand in where a file has no dates."""

_MOST = 4  # variables chosen unasked
_READ = 5e7  # bytes of a variable that are read in full; of more, a sample
_SIDE = ("bnds", "bounds", "error", "flag", "mask", "count", "quality")


@dataclass(frozen=True)
class Found:
    """A variable that could be forecast.

    `missing` is `none`, `land` (points without any value), `times` (whole times
    without), `some`, or `all`.
    """

    name: str
    standard_name: str
    units: str
    space: tuple[str, ...]  # its dimensions but time, without `levels`
    points: int  # at one time
    missing: str
    fill: float | None = None  # a number that seems to stand for missing


@dataclass(frozen=True, eq=False)
class Inspection:
    """What a file holds. `chosen` are variables on one grid, `others` the rest."""

    source: str
    dated: bool  # otherwise the dates are a guess
    time: str
    clock: Clock
    times: Shaped[np.ndarray, " time"]
    gaps: Bool[np.ndarray, " step"]
    chosen: tuple[Found, ...]
    others: tuple[str, ...]
    levels: dict[str, float]  # dimensions that are no plane: a value of each


def inspect_file(path: str | Path) -> Inspection:
    """Look at a file, reading no more than a sample of what is large.

    Raises:
        InputError: it cannot be opened or dated, or holds nothing that varies in time.
    """
    dataset = open_file(path)
    known = True
    try:
        dataset, time, _ = with_dates(dataset)
    except InputError:
        if Path(path).is_dir() or len(dataset.sizes) != 1:
            raise
        known, time = False, "time"
        dataset = dated(dataset, GUESS[0], parse_step(GUESS[1]))
    clock, gaps = infer_clock(dataset[time].values, time)
    chosen, others = _choose(dataset, time)
    if not chosen:
        names = ", ".join(f"{n} {tuple(a.dims)}" for n, a in dataset.data_vars.items())
        raise InputError(
            f"{path} holds no numbers along its time axis {time} (it has "
            f"{names or 'no variable'}), at least one such variable was expected: give "
            "another file"
        )
    times = as_dates(dataset[time].values)
    levels = _levels(dataset, [str(d) for d in dataset[chosen[0]].dims if d != time])
    plane = dataset.isel({dim: 0 for dim in levels})
    found = tuple(_found(plane[name], time, str(path)) for name in chosen)
    return Inspection(
        str(path), known, time, clock, times, gaps, found, tuple(others), levels
    )


def _choose(dataset: xr.Dataset, time: str) -> tuple[list[str], list[str]]:
    """The variables of the dimensions that most have, the larger where they tie."""
    bounds = {str(v.attrs.get("bounds")) for v in dataset.variables.values()}
    groups: dict[tuple, list[str]] = {}
    for name, array in dataset.data_vars.items():
        text = f"{name} {array.attrs.get('standard_name', '')}".lower()
        side = any(word in text for word in _SIDE) or "flag_values" in array.attrs
        side |= name in bounds or text.startswith("unnamed") or not array.size
        if time in array.dims and array.dtype.kind in "fiu" and not side:
            groups.setdefault(array.dims, []).append(str(name))
    if not groups:
        return [], []
    best = max(groups, key=lambda dims: (len(groups[dims]), len(dims)))
    chosen = groups[best][:_MOST]
    others = [n for names in groups.values() for n in names if n not in chosen]
    return chosen, others


def _found(array: xr.DataArray, time: str, source: str) -> Found:
    count = array.sizes[time]
    if array.nbytes > _READ:
        kept = max(2, int(count * _READ / array.nbytes))
        array = array.isel(
            {time: np.unique(np.linspace(0, count - 1, kept, dtype=int))}
        )
    array = load(array.to_dataset(name="values"), source)["values"].rename(array.name)
    fill = fill_in(array.values)
    null = array.isnull() | (False if fill is None else array == fill)
    space = tuple(str(d) for d in array.dims if d != time)
    values = null.transpose(time, *space).values.reshape(array.sizes[time], -1)
    always, whole = values.all(0), values.all(1)
    rest = values[~whole][:, ~always]
    if values.all():
        missing = "all"
    elif rest.any():
        missing = "some"
    elif whole.any():
        missing = "times"
    else:
        missing = "land" if always.any() else "none"
    return Found(
        str(array.name),
        str(array.attrs.get("standard_name", "")),
        str(array.attrs.get("units", "")),
        space,
        values.shape[1],
        missing,
        fill,
    )


def _levels(dataset: xr.Dataset, space: list[str]) -> dict[str, float]:
    """Where to cut dimensions that are no space: members, lead times, levels."""
    no_space = ("realization", "forecast_period")
    standard = {d: dataset[d].attrs.get("standard_name", "") for d in space}
    extra = [d for d in space if standard[d] in no_space]
    rest = [d for d in space if d not in extra]
    extra += rest[: max(len(rest) - 2, 0)]
    levels = {}
    for dim in extra:
        if dataset.sizes[dim] > 1:
            known = dim in dataset.coords and dataset[dim].dtype.kind in "fiu"
            levels[dim] = float(dataset[dim].values[0]) if known else 0.0
    return levels
