"""The report: points and maps of sea level, beside the paper's accuracies."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tendency.report.blocks import Chart, Column, Section, Table
from tendency.report.charts import series_chart
from tendency.report.from_scores import score_chart, score_table
from tendency.report.page import Page
from tendency.report.provenance import Provenance
from tendency.scores.records import Score
from tendency.studies._fields.emulation import Emulated, sections
from tendency.studies._fields.page import skill_section, where_from
from tendency.studies.sea_level.models import BASELINES
from tendency.studies.sea_level.points import Points
from tendency.studies.sea_level.setting import HOW, STEPS, Sea, Size, too_short


class Shown(NamedTuple):
    """What the page tells of."""

    sea: Sea
    size: Size
    points: Points
    starts: np.ndarray
    told: Mapping[str, np.ndarray]  # (centre, start, lead) [m]
    maps: Emulated


def make_page(scores: Sequence[Score], shown: Shown, provenance: Provenance) -> Page:
    """The page of the study."""
    at_points = [s for s in scores if s.case == "points"]
    sections = [
        _points_section(at_points, shown),
        _accuracy_section(at_points),
        _series_section(shown),
        *_map_sections(shown.maps),
    ]
    given = [s for s in scores if s.case == "the file given"]
    if given:
        sections.append(_given_section(given, shown))
    sections.append(_how_section(shown))
    return Page(
        "The sea level of the next five days",
        "Can a network tell the sea level at a point from its past and that of the "
        "points around it? The merged LSTM of Song et al. (2020), which has a branch "
        "for each part of the neighbourhood, beside LSTM, GRU, TCN and ANN, and beside "
        "what needs no network.",
        tuple(sections),
        provenance,
    )


def verdict(scores: Sequence[Score]) -> str:
    """Which network is best, and what it gains over the best baseline."""
    at = {(s.model, s.lead): s.value for s in scores if s.metric == "rmse"}
    names = list(dict.fromkeys(model for model, _ in at))
    nets = [n for n in names if n not in BASELINES]
    parts = []
    for lead in (1.0, float(STEPS)):
        net = min(nets, key=lambda n, t=lead: at[n, t])
        plain = min(BASELINES, key=lambda n, t=lead: at[n, t])
        gain = 100 * (1 - at[net, lead] / at[plain, lead])
        word = "below" if gain > 0 else "above"
        parts.append(
            f"after {lead:g} d the best network is {net}, {abs(gain):.0f} % {word} the "
            f"best of the others, {plain}"
        )
    return f"By the root mean square error, {' and '.join(parts)}."


def _points_section(scores: Sequence[Score], shown: Shown) -> Section:
    sea = shown.sea
    source = where_from(sea.fields, HOW)
    if sea.short is not None:
        rows, columns = sea.fields.shape[1:]
        source = (
            f"The file {too_short(sea.short)}: {len(sea.fields.times):,} days on "
            f"{rows} x {columns} points."
        )
    text = (
        f"{source}\n\n{verdict(scores)} Over "
        f"{len(shown.points.places)} points and {len(shown.starts)} held-out starts, "
        "which come after all that was learned from."
    )
    return skill_section(
        "At points", text, scores, "rmse", lead_units="d", baselines=BASELINES,
        leads=(1, 2, 3, 4, 5), caption="Error of the sea level at the points",
    )  # fmt: skip


def _accuracy_section(scores: Sequence[Score]) -> Section:
    chosen = [s for s in scores if s.metric == "accuracy"]
    return Section(
        "Beside the paper",
        "The paper forecasts points of the South China Sea from a reanalysis (CORA), "
        "of other eddies, other noise and another step of the maps, so that its "
        "numbers tell how hard its sea is and do not compare with ours. "
        "How it defines accuracy we do not know; here it is 100 % less the sum of the "
        "absolute errors over that of the absolute anomalies.",
        (
            score_table(
                chosen, "accuracy", lead_units="d", best="highest",
                leads=(1, 2, 3, 4, 5), caption="Accuracy at the points",
            ),
            score_chart(chosen, "accuracy", lead_units="d", baselines=BASELINES),
        ),
    )  # fmt: skip


def _series_section(shown: Shown) -> Section:
    lead = STEPS
    days = shown.starts + lead
    centre = 0
    truth = 100 * shown.points.series[centre, days, 0]
    lines = {"truth": truth}
    for name in ("Persistence", "LSTM", "Merged LSTM"):
        lines[name] = 100 * shown.told[name][centre, :, lead - 1]
    chart = series_chart(
        days.astype(float), lines, label="sea level anomaly", units="cm",
        time_units="days", reference="truth",
    )  # fmt: skip
    return Section(
        "One point",
        f"What was told {lead} days before.",
        (
            Chart(
                chart, "The first of the points, held-out days.", "Series of sea level."
            ),
        ),
    )


def _map_sections(found: Emulated) -> list[Section]:
    """Errors, gains, maps and how the networks learned."""
    days = [float(lead) for lead in found.setting.leads]
    errors = skill_section(
        "On the map",
        "The whole map at once: by persistence, anomalies that decay and a ridge "
        "regression of the leading EOFs; by a stencil, a regression of the increment "
        "on a neighbourhood that is the same everywhere, chosen at the end of what is "
        "learned from; by a UNet and a ConvLSTM that correct it, fitted through "
        f"roll-outs. {len(found.starts)} held-out starts.",
        found.scores,
        "rmse",
        lead_units="d",
        leads=days,
        baselines=found.beaten,
        caption="Error over the map, by area.",
    )
    rest = [
        replace(s, title=f"On the map: {s.title[0].lower()}{s.title[1:]}")
        for s in sections(found)[1:]
    ]
    return [errors, *rest]


def _given_section(given: Sequence[Score], shown: Shown) -> Section:
    assert shown.sea.short is not None
    source = shown.sea.short.source
    columns = (Column("model"), *(Column(f"{s.lead:g} d", s.units) for s in given))
    row = ("Persistence", *(s.value for s in given))
    return Section(
        "The file that was too short",
        f"Nothing is learned from `{source}`; persistence needs no learning, and says "
        "how fast its sea level changes.",
        (Table(columns, (row,), f"Error of persistence on {source}."),),
    )


def _how_section(shown: Shown) -> Section:
    size = shown.size
    return Section(
        "How it works",
        "- The state is the sea level anomaly at a point, at its eight neighbours 40 "
        "km away, and at eight 80 km away; all networks read and forecast the same 17 "
        "numbers, and the point alone is scored.\n"
        "- The merged LSTM has three branches, of the point, the near ring and the far "
        "ring, merged by a dense layer. How many branches there are and what they read "
        "is our choice: we know the paper's numbers, not the details of its network.\n"
        f"- Each network has {size.width} units, is fitted through roll-outs of five "
        f"days after {size.history} days of history, {size.epochs} epochs, and gives "
        "increments. The ANN reads the present day alone.\n"
        "- The linear regression reads the last three days of the same numbers.",
    )
