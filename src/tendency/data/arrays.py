"""Floor 4: arrays and attributes as JSON, exactly."""

import base64
import zlib
from typing import Any

import numpy as np

_LISTED = 4096  # longer arrays, and those of several axes, are compressed


def array_to_dict(array: np.ndarray) -> dict[str, Any]:
    """An array of numbers, booleans, text or `datetime64` as JSON, bit for bit."""
    array = np.asarray(array)
    kind = array.dtype.kind
    if kind == "U" or (kind in "fiu" and array.ndim <= 1 and array.size <= _LISTED):
        finite = kind != "f" or np.isfinite(array).all()
        if finite:
            return {
                "dtype": array.dtype.str,
                "shape": list(array.shape),
                "values": array.reshape(-1).tolist(),
            }
    if kind == "b":
        content, dtype = np.packbits(array.reshape(-1)), "bool"
    else:
        content, dtype = np.ascontiguousarray(array), array.dtype.str
    packed = base64.b64encode(zlib.compress(content.tobytes())).decode("ascii")
    return {"dtype": dtype, "shape": list(array.shape), "zlib": packed}


def array_from_dict(content: dict[str, Any]) -> np.ndarray:
    """The inverse of `array_to_dict`."""
    dtype, shape = content["dtype"], tuple(content["shape"])
    if "values" in content:
        return np.array(content["values"], dtype).reshape(shape)
    raw = zlib.decompress(base64.b64decode(content["zlib"]))
    if dtype == "bool":
        count = int(np.prod(shape, dtype=int))
        bits = np.unpackbits(np.frombuffer(raw, np.uint8), count=count)
        return bits.astype(bool).reshape(shape)
    return np.frombuffer(raw, dtype).reshape(shape).copy()


def plain(value: Any) -> Any:
    """An attribute as JSON can hold it: NumPy scalars and arrays become Python's."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value.decode("latin-1") if isinstance(value, bytes) else value
