"""Floor 5: the page of an assimilation."""

from collections.abc import Iterator, Sequence

import numpy as np

from tendency.data.clock import as_dates, show
from tendency.data.variables import Variable
from tendency.jobs.assimilation.check import told
from tendency.jobs.assimilation.parts import Found
from tendency.jobs.assimilation.problem import Problem
from tendency.jobs.assimilation.scores import ALL, BASELINES
from tendency.jobs.pages import files_of
from tendency.report.blocks import Block, Chart, Column, Section, Table
from tendency.report.charts import histogram_chart, series_chart
from tendency.report.estimates import estimate_chart, rank_chart
from tendency.report.maps import map_frames
from tendency.report.page import Page
from tendency.report.provenance import Provenance
from tendency.scores.records import Score

_SHOWN = 200  # times of a series that is drawn
_CELLS = 250_000  # of a map; larger fields are drawn as series
_TRUTH, _WITHHELD = "truth", "withheld observations"


def make_page(
    problem: Problem,
    found: Found,
    scores: Sequence[Score],
    *,
    seconds: float,
    command: str,
) -> Page:
    """All that the assimilation found."""
    asked, dates = problem.asked, problem.dates
    names = ", ".join(v.name for v in problem.modelled.layout.variables)
    count = int(np.isfinite(problem.used.values).sum())
    question = (
        f"What were {names} from {show(dates[0])} to {show(dates[-1])}, given "
        f"{count:,} observations and a model ({problem.modelled.kind})? The background "
        "is what the model foresaw, the analysis what the observations made of it"
        + (", the smoothed state what later ones told" * asked.method.smoother)
        + "; the spread says how sure each is."
    )
    sections = [
        *_score_sections(problem, scores),
        *(
            section
            for v in problem.modelled.layout.variables
            for section in _drawn(problem, found, v)
        ),
        _consistency(problem, found, scores),
        *(
            Section(heading.capitalize(), "", (Table(("", ""), tuple(rows), ""),))
            for heading, rows in told(problem).items()
        ),
    ]
    files = files_of(asked.model.path) | files_of(asked.observations.path)
    provenance = Provenance.here(
        seed=asked.seed, wall_seconds=seconds, command=command, more=files
    )
    return Page(
        asked.report.title, question, tuple(sections), provenance,
        kicker="tendency assimilation",
    )  # fmt: skip


def _score_sections(problem: Problem, scores: Sequence[Score]) -> Iterator[Section]:
    for suffix, against in (("truth", _TRUTH), ("withheld", _WITHHELD)):
        chosen = [s for s in scores if s.metric == f"rmse_{suffix}"]
        if not chosen:
            continue
        at = {(s.case, s.model, s.metric): s.value for s in scores}
        cases = {s.case: s.units for s in chosen}
        columns = [Column("")]
        for case, units in cases.items():
            columns += [
                Column("error", units, case, best="lowest"),
                Column("spread", units, case),
            ]
        rows = []
        for model in dict.fromkeys(s.model for s in chosen):
            row: list[str | float | None] = [model]
            for case in cases:
                row.append(at.get((case, model, f"rmse_{suffix}")))
                row.append(at.get((case, model, f"spread_{suffix}")))
            rows.append(tuple(row))
        text = (
            "Root of the mean square of the differences, and of the variance that the "
            "method gives them: the two agree where the spread is right. "
        )
        if suffix == "withheld":
            n = int(np.isfinite(problem.withheld.values).sum())
            text += (
                f"{n:,} observations were kept back; they have errors of their own, "
                "which are part of both numbers."
            )
        lasting = BASELINES[1] if any(r[0] == BASELINES[1] for r in rows) else ""
        note = " and ".join(filter(None, (BASELINES[0], lasting)))
        caption = f"Against the {against}; {note} need no model."
        table = Table(tuple(columns), tuple(rows), caption)
        yield Section(f"Errors against the {against}", text, (table,))


def _drawn(problem: Problem, found: Found, v: Variable) -> Iterator[Section]:
    if v.valid.ndim == 2 and min(v.valid.shape) > 1 and v.valid.size <= _CELLS:
        yield _map(problem, found, v)
    yield _series(problem, found, v)


def _series(problem: Problem, found: Found, v: Variable) -> Section:
    """The component of the variable that was seen most often, for some of the times."""
    layout, used = problem.modelled.layout, problem.used
    part = layout.parts[v.name]
    component, column = part.start, None
    if used.index is not None:
        mine = np.flatnonzero((used.index >= part.start) & (used.index < part.stop))
        if mine.size:
            column = mine[np.argmax(np.isfinite(used.values[:, mine]).sum(0))]
            component = int(used.index[column])
    shown = slice(max(0, len(problem.t) - _SHOWN), None)
    dates = as_dates(problem.dates)[shown]
    dated = dates if dates.dtype.kind == "M" else problem.t[shown]
    best = "smoothed" if "smoothed" in found.states else "analysis"
    lines = {}
    if problem.truth is not None:
        lines[_TRUTH] = problem.truth[shown, component]
    for kind, states in found.states.items():
        lines[kind] = states[shown, component]
    points = {}
    if column is not None:
        points["observed"] = used.values[shown, column]
        points["withheld"] = problem.withheld.values[shown, column]
    mean, spread = (a[best][shown, component] for a in (found.states, found.spreads))
    spec = estimate_chart(
        dated,
        lines,
        (mean - 2 * spread, mean + 2 * spread),
        {name: p for name, p in points.items() if np.isfinite(p).any()},
        label=v.name,
        units=v.units,
        reference=_TRUTH if _TRUTH in lines else None,
    )
    where = _where(problem, v, component)
    caption = (
        f"{v.name}{where}, the last {len(dates)} times; the band is two spreads about "
        f"the {best} state."
    )
    alt = f"Observations and estimates of {v.name} over time."
    return Section(f"Over time: {v.name}", "", (Chart(spec, caption, alt),))


def _where(problem: Problem, v: Variable, component: int) -> str:
    """Of a component, the coordinates of its point."""
    if v.valid.size == 1:
        return ""
    layout = problem.modelled.layout
    flat = np.flatnonzero(v.valid)[component - layout.parts[v.name].start]
    index = np.unravel_index(flat, v.valid.shape)
    told = []
    for d, i in zip([d for d in v.dims if d != layout.time], index, strict=True):
        axis = next((c.values for c in layout.coordinates if c.name == d), None)
        told.append(f"{d} {i if axis is None else axis[i]}")
    return f" at {', '.join(told)}"


def _map(problem: Problem, found: Found, v: Variable) -> Section:
    layout = problem.modelled.layout
    times = np.unique(np.linspace(0, len(problem.t) - 1, 40).astype(int))
    part, used = layout.parts[v.name], problem.used
    drawn: dict[str, np.ndarray] = {}
    if used.index is not None:
        seen = np.full((len(problem.t), layout.size), np.nan)
        seen[:, used.index] = used.values
        drawn["observed"] = seen
        kept = np.full((len(problem.t), layout.size), np.nan)
        kept[:, used.index] = problem.withheld.values
        if np.isfinite(kept).any():
            drawn["withheld"] = kept
    if problem.truth is not None:
        drawn[_TRUTH] = problem.truth
    drawn |= found.states
    best = "smoothed" if "smoothed" in found.states else "analysis"
    spread = f"spread, {best}"
    drawn[spread] = found.spreads[best]
    fields = {}
    for name, states in drawn.items():
        full = np.full((len(times), v.valid.size), np.nan)
        full[:, v.valid.reshape(-1)] = states[times][:, part]
        fields[name] = full.reshape(len(times), *v.valid.shape)
    axes = []
    for d, size in zip([d for d in v.dims if d != layout.time], v.valid.shape,
                       strict=True):  # fmt: skip
        axis = next((c.values for c in layout.coordinates if c.name == d), None)
        axes.append(np.arange(float(size)) if axis is None else axis.astype(float))
    frames = map_frames(
        fields,
        axes[0],
        axes[1],
        [show(d) for d in problem.dates[times]],
        quantity=v.name,
        units=v.units,
        caption=f"{v.name}: what was seen, foreseen and found; the time on the slider.",
        own_scale=(spread,),
    )
    return Section(f"Maps: {v.name}", "", (frames,))


def _consistency(problem: Problem, found: Found, scores: Sequence[Score]) -> Section:
    """Innovations against what the ensemble expected of them."""
    at = {(s.case, s.metric): s for s in scores if s.model == "background"}
    rows = []
    for case in dict.fromkeys(c for c, m in at if m == "innovation_std"):
        told = [at[case, f"innovation_{m}"] for m in ("mean", "std", "expected_std")]
        rows.append((case, *(s.value for s in told), told[0].units))
    columns = ("", "mean", "size", "expected", "units")
    caption = "Innovations: their mean, their size and the size that was expected."
    blocks: list[Block] = [Table(columns, tuple(rows), caption)]
    d = found.innovation / np.sqrt(found.expected_variance)
    normal = np.random.default_rng(0).normal(size=50_000)
    values = d[np.isfinite(d)]
    values = values[:: max(1, len(values) // 200_000)]
    if values.size > 1:
        spec = histogram_chart(
            {"normal": normal, "innovations": np.clip(values, -5, 5)},
            label="innovation over its expected size",
            reference="normal",
            bins=40,
        )
        caption = "Innovations in units of their expected size, beside the normal law."
        alt = "Histogram of normalised innovations over the normal density."
        blocks.append(Chart(spec, caption, alt))
    if found.ranks.sum():
        caption = (
            "Rank histogram: a ∪ says that the spread is too small, a ∩ that it is too "
            "large, a slope that there is a bias. The dashed line is a spread that is "
            "right."
        )
        blocks.append(Chart(rank_chart(found.ranks), caption, "Rank histogram."))
    count = np.isfinite(found.innovation).sum(1)
    if (count > 0).sum() > 2:
        dates = as_dates(problem.dates)
        dated = dates if dates.dtype.kind == "M" else problem.t
        ratio, label = _running(found.misfit, count), "chi-square"
        spec = series_chart(
            dated, {label: ratio, "expected": np.ones(len(ratio))}, label=label,
            reference="expected",
        )  # fmt: skip
        caption = "Squared innovations over those expected, a running mean: 1 is right."
        blocks.append(Chart(spec, caption, "Chi-square of the innovations over time."))
    chi = at.get((ALL, "chi_square"))
    text = (
        "Innovations, the differences of observations and background, tell without a "
        "truth whether spread and errors are right."
        + (f" Their chi-square is {chi.value:.3g}, and 1 where all is." if chi else "")
    )
    return Section("Is it consistent?", text, tuple(blocks))


def _running(misfit: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Over as many times as hold about a hundred observations; NaN before."""
    mean = max(1.0, float(count[count > 0].mean()))
    width = int(np.clip(np.ceil(100 / mean), 1, max(1, len(count) // 4)))
    sums = [np.convolve(a, np.ones(width), "valid") for a in (misfit, count)]
    ratio = np.where(sums[1] > 0, sums[0] / np.maximum(sums[1], 1), np.nan)
    return np.concatenate([np.full(width - 1, np.nan), ratio])
