"""The page of the study: maps, numbers, spectrum, budget, skill."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from tendency.physics.quasigeostrophic import two_layer_quasigeostrophic
from tendency.report.blocks import Chart, Code, Column, Frames, Section, Table
from tendency.report.charts import series_chart
from tendency.report.from_scores import score_chart
from tendency.report.maps import plane_frames
from tendency.report.numbers import readable_units
from tendency.report.page import Page
from tendency.report.provenance import Provenance
from tendency.scores.records import Score
from tendency.studies.quasigeostrophic.budget import RATES
from tendency.studies.quasigeostrophic.charts import spectrum_chart
from tendency.studies.quasigeostrophic.gyre import Basin, Run
from tendency.studies.quasigeostrophic.gyre_page import gyre_sections
from tendency.studies.quasigeostrophic.reference import CASE as MIDLAT_CASE
from tendency.studies.quasigeostrophic.setting import MIDLAT, Size, grid_of
from tendency.studies.quasigeostrophic.skill import heights, vorticities
from tendency.studies.quasigeostrophic.statistics import Spectrum

States = Mapping[str, Float[np.ndarray, "day y x"]]
_QUESTION = (
    "The ocean is full of eddies of some hundred kilometres, which satellites see as "
    "bumps of the sea surface. Two layers of water between which a current is sheared "
    "make such eddies. Here their equations are entered as text, turned into a model, "
    "run for years and looked at: is the ocean a plausible one, does its energy add "
    "up, and how far ahead is it forecast by no change and by a coarser model? Then "
    "the same two layers in a closed basin under the wind."
)
_REFERENCE = (
    "The reference was measured for this project's test bed with a hand-written model "
    "of the same equations, scheme and filter on 128 x 128 points, from another random "
    "start. It was not published."
)
_LEADS = (1, 5, 10, 20)  # days, in the table


def make_page(
    scores: Sequence[Score],
    states: States,
    means: Mapping[str, Float[np.ndarray, " day"]],
    curve: Spectrum,
    size: Size,
    basin: tuple[Run, Basin],
    provenance: Provenance,
) -> Page:
    """All that the study found."""
    sections = (
        _maps_section(states, size),
        _numbers_section(scores, curve),
        _budget_section(scores, means),
        _skill_section(scores, size),
        _setting_section(size),
        *gyre_sections(scores, *basin),
    )
    return Page(
        "Mesoscale eddies and gyres: an ocean of two layers",
        _QUESTION,
        sections,
        provenance,
        kicker="tendency study",
    )


def _maps_section(states: States, size: Size) -> Section:
    first = {name: values[: size.frames] for name, values in states.items()}
    along = grid_of(size.points).axes[0].positions()
    labels = [f"day {day}" for day in range(len(first["q1"]))]
    side = f"{MIDLAT.length / 1e3:,.0f} km"
    panels = []
    for title, fields, quantity, units in (
        ("Sea surface height", heights(first), "height", "m"),
        ("Relative vorticity", vorticities(first), "vorticity / f₀", "1"),
    ):
        one = plane_frames(
            {title: fields}, along, along, labels, quantity=quantity, units=units,
            aspect=1.0, edges=("0", "", side),
        )  # fmt: skip
        panels.append(replace(one.panels[0], title=title))
    return Section(
        "The sea surface, day by day",
        "After the spin-up. Eddies drift westwards, merge and are torn apart into "
        "filaments, which the vorticity shows best. The box is periodic: what leaves "
        "on one side comes in on the other.",
        (
            Frames(
                tuple(panels),
                tuple(labels),
                "Both of the upper layer; the vorticity over f₀ is the Rossby number.",
                "Map of",
            ),
        ),
    )


def _numbers_section(scores: Sequence[Score], curve: Spectrum) -> Section:
    columns = (
        Column("quantity"),
        Column("units"),
        Column("ours"),
        Column("reference", published=True),
    )
    chosen = [s for s in scores if s.case == MIDLAT_CASE and s.published is not None]
    chosen = [s for s in chosen if s.metric != "skill"]
    rows = tuple(
        (
            s.metric if s.lead is None else f"{s.metric} after {s.lead:g} d",
            readable_units(s.units),
            s.value,
            s.published,
        )
        for s in chosen
    )
    return Section(
        "Is it a plausible ocean?",
        _REFERENCE,
        (
            Table(columns, rows, "Statistics of the sea surface."),
            Chart(
                spectrum_chart(curve, "sea surface height"),
                "Power of the sea surface by wavelength, summed over directions; the "
                "slope is fitted from 70 to 250 km.",
                "Spectrum of the sea surface height, both axes logarithmic.",
            ),
        ),
    )


def _budget_section(
    scores: Sequence[Score], means: Mapping[str, Float[np.ndarray, " day"]]
) -> Section:
    names = {
        "energy by conversion": "conversion from the sheared flow",
        "energy by drag": "bottom drag",
        "energy by filter": "filter of small scales",
        "energy residual": "change that no term accounts for",
    }
    at = {s.metric: s.value for s in scores if s.case == MIDLAT_CASE}
    rows = tuple((title, at[metric]) for metric, title in names.items())
    days = np.arange(len(means["kinetic"]))
    energies = {
        "kinetic": means["kinetic"] * 1e4,
        "available potential": means["potential"] * 1e4,
    }
    rates = {name: means[name] * 1e9 for name in RATES}
    return Section(
        "Does its energy add up?",
        "The sheared flow holds available potential energy, which the eddies take from "
        "it; they lose it to friction at the bottom, and to the filter that removes "
        "what cascades to the smallest scales. All are means over the box, per unit of "
        "mass. The terms are computed from the stream functions and independently of "
        "the model's tendency, so that the residual tests it; what remains is mostly "
        "due to one sample of each a day.",
        (
            Table(
                (Column("what changes the energy"), Column("mean", "nW kg-1")),
                rows,
                "The energy budget of the run.",
            ),
            Chart(
                series_chart(
                    days, energies, label="energy", units="cm2 s-2", time_units="days"
                ),
                "Energy of the eddies.",
                "Kinetic and available potential energy over time.",
            ),
            Chart(
                series_chart(
                    days, rates, label="rate", units="nW kg-1", time_units="days"
                ),
                "What changes it.",
                "Conversion, drag and filter over time.",
            ),
        ),
    )


def _skill_section(scores: Sequence[Score], size: Size) -> Section:
    chosen = [s for s in scores if s.metric == "skill"]
    curves = [replace(s, published=None) for s in chosen]
    theirs = [
        replace(s, model=f"{s.model}, reference", value=s.published, published=None)
        for s in chosen
        if s.published is not None
    ]
    at = {(s.model, s.lead): s for s in chosen}
    columns = [Column("model")]
    for lead in _LEADS:
        group = f"{lead} days" if lead > 1 else "1 day"
        columns.append(Column("ours", "", group, best="highest"))
        columns.append(Column("reference", "", group, published=True))
    rows = tuple(
        (
            model,
            *(
                cell
                for lead in _LEADS
                for cell in (at[model, lead].value, at[model, lead].published)
            ),
        )
        for model in dict.fromkeys(s.model for s in chosen)
    )
    few = size.points // 2
    return Section(
        "How far ahead is it forecast?",
        "One minus the error of the sea surface over its standard deviation: 1 is a "
        "perfect forecast, 0 no better than a flat sea. The coarser model has the same "
        f"equations on {few} x {few} points, and starts from the true state but for "
        f"the scales that it cannot hold; {size.starts} starts.",
        (
            Table(tuple(columns), rows, "Skill of forecasts of the sea surface."),
            score_chart(
                [*curves, *theirs],
                "skill",
                lead_units="days",
                baselines=tuple(dict.fromkeys(s.model for s in theirs)),
                caption="Skill against lead time; the reference in grey.",
            ),
        ),
    )


def _setting_section(size: Size) -> Section:
    equations = "\n".join(two_layer_quasigeostrophic().written)
    s = MIDLAT
    return Section(
        "The equations and the setting",
        f"`midlat`: {s.length / 1e3:,.0f} km, doubly periodic, {size.points} x "
        f"{size.points} points; deformation radius {s.deformation_radius / 1e3:g} km, "
        f"upper layer {s.thickness_ratio:g} of the lower, U₁ - U₂ = {s.shear:g} m/s, "
        f"β = {s.beta:.2g} 1/(m s), bottom drag {s.bottom_drag:.2g} 1/s, f₀ = "
        f"{s.coriolis:.2g} 1/s. Adams-Bashforth 3 in Fourier space with steps of "
        f"{s.dt:,.0f} s; products on all points, then the exponential filter of pyqg "
        f"once a step. {size.spin_up:,} days of spin-up from weak noise, then "
        f"{size.days} days, one state a day.",
        (
            Code(
                equations, "", "As they were entered (F₁, F₂: coupling of the layers):"
            ),
        ),
    )
