"""Floor 5: whether the units in a file agree, where they are given."""

from collections.abc import Iterator, Mapping

from tendency.equations.expressions import Expr, expression
from tendency.equations.settings import Condition, Equations, Measured
from tendency.symbolic.dimensions import Units
from tendency.symbolic.system import TIME, System


def require_units(
    asked: Equations, system: System, symbols: Mapping[str, Expr]
) -> None:
    """That the units of the equations, and of the values given by expressions, agree.

    Arguments:
        system: its constants and forcings not yet replaced by expressions.
        symbols: what an expression may hold.

    Raises:
        InputError: an unknown unit, or two that do not agree.
    """
    given = {name: one.units for name, one in _named(asked) if one.units is not None}
    if not given:
        return
    symbols = {**symbols, **{f.func.__name__: f for f in system.forcings}}
    units = Units.of(system, given)
    units.check(system)
    fields = (*system.prognostic, *system.diagnostic, *system.unknown)
    fields = (*fields, *system.constants, *system.forcings)
    by_name = {f.func.__name__: f for f in fields}
    by_name |= {str(s): s for s in (*system.coordinates, TIME)}
    for text, over, where in _values(asked):
        node = expression(text, symbols, where)
        known = [units.known.get(by_name[name]) for name in over]
        unit = None if None in known else known[0]
        for one in known[1:]:
            unit = None if unit is None else unit / one
        units.check_value(node, unit, where, (*system.coordinates, TIME))


def without_units(asked: Equations) -> list[str]:
    """The names of what a file gives no units."""
    return [name for name, one in _named(asked) if one.units is None]


def units_said(asked: Equations) -> str | None:
    """For a reader; `None` where none are given."""
    missing = without_units(asked)
    if len(missing) == len(list(_named(asked))):
        return None
    if not missing:
        return "agree"
    return f"agree where they are given (not for {', '.join(missing)})"


def _named(asked: Equations) -> Iterator[tuple[str, Measured]]:
    """All that may have units, under the name that it has in the equations."""
    tables = (asked.parameters, asked.fields, asked.constants, asked.forcings)
    for table in (*tables, asked.axes):
        yield from table.items()
    # Units of diagnostic fields follow from the equations: those given must agree.
    yield from ((k, d) for k, d in asked.diagnostics.items() if d.units is not None)
    for name, one in asked.unknowns.items():
        if one.kind in ("scalar", "field") or one.units is not None:
            yield name, one
    yield "t", asked.time


def _values(asked: Equations) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Expressions; what they are equal to, and over which axis; where they stand."""
    for name, field in asked.fields.items():
        if field.initial.expression is not None:
            yield field.initial.expression, (name,), f"fields.{name}.initial"
    for kind, table in (("fields", asked.fields), ("diagnostics", asked.diagnostics)):
        for name, field in table.items():
            for axis, both in field.boundary.items():
                where = f"{kind}.{name}.boundary.{axis}"
                for end in dict.fromkeys(both.ends):
                    yield from _conditions(end, name, axis, where)
    for kind, table in (("constants", asked.constants), ("forcings", asked.forcings)):
        for name, entry in table.items():
            if entry.values.expression is not None:
                yield entry.values.expression, (name,), f"{kind}.{name}"


def _conditions(
    end: Condition, name: str, axis: str, where: str
) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """A Robin condition has numbers for factors: its units are free."""
    if end.dirichlet is not None:
        yield end.dirichlet, (name,), where
    if end.neumann is not None:
        yield end.neumann, (name, axis), where
