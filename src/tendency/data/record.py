"""Floor 4: the record that a job works on, read from a file and checked.

`read_record` opens, selects and dates it, and cuts it at its gaps; the numbers stay on
disk. `Series` is what a model needs of it, in memory: packed states, their dates, and
the stretches without a gap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int, Shaped

from tendency.data.axes import dated, decoded, time_axis
from tendency.data.clock import Clock, as_dates, infer_clock, parse_step, period, show
from tendency.data.files import open_file
from tendency.data.select import choose, subset
from tendency.data.units import linear
from tendency.errors import InputError


@dataclass(frozen=True, eq=False)
class Record:
    """The chosen variables of a file along a regular, increasing axis of time."""

    dataset: xr.Dataset  # its numbers may still be on disk
    time: str  # the name of its time dimension
    clock: Clock
    gaps: Bool[np.ndarray, " step"]  # true at i: a gap lies after time i
    source: str
    undated: int = 0  # times without a date, left out

    @property
    def times(self) -> Shaped[np.ndarray, " time"]:
        """The dates."""
        return as_dates(self.dataset[self.time].values)


@dataclass(frozen=True, eq=False)
class Series:
    """States in time order, cut into stretches without a gap; NaN is missing."""

    states: Float[np.ndarray, "time state"]  # [units of the data]
    times: Shaped[np.ndarray, " time"]  # dates
    t: Float[np.ndarray, " time"]  # [unit of the clock]
    follows: Bool[np.ndarray, " time"]  # one step after the time before

    @property
    def segments(self) -> tuple[int, ...]:
        """The lengths of the stretches, as `Windows.of` asks for them."""
        if len(self.t) == 0:
            return ()
        starts = np.flatnonzero(~self.follows)
        return tuple(np.diff(np.append(starts, len(self.t))).tolist())

    @property
    def weights(self) -> Float[np.ndarray, "time state"] | None:
        """One where a value is there, zero where it is missing; `None`: none is."""
        seen = np.isfinite(self.states)
        return None if seen.all() else seen.astype(self.states.dtype)

    def part(self, first: int, stop: int) -> Self:
        """The times from index `first` up to but without `stop`."""
        return self._take(np.arange(first, stop))

    def without_missing(self) -> Self:
        """The times at which nothing is missing: the others cut the series."""
        return self._take(np.flatnonzero(np.isfinite(self.states).all(1)))

    def starts(
        self, history: int, steps: int, *, first: int = 0, stop: int | None = None
    ) -> Int[np.ndarray, " start"]:
        """Where forecasts can start and be verified.

        Every index with `history` unbroken steps before it and `steps` after it, all
        but the history within `first` up to but without `stop`.
        """
        stop = len(self.t) if stop is None else stop
        label = np.cumsum(~self.follows)
        i = np.arange(max(first, history), stop - steps)
        return i[(label[i - history] == label[i]) & (label[i + steps] == label[i])]

    def index(self, date: str, calendar: str) -> int:
        """The index of the first time in a period such as `2005-03-01`.

        Raises:
            InputError: there is none; the nearest date is named.
        """
        start, stop = period(date, calendar)
        found = np.flatnonzero((self.times >= start) & (self.times < stop))
        if found.size:
            return int(found[0])
        after = np.flatnonzero(self.times >= stop)
        nearest = self.times[after[0] if after.size else -1]
        raise InputError(
            f"the data hold no time in {date}, they run from {show(self.times[0])} to "
            f"{show(self.times[-1])}: choose another date, the nearest is "
            f"{show(nearest)}"
        )

    def _take(self, index: Int[np.ndarray, " kept"]) -> Self:
        label = np.cumsum(~self.follows)[index]
        follows = np.zeros(len(index), bool)
        follows[1:] = (np.diff(index) == 1) & (np.diff(label) == 0)
        return type(self)(self.states[index], self.times[index], self.t[index], follows)


def series_of(record: Record, states: Float[np.ndarray, "time state"]) -> Series:
    """The series of a record whose states were packed."""
    follows = np.concatenate([[False], ~record.gaps])
    times = record.times
    return Series(states, times, record.clock.number(times), follows)


def read_record(
    path: str | Path,
    variables: Sequence[str],
    *,
    time: str | None = None,
    start: str | None = None,
    step: str | None = None,
    select: Mapping[str, Any] | None = None,
    missing_value: float | None = None,
    units: Mapping[str, str] | None = None,
) -> Record:
    """Open a file and take from it what is wanted, without reading the numbers.

    Arguments:
        variables: by name or CF standard name.
        time: the time axis, where it is not found by itself.
        start: the first date of a file without dates, with `step`, such as `1 day`.
        select: ranges of coordinates, see `tendency.data.select.subset`.
        missing_value: a number that stands for missing, besides the file's own; NaN
            says that there is none.
        units: of variables whose units the file does not give; where it gives others
            the numbers are converted.

    Raises:
        InputError: whatever is wrong with the file, the names or the times.
    """
    dataset = open_file(path)
    dataset, name, undated = with_dates(dataset, time, start, step)
    dataset = choose(dataset, variables, name)
    if select:
        dataset = subset(dataset, select, name)
    if missing_value is not None and not np.isnan(missing_value):
        wrong = np.float64(missing_value)
        dataset = dataset.where(abs(dataset - wrong) > 1e-6 * max(1.0, abs(wrong)))
    for variable, unit in (units or {}).items():
        if variable not in dataset:
            raise InputError(
                f"data.units names {variable}, which is not one of the variables "
                f"{', '.join(map(str, dataset.data_vars))}: correct the name"
            )
        dataset = _in_units(dataset, variable, unit)
    clock, gaps = infer_clock(dataset[name].values, name)
    return Record(dataset, name, clock, gaps, str(path), undated)


def _in_units(dataset: xr.Dataset, name: str, wanted: str) -> xr.Dataset:
    given = dataset[name].attrs.get("units")
    attributes = {**dataset[name].attrs, "units": wanted}
    if given is None or str(given) == wanted:
        return dataset.assign({name: dataset[name].assign_attrs(attributes)})
    found = linear(str(given), wanted, name)
    if found is None:
        raise InputError(
            f"data.units asks for {name} in {wanted!r} and the file gives {given!r}, "
            "units that do not convert: correct one of them"
        )
    values = dataset[name]
    if found != (1.0, 0.0):
        values = values * found[0] + found[1]
    return dataset.assign({name: values.assign_attrs(attributes)})


def with_dates(
    dataset: xr.Dataset,
    time: str | None = None,
    start: str | None = None,
    step: str | None = None,
) -> tuple[xr.Dataset, str, int]:
    """A dataset with dates, the name of their axis, how many times had none.

    Raises:
        InputError: no time axis, or dates that cannot be read.
    """
    if start is not None and step is not None:
        return dated(dataset, start, parse_step(step)), "time", 0
    name = time_axis(dataset, time)
    count = dataset[name].size
    dataset = decoded(dataset, name)
    return dataset, name, count - dataset[name].size
