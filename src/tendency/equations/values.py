"""Floor 5: the values of a file, from expressions or other files, on the grid."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from tendency.equations.expressions import Numbers, expression, on_positions
from tendency.equations.given import (
    field_from_file,
    series_from_file,
    water_from_file,
)
from tendency.equations.settings import Condition, Equations, Given
from tendency.errors import InputError
from tendency.grid import Grid
from tendency.symbolic import boundary
from tendency.symbolic.coasts import Mask, open_at
from tendency.symbolic.generated import Generated
from tendency.symbolic.system import TIME, Expr, System


def expressions_of(
    asked: Equations, system: System, symbols: Mapping[str, Expr]
) -> dict[Expr, Expr]:
    """The constants and forcings that are expressions, by their fields."""
    found = {}
    for table, fields in (
        ("constants", system.constants),
        ("forcings", system.forcings),
    ):
        for field in fields:
            name = field.func.__name__
            if name in system.unknowns:
                continue
            text = getattr(asked, table)[name].values.expression
            if text is None:
                continue
            coordinates = {str(s) for s in (*system.coordinates, TIME)}
            along = {str(s) for s in field.args}
            known = {k: s for k, s in symbols.items() if k not in coordinates - along}
            found[field] = expression(text, known, f"{table}.{name}")
    return found


def with_expressions(system: System, given: Mapping[Expr, Expr]) -> System:
    """The system with expressions in the places of fields."""

    def put(node: Expr) -> Expr:
        return node.xreplace(given)

    return system._replace(
        prognostic={f: put(e) for f, e in system.prognostic.items()},
        diagnostic={f: put(e) for f, e in system.diagnostic.items()},
        implicit=tuple(put(e) for e in system.implicit),
        constants=tuple(f for f in system.constants if f not in given),
        forcings=tuple(f for f in system.forcings if f not in given),
    )


def boundaries(asked: Equations, symbols: Mapping[str, Expr]) -> boundary.Boundaries:
    """The conditions at the ends of the bounded axes, their expressions read."""

    def condition(
        asked: Condition, where: str, velocity: str | None, axis: str
    ) -> boundary.Condition:
        def read(text: str) -> Expr:
            return expression(text, symbols, where)

        if asked.slip is not None:
            if velocity is None:
                raise InputError(
                    f"{where} is {asked.slip}, and of which axis this is the velocity "
                    'is not told: add velocity = "..." to the field'
                )
            zero = velocity == axis or asked.slip == "no-slip"
            return boundary.dirichlet() if zero else boundary.neumann()
        if asked.robin is not None:
            robin = asked.robin
            return boundary.robin(robin.value, robin.slope, read(robin.equals))
        if asked.dirichlet is not None:
            return boundary.dirichlet(read(asked.dirichlet))
        return boundary.neumann(read(str(asked.neumann)))

    found: dict[str, dict[str, tuple[boundary.Condition, boundary.Condition]]] = {}
    for kind, table in (("fields", asked.fields), ("diagnostics", asked.diagnostics)):
        for name, field in table.items():
            for axis, both in field.boundary.items():
                where = f"{kind}.{name}.boundary.{axis}"
                lower, upper = (
                    condition(end, where, field.velocity, axis) for end in both.ends
                )
                found.setdefault(name, {})[axis] = lower, upper
    return found


def positions(
    grid: Grid, along: list[str], offsets: tuple[Fraction, ...] | None = None
) -> dict[str, np.ndarray]:
    """Where the values of a field stand along some axes."""
    offsets = offsets or (Fraction(0),) * len(grid.axes)
    return {
        a.name: a.positions(o)
        for a, o in zip(grid.axes, offsets, strict=True)
        if a.name in along
    }


def initial(
    given: Given,
    name: str,
    system: System,
    grid: Grid,
    offsets: Mapping[str, tuple[Fraction, ...]],
    parameters: Mapping[Expr, float],
    water: Mask | None,
    where: str | None = None,
) -> Numbers:
    """A field at the start; on land, and on faces that touch it, 0."""
    where = where or f"fields.{name}.initial"
    sea = None if water is None else open_at(water, grid, offsets[name])
    if given.expression is None:
        names = [a.name for a in grid.axes]
        return field_from_file(given, positions(grid, names, offsets[name]), where, sea)
    return _on_grid(given, grid, offsets[name], system, parameters, where, sea)


def water(asked: Equations, system: System, grid: Grid) -> Mask | None:
    """Where there is water on the cells, of a file with land."""
    if asked.coast is None:
        return None
    given, where = asked.coast.water, "coast.water"
    cells = (Fraction(0),) * len(grid.axes)
    if given.expression is None:
        names = [a.name for a in grid.axes]
        return water_from_file(given, positions(grid, names, cells), where)
    return _on_grid(given, grid, cells, system, system.parameters, where, None) > 0


def values_on_cells(
    given: Given, grid: Grid, along: list[str], system: System, where: str
) -> Numbers:
    """An expression on the cells, along some axes."""
    axes = Grid.of(*(a for a in grid.axes if a.name in along))
    part = system._replace(
        coordinates=tuple(c for c in system.coordinates if str(c) in along)
    )
    cells = (Fraction(0),) * len(axes.axes)
    known = {s: v for s, v in system.parameters.items() if s not in system.coefficients}
    return _on_grid(given, axes, cells, part, known, where, None)


def _on_grid(
    given: Given,
    grid: Grid,
    offsets: tuple[Fraction, ...],
    system: System,
    parameters: Mapping[Expr, float],
    where: str,
    sea: Mask | None,
) -> Numbers:
    """The values of an expression."""
    coordinates = grid.coordinates(offsets)
    values: dict[Expr, Any] = {s: coordinates[str(s)] for s in system.coordinates}
    values |= parameters
    symbols = {str(s): s for s in values}
    node = expression(str(given.expression), symbols, where)
    shape = tuple(a.size(o) for a, o in zip(grid.axes, offsets, strict=True))
    return on_positions(node, values, shape, where, sea)


def forcing(
    asked: Equations, system: System, generated: Generated, grid: Grid
) -> dict[str, Numbers] | None:
    """What the tendency asks of the time and of files, at the ends of the steps."""
    if not generated.forcings:
        return None
    time = asked.time
    ends = time.start + time.step * np.arange(time.steps + 1)
    found = {}
    for field in system.forcings:
        name = field.func.__name__
        along = [str(a) for a in field.args if a != TIME]
        values = series_from_file(
            asked.forcings[name].values,
            ends,
            positions(grid, along),
            f"forcings.{name}",
        )
        if along:  # an axis of one point for each coordinate that it does not have
            full = [a.points if a.name in along else 1 for a in grid.axes]
            values = values.reshape(-1, *full)
        found[name] = values
    found[str(TIME)] = ends
    return {name: found[name] for name in generated.forcings}
