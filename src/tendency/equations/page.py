"""Floor 5: the page of a run: the equations, what they did, how to do it again."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from tendency.equations.build import Built
from tendency.equations.check import check
from tendency.equations.expressions import Numbers
from tendency.equations.integration import Ran, integrals
from tendency.equations.stability import Stability
from tendency.report.blocks import Block, Chart, Code, Column, Frames, Section, Table
from tendency.report.charts import series_chart
from tendency.report.maps import plane_frames
from tendency.report.numbers import readable_units, with_units
from tendency.report.page import Page
from tendency.report.provenance import Provenance

_LEVEL = 1e-12  # a series that changes by less of itself is not drawn
_RIGHTWARD = ("x", "lon", "longitude")  # coordinates that lie across the page


def make_page(
    built: Built, ran: Ran, found: Stability, *, seconds: float, config: str
) -> Page:
    """All that the run found; `config` is the path of its TOML."""
    command = f"tendency run {config}"
    asked = built.asked
    names = ", ".join(built.system.fields)
    end = f"t = {ran.times[0]:g} to {ran.times[-1]:g}{_units(asked.time.unit)}"
    question = asked.system.about or f"What do these equations make of {names}?"
    stop = ""
    if ran.stopped is not None:
        stop = f" By t = {ran.stopped:g} the fields are no longer finite."
    return Page(
        asked.system.name,
        f"{question} Integrated from {end}.{stop}",
        (
            _equation_section(built, found),
            Section("The fields", "", tuple(_pictures(built, ran))),
            _integral_section(built, ran),
        ),
        Provenance.here(seed=None, wall_seconds=seconds, command=command),
        kicker="tendency equations",
    )


def _equation_section(built: Built, found: Stability) -> Section:
    code = Code(
        "\n".join(built.system.written), "", "The equations, as they were given:"
    )
    tables = check(built, found)
    tables.pop("equations")
    rows = tuple((what, how) for rows in tables.values() for what, how in rows)
    text = " ".join(f"Warning: {sentence}." for sentence in found.warnings(built))
    return Section(
        "The equations", text, (code, Table(("", ""), rows, "What was integrated."))
    )


def _pictures(built: Built, ran: Ran) -> Iterator[Block]:
    """A chart over time, a diagram of space and time, or maps, by the dimension."""
    if not built.grid.axes:
        yield from _charts(built, ran.times, ran.states, "")
        return
    if len(built.grid.axes) == 1:
        for name in ran.states:
            yield _space_time(built, ran, name)
        return
    maps = [_map(built, ran, name, values) for name, values in ran.states.items()]
    panels = [panel for one in maps for panel in one.panels]
    if len(panels) > 1:
        named = zip(panels, ran.states, strict=True)
        panels = [replace(panel, title=name) for panel, name in named]
    yield replace(maps[0], panels=tuple(panels), alt=f"Maps of {', '.join(ran.states)}")


def _space_time(built: Built, ran: Ran, name: str) -> Frames:
    axis, time = built.grid.axes[0], built.asked.time
    label = with_units(axis.name, built.asked.axes[axis.name].unit)
    upward = ran.times if len(ran.times) > 1 else np.array([0.0])
    return plane_frames(
        {name: ran.states[name][None]},
        upward,
        axis.positions(built.offsets[name][0]),
        [f"t = {ran.times[0]:g} to {ran.times[-1]:g}{_units(time.unit)}, upwards"],
        quantity=name,
        units=built.unit(name),
        limits=space_limits(ran.states[name]),
        caption=f"{name} over {axis.name} and time, which goes upwards.",
        aspect=1.6,
        edges=(f"{axis.lower:g}", label, f"{axis.upper:g}"),
    )


def _map(built: Built, ran: Ran, name: str, values: Numbers) -> Frames:
    units = _units(built.asked.time.unit)
    labels = [f"t = {t:g}{units}" for t in ran.times]
    return map_of(
        built, name, values, labels, built.offsets[name], units=built.unit(name)
    )


def map_of(
    built: Built,
    name: str,
    values: Numbers,
    labels: list[str],
    offsets: tuple[Fraction, ...] = (Fraction(0),) * 3,
    units: str = "",
) -> Frames:
    """Maps of a field (time, *axes) over two axes; of three in the middle of one."""
    axes = built.grid.axes
    where = ""
    if len(axes) == 3:  # in the middle of the last one
        middle = values.shape[3] // 2
        values = values[..., middle]
        position = axes[2].positions(offsets[2])[middle]
        where = f" at {axes[2].name} = {position:g}"
    right = 1 if axes[1].name.lower() in _RIGHTWARD else 0
    across, up = axes[right], axes[1 - right]
    if right == 0:
        values = values.transpose(0, 2, 1)
    label = with_units(across.name, built.asked.axes[across.name].unit)
    return plane_frames(
        {name: values},
        up.positions(offsets[1 - right]),
        across.positions(offsets[right]),
        labels,
        quantity=name,
        units=units,
        caption=f"The fields{where}; {up.name} goes upwards, {up.lower:g} to "
        f"{up.upper:g}{_units(built.asked.axes[up.name].unit)}.",
        limits=space_limits(values),
        aspect=(across.upper - across.lower) / (up.upper - up.lower),
        edges=(f"{across.lower:g}", label, f"{across.upper:g}"),
    )


def space_limits(values: Numbers) -> tuple[float, float]:
    """Of the colours: a thousandth of the values lie beyond each."""
    low, high = np.nanpercentile(values, (0.1, 99.9))
    return float(low), float(high)


def _integral_section(built: Built, ran: Ran) -> Section:
    if not built.grid.axes:
        return Section("Start and end", "", (_table(built, ran, ran.states),))
    sums = integrals(built, ran)
    sizes = integrals(built, ran, np.abs)  # what rounding is measured by
    return Section(
        "Integrals",
        "Each field times the sizes of its cells, summed: what the equations "
        "conserve stays level.",
        (
            _table(built, ran, sums),
            *_charts(built, ran.times, sums, "integral of ", sizes),
        ),
    )


def _table(built: Built, ran: Ran, sums: dict[str, Numbers]) -> Table:
    rows = []
    for name, series in sums.items():
        first, last = float(series[0]), float(series[-1])
        final = ran.states[name][-1]
        low, high = float(np.nanmin(final)), float(np.nanmax(final))
        rows.append((name, first, last, last - first, low, high))
    what = "integral" if built.grid.axes else "value"
    columns = (
        Column("field"),
        Column("start", group=what),
        Column("end", group=what),
        Column("change", group=what),
        Column("least", group="at the end"),
        Column("greatest", group="at the end"),
    )
    return Table(columns, tuple(rows), "From the first saved time to the last.")


def _charts(
    built: Built,
    times: Float[np.ndarray, " time"],
    series: dict[str, Numbers],
    prefix: str,
    sizes: dict[str, Numbers] | None = None,
) -> Iterator[Block]:
    if len(times) < 2:
        return
    units = built.asked.time.unit
    for name, values in series.items():
        size = np.abs((sizes or series)[name]).max()
        if np.ptp(values) <= _LEVEL * max(size, 1e-300):
            yield f"The {prefix}{name} stays level, to rounding."
            continue
        own = "" if prefix else built.unit(name)
        spec = series_chart(
            times,
            {name: values},
            label=f"{prefix}{name}",
            units=own,
            time_units=units,
        )
        title = f"{prefix}{name}".capitalize() if prefix else name
        yield Chart(spec, f"{title} over time.", f"{title} over time.")


def _units(units: str) -> str:
    told = readable_units(units)
    return f" {told}" if told else ""
