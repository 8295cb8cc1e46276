"""Floor 4: where each number of a state lies in the data that it came from.

`Layout` is the static description (variables, dimensions, coordinates, units, calendar,
valid points). `pack` turns a Dataset into states, `unpack` and `unpack_forecast` turn
states back into CF Datasets. `to_dict` makes it JSON, for the header of a saved model.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import xarray as xr
from jaxtyping import Float, Int, Shaped

from tendency.data.arrays import array_from_dict, array_to_dict
from tendency.data.clock import Clock
from tendency.data.variables import Coordinate, Variable, coordinate, describe, order_of
from tendency.errors import InputError


@dataclass(frozen=True, eq=False)
class Layout:
    """The state as data: valid points of each variable, one variable after another.

    Coordinates that vary with time are not kept, nor attributes that speak of the file
    rather than of the quantity.
    """

    variables: tuple[Variable, ...]
    coordinates: tuple[Coordinate, ...]
    clock: Clock
    time: str = "time"  # the name of the time dimension

    @classmethod
    def of(
        cls,
        dataset: xr.Dataset,
        clock: Clock,
        *,
        time: str = "time",
        mask: Literal["none", "land", "incomplete"] = "none",
    ) -> Self:
        """Describe every variable of `dataset`.

        Arguments:
            mask: leave out no point, those missing at every time (`land`), or those
                missing at any time (`incomplete`).

        Raises:
            InputError: a variable without time, not a number, or with no valid point.
        """
        variables = tuple(
            describe(dataset[name], time, mask) for name in dataset.data_vars
        )
        used = {d for v in variables for d in v.dims} - {time}
        fixed = [c for c in dataset.coords.values() if set(c.dims) <= used]
        found = [c for c in map(coordinate, fixed) if c is not None]
        return cls(variables, tuple(found), clock, time)

    @property
    def size(self) -> int:
        """The number of components of a state."""
        return sum(int(v.valid.sum()) for v in self.variables)

    @cached_property
    def parts(self) -> dict[str, slice]:
        """Where each variable lies in a state."""
        ends = np.cumsum([0, *(int(v.valid.sum()) for v in self.variables)]).tolist()
        return {
            v.name: slice(a, b)
            for v, a, b in zip(self.variables, ends[:-1], ends[1:], strict=True)
        }

    @cached_property
    def latitude(self) -> Float[np.ndarray, " state"]:
        """The latitude of each component [degree], 0 where a variable has none."""
        found = np.zeros(self.size)
        for v in self.variables:
            space = [d for d in v.dims if d != self.time]
            for c in self.coordinates:
                if c.is_latitude and c.dims and set(c.dims) <= set(space):
                    held = xr.DataArray(c.values.astype(float), dims=c.dims)
                    frame = xr.DataArray(v.valid, dims=space)
                    wide = held.broadcast_like(frame).transpose(*space).values
                    found[self.parts[v.name]] = wide[v.valid]
        return found

    def grid(self) -> tuple[tuple[int, int, int], Int[np.ndarray, " state"]]:
        """Channels, rows and columns, and where in them each component lies.

        Each variable is a channel, each level of one that has levels, members or the
        like before its rows and columns.

        Raises:
            InputError: the variables do not all lie on one grid of two dimensions.
        """
        planes = {v.valid.shape[-2:] for v in self.variables}
        if len(planes) != 1 or len(next(iter(planes))) != 2 or self._split_plane():
            sizes = ", ".join(
                f"{v.name} ({', '.join(f'{d}: {n}' for d, n in self._sizes(v))})"
                for v in self.variables
            )
            raise InputError(
                f"the variables lie on {sizes}; one grid of rows and columns, after "
                "levels if there are any, was expected: choose variables of one grid, "
                "or another kind of model"
            )
        ((rows, columns),) = planes
        valid = [v.valid.reshape(-1, rows, columns) for v in self.variables]
        channels = np.concatenate(valid)
        return (len(channels), rows, columns), np.flatnonzero(channels)

    def _sizes(self, variable: Variable) -> list[tuple[str, int]]:
        space = [d for d in variable.dims if d != self.time]
        return list(zip(space, variable.valid.shape, strict=True))

    def _split_plane(self) -> bool:
        """Whether a latitude lies among the levels: rows and columns are not last."""
        lines = {c.dims[0] for c in self.coordinates if c.is_latitude and c.dims}
        levels = [d for v in self.variables for d, _ in self._sizes(v)[:-2]]
        return any(d in lines for d in levels)

    def pack(self, dataset: xr.Dataset) -> Float[np.ndarray, "time state"]:
        """The states of `dataset`, whose dimensions may come in any order.

        Its coordinates may run the other way too, but must hold the same values.

        Raises:
            InputError: a variable is missing, or lies on another grid.
        """
        columns = []
        for v in self.variables:
            if v.name not in dataset:
                raise InputError(
                    f"the data have no variable {v.name}, only "
                    f"{', '.join(map(str, dataset.data_vars))}: the model was trained "
                    "with it, so give data that hold it"
                )
            values = self._aligned(dataset[v.name], v)
            flat = values.data.reshape(values.shape[0], -1)
            kept = flat[:, np.flatnonzero(v.valid.reshape(-1))]
            columns.append(np.asarray(kept, v.dtype))
        return np.concatenate(columns, axis=1)

    def unpack(
        self,
        states: Float[np.ndarray, "time state"],
        times: Shaped[np.ndarray, " time"],
    ) -> xr.Dataset:
        """The Dataset of a series of states: `pack` undone, NaN at invalid points."""
        time = xr.Variable(self.time, times, {"standard_name": "time", "axis": "T"})
        return self._dataset(np.asarray(states), {self.time: time})

    def unpack_forecast(
        self,
        states: Float[np.ndarray, "start lead *member state"],
        init_times: Shaped[np.ndarray, " start"],
        leads: Sequence[float] | np.ndarray,
    ) -> xr.Dataset:
        """The Dataset of forecasts, with `init_time`, `lead_time` and `valid_time`.

        A third axis of `states` is `member`. `leads` are in the unit of the clock.
        """
        states = np.asarray(states)
        leads = np.asarray(leads, np.float64)
        start = xr.Variable(
            "init_time",
            init_times,
            {"standard_name": "forecast_reference_time", "long_name": "start"},
        )
        lead = xr.Variable(
            "lead_time",
            leads,
            {
                "standard_name": "forecast_period",
                "long_name": "lead time",
                "units": f"{self.clock.unit}s",
            },
        )
        leading = {"init_time": start, "lead_time": lead}
        if states.ndim == 4:
            member = np.arange(states.shape[2])
            leading["member"] = xr.Variable(
                "member", member, {"standard_name": "realization", "units": "1"}
            )
        dataset = self._dataset(states, leading)
        valid = self.clock.date(self.clock.number(init_times)[:, None] + leads)
        return dataset.assign_coords(
            valid_time=(
                ("init_time", "lead_time"),
                valid,
                {"standard_name": "time", "long_name": "time of validity"},
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold; `from_dict` reads it back."""
        return {
            "time": self.time,
            "clock": self.clock.to_dict(),
            "variables": [
                {**vars(v), "dims": list(v.dims), "valid": array_to_dict(v.valid)}
                for v in self.variables
            ],
            "coordinates": [
                {**vars(c), "dims": list(c.dims), "values": array_to_dict(c.values)}
                for c in self.coordinates
            ],
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""

        def read(entry: dict[str, Any], key: str) -> dict[str, Any]:
            dims = tuple(entry["dims"])
            return {**entry, "dims": dims, key: array_from_dict(entry[key])}

        return cls(
            tuple(Variable(**read(v, "valid")) for v in content["variables"]),
            tuple(Coordinate(**read(c, "values")) for c in content["coordinates"]),
            Clock.from_dict(content["clock"]),
            content["time"],
        )

    @cached_property
    def _text(self) -> str:
        return json.dumps(self.to_dict(), sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def _dataset(
        self, states: np.ndarray, leading: dict[str, xr.Variable]
    ) -> xr.Dataset:
        shape = states.shape[:-1]
        data = {}
        for v in self.variables:
            space = [d for d in v.dims if d != self.time]
            full = np.full((*shape, v.valid.size), np.nan, v.dtype)
            full[..., v.valid.reshape(-1)] = states[..., self.parts[v.name]]
            array = xr.Variable(
                [*leading, *space],
                full.reshape(*shape, *v.valid.shape),
                v.attributes,
            )
            if self.time in leading:
                array = array.transpose(*v.dims)
            data[v.name] = array
        coordinates = {
            c.name: (c.dims, c.values, c.attributes) for c in self.coordinates
        }
        return xr.Dataset(data, {**leading, **coordinates}, {"Conventions": "CF-1.11"})

    def _aligned(self, array: xr.DataArray, variable: Variable) -> xr.DataArray:
        """`array` time first, on the very grid of the layout."""
        name, space = variable.name, [d for d in variable.dims if d != self.time]
        if set(array.dims) != set(variable.dims):
            raise InputError(
                f"the variable {name} has the dimensions {tuple(array.dims)} and "
                f"{variable.dims} were expected: give data laid out like the training "
                "data"
            )
        for c in self.coordinates:
            if c.dims == (c.name,) and c.name in space and c.name in array.coords:
                order = order_of(array[c.name].values, c.values)
                if order is None:
                    raise InputError(
                        f"the coordinate {c.name} of {name} has "
                        f"{array.sizes[c.name]} values that are not the "
                        f"{c.values.size} of the training data: give data on the same "
                        "grid, or select it with data.subset"
                    )
                if not np.array_equal(order, np.arange(c.values.size)):
                    array = array.isel({c.name: order})
        array = array.transpose(self.time, *space)
        if array.shape[1:] != variable.valid.shape:
            raise InputError(
                f"the variable {name} has {array.shape[1:]} points along {space} and "
                f"{variable.valid.shape} were expected: give data on the same grid"
            )
        return array
