"""The page of the study."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tendency.report.blocks import Chart, Code, Column, Section, Table
from tendency.report.lines import line_chart
from tendency.report.maps import plane_frames
from tendency.report.page import Page
from tendency.report.provenance import Provenance
from tendency.studies.shallow_water_drag.recovery import VISITED, Recovered
from tendency.studies.shallow_water_drag.setting import (
    DRAG,
    KNOWN,
    LENGTH,
    Series,
    Size,
    exchange,
    sea,
    shear,
    steps,
    unknown,
)
from tendency.symbolic.printed import printed

_QUESTION = (
    "Two layers of a shelf sea rotate, exchange waves and eddies, and rub against each "
    "other and the bottom. All of it is known but the rubbing: a drag coefficient, and "
    "how the stress between the layers depends on their shear. Does the motion tell?"
)


def make_page(
    found: Mapping[float, Recovered],
    errors: Mapping[float, Mapping[str, float]],
    series: Series,
    size: Size,
    provenance: Provenance,
) -> Page:
    """All that the study found."""
    sections = (
        _numbers(found, errors, size),
        _law(found, series),
        _equations(found),
        _motion(series, size),
    )
    return Page(
        "Shallow water: what rubs the layers", _QUESTION, sections, provenance,
        kicker="tendency study",
    )  # fmt: skip


def _numbers(
    found: Mapping[float, Recovered],
    errors: Mapping[float, Mapping[str, float]],
    size: Size,
) -> Section:
    drag, curve = "drag coefficient [10⁻³]", "error of the stress [%]"
    columns = (
        Column("noise [%]"),
        Column("first", group=drag),
        Column("found", group=drag),
        Column("± error", group=drag),
        Column("off by [%]"),
        Column("rms", group=curve),
        Column("of greatest", group=curve),
        Column("of value", group=curve),
    )
    rows = tuple(
        (
            f"{100 * noise:g}",
            None if one.first is None else 1e3 * one.first,
            *(1e3 * number for number in one.drag),
            *(100 * value for value in errors[noise].values()),
        )
        for noise, one in found.items()
    )
    minutes = size.horizon * size.dt / 60
    return Section(
        "Drag and stress",
        f"The true coefficient is {DRAG}. A drag that is found first, by tendencies "
        "and with a guess of the other stress, takes on a part of it; both are found "
        f"together through roll-outs of {minutes:.0f} minutes. With noise these start "
        "from fields that "
        "were smoothed, since the noise of a start makes waves. Standard errors know "
        "nothing of errors of the starts.",
        (
            Table(
                columns,
                rows,
                "Noise as a part of each field's variations; errors of the stress over "
                "the visited shears: in root mean square, the largest over the "
                "greatest stress, and the largest over the stress there.",
                digits=4,
            ),
        ),
    )


def _law(found: Mapping[float, Recovered], series: Series) -> Section:
    shears = shear(series)
    low, high = np.percentile(shears, VISITED)
    speed = np.linspace(0, shears.max(), 120)
    lines = {"truth": (speed, 1e4 * exchange(speed) * speed)}
    for noise, one in found.items():
        lines[f"found, noise {100 * noise:g} %"] = speed, 1e4 * one.law(speed).stress
    lines["visited, 98 %"] = np.array([low, high]), np.zeros(2)
    stress = line_chart(
        lines,
        across="shear [m/s]",
        up="stress [10⁻⁴ m²/s²]",
        reference="truth",
    )
    share, edges = np.histogram(shears, np.linspace(0, shears.max(), 60), density=True)
    visits = line_chart(
        {"points and times": ((edges[1:] + edges[:-1]) / 2, share)},
        across="shear [m/s]",
        up="density of visits [s/m]",
    )
    return Section(
        "The law of the stress",
        "K(s²) is a network of 25 numbers inside the equations, positive by a change "
        "of variable; the stress is K s for a unit density. It is judged over the "
        f"shears between {low:.2f} and {high:.2f} m/s, which 98 % of the points and "
        "times have: the line at the foot. The chart goes up to the greatest shear, "
        f"{shears.max():.2f} m/s; "
        "beyond what is visited a network says nothing.",
        (
            Chart(stress, "Stress over shear.", "Found stress lies on the true one."),
            Chart(visits, "Where the law was seen.", "Shears that were visited."),
        ),
    )


def _equations(found: Mapping[float, Recovered]) -> Section:
    blocks = []
    noise, one = max(found.items())
    value, error = one.drag
    for latex in (False, True):
        lines = printed(unknown(0), {"c": value}, {"c": error}, latex=latex)
        text = " \\\\\n".join(lines) if latex else "\n".join(lines)
        caption = "In LaTeX:" if latex else f"With a noise of {100 * noise:g} %:"
        blocks.append(Code(text, "latex" if latex else "", caption))
    known = ", ".join(f"{name} = {number:g}" for name, number in KNOWN.items())
    return Section(
        "The equations with what was found",
        "The standard error of the coefficient is in units of its last two digits. "
        f"Known are {known} (SI units); r is the reduced gravity of the interface.",
        tuple(blocks),
    )


def _motion(series: Series, size: Size) -> Section:
    count = steps(size) + 1
    every = max(1, count // 24)
    at = np.arange(0, count, every)
    center = sea(size.points).axes[0].positions()

    def on_cells(u, v):
        along = (u + np.roll(u, 1, 1)) / 2
        return np.hypot(along, (v + np.roll(v, 1, 2)) / 2)

    parts = {name: values[at] for name, values in series.items()}
    shown = {
        "speed above [m/s]": on_cells(parts["u1"], parts["v1"]),
        "speed below [m/s]": on_cells(parts["u2"], parts["v2"]),
        "shear [m/s]": on_cells(parts["u1"] - parts["u2"], parts["v1"] - parts["v2"]),
    }
    frames = plane_frames(
        {name: values.transpose(0, 2, 1) for name, values in shown.items()},
        center,
        center,
        [f"{i * size.dt / 3600:.1f} hours" for i in at],
        quantity="speed",
        units="m s-1",
        aspect=1.0,
        caption="The first run.",
        edges=("0", "", f"{LENGTH / 1e3:g} km"),
    )
    panels = [replace(p, title=p.title.split(" [")[0]) for p in frames.panels]
    return Section(
        "The motion",
        f"{size.runs} runs of {size.hours:g} hours on {size.points} x {size.points} "
        "points of a C grid, doubly periodic, each from currents in balance with the "
        "pressure. Inertial turning, gravity waves at the surface and the interface, "
        "advection and both stresses act at once.",
        (replace(frames, panels=tuple(panels)),),
    )
