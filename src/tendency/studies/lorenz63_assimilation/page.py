"""The page of the study: the table, the protocol, and whether spreads are right."""

import numpy as np
from jaxtyping import Float

from tendency.report.blocks import Block, Chart, Column, Section, Table
from tendency.report.estimates import estimate_chart, rank_chart
from tendency.report.lines import line_chart
from tendency.report.page import Page
from tendency.report.provenance import Provenance
from tendency.studies.lorenz63.truth import DT
from tendency.studies.lorenz63_assimilation.evaluate import OBSERVED, Followed
from tendency.studies.lorenz63_assimilation.models import Row
from tendency.studies.lorenz63_assimilation.twin import EVERY, TIMES, Size

Found = dict[tuple[str, str], Followed]
_QUESTION = (
    "Of three chaotic variables one is observed, with errors, every 8 steps. How well "
    "can all three be followed, by the equations themselves and by models that have "
    "only ever seen noisy states of them? The assimilation table of Fablet, Ouala & "
    "Herzet (arXiv:1712.07003), as summarised in the lecture of 2022, beside ours."
)
_PROTOCOL = (
    "The published figure for the true equations is 0.50, with x alone observed every "
    "8 steps of 0.01 and errors of variance 2. What is published says neither whether "
    "it is a filter or a smoother, nor over how many times it averages. No filter can "
    "be meant: with the true model it errs by more than 1. A smoother may, over a "
    "favourable stretch: single segments of 10 time units differ by a factor of four "
    "(the chart below), and the mean over many of them is nearer to 0.6. So each "
    "number here is a mean over segments with its standard error, and what compares "
    "models is the ratio over the same segments and the same observations. Noise is "
    "the standard deviation of what was added to every component and step of the "
    "training states; the published 0.25 is taken for a variance, as analogs then err "
    "as published, and would err far less if it were a standard deviation."
)


def make_page(
    rows: list[Row],
    found: Found,
    truth: Float[np.ndarray, "time 3"],
    size: Size,
    provenance: Provenance,
) -> Page:
    """All that the study found."""
    alone, everything = OBSERVED
    best = rows[0].model
    sections = (
        _table(alone, rows, found, size, True),
        _table(everything, rows, found, size, False),
        Section("What 0.50 may be", _PROTOCOL, (_segments(alone, rows, found),)),
        *_example(alone, best, found, truth),
        _consistency(rows, found),
    )
    return Page(
        "Lorenz-63: followed by few observations",
        _QUESTION,
        sections,
        provenance,
        kicker="tendency study",
    )


def _table(
    case: str, rows: list[Row], found: Found, size: Size, published: bool
) -> Section:
    columns = [Column("model")]
    for name in ("filter", "smoother"):
        columns += [
            Column("error", "", name, best="lowest"),
            Column("± s.e.", "", name),
            Column("over true", "", name),
        ]
    columns += [Column("lost"), *[Column("published", published=True)] * published]
    lines = []
    for row in rows:
        mine, true = found[case, row.model], found[case, rows[0].model]
        line: list[str | float | None] = [row.model]
        for name in ("filter", "smoother"):
            line += [mine.mean(name), mine.standard_error(name)]
            value, error = mine.over(true, name)
            line.append(None if row is rows[0] else f"{value:.3f} ± {error:.3f}")
        line.append(int((~mine.kept).sum()))
        line += [row.published] * published
        lines.append(tuple(line))
    caption = f"{case}, every {EVERY} steps with variance 2."
    title = f"{case[0].upper()}{case[1:]}"
    table = Table(tuple(columns), tuple(lines), caption)
    return Section(title, _method(size) if published else "", (table,))


def _method(size: Size) -> str:
    return (
        "Root mean square error over times and all three components, the mean over "
        f"{size.segments} segments of 10 time units ({size.analog_segments} for "
        f"analogs). {size.members} members, the ensemble transform filter with "
        "rotations and an inflation of 1.01, and the ensemble smoother over all later "
        'times. "Over true" is the ratio to the true equations over the same segments. '
        "A segment is lost where the smoothed error is beyond 4, half of how the "
        "components vary: it is counted, and left out of the means. Bi-NN(4) is "
        "learned from clean states by its errors over one step, from noisy ones by "
        "multiple shooting; the joint fits find states and quadratic equations "
        "together, and the pruned ones leave out what is insignificant."
    )


def _segments(case: str, rows: list[Row], found: Found) -> Chart:
    """Errors of the segments, in order: how much one of them says."""
    lines = {}
    for row in rows:
        if row.noise not in (None, rows[-1].noise):  # one level is enough to see it
            continue
        mine = found[case, row.model]
        values = np.sort(mine.smoother[mine.kept])
        lines[row.model] = (np.arange(1, len(values) + 1) / len(values), values)
    spec = line_chart(
        lines,
        across="share of the segments below",
        up="error of the smoother",
        reference=rows[0].model,
    )
    caption = "Errors of single segments, sorted: one of them says little."
    return Chart(spec, caption, "Sorted errors of the segments for each model.")


def _example(
    case: str, model: str, found: Found, truth: Float[np.ndarray, "time 3"]
) -> tuple[Section, ...]:
    mine = found[case, model]
    times = DT * EVERY * np.arange(1, TIMES + 1)
    blocks: list[Block] = []
    for i, name in enumerate("xyz"):
        smooth, spread = mine.series["smoothed"][:, i], mine.series["spread"][:, i]
        lines = {"truth": truth[:, i], "analysis": mine.series["analysis"][:, i]}
        lines["smoothed"] = smooth
        points = {"observed": mine.values[:, 0]} if i == 0 else {}
        spec = estimate_chart(
            times,
            lines,
            (smooth - 2 * spread, smooth + 2 * spread),
            points,
            label=name,
            reference="truth",
        )
        caption = f"{name}, " + ("observed" if i == 0 else "which nobody observes")
        caption += "; the band is two spreads about the smoothed state."
        alt = f"{name} of the truth, of the filter and of the smoother."
        blocks.append(Chart(spec, caption, alt))
    text = f"The first segment, {case}, with the {model.lower()}."
    return (Section("A segment", text, tuple(blocks)),)


def _consistency(rows: list[Row], found: Found) -> Section:
    columns = (
        Column("model"),
        *(Column("chi-square", "", case) for case in OBSERVED),
        *(Column("spread / error", "", case) for case in OBSERVED),
    )
    lines = []
    for row in rows:
        mine = [found[case, row.model] for case in OBSERVED]
        spread = [
            float(np.sqrt(np.mean(m.spread[k] ** 2) / np.mean(m.smoother[k] ** 2)))
            for m in mine
            for k in [m.kept]
        ]
        lines.append((row.model, *(m.chi_square for m in mine), *spread))
    alone = next(iter(OBSERVED))
    blocks: list[Block] = [
        Table(columns, tuple(lines), "Innovations, and smoothed spread over error.")
    ]
    for row in (rows[0], rows[-1]):
        spec = rank_chart(found[alone, row.model].ranks)
        caption = f"Rank histogram of x, {row.model}: flat where the spread is right."
        blocks.append(Chart(spec, caption, f"Rank histogram of {row.model}."))
    text = (
        "Chi-square is that of the innovations over what ensemble and errors let "
        "expect, 1 where both are right; so is the ratio of spread and error."
    )
    return Section("Are the spreads right?", text, tuple(blocks))
