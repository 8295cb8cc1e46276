"""Floor 5: `tendency check`, what a job will do, told before it does it."""

import numpy as np

from tendency.cell import Constant
from tendency.data.clock import show
from tendency.jobs.load import Material, fit_preparation, load_material
from tendency.jobs.maps import check_grids
from tendency.jobs.models import BASELINES, window_times
from tendency.jobs.settings import Job
from tendency.jobs.starts import Starts, forecast_starts, training_samples

Rows = list[tuple[str, str]]


def check(job: Job) -> dict[str, Rows]:
    """Read the data, do everything but the fits, and say what was found.

    The answer is a table of (what, how much) rows under each heading.

    Raises:
        InputError: whatever would stop the job later.
    """
    material = load_material(job)
    samples = training_samples(job, material)
    starts = forecast_starts(job, material)
    check_grids(job, material.layout)
    return {
        "data": _data(job, material),
        "parts": _parts(material),
        "preparation": _preparation(job, material),
        "models": [
            *((name, "baseline") for name in BASELINES),
            *(
                (
                    name,
                    f"{model.kind}, {samples[name]} samples of {window_times(model)} "
                    "times",
                )
                for name, model in job.models.items()
            ),
        ],
        "forecast": _forecast(job, material, starts),
    }


def _data(job: Job, material: Material) -> Rows:
    record, series, layout = material.record, material.series, material.layout
    rows = [
        ("file", record.source),
        ("step", layout.clock.label),
        ("calendar", layout.clock.calendar),
        (
            "times",
            f"{len(series.t)}, {show(series.times[0])} to {show(series.times[-1])}",
        ),
        ("stretches", _stretches(series.segments)),
    ]
    if job.data.start is not None:
        rows.append(("dates", "made from data.start and data.step"))
    if record.undated:
        rows.append(("left out", f"{record.undated} times without a date"))
    dropped = len(record.times) - len(series.t)
    if dropped:
        rows.append(("cut", f"{dropped} times with missing values"))
    for variable in layout.variables:
        points = int(variable.valid.sum())
        of = "" if variable.valid.all() else f" of {variable.valid.size}"
        lost = ~np.isfinite(series.states[:, layout.parts[variable.name]])
        text = f"{points}{of} points [{variable.units}]"
        if lost.any():
            text += f", {lost.mean():.2%} missing"
        rows.append((variable.name, text))
    rows.append(("memory", f"{series.states.nbytes / 1e6:.0f} MB"))
    return rows


def _parts(material: Material) -> Rows:
    rows = []
    for name in ("train", "validation", "test"):
        part = material.part(name)
        if len(part.t) == 0:
            rows.append((name, "none"))
            continue
        dates = f"{show(part.times[0])} to {show(part.times[-1])}"
        rows.append(
            (name, f"{dates}, {len(part.t)} times, {_stretches(part.segments)}")
        )
    return rows


def _preparation(job: Job, material: Material) -> Rows:
    settings = job.prepare
    preparation = fit_preparation(job, material)
    cycles = ", ".join(settings.deseasonalise)
    rows = [
        (
            "cycles",
            f"{cycles} ({settings.harmonics} harmonics)" if cycles else "none",
        ),
        ("standardise", "yes" if settings.standardise else "no"),
    ]
    if isinstance(preparation.explained, Constant):
        share = float(np.sum(np.asarray(preparation.explained.value)))
        rows.append(("EOFs", f"{preparation.size}, {share:.1%} of the variance"))
    rows.append(("components", str(preparation.size)))
    return rows


def _forecast(job: Job, material: Material, starts: Starts) -> Rows:
    steps, clock = job.forecast.steps, material.layout.clock
    times = material.series.times[starts.index]
    count = len(starts.index) * steps * job.forecast.members * material.layout.size
    size = count * material.series.states.dtype.itemsize
    return [
        ("starts", f"{len(times)}, {show(times[0])} to {show(times[-1])}"),
        ("lead times", f"{steps}, to {clock.step * steps:g} {clock.unit}s"),
        ("verified", "yes" if starts.verified else "not to the last lead time"),
        ("size", f"{size / 1e6:.0f} MB for each model"),
    ]


def _stretches(segments: tuple[int, ...]) -> str:
    if len(segments) == 1:
        return "without a gap"
    return f"{len(segments)} stretches of {min(segments)} to {max(segments)} times"
