"""The page of the study."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from tendency.propagation import Propagated
from tendency.report.blocks import Chart, Code, Column, Section, Table
from tendency.report.lines import line_chart
from tendency.report.maps import plane_frames
from tendency.report.page import Page
from tendency.report.provenance import Provenance
from tendency.studies.burgers.setting import CLOSURE, DT, POINTS, line
from tendency.studies.burgers_uncertainty.networks import COVERED
from tendency.studies.burgers_uncertainty.results import PUBLISHED, Found
from tendency.studies.burgers_uncertainty.rollouts import forecast_of
from tendency.studies.burgers_uncertainty.setting import (
    AUTHORS,
    EVERY,
    LAW,
    SEEN,
    TIMES,
    WIDER,
    closed_by,
    derived,
    unknown,
)
from tendency.symbolic.well_posed import well_posed_where

_QUESTION = (
    "A wave steepens into a front, and what is not known of it grows and spreads. Can "
    "equations for the mean, the variance and the length-scale of its errors, derived "
    "from the symbols of Burgers' equation, replace an ensemble; and can what they "
    "leave open be learned?"
)
_TOLD = {"spread": "standard deviation", "length": "length-scale"}
_SHOWN = ("theory", "roll-outs, wider", "networks", "full covariance")


def make_page(found: Found, provenance: Provenance) -> Page:
    """All that the study found."""
    sections = (
        _moments(found),
        _distances(found),
        _closure(found),
        _networks(found),
        _costs(found),
    )
    return Page(
        "Burgers' equation: how its uncertainty goes on", _QUESTION, sections,
        provenance, kicker="tendency study",
    )  # fmt: skip


def _moments(found: Found) -> Section:
    x, charts, maps = _x(), [], []
    times = np.arange(TIMES + 1) * EVERY * DT
    for name, title in _TOLD.items():
        for i in (TIMES // 2, TIMES):
            lines = {"ensemble": (x, _of(found.ensemble, name)[i])}
            lines |= {n: (x, _of(found.ways[n], name)[i]) for n in _SHOWN}
            spec = line_chart(lines, across="x", up=title, reference="ensemble")
            when = f"The {title} of the errors at t = {times[i]:g}."
            charts.append(Chart(spec, when, f"The {title} of the errors along x."))
        fields = {"ensemble": found.ensemble, "theory": found.ways["theory"]}
        fields["networks"] = found.ways["networks"]
        frames = plane_frames(
            {n: _of(run, name)[None] for n, run in fields.items()},
            times,
            x,
            [""],
            quantity=title,
            aspect=1.4,
            edges=("x = 0", "", "1"),
            axes=("times", "x"),
        )
        panels = tuple(replace(p, title=f"{title}, {p.title}") for p in frames.panels)
        caption = f"The {title} of the errors, t from 0 (below) to 1 (above)."
        maps.append(replace(frames, panels=panels, caption=caption))
    waves = {
        f"t = {times[i]:g}": (x, np.asarray(found.ensemble.mean["u"])[i])
        for i in (0, TIMES // 2, TIMES)
    }
    spec = line_chart(waves, across="x", up="u")
    mean = Chart(spec, "The mean of the ensemble.", "A wave that becomes a front.")
    members = _number(found.size.members)
    return Section(
        "Mean, standard deviation, length-scale",
        f"The ensemble has {members} members, of which the moments alone are kept. In "
        "the front errors grow and their correlation shortens; behind it they are "
        "stretched and decay.",
        (mean, *charts, *maps),
    )


def _distances(found: Found) -> Section:
    columns = [Column("way")]
    for name in ("mean", "variance", "length-scale"):
        columns += [
            Column("here", group=name, best="lowest"),
            Column("published", group=name, published=True),
        ]
    rows = []
    for way, one in found.apart.items():
        known = PUBLISHED.get(way, {})
        row: list[Any] = [_said(way)]
        for name, value in one.items():
            row += [value, known.get(name)]
        rows.append(tuple(row))
    members = found.size.members
    noise = 100 * found.ensemble.sampling_error
    return Section(
        "How far from the ensemble",
        f"Relative distance in root mean square at t = 1 from {_number(members)} "
        f"members, whose variances err by {noise:.1f} % of themselves at each point.",
        (Table(tuple(columns), tuple(rows), "At t = 1, about the wave."),),
    )


def _closure(found: Found) -> Section:
    (condition,) = [one for one in well_posed_where(unknown()) if one.unknown == "a"]
    assert condition.bounds is not None
    columns = (Column("closure"), *map(Column, "abcde"))
    rows: list[tuple[Any, ...]] = [
        ("theory, of a Gaussian correlation", *CLOSURE, None, None),
        ("authors, 400 x 400 members", *AUTHORS, None, None),
    ]
    steps = [f"{v:.4f} ± {e:.4f}" for v, e in found.by_steps.known.values()]
    size = found.size
    rows.append(
        (f"single steps, {size.sets} x {size.set_members} members", *steps, None, None)
    )
    for name, numbers in found.closures.items():
        rows.append((_said(name), *(numbers.get(n) for n in "abcde")))
    return Section(
        "The closure",
        "The equations are derived from d_t u = kappa*d_xx u - u*d_x u. What they "
        f"leave open is C = {derived().open['C']}. Its numbers are found by Gauss and "
        "Newton's method on single steps of small ensembles, with standard errors that "
        "hold for independent ensembles; and through the solver, so that variance and "
        f"length-scale fit those of ensembles about {size.training} initial states. "
        f"From the symbols, {condition.said()}: a stays there by a change of variable, "
        "whatever a fit tries.",
        (
            Code("\n".join(derived().equations), "", "Derived, C open:"),
            Code(f"{LAW}\n{WIDER}", "", "The closure, and a wider one:"),
            Table(columns, tuple(rows), "The numbers of the closure.", digits=4),
            "The wider closure says, where d = -e, that the curvature of the logarithm "
            "of the variance changes the shape of the correlation too.",
        ),
    )  # fmt: skip


def _networks(found: Found) -> Section:
    columns = (
        Column("way"),
        *(
            Column(n, best="lowest")
            for n in ("mean", "variance", "length-scale")
        ),
    )  # fmt: skip
    rows = []
    for way, each in found.others.items():
        values = (np.sqrt(np.mean([o[n] ** 2 for o in each])) for n in each[0])
        rows.append((_said(way), *map(float, values)))
    u, run = found.held_out[0]
    told, x, charts = found.networks.predict(u), _x(), []
    theory = forecast_of(closed_by(CLOSURE), u)
    for name, title in _TOLD.items():
        value, apart = _of(told.run, name)[-1], told.apart[name][-1]
        lines = {
            "ensemble": (x, _of(run, name)[-1]),
            "theory": (x, _of(theory, name)[-1]),
            "networks": (x, value),
        }
        band = {"x": x, "low": value * (1 - apart), "high": value * (1 + apart)}
        spec = line_chart(
            lines, across="x", up=title, reference="ensemble", band=band
        )  # fmt: skip
        text = f"The {title} at t = 1 about a state that no network has seen."
        charts.append(Chart(spec, text, f"The {title} along x with error bars."))
    covered = [
        (
            _TOLD[name],
            COVERED,
            float(np.mean([one[name] for one in found.covered])),
            min(one[name] for one in found.covered),
            max(one[name] for one in found.covered),
        )
        for name in _TOLD
    ]
    size = found.size
    states = f"{size.held_out} initial states"
    return Section(
        "A trained network",
        f"C = ... + W/ν², where W is a network of {', '.join(SEEN)}, steps mean, "
        f"variance and length-scale. {size.networks} of them are trained through "
        f"roll-outs, each on {size.shown} of {size.training} initial states with "
        f"{_number(size.state_members)} members. Their error bars join how far they "
        "are apart and what they leave unexplained, times a factor that covers "
        f"{100 * COVERED:.0f} % of the values about {size.calibration} other states.",
        (
            Table(columns, tuple(rows), f"At t = 1, over {states} that nothing saw; "
                  "their ensembles start with the prior's moments exactly."),
            *charts,
            Table(
                (
                    Column("error bars of"),
                    Column("meant", group="covered"),
                    Column("found", group="covered"),
                    Column("least", group="of a state"),
                    Column("most", group="of a state"),
                ),
                tuple(covered),
                f"The part of the values of {states} within the error bars.",
            ),
        ),
    )  # fmt: skip


def _costs(found: Found) -> Section:
    columns = (Column("computation"), *(Column(n, u) for n, u in (
        ("CPU time", "s"), ("time", "s"), ("memory grows by", "MB"))))  # fmt: skip
    rows = tuple((_said(name), *cost) for name, cost in found.costs.items())
    return Section(
        "What it costs",
        "Compilation included, where a computation is the first of its kind. All steps "
        "of the equations with the gradient by their unknowns and their start take "
        f"{found.gradient:.2f} s of CPU time on {POINTS} points, once compiled.",
        (Table(columns, rows, "The batch decides on the memory of an ensemble."),),
    )


def _x() -> Float[np.ndarray, " x"]:
    return np.asarray(line(POINTS).axes[0].positions())


def _of(run: Propagated, name: str) -> Float[np.ndarray, "time x"]:
    values: Mapping[str, Any] = getattr(run, name)
    return np.asarray(values["u"]).reshape(len(run.steps), POINTS)


def _number(count: int) -> str:
    return f"{count:,}".replace(",", " ")


def _said(way: str) -> str:
    """What a closure or computation is called on the page."""
    return {
        "theory": "equations, closure of theory",
        "authors": "equations, closure of the authors",
        "single steps": "equations, closure from single steps",
        "roll-outs": "equations, closure through roll-outs",
        "roll-outs, wider": "equations, wider closure through roll-outs",
        "networks": "equations with networks",
        "full covariance": "full covariance along the tangent",
    }.get(way, way)
