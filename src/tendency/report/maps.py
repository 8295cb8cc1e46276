"""Floor 5, report: fields as maps with a time slider.

An image holds one pixel a grid cell and nothing else: the page sets the scale, the
coordinates and the titles as text, so that they stay legible on a telephone and follow
the light or dark theme. Missing values, such as land, are a veil of grey.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from tendency.errors import InputError
from tendency.report.blocks import ColourBar, Frames, Panel
from tendency.report.numbers import with_units

_LEVELS = 96  # colours of a map; more are not told apart, and cost bytes
_MISSING = _LEVELS  # the palette's last entry
_VEIL = (128, 128, 128, 130)  # its colour and opacity, on either theme
_WIDTH, _HEIGHT = 480, 320  # [pixels]; a larger field is averaged to fit
_FRAMES = 120


def map_frames(
    fields: Mapping[str, Float[np.ndarray, "_ _ _"]],
    latitude: Float[np.ndarray, " latitude"],
    longitude: Float[np.ndarray, " longitude"],
    labels: Sequence[str],
    *,
    quantity: str,
    units: str = "",
    caption: str = "",
    signed: bool | None = None,
    limits: tuple[float, float] | None = None,
    own_scale: Sequence[str] = (),
) -> Frames:
    """Maps of `fields` (time, latitude, longitude) side by side under one slider.

    Their common colour scale spans the 1st to 99th percentile of them all, or `limits`
    [`units`]; it is diverging and symmetric about zero where the values have both
    signs, or as `signed` says. A field named in `own_scale` (a difference, an
    uncertainty) has its own. `latitude` and `longitude` [degrees] are regular or not,
    in either direction; `labels` name the times. Beyond 120 times an even choice is
    shown.

    Raises:
        InputError: shapes that contradict each other, or nothing finite to show.
    """
    latitude, longitude = np.asarray(latitude, float), np.asarray(longitude, float)
    west, east = float(longitude.min()), float(longitude.max())
    south, north = float(latitude.min()), float(latitude.max())
    stretch = np.cos(np.deg2rad(np.clip((south + north) / 2, -60, 60)))
    aspect = float((east - west) * stretch / max(north - south, 1e-9))
    frames = plane_frames(
        fields,
        latitude,
        longitude,
        labels,
        quantity=quantity,
        units=units,
        caption=caption,
        signed=signed,
        limits=limits,
        own_scale=own_scale,
        aspect=aspect,
        axes=("latitudes", "longitudes"),
    )
    extent = (west, east, south, north)
    panels = tuple(replace(panel, extent=extent) for panel in frames.panels)
    return replace(frames, panels=panels)


def plane_frames(
    fields: Mapping[str, Float[np.ndarray, "_ _ _"]],
    upward: Float[np.ndarray, " row"],
    rightward: Float[np.ndarray, " column"],
    labels: Sequence[str],
    *,
    quantity: str,
    units: str = "",
    caption: str = "",
    signed: bool | None = None,
    limits: tuple[float, float] | None = None,
    own_scale: Sequence[str] = (),
    aspect: float,
    edges: tuple[str, str, str] | None = None,
    axes: tuple[str, str] = ("rows", "columns"),
) -> Frames:
    """As `map_frames`, over any two coordinates: (time, upward, rightward).

    `aspect` is the width over the height, between 0.6 and 4; `edges` is what to say
    below a map at its left, middle and right.

    Raises:
        InputError: shapes that contradict each other, or nothing finite to show.
    """
    upward, rightward = np.asarray(upward, float), np.asarray(rightward, float)
    shape = (len(labels), len(upward), len(rightward))
    arrays = {name: np.asarray(values, float) for name, values in fields.items()}
    for name, values in arrays.items():
        if values.shape != shape:
            raise InputError(
                f"field {name!r} has shape {values.shape}; (times, {axes[0]}, "
                f"{axes[1]}) are {shape}: give all three in that order"
            )
    shared = [values for name, values in arrays.items() if name not in own_scale]
    scales = {
        name: _scale([values], signed, None)
        if name in own_scale
        else _scale(shared, signed, limits)
        for name, values in arrays.items()
    }
    times = range(0, len(labels), max(1, -(-len(labels) // _FRAMES)))
    rows, columns = _even(upward)[::-1], _even(rightward)
    panels = []
    for name, values in arrays.items():
        low, high, colours = scales[name]
        images = tuple(
            _png(_shrunk(values[i][np.ix_(rows, columns)]), low, high, colours)
            for i in times
        )
        bar = ColourBar(
            low,
            high,
            _hexadecimal(colours[:: _LEVELS // 16]),
            with_units(quantity, units),
        )
        title = name if len(arrays) > 1 else ""
        shown = min(max(aspect, 0.6), 4.0)
        panels.append(Panel(title, images, bar, edges=edges, aspect=shown))
    return Frames(
        tuple(panels), tuple(labels[i] for i in times), caption, f"Map of {quantity}"
    )


def _scale(
    arrays: Sequence[np.ndarray],
    signed: bool | None,
    limits: tuple[float, float] | None,
) -> tuple[float, float, UInt8[np.ndarray, "level 3"]]:
    if limits is None:
        finite = np.concatenate([values[np.isfinite(values)] for values in arrays])
        if not finite.size:
            raise InputError("no finite value to map: the fields are all missing")
        low, high = (float(q) for q in np.percentile(finite, (1, 99)))
    else:
        low, high = limits
    if signed if signed is not None else low < 0 < high:
        high = max(abs(low), abs(high))
        low = -high
        return low, high or 1.0, _colours("RdBu_r")
    return low, high if high > low else low + 1.0, _colours("viridis")


def _colours(name: str) -> UInt8[np.ndarray, "level 3"]:
    from matplotlib import colormaps

    table: Any = colormaps[name](np.linspace(0, 1, _LEVELS), bytes=True)
    return table[:, :3]


def _hexadecimal(colours: UInt8[np.ndarray, "level 3"]) -> tuple[str, ...]:
    return tuple("#" + bytes(colour).hex() for colour in colours)


def _even(axis: Float[np.ndarray, " cell"]) -> np.ndarray:
    """The nearest cell to each of evenly spaced, rising coordinates."""
    order = np.argsort(axis)
    rising = axis[order]
    steps = np.diff(rising)
    if not len(steps) or np.allclose(steps, steps[0], rtol=0.01):
        return order
    size = int(np.clip(round((rising[-1] - rising[0]) / steps.min()) + 1, 2, 720))
    wanted = np.linspace(rising[0], rising[-1], size)
    middles = (rising[1:] + rising[:-1]) / 2
    return order[np.searchsorted(middles, wanted)]


def _shrunk(field: Float[np.ndarray, "row column"]) -> np.ndarray:
    """Averaged over whole blocks of cells until it fits; the last ones may be fewer."""
    block = max(-(-field.shape[0] // _HEIGHT), -(-field.shape[1] // _WIDTH))
    if block < 2:
        return field
    pad = [(0, -size % block) for size in field.shape]
    padded = np.pad(field, pad, constant_values=np.nan)
    rows, columns = padded.shape[0] // block, padded.shape[1] // block
    blocks = padded.reshape(rows, block, columns, block)
    there = np.isfinite(blocks)
    count = there.sum(axis=(1, 3))
    total = np.where(there, blocks, 0).sum(axis=(1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


# A PNG with a palette is a quarter of what Matplotlib would write.
def _png(
    field: Float[np.ndarray, "row column"],
    low: float,
    high: float,
    colours: UInt8[np.ndarray, "level 3"],
) -> bytes:
    there = np.isfinite(field)
    fraction = (np.where(there, field, low) - low) / (high - low)
    index = np.clip(np.floor(fraction * _LEVELS), 0, _LEVELS - 1)
    rows = np.where(there, index, _MISSING).astype(np.uint8)
    lines = np.pad(rows, ((0, 0), (1, 0)))  # each line starts with filter 0, "none"
    head = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], 8, 3, 0, 0, 0)
    palette = np.zeros((_MISSING + 1, 3), np.uint8)
    palette[:_LEVELS] = colours
    palette[_MISSING] = _VEIL[:3]
    opacity = bytes([255] * _MISSING + [_VEIL[3]])
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, content)
        for kind, content in (
            (b"IHDR", head),
            (b"PLTE", palette.tobytes()),
            (b"tRNS", opacity),
            (b"IDAT", zlib.compress(lines.tobytes(), 9)),
            (b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
