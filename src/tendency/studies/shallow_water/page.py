"""The page of the study."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from tendency.grid import HALF, Grid
from tendency.report.blocks import Chart, Code, Column, Frames, Section, Table
from tendency.report.charts import series_chart
from tendency.report.maps import plane_frames
from tendency.report.numbers import with_units
from tendency.report.page import Page
from tendency.report.provenance import Provenance
from tendency.studies.shallow_water.budget import vorticity
from tendency.studies.shallow_water.setting import (
    BETA,
    CORIOLIS,
    DEPTH,
    GRAVITY,
    HALF_WIDTH,
    LENGTH,
    SPEED,
    SYSTEM,
    VISCOSITY,
    WIDTH,
    Series,
    Size,
)
from tendency.studies.shallow_water.waves import Wave
from tendency.symbolic.coasts import open_at

_QUESTION = (
    "A narrow jet flows past a cape. Its equations are entered as text, and land is a "
    "mask on the grid. Does the jet break into eddies, does the water stay in the sea, "
    "and do waves travel as fast as theory has it?"
)


def make_page(
    states: Series,
    budget: Mapping[str, Float[np.ndarray, " time"]],
    waves: Mapping[str, Wave],
    grid: Grid,
    water: Bool[np.ndarray, "x y"],
    size: Size,
    provenance: Provenance,
) -> Page:
    """All that the study found."""
    sections = (
        _maps(states, grid, water),
        _budget(budget),
        _waves(waves),
        _setting(size),
    )
    return Page(
        "Shallow water: a jet with a coast", _QUESTION, sections, provenance,
        kicker="tendency study",
    )  # fmt: skip


def _maps(states: Series, grid: Grid, water: Bool[np.ndarray, "x y"]) -> Section:
    labels = [f"day {day}" for day in range(len(states["h"]))]
    height = np.where(water, states["h"] - DEPTH, np.nan)
    inside = open_at(water, grid, (HALF, HALF))
    turning = np.where(inside, vorticity(states, grid, water) / CORIOLIS, np.nan)
    panels = []
    for title, field, offset, units in (
        ("Height above the mean depth", height, 0 * HALF, "m"),
        ("Relative vorticity / f₀", turning, HALF, "1"),
    ):
        across, up = (axis.positions(offset) for axis in grid.axes)
        frames = plane_frames(
            {title: field.transpose(0, 2, 1)},
            up,
            across,
            labels,
            quantity=title.lower(),
            units=units,
            signed=True,
            aspect=LENGTH / WIDTH,
            edges=("0", "", f"{LENGTH / 1e3:,.0f} km"),
        )
        panels.append(replace(frames.panels[0], title=title))
    return Section(
        "The jet, day by day",
        "The jet starts in balance, straight, eastwards and off the cape. Its flanks "
        "shear: it meanders, and rolls up into eddies. Land is grey; the channel is "
        "periodic, and what leaves in the east comes in from the west.",
        (Frames(tuple(panels), tuple(labels), "Once a day; y upwards.", "Map of"),),
    )


def _budget(budget: Mapping[str, Float[np.ndarray, " time"]]) -> Section:
    days = np.arange(len(budget["depth"]))
    names = {
        "depth": ("mean depth", "m"),
        "kinetic": ("kinetic energy", "m3 s-2"),
        "potential": ("available potential energy", "m3 s-2"),
        "enstrophy": ("potential enstrophy", "m-1 s-2"),
    }
    rows = []
    for name, (title, units) in names.items():
        first, last = float(budget[name][0]), float(budget[name][-1])
        drift = float(np.abs(budget[name] / first - 1).max())
        rows.append((with_units(title, units), first, last, drift))
    energies = {
        "kinetic": budget["kinetic"] - budget["kinetic"][0],
        "available potential": budget["potential"] - budget["potential"][0],
    }
    return Section(
        "What stays",
        "Mass is in flux form, and no flux crosses a coast. Energy and potential "
        "enstrophy go to viscosity, and the scheme keeps neither to rounding in "
        "nonlinear flow.",
        (
            Table(
                (
                    Column("mean over the water"),
                    Column("start"),
                    Column("end"),
                    Column("largest relative change"),
                ),
                tuple(rows),
                "From the first day to the last.",
            ),
            Chart(
                series_chart(
                    days,
                    energies,
                    label="energy since the start",
                    units="m3 s-2",
                    time_units="days",
                ),
                "Energy, less that of the first day.",
                "Change of kinetic and available potential energy over time.",
            ),
        ),
    )


def _waves(waves: Mapping[str, Wave]) -> Section:
    columns = (
        Column("wave"),
        Column("theory", group="frequency"),
        Column("measured", group="frequency"),
        Column("relative error"),
    )
    rows = tuple(
        (name, float(wave.theory), wave.found, wave.relative)
        for name, wave in waves.items()
    )
    return Section(
        "Waves against theory",
        "Small waves by differences of order 4 on the C grid: the phase of a wave over "
        "one period gives its frequency. On the f plane ω² = f² + c² (k² + l²); on the "
        "equatorial beta plane the three roots of ω² - k² - k / ω = 2 n + 1 (Matsuno, "
        "1966, J. Meteorol. Soc. Jpn 44, 25), the slow one of which is a Rossby wave. "
        "Units are such that c = 1, and f or β.",
        (Table(columns, rows, "Frequencies, and their distance.", digits=6),),
    )


def _setting(size: Size) -> Section:
    return Section(
        "The equations and the setting",
        f"{LENGTH / 1e3:,.0f} by {WIDTH / 1e3:,.0f} km, {size.points} x "
        f"{size.points // 2} points, steps of {size.dt:g} s of RK4, C grid, free-slip "
        f"coasts. H = {DEPTH:g} m, g = {GRAVITY:g} m/s², f₀ = {CORIOLIS:g} 1/s, β = "
        f"{BETA:g} 1/(m s), ν = {VISCOSITY:g} m²/s; the jet has {SPEED:g} m/s and a "
        f"half-width of {HALF_WIDTH / 1e3:g} km.",
        (Code("\n".join(SYSTEM.written), "", "The equations, as entered:"),),
    )
