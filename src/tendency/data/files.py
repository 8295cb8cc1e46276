"""Floor 4: a file opened, whatever its format, or the reason why it cannot be.

NetCDF and Zarr stay on disk until their numbers are needed; several files that a `*`
names are joined along time and need dask. Times are left as they are written: see
`axes.py`.
"""

import glob
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr

from tendency.data.classic import whole_size
from tendency.data.joining import joined
from tendency.data.table import TABLES, open_table
from tendency.errors import InputError, nearest

_MAGIC = {b"CDF": "netcdf", b"\x89HDF\r\n\x1a\n": "netcdf", b"GRIB": "grib"}


def open_file(path: str | Path) -> xr.Dataset:
    """The Dataset of a NetCDF, Zarr or CSV file, its numbers still on disk.

    Raises:
        InputError: no such file, not in a known format, truncated or damaged.
    """
    text = str(path)
    if "://" in text:
        return _opened(text, lambda: _zarr(text))
    if any(c in text for c in "*?["):
        return _open_many(text)
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist: {_neighbours(path)}")
    kind = format_of(path)
    if kind == "zarr":
        return _opened(path, lambda: _zarr(path))
    if kind == "table":
        return open_table(path)
    if kind == "netcdf":
        return _opened(path, lambda: _netcdf(path))
    raise InputError(
        f"{path} is {_described(path, kind)}, and a NetCDF, Zarr or CSV file was "
        "expected: give one, or convert it"
    )


def format_of(path: Path) -> str:
    """`netcdf`, `zarr`, `table`, `grib`, `folder`, `empty` or `unknown`."""
    if path.is_dir():
        markers = ("zarr.json", ".zgroup", ".zmetadata")
        return "zarr" if any((path / m).exists() for m in markers) else "folder"
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise InputError(
            f"{path} could not be read ({error.strerror}): check its permissions"
        ) from error
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    if not head:
        return "empty"
    return "table" if path.suffix.lower() in TABLES else "unknown"


def load(dataset: xr.Dataset, source: str) -> xr.Dataset:
    """Bring the numbers into memory.

    Raises:
        InputError: they cannot be read, as the file is truncated or damaged, or they
            do not fit.
    """
    try:
        return dataset.load()
    except MemoryError as error:
        raise InputError(
            f"{source} needs {dataset.nbytes / 1e9:.1f} GB of memory, more than there "
            "is: choose fewer variables or a smaller data.subset"
        ) from error
    except (OSError, RuntimeError, ValueError, KeyError, EOFError) as error:
        raise _damaged(source, error) from error


def _netcdf(path: Path) -> xr.Dataset:
    expected, size = whole_size(path), path.stat().st_size
    if expected is not None and size < expected:
        raise EOFError(f"it has {size} of {expected} bytes")
    return xr.open_dataset(path, decode_times=False)


def _zarr(path: str | Path) -> xr.Dataset:
    try:
        return xr.open_zarr(path, decode_times=False, consolidated=True)
    except (KeyError, ValueError, FileNotFoundError):
        return xr.open_zarr(path, decode_times=False, consolidated=False)


def _opened(path: Any, opener: Callable[[], xr.Dataset]) -> xr.Dataset:
    try:
        return opener()
    except ImportError as error:
        raise InputError(
            f"{path} needs a package that is not installed ({error}): install it"
        ) from error
    except Exception as error:  # each backend raises its own kinds
        raise _damaged(path, error) from error


def _damaged(path: Any, error: Exception) -> InputError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return InputError(
        f"{path} could not be read ({reason[:120]}), a whole file was expected: it is "
        "truncated or damaged, so get or write it anew"
    )


def _open_many(pattern: str) -> xr.Dataset:
    paths = sorted(glob.glob(pattern))
    if not paths:
        raise InputError(
            f"no file matches {pattern}, at least one was expected: check the pattern"
        )
    for path in paths:
        if format_of(Path(path)) != "netcdf":
            raise InputError(
                f"{path}, one of {len(paths)} files that match {pattern}, is not a "
                "NetCDF file: narrow the pattern"
            )
    parts = {p: _opened(p, lambda p=p: _netcdf(Path(p)).chunk()) for p in paths}
    return joined(parts, pattern)


def _neighbours(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"the folder {folder} does not exist either, check the path"
    names = [p.name for p in folder.iterdir()]
    return nearest(path.name, names, otherwise="check the path")


def _described(path: Path, kind: str) -> str:
    return {
        "folder": "a folder without a Zarr store in it",
        "empty": "empty",
        "grib": "a GRIB file",
    }.get(kind, "in an unknown format")
