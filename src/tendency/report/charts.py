"""Floor 5, report: interactive charts as Vega-Lite specifications.

`skill_chart` (error against lead time), `attractor_chart`, `series_chart` and
`histogram_chart` return plain dictionaries; the page draws them, `poster` writes one
to a file. A colour in them is a name ("theme:ink", "theme:1"): who draws resolves it
for a light or a dark background.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from tendency.errors import InputError
from tendency.report.encodings import (
    FEW_TICKS,
    SCHEMA,
    by_name,
    hover_layers,
    known,
    legend_click,
    log_axis,
    shown,
    single_view,
    titled,
)
from tendency.report.numbers import with_units
from tendency.report.thinning import csv_of, thinned
from tendency.scores.records import Score

_MARKED = 12  # leads; more of them make a line of beads


def skill_chart(
    scores: Iterable[Score],
    metric: str,
    *,
    units: str = "",
    lead_units: str = "",
    log: bool = False,
    baselines: Sequence[str] = (),
) -> dict[str, Any]:
    """A score against lead time, one line a model, published numbers as diamonds.

    Scores without a lead or without a finite value are left out, and with `log` those
    that are not positive. Models keep the order in which they come; `baselines` are
    drawn in grey, intervals as bands. Hovering names a point, a click in the legend
    singles a model out.

    Raises:
        InputError: no score is left to draw.
    """
    rows: list[dict[str, Any]] = [
        {"model": score.model, "lead": float(score.lead), "value": value, "kind": kind}
        | _ends(score, kind, log)
        for score in scores
        if score.lead is not None
        for kind, value in (("ours", score.value), ("published", score.published))
        if value is not None and np.isfinite(value) and (value > 0 or not log)
    ]
    if not rows:
        raise InputError(
            f"no score of {metric!r} can be drawn: each lacks a lead time or a finite"
            f"{' positive' if log else ''} value; score forecasts at some lead first"
        )
    models = list(dict.fromkeys(row["model"] for row in rows))
    values = [row["value"] for row in rows]
    lead, title = with_units("lead time", lead_units), with_units(metric, units)
    x = {
        **titled("lead", lead),
        "axis": FEW_TICKS,
        "scale": {"zero": False, "nice": False, "padding": 8},
    }
    y = {
        **titled("value", title),
        **(log_axis(min(values), max(values)) if log else {"scale": {"zero": False}}),
    }
    tooltip = {
        "model": shown("model"),
        "whose": shown("kind"),
        lead: shown("lead", ".4~g"),
        title: shown("value", ".3g"),
    }
    encoding = {"x": x, "y": y, **by_name("model", models, baselines)}
    ours = {"filter": "datum.kind == 'ours'"}
    layers: list[dict[str, Any]] = [
        {"transform": [ours], "mark": "line", "params": [legend_click("model")]},
    ]
    if any("low" in row for row in rows):
        picked = {"condition": {"param": "picked", "value": 0.15}, "value": 0.03}
        layers.append(
            {
                "transform": [{"filter": "isValid(datum.low)"}],
                "mark": "area",
                "encoding": {
                    "y": {**y, "field": "low"},
                    "y2": {"field": "high"},
                    "strokeDash": None,
                    "opacity": picked,
                },
            }
        )
    if len({row["lead"] for row in rows}) <= _MARKED:
        mark = {"transform": [ours], "mark": "point", "encoding": {"strokeDash": None}}
        layers.append(mark)
    if any(row["kind"] == "published" for row in rows):
        layers.append(
            {
                "transform": [{"filter": "datum.kind == 'published'"}],
                "mark": {
                    "type": "point",
                    "size": 110,
                    "filled": False,
                    "strokeWidth": 2,
                },
                "encoding": {
                    "strokeDash": None,
                    "shape": {
                        "field": "kind",
                        "type": "nominal",
                        "scale": {"domain": ["published"], "range": ["diamond"]},
                        "legend": {
                            "title": None,
                            "symbolStrokeColor": "theme:ink",
                            "symbolSize": 90,
                        },
                    },
                },
            }
        )
    layers += hover_layers(tooltip, len(rows))
    return single_view({"values": rows}, {"encoding": encoding, "layer": layers})


def _ends(score: Score, kind: str, log: bool) -> dict[str, float]:
    """The ends of the interval, where there is one that can be drawn."""
    if kind != "ours" or score.interval is None:
        return {}
    low, high = map(float, score.interval)
    return {"low": low, "high": high} if low > 0 or not log else {}


def attractor_chart(
    trajectories: Mapping[str, Float[np.ndarray, "_ _"]],
    *,
    components: tuple[int, int] = (0, 2),
    labels: tuple[str, str] = ("x", "z"),
    reference: str | None = None,
    points: int = 3000,
) -> dict[str, Any]:
    """Trajectories (time, state) projected on two components, a panel each.

    Give consecutive states; beyond `points` of them an even choice is drawn. The
    trajectory named `reference` is also drawn in grey beneath each of the others.

    Raises:
        InputError: nothing to draw, or an unknown `reference`.
    """
    known(reference, trajectories)
    projected = {}
    for name, states in trajectories.items():
        states = np.asarray(states)[:, list(components)]
        projected[name] = states[:: max(1, -(-len(states) // points))]
    names = list(projected)
    columns = {
        "name": np.concatenate([[name] * len(projected[name]) for name in names]),
        "a": np.concatenate([projected[name][:, 0] for name in names]),
        "b": np.concatenate([projected[name][:, 1] for name in names]),
    }
    line = {"type": "line", "strokeWidth": 0.8}
    encoding = {
        "x": {"field": "a", "type": "quantitative", "title": labels[0]},
        "y": {"field": "b", "type": "quantitative", "title": labels[1]},
        "order": {"value": None},
    }
    for channel in (encoding["x"], encoding["y"]):
        channel["scale"] = {"zero": False, "nice": False, "padding": 4}
        channel["axis"] = {"tickCount": 5}
    colours = by_name("name", names, (), reference)["color"] | {"legend": None}
    layers: list[dict[str, Any]] = [{"mark": line, "encoding": {"color": colours}}]
    if reference is not None and len(names) > 1:
        beneath = {key: columns[key][columns["name"] == reference] for key in "ab"}
        mark = line | {"color": "theme:muted", "opacity": 0.45}
        layers.insert(0, {"data": csv_of(beneath), "mark": mark})
    return {
        "$schema": SCHEMA,
        "data": csv_of(columns),
        "facet": {"field": "name", "type": "nominal", "sort": names, "title": None},
        "columns": -(-len(names) // -(-len(names) // 3)),
        "spacing": 18,
        "spec": {
            "width": 260,
            "height": 230,
            "encoding": encoding,
            "layer": layers,
        },
        "usermeta": {"cells": len(names), "narrowest": 240},
    }


def series_chart(
    times: Shaped[np.ndarray, " time"],
    series: Mapping[str, Float[np.ndarray, " _"]],
    *,
    label: str,
    units: str = "",
    time_units: str = "",
    reference: str | None = None,
    points: int = 2000,
) -> dict[str, Any]:
    """Series (time,) over time, one line each; NaN leaves a gap.

    `times` (time,) are numbers in `time_units`, or dates. A series of more than
    `points` times is drawn through the extremes of as many short stretches, so that no
    peak is lost. The series named `reference` (the truth, the observations) is drawn in
    black.

    Raises:
        InputError: nothing to draw, an unknown `reference`, or lengths that differ.
    """
    known(reference, series)
    times = np.asarray(times)
    dated = not np.issubdtype(times.dtype, np.number)
    chosen = {}
    for name, values in series.items():
        values = np.asarray(values)
        if values.shape != times.shape:
            raise InputError(
                f"series {name!r} has shape {values.shape}, the times {times.shape}: "
                "give one value a time"
            )
        chosen[name] = thinned(values, points)
    columns = {
        "name": np.concatenate([[name] * len(kept) for name, kept in chosen.items()]),
        "t": np.concatenate([times[kept] for kept in chosen.values()]),
        "value": np.concatenate(
            [np.asarray(series[name])[kept] for name, kept in chosen.items()]
        ),
    }
    time_title = with_units("time", time_units)
    x = {
        "field": "t",
        "type": "temporal" if dated else "quantitative",
        "title": None if dated else time_title,
        "axis": FEW_TICKS,
        "scale": {"type": "utc", "nice": False}
        if dated
        else {"zero": False, "nice": False},
    }
    title = with_units(label, units)
    y = titled("value", title) | {"scale": {"zero": False}}
    encoding = {
        "x": x,
        "y": y,
        "order": {"value": None},
        **by_name("name", list(series), (), reference),
    }
    at = shown("t", "%d %b %Y %H:%M", date=True) if dated else shown("t", ".6~g")
    tooltip = {"series": shown("name"), time_title: at, title: shown("value", ".4g")}
    layers = [
        {
            "mark": {"type": "line", "strokeWidth": 1.6},
            "params": [legend_click("name")],
        },
        *hover_layers(tooltip, len(columns["t"])),
    ]
    return single_view(
        csv_of(columns, dates=("t",) if dated else ()),
        {
            "encoding": encoding,
            "layer": layers,
        },
    )


def histogram_chart(
    samples: Mapping[str, Float[np.ndarray, " _"]],
    *,
    label: str,
    units: str = "",
    bins: int = 60,
    reference: str | None = None,
    log: bool = False,
) -> dict[str, Any]:
    """The densities of several samples over shared bins; NaN is left out.

    Raises:
        InputError: nothing to draw, or an unknown `reference`.
    """
    known(reference, samples)
    finite = {
        name: values[np.isfinite(values)]
        for name, values in ((n, np.ravel(np.asarray(v))) for n, v in samples.items())
    }
    everything = np.concatenate(list(finite.values()))
    if not everything.size:
        raise InputError(f"no finite sample of {label!r} to draw: all are missing")
    edges = np.histogram_bin_edges(everything, bins)
    rows = []
    for name, values in finite.items():
        density = np.histogram(values, edges, density=values.size > 0)[0]
        rows += [
            {
                "name": name,
                "low": float(low),
                "value": float(height) if height > 0 or not log else None,
            }
            for low, height in zip(edges, [*density, density[-1]], strict=True)
        ]
    positive = [row["value"] for row in rows if row["value"]]
    y = titled("value", "density") | (
        log_axis(min(positive), max(positive)) if log else {}
    )
    title = with_units(label, units)
    x = titled("low", title) | {"axis": FEW_TICKS}
    return single_view(
        {"values": rows},
        {
            "encoding": {
                "x": x | {"scale": {"zero": False, "nice": False}},
                "y": y,
                **by_name("name", list(samples), (), reference),
            },
            "layer": [
                {
                    "mark": {"type": "line", "interpolate": "step-after"},
                    "params": [legend_click("name")],
                },
                *hover_layers(
                    {
                        "sample": shown("name"),
                        title: shown("low", ".4g"),
                        "density": shown("value", ".3g"),
                    },
                    len(rows),
                ),
            ],
        },
    )
