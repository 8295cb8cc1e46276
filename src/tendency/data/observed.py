"""Floor 4: observations of a state from a dataset, on its grid or anywhere in it."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Int

from tendency.data.clock import show
from tendency.data.layout import Layout
from tendency.data.variables import Variable
from tendency.errors import InputError
from tendency.observing import DiagonalCovariance, Interpolate, Observations, Select

OFF_STEP = 0.01  # of a step: how far from one an observation may be


class ReadOff(eqx.Module):
    """Variables of a flat state, each put on its grid and read where it is observed."""

    parts: tuple[Int[Array, " points"], ...]  # of the state, the valid ones of a grid
    points: tuple[Int[Array, " points"], ...]  # of the grid, where these lie
    shapes: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    readers: tuple[Interpolate, ...]

    def __call__(
        self, state: Float[Array, " n"], positions: Float[Array, "obs axis"]
    ) -> Float[Array, " values"]:
        found = []
        for part, points, shape, read in zip(
            self.parts, self.points, self.shapes, self.readers, strict=True
        ):
            field = jnp.zeros(int(np.prod(shape)), state.dtype)
            field = field.at[points].set(state[part]).reshape(shape)
            found.append(read(field, positions))
        return jnp.concatenate(found)


def observations_from(
    dataset: xr.Dataset,
    layout: Layout,
    *,
    start: Any,
    end: Any = None,
    error: float | dict[str, float] | None = None,
    periods: dict[str, float] | None = None,
) -> Observations:
    """Observations of states of a layout: values, positions, errors; NaN is missing.

    Variables have the names of those of the layout and either its very points, or one
    other dimension of observations, whose positions are coordinates named like the
    axes of the layout, at each time or once for all; these are interpolated linearly.

    Arguments:
        start: the date of the prior, which is step 0 of the model.
        end: the last date that the model shall reach, if observations may not lie
            beyond.
        error: standard deviations, one for all or one a variable [units of the
            variable]; without it the variables `NAME_error` of the dataset tell them.
        periods: of axes that are periodic, `{"lon": 360}` say [their units].

    Raises:
        InputError: times before `start`, after `end`, or not on steps of the layout's
            clock; other units than the layout's; no variable of the layout; positions
            outside its axes or beside points that are no part of the state; errors
            that are unknown.
    """
    names = [v for v in layout.variables if v.name in dataset]
    if not names:
        raise InputError(
            f"the observations hold {', '.join(map(str, dataset.data_vars))} and the "
            f"model {', '.join(v.name for v in layout.variables)}: rename theirs"
        )
    for v in names:
        _check_units(dataset[v.name], v)
    if layout.time not in dataset.coords:
        raise InputError(
            f"the observations have no coordinate {layout.time}, dates were expected: "
            "rename theirs"
        )
    steps = _steps(dataset[layout.time].values, layout, start, end)
    on_grid = [set(dataset[v.name].dims) == set(v.dims) for v in names]
    if any(on_grid) and not all(on_grid):
        mixed = ", ".join(v.name for v, g in zip(names, on_grid, strict=True) if g)
        raise InputError(
            f"the observations of {mixed} are on the grid and others are not: "
            "assimilate them as datasets of their own"
        )
    if all(on_grid):
        found = _on_grid(dataset, layout, names, error)
    else:
        found = _anywhere(dataset, layout, names, error, periods or {})
    spread = np.where(np.isfinite(found["values"]), found["error"], 1.0)
    return Observations.of(
        found["values"],
        steps,
        found["operator"],
        error=DiagonalCovariance(spread**2),
        arguments=found.get("arguments"),
        positions=found["positions"],
    )


def _check_units(array: xr.DataArray, variable: Variable) -> None:
    units = array.attrs.get("units")
    if units is not None and str(units) != variable.units:
        raise InputError(
            f"the observations of {variable.name} are in {units} and the model in "
            f"{variable.units}: convert them, and set the attribute"
        )


def _steps(times: np.ndarray, layout: Layout, start: Any, end: Any) -> np.ndarray:
    clock = layout.clock
    numbers = clock.number(np.atleast_1d(times))
    first = clock.number(np.atleast_1d(np.asarray(start)))[0]
    exact = (numbers - first) / clock.step
    steps = np.rint(exact).astype(int)
    for wrong, said in (
        (steps < 0, f"before {show(start)}, the date of the prior: leave it out"),
        (
            np.abs(exact - steps) > OFF_STEP,
            f"between steps of the model, which come every {clock.label} from "
            f"{show(start)}: shift it to the nearest",
        ),
        (
            np.zeros(len(steps), bool)
            if end is None
            else numbers > clock.number(np.atleast_1d(np.asarray(end)))[0],
            f"after the end of the period, {end if end is None else show(end)}: leave "
            "it out",
        ),
    ):
        if wrong.any():
            raise InputError(
                f"the observation of {show(np.atleast_1d(times)[wrong][0])} is {said}"
            )
    return steps


def _errors(dataset: xr.Dataset, v: Variable, error: Any) -> xr.DataArray:
    """The standard deviation of each value of a variable."""
    values, name = dataset[v.name], f"{v.name}_error"
    given = error.get(v.name) if isinstance(error, dict) else error
    if given is not None:
        return xr.full_like(values, float(given), float)
    if name not in dataset:
        raise InputError(
            f"the errors of {v.name} are unknown: give error, a standard deviation in "
            f"{v.units}, or a variable {name}"
        )
    _check_units(dataset[name], v)
    return dataset[name].astype(float).broadcast_like(values)


def _on_grid(
    dataset: xr.Dataset, layout: Layout, variables: list[Variable], error: Any
) -> dict[str, Any]:
    """Of the points of the layout: components of the state."""
    values, spreads, parts, places = [], [], [], []
    for v in variables:
        one = Layout((v,), layout.coordinates, layout.clock, layout.time)
        values.append(one.pack(dataset[[v.name]]).astype(float))
        spread = xr.Dataset({v.name: _errors(dataset, v, error)})
        spreads.append(one.pack(spread).astype(float))
        part = layout.parts[v.name]
        parts.append(np.arange(part.start, part.stop))
        axes = _axes(layout, v)
        if axes is not None:
            wide = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
            places.append(wide[v.valid])
    known = len(places) == len(values) and len({p.shape[1] for p in places}) == 1
    return {
        "values": np.concatenate(values, 1),
        "operator": Select(jnp.asarray(np.concatenate(parts), jnp.int32)),
        "error": np.concatenate(spreads, 1),
        "positions": np.concatenate(places) if known else None,
    }


def _anywhere(
    dataset: xr.Dataset,
    layout: Layout,
    variables: list[Variable],
    error: Any,
    periods: dict[str, float],
) -> dict[str, Any]:
    """Of other places: interpolated from the grids of the variables."""
    space = [d for d in variables[0].dims if d != layout.time]
    axes = _axes(layout, variables[0])
    grids = {tuple(d for d in v.dims if d != layout.time) for v in variables}
    if axes is None or len(grids) > 1:
        raise InputError(
            f"the observations lie off the grid and the variables on {sorted(grids)}: "
            "axes with coordinates, the same for all of them, were expected"
        )
    values = [dataset[v.name] for v in variables]
    dims = {d for array in values for d in array.dims} - {layout.time}
    missing = [d for d in space if d not in dataset.coords]
    if len(dims) != 1 or missing:
        raise InputError(
            f"the observations have the dimensions {tuple(map(str, values[0].dims))} "
            f"and the coordinates {', '.join(map(str, dataset.coords))}: give "
            f"{layout.time} and one dimension of observations, with {', '.join(space)} "
            "of each, or fields on the grid of the model"
        )
    order = (layout.time, *dims)
    like = values[0].transpose(*order)
    places = np.stack(
        [dataset[d].broadcast_like(like).transpose(*order).values for d in space], -1
    ).astype(float)
    rows, spreads, readers, parts, points = [], [], [], [], []
    for v, array in zip(variables, values, strict=True):
        row = array.broadcast_like(like).transpose(*order).values.astype(float)
        reader = Interpolate(axes, [periods.get(d) for d in space])
        reader.check(jnp.zeros(v.valid.shape), places, np.isfinite(row))
        _check_beside(reader, v, places[np.isfinite(row)])
        rows.append(row)
        spreads.append(_errors(dataset, v, error).transpose(*order).values)
        readers.append(reader)
        part = layout.parts[v.name]
        parts.append(jnp.arange(part.start, part.stop, dtype=jnp.int32))
        points.append(jnp.asarray(np.flatnonzero(v.valid), jnp.int32))
    shapes = tuple(v.valid.shape for v in variables)
    places = np.nan_to_num(places)
    everywhere = np.tile(places, (1, len(variables), 1))
    still = (everywhere == everywhere[:1]).all()
    return {
        "values": np.concatenate(rows, 1),
        "operator": ReadOff(tuple(parts), tuple(points), shapes, tuple(readers)),
        "error": np.concatenate(spreads, 1),
        "arguments": places,
        "positions": everywhere[0] if still else everywhere,
    }


def _axes(layout: Layout, v: Variable) -> list[np.ndarray] | None:
    """The coordinates along each axis of a variable, where they are numbers."""
    known = {
        c.name: c.values
        for c in layout.coordinates
        if c.dims == (c.name,) and c.values.dtype.kind in "fiu"
    }
    space = [d for d in v.dims if d != layout.time]
    if not space or not all(d in known for d in space):
        return None
    return [known[d].astype(float) for d in space]


def _check_beside(reader: Interpolate, v: Variable, places: np.ndarray) -> None:
    index, weight = (np.asarray(a) for a in reader.corners(jnp.asarray(places)))
    land = ~v.valid[tuple(np.moveaxis(index, 1, 0))] & (weight > 1e-6)
    if land.any():
        wrong = places[land.any(0)][0]
        raise InputError(
            f"an observation of {v.name} at {tuple(wrong.tolist())} lies beside points "
            "that are no part of the state, of land say: leave it out, or mark it NaN"
        )
