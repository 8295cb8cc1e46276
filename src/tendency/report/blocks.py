"""Floor 5, report: what a page is made of.

Plain records, none of which knows HTML: `Column` and `Table`, `Chart`, `Panel`,
`ColourBar` and `Frames`, `Picture`, `Code`; and `Section`, which holds them. A `str`
among the blocks of a section is text.

Text may hold `` `code` ``, `[links](https://...)`, `doi:10...` and `arXiv:...`; an
empty line starts a paragraph, lines that start with `- ` are a list. Everything else
is shown as it stands.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Column:
    """The head of one column of a `Table`.

    Neighbouring columns with the same `group` share a heading above their own.
    `published` marks numbers that are not ours; `best` has the lowest or highest number
    of ours set in bold.
    """

    title: str
    units: str = ""
    group: str = ""
    published: bool = False
    best: Literal["lowest", "highest"] | None = None


@dataclass(frozen=True)
class Table:
    """Rows under `columns`; a cell is text, a number, or `None` for "not known".

    Numbers are shown to `digits` significant digits. The first column names the row.
    """

    columns: tuple[Column | str, ...]
    rows: tuple[tuple[Any, ...], ...]
    caption: str = ""
    digits: int = 3


@dataclass(frozen=True)
class Chart:
    """A Vega-Lite specification, as `tendency.report.charts` makes them.

    `alt` says in a sentence what the chart shows, for those who cannot see it.
    """

    spec: Mapping[str, Any]
    caption: str
    alt: str


@dataclass(frozen=True)
class ColourBar:
    """The scale of a map: `colours` from `low` to `high`, evenly spaced."""

    low: float
    high: float
    colours: tuple[str, ...]  # "#rrggbb"
    label: str  # the quantity and its units


@dataclass(frozen=True)
class Panel:
    """One map of a `Frames` block: an image a frame, and how to read it."""

    title: str
    images: tuple[bytes, ...]  # PNG or WebP, north up
    bar: ColourBar | None = None
    extent: tuple[float, float, float, float] | None = None  # west, east, south, north
    edges: tuple[str, str, str] | None = None  # instead, below: left, middle, right
    aspect: float | None = None  # width over height on the page, else of the image


@dataclass(frozen=True)
class Frames:
    """Maps side by side that share a slider: image `i` of each belongs to `labels[i]`.

    The slider is worked by mouse, finger or keyboard, or played.
    """

    panels: tuple[Panel, ...]
    labels: tuple[str, ...]
    caption: str
    alt: str


@dataclass(frozen=True)
class Picture:
    """A still image: the bytes of a PNG, WebP, JPEG or SVG file."""

    image: bytes
    caption: str
    alt: str


@dataclass(frozen=True)
class Code:
    """Lines set as they are: a command, a program, equations."""

    text: str
    language: str = ""
    caption: str = ""


Block = Table | Chart | Frames | Picture | Code | str


@dataclass(frozen=True)
class Section:
    """A heading, its text, then blocks in order."""

    title: str
    text: str = ""
    blocks: tuple[Block, ...] = ()
