"""A study of emulators, from data to report: baselines, a stencil, networks, one page.

`Setting` is what differs between currents, temperature and sea surface temperature;
`study_of` makes the study of it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from tendency.cell import AbstractCell
from tendency.report.blocks import Chart, Column, Section, Table
from tendency.report.lines import line_chart
from tendency.report.page import Page
from tendency.report.provenance import Provenance
from tendency.report.results import write_results
from tendency.scores.records import Score
from tendency.studies._fields.baselines import baselines, prepared
from tendency.studies._fields.emulators import (
    Learned,
    Record,
    Say,
    Stencil,
    Training,
    chosen_stencil,
    learn,
    stencil,
)
from tendency.studies._fields.evaluate import (
    Forecasts,
    Model,
    forecasts,
    rmse_scores,
    truth_of,
)
from tendency.studies._fields.fields import (
    Fields,
    Wanted,
    read_fields,
    simulated_fields,
)
from tendency.studies._fields.page import forecast_maps, skill_section, where_from
from tendency.studies._fields.split import Split, held_out_starts, split_at

STENCIL = "Stencil"
Networks = Callable[[Record, AbstractCell, int], Mapping[str, AbstractCell]]


@dataclass(frozen=True)
class Setting:
    """What a study of emulators is about."""

    study: str
    title: str
    question: str
    how: str  # where data are had, a sentence or two
    wanted: tuple[Wanted, ...]
    simulate: Callable[[bool, int], xr.Dataset]  # small, seed
    source: str  # what the simulation is
    split: str | float
    simulated_split: float
    leads: tuple[int, ...]  # of the tables [steps]
    lead_units: str
    networks: Networks  # by name, from the record, the stencil and a seed
    training: Mapping[str, Training]
    stencils: tuple[Stencil, ...]  # the end of the training part chooses
    cycles: tuple[str, ...] = ()  # taken off for stencil and networks
    baselines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    quantity: str = ""
    stride: int = 1  # between held-out starts

    @property
    def steps(self) -> int:
        """The longest lead."""
        return max(self.leads)


@dataclass(frozen=True, eq=False)
class Emulated:
    """What was found."""

    setting: Setting
    record: Record
    starts: np.ndarray
    truth: Forecasts
    told: dict[str, Forecasts]
    models: dict[str, Model]
    learned: dict[str, Learned]
    beaten: tuple[str, ...]  # the names of the baselines
    scores: list[Score]

    def rmse(self, model: str) -> dict[float, float]:
        """By lead time [unit of the clock]."""
        return {
            s.lead: s.value
            for s in self.scores
            if (s.model, s.metric) == (model, "rmse") and s.lead is not None
        }


Extra = Callable[[Emulated, int, bool, Say], tuple[list[Score], list[Section]]]


def nothing_more(*_: Any) -> tuple[list[Score], list[Section]]:
    """Of a study that shows no more than errors and maps."""
    return [], []


def study_of(
    setting_of: Callable[[bool], Setting], extra: Extra = nothing_more
) -> Callable[..., None]:
    """The `run` of a study of emulators.

    Arguments:
        setting_of: the setting of the study, or of its quick look.
        extra: scores and sections that this study has beside.
    """

    def run(
        out: Path, *, seed: int, small: bool, say: Say, data: Path | None = None
    ) -> None:
        """Write `scores.json` and `report.html` into `out`.

        Raises:
            InputError: the data do not suit, or something cannot be written.
        """
        _emulate(setting_of(small), out, data, seed, small, say, extra)

    return run


def _emulate(
    setting: Setting,
    out: Path,
    data: Path | None,
    seed: int,
    small: bool,
    say: Say,
    extra: Extra,
) -> None:
    began = time.perf_counter()
    if data is None:
        fields = simulated_fields(setting.simulate(small, seed), setting.source)
        say(f"no file was given: {setting.source}. {setting.how}")
        split = split_at(fields, setting.simulated_split)
    else:
        fields = read_fields(data, setting.wanted)
        split = split_at(fields, setting.split)
    found = compare(setting, fields, split, seed=seed, small=small, say=say)
    more_scores, more_sections = extra(found, seed, small, say)
    provenance = Provenance.here(
        seed=seed,
        wall_seconds=time.perf_counter() - began,
        more={"data": fields.source, "precision": "float32"},
    )
    page = Page(
        setting.title,
        setting.question,
        (*sections(found), *more_sections),
        provenance,
    )
    settings = {"seed": seed, "small": small, "data": fields.source}
    scores = [*found.scores, *more_scores]
    report = write_results(out, setting.study, settings, scores, page)
    say(f"{report} after {time.perf_counter() - began:.0f} s")


def compare(
    setting: Setting, fields: Fields, split: Split, *, seed: int, small: bool, say: Say
) -> Emulated:
    """Fit everything, forecast from the same held-out starts, score."""
    steps, models = setting.steps, {}
    for label, options in (setting.baselines or {"": {}}).items():
        cycles = options.get("cycles", setting.cycles)
        rest = {k: v for k, v in options.items() if k != "cycles"}
        for name, model in baselines(
            fields, split, steps, cycles=cycles, **rest
        ).items():
            models.setdefault(f"{name}{label}" if name == "EOF-ridge" else name, model)
    beaten = tuple(models)
    record = Record.of(
        fields, split, prepared(fields, split.train, setting.cycles, None)
    )
    option = chosen_stencil(record, setting.stencils, steps)
    base = stencil(record, option)
    say(f"the stencil: {option}")
    models[STENCIL] = record.model(base)
    learned = {}
    for name, cell in setting.networks(record, base, seed).items():
        training = setting.training[name]
        learned[name] = learn(record, cell, training, seed=seed, name=name, say=say)
        models[name] = learned[name].model
    history = max(model.cell.spin_up_steps for model in models.values())
    starts = held_out_starts(
        fields, split, steps, history=history, stride=setting.stride
    )
    truth = truth_of(fields, starts, steps)
    told, scores = {}, []
    for name, model in models.items():
        told[name] = forecasts(model, fields, starts, steps)
        found = rmse_scores(setting.quantity, name, told[name], truth, fields)
        scores += [s for s in found if np.isfinite(s.value)]
        shown = ", ".join(
            f"{s.value:.3g}" for s in found if _step(s, fields) in setting.leads
        )
        say(f"{name}: RMSE {shown} at {setting.leads} steps")
    return Emulated(
        setting, record, starts, truth, told, models, learned, beaten, scores
    )


def _step(score: Score, fields: Fields) -> int:
    return round((score.lead or 0) / fields.dt)


def sections(found: Emulated) -> list[Section]:
    """Where the numbers come from, errors, gains, maps, how the networks learned."""
    setting, fields = found.setting, found.record.fields
    leads = [step * fields.dt for step in setting.leads]
    times = fields.times[found.starts]
    what = (
        f"{where_from(fields, setting.how)}\n\nForecasts start from {len(times)} times "
        f"that nothing was learned from, {_day(times[0])} to {_day(times[-1])}. "
        f"{_split_text(found)}"
    )
    parts = [
        skill_section(
            "Errors by lead time",
            what,
            found.scores,
            "rmse",
            lead_units=setting.lead_units,
            leads=leads,
            baselines=found.beaten,
            caption="Root mean square over starts, points and variables, by area.",
        ),
        _gains(found, leads),
        _maps(found),
    ]
    if found.learned:
        parts.append(_learning(found))
    return parts


def _split_text(found: Emulated) -> str:
    first, stop = found.record.split.train
    cycles = " and ".join(found.setting.cycles)
    taken = f" The mean cycle of the {cycles} was taken off." if cycles else ""
    return f"All was learned from {stop - first} times before.{taken}"


def _gains(found: Emulated, leads: list[float]) -> Section:
    """How much less than the best baseline of each lead, in the same run."""
    best = {
        lead: min(found.rmse(name)[lead] for name in found.beaten) for lead in leads
    }
    names = [name for name in found.models if name not in found.beaten]
    rows = tuple(
        (name, *(100 * (1 - found.rmse(name)[x] / best[x]) for x in leads))
        for name in names
        if all(x in found.rmse(name) for x in leads)
    )
    columns = [
        Column(f"{x:g} {found.setting.lead_units}", "%", best="highest") for x in leads
    ]
    table = Table(
        (Column("model"), *columns),
        rows,
        "How much less the error is than that of the best baseline at this lead.",
    )
    return Section("Gain over the best baseline", "", (table,))


def _maps(found: Emulated) -> Section:
    """One start: the truth, the best baseline and the best of ours, lead by lead."""
    setting, fields = found.setting, found.record.fields
    last = setting.steps * fields.dt

    def best(names: list[str]) -> str:
        finite = [n for n in names if last in found.rmse(n)]
        return min(finite, key=lambda n: found.rmse(n)[last])

    ours = [n for n in found.models if n not in found.beaten]
    chosen = [best(list(found.beaten)), best(ours)]
    middle = len(found.starts) // 2
    maps = {n: fields.on_grid(found.told[n][middle])[:, 0] for n in chosen}
    truth = fields.on_grid(found.truth[middle])[:, 0]
    variable = fields.layout.variables[0]
    labels = [
        f"+{fields.dt * (i + 1):g} {setting.lead_units}" for i in range(setting.steps)
    ]
    name = str(variable.attributes.get("long_name", variable.name))
    start = _day(fields.times[found.starts[middle]])
    frames = forecast_maps(
        fields,
        truth,
        maps,
        labels,
        quantity=name,
        units=str(variable.attributes.get("units", "1")),
        caption=f"{name} from {start}: {chosen[0]} and {chosen[1]}.",
    )
    return Section("A forecast as maps", "", (frames,))


def _learning(found: Emulated) -> Section:
    """Losses by epoch."""
    lines = {}
    for name, learned in found.learned.items():
        for what, label in (
            ("train_loss", "training"),
            ("validation_loss", "held back"),
        ):
            values = np.asarray(learned.history[what])
            lines[f"{name}, {label}"] = (np.arange(1.0, len(values) + 1), values)
    seconds = ", ".join(f"{n} {x.seconds:.0f} s" for n, x in found.learned.items())
    chart = Chart(
        line_chart(lines, across="epoch", up="loss"),
        "Mean square of the roll-outs' errors, by epoch; the epoch with the least loss "
        "on what was held back is kept.",
        "Losses of the networks by epoch.",
    )
    text = f"The networks learn through roll-outs. Time of the fits: {seconds}."
    return Section("Learning", text, (chart,))


def _day(moment: Any) -> str:
    return str(moment)[:16].replace("T", " ").removesuffix(" 00:00")
