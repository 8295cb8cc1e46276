"""Fields of one grid along a regular axis of time, from a file or from a simulation.

A state is the vector of the grid's valid points, as everywhere at the border; `on_grid`
and `off_grid` go between it and arrays (channel, row, column). Rows run northwards and
columns eastwards, whichever way the file has them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from tendency.data.clock import infer_clock
from tendency.data.files import load, open_file
from tendency.data.layout import Layout
from tendency.data.record import Record, Series, read_record, series_of
from tendency.errors import InputError
from tendency.symbolic.units import registry, scale_of, unit_of


@dataclass(frozen=True)
class Wanted:
    """A variable that a study reads: the names it may have, and the units it needs."""

    names: tuple[str, ...]  # in a file, or CF standard names; the first that is there
    units: str


@dataclass(frozen=True, eq=False)
class Fields:
    """What a study of fields works on."""

    series: Series  # states of valid points, NaN where a value is missing
    layout: Layout
    source: str  # the file, or what the simulation is
    simulated: bool = False

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Variables, rows and columns."""
        return self.layout.grid()[0]

    @cached_property
    def mask(self) -> Bool[np.ndarray, "channel row column"]:
        """Where a point is ever seen."""
        return np.stack([v.valid for v in self.layout.variables])

    @property
    def times(self) -> np.ndarray:
        """The dates."""
        return self.series.times

    @property
    def dt(self) -> float:
        """The step [unit of the clock]."""
        return self.layout.clock.step

    @cached_property
    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """The coordinates of rows and columns, as the file has them."""
        space = [d for d in self.layout.variables[0].dims if d != self.layout.time]
        held = {c.name: c.values for c in self.layout.coordinates}
        rows, columns = (
            np.asarray(held.get(d, np.arange(n)), float)
            for d, n in zip(space, self.shape[1:], strict=True)
        )
        return rows, columns

    @property
    def on_sphere(self) -> bool:
        """Whether the rows have latitudes: else they are positions in a plane."""
        return bool(np.ptp(self.layout.latitude) > 0)

    @cached_property
    def areas(self) -> Float[np.ndarray, " state"]:
        """cos(latitude) of each component, one in a plane."""
        return np.maximum(np.cos(np.deg2rad(self.layout.latitude)), 1e-3)

    def on_grid(
        self, states: Float[np.ndarray, "*batch state"], fill: float = np.nan
    ) -> Float[np.ndarray, "*batch channel row column"]:
        """States as maps, `fill` where no point is ever seen."""
        full = np.full((*states.shape[:-1], self.mask.size), fill, states.dtype)
        full[..., np.flatnonzero(self.mask)] = states
        return full.reshape(*states.shape[:-1], *self.shape)

    def off_grid(
        self, maps: Float[np.ndarray, "*batch channel row column"]
    ) -> Float[np.ndarray, "*batch state"]:
        """Maps as states: `on_grid` undone."""
        flat = np.asarray(maps).reshape(*maps.shape[:-3], -1)
        return flat[..., np.flatnonzero(self.mask)]


def read_fields(path: str | Path, wanted: Sequence[Wanted]) -> Fields:
    """The variables of a user's file, on rising coordinates and in the units wanted.

    Points that are missing at every time, such as land, are left out of the state.

    Raises:
        InputError: whatever is wrong with the file, its names, times or units, or the
            variables do not lie on one grid of two dimensions.
    """
    there = _names_in(path)
    names = [next((n for n in w.names if n in there), w.names[0]) for w in wanted]
    record = read_record(path, names)
    dataset = load(record.dataset, record.source)
    for name, variable in zip(dataset.data_vars, wanted, strict=True):
        dataset[name] = _converted(dataset[name], variable, record.source)
    return _fields(Record(**{**vars(record), "dataset": dataset}), Path(path).name)


def simulated_fields(dataset: xr.Dataset, source: str) -> Fields:
    """Fields of a simulation: a dataset along `time`, and what to call it."""
    clock, gaps = infer_clock(dataset["time"].values)
    record = Record(dataset, "time", clock, gaps, source)
    found = _fields(record, source)
    return Fields(found.series, found.layout, source, simulated=True)


def _names_in(path: str | Path) -> set[str]:
    """Of the variables of a file, their own and those of the CF conventions."""
    arrays = open_file(path).data_vars
    standard = {str(a.attrs.get("standard_name", "")) for a in arrays.values()}
    return standard | {str(name) for name in arrays}


def _converted(array: xr.DataArray, wanted: Wanted, source: str) -> xr.DataArray:
    given = str(array.attrs.get("units", wanted.units))
    where = f"{array.name} of {source}"
    found, asked = unit_of(given, where), unit_of(wanted.units, "the study")
    if scale_of(found, asked) is None:
        raise InputError(
            f"{where} is in {given} and {wanted.units} was expected, which do not "
            "convert: give the variable that the study is about"
        )
    values = registry().Quantity(array.values, found).to(asked).magnitude
    attributes = {**array.attrs, "units": wanted.units}
    return array.copy(data=values.astype(np.float32)).assign_attrs(attributes)


def _fields(record: Record, source: str) -> Fields:
    dataset, time = record.dataset, record.time
    for name in [str(d) for d in dataset.dims if d != time]:
        if name in dataset.coords and dataset[name].dtype.kind in "fiu":
            dataset = dataset.sortby(name)
    for name, array in dataset.data_vars.items():
        space = [d for d in array.dims if d != time]
        if len(space) != 2:
            raise InputError(
                f"{name} of {source} has the dimensions {tuple(array.dims)}, time and "
                "two of space were expected: select one level or member first"
            )
        rows = [d for d in space if _is_row(dataset, str(d))]
        if rows and space[0] != rows[0]:
            space = space[::-1]
        dataset[name] = array.transpose(time, *space).astype(np.float32)
    layout = Layout.of(dataset, record.clock, time=time, mask="land")
    layout.grid()
    series = series_of(record, layout.pack(dataset))
    return Fields(series, layout, source)


def _is_row(dataset: xr.Dataset, name: str) -> bool:
    standard = dataset[name].attrs.get("standard_name", "") if name in dataset else ""
    return standard in ("latitude", "projection_y_coordinate") or name.lower() in (
        "y", "lat", "latitude",
    )  # fmt: skip
