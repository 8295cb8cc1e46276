"""The page of the study."""

from collections.abc import Mapping

import numpy as np

from tendency.propagation import Propagated
from tendency.report.blocks import Chart, Code, Column, Section, Table
from tendency.report.lines import line_chart
from tendency.report.page import Page
from tendency.report.provenance import Provenance
from tendency.studies.burgers.convergence import (
    METHODS,
    PUBLISHED,
    Error,
    solve,
)
from tendency.studies.burgers.setting import (
    BURGERS,
    DT,
    END,
    POINTS,
    UNCERTAIN,
    cole_hopf,
    line,
    start,
)
from tendency.studies.burgers.uncertainty import EVERY, equations

_QUESTION = (
    "An equation is entered as text and stepped forward without a line of numerical "
    "code. How close do its finite differences and Fourier transforms come to the "
    "exact solution, and do three equations for the mean, the variance and the "
    "length-scale of its errors replace an ensemble?"
)
_CHANGE = {"mean": 4.3e-5, "variance": 0.023, "length": 0.023}  # see `_uncertainty`


def make_page(
    errors: Mapping[tuple[str, int], Error],
    by_equations: Propagated,
    ensemble: Propagated,
    apart: Mapping[str, float],
    heat: tuple[float, float],
    members: int,
    provenance: Provenance,
) -> Page:
    """All that the study found."""
    sections = (
        _solution(),
        _convergence(errors),
        _uncertainty(by_equations, ensemble, apart, heat, members),
        _source(),
    )
    return Page(
        "Burgers' equation: from text to solver", _QUESTION, sections, provenance,
        kicker="tendency study",
    )  # fmt: skip


def _solution() -> Section:
    x = line(POINTS).axes[0].positions()
    found = solve(METHODS["order 6"], POINTS)
    exact = cole_hopf(x, END)
    lines = {
        "at the start": (x, np.asarray(start(POINTS))),
        "at t = 1, exact": (x, exact),
        "at t = 1, order 6": (x, found),
    }
    spec = line_chart(lines, across="x", up="u", reference="at t = 1, exact")
    return Section(
        "The solution",
        "On a periodic line the wave steepens into a front whose width its diffusion "
        f"sets. {POINTS} points resolve it.",
        (
            Code("\n".join(BURGERS.written), "", "The equation, as it was entered:"),
            Chart(spec, "The wave at the start and at t = 1.", "A steepening wave."),
        ),
    )


def _convergence(errors: Mapping[tuple[str, int], Error]) -> Section:
    names = list(dict.fromkeys(name for name, _ in errors))
    columns = (
        Column("method"),
        Column("points"),
        Column("relative error"),
        Column("measured for the same scheme", published=True),
        Column("order found"),
        Column("largest error"),
        Column("drift of the mean"),
    )
    rows, lines = [], {}
    for name in names:
        before: tuple[int, float] | None = None
        grids = [points for n, points in errors if n == name]
        for points in grids:
            found = errors[name, points]
            order = None
            if before is not None and name != "spectral":
                ratio = np.log(before[1] / found.relative)
                order = float(ratio / np.log(points / before[0]))
            known = PUBLISHED.get(points) if name == "order 2" else None
            rows.append(
                (name, points, found.relative, known, order, *found[1:])
            )  # fmt: skip
            before = points, found.relative
        values = [errors[name, points].relative for points in grids]
        lines[name] = (np.asarray(grids, float), np.asarray(values))
    spec = line_chart(lines, across="points", up="relative error at t = 1", log=True)
    return Section(
        "Against the exact solution",
        "The transformation of Cole and Hopf makes the equation linear; its integral "
        "is evaluated to rounding error. The error at t = 1 is the root mean square "
        "over the standard deviation of the solution, the steps (RK4) being so short "
        "that only the discretisation in space counts. The numbers beside order 2 are "
        "those of a hand-written program with the scheme of PDE-NetGen.",
        (
            Table(columns, tuple(rows), "Errors at t = 1.", digits=4),
            Chart(
                spec,
                "Error against the number of points.",
                "Errors fall with the order of the method.",
            ),
        ),
    )


def _uncertainty(
    by_equations: Propagated,
    ensemble: Propagated,
    apart: Mapping[str, float],
    heat: tuple[float, float],
    members: int,
) -> Section:
    x = line(POINTS).axes[0].positions()
    last = len(by_equations.steps) - 1
    charts = []
    for name, label in (
        ("spread", "standard deviation of the errors"),
        ("length", "length-scale of the errors"),
    ):
        lines = {
            f"{who}, t = {EVERY * DT * i:.4g}": (
                x,
                np.asarray(getattr(run, name)["u"][i]).ravel(),
            )
            for i in (last // 2, last)
            for who, run in (("ensemble", ensemble), ("equations", by_equations))
        }
        spec = line_chart(lines, across="x", up=label)
        charts.append(Chart(spec, f"The {label}.", f"The {label} along x."))
    columns = (
        Column("quantity"),
        Column(f"from {members:,} members".replace(",", " ")),
        Column("from 102 400 members", published=True),
    )
    rows = tuple((name, value, _CHANGE[name]) for name, value in apart.items())
    known = tuple(
        (name, value, 1e-8)
        for name, value in zip(("variance", "aspect ν"), heat, strict=True)
    )
    return Section(
        "Its uncertainty",
        "The parametric Kalman filter carries the variance V of the errors and the "
        "aspect ν = L² / 2 of their correlation instead of members; C closes the "
        "equations (Pannekoucke & Fablet, 2020, doi:10.5194/gmd-13-3373-2020). Members "
        f"have a sampling noise of {100 * np.sqrt(2 / members):.1f} % in variance. "
        "Without a wind nothing varies along x and the equations have a known "
        "solution: ν = ν₀ + 2κt, V = V₀ √(ν₀ / ν).",
        (
            Code("\n".join(UNCERTAIN.written), "", "The equations, as entered:"),
            Table(
                columns,
                rows,
                "Relative distance of the equations from an ensemble at t = 1, and the "
                "one measured with a hand-written program.",
            ),
            *charts,
            Table(
                (Column("quantity"), Column("relative error"), Column("required")),
                known,
                "Without a wind, against the known solution.",
            ),
        ),
    )


def _source() -> Section:
    return Section(
        "The source",
        "What runs is written out for JAX, PyTorch or Keras, and needs nothing of "
        "`tendency` then: `generated.source('jax', dt=0.002)`.",
        (
            Code(
                equations().source("jax", dt=DT), "python", "All that was run:"
            ),
        ),
    )  # fmt: skip
