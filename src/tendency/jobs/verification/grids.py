"""Floor 5: the points of the truth that are the points of the forecast."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from tendency.errors import InputError
from tendency.scores.comparing import LEAD, MEMBER, START

_CLOSE = 1e-2  # of the spacing of two points: they are the same


def on_grid(
    seen: xr.DataArray, told: xr.DataArray, time: str, sources: tuple[str, str]
) -> tuple[xr.DataArray, list[str]]:
    """The truth at the points of the forecast, in their order and under their names.

    Dimensions that are one point long in the truth alone are dropped. Latitudes that
    run the other way are turned, longitudes of 0 to 360 and of -180 to 180 are the
    same, and a truth that reaches further is cut.

    Arguments:
        sources: of the forecast and of the truth, to name them.

    Returns:
        The truth, and what was done to it.

    Raises:
        InputError: the grids differ.
    """
    notes: list[str] = []
    space = [str(d) for d in told.dims if d not in (START, LEAD, MEMBER)]
    seen = _without_single(seen, [time, *space])
    pairs = _dimensions(seen, told, space, time, sources)
    index = {}
    for dim in space:
        place, what = _places(seen, told, pairs[dim], dim, sources)
        if place is not None:
            index[pairs[dim]] = place
        notes += [f"{told.name}: {what}"] if what else []
    seen = seen.isel(index)
    lines = [n for n, c in seen.coords.items() if n != time and c.ndim < 2]
    seen = seen.drop_vars(lines).swap_dims({pairs[d]: f"_{d}" for d in space})
    seen = seen.swap_dims({f"_{d}": d for d in space})
    _same_planes(told, seen, sources)
    seen = seen.drop_vars([n for n in seen.coords if n != time])
    kept = {
        n: c for n, c in told.coords.items() if set(c.dims) <= set(space) and c.ndim
    }
    return seen.assign_coords(kept), notes


def _without_single(seen: xr.DataArray, kept: Sequence[str]) -> xr.DataArray:
    single = [d for d in seen.dims if seen.sizes[d] == 1 and d not in kept]
    return seen.isel(dict.fromkeys(single, 0)) if single else seen


def _dimensions(
    seen: xr.DataArray,
    told: xr.DataArray,
    space: list[str],
    time: str,
    sources: tuple[str, str],
) -> dict[str, str]:
    """Which dimension of the truth is which of the forecast's."""
    rest = [str(d) for d in seen.dims if d != time]
    pairs = {}
    for dim in space:
        kind = _kind(told, dim)
        like = [d for d in rest if d == dim] or [
            d for d in rest if _kind(seen, d) == kind
        ]
        if like:
            pairs[dim] = like[0]
            rest.remove(like[0])
    left = [d for d in space if d not in pairs]
    if len(left) == 1 == len(rest) and told.sizes[left[0]] == seen.sizes[rest[0]]:
        pairs[left[0]] = rest.pop()
        left = []
    if left or rest:
        theirs = [str(d) for d in seen.dims if d != time]
        raise InputError(
            f"{told.name} has the points {_sizes(told, space)} in {sources[0]} and "
            f"{_sizes(seen, theirs)} in {sources[1]}, "
            "the same dimensions were expected: cut or interpolate one of them first"
        )
    return pairs


def _places(
    seen: xr.DataArray,
    told: xr.DataArray,
    theirs_dim: str,
    dim: str,
    sources: tuple[str, str],
) -> tuple[np.ndarray | None, str]:
    """Where along its dimension the truth has each point of the forecast."""
    ours, theirs = _line(told, dim), _line(seen, theirs_dim)
    if ours is None or theirs is None:
        if told.sizes[dim] != seen.sizes[theirs_dim]:
            raise InputError(
                f"{told.name} has {told.sizes[dim]} points along {dim} in {sources[0]} "
                f"and {seen.sizes[theirs_dim]} in {sources[1]}, and one of them tells "
                "no coordinates: interpolate to the same grid first"
            )
        return None, ""
    close = _close(ours)
    if ours.size == theirs.size and np.allclose(ours, theirs, rtol=0, atol=close):
        return None, ""
    circle = _kind(told, dim) == "longitude"
    gap = theirs[None] - ours[:, None]
    gap = np.abs((gap + 180) % 360 - 180 if circle else gap)
    place = gap.argmin(1)
    if gap.min(1).max() > close:
        raise InputError(
            f"the grids of {told.name} differ along {dim}: {_run(ours)} in "
            f"{sources[0]}, {_run(theirs)} in {sources[1]}; the same points were "
            "expected, so interpolate one of them to the other's first"
        )
    done = []
    if circle and np.abs(theirs[place] - ours).max() > 180:
        done.append(f"the truth's longitudes ({_run(theirs)}) were wrapped")
    if len(place) > 1 and (np.diff(place) < 0).all():
        done.append(f"the truth's {theirs_dim} runs the other way and was turned")
    if len(place) < theirs.size:
        done.append(f"the truth was cut to {len(place)} points along {dim}")
    return place, "; ".join(done)


def _same_planes(
    told: xr.DataArray, seen: xr.DataArray, sources: tuple[str, str]
) -> None:
    """Coordinates of two dimensions, such as those of a curvilinear grid."""
    for name, ours in told.coords.items():
        theirs = seen.coords.get(name)
        if ours.ndim != 2 or theirs is None or theirs.dims != ours.dims:
            continue
        if theirs.shape != ours.shape or not np.allclose(ours, theirs, atol=1e-3):
            raise InputError(
                f"the grids of {told.name} differ in {name} between {sources[0]} and "
                f"{sources[1]}, the same points were expected: interpolate one of them "
                "to the other's first"
            )


def _axis(array: xr.DataArray, dim: str) -> xr.DataArray | None:
    """The coordinate of numbers along a dimension, that of its name first."""
    along = [n for n, c in array.coords.items() if c.dims == (dim,)]
    along = [n for n in along if array[n].dtype.kind in "fiu"]
    return array[min(along, key=lambda n: n != dim)] if along else None


def _line(array: xr.DataArray, dim: str) -> np.ndarray | None:
    axis = _axis(array, dim)
    return None if axis is None else axis.values.astype(np.float64)


def _kind(array: xr.DataArray, dim: str) -> str:
    """`latitude`, `longitude`, or what else CF or its name says of a dimension."""
    axis = _axis(array, dim)
    attributes = {} if axis is None else axis.attrs
    units = str(attributes.get("units", ""))
    name = (dim if axis is None else str(axis.name)).lower()
    if units.startswith(("degrees_n", "degree_n")) or name in ("lat", "latitude"):
        return "latitude"
    if units.startswith(("degrees_e", "degree_e")) or name in ("lon", "longitude"):
        return "longitude"
    return str(attributes.get("standard_name") or attributes.get("axis") or name)


def _close(values: np.ndarray) -> float:
    steps = np.abs(np.diff(np.sort(values)))
    return _CLOSE * float(np.median(steps)) if steps.size else 1e-6


def _run(values: np.ndarray) -> str:
    text = f"{values.size} points from {values[0]:g} to {values[-1]:g}"
    return text if values.size < 2 else f"{text} by {abs(values[1] - values[0]):.4g}"


def _sizes(array: xr.DataArray, dims: Sequence[str]) -> str:
    return " x ".join(f"{d} {array.sizes[d]}" for d in dims) or "none"
