"""The results as Markdown, which a terminal shows well enough."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]


def heading(machine: Row) -> str:
    """The machine and the versions, in a sentence."""
    ours, peers = (
        ", ".join(f"{name} {version}" for name, version in machine[side].items())
        for side in ("ours", "peers")
    )
    return (
        f"{machine['cores'] or 'Unknown'} cores of {machine['processor']}, Python "
        f"{machine['python']}. Ours: {ours}. Peers: {peers}.\n"
    )


def ratios(rows: Sequence[Row]) -> str:
    """How many times our CPU time each peer took."""
    names = ["what", "peer", "ours", "theirs", "CPU ratio (least to most)"]
    names += ["default threads", "wall", "asked", "reached"]
    lines = []
    for row in rows:
        best, default, asked = row["best"], row["default"], row["asked"]
        lines.append(
            [
                row["case"],
                row["peer"],
                f"{seconds(best['ours'])} a {row['unit']}",
                seconds(best["theirs"]),
                f"{number(best['ratio'])} ({number(best['least'])} to "
                f"{number(best['most'])})",
                number(default["ratio"]),
                number(default["wall"]),
                f"≥ {asked:g}" if asked else "",
                _yes(best["ratio"] >= asked) if asked else "",
            ]
        )
    return _table(names, lines)


def starts(rows: Sequence[Row]) -> str:
    """How long commands take."""
    names = ["command", "wall (least to most)", "CPU", "asked", "reached"]
    lines = [
        [
            row["command"],
            f"{seconds(row['wall'])} ({seconds(row['least'])} to "
            f"{seconds(row['most'])})",
            seconds(row["cpu"]),
            f"< {row['asked']} s" if row["asked"] else "",
            _yes(row["wall"] < row["asked"]) if row["asked"] else "",
        ]
        for row in rows
    ]
    return _table(names, lines)


def compilations(rows: Sequence[Row]) -> str:
    """How long systems take to compile."""
    names = ["system", "operations", "generated in", "compiled in, wall", "CPU"]
    names += ["asked", "reached"]
    lines = [
        [
            row["system"],
            str(row["operations"]),
            f"{seconds(row['generate'])} CPU",
            seconds(row["wall"]),
            seconds(row["cpu"]),
            f"< {row['asked']:g} s" if row["asked"] else "",
            _yes(row["cpu"] < row["asked"]) if row["asked"] else "",
        ]
        for row in rows
    ]
    return _table(names, lines)


def scaling(rows: Sequence[Row]) -> str:
    """What a step costs with ever more points, beside copies of memory."""
    names = ["points", "a step", "a point and step", "moved", "copy, same size"]
    names += ["copy, memory", "of memory's"]
    lines = [
        [
            f"{row['side']} x {row['side']}",
            seconds(row["step"]),
            seconds(row["step"] / row["points"]),
            *(f"{row[k] / 1e9:.3g} GB/s" for k in ("moved", "near", "memory")),
            f"{100 * row['moved'] / row['memory']:.0f} %",
        ]
        for row in rows
    ]
    x, y = ([math.log(row[k]) for row in rows] for k in ("points", "step"))
    slope = statistics.linear_regression(x, y).slope
    return f"{_table(names, lines)}\nTime goes as points to the power {slope:.2f}.\n"


def limits(rows: Sequence[Row]) -> str:
    """CPU times and memories, and what they must not exceed."""
    names = ["what", "CPU", "wall", "memory", "asked", "reached"]
    lines = []
    for row in rows:
        most, memory = row["asked"]
        asked = [f"≤ {most} s"] if most else []
        asked += [f"< {memory} GB"] if memory else []
        good = row["cpu"] <= (most or row["cpu"]) and row["memory"] < (memory or 1e9)
        lines.append(
            [
                row["what"],
                seconds(row["cpu"]),
                seconds(row["wall"]),
                f"{row['memory']:.2g} GB",
                ", ".join(asked),
                _yes(good) if asked else "",
            ]
        )
    return _table(names, lines)


def loading(rows: Sequence[Row]) -> str:
    """How long a network that is trained waits for what it learns from."""
    names = ["what", "step, in memory", "step, read", "of it waiting", "reading alone"]
    names += ["asked", "reached"]
    lines = [
        [
            row["what"],
            seconds(row["memory"]),
            seconds(row["read"]),
            f"{100 * row['wait'] / row['read']:.2g} %",
            seconds(row["alone"]),
            "< 5 %",
            _yes(row["wait"] < 0.05 * row["read"]),
        ]
        for row in rows
    ]
    return _table(names, lines)


def estimates(rows: Sequence[Row]) -> str:
    """What a training step is told to need, beside what its program takes."""
    lines = [
        [row["what"], *(_size(row[key]) for key in ("estimate", "compiled"))]
        for row in rows
    ]
    return _table(["what", "estimate", "compiled"], lines)


def _size(value: float) -> str:
    return f"{value / 1e9:.3g} GB" if value >= 1e9 else f"{value / 1e6:.3g} MB"


def equalities(rows: Sequence[Row]) -> str:
    """How far numbers are from those of a peer."""
    names = ["what", "largest difference", "asked", "reached"]
    lines = [
        [
            row["what"],
            f"{row['difference']:.0e}",
            f"< {row['asked']:.0e}",
            _yes(row["difference"] < row["asked"]),
        ]
        for row in rows
    ]
    return _table(names, lines)


def seconds(value: float) -> str:
    """Three digits and a unit."""
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def number(value: float) -> str:
    """Two digits where they matter, whole numbers above."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _yes(reached: bool) -> str:
    return "yes" if reached else "no"


def _table(names: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(names, *lines, strict=True)]
    rule = ["-" * width for width in widths]
    rows = [
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in (names, rule, *lines)
    ]
    return "\n".join(f"| {row} |" for row in rows) + "\n"
