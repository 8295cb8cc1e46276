"""Floor 5: example forecasts beside what was observed, as series and as maps."""

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from tendency.data.clock import as_dates, show
from tendency.data.variables import Variable
from tendency.jobs.load import Material
from tendency.jobs.models import BASELINES
from tendency.jobs.score import start_indices, truth_of
from tendency.jobs.settings import Job
from tendency.report.blocks import Block, Chart, Section
from tendency.report.charts import series_chart
from tendency.report.maps import map_frames
from tendency.scores.metrics import METRICS
from tendency.scores.records import Score

_EXAMPLES = 3  # forecasts drawn beside the truth
_SHOWN = 4  # models drawn in them
_CELLS = 250_000  # of a map; larger fields are not drawn


def example_sections(
    job: Job,
    material: Material,
    scores: Sequence[Score],
    opened: dict[str, xr.Dataset],
) -> Iterator[Section]:
    """Series of scalar variables, and a map of each field, told by the best models."""
    starts = start_indices(material, opened["climatology"]["init_time"].values)
    best = _ranked(scores, list(opened))
    for variable in material.layout.variables:
        space = [d for d in variable.dims if d != material.layout.time]
        size = variable.valid.size
        if not space or size == 1:
            yield _series_section(job, material, variable, starts, opened, best)
        elif len(space) == 2 and size <= _CELLS and min(variable.valid.shape) > 1:
            drawn = _map_section(job, material, variable, starts, opened, best[0])
            if drawn is not None:
                yield drawn


def _ranked(scores: Sequence[Score], names: Sequence[str]) -> list[str]:
    """Models from best to worst, by the first metric, over cases and leads."""
    first = scores[0].metric if scores else ""
    distance = METRICS[first].distance if first else float
    values = {
        name: [
            distance(s.value) for s in scores if s.model == name and s.metric == first
        ]
        for name in names
    }
    whole = max(map(len, values.values()), default=0)
    learned = [n for n in names if n not in BASELINES and len(values[n]) == whole]
    ranked = sorted(learned, key=lambda n: float(np.mean(values[n])))
    return [*ranked, *(n for n in names if n not in ranked and n in BASELINES)]


def _series_section(
    job: Job,
    material: Material,
    variable: Variable,
    starts: np.ndarray,
    opened: dict[str, xr.Dataset],
    ranked: Sequence[str],
) -> Section:
    steps = job.forecast.steps
    blocks: list[Block] = []
    part = material.layout.parts[variable.name]
    drawn = dict.fromkeys([*ranked[: _SHOWN - 1], "climatology"])
    for which in _spread(len(starts), _EXAMPLES):
        i = int(starts[which])
        first, stop = max(0, i - 2 * steps), min(i + steps + 1, len(material.series.t))
        clock = material.layout.clock
        before = material.series.part(first, stop)
        ends = clock.date(material.series.t[i] + clock.step * np.arange(1, steps + 1))
        times = np.unique(np.concatenate([as_dates(before.times), as_dates(ends)]))
        observed = before.states[:, part.start]
        series = {"observed": _placed(times, before.times, observed)}
        for name in drawn:
            told = opened[name][variable.name].isel(init_time=int(which))
            if "member" in told.dims:
                told = told.mean("member")
            values = np.ravel(told.values).astype(float)
            series[name] = _placed(times, ends, values)
            if name != "climatology":  # the others start from what was observed
                now = as_dates(material.series.times[i : i + 1])
                series[name][np.searchsorted(times, now)] = observed[i - first]
        date = show(material.series.times[i])
        dated = times if times.dtype.kind == "M" else np.arange(len(times), dtype=float)
        spec = series_chart(
            dated,
            series,
            label=variable.name,
            units=variable.units,
            reference="observed",
        )
        caption = f"Forecasts from {date}, and what was observed before and after."
        alt = f"{variable.name} observed and forecast from {date}."
        blocks.append(Chart(spec, caption, alt))
    text = (
        "Starts from the beginning, the middle and the end of the test part, whatever "
        "they show; the models with the best scores."
    )
    return Section(f"Example forecasts: {variable.name}", text, tuple(blocks))


def _map_section(
    job: Job,
    material: Material,
    variable: Variable,
    starts: np.ndarray,
    opened: dict[str, xr.Dataset],
    best: str,
) -> Section | None:
    which = int(_spread(len(starts), 1)[0])
    told = opened[best][variable.name].isel(init_time=which)
    if "member" in told.dims:
        told = told.mean("member")
    truth = truth_of(material, starts[which : which + 1], job.forecast.steps)
    observed = truth[variable.name].isel(init_time=0)
    space = [d for d in observed.dims if d != "lead_time"]
    told = told.transpose("lead_time", *space).values.astype(float)
    observed = observed.transpose("lead_time", *space)
    axes = [
        observed[d].values
        if d in observed.coords and observed[d].dtype.kind in "fiu"
        else np.arange(observed.sizes[d], dtype=float)
        for d in space
    ]
    if not np.isfinite(observed.values).any() or not np.isfinite(told).any():
        return None
    leads = observed["lead_time"].values
    unit = material.layout.clock.unit
    date = show(material.series.times[starts[which]])
    fields = {
        "observed": observed.values.astype(float),
        f"forecast by {best}": told,
        "error": told - observed.values,
    }
    frames = map_frames(
        fields,
        axes[0],
        axes[1],
        [f"{lead:g} {unit}{'' if lead == 1 else 's'}" for lead in leads],
        quantity=variable.name,
        units=variable.units,
        caption=f"Forecast by {best} from {date}, the lead time on the slider.",
        own_scale=("error",),
    )
    text = "One start from the middle of the test part; the model with the best score."
    return Section(f"An example: {variable.name}", text, (frames,))


def _spread(count: int, wanted: int) -> list[int]:
    """Positions in the middle of equal parts."""
    wanted = min(count, wanted)
    return [int((2 * i + 1) * count / (2 * wanted)) for i in range(wanted)]


def _placed(times: np.ndarray, at: np.ndarray, values: np.ndarray) -> np.ndarray:
    whole = np.full(len(times), np.nan)
    whole[np.searchsorted(times, as_dates(at))] = values
    return whole
