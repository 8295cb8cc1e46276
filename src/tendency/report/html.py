"""Floor 5, report: the other blocks as HTML, each with everything it needs inside."""

import base64
import functools
import html
import itertools
import json
from typing import Any

from tendency.errors import InputError
from tendency.report.blocks import (
    Block,
    Chart,
    Code,
    ColourBar,
    Frames,
    Panel,
    Picture,
    Table,
)
from tendency.report.drawing import checked
from tendency.report.numbers import readable
from tendency.report.tables import table_html
from tendency.report.text import inline, paragraphs, slug


def block_html(block: Block, number: int) -> str:
    """One block; `number` tells the charts of a page apart."""
    if isinstance(block, str):
        return paragraphs(block)
    if isinstance(block, Table):
        return table_html(block)
    if isinstance(block, Chart):
        return _chart(block, number)
    if isinstance(block, Frames):
        return _frames(block)
    if isinstance(block, Picture):
        return _picture(block)
    return _code(block)


def embedded_json(value: Any) -> str:
    """`value` as JSON that cannot end the script element that holds it."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _chart(chart: Chart, number: int) -> str:
    spec = checked(dict(chart.spec) | {"description": chart.alt})
    name = slug(chart.caption)[:48].strip("-")
    return (
        '<figure class="chart">'
        f'<script type="application/json" id="spec-{number}">{embedded_json(spec)}'
        "</script>"
        f'<div class="canvas" data-spec="spec-{number}" data-name="{name}" role="img"'
        f' aria-label="{html.escape(chart.alt)}">'
        '<noscript><p class="failed">This chart is drawn by JavaScript, which is '
        "switched off here.</p></noscript></div>"
        f'<div class="below"><figcaption>{inline(chart.caption)}</figcaption>'
        '<button type="button" class="save">Save as SVG</button></div></figure>'
    )


def _frames(frames: Frames) -> str:
    count = len(frames.labels)
    if not count:
        raise InputError("a slider of maps has no frame: give one label a time")
    for panel in frames.panels:
        if len(panel.images) != count:
            raise InputError(
                f"map {panel.title!r} has {len(panel.images)} images and there are "
                f"{count} labels: give one image a label"
            )
    panels = "".join(_panel(panel, frames.alt) for panel in frames.panels)
    labels = html.escape(embedded_json(list(frames.labels)))
    player = ""
    if count > 1:
        player = (
            '<button type="button">Play</button>'
            f'<input type="range" min="0" max="{count - 1}" value="0" step="1"'
            ' aria-label="time">'
        )
    else:
        player = '<button hidden></button><input type="hidden" value="0">'
    return (
        f'<figure class="frames" data-labels="{labels}">'
        f'<div class="panels">{panels}</div>'
        f'<div class="player">{player}<output>{html.escape(frames.labels[0])}</output>'
        f"</div><figcaption>{inline(frames.caption)}</figcaption></figure>"
    )


def _panel(panel: Panel, alt: str) -> str:
    images = "".join(
        f'<img class="shown" alt="{html.escape(f"{alt} {panel.title}".strip())}" '
        f'src="{_data_url(image)}">'
        if i == 0
        else f'<img alt="" src="{_data_url(image)}">'
        for i, image in enumerate(panel.images)
    )
    shape = f' style="aspect-ratio:{panel.aspect:.4f}"' if panel.aspect else ""
    title = f"<h3>{inline(panel.title)}</h3>" if panel.title else ""
    edges = ""
    if panel.extent:
        west, east, south, north = panel.extent
        edges = (
            f'<div class="edges"><span>{_degrees(west, "EW")}</span>'
            f"<span>{_degrees(south, 'NS')} to {_degrees(north, 'NS')}</span>"
            f"<span>{_degrees(east, 'EW')}</span></div>"
        )
    if panel.edges:
        spans = "".join(f"<span>{html.escape(text)}</span>" for text in panel.edges)
        edges = f'<div class="edges">{spans}</div>'
    bar = _bar(panel.bar) if panel.bar else ""
    return (
        f'<div class="panel">{title}<div class="map"{shape}>{images}</div>'
        f"{edges}{bar}</div>"
    )


def _degrees(angle: float, sides: str) -> str:
    if sides == "EW":
        angle = (angle + 180) % 360 - 180
    side = sides[0] if angle > 0 else sides[1] if angle < 0 else ""
    return f"{abs(angle):.4g}°{side}"


def _bar(bar: ColourBar) -> str:
    ramp = ",".join(bar.colours)
    return (
        f'<div class="bar"><div class="ramp" '
        f'style="background:linear-gradient(to right,{ramp})"></div><div class="ends">'
        f"<span>{readable(bar.low)}</span><span>{html.escape(bar.label)}</span>"
        f"<span>{readable(bar.high)}</span></div></div>"
    )


def _picture(picture: Picture) -> str:
    return (
        f'<figure class="picture"><img src="{_data_url(picture.image)}" '
        f'alt="{html.escape(picture.alt)}">'
        f"<figcaption>{inline(picture.caption)}</figcaption></figure>"
    )


def _code(code: Code) -> str:
    text = html.escape(code.text.strip("\n"))
    language = f' data-language="{html.escape(code.language)}"' if code.language else ""
    return (
        '<figure class="code"><div class="above">'
        f"<figcaption>{inline(code.caption)}</figcaption>"
        '<button type="button" class="copy">Copy</button></div>'
        f'<pre tabindex="0"><code{language}>{text}</code></pre></figure>'
    )


_MAGIC = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"RIFF", "image/webp"),
    (b"<svg", "image/svg+xml"),
    (b"<?xml", "image/svg+xml"),
)


@functools.lru_cache(maxsize=4)
def _data_url(image: bytes) -> str:
    for magic, kind in _MAGIC:
        if image.lstrip()[: len(magic)] == magic:
            return f"data:{kind};base64,{base64.b64encode(image).decode('ascii')}"
    found = bytes(itertools.islice(image, 8))
    raise InputError(
        f"a picture starts with the bytes {found!r}: give PNG, JPEG, WebP or SVG"
    )
