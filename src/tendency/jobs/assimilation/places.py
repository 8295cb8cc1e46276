"""Floor 5: where the components of a state lie, for localisation."""

import numpy as np
import xarray as xr
from jaxtyping import Float

from tendency.assimilation import Euclidean, GreatCircle, Localisation
from tendency.assimilation.distances import AbstractDistance
from tendency.data.layout import Layout
from tendency.data.variables import Coordinate, Variable
from tendency.errors import InputError
from tendency.jobs.assimilation.model import Modelled
from tendency.jobs.assimilation.observed import Seen


def places_of(
    layout: Layout,
) -> tuple[Float[np.ndarray, "state space"], AbstractDistance]:
    """The place of each component, and how the distance of two is measured.

    Longitude and latitude where the variables have both, and kilometres; else the axes
    of the grid, in their units.

    Raises:
        InputError: a variable without space, or on axes of its own.
    """
    rows, spaces = [], []
    for v in layout.variables:
        space = [d for d in v.dims if d != layout.time]
        if not space or v.valid.size < 2:
            raise InputError(
                f"method.localisation is given and {v.name} is no field on a grid: "
                "leave it out, or choose a method that needs none"
            )
        round_earth = [_coordinate(layout, space, kind) for kind in ("lon", "lat")]
        found = [c for c in round_earth if c is not None]
        if len(found) < 2:
            found = [_axis(layout, d, n) for d, n in zip(space, v.valid.shape,
                                                         strict=True)]  # fmt: skip
        spaces.append(tuple(c.name for c in found))
        rows.append(np.stack([_at_points(c, v, space) for c in found], 1))
    if len(set(spaces)) > 1:
        told = ", ".join(" and ".join(s) for s in dict.fromkeys(spaces))
        raise InputError(
            f"method.localisation is given and the variables lie along {told}: leave "
            "it out, distances need the same axes for all"
        )
    round_earth = _coordinate(layout, list(layout.variables[0].dims), "lat")
    sphere = round_earth is not None and round_earth.name in spaces[0]
    whole = np.concatenate(rows)
    return whole, GreatCircle() if sphere and whole.shape[1] == 2 else Euclidean()


def localisation_of(modelled: Modelled, length: float) -> Localisation:
    """Of that length, over the components of the state.

    Raises:
        InputError: the model sees its state through EOFs, or it is no field.
    """
    if modelled.preparation.patterns is not None:
        raise InputError(
            "method.localisation is given and the model sees its state through EOFs, "
            "each of which is everywhere: fit a model without prepare.eofs "
            "(damped_persistence is always on the grid), or leave it out"
        )
    places, distance = places_of(modelled.layout)
    return Localisation(length, places, distance)


def places_seen(
    places: Float[np.ndarray, "state space"], seen: Seen
) -> Float[np.ndarray, "*time obs space"]:
    """Where each value was observed; off the grid, the nearest of its points."""
    if seen.index is not None:
        return places[seen.index]
    assert seen.points is not None
    assert seen.weights is not None
    nearest = np.argmax(seen.weights, -1)[..., None]
    return places[np.take_along_axis(seen.points, nearest, -1)[..., 0]]


def _coordinate(layout: Layout, dims: list[str], kind: str) -> Coordinate | None:
    for c in layout.coordinates:
        if c.dims and set(c.dims) <= set(dims):
            east = (
                c.attributes.get("standard_name") == "longitude"
                or str(c.attributes.get("units", "")).startswith(
                    ("degrees_e", "degree_e")
                )
                or c.name.lower() in ("lon", "longitude")
            )
            if east if kind == "lon" else c.is_latitude:
                return c
    return None


def _axis(layout: Layout, name: str, size: int) -> Coordinate:
    for c in layout.coordinates:
        if c.name == name and c.values.dtype.kind in "fiu":
            return c
    return Coordinate(name, (name,), np.arange(float(size)), {})


def _at_points(
    c: Coordinate, v: Variable, space: list[str]
) -> Float[np.ndarray, " point"]:
    held = xr.DataArray(c.values.astype(float), dims=c.dims)
    frame = xr.DataArray(v.valid, dims=space)
    return held.broadcast_like(frame).transpose(*space).values[v.valid]
