"""Floor 1: which unknown coefficients leave the equations well-posed, by their symbols.

The highest derivatives decide. Where their order m is even and no two equations depend
on each other through them, short waves of a field grow as -s c k^m, c being the
coefficient of the field's own highest derivative and s = 1, -1, 1 for m = 2, 4, 6:
every s c has to be positive. Where that is linear in an unknown, it is a bound of it.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
import sympy

from tendency.errors import InputError
from tendency.symbolic.bounds import Each, Interval
from tendency.symbolic.linear import Entry, coefficients
from tendency.symbolic.system import Expr, System
from tendency.symbolic.unknowns import AbstractMap, Combination, Scalar, Unknown
from tendency.symbolic.written import written


class Condition(NamedTuple):
    """That short waves of one field do not grow the faster the shorter they are."""

    field: str
    along: str  # the coordinate
    order: int  # of the derivative
    coefficient: Expr  # to be positive
    unknown: str | None = None  # which alone decides
    bounds: Interval | None = None  # of it, where they are numbers

    def said(self) -> str:
        """A sentence."""
        by = self.along * self.order
        found = (
            f"the equation of {self.field} holds d_{by} {self.field} times "
            f"{written(self.coefficient if self.sign > 0 else -self.coefficient)}"
        )
        if self.unknown is None or self.bounds is None:
            needed = f"{written(self.coefficient)} > 0"
        else:
            needed = self.bounds.said(self.unknown)
        return f"{found}: it is well-posed for {needed} only"

    @property
    def sign(self) -> int:
        """Of the coefficient that short waves ask for."""
        return 1 if self.order % 4 == 2 else -1


def well_posed_where(system: System, positive: Collection[str] = ()) -> list[Condition]:
    """What well-posed equations ask of the unknowns; nothing where it cannot be said.

    It is necessary, but for equality, and where there are no mixed derivatives it is
    sufficient too (the equations are parabolic in the sense of Petrovsky). Functions
    that are learned, elliptic equations, odd highest derivatives and equations that
    depend on each other through the highest derivatives are not judged.

    Arguments:
        positive: fields and constants that are never negative, such as a variance.
    """
    try:
        found = coefficients(system)
    except InputError:
        return []
    order = max((sum(entry.orders) for entry in found), default=0)
    if system.implicit or order == 0 or order % 2:
        return []
    highest = {e: c for e, c in found.items() if sum(e.orders) == order}
    conditions = []
    for row in sorted(_alone(highest, len(system.fields))):
        for i, along in enumerate(system.coordinates):
            orders = tuple(order * (j == i) for j in range(len(system.coordinates)))
            value = highest.get(Entry(row, row, orders), sympy.S.Zero)
            one = Condition(system.fields[row], str(along), order, value)
            one = one._replace(coefficient=sympy.factor(one.sign * value))
            unknown = _unknowns_in(value, system)
            if len(unknown) == 1:
                one = _bounded(one, unknown[0], system, positive)
            if unknown:
                conditions.append(one)
    return conditions


def kept_well_posed(system: System, positive: Collection[str] = ()) -> System:
    """The system, its unknowns within the bounds that `well_posed_where` finds.

    A fit then never leaves them, whatever it starts from.

    Raises:
        InputError: a first guess stands outside, where the equations are ill-posed.
    """
    unknowns = dict(system.unknowns)
    for one in well_posed_where(system, positive):
        if one.unknown is None or one.bounds is None:
            continue
        name, index = _place(one.unknown, unknowns)
        try:
            unknowns[name] = _within(unknowns[name], index, one.bounds, one.unknown)
        except InputError as error:
            raise InputError(f"{one.said()}, and {error}") from None
    return system._replace(unknowns=unknowns)


def _alone(highest: Mapping[Entry, Expr], count: int) -> set[int]:
    """The equations that depend on none that depends on them, by these derivatives."""
    reach = np.eye(count, dtype=bool)
    for entry in highest:
        reach[entry.row, entry.column] = True
    for _ in range(count):
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    own = {e.row for e in highest if e.row == e.column}
    both = reach & reach.T
    return {row for row in own if both[row].sum() == 1}


def _unknowns_in(value: Expr, system: System) -> list[Expr]:
    fields = [
        f
        for f in system.constants
        if isinstance(system.unknowns.get(f.func.__name__), AbstractMap)
    ]
    return [s for s in (*system.coefficients, *fields) if value.has(s)]


def _bounded(
    one: Condition, unknown: Expr, system: System, positive: Collection[str]
) -> Condition:
    """With bounds, if the coefficient is linear in the unknown with a known sign."""
    slope = sympy.factor(sympy.diff(one.coefficient, unknown))
    if slope.has(unknown):
        return one
    known = {
        s: sympy.Rational(repr(v))
        for s, v in system.parameters.items()
        if s not in system.coefficients
    }
    root = sympy.cancel((slope * unknown - one.coefficient) / slope)
    root = sympy.simplify(sympy.expand(root)).xreplace(known)
    signs = {
        f: sympy.Symbol(
            str(f.func), positive=f.func.__name__ in positive or None, real=True
        )
        for f in slope.atoms(sympy.core.function.AppliedUndef)
    }
    sign = slope.xreplace(known).xreplace(signs)
    name = getattr(unknown, "name", None) or unknown.func.__name__
    one = one._replace(unknown=name)
    if not root.is_number or not math.isfinite(float(root)):
        return one._replace(unknown=None)
    if sign.is_nonnegative:
        return one._replace(bounds=Interval(lower=float(root)))
    if sign.is_nonpositive:
        return one._replace(bounds=Interval(upper=float(root)))
    return one._replace(unknown=None)


def _place(name: str, unknowns: Mapping[str, Unknown]) -> tuple[str, int | None]:
    """The unknown, and the component of a combination."""
    if name in unknowns:
        return name, None
    whole, _, number = name.rpartition("_")
    return whole, int(number) - 1


def _within(one: Any, index: int | None, bounds: Interval, name: str) -> Any:
    """An unknown with narrower bounds."""
    if isinstance(one, Combination) and index is not None:
        parts = _parts(one.bounds, len(one.of))
        parts[index] = parts[index].within(bounds)
        parts[index].require(np.asarray(one.value)[index], name)
        return Combination(one.of, np.asarray(one.value), parts)
    if isinstance(one, AbstractMap):
        return one.narrowed(bounds, name)
    assert isinstance(one, Scalar)
    assert isinstance(one.bounds, Interval)
    narrow = one.bounds.within(bounds)
    narrow.require(one.value, name)
    return Scalar(float(one.value), narrow)


def _parts(bounds: Interval | Each, count: int) -> list[Interval]:
    return [bounds] * count if isinstance(bounds, Interval) else [*bounds.parts]
