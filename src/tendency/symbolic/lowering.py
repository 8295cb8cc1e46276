"""Floor 1: what the ways of discretising have in common.

A lowering walks through the trees of SymPy and writes assignments of a program. How the
values of a field and of a derivative are found is what the ways differ in.
"""

import abc
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from fractions import Fraction
from typing import NamedTuple

import sympy
from sympy.core.function import AppliedUndef

from tendency.errors import InputError
from tendency.grid import Grid
from tendency.symbolic.languages import RESERVED
from tendency.symbolic.meaning import FUNCTIONS, Jacobian, Learned, Mean, shown
from tendency.symbolic.program import Expression
from tendency.symbolic.stretching import S, Stretch
from tendency.symbolic.sums import folded, summed
from tendency.symbolic.system import TIME, Expr, System
from tendency.symbolic.unknowns import Stencil, Whole, called

_FUNCTIONS: Mapping[type, str] = {
    sympy.sin: "sin",
    sympy.cos: "cos",
    sympy.tan: "tan",
    sympy.asin: "arcsin",
    sympy.acos: "arccos",
    sympy.atan: "arctan",
    sympy.sinh: "sinh",
    sympy.cosh: "cosh",
    sympy.tanh: "tanh",
    sympy.exp: "exp",
    sympy.log: "log",
    sympy.sign: "sign",
    sympy.Abs: "abs",
}
_LARGEST = 2**31 - 1  # of the whole numbers that an array of any kind can meet


class Place(NamedTuple):
    """Where values are wanted: the place in the cell, and how far beyond the field."""

    offsets: tuple[Fraction, ...]
    reach: tuple[tuple[int, int], ...]  # points before and after, by axis

    def moved(self, axis: int, offset: Fraction, reach: tuple[int, int]) -> "Place":
        offsets, all_reach = list(self.offsets), list(self.reach)
        offsets[axis], all_reach[axis] = offset, reach
        return Place(tuple(offsets), tuple(all_reach))


class Lowering(abc.ABC):
    """The assignments made so far, and the values of expressions."""

    def __init__(self, system: System, grid: Grid):
        self.system, self.grid = system, grid
        self.axis = {symbol: i for i, symbol in enumerate(system.coordinates)}
        self.dim = len(grid.axes)
        self.cells = (Fraction(0),) * self.dim
        self.assigned: dict[str, Expression] = {}
        self.named: dict[tuple[Expr, Place], str] = {}
        self.divisors = _divisors(system)
        given = (*system.parameters, *system.coordinates, TIME)
        self.taken = {*RESERVED, *(str(s) for s in given)} | {
            f.func.__name__
            for f in (*system.prognostic, *system.constants, *system.forcings)
        }
        self.taken |= {called(name) for name in system.unknowns}

    @abc.abstractmethod
    def field(self, node: Expr, place: Place) -> Expression:
        """The values of a field."""

    @abc.abstractmethod
    def jacobian(self, node: Expr, place: Place) -> Expression:
        """The values of a Jacobian."""

    @abc.abstractmethod
    def derivative(self, node: Expr, place: Place) -> Expression:
        """The values of a derivative."""

    @abc.abstractmethod
    def around(self, node: Expr, place: Place, reach: int) -> list[Expression]:
        """The values of an expression at so many points to each side, in their order.

        Raises:
            InputError: the method knows no neighbours.
        """

    def mean(self, node: Expr, cells: Place) -> Expression:
        """Over the grid, of equal cells."""
        value = self.value(node.args[0], cells)
        varies = {*node.free_symbols} & {*self.axis}
        return ("mean", value, None, self.dim) if varies else value

    def assign(self, wish: str, value: Expression) -> str:
        name = self.new(wish)
        self.assigned[name] = value
        return name

    def new(self, wish: str) -> str:
        name, count = wish, 1
        while name in self.taken:
            count += 1
            name = f"{wish}_{count}"
        self.taken.add(name)
        return name

    def value(self, node: Expr, place: Place) -> Expression:
        if isinstance(node, sympy.Derivative):
            return self.derivative(node, place)
        if isinstance(node, AppliedUndef):
            return self.field(node, place)
        if isinstance(node, Jacobian):
            return self.jacobian(node, place)
        if isinstance(node, Mean):
            cells = Place(self.cells, ((0, 0),) * self.dim)
            return self.once(node, cells, "level", lambda: self.mean(node, cells))
        if isinstance(node, Learned):
            return self.once(node, place, "learned", lambda: self._applied(node, place))
        if isinstance(node, sympy.Symbol):
            return self.symbol(node, place)
        if node.is_Integer:
            return _number(int(node))
        if isinstance(node, sympy.Rational):
            return _fraction(Fraction(int(node.p), int(node.q)))
        if node.is_number:
            return _real(node)
        if isinstance(node, sympy.Add):
            terms = node.as_ordered_terms()
            return summed([self.value(term, place) for term in terms])
        if isinstance(node, sympy.Mul):
            return self._product(node, place)
        if isinstance(node, sympy.Pow):
            return self._power(node, place)
        if isinstance(node, sympy.Max | sympy.Min):
            function = "maximum" if isinstance(node, sympy.Max) else "minimum"
            first, *rest = (self.value(a, place) for a in sorted(node.args, key=str))
            for one in rest:
                first = ("call", function, first, one)
            return first
        for kind, function in _FUNCTIONS.items():
            if isinstance(node, kind):
                return ("call", function, self.value(node.args[0], place))
        raise InputError(
            f"the equations hold {node}, which cannot be discretised: use "
            f"{', '.join(FUNCTIONS)}, powers and derivatives"
        )

    def _applied(self, node: Expr, place: Place) -> Expression:
        """The values of an unknown function."""
        name = node.func.__name__
        kind = self.system.unknowns[name]
        if isinstance(kind, Stencil):
            found = [self.around(a, place, kind.reach) for a in node.args]
            values = [value for one in found for value in one]
        else:
            values = [self.value(a, place) for a in node.args]
        if isinstance(kind, Whole):
            values[0] = ("fill", values[0], self.grid.shape)
        return ("apply", called(name), *values)

    def _product(self, node: Expr, place: Place) -> Expression:
        coefficient, factors = node.as_coeff_mul()
        shared = [f for f in factors if self._is_shared(f)]
        over = [f for f in factors if _is_divisor(f) and f not in shared]
        under = [self.value(1 / f, place) for f in over]
        above = [self.value(f, place) for f in factors if f not in (*over, *shared)]
        above += [self._inverse(f, place) for f in shared]
        scale = abs(coefficient)
        if isinstance(scale, sympy.Rational) and not isinstance(scale, sympy.Integer):
            if max(scale.p, scale.q) > _LARGEST:
                above = [_real(scale), *above]
            else:
                under = [int(scale.q), *under]
                above = [*([int(scale.p)] if scale.p != 1 else []), *above]
        elif scale != 1:
            whole = scale.is_Integer
            above = [_number(int(scale)) if whole else _real(scale), *above]
        result = folded("*", above) if above else 1
        if under:
            result = ("/", result, folded("*", under))
        return ("neg", result) if coefficient < 0 else result

    def _power(self, node: Expr, place: Place) -> Expression:
        base, exponent = node.args
        if exponent == sympy.S.Half:
            return ("call", "sqrt", self.value(base, place))
        if self._is_shared(node):
            return self._inverse(node, place)
        if exponent.is_number and exponent.is_negative:
            return ("/", 1, self.value(1 / node, place))
        if base == sympy.E:
            return ("call", "exp", self.value(exponent, place))
        return ("**", self.value(base, place), self.value(exponent, place))

    def _is_shared(self, node: Expr) -> bool:
        """Whether it divides by a field that others divide by too."""
        return _is_whole_divisor(node) and self.divisors[node.args[0]] > 1

    def _inverse(self, node: Expr, place: Place) -> Expression:
        """A power of 1 / field: divided once, since divisions cost many products."""
        base, exponent = node.args
        name = self.once(
            sympy.Pow(base, -1),
            place,
            f"inverse_{base.func.__name__}",
            lambda: ("hold", ("/", 1, self.value(base, place))),
        )
        return name if exponent == -1 else ("**", name, int(-exponent))

    def symbol(self, node: sympy.Symbol, place: Place) -> Expression:
        if node not in self.axis:
            return str(node)
        key = (node, place)
        if key not in self.named:
            self.named[key] = self.assign(f"{node}_", self.positions(node, place))
        return self.named[key]

    def positions(self, node: sympy.Symbol, place: Place) -> Expression:
        i = self.axis[node]
        axis, offset, (before, after) = (
            self.grid.axes[i],
            place.offsets[i],
            place.reach[i],
        )
        if isinstance(axis.stretch, Stretch):
            share = self._stretched(axis.stretch.position, i, place)
            return ("+", axis.lower, ("*", axis.upper - axis.lower, share))
        count = axis.size(offset) + before + after
        first = axis.first(offset) - before
        return ("coordinate", self.along(i, count), axis.lower, axis.spacing, first)

    def length(self, i: int, place: Place) -> str | None:
        """The name of the lengths of the cells over the mean one, on a stretched axis.

        Raises:
            InputError: beyond an end, where a stencil looks, they are not positive.
        """
        axis = self.grid.axes[i]
        if not isinstance(axis.stretch, Stretch):
            return None
        here = self._only(i, place)
        key = ((axis.stretch, i), here)
        if key not in self.named:
            s = axis.fractions(here.offsets[i], *here.reach[i])
            bad = ~(axis.stretch.slope(s) > 0)
            if bad.any():
                raise InputError(
                    f"the stretch of axis {axis.name}, {axis.stretch.text}, does not "
                    f"rise at s = {s[bad][0]:.4g}, beyond an end, where the stencils "
                    "look: take one that rises on, more points or a lower order"
                )
            value = self._stretched(axis.stretch.length, i, here)
            self.named[key] = self.assign(f"{axis.name}_length", value)
        return self.named[key]

    def over_length(self, value: Expression, i: int, place: Place) -> Expression:
        """A derivative along axis i, taken in its mean steps, by the true ones."""
        length = self.length(i, place)
        return value if length is None else ("/", value, length)

    def size(self, place: Place) -> Expression:
        """Of the cells, over the mean one; None where they are all alike."""
        lengths = [self.length(i, place) for i in range(self.dim)]
        found: list[Expression] = [name for name in lengths if name is not None]
        return folded("*", found) if found else None

    def _stretched(self, node: Expr, i: int, place: Place) -> Expression:
        """The values of an expression of the fraction s of axis i."""
        axis, offset, (before, after) = (
            self.grid.axes[i],
            place.offsets[i],
            place.reach[i],
        )
        key = ((S, i), self._only(i, place))
        if key not in self.named:
            shape = self.along(i, axis.size(offset) + before + after)
            first = axis.first(offset) - before
            value = ("coordinate", shape, 0.0, 1 / axis.points, first)
            self.named[key] = self.assign(f"s_{axis.name}", value)
        s = sympy.Symbol(self.named[key], real=True)
        return self.value(node.xreplace({S: s}), place)

    def _only(self, i: int, place: Place) -> Place:
        """A place as far as axis i goes."""
        here = Place(self.cells, ((0, 0),) * self.dim)
        return here.moved(i, place.offsets[i], place.reach[i])

    def along(self, i: int, count: int) -> tuple[int, ...]:
        """The shape of an array that varies along one axis only."""
        return tuple(count if j == i else 1 for j in range(self.dim))

    def meaning(self, node: Expr) -> str:
        by = "".join(str(v) for v in node.variables)
        if isinstance(node.expr, AppliedUndef):
            return f"{node.expr.func.__name__}_{by}"
        return f"flux_{by}"

    def once(
        self, node: Expr, place: Place, wish: str, make: Callable[[], Expression]
    ) -> Expression:
        if (node, place) not in self.named:
            self.named[node, place] = self.assign(wish, make())
        return self.named[node, place]


def defined(system: System, kept: Collection[Expr] = ()) -> dict[Expr, Expr]:
    """Diagnostic fields in terms of prognostic ones, and of those that are kept."""
    found = {f: value for f, value in system.diagnostic.items() if f not in kept}
    for _ in found:
        found = {field: value.xreplace(found) for field, value in found.items()}
    for field, value in found.items():
        if value.has(*found):
            raise InputError(
                f"the diagnostic field {field.func} is defined by itself: break the "
                "circle, or solve it as a field of unknown"
            )
    return found


def _divisors(system: System) -> Counter:
    """How often the equations divide by a field or by a whole power of it."""
    known = defined(system)
    found = Counter()
    for tendency in system.prognostic.values():
        for node in sympy.preorder_traversal(tendency.xreplace(known)):
            if _is_whole_divisor(node):
                found[node.args[0]] += isinstance(node.args[0], AppliedUndef)
    return found


def _is_whole_divisor(node: Expr) -> bool:
    return _is_divisor(node) and bool(node.args[1].is_Integer)


def _is_divisor(node: Expr) -> bool:
    return isinstance(node, sympy.Pow) and bool(node.args[1].is_negative)


def _real(value: Expr) -> float:
    """A number of the equations, in floating point.

    Raises:
        InputError: it is not real, or no finite one.
    """
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):  # imaginary; none; beyond 1e308
        found = math.inf
    if not math.isfinite(found):
        raise InputError(
            f"the equations hold the number {shown(value)}, and a finite real number "
            "(of at most 1.8e308) was expected: scale the equations"
        )
    return found


def _number(value: int) -> Expression:
    return value if abs(value) <= _LARGEST else _real(value)


def _fraction(value: Fraction) -> Expression:
    if max(abs(value.numerator), value.denominator) > _LARGEST:
        return _real(value)
    return ("/", value.numerator, value.denominator)
