"""Floor 4: what a `Layout` is made of, the variables and coordinates of a file."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool, Shaped

from tendency.data.arrays import plain
from tendency.errors import InputError

KEPT = ("standard_name", "long_name", "units", "positive", "axis", "cell_methods")
"""The attributes that hold for a forecast as they do for the data."""


@dataclass(frozen=True, eq=False)
class Coordinate:
    """A coordinate that does not change with time."""

    name: str
    dims: tuple[str, ...]
    values: Shaped[np.ndarray, "*dims"]
    attributes: dict[str, Any]

    @property
    def is_latitude(self) -> bool:
        """By CF's standard name or units, else by its own name."""
        return (
            self.attributes.get("standard_name") == "latitude"
            or str(self.attributes.get("units", "")).startswith(
                ("degrees_n", "degree_n")
            )
            or self.name.lower() in ("lat", "latitude")
        )


@dataclass(frozen=True, eq=False)
class Variable:
    """A variable, and at which of its points it is part of the state."""

    name: str
    dims: tuple[str, ...]  # as in the data, time among them
    valid: Bool[np.ndarray, "*space"]  # over the dimensions but time, in their order
    dtype: str  # float32 or float64
    attributes: dict[str, Any]

    @property
    def units(self) -> str:
        """As the data say, or `1`."""
        return str(self.attributes.get("units", "1"))


def describe(array: xr.DataArray, time: str, mask: str) -> Variable:
    """A variable of the file and its valid points.

    Raises:
        InputError: it has no time axis, holds no numbers, or no point of it is valid.
    """
    if time not in array.dims:
        raise InputError(
            f"the variable {array.name} has the dimensions {tuple(array.dims)} and no "
            f"time axis {time}: leave it out of data.variables"
        )
    if array.dtype.kind not in "fiub":
        raise InputError(
            f"the variable {array.name} holds {array.dtype} values, numbers were "
            "expected: leave it out of data.variables"
        )
    space = [d for d in array.dims if d != time]
    if mask == "none":
        valid = np.ones([array.sizes[d] for d in space], bool)
    else:
        seen = array.notnull()
        seen = seen.any(time) if mask == "land" else seen.all(time)
        valid = seen.transpose(*space).values
    if not valid.any():
        missing = "missing at every time" if mask != "incomplete" else "incomplete"
        raise InputError(
            f"every point of the variable {array.name} is {missing}, at least one "
            "valid point was expected: leave the variable out, or change data.subset "
            "or data.mask"
        )
    dtype = "float32" if array.dtype in (np.float32, np.float16) else "float64"
    return Variable(
        str(array.name), tuple(map(str, array.dims)), valid, dtype, kept(array.attrs)
    )


def kept(attributes: dict[Any, Any]) -> dict[str, Any]:
    """The attributes of `KEPT`, as JSON can hold them."""
    return {k: plain(v) for k, v in attributes.items() if k in KEPT}


def coordinate(array: xr.DataArray) -> Coordinate | None:
    """A coordinate of the file, or `None` for kinds that are not kept (cftime)."""
    values = array.values
    if values.dtype.kind == "O" and not all(isinstance(v, str) for v in values.flat):
        return None
    if values.dtype.kind in "OS":
        values = values.astype(str)
    dims = tuple(map(str, array.dims))
    return Coordinate(str(array.name), dims, values, kept(array.attrs))


def order_of(found: np.ndarray, wanted: np.ndarray) -> np.ndarray | None:
    """The index into `found` that gives `wanted`, or `None` where they differ."""
    if found.shape != wanted.shape:
        return None
    if wanted.dtype.kind not in "fiu" or found.dtype.kind not in "fiu":
        found = found.astype(wanted.dtype)
        order = np.argsort(found)[np.argsort(np.argsort(wanted))]
        return order if (found[order] == wanted).all() else None
    order = np.argsort(found)[np.argsort(np.argsort(wanted))]
    # Coordinates saved in float32 by one program and float64 by another are the same.
    scale = 1e-6 * max(float(np.abs(wanted).max(initial=0)), 1e-30)
    return order if (np.abs(found[order] - wanted) <= scale).all() else None
