"""Floor 4: results on disk, whole or not at all."""

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Literal

import xarray as xr

from tendency.errors import InputError


def write_dataset(
    dataset: xr.Dataset,
    path: str | Path,
    format: Literal["netcdf", "zarr"] = "netcdf",
) -> None:
    """Write a Dataset to NetCDF or Zarr; what was at `path` is replaced at the end.

    It is written under another name in the same folder and then renamed, so that a
    kill or a full disk leaves nothing half done.

    Raises:
        InputError: the folder is missing or not writable, or the disk is full.
    """
    path = Path(path)
    temporary = None
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        target = temporary / path.name
        if format == "zarr":
            encoding = _encoding(dataset, {})
            # Version 3 has no agreed form yet for text and for consolidated metadata.
            dataset.to_zarr(target, encoding=encoding, zarr_format=2, consolidated=True)
        else:
            encoding = _encoding(dataset, {"zlib": True, "complevel": 1})
            dataset.to_netcdf(target, engine="netcdf4", encoding=encoding)
        _replace(target, path)
    except (OSError, RuntimeError) as error:  # NetCDF calls a full disk an HDF error
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InputError(
            f"{path} could not be written ({reason}): give a folder that exists, is "
            f"writable and has {dataset.nbytes / 1e6:.0f} MB to spare"
        ) from error
    finally:
        if temporary is not None:
            _remove(temporary)


def _remove(folder: Path) -> None:
    """Wait for threads of Zarr that go on writing when one of them has failed."""
    gone = 0
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        gone = 0 if folder.exists() else gone + 1
        if gone == 3:
            return
        time.sleep(0.01)


def _encoding(dataset: xr.Dataset, options: dict) -> dict:
    """No fill value on coordinates, which CF forbids; `options` for what is large."""
    encoding = {name: {"_FillValue": None} for name in dataset.coords}
    for name, array in dataset.coords.items():
        if array.dtype.kind in "MOUS":
            encoding.pop(name)
    large = {n: options for n, a in dataset.data_vars.items() if a.size > 4096}
    return {**encoding, **large}


def _replace(new: Path, path: Path) -> None:
    if path.is_dir():  # a folder cannot replace one that is not empty
        old = new.with_name(f"{new.name}.old")
        os.rename(path, old)
    os.replace(new, path)
