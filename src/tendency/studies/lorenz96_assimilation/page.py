"""The page of the study: the table, errors by the size of the ensemble, spreads."""

import numpy as np

from tendency.report.blocks import Block, Chart, Column, Section, Table
from tendency.report.charts import series_chart
from tendency.report.lines import line_chart
from tendency.report.page import Page
from tendency.report.provenance import Provenance
from tendency.studies.lorenz96_assimilation.methods import ROWS
from tendency.studies.lorenz96_assimilation.twin import DT, Reached

Found = dict[tuple[str, int | None], Reached]
_QUESTION = (
    "Forty chaotic variables on a circle are all observed, with errors of variance 1, "
    "at each step of 0.05, or at every fourth. How well does each method follow them, "
    "and how few members does it need? Beside ours stands what DAPPER 1.8 reaches in "
    "the same setting."
)
_SHOWN = 400  # cycles of the chart of spreads


def make_page(found: Found, cycles: int, seeds: int, provenance: Provenance) -> Page:
    """All that the study found."""
    sections = (
        _table(found, cycles, seeds),
        _curves(found),
        _spreads(found),
    )
    return Page(
        "Lorenz-96: methods of assimilation by their size",
        _QUESTION,
        sections,
        provenance,
        kicker="tendency study",
    )


def _table(found: Found, cycles: int, seeds: int) -> Section:
    columns = (
        Column("method"),
        Column("members"),
        Column("median", "", "error", best="lowest"),
        Column("seeds", "", "error"),
        Column("DAPPER", "", "error", published=True),
        Column("ours", "", "smoothed"),
        Column("DAPPER", "", "smoothed", published=True),
        Column("spread"),
        Column("lost"),
    )
    known = {row.name: row for row in ROWS}
    rows = tuple(
        (
            name,
            members,
            mine.median,
            f"{mine.error.min():.3f} to {mine.error.max():.3f}",
            known[name].dapper.get(members),
            None if mine.smoothed is None else float(np.median(mine.smoothed)),
            known[name].smoother.get(members),
            float(np.median(mine.spread)),
            f"{mine.lost} of {seeds}",
        )
        for (name, members), mine in found.items()
    )
    text = (
        f"Root mean square error of the analyses over the 40 variables, its mean over "
        f"{cycles:,} cycles but the first twentieth"
        + "".join(
            f" ({row.most:,} of {row.name})"
            for row in ROWS
            if row.most and row.most < cycles and (row.name, row.sizes[0]) in found
        )
        + f", median of {seeds} seeds; the "
        "spread is that of the ensemble, likewise. A run whose error is that of the "
        "observations or more is lost. DAPPER's figures were measured with its version "
        "1.8."
    )
    table = Table(columns, rows, "Errors, spreads, and runs that were lost.")
    return Section("Errors", text, (table,))


def _curves(found: Found) -> Section:
    lines = {}
    for row in ROWS:
        sizes = [n for name, n in found if name == row.name and n and row.every == 1]
        values = [found[row.name, n].median for n in sizes]
        kept = [v if v < 0.5 else np.nan for v in values]  # else it was lost
        if sizes:
            lines[row.name] = (np.array(sizes, float), np.array(kept))
    theirs = [
        (n, v)
        for row in ROWS
        for n, v in row.dapper.items()
        if n and row.every == 1 and (row.name, n) in found
    ]
    spec = line_chart(lines, across="members", up="median error")
    dapper = {
        "data": {"values": [{"n": n, "error": v} for n, v in theirs]},
        "mark": {"type": "point", "shape": "diamond", "size": 110, "filled": False,
                 "color": "theme:ink", "strokeWidth": 2},
        "encoding": {
            "x": {**spec["encoding"]["x"], "field": "n"},
            "y": {**spec["encoding"]["y"], "field": "error"},
            "color": None, "strokeDash": None, "opacity": None, "order": None,
        },
    }  # fmt: skip
    spec = {**spec, "layer": [*spec["layer"], dapper]}
    caption = (
        "Error against the number of members, where the filter is not lost; diamonds "
        "are DAPPER's."
    )
    chart = Chart(spec, caption, f"Error against members for {', '.join(lines)}.")
    text = (
        "With fewer members than the flow has growing directions, about 14, a global "
        "filter is lost, and just above it errs more."
    )
    return Section("How many members?", text, (chart,))


def _spreads(found: Found) -> Section:
    blocks: list[Block] = []
    for row in ROWS:
        sizes = [n for name, n in found if name == row.name]
        known = [n for n in sizes if n in row.dapper] or sizes[-1:]
        if not known or known[0] is None:
            continue
        mine = found[row.name, known[0]]
        shown = slice(max(0, len(mine.errors) - _SHOWN), None)
        times = DT * mine.every * np.arange(1, len(mine.errors) + 1)[shown]
        spec = series_chart(
            times,
            {"error": mine.errors[shown], "spread": mine.spreads[shown]},
            label="error and spread",
            reference="error",
        )
        caption = f"{row.name}, {known[0]} members: the last {len(times)} cycles."
        blocks.append(Chart(spec, caption, f"Error and spread of {row.name}."))
    text = "A filter that knows how much it errs has a spread like its error."
    return Section("Spread and error in time", text, tuple(blocks))
