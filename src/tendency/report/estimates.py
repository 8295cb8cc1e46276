"""Floor 5, report: charts of an estimate and of how well it knows itself."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from tendency.errors import InputError
from tendency.report.charts import series_chart
from tendency.report.encodings import (
    PLAIN,
    band_layer,
    hover_layers,
    shown,
    single_view,
    titled,
)
from tendency.report.thinning import csv_of, thinned

_POINTS = 2000


def estimate_chart(
    times: Shaped[np.ndarray, " time"],
    lines: Mapping[str, Float[np.ndarray, " _"]],
    band: tuple[Float[np.ndarray, " _"], Float[np.ndarray, " _"]],
    points: Mapping[str, Float[np.ndarray, " _"]],
    *,
    label: str,
    units: str = "",
    time_units: str = "",
    reference: str | None = None,
) -> dict[str, Any]:
    """Lines over time, a band from `band[0]` to `band[1]` beneath, points above.

    Of `points`, observations say, the first are filled and the others hollow; NaN is
    left out. The line named `reference` is drawn in black.

    Raises:
        InputError: nothing to draw, an unknown `reference`, or lengths that differ.
    """
    spec = series_chart(
        times,
        lines,
        label=label,
        units=units,
        time_units=time_units,
        reference=reference,
    )
    dates = () if np.issubdtype(np.asarray(times).dtype, np.number) else ("t",)
    kept = thinned(np.asarray(band[1]), _POINTS)
    low, high = (np.asarray(edge)[kept] for edge in band)
    area = csv_of({"t": np.asarray(times)[kept], "low": low, "high": high}, dates)
    beneath = band_layer(area, spec["encoding"]["y"])
    layers = [beneath, *spec["layer"]]
    for i, (name, values) in enumerate(points.items()):
        seen = np.flatnonzero(np.isfinite(values))
        seen = seen[:: max(1, -(-len(seen) // _POINTS))]
        if not seen.size:
            continue
        marks = {"t": np.asarray(times)[seen], "value": np.asarray(values)[seen]}
        marks["kind"] = np.full(len(seen), name)
        mark = {"type": "point", "size": 22, "filled": i == 0, "color": "theme:ink"}
        shape = {
            "field": "kind",
            "type": "nominal",
            "scale": {"domain": list(points), "range": ["circle", "diamond"]},
            "legend": {"title": None, "symbolSize": 40},
        }
        layers.append(
            {
                "data": csv_of(marks, dates),
                "mark": mark | {"strokeWidth": 1.2},
                "encoding": {**PLAIN, "shape": shape},
            }
        )
    return {**spec, "layer": layers}


def rank_chart(counts: Int[np.ndarray, " rank"]) -> dict[str, Any]:
    """How often an observation came between which members, over what is expected.

    One bar a rank; the line at 1 is a spread that is right.

    Raises:
        InputError: nothing was counted.
    """
    total = int(np.sum(counts))
    if not total:
        raise InputError("no observation was ranked: give counts of some")
    value = np.asarray(counts, float) * len(counts) / total
    rows = [
        {"rank": i, "next": i + 1, "value": float(v), "count": int(n)}
        for i, (v, n) in enumerate(zip(value, counts, strict=True))
    ]
    encoding = {
        "x": {
            **titled("rank", "members below the observation"),
            "scale": {"domain": [0, len(counts)], "nice": False},
        },
        "x2": {"field": "next"},
        "y": titled("value", "frequency over that of a flat histogram"),
        "y2": {"datum": 0},
    }
    bars = {
        "mark": {"type": "rect", "color": "theme:1", "stroke": None, "opacity": 0.75},
        "encoding": encoding,
    }
    flat = {
        "data": {"values": [{"one": 1.0}]},
        "mark": {"type": "rule", "color": "theme:ink", "strokeDash": [5, 4]},
        "encoding": {"y": titled("one", "frequency over that of a flat histogram")},
    }
    tooltip = {"rank": shown("rank"), "observations": shown("count")}
    hover = hover_layers(tooltip, len(rows))
    for layer in hover:
        layer["encoding"] |= {
            "x": encoding["x"],
            "y": encoding["y"],
            "color": {"value": "theme:ink"},
        }
    return single_view({"values": rows}, {"layer": [bars, flat, *hover]}, height=240)
