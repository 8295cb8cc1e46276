"""Floor 1: from equations to a program, by finite differences.

Every field stands at its own place of the cell (`offsets`), and every sub-expression is
evaluated where the next derivative wants it. A derivative of an expression that itself
holds a derivative along the same axis is taken halfway between the points, so that a
flux `d_x(k*d_x u)` is compact and what leaves one cell enters the next.

Beyond the ends of an axis stand ghosts: periodic copies, or the values that make a
polynomial through the first points obey the boundary condition.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Literal, NamedTuple

import sympy
from sympy.core.function import AppliedUndef

from tendency.errors import InputError
from tendency.grid import HALF, Grid
from tendency.symbolic import stencils
from tendency.symbolic.boundary import Ends
from tendency.symbolic.faces import RECONSTRUCTIONS
from tendency.symbolic.ghosts import Ghosts
from tendency.symbolic.lowering import Lowering, Place, defined
from tendency.symbolic.program import Expression, Program
from tendency.symbolic.sums import scaled, summed, weighted
from tendency.symbolic.system import Expr, System

_ORDERS = (2, 4, 6, 8)


class Differences(NamedTuple):
    """Finite differences of some order, others for transport where that is asked.

    Upwind differences, for terms -a d_x u, have the same order, with one point more on
    the side that the flow comes from (two for an even order).

    Fluxes, of terms d_x(f(u)), are central differences too, or those of finite volumes:
    f on the two sides of a face by `minmod` or `weno5` (see `faces`), averaged, less
    half the jump of u times the faster |df/du| (Rusanov, 1961). Values are then means
    over cells. What the field of the equation does not move itself stays central.
    """

    order: int = 2
    upwind: bool = False
    flux: Literal["central", "minmod", "weno5"] = "central"


def lower(
    system: System,
    grid: Grid,
    method: Differences,
    offsets: Mapping[str, tuple[Fraction, ...]],
    boundaries: Mapping[tuple[str, str], Ends],
) -> Program:
    """The program of the tendency.

    Raises:
        InputError: an order that is not offered, or too few points for the stencils.
    """
    if method.order not in _ORDERS:
        raise InputError(
            f"the order of the differences is {method.order}, one of "
            f"{', '.join(map(str, _ORDERS))} was expected"
        )
    if method.flux not in ("central", *RECONSTRUCTIONS):
        raise InputError(
            f"the flux of the differences is {method.flux!r}, one of central, "
            f"{', '.join(RECONSTRUCTIONS)} was expected"
        )
    reach: dict[str, tuple[tuple[int, int], ...]] = {}
    while True:  # until no stencil reaches further than the ghosts made for it
        lowering = _Stencils(system, grid, method, offsets, boundaries, dict(reach))
        program = lowering.program()
        if lowering.needed == reach:
            return program
        reach = lowering.needed


class _Stencils(Lowering):
    def __init__(self, system, grid, method, offsets, boundaries, reach):
        super().__init__(system, grid)
        self.method: Differences = method
        self.offsets = {n: tuple(offsets.get(n, self.cells)) for n in system.fields}
        self.reach: dict[str, tuple[tuple[int, int], ...]] = reach
        self.needed: dict[str, tuple[tuple[int, int], ...]] = dict(reach)
        self.padded: dict[str, str] = {}
        self.ghosts = Ghosts(self, method.order, self.offsets, boundaries)
        self.steps = [self.new(f"D{axis.name.upper()}") for axis in grid.axes]

    def program(self) -> Program:
        outputs = []
        known = defined(self.system)
        for field, tendency in self.system.prognostic.items():
            name = field.func.__name__
            place = Place(self.offsets[name], ((0, 0),) * self.dim)
            tendency = tendency.xreplace(known)
            self._well_posed(name, tendency)
            value = self.sum_of_terms(field, tendency, place)
            value = float(value) if isinstance(value, int) else value
            outputs.append((name, self.assign(f"d_t_{name}", value)))
        numbers = zip(self.steps, (a.spacing for a in self.grid.axes), strict=True)
        return Program(tuple(numbers), tuple(self.assigned.items()), tuple(outputs))

    def _well_posed(self, name: str, tendency: Expr):
        for symbol, axis in zip(self.system.coordinates, self.grid.axes, strict=True):
            order = 0 if axis.periodic else _highest(tendency, symbol)
            if order > 2:
                raise InputError(
                    f"the equation of {name} holds a derivative of order {order} along "
                    f"{axis.name}, which is bounded: one condition at each end does "
                    "not determine its solution, make the axis periodic"
                )

    # What an expression is worth at a place

    def sum_of_terms(self, field: Expr, expression: Expr, place: Place) -> Expression:
        """As `value`, transport in the way that is asked."""
        if not self.method.upwind and self.method.flux == "central":
            return self.value(expression, place)
        terms = sympy.Add.make_args(sympy.expand_mul(expression, deep=False))
        return summed([self._transport(field, term, place) for term in terms])

    def _transport(self, field: Expr, term: Expr, place: Place) -> Expression:
        """A term of the equation of `field`."""
        factors = list(sympy.Mul.make_args(term))
        slopes = [f for f in factors if isinstance(f, sympy.Derivative)]
        if len(slopes) != 1 or len(slopes[0].variables) != 1:
            return self.value(term, place)
        (slope,) = slopes
        factors.remove(slope)
        factor, i = sympy.Mul(*factors), self.axis[slope.variables[0]]
        is_field = isinstance(slope.expr, AppliedUndef)
        if (
            self.method.upwind
            and is_field
            and self._offset(slope.expr) == place.offsets
        ):
            return self._advective(factor, slope, i, place)
        flux = -factor * slope.expr
        moves = {f for f in flux.atoms(AppliedUndef) if f in self.system.prognostic}
        if (
            self.method.flux != "central"
            and field in moves
            and not flux.has(sympy.Derivative)
            and not {*factor.free_symbols} & {*self.axis}
            and all(self._offset(f) == place.offsets for f in moves)
        ):
            return ("neg", self._divergence(field, flux, moves, i, place))
        return self.value(term, place)

    # Fields, where they stand and elsewhere

    def _offset(self, field: Expr) -> tuple[Fraction, ...]:
        return self.offsets.get(field.func.__name__, self.cells)

    def _is_array(self, field: Expr) -> bool:
        return bool({*field.args} & {*self.axis})

    def field(self, node: Expr, place: Place) -> Expression:
        if not self._is_array(node):
            return node.func.__name__
        place = self._own(node, place)
        here = self._offset(node)
        for i in range(self.dim):
            if here[i] != place.offsets[i]:
                return self.once(
                    node,
                    place,
                    f"{node.func.__name__}_at_{self._where(place)}",
                    lambda i=i: self._stencil(node, i, 0, place, here[i]),
                )
        return self._window(*self._array(node, place), place, {})

    def _own(self, field: Expr, place: Place) -> Place:
        """Without the axes along which the field has one point only."""
        for symbol, i in self.axis.items():
            if symbol not in field.args:
                place = place.moved(i, self._offset(field)[i], (0, 0))
        return place

    def _array(self, node: Expr, place: Place) -> tuple[str, Place]:
        """The name of an array that holds `node` there, and where it reaches."""
        if isinstance(node, AppliedUndef) and self._offset(node) == place.offsets:
            name = node.func.__name__
            old = self.needed.get(name, ((0, 0),) * self.dim)
            self.needed[name] = tuple(
                (max(a, c), max(b, d))
                for (a, b), (c, d) in zip(old, place.reach, strict=True)
            )
            reach = self.reach.get(name, self.needed[name])
            if name not in self.padded:
                self.padded[name] = self.ghosts.around(node, reach)
            return self.padded[name], Place(place.offsets, self.needed[name])
        wish = (
            "flux" if not isinstance(node, AppliedUndef) else f"{node.func.__name__}_"
        )
        value = self.named.get((node, place))
        if value is None:
            value = self.value(node, place)
            if not isinstance(value, str):
                value = self.assign(wish, value)
            self.named[node, place] = value
        return value, place

    def _where(self, place: Place) -> str:
        staggered = [
            str(c)
            for c, o in zip(self.system.coordinates, place.offsets, strict=True)
            if o
        ]
        return f"{'_'.join(staggered)}_faces" if staggered else "cells"

    def _window(
        self, name: str, held: Place, place: Place, shifts: Mapping[int, int]
    ) -> Expression:
        """What `place` asks of an array, shifted."""
        bounds = []
        for i, axis in enumerate(self.grid.axes):
            (before, after), (low, high) = held.reach[i], place.reach[i]
            shift = shifts.get(i, 0)
            more = axis.size(place.offsets[i]) - axis.size(held.offsets[i])
            start, stop = before - low + shift, more + high + shift - after
            assert start >= 0 >= stop, (name, held, place, shifts)
            bounds.append((start, stop or None))
        if all(b == (0, None) for b in bounds):
            return name
        return ("window", name, tuple(bounds))

    # Derivatives

    def derivative(self, node: Expr, place: Place) -> Expression:
        inner, axis, times = node.expr, *_first(node)
        if not inner.atoms(AppliedUndef):
            return self.value(node.doit(), place)
        rest = [v for v in node.variables if v != axis]
        operand = sympy.Derivative(inner, *rest) if rest else inner
        if axis not in self.axis:
            raise InputError(f"{node} is taken along {axis}, which is no axis")
        if axis not in operand.free_symbols:
            return 0
        i = self.axis[axis]
        here = place.offsets[i]
        other = HALF - here
        staggered = times % 2 == 1 and other in self._natural(operand, i)
        source = other if staggered else here
        return self.once(
            node,
            place,
            self.meaning(node),
            lambda: self._stencil(operand, i, times, place, source),
        )

    def _natural(self, node: Expr, i: int) -> set[Fraction]:
        """Where in the cell along axis i its parts stand by themselves."""
        if isinstance(node, AppliedUndef):
            varies = self.system.coordinates[i] in node.args
            return {self._offset(node)[i]} if varies else set()
        found: set[Fraction] = set()
        for part in node.args[:1] if isinstance(node, sympy.Derivative) else node.args:
            found |= self._natural(part, i)
        if isinstance(node, sympy.Derivative):
            times = node.variables.count(self.system.coordinates[i])
            found = {(o + HALF * times) % 1 for o in found}
        return found

    def _stencil(
        self,
        operand: Expr,
        i: int,
        times: int,
        place: Place,
        source: Fraction,
        weights: stencils.Stencil | None = None,
    ) -> Expression:
        """A derivative of `operand`, which is evaluated at `source` along axis i."""
        if isinstance(operand, AppliedUndef):
            place = self._own(operand, place)
        axis, here = self.grid.axes[i], place.offsets[i]
        if weights is None:
            staggered = source != here
            weights = stencils.central(times, self.method.order, staggered=staggered)
        shifts = {p: int(p + here - source) for p in weights}
        low, high = place.reach[i]
        more = axis.size(here) - axis.size(source)
        reach = (
            max(low - min(shifts.values()), 0),
            max(high + max(shifts.values()) + more, 0),
        )
        self._enough_points(i, operand, reach)
        name, held = self._array(operand, place.moved(i, source, reach))

        def at(position: Fraction) -> Expression:
            return self._window(name, held, place, {i: shifts[position]})

        total, factor = weighted(weights, at)
        return scaled(total, factor, [self.steps[i]] * times)

    def _enough_points(self, i: int, operand: Expr, reach: tuple[int, int]):
        axis = self.grid.axes[i]
        if max(reach) > axis.points - (not axis.periodic):
            raise InputError(
                f"axis {axis.name} has {axis.points} points, too few for the stencils "
                f"of {operand}, which reach {max(reach)} beyond: take more points or a "
                "lower order"
            )

    def _advective(self, speed: Expr, slope: Expr, i: int, place: Place) -> Expression:
        """Speed d_x u, u being a field: differences from where the flow comes."""
        along = self.value(speed, place)
        from_left = stencils.biased(self.method.order)
        from_right = {-p: -w for p, w in from_left.items()}
        field, here, (by,) = slope.expr, place.offsets[i], slope.variables
        sides = [
            self.assign(
                f"{field.func.__name__}_{by}_{side}",
                self._stencil(field, i, 1, place, here, weights),
            )
            for side, weights in (("left", from_left), ("right", from_right))
        ]
        left, right = (
            ("*", ("call", function, along, 0.0), side)
            for function, side in zip(("minimum", "maximum"), sides, strict=True)
        )
        return ("+", left, right)

    def _divergence(
        self, field: Expr, flux: Expr, moves: set[Expr], i: int, place: Place
    ) -> Expression:
        """Of a flux of finite volumes: what leaves one cell enters the next."""
        axis, by = self.grid.axes[i], self.system.coordinates[i]
        low, high = place.reach[i]
        more = axis.size(Fraction(0)) - axis.size(HALF)
        face = place.moved(i, HALF, (low + 1, high + more))
        states = {f: self._sides(f, i, face) for f in sorted(moves, key=str)}
        fluxes, speeds = [], []
        for side in (0, 1):
            here = {f: both[side] for f, both in states.items()}
            fluxes.append(flux.xreplace(here))
            speeds.append(sympy.Abs(flux.diff(field).xreplace(here)))
        left, right = states[field]
        fastest = sympy.Max(*speeds) if speeds[0] != speeds[1] else speeds[0]
        value = sum(fluxes) / 2 - fastest * (right - left) / 2
        name = self.assign(f"flux_along_{by}", self.value(value, face))
        self.named[sympy.Symbol(name), face] = name
        weights = stencils.central(1, 2, staggered=True)
        return self._stencil(sympy.Symbol(name), i, 1, place, HALF, weights)

    def _sides(self, field: Expr, i: int, face: Place) -> tuple[Expr, Expr]:
        """The field on the lower and on the upper side of the faces."""
        reconstructed, seen = RECONSTRUCTIONS[self.method.flux]
        axis, by = self.grid.axes[i], self.system.coordinates[i]
        low, high = face.reach[i]
        less = axis.size(HALF) - axis.size(Fraction(0))
        reach = (low + seen, max(high + 1 + seen + less, 0))
        self._enough_points(i, field, reach)
        name, held = self._array(field, face.moved(i, Fraction(0), reach))
        wish = field.func.__name__
        cells = [
            self._real(wish, self._window(name, held, face, {i: shift}))
            for shift in range(-seen, seen + 2)
        ]
        lower, upper = reconstructed(cells[:-1]), reconstructed(cells[:0:-1])
        return (
            self._real(f"{wish}_below_{by}_face", self.value(lower, face)),
            self._real(f"{wish}_above_{by}_face", self.value(upper, face)),
        )

    def _real(self, wish: str, value: Expression) -> sympy.Symbol:
        """A symbol for an array, to reason with."""
        return sympy.Symbol(self.assign(wish, value), real=True)


def _highest(node: Expr, symbol: sympy.Symbol) -> int:
    """Order of the highest derivative, those within derivatives added up."""
    if isinstance(node, sympy.Derivative):
        return node.variables.count(symbol) + _highest(node.expr, symbol)
    return max((_highest(part, symbol) for part in node.args), default=0)


def _first(node: Expr) -> tuple[sympy.Symbol, int]:
    axis = node.variables[0]
    return axis, node.variables.count(axis)
