"""Floor 1: what a field does at the two ends of a bounded axis."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import sympy
from sympy.core.function import AppliedUndef

from tendency.errors import InputError
from tendency.grid import Grid
from tendency.symbolic.grammar import Names, parse_expression
from tendency.symbolic.system import TIME, Expr, System

Value = Any  # a number, or an expression as text or SymPy's


class Condition(NamedTuple):
    """`value` u + `slope` ∂u/∂n = `equals`, n pointing out of the domain."""

    value: float
    slope: float
    equals: Value = 0.0  # a number, or an expression of t, coordinates and forcings


def dirichlet(equals: Value = 0.0) -> Condition:
    """The field itself is given: u = `equals`."""
    return Condition(1.0, 0.0, equals)


def neumann(equals: Value = 0.0) -> Condition:
    """Its derivative along the outward normal is given: ∂u/∂n = `equals`."""
    return Condition(0.0, 1.0, equals)


def robin(value: float, slope: float, equals: Value = 0.0) -> Condition:
    """A sum of both is given: `value` u + `slope` ∂u/∂n = `equals`."""
    return Condition(value, slope, equals)


class Ends(NamedTuple):
    """The conditions at the lower and at the upper end of an axis."""

    lower: Condition
    upper: Condition


Boundaries = Mapping[str, Mapping[str, Ends | Condition | tuple[Condition, Condition]]]


def walls(
    grid: Grid,
    velocity: Mapping[str, str],
    slip: str = "free",  # or no
    *,
    others: Mapping[str, Condition] | None = None,
) -> dict[str, dict[str, Condition]]:
    """Conditions at solid walls on all bounded axes of a grid.

    The velocity through a wall is zero; the one along it has no slope (free-slip) or is
    zero too (no-slip).

    Arguments:
        velocity: axis -> the field that is the velocity along it.
        others: field -> its condition at the walls, such as `neumann()`: no flux.

    Raises:
        InputError: an axis that the grid does not have, or an unknown slip.
    """
    if slip not in ("free", "no"):
        raise InputError(f"the slip is {slip!r}, free or no was expected")
    names = [axis.name for axis in grid.axes]
    for axis, field in velocity.items():
        if axis not in names:
            raise InputError(
                f"{field} is the velocity along {axis}, and the axes are "
                f"{', '.join(names)}"
            )
    bounded = [axis.name for axis in grid.axes if not axis.periodic]
    along = dirichlet() if slip == "no" else neumann()
    found = {
        field: {wall: dirichlet() if wall == axis else along for wall in bounded}
        for axis, field in velocity.items()
    }
    for field, condition in (others or {}).items():
        found[field] = dict.fromkeys(bounded, condition)
    return found


def boundaries_of(
    system: System, grid: Grid, given: Boundaries
) -> dict[tuple[str, str], Ends]:
    """By field and axis, their expressions read.

    Raises:
        InputError: conditions on a periodic axis, or an unknown field, axis or name in
            an expression.
    """
    axes = {axis.name: axis for axis in grid.axes}
    names = _names(system)
    others = (*system.unknown, *system.diagnostic)
    known = [*system.fields, *(f.func.__name__ for f in others)]
    found = {}
    for field, by_axis in given.items():
        if field not in known:
            raise InputError(
                f"boundaries are given for {field}, and the fields of the equations "
                f"are {', '.join(known)}"
            )
        for axis, ends in by_axis.items():
            if axis not in axes or axes[axis].periodic:
                raise InputError(
                    f"boundaries of {field} are given along {axis}, which is "
                    f"{'periodic' if axis in axes else 'no axis'}: leave them out"
                )
            both = _both(ends, f"the boundary of {field} along {axis}")
            found[field, axis] = Ends(
                *(
                    _read(c, names, f"the boundary of {field} along {axis}", axis)
                    for c in both
                )
            )
    return found


def _both(ends: Any, where: str) -> Ends:
    if isinstance(ends, Condition):
        return Ends(ends, ends)
    pair = isinstance(ends, tuple | list) and len(ends) == 2
    if not pair or not all(isinstance(end, Condition) for end in ends):
        raise InputError(
            f"{where} is {ends!r}: one of dirichlet, neumann and robin was expected, "
            "or a pair of them"
        )
    return Ends(*ends)


def _names(system: System) -> Names:
    known = (*system.parameters, *system.coordinates, TIME)
    symbols: dict[str, Expr] = {str(s): s for s in known}
    symbols |= {f.func.__name__: f for f in system.forcings}
    return Names(symbols, ())


def _read(condition: Condition, names: Names, where: str, axis: str) -> Condition:
    numbers = (condition.value, condition.slope)
    if not any(numbers) or not all(map(math.isfinite, numbers)):
        raise InputError(
            f"{where} has the value {condition.value} and the slope {condition.slope}: "
            "finite numbers were expected, one of them not 0"
        )
    equals = condition.equals
    if isinstance(equals, str):
        equals = parse_expression(equals, names, where)
    equals = sympy.sympify(equals)
    if not (equals.is_finite or equals.free_symbols):
        raise InputError(f"{where} equals {equals}, a finite number was expected")
    known = set(names.symbols.values())
    for found in sorted(
        (equals.free_symbols | equals.atoms(AppliedUndef)) - known, key=str
    ):
        raise InputError(
            f"{where} holds {found}, which is no parameter, coordinate or forcing"
        )
    for forcing in equals.atoms(AppliedUndef):
        if axis in map(str, forcing.args):
            raise InputError(
                f"{where} holds {forcing}, which varies along {axis}: declare a "
                "forcing without that coordinate for the values at a boundary"
            )
    return condition._replace(equals=equals)
