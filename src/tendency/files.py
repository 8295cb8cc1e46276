"""Floor 0: files written whole or not at all, and arrays with a JSON header.

The format is safetensors: arrays and text, nothing that could be executed.
"""

import json
import os
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tendency.errors import InputError

_KEY = "tendency"  # the entry of the safetensors header that holds the JSON


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, whatever happens meanwhile.

    Raises:
        InputError: the folder is missing or not writable, or the disk is full.
    """
    path = Path(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"{path} could not be written ({error.strerror or error}): give a folder "
            "that exists, is writable and has space"
        ) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def write_tensors(
    path: str | Path, tensors: Mapping[str, np.ndarray], header: Mapping[str, Any]
) -> None:
    """Write arrays and a JSON header as one safetensors file, atomically."""
    from safetensors.numpy import save

    arrays = {name: np.asarray(a, order="C") for name, a in tensors.items()}
    write_atomically(path, save(arrays, {_KEY: json.dumps(dict(header))}))


def read_tensors(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the JSON header of a file by `write_tensors`; executes nothing.

    Raises:
        InputError: the file is missing, damaged, or not one of ours.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} could not be read ({error.strerror}): give the path of a file "
            "written by tendency"
        ) from error
    try:
        tensors = load(content)
        (size,) = struct.unpack("<Q", content[:8])
        metadata = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    except (SafetensorError, ValueError, struct.error, KeyError) as error:
        raise InputError(
            f"{path} is not a whole safetensors file ({error}): it was cut short, "
            "damaged, or is something else; get or write it anew"
        ) from error
    if _KEY not in metadata:
        raise InputError(
            f"{path} is a safetensors file without tendency's header: it was written "
            "by another program"
        )
    try:
        return tensors, json.loads(metadata[_KEY])
    except ValueError as error:
        raise InputError(f"the header of {path} is damaged ({error})") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
