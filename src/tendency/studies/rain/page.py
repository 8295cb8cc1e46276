"""The report: how good nowcasts are by lead time, and what they look like."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tendency.report.blocks import Block, Column, Frames, Section, Table
from tendency.report.from_scores import score_chart, score_table
from tendency.report.maps import map_frames, plane_frames
from tendency.report.page import Page
from tendency.report.provenance import Provenance
from tendency.scores.records import Score
from tendency.studies._fields.page import where_from
from tendency.studies.rain.extrapolation import Nowcasts
from tendency.studies.rain.setting import (
    HOW,
    PERSIANN,
    PERSIANN_MINUTES,
    Radar,
    Size,
)
from tendency.studies.rain.verify import is_measured, truth_of

MERGED, ADVECTION, PYSTEPS = (
    "Merged",
    "Advection",
    "pysteps Lucas-Kanade",
)
_SHOWN = (5, 30, 60, 120, 180)  # [min]
_NAMES = {
    "csi": "critical success index",
    "pod": "probability of detection",
    "far": "false alarm ratio",
    "fss": "fractions skill score",
}


class Shown(NamedTuple):
    """What the page tells of."""

    radar: Radar
    size: Size
    starts: np.ndarray
    leads: Sequence[int]
    told: Mapping[str, Nowcasts]
    chances: Nowcasts  # of 1 mm/h, by the merged model


def make_page(scores: Sequence[Score], shown: Shown, provenance: Provenance) -> Page:
    """The page of the study."""
    sections = (
        _first_section(scores, shown),
        _maps_section(shown),
        *(_score_section(scores, shown, metric) for metric in ("far", "pod", "fss")),
        _heavy_section(scores, shown),
        _published_section(),
        _how_section(shown),
    )
    return Page(
        "The next hours of rain",
        "How well can the rain of the next three hours be told from the last half hour "
        "of a weather radar? Persistence, extrapolation along the flow, networks, and "
        "a model that is both: rain carried by the flow, and a network that has "
        "learned in a moving frame how rain grows and decays. All is learned from the "
        "earlier part of the record, and scored on starts that come after.",
        sections,
        provenance,
    )


def verdict(scores: Sequence[Score], leads: Sequence[float]) -> str:
    """What the merged model gains, in a sentence, or by how much it misses."""
    at = {
        (s.model, s.lead): s.value
        for s in scores
        if s.case == "1 mm/h" and s.metric == "csi"
    }
    rival = PYSTEPS if any(model == PYSTEPS for model, _ in at) else ADVECTION
    chosen = [m for m in (30, 60, 180) if m in leads] or [max(leads)]
    parts = []
    for minutes in chosen:
        # Of the two ways to use pysteps the better one counts.
        others = [v for (m, t), v in at.items() if m.startswith(rival) and t == minutes]
        ours, theirs = at[MERGED, minutes], max(others)
        word = "above" if ours > theirs else "below"
        parts.append(f"{abs(ours - theirs):.2f} {word} ({ours:.2f}) after {minutes:g}")
    who = "the better of pysteps' extrapolations" if rival == PYSTEPS else (
        "extrapolation by our own flow, pysteps not being installed"
    )  # fmt: skip
    return (
        "The critical success index of the merged model at 1 mm/h is, beside "
        f"{who}, {', '.join(parts)} minutes. {_false_alarms(scores)}"
    )


def _false_alarms(scores: Sequence[Score]) -> str:
    far = {
        (s.model, s.lead): s.value
        for s in scores
        if s.case == "1 mm/h" and s.metric == "far"
    }
    leads = sorted({lead for model, lead in far if model == MERGED and lead})
    more = [t for t in leads if far[MERGED, t] >= far.get(("Persistence", t), 1.0)]
    if not more:
        return "Its false alarm ratio is below that of persistence at every lead."
    listed = ", ".join(f"{t:g}" for t in more)
    return (
        f"Its false alarm ratio is not below that of persistence at {listed} minutes."
    )


def _first_section(scores: Sequence[Score], shown: Shown) -> Section:
    leads = [lead * shown.radar.minutes for lead in shown.leads]
    note = (
        " What is printed as published was measured earlier over all starts of that "
        "morning, not over the held-out ones alone: compare within a column of ours."
        if is_measured(shown.radar)
        else ""
    )
    text = (
        f"{where_from(shown.radar.fields, HOW)}\n\n{verdict(scores, leads)} Held out "
        f"are {len(shown.starts)} starts, the same for all models.{note}"
    )
    return Section(
        "How far ahead is rain told?", text, _pair(scores, shown, "csi", "1 mm/h")
    )


def _score_section(scores: Sequence[Score], shown: Shown, metric: str) -> Section:
    texts = {
        "far": "Of the points that were warned of 1 mm/h, the share that stayed dry.",
        "pod": "Of the points that got 1 mm/h, the share that was warned.",
        "fss": "The same seen through squares of 10 points: rain that falls a little "
        "beside its place is forgiven. 1 is perfect.",
    }
    title = _NAMES[metric].capitalize()
    return Section(title, texts[metric], _pair(scores, shown, metric, "1 mm/h"))


def _heavy_section(scores: Sequence[Score], shown: Shown) -> Section:
    return Section(
        "Heavy rain",
        "The critical success index at 5 mm/h, which few points reach: what is learned "
        "is learned from few cases, a cell that heavy lives shorter than an hour, and "
        "the sharp maps of extrapolation are hard to beat for some minutes.",
        _pair(scores, shown, "csi", "5 mm/h"),
    )


def _pair(
    scores: Sequence[Score], shown: Shown, metric: str, case: str
) -> tuple[Block, ...]:
    chosen = [s for s in scores if (s.metric, s.case) == (metric, case)]
    if not chosen:
        return ("No point reached the threshold, so that there is nothing to score.",)
    there = {s.lead for s in chosen}
    leads = [m for m in _SHOWN if m in there] or sorted(x for x in there if x)
    best = "lowest" if metric == "far" else "highest"
    table = score_table(
        chosen, metric, leads=leads, lead_units="min", best=best,
        caption=f"{_NAMES[metric].capitalize()} at {case}",
    )  # fmt: skip
    chart = score_chart(
        chosen, metric, lead_units="min", baselines=("Persistence",),
        caption=f"{_NAMES[metric].capitalize()} at {case} against lead time.",
    )  # fmt: skip
    return table, chart


def _maps_section(shown: Shown) -> Section:
    radar, which = shown.radar, len(shown.starts) // 2
    start = shown.starts[which]
    truth = truth_of(radar, shown.starts, shown.leads)[which]
    labels = [f"{lead * radar.minutes:g} min" for lead in shown.leads]
    rain = {
        "Radar": truth,
        ADVECTION: np.where(radar.seen, shown.told[ADVECTION][which], np.nan),
        "Merged: warned of": np.where(radar.seen, shown.told[MERGED][which], np.nan),
    }
    chance = {"chance": shown.chances[which]}
    one = _frames(radar, rain, labels, "rain rate", "mm h-1", (0.0, 5.0))
    two = _frames(radar, chance, labels, "probability", "", (0.0, 1.0))
    when = str(radar.fields.times[start].astype("datetime64[m]")).replace("T", " ")
    frames = Frames(
        (*one.panels, replace(two.panels[0], title="Merged: chance of 1 mm/h")),
        one.labels,
        f"From {when} UTC. Of the merged model the highest of the levels 0.1, 0.3, 1, "
        "2 and 5 mm/h that a point is warned of, and its chance of 1 mm/h.",
        "Maps of rain",
    )
    return Section(
        "One nowcast",
        "Rain from beyond the edge of the radar's view is not known, nor can it be "
        "told: the dry part that grows from upstream is what the flow brings in.",
        (frames,),
    )


def _frames(
    radar: Radar,
    fields: Mapping[str, np.ndarray],
    labels: Sequence[str],
    quantity: str,
    units: str,
    limits: tuple[float, float],
) -> Frames:
    rows, columns = radar.axes
    arguments = {"quantity": quantity, "units": units, "limits": limits}
    if radar.fields.on_sphere:
        return map_frames(fields, rows, columns, labels, **arguments, signed=False)
    edges = (f"{columns[0]:g}", "", f"{columns[-1]:g} km")
    aspect = float(np.ptp(columns) / np.ptp(rows))
    return plane_frames(
        fields, rows, columns, labels, **arguments, signed=False, aspect=aspect,
        edges=edges,
    )  # fmt: skip


def _published_section() -> Section:
    columns = (
        Column("model"),
        *(Column(f"{m} min", "%", published=True) for m in PERSIANN_MINUTES),
    )
    rows = tuple((name, *values) for name, values in PERSIANN.items())
    return Section(
        "Beside satellites",
        "Akbari Asanjan et al. (2018, J. Geophys. Res. Atmos.) forecast rain seen from "
        "satellites over the United States with an LSTM. Their numbers stand here for "
        "orientation only: read from a figure to 2 %, of half-hourly fields of a wider "
        "grid, of other storms, at another threshold, and not against a radar. Such "
        "choices move the score more than a model does, so that numbers of one run "
        "alone compare.",
        (Table(columns, rows, "Critical success index of the paper."),),
    )


def _how_section(shown: Shown) -> Section:
    radar, size = shown.radar, shown.size
    return Section(
        "How it works",
        "- The flow is estimated from the last four fields, of the logarithm of rain: "
        "bilinear between points 100 cells apart, by Gauss-Newton at decreasing scales "
        "(`tendency.statistical.advection`). The last field is carried along it and "
        "interpolated once.\n"
        "- The merged model carries means of the last field over circles of several "
        "sizes, the mean and the trend of the last fields along the flow, and what the "
        "radar sees. A network, the same for every point and lead, turns them into the "
        "distribution of the rate. It is isotropic and knows no place, so that a few "
        "hours suffice to learn it.\n"
        "- Which points to warn follows from the probabilities: so many of the "
        "likeliest that the expected critical success index is highest. No threshold "
        "is tuned.\n"
        f"- ConvLSTM and UNet ({size.units} channels) step the logarithm of the rain "
        f"on maps averaged to at most {size.widest} points a side, fitted through "
        f"roll-outs of {size.horizon} steps.\n"
        f"- Learned from: the first {radar.split} of {len(radar.rate)} times, "
        f"{size.pairs} pairs of a start and a lead, {size.pixels:,} points of each.",
    )
