"""Floor 5: what a run of equations will do, told before it does it."""

import numpy as np

from tendency.equations.build import Built
from tendency.equations.integration import method_said
from tendency.equations.settings import Condition
from tendency.equations.stability import Stability
from tendency.equations.units import units_said
from tendency.equations.unknowns import said_of
from tendency.grid import Axis
from tendency.symbolic.well_posed import well_posed_where

Rows = list[tuple[str, str]]


def check(built: Built, found: Stability) -> dict[str, Rows]:
    """A table of (what, how much) rows under each heading."""
    asked, system = built.asked, built.system
    tables = {"equations": [(str(i), e) for i, e in enumerate(system.written, 1)]}
    if asked.parameters:
        tables["parameters"] = [
            (name, f"{p.value:g} [{p.unit}]") for name, p in asked.parameters.items()
        ]
    tables["unknown"] = [
        (name, f"{said_of(name, table)} [{table.unit}]")
        for name, table in asked.unknowns.items()
    ]
    tables["unknown"] += [("bounds", one.said()) for one in well_posed_where(system)]
    given: Rows = []
    for kind, table in (("constant", asked.constants), ("forcing", asked.forcings)):
        for name, entry in table.items():
            values = entry.values
            told = (
                values.expression or f"{values.variable or 'values'} of {values.file}"
            )
            given.append((name, f"{kind}: {told} [{entry.unit}]"))
    if given:
        tables["given"] = given
    units = units_said(asked)
    if units is not None:
        tables["equations"].append(("units", units))
    tables["fields"] = [_field(built, name) for name in system.fields]
    tables["fields"] += [
        (name, f"diagnostic{', saved' if d.saved else ''} [{d.unit}]")
        for name, d in asked.diagnostics.items()
    ]
    both = (*system.fields, *asked.diagnostics)
    tables["boundaries"] = [row for name in both for row in _ends(built, name)]
    tables["grid"] = [
        (
            axis.name,
            f"{axis.points} points from {axis.lower:g} to {axis.upper:g} "
            f"[{asked.axes[axis.name].unit}], spacing {_spacing(axis)}, "
            f"{'periodic' if axis.periodic else 'bounded'}",
        )
        for axis in built.grid.axes
    ]
    tables["coast"] = _coast(built)
    tables["time"] = _time(built, found)
    return {heading: rows for heading, rows in tables.items() if rows}


def _spacing(axis: Axis) -> str:
    if axis.stretch is None:
        return f"{axis.spacing:.4g}"
    lengths = axis.lengths()
    return f"{lengths.min():.4g} to {lengths.max():.4g} as {axis.stretch.text}"


def _coast(built: Built) -> Rows:
    coast, water = built.asked.coast, built.water
    if coast is None or water is None:
        return []
    given = coast.water
    told = given.expression or f"{given.variable or 'values'} of {given.file}"
    return [
        ("water", f"{water.sum()} of {water.size} cells, where {told} > 0"),
        ("coasts", f"nothing crosses them, {coast.slip}"),
    ]


def _field(built: Built, name: str) -> tuple[str, str]:
    values, asked = built.state[name], built.asked.fields[name]
    shape = " x ".join(map(str, values.shape)) or "1"
    on = f", on the faces along {', '.join(asked.staggered)}" if asked.staggered else ""
    low, high = float(np.min(values)), float(np.max(values))
    return name, f"{shape} values from {low:.4g} to {high:.4g} [{asked.unit}]{on}"


def _ends(built: Built, name: str) -> Rows:
    rows = []
    tables = {**built.asked.fields, **built.asked.diagnostics}
    for axis, table in tables[name].boundary.items():
        lower, upper = (_condition(name, axis, end) for end in table.ends)
        told = lower if lower == upper else f"{lower} below, {upper} above"
        rows.append((f"{name} along {axis}", told))
    return rows


def _condition(name: str, axis: str, end: Condition) -> str:
    slope = "d_n " + name  # n points out of the domain
    if end.robin is not None:
        robin = end.robin
        return f"{robin.value:g} {name} + {robin.slope:g} {slope} = {robin.equals}"
    if end.slip is not None:
        return str(end.slip)
    if end.dirichlet is not None:
        return f"{name} = {end.dirichlet}"
    return f"{slope} = {end.neumann}"


def _time(built: Built, found: Stability) -> Rows:
    time = built.asked.time
    size = sum(v.nbytes for v in built.state.values()) * len(built.times)
    end = time.start + time.steps * time.step
    rows = [
        ("method", f"{method_said(built)}, {time.scheme}"),
        ("steps", f"{time.steps} of {time.step:g} [{time.unit}], to t = {end:g}"),
        ("saved", f"{len(built.times)} times, {size / 1e6:.3g} MB"),
    ]
    rows += [("at the start", "; ".join(found.said()))] * bool(found.said())
    warning = found.warning(built)
    if warning is not None:
        rows.append(("too long", warning))
    elif found.largest is not None:
        rows.append(("stable", "at the initial state"))
    return rows + [("warning", doubt) for doubt in found.doubts]
