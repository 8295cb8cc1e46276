"""Folders with a model, its observations and the TOML of an assimilation."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import xarray as xr
from support import noisy_series

from tendency.cell import Constant
from tendency.jobs import stages as job_stages
from tendency.jobs.assimilation import stages
from tendency.statistical import LinearAR
from tendency.store import save

TIMES = np.datetime64("2001-01-01", "us") + np.arange(40).astype("m8[D]")
DT = 1.0


def rotation() -> LinearAR:
    turn = 0.99 * np.array([[np.cos(0.4), np.sin(0.4)], [-np.sin(0.4), np.cos(0.4)]])
    offset = np.array([1.0, -1.0]) - turn @ [1.0, -1.0]
    noise = Constant(0.05 * jnp.eye(2))
    return LinearAR(jnp.asarray(turn)[None], jnp.asarray(offset), DT, noise)


def observed() -> np.ndarray:
    values = noisy_series(len(TIMES))
    values[::3, 0] = np.nan
    values[5] = np.nan
    return values


def truth_after(steps: int) -> np.ndarray:
    """What comes after the last time that is observed, of the first variable."""
    return noisy_series(len(TIMES) + steps, noise=0.0)[len(TIMES) :, 0]


def dataset(values: np.ndarray, units: str = "m") -> xr.Dataset:
    data = {
        n: ("time", v, {"units": units}) for n, v in zip("ab", values.T, strict=True)
    }
    return xr.Dataset(data, {"time": TIMES[: len(values)]})


def of_a_cell(tmp_path: Path) -> Path:
    """A folder with a model, its observations and the TOML that names them."""
    save(tmp_path / "model.safetensors", rotation())
    dataset(observed()).to_netcdf(tmp_path / "seen.nc")
    (tmp_path / "a.toml").write_text(
        """
out = "out"
seed = 3

[model]
path = "model.safetensors"

[observations]
path = "seen.nc"
variance = { a = "100 cm2", b = 0.01 }

[method]
members = 6
inflation = 1.02

[prior]
mean = { a = 1.0, b = -1.0 }
std = { a = 2.0, b = 2.0 }
"""
    )
    return tmp_path


def run(folder: Path, *overrides: str) -> xr.Dataset:
    said = []
    stages.run(str(folder / "a.toml"), overrides, say=said.append)
    return xr.load_dataset(folder / "out" / "analyses.nc")


# A model of a job, its state seen through EOFs, and points of their own.


def of_a_job(tmp_path: Path) -> Path:
    """A job that has learned two travelling waves on a small grid with land."""
    rng = np.random.default_rng(0)
    times = np.datetime64("2001-01-01", "us") + np.arange(120).astype("m8[D]")
    lat, lon = np.linspace(30, 34, 5), np.linspace(0, 10, 6)
    phase = 0.6 * lon[None, :] + 0.3 * lat[:, None]
    t = np.arange(len(times))[:, None, None]
    h = np.cos(phase - 0.3 * t) + 0.5 * np.cos(2 * phase + 0.5 * t)
    h = h + 0.05 * rng.normal(size=h.shape)
    h[:, :2, :2] = np.nan
    coords = {"time": times, "lat": lat, "lon": lon}
    data = xr.Dataset({"h": (("time", "lat", "lon"), h, {"units": "m"})}, coords)
    data["lat"].attrs["units"] = "degrees_north"
    data.to_netcdf(tmp_path / "all.nc")
    job = tmp_path / "job.toml"
    job.write_text(
        """
out = "job"
[data]
path = "all.nc"
variables = ["h"]
mask = "land"
[split]
train = ["2001-01", "2001-03"]
test = ["2001-04-01", "2001-04-30"]
[prepare]
eofs = 4
[models.ar]
kind = "linear_ar"
lags = 2
[forecast]
steps = 2
"""
    )
    job_stages.fit(str(job), say=lambda _: None)
    (tmp_path / "a.toml").write_text(
        """
out = "out"
[model]
path = "job/models/ar.safetensors"
[observations]
path = "all.nc"
std = { h = "5 cm" }
withhold = 0.8
[method]
members = 12
[time]
start = "2001-04-01"
stop = "2001-04-20"
"""
    )
    return tmp_path
