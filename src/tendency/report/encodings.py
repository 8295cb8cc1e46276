"""Floor 5, report: the pieces of Vega-Lite that the charts share."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tendency.errors import InputError
from tendency.report.numbers import superscript

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
FEW_TICKS = {"tickCount": {"expr": "max(2, floor(width / 85))"}}
PLAIN = {"color": None, "strokeDash": None, "opacity": None, "order": None}
_COLOURS = 6  # of the theme, told apart with any colour vision
_DASHES = ([1, 0], [7, 4], [1.5, 4], [9, 4, 1.5, 4])
_HOVERED = 1500  # points; more of them to search would make the page sluggish


def single_view(
    data: Mapping[str, Any], view: Mapping[str, Any], height: int = 320
) -> dict[str, Any]:
    """A chart as wide as the page gives it."""
    return {"$schema": SCHEMA, "data": data, "height": height, **view}


def titled(field: str, title: str) -> dict[str, Any]:
    """A channel that shows the numbers of `field`."""
    return {"field": field, "type": "quantitative", "title": title}


def band_layer(data: Mapping[str, Any], up: Mapping[str, Any]) -> dict[str, Any]:
    """An area beneath lines, from the numbers `low` to `high` of the data."""
    return {
        "data": data,
        "mark": {"type": "area", "color": "theme:muted", "opacity": 0.28},
        "encoding": {**PLAIN, "y": {**up, "field": "low"}, "y2": {"field": "high"}},
    }


def by_name(
    field: str,
    names: Sequence[str],
    baselines: Sequence[str] = (),
    reference: str | None = None,
) -> dict[str, Any]:
    """Colour, dash and dimming by name, with a legend that can be clicked.

    `reference` is black, `baselines` are grey; the others take the colours of the theme
    in turn, with another dash each time round.
    """
    colours, dashes = [], []
    plain = grey = 0
    for name in names:
        if name == reference:
            colours.append("theme:ink")
            dashes.append(_DASHES[0])
        elif name in baselines:
            colours.append("theme:muted")
            dashes.append(_DASHES[(grey + 1) % len(_DASHES)])
            grey += 1
        else:
            colours.append(f"theme:{plain % _COLOURS + 1}")
            dashes.append(_DASHES[plain // _COLOURS % len(_DASHES)])
            plain += 1
    widest = 52 + 6.5 * max(map(len, names))
    legend = None
    if len(names) > 1:
        legend = {
            "title": None,
            "symbolType": "stroke",
            "columns": {"expr": f"max(1, floor(width / {widest}))"},
        }
    shared = {"field": field, "type": "nominal", "sort": None, "legend": legend}
    return {
        "color": shared | {"scale": {"domain": list(names), "range": colours}},
        "strokeDash": shared | {"scale": {"domain": list(names), "range": dashes}},
        "opacity": {"condition": {"param": "picked", "value": 1}, "value": 0.12},
    }


def legend_click(field: str) -> dict[str, Any]:
    """The selection behind `by_name`: a click in the legend singles a name out."""
    return {
        "name": "picked",
        "select": {"type": "point", "fields": [field]},
        "bind": "legend",
    }


def shown(field: str, form: str = "", *, date: bool = False) -> str:
    """The expression of what a tooltip says of `field`, in the D3 format `form`."""
    # The nearest point is found through a cell around it, which holds it as its datum.
    value = f"(datum.datum || datum)['{field}']"
    if not form:
        return value
    return f"{'utcFormat' if date else 'format'}({value}, '{form}')"


def hover_layers(tooltip: Mapping[str, str], points: int) -> list[Any]:
    """A layer that marks and names the point nearest to the pointer.

    `tooltip` holds titles and what `shown` says beside them. There is no such layer
    beyond a number of points that would make the page sluggish.
    """
    if points > _HOVERED:
        return []
    entries = ", ".join(f"{json.dumps(key)}: {value}" for key, value in tooltip.items())
    visible = {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0}
    select = {
        "type": "point",
        "nearest": True,
        "on": "pointerover",
        "clear": "pointerout",
    }
    mark = {"type": "point", "size": 70, "tooltip": {"expr": f"{{{entries}}}"}}
    return [
        {
            "mark": mark,
            "params": [{"name": "near", "select": select}],
            "encoding": {"strokeDash": None, "opacity": visible},
        }
    ]


def log_axis(low: float, high: float) -> dict[str, Any]:
    """Scale and axis of a logarithmic channel whose values span `low` to `high`.

    Ticks are powers of ten, thinned to at most eight, with 2 and 5 between them where
    the span is short.
    """
    bottom, top = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, math.ceil((top - bottom) / 8))
    powers = range(bottom - bottom % every, top + 1, every)
    within = (1, 2, 5) if high < 100 * low else (1,)
    domain = [low / 1.25, high * 1.25]
    ticks = {m * 10.0**p: _tick(m, p) for p in powers for m in within}
    ticks = {t: name for t, name in ticks.items() if domain[0] <= t <= domain[1]}
    label = "".join(f"datum.value < {1.2 * t} ? '{n}' : " for t, n in ticks.items())
    return {
        "scale": {"type": "log", "domain": domain},
        "axis": {"values": list(ticks), "labelExpr": f"{label}''"},
    }


def _tick(multiple: int, power: int) -> str:
    if abs(power) < 3:
        return f"{multiple * 10.0**power:.4g}"
    raised = f"10{superscript(power)}"
    return raised if multiple == 1 else f"{multiple}×{raised}"


def known(name: str | None, drawn: Mapping[str, Any]) -> None:
    """Refuse an empty chart, and a `reference` that is not drawn."""
    if not drawn:
        raise InputError("nothing to draw: give at least one named array")
    if name is not None and name not in drawn:
        raise InputError(
            f"reference {name!r} is not among what is drawn ({', '.join(drawn)}): "
            "give its array too, or no reference"
        )
