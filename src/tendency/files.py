"""Floor 0: files written whole or not at all, and arrays with a JSON header.

The format is safetensors: arrays and text, nothing that could be executed.
"""

import contextlib
import hashlib
import json
import os
import struct
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tendency.errors import InputError

_KEY = "tendency"  # the entry of the safetensors header that holds the JSON
_DIGEST = "sha256"  # the entry that holds the digest of the JSON and the arrays


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Say in one sentence why `path` cannot be written.

    Raises:
        InputError: in place of an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path} could not be written ({error.strerror or error}): give a folder "
            "that exists, is writable and has space"
        ) from error


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, whatever happens meanwhile.

    Raises:
        InputError: the folder is missing or not writable, or the disk is full.
    """
    path = Path(path)
    temporary = None
    try:
        with writing(path):
            prefix = f".{path.name}."
            handle, temporary = tempfile.mkstemp(prefix=prefix, dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def write_tensors(
    path: str | Path, tensors: Mapping[str, np.ndarray], header: Mapping[str, Any]
) -> None:
    """Write arrays and a JSON header as one safetensors file, atomically."""
    from safetensors.numpy import save

    arrays = {name: np.asarray(a, order="C") for name, a in tensors.items()}
    text = json.dumps(dict(header))
    metadata = {_KEY: text, _DIGEST: _digest(arrays, text)}
    write_atomically(path, save(arrays, metadata))


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
    except (SafetensorError, ValueError, struct.error, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a whole safetensors file ({error}): it was cut short, "
            "damaged, or is something else; get or write it anew"
        ) from error
    if _KEY not in metadata:
        raise InputError(
            f"{path} is a safetensors file without tendency's header: it was written "
            "by another program"
        )
    if metadata.get(_DIGEST) != _digest(tensors, metadata[_KEY]):
        raise InputError(
            f"{path} is damaged: its content does not have the digest written with it; "
            "get or write it anew"
        )
    try:
        header = json.loads(metadata[_KEY])
    except (ValueError, RecursionError) as error:
        raise InputError(f"the header of {path} is damaged ({error})") from error
    if not isinstance(header, dict):
        raise InputError(f"the header of {path} is damaged: it is not a JSON object")
    return tensors, header


def _digest(tensors: Mapping[str, np.ndarray], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        array = np.asarray(tensors[name], order="C")
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def prepare_folder(folder: str | Path, *, overwrite: bool = False) -> None:
    """Make a folder for results, before any work is done.

    Raises:
        InputError: it is a file, it is not empty and `overwrite` is not asked for, or
            it cannot be made or written to.
    """
    folder = Path(folder)
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file, a folder was expected: name another")
        if folder.is_dir() and any(folder.iterdir()) and not overwrite:
            raise InputError(
                f"the folder {folder} is not empty, an empty or new one was expected: "
                "name another with --out, or allow --overwrite"
            )
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"the folder {folder} cannot be written to ({error.strerror}): name another"
        ) from error
