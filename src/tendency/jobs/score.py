"""Floor 5: `tendency score`, forecasts against what was held out, by lead time."""

import json
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Int

from tendency import __version__
from tendency.data.layout import Layout
from tendency.errors import InputError
from tendency.files import write_atomically
from tendency.jobs.fit import asked_for, mark_of
from tendency.jobs.forecast import open_forecast
from tendency.jobs.load import Material
from tendency.jobs.measures import Measures, check_measures, records, tallies
from tendency.jobs.models import BASELINES
from tendency.jobs.progress import Say
from tendency.jobs.settings import Job
from tendency.scores.records import Score, scores_document


def measures_of(job: Job) -> Measures:
    """What `[score]` asks for."""
    asked = job.score
    return Measures(
        asked.metrics,
        asked.thresholds,
        asked.windows,
        asked.rows,
        asked.block,
        job.seed,
    )


def check_metrics(job: Job, layout: Layout) -> None:
    """Whether the metrics suit the variables.

    Raises:
        InputError: as `tendency.jobs.measures.check_measures`.
    """
    check_measures(
        measures_of(job),
        {
            v.name: dict(
                zip([d for d in v.dims if d != layout.time], v.valid.shape, strict=True)
            )
            for v in layout.variables
        },
        {v.name: v.units for v in layout.variables},
        members=job.forecast.members,
    )


def score_all(job: Job, material: Material, *, say: Say) -> list[Score]:
    """Score the forecasts of all models, write `scores.json`, give the records.

    Raises:
        InputError: forecasts are missing or belong to other models; none of them can
            be verified.
    """
    check_metrics(job, material.layout)
    names = (*BASELINES, *job.models)
    opened = {
        name: open_forecast(job, name, mark_of(asked_for(job, name, material)))
        for name in names
    }
    starts = start_indices(material, opened["climatology"]["init_time"].values)
    truth = truth_of(material, starts, job.forecast.steps)
    if not any(np.isfinite(a.values).any() for a in truth.data_vars.values()):
        raise InputError(
            "no forecast reaches into the data, so none can be verified: let "
            "forecast.starts name earlier dates"
        )
    climatology = opened["climatology"].load()
    asked, scores = measures_of(job), []
    units = {v.name: v.units for v in material.layout.variables}
    for name in names:
        with opened[name] as forecast:
            against = None if name == "climatology" else climatology
            sums = tallies(asked, forecast.load(), truth, against)
            found = list(records(asked, sums, units, name))
        lost = {s.metric for s in found if not np.isfinite(s.value)}
        if lost and name != "climatology":
            say(f"{name}: {', '.join(sorted(lost))} not finite at some lead times")
        scores += [s for s in found if np.isfinite(s.value)]
    settings = {
        "job": json.loads(json.dumps(job.model_dump(mode="json"))),
        "starts": len(starts),
    }
    study = Path(job.out).name
    document = scores_document(study, __version__, settings, scores)
    text = json.dumps(document, indent=1, allow_nan=False)
    write_atomically(Path(job.out) / "scores.json", text.encode())
    return scores


def start_indices(
    material: Material, init_times: np.ndarray
) -> Int[np.ndarray, " start"]:
    """Where in the record the forecasts start."""
    clock = material.layout.clock
    wanted, known = clock.number(init_times), material.series.t
    index = np.clip(np.searchsorted(known, wanted - 1e-6), 0, len(known) - 1)
    if not np.allclose(known[index], wanted, atol=1e-6):
        raise InputError(
            "forecasts start at times that are not in the data: run `tendency "
            "forecast` again"
        )
    return index


def truth_of(
    material: Material, starts: Int[np.ndarray, " start"], steps: int
) -> xr.Dataset:
    """What came after each start, laid out as the forecasts are; NaN is not known."""
    series, layout = material.series, material.layout
    stretch = np.cumsum(~series.follows)
    index = starts[:, None] + np.arange(1, steps + 1)
    there = index < len(series.t)
    index = np.minimum(index, len(series.t) - 1)
    there &= stretch[index] == stretch[starts][:, None]
    states = np.where(there[..., None], series.states[index], np.nan)
    leads = layout.clock.step * np.arange(1, steps + 1)
    return layout.unpack_forecast(
        states.astype(series.states.dtype), series.times[starts], leads
    )
