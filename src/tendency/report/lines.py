"""Floor 5, report: lines over any abscissa, such as profiles and convergence."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from tendency.report.encodings import (
    FEW_TICKS,
    band_layer,
    by_name,
    hover_layers,
    known,
    legend_click,
    log_axis,
    shown,
    single_view,
    titled,
)
from tendency.report.thinning import csv_of

_MARKED = 12  # points of a line; more of them make a line of beads


def line_chart(
    lines: Mapping[str, tuple[Float[np.ndarray, " _"], Float[np.ndarray, " _"]]],
    *,
    across: str,
    up: str,
    log: bool = False,
    reference: str | None = None,
    band: Mapping[str, Float[np.ndarray, " _"]] | None = None,
) -> dict[str, Any]:
    """Named lines of (abscissa, value), `log` on both axes; few points are marked.

    Values that are not finite, and with `log` not positive, are left out. The line
    named `reference` is drawn in black. The `band` beneath them has an abscissa `x`,
    and edges `low` and `high`.

    Raises:
        InputError: nothing to draw, or an unknown `reference`.
    """
    known(reference, lines)
    columns: dict[str, list[Any]] = {"name": [], "x": [], "value": []}
    for name, (x, value) in lines.items():
        x, value = np.asarray(x, float), np.asarray(value, float)
        fine = np.isfinite(value) & ((value > 0) | (not log))
        columns["name"] += [name] * int(fine.sum())
        columns["x"] += list(x[fine])
        columns["value"] += list(value[fine])
    table = {key: np.asarray(column) for key, column in columns.items()}
    few = max(len(x) for x, _ in lines.values()) <= _MARKED

    def axis(field: str) -> dict[str, Any]:
        if log:
            return log_axis(float(table[field].min()), float(table[field].max()))
        ticks = FEW_TICKS
        if field == "x" and (table[field] == np.rint(table[field])).all():
            ticks = {**FEW_TICKS, "tickMinStep": 1}  # whole numbers: of a count
        return {"scale": {"zero": False, "nice": False}, "axis": ticks}

    encoding = {
        "x": {**titled("x", across), **axis("x")},
        "y": {**titled("value", up), **axis("value")},
        "order": {"value": None},
        **by_name("name", list(lines), (), reference),
    }
    tooltip = {
        "line": shown("name"),
        across: shown("x", ".4~g"),
        up: shown("value", ".3g"),
    }
    layers: list[dict[str, Any]] = []
    if band is not None:
        layers.append(band_layer(csv_of(band), encoding["y"]))
    layers.append(
        {"mark": {"type": "line", "strokeWidth": 1.8}, "params": [legend_click("name")]}
    )
    if few:
        layers.append({"mark": "point", "encoding": {"strokeDash": None}})
    layers += hover_layers(tooltip, len(table["x"]))
    return single_view(csv_of(table), {"encoding": encoding, "layer": layers})
