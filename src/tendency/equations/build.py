"""Floor 5: from what a file asks to a cell, its initial state and its forcing.

Constants and forcings that are expressions are put into the equations themselves, so
that every stage of a scheme, every face of a cell and the written source see them
exactly; those from files are arrays.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from tendency import integrate
from tendency.cell import Carry
from tendency.equations.expressions import Expr, Numbers, expression, on_positions
from tendency.equations.given import field_from_file, series_from_file
from tendency.equations.settings import Condition, Equations, Given
from tendency.errors import InputError, nearest
from tendency.grid import HALF, Axis, Grid
from tendency.integrate import Integrated
from tendency.symbolic import boundary
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import Generated, generate
from tendency.symbolic.spectral import Spectral
from tendency.symbolic.system import TIME, System


class Built(NamedTuple):
    """What can be stepped."""

    asked: Equations
    system: System  # its constants and forcings are those from files
    grid: Grid
    offsets: Mapping[str, tuple[Fraction, ...]]  # of each field, in cells
    cell: Integrated
    state: Mapping[str, Numbers]
    forcing: Mapping[str, Numbers] | None  # at the ends of the steps

    @property
    def generated(self) -> Generated:
        """The tendency of the cell."""
        assert isinstance(self.cell.tendency, Generated)
        return self.cell.tendency

    @property
    def carry(self) -> Carry:
        """Before the first step."""
        return self.cell.init(dict(self.state))

    @property
    def times(self) -> Float[np.ndarray, " time"]:
        """Of the saved states, the initial one among them [time.units]."""
        time = self.asked.time
        steps = np.arange(0, time.steps + 1, time.every)
        return time.start + time.dt * steps


def build(asked: Equations) -> Built:
    """Read the equations, put them on the grid, and find where they start.

    Raises:
        InputError: whatever in the file, or the files that it names, will not do.
    """
    grid = _grid(asked)
    names = list(asked.axes)
    system = System.of(
        asked.system.equations,
        coordinates=asked.system.coordinates,
        parameters={name: p.value for name, p in asked.parameters.items()},
        constants={
            name: asked.system.coordinates if c.along is None else c.along
            for name, c in asked.constants.items()
        },
        forcings={name: f.along for name, f in asked.forcings.items()},
        unknown=asked.system.unknown,
        name=asked.system.name,
        doc=asked.system.about,
    )
    _same("fields", list(asked.fields), list(system.fields))
    for name, field in asked.fields.items():
        for axis in field.staggered:
            if axis not in names:
                raise InputError(
                    f"fields.{name}.staggered holds {axis}, which is no axis: "
                    f"{nearest(axis, names)}"
                )
    symbols: dict[str, Expr] = {str(s): s for s in (*system.parameters, TIME)}
    symbols |= {str(s): s for s in system.coordinates}
    given = _expressions(asked, system, symbols)
    symbols |= {f.func.__name__: given.get(f, f) for f in system.forcings}
    declared = system
    system = _with(system, given)
    offsets = {
        name: tuple(HALF if a in field.staggered else Fraction(0) for a in names)
        for name, field in asked.fields.items()
    }
    method = asked.method
    generated = generate(
        system,
        grid,
        Spectral()
        if method.spectral
        else Differences(method.differences, method.upwind),
        boundaries=_boundaries(asked, symbols),
        staggered={name: field.staggered for name, field in asked.fields.items()},
        constants={
            str(f.func.__name__): field_from_file(
                asked.constants[f.func.__name__].values,
                _positions(grid, [str(a) for a in f.args]),
                f"constants.{f.func.__name__}",
            )
            for f in system.constants
        },
    )
    scheme = getattr(integrate, asked.time.scheme)
    values = {s: value for s, value in declared.parameters.items()}
    state = {
        name: _initial(asked.fields[name].initial, name, system, grid, offsets, values)
        for name in system.fields
    }
    return Built(
        asked,
        system,
        grid,
        offsets,
        Integrated(generated, asked.time.dt, scheme),
        state,
        _forcing(asked, system, generated, grid),
    )


def _grid(asked: Equations) -> Grid:
    _same("axes", list(asked.axes), asked.system.coordinates)
    axes = []
    for name in asked.system.coordinates:
        a = asked.axes[name]
        axes.append(Axis(name, a.points, a.lower, a.upper, a.periodic))
    return Grid.of(*axes)


def _same(table: str, found: list[str], expected: list[str]) -> None:
    """That the tables are those of the equations."""
    for name in found:
        if name not in expected:
            raise InputError(
                f"{table}.{name} is there and the equations have no such thing: "
                f"{nearest(name, expected)}"
            )
    for name in expected:
        if name not in found:
            what = {
                "fields": "the initial state of a field that the equations step",
                "axes": "a coordinate of the equations",
            }[table]
            raise InputError(f"the table [{table}.{name}] is missing, {what}: add it")


def _expressions(
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
            text = getattr(asked, table)[name].values.expression
            if text is None:
                continue
            coordinates = {str(s) for s in (*system.coordinates, TIME)}
            along = {str(s) for s in field.args}
            known = {k: s for k, s in symbols.items() if k not in coordinates - along}
            found[field] = expression(text, known, f"{table}.{name}")
    return found


def _with(system: System, given: Mapping[Expr, Expr]) -> System:
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


def _boundaries(asked: Equations, symbols: Mapping[str, Expr]) -> boundary.Boundaries:
    def condition(asked: Condition, where: str) -> boundary.Condition:
        def read(text: str) -> Expr:
            return expression(text, symbols, where)

        if asked.robin is not None:
            robin = asked.robin
            return boundary.robin(robin.value, robin.slope, read(robin.equals))
        if asked.dirichlet is not None:
            return boundary.dirichlet(read(asked.dirichlet))
        return boundary.neumann(read(str(asked.neumann)))

    found: dict[str, dict[str, tuple[boundary.Condition, boundary.Condition]]] = {}
    for name, field in asked.fields.items():
        for axis, table in field.boundary.items():
            where = f"fields.{name}.boundary.{axis}"
            lower, upper = (condition(end, where) for end in table.ends)
            found.setdefault(name, {})[axis] = lower, upper
    return found


def _positions(
    grid: Grid, along: list[str], offsets: tuple[Fraction, ...] | None = None
) -> dict[str, np.ndarray]:
    offsets = offsets or (Fraction(0),) * len(grid.axes)
    return {
        a.name: a.positions(o)
        for a, o in zip(grid.axes, offsets, strict=True)
        if a.name in along
    }


def _initial(
    given: Given,
    name: str,
    system: System,
    grid: Grid,
    offsets: Mapping[str, tuple[Fraction, ...]],
    parameters: Mapping[Expr, float],
) -> Numbers:
    where = f"fields.{name}.initial"
    if given.expression is None:
        names = [a.name for a in grid.axes]
        return field_from_file(given, _positions(grid, names, offsets[name]), where)
    coordinates = grid.coordinates(offsets[name])
    values: dict[Expr, Any] = {s: coordinates[str(s)] for s in system.coordinates}
    values |= parameters
    symbols = {str(s): s for s in values}
    node = expression(given.expression, symbols, where)
    shape = tuple(a.size(o) for a, o in zip(grid.axes, offsets[name], strict=True))
    return on_positions(node, values, shape, where)


def _forcing(
    asked: Equations, system: System, generated: Generated, grid: Grid
) -> dict[str, Numbers] | None:
    if not generated.forcings:
        return None
    time = asked.time
    ends = time.start + time.dt * np.arange(time.steps + 1)
    found = {}
    for field in system.forcings:
        name = field.func.__name__
        along = [str(a) for a in field.args if a != TIME]
        values = series_from_file(
            asked.forcings[name].values,
            ends,
            _positions(grid, along),
            f"forcings.{name}",
        )
        if along:  # an axis of one point for each coordinate that it does not have
            full = [a.points if a.name in along else 1 for a in grid.axes]
            values = values.reshape(-1, *full)
        found[name] = values
    found[str(TIME)] = ends
    return {name: found[name] for name in generated.forcings}
