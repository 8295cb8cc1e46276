"""Floor 5, report: tables and charts of `Score` records.

`score_table` sets models against lead times, published numbers beside ours;
`score_summary` models against metrics that have no lead; `score_chart` draws a metric
against lead; `score_section` is a table and its chart for every metric of a case;
`rank_chart` draws rank histograms.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from tendency.errors import InputError
from tendency.report.blocks import Block, Chart, Column, Section, Table
from tendency.report.charts import skill_chart
from tendency.report.lines import line_chart
from tendency.report.numbers import with_units
from tendency.scores.records import Score

Better = Literal["lowest", "highest"] | None


def score_table(
    scores: Iterable[Score],
    metric: str,
    *,
    case: str | None = None,
    leads: Sequence[float] | None = None,
    lead_units: str = "",
    best: Better = "lowest",
    caption: str = "",
) -> Table:
    """One row a model, one column a lead, the published number beside ours if any.

    Without `leads`, all of them; of more than six a choice that keeps those with a
    published number, the first and the last.

    Raises:
        InputError: no score of `metric` (and `case`) has a lead.
    """
    chosen = [s for s in _of(scores, metric, case) if s.lead is not None]
    if not chosen:
        raise InputError(
            f"no score of {metric!r}{f' in case {case!r}' if case else ''} has a lead: "
            "use the name of a metric that was scored by lead time"
        )
    found = sorted({float(s.lead) for s in chosen if s.lead is not None})
    printed = {float(s.lead or 0) for s in chosen if s.published is not None}
    leads = _choice(found, printed) if leads is None else [float(x) for x in leads]
    at = {(s.model, float(s.lead or 0)): s for s in chosen}
    units = chosen[0].units
    columns = [Column("model")]
    for lead in leads:
        group = f"{lead:.4g} {lead_units}".strip()
        if lead in printed:
            columns.append(Column("ours", units, group, best=best))
            columns.append(Column("published", units, group, published=True))
        else:
            columns.append(Column(group, units, best=best))
    rows = []
    for model in dict.fromkeys(s.model for s in chosen):
        row: list[str | float | None] = [model]
        for lead in leads:
            score = at.get((model, lead))
            row.append(None if score is None else score.value)
            if lead in printed:
                row.append(None if score is None else score.published)
        rows.append(tuple(row))
    if not caption:
        caption = f"{with_units(metric, units)} by lead time"
    if len(leads) < len(found):
        caption = f"{caption.rstrip('.')}; {len(leads)} of {len(found)} leads."
    return Table(tuple(columns), tuple(rows), caption)


def score_summary(
    scores: Iterable[Score],
    *,
    case: str | None = None,
    metrics: Sequence[str] | None = None,
    best: dict[str, Better] | None = None,
    caption: str = "",
) -> Table:
    """One row a model, one column a metric without lead (a parameter, an exponent).

    Raises:
        InputError: no score without a lead among them.
    """
    chosen = [
        s
        for s in scores
        if s.lead is None
        and case in (None, s.case)
        and (metrics is None or s.metric in metrics)
    ]
    if not chosen:
        raise InputError("no score without a lead time: use score_table for the others")
    at = {(s.model, s.metric): s for s in chosen}
    names = metrics or list(dict.fromkeys(s.metric for s in chosen))
    units = {s.metric: s.units for s in chosen}
    published = {s.metric for s in chosen if s.published is not None}
    columns = [Column("model")]
    for metric in names:
        which = (best or {}).get(metric)
        columns.append(Column(metric, units.get(metric, ""), best=which))
        if metric in published:
            columns.append(Column("published", units[metric], published=True))
    rows = []
    for model in dict.fromkeys(s.model for s in chosen):
        row: list[str | float | None] = [model]
        for metric in names:
            score = at.get((model, metric))
            row.append(None if score is None else score.value)
            if metric in published:
                row.append(None if score is None else score.published)
        rows.append(tuple(row))
    return Table(tuple(columns), tuple(rows), caption)


def score_chart(
    scores: Iterable[Score],
    metric: str,
    *,
    case: str | None = None,
    lead_units: str = "",
    log: bool = False,
    baselines: Sequence[str] = (),
    caption: str = "",
) -> Chart:
    """`skill_chart` of one metric of one case, with its caption and description.

    Raises:
        InputError: nothing to draw.
    """
    chosen = _of(scores, metric, case)
    units = chosen[0].units if chosen else ""
    spec = skill_chart(
        chosen, metric, units=units, lead_units=lead_units, log=log, baselines=baselines
    )
    models = list(dict.fromkeys(s.model for s in chosen))
    alt = f"{metric} against lead time for {', '.join(models)}."
    if not caption:
        caption = f"{with_units(metric, units)} against lead time."
        if any(s.interval is not None for s in chosen):
            caption = f"{caption} Bands hold 95 % of the resamples of starts."
    return Chart(spec, caption, alt)


def rank_chart(
    scores: Iterable[Score], *, lead_units: str = "", most: int = 4
) -> Chart:
    """Rank histograms of one model as lines, some lead times of many.

    The scores are of the metric `rank_frequency`, with the rank at the end of their
    case.

    Raises:
        InputError: there is none.
    """
    found: dict[float | None, dict[int, float]] = {}
    for score in _of(scores, "rank_frequency", None):
        rank = int(score.case.rpartition(" ")[2])
        found.setdefault(score.lead, {})[rank] = score.value
    if not found:
        raise InputError("no rank_frequency among the scores: score an ensemble first")
    leads = list(found)
    if len(leads) > most:
        leads = [leads[round(i * (len(leads) - 1) / (most - 1))] for i in range(most)]
    lines = {}
    for lead in leads:
        name = "all" if lead is None else f"{lead:.4g} {lead_units}".strip()
        ranks = sorted(found[lead])
        values = np.array([found[lead][rank] for rank in ranks])
        lines[name] = (np.array(ranks, float), values)
    ranks = next(iter(lines.values()))[0]
    lines["calibrated"] = (ranks, np.full(len(ranks), 1 / len(ranks)))
    spec = line_chart(
        lines, across="members below the truth", up="frequency", reference="calibrated"
    )
    return Chart(
        spec,
        "How often the truth has each rank among the members: high ends tell of too "
        "little spread, a slope of bias.",
        f"Rank histograms at {len(leads)} lead times.",
    )


def score_section(
    title: str,
    scores: Iterable[Score],
    *,
    case: str | None = None,
    text: str = "",
    lead_units: str = "",
    log: bool = False,
    baselines: Sequence[str] = (),
    best: dict[str, Better] | None = None,
) -> Section:
    """Every metric of a case: a chart and a table each, then those without a lead.

    `best` says for a metric whether the lowest or the highest is best: the lowest
    where it does not say.
    """
    scores = [s for s in scores if case in (None, s.case)]
    blocks: list[Block] = []
    best = best or {}
    for metric in dict.fromkeys(s.metric for s in scores if s.lead is not None):
        which = best.get(metric, "lowest")
        options = {"case": case, "lead_units": lead_units}
        if len({s.lead for s in scores if s.metric == metric}) > 1:
            chart = score_chart(scores, metric, log=log, baselines=baselines, **options)
            blocks.append(chart)
        blocks.append(score_table(scores, metric, best=which, **options))
    if any(s.lead is None for s in scores):
        blocks.append(score_summary(scores, case=case, best=best))
    return Section(title, text, tuple(blocks))


def _of(scores: Iterable[Score], metric: str, case: str | None) -> list[Score]:
    return [s for s in scores if s.metric == metric and case in (None, s.case)]


def _choice(leads: list[float], kept: set[float], most: int = 6) -> list[float]:
    if len(leads) <= most:
        return leads
    even = [leads[round(i * (len(leads) - 1) / (most - 1))] for i in range(most)]
    chosen = set(kept)
    for lead in (even[-1], even[0], *even):
        if len(chosen) < most:
            chosen.add(lead)
    return sorted(chosen)
