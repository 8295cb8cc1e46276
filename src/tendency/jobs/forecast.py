"""Floor 5: `tendency forecast`, every model from every start, as CF files.

`forecasts/NAME.nc` (or `.zarr`) holds one model's, with `init_time`, `lead_time` and
`valid_time`; `model` is a coordinate without a dimension, so that files join along it:
`xr.open_mfdataset("forecasts/*.nc", combine="nested", concat_dim="model")`.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from tendency import __version__
from tendency.data.clock import show
from tendency.data.write import write_dataset
from tendency.errors import InputError
from tendency.files import writing
from tendency.forecasting import forecast, spin_up
from tendency.jobs.fit import Kept, load_model
from tendency.jobs.load import Material
from tendency.jobs.models import BASELINES
from tendency.jobs.progress import Say
from tendency.jobs.series import filled
from tendency.jobs.settings import Job
from tendency.jobs.starts import forecast_starts

_BATCH_BYTES = 2**27  # of the states of a batch of forecasts


def forecast_folder(job: Job, dates: Sequence[str] = ()) -> Path:
    """Where the forecasts are: those from dates of their own apart from the others."""
    folder = Path(job.out) / "forecasts"
    return folder / f"from-{dates[0]}" if dates else folder


def forecast_path(job: Job, name: str, dates: Sequence[str] = ()) -> Path:
    """The file with the forecasts of one model."""
    suffix = {"netcdf": "nc", "zarr": "zarr"}[job.forecast.format]
    return forecast_folder(job, dates) / f"{name}.{suffix}"


def forecast_all(
    job: Job, material: Material, *, dates: Sequence[str] = (), say: Say
) -> None:
    """Forecast with all models of the job and the baselines, and write the files.

    Arguments:
        dates: starts that take the place of the job's; the last time of the record is
            one too, for a forecast that nothing can verify yet.

    Raises:
        InputError: a model is not fitted, a start is impossible, the disk is full.
    """
    if dates:
        settings = job.forecast.model_copy(update={"starts": list(dates)})
        job = job.model_copy(update={"forecast": settings})
    starts = forecast_starts(job, material).index
    kept = [load_model(job, name, material) for name in (*BASELINES, *job.models)]
    folder = forecast_folder(job, dates)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    states = filled(job, material)
    for model in kept:
        began = time.perf_counter()
        values = run_forecasts(
            model,
            states,
            material.series.t,
            starts,
            job.forecast.steps,
            members=job.forecast.members,
            seed=job.seed,
        )
        seconds = time.perf_counter() - began
        dataset = _dataset(job, model, material, starts, values, seconds)
        write_dataset(
            dataset, forecast_path(job, model.name, dates), job.forecast.format
        )
        lost = int((~np.isfinite(values)).reshape(len(starts), -1).any(1).sum())
        if lost:
            say(
                f"{model.name}: {lost} of {len(starts)} forecasts stop being finite, "
                "its scores are left out where they do: try a ridge, fewer lags, or a "
                "shorter horizon"
            )
    times = material.series.times[starts]
    span = show(times[0]) + (f" to {show(times[-1])}" if len(times) > 1 else "")
    say(f"{len(kept)} models forecast from {len(starts)} starts, {span}: {folder}")


def run_forecasts(
    kept: Kept,
    states: Float[np.ndarray, "time state"],
    t: Float[np.ndarray, " time"],
    starts: Int[np.ndarray, " start"],
    steps: int,
    *,
    members: int = 1,
    seed: int = 0,
) -> Float[np.ndarray, "start step *member state"]:
    """Forecasts in the units of the data, batches of starts in one compiled program.

    Arguments:
        states: without missing values [units of the data].
        t: the times of the states [unit of the clock].
        starts: indices into the series.
        members: more than one draw from stochastic models.
    """
    model = (kept.cell, kept.preparation, jnp.asarray(kept.header["outside"]))
    times, values = jnp.asarray(t), jnp.asarray(states)
    encoded = eqx.filter_jit(kept.preparation.encode)(values, times)
    size = states.dtype.itemsize * steps * members * states.shape[1]
    batch = int(np.clip(_BATCH_BYTES // size, 1, min(len(starts), 1024)))
    shape = (len(starts), steps, *((members,) if members > 1 else ()), states.shape[1])
    result = np.empty(shape, states.dtype)
    key = jax.random.key(seed)
    for first in range(0, len(starts), batch):
        index = starts[first : first + batch]
        filler = np.full(batch - len(index), index[0])
        told = _batch(
            model,
            (encoded, values, times),
            jnp.asarray(np.append(index, filler), jnp.int32),
            jax.random.fold_in(key, first),
            steps,
            members,
        )
        result[first : first + batch] = np.asarray(told)[: len(index)]
    return result


@eqx.filter_jit
def _batch(model, series, index, key, steps: int, members: int):
    keys = jax.random.split(key, (len(index), members))
    if members == 1:
        return jax.vmap(lambda i: _one(model, series, i, None, steps))(index)

    def ensemble(i, keys):
        one = jax.vmap(lambda k: _one(model, series, i, k, steps), out_axes=1)
        return one(keys)

    return jax.vmap(ensemble)(index, keys)


def _one(model, series, i, key, steps: int):
    cell, preparation, outside = model
    encoded, values, times = series
    past = cell.spin_up_steps

    def history(array):
        return jax.lax.dynamic_slice_in_dim(array, i - past, past + 1)

    carry = spin_up(cell, history(encoded), history(times))
    ends = times[i] + cell.dt * jnp.arange(steps + 1, dtype=times.dtype)
    latent = forecast(cell, carry, steps, ends, key=key)[1]
    told = preparation.decode(latent, ends[1:])
    if preparation.patterns is None:
        return told
    # What the EOFs cannot hold of the first state fades as its own regression says.
    left = values[i] - preparation.decode(encoded[i], times[i])
    fading = outside.astype(told.dtype) ** jnp.arange(1, steps + 1, dtype=told.dtype)
    return told + fading[:, None] * left[None]


def _dataset(
    job: Job,
    model: Kept,
    material: Material,
    starts: Int[np.ndarray, " start"],
    values: np.ndarray,
    seconds: float,
) -> xr.Dataset:
    layout = material.layout
    leads = layout.clock.step * np.arange(1, job.forecast.steps + 1)
    dataset = layout.unpack_forecast(values, material.series.times[starts], leads)
    dataset = dataset.assign_coords(
        model=xr.Variable((), model.name, {"long_name": "model"})
    )
    return dataset.assign_attrs(
        title=f"{job.report.title}: forecasts by {model.name}",
        source=f"tendency {__version__}, {model.header['asked']['model']['kind']}",
        references=Path(job.data.path).name,
        tendency_model=model.header["mark"],
        tendency_seconds=round(seconds, 3),
    )


def open_forecast(job: Job, name: str, mark: str) -> xr.Dataset:
    """The forecasts of one model, still on disk.

    Raises:
        InputError: they are not there, or are those of another model.
    """
    path = forecast_path(job, name)
    if not path.exists():
        raise InputError(
            f"there are no forecasts by {name}, {path} was expected: run `tendency "
            "forecast` first"
        )
    options = {"engine": "zarr", "consolidated": False} if path.is_dir() else {}
    try:
        dataset = xr.open_dataset(path, decode_timedelta=False, **options)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} could not be read ({error}): forecast anew") from None
    if dataset.attrs.get("tendency_model") != mark:
        raise InputError(
            f"{path} was written by another model of that name: run `tendency "
            "forecast` again"
        )
    if dataset.sizes["lead_time"] != job.forecast.steps:
        raise InputError(
            f"{path} holds {dataset.sizes['lead_time']} steps and forecast.steps is "
            f"{job.forecast.steps}: run `tendency forecast` again"
        )
    return dataset
