"""The sections of the page that tell of the closed basin, and its scores."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tendency.physics.double_gyre import double_gyre
from tendency.report.blocks import Chart, Code, Column, Frames, Section, Table
from tendency.report.charts import series_chart
from tendency.report.maps import plane_frames
from tendency.report.numbers import readable_units
from tendency.scores.records import Score
from tendency.studies.quasigeostrophic.gyre import (
    CASE,
    ENERGIES,
    RATES,
    Basin,
    Run,
    residual,
)
from tendency.studies.quasigeostrophic.reference import GYRE_NUMBERS


def gyre_scores(ran: Run, basin: Basin) -> list[Score]:
    """What the basin is like, in numbers."""
    values = {
        ("lowest SSH", "m"): ran.height.min(),
        ("highest SSH", "m"): ran.height.max(),
        ("largest SSH standard deviation", "m"): ran.height.std(axis=0).max(),
        ("kinetic energy", "m2 s-2"): ran.means["kinetic"].mean(),
        ("available potential energy", "m2 s-2"): ran.means["potential"].mean(),
        **{(f"energy by {k}", "nW kg-1"): 1e9 * ran.means[k].mean() for k in RATES},
        ("energy residual", "nW kg-1"): 1e9 * residual(ran, basin),
        ("volume gained by the upper layer", "1"): abs(ran.means["volume"]).max(),
    }
    name = f"Physics on {basin.points} x {basin.points}"
    full = basin == Basin()
    return [
        Score(
            CASE,
            name,
            metric,
            None,
            float(value),
            units,
            GYRE_NUMBERS.get(metric) if full else None,
        )
        for (metric, units), value in values.items()
    ]


def gyre_sections(scores: Sequence[Score], ran: Run, basin: Basin) -> list[Section]:
    """Maps, then numbers and the budget."""
    mine = [s for s in scores if s.case == CASE]
    return [_maps(ran, basin), _numbers(mine, ran, basin)]


def _maps(ran: Run, basin: Basin) -> Section:
    along = basin.grid.axes[0].positions()
    labels = [f"day {basin.every * (i + 1)}" for i in range(len(ran.height))]
    side = f"{basin.length / 1e3:,.0f} km"
    panels = []
    for title, fields, quantity, units in (
        ("Sea surface height", ran.height, "height", "m"),
        ("Relative vorticity", ran.vorticity, "vorticity / f₀", "1"),
    ):
        one = plane_frames(
            {title: fields}, along, along, labels, quantity=quantity, units=units,
            aspect=1.0, edges=("0", "", side),
        )  # fmt: skip
        panels.append(replace(one.panels[0], title=title))
        labels_shown = one.labels
    still = plane_frames(
        {
            "Mean": ran.height.mean(0)[None],
            "Standard deviation": ran.height.std(0)[None],
        },
        *(along, along, [""]),
        quantity="height",
        units="m",
        own_scale=("Mean", "Standard deviation"),
        aspect=1.0,
        edges=("0", "", side),
    )
    return Section(
        "A closed basin: two gyres and the jet between them",
        "The wind blows westwards in the south and the north and eastwards between, "
        "and turns a subtropical and a subpolar gyre. Both press against the western "
        "wall, part from it together as a jet, which meanders and sheds rings of the "
        "other side's water. Nothing crosses the walls and no stress acts there; the "
        "stream functions are found by sine transforms at every step.",
        (
            Frames(tuple(panels), labels_shown, "Both of the upper layer.", "Map of"),
            replace(still, caption="The sea surface over the whole run, in metres."),
        ),
    )


def _numbers(scores: Sequence[Score], ran: Run, basin: Basin) -> Section:
    columns = (Column("quantity"), Column("units"), Column("ours"))
    known = any(s.published is not None for s in scores)
    columns += (Column("reference", published=True),) * known
    rows = tuple(
        (s.metric, readable_units(s.units), s.value, *((s.published,) * known))
        for s in scores
    )
    days = basin.every * np.arange(1, len(ran.height) + 1)
    energies = {name: ran.means[name] * 1e4 for name in ENERGIES}
    rates = {name: ran.means[name] * 1e9 for name in RATES}
    equations = "\n".join(double_gyre().written)
    return Section(
        "What the wind gives and friction takes",
        "Means over the basin and per unit of mass. The residual is what the change of "
        "energy leaves unexplained; a state every few days, from which the rates are "
        f"averaged, is most of it. Walls: what differences of the planetary "
        "vorticity make beside them, an error that falls with the square of the step "
        "of the grid. "
        f"`gyre`: {basin.points} x {basin.points} points, "
        f"{basin.length / 1e3:,.0f} km, layers of {basin.upper_depth:g} and "
        f"{basin.lower_depth:,.0f} m, g' = {basin.reduced_gravity:g} m/s², biharmonic "
        f"friction {basin.friction:.2g} m⁴/s, Adams-Bashforth 3 with steps of "
        f"{basin.dt:,.0f} s, {basin.spin_up:,} days of spin-up.",
        (
            Table(columns, rows, "The basin in numbers."),
            Chart(
                series_chart(
                    days, energies, label="energy", units="cm2 s-2", time_units="days"
                ),
                "Energy of the gyres.",
                "Kinetic and available potential energy over time.",
            ),
            Chart(
                series_chart(
                    days, rates, label="rate", units="nW kg-1", time_units="days"
                ),
                "What changes it.",
                "Work of the wind, drag and friction over time.",
            ),
            Code(equations, "", "As the equations were entered:"),
        ),
    )
