"""Floor 1: from equations to a program, by finite differences.

Every field stands at its own place of the cell (`offsets`), and every sub-expression is
evaluated where the next derivative wants it. A derivative of an expression that itself
holds a derivative along the same axis is taken halfway between the points, so that a
flux `d_x(k*d_x u)` is compact and what leaves one cell enters the next.

Beyond the ends of an axis stand ghosts: periodic copies, or the values that make a
polynomial through the first points obey the boundary condition.
"""

import itertools
from collections.abc import Mapping
from fractions import Fraction
from typing import Literal, NamedTuple

import sympy
from sympy.core.function import AppliedUndef

from tendency.errors import InputError
from tendency.grid import HALF, Grid
from tendency.symbolic import stencils
from tendency.symbolic.arakawa import arakawa
from tendency.symbolic.boundary import Ends
from tendency.symbolic.coasts import Coast, Masks, Shores, water_of
from tendency.symbolic.elliptic import Elliptic
from tendency.symbolic.ghosts import Ghosts
from tendency.symbolic.lowering import Lowering, Place, defined
from tendency.symbolic.orders import require_few_orders
from tendency.symbolic.program import Expression, Program
from tendency.symbolic.sums import scaled, weighted
from tendency.symbolic.system import Expr, System
from tendency.symbolic.transport import Transport
from tendency.symbolic.unknowns import Whole
from tendency.symbolic.written import written

Reach = dict[str, tuple[tuple[int, int], ...]]  # points of a field beyond its ends


class Differences(NamedTuple):
    """Finite differences of some order, others for transport where that is asked.

    Upwind differences, for terms -a d_x u in the equation of u itself, have the same
    order, with one point more on the side that the flow comes from (two for an even
    order).

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
    methods: Mapping[str, Differences],
    offsets: Mapping[str, tuple[Fraction, ...]],
    boundaries: Mapping[tuple[str, str], Ends],
    coast: Coast | None = None,
    *,
    diagnostics: bool = False,
) -> tuple[Program, Masks, dict[str, Differences]]:
    """The program, the masks of its coasts by name, and the methods that were taken.

    Upwind differences and fluxes are told of the equations that have terms for them.

    Arguments:
        methods: of the equation of every prognostic field.
        diagnostics: the program of the diagnostic and the unknown fields instead.

    Raises:
        InputError: too few points for the stencils, coasts with a method that knows
            none, or upwind differences or fluxes for transport in another form.
    """
    kinds = dict.fromkeys(methods.values())
    for method in kinds:
        if coast is not None and method != Differences():
            raise InputError(
                "the method within coasts is central differences of order 2, and "
                f"another is asked for, {method}: leave the method out, or the coast"
            )
    water = None if coast is None else water_of(coast, grid)
    reach: dict[Differences, Reach] = {method: {} for method in kinds}
    while True:  # until no stencil reaches further than the ghosts made for it
        lowerings: dict[Differences, Stencils] = {}
        for method in kinds:  # each with its own ghosts and sub-expressions
            one = Stencils(system, grid, method, offsets, boundaries, reach[method])
            one.write_beside(next(iter(lowerings.values()), one))
            lowerings[method] = one
        lowering = lowerings[next(iter(kinds))]
        if coast is not None and water is not None:
            lowering.shores = Shores(lowering, water, coast.slip == "no")
        program = lowering.program(
            {name: lowerings[m] for name, m in methods.items()}, diagnostics
        )
        needed = {method: one.needed for method, one in lowerings.items()}
        if needed == reach:
            for one in lowerings.values():
                one.transport.require_use()
            took = {n: lowerings[m].transport.took(n) for n, m in methods.items()}
            return program, lowering.shores.arrays if lowering.shores else {}, took
        reach = needed


class Stencils(Lowering):
    """The lowering by differences; its parts ask it for values at places."""

    def __init__(self, system, grid, method, offsets, boundaries, reach):
        super().__init__(system, grid)
        self.method: Differences = method
        self.offsets = {n: tuple(offsets.get(n, self.cells)) for n in system.fields}
        self.reach: Reach = reach
        self.needed: Reach = dict(reach)
        self.padded: dict[str, str] = {}
        self.transport = Transport(self, method)
        self.shores: Shores | None = None
        self.ghosts = Ghosts(self, method.order, self.offsets, boundaries)
        # Diagnostic fields with conditions of their own are computed, not put in.
        own = {name for name, _ in boundaries}
        own |= {n for n, u in system.unknowns.items() if isinstance(u, Whole)}
        known = defined(system, kept={f for f in system.diagnostic if _name(f) in own})
        self.known = known
        self.starts: dict[Expr, str] = {}  # other fields -> the name of their values
        self.elliptic = Elliptic(self, known)
        self.steps = [self.new(f"D{axis.name.upper()}") for axis in grid.axes]

    def write_beside(self, other: "Stencils") -> None:
        """Into the same program, the names of which are taken for both."""
        self.assigned, self.taken = other.assigned, other.taken
        self.steps = other.steps

    def program(self, of: Mapping[str, "Stencils"], diagnostics: bool) -> Program:
        """The whole; `of` is what lowers the equation of each field."""
        outputs = self._diagnostics() if diagnostics else self._tendencies(of)
        numbers = zip(self.steps, (a.spacing for a in self.grid.axes), strict=True)
        return Program(tuple(numbers), tuple(self.assigned.items()), tuple(outputs))

    def _diagnostics(self) -> list[tuple[str, str]]:
        place, outputs = Place(self.cells, ((0, 0),) * self.dim), []
        for field in (*self.system.diagnostic, *self.system.unknown):
            value = self.value(field.xreplace(self.known), place)
            if not isinstance(value, str):
                value = self.assign(_name(field), value)
            outputs.append((_name(field), value))
        return outputs

    def _tendencies(self, of: Mapping[str, "Stencils"]) -> list[tuple[str, str]]:
        outputs = []
        for field, tendency in self.system.prognostic.items():
            name = field.func.__name__
            place = Place(self.offsets[name], ((0, 0),) * self.dim)
            tendency = tendency.xreplace(self.known)
            require_few_orders(name, tendency, self.system, self.grid)
            value = of[name].transport.sum_of_terms(field, tendency, place)
            value = float(value) if isinstance(value, int) else value
            if self.shores is not None:
                value = self.shores.tendency(value, place)
            outputs.append((name, self.assign(f"d_t_{name}", value)))
        return outputs

    # Fields, where they stand and elsewhere

    def offset(self, field: Expr) -> tuple[Fraction, ...]:
        return self.offsets.get(field.func.__name__, self.cells)

    def _is_array(self, field: Expr) -> bool:
        return bool({*field.args} & {*self.axis})

    def field(self, node: Expr, place: Place) -> Expression:
        if not self._is_array(node):
            return node.func.__name__
        place = self._own(node, place)
        here = self.offset(node)
        # The last mean is across the axis on whose faces the field does not stand: a
        # velocity passes by the cells, where coasts leave its mean as it is.
        for i in sorted(range(self.dim), key=here.__getitem__):
            if here[i] != place.offsets[i]:
                return self.once(
                    node,
                    place,
                    f"{node.func.__name__}_at_{self._where(place)}",
                    lambda i=i: self.stencil(node, i, 0, place, here[i]),
                )
        return self.window(*self.array(node, place), place, {})

    def _own(self, field: Expr, place: Place) -> Place:
        """Without the axes along which the field has one point only."""
        for symbol, i in self.axis.items():
            if symbol not in field.args:
                place = place.moved(i, self.offset(field)[i], (0, 0))
        return place

    def array(self, node: Expr, place: Place) -> tuple[str, Place]:
        """The name of an array that holds `node` there, and where it reaches."""
        if isinstance(node, AppliedUndef) and self.offset(node) == place.offsets:
            name = node.func.__name__
            old = self.needed.get(name, ((0, 0),) * self.dim)
            self.needed[name] = tuple(
                (max(a, c), max(b, d))
                for (a, b), (c, d) in zip(old, place.reach, strict=True)
            )
            reach = self.reach.get(name, self.needed[name])
            if name not in self.padded:
                start = self.start(node)
                if self.shores is not None:
                    start = self.shores.filled(node, start)
                self.padded[name] = self.ghosts.around(node, reach, start)
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

    def start(self, field: Expr) -> str:
        """The name of the values of a field where it stands."""
        name, place = field.func.__name__, Place(self.cells, ((0, 0),) * self.dim)
        if field in self.starts:
            return self.starts[field]
        if field in self.system.unknown:
            return self.elliptic.name_of(field)
        if field in self.system.diagnostic:
            value = self.system.diagnostic[field].xreplace(self.known)
            self.starts[field] = self.assign(name, self.value(value, place))
            return self.starts[field]
        return name

    def _where(self, place: Place) -> str:
        staggered = [
            str(c)
            for c, o in zip(self.system.coordinates, place.offsets, strict=True)
            if o
        ]
        return f"{'_'.join(staggered)}_faces" if staggered else "cells"

    def window(
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

    def mean(self, node: Expr, cells: Place) -> Expression:
        value = super().mean(node, cells)
        is_mean = isinstance(value, tuple) and value[0] == "mean"
        return self.averaged(value[1], cells) if is_mean else value

    def averaged(self, value: Expression, cells: Place) -> Expression:
        """The mean over the water, of cells by their sizes."""
        shares = None if self.shores is None else self.shores.shares()
        size = self.size(cells)
        if size is None:
            return ("mean", value, shares, self.dim)
        total = ("mean", ("*", size, value), shares, self.dim)
        return ("/", total, ("mean", size, shares, self.dim))

    # Derivatives

    def jacobian(self, node: Expr, place: Place) -> Expression:
        if self.shores is not None:
            raise InputError(
                f"{node} is Arakawa's Jacobian, which knows no coasts: carry the field "
                "by velocities, in fluxes d_x(u*q) + d_y(v*q)"
            )
        make = lambda: arakawa(self, node, place)  # noqa: E731
        return self.once(node, place, "jacobian", make)

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
        if self.grid.axes[i].stretch is not None and times > 1:
            # The derivative of a flux: what leaves one cell enters the next.
            operand, times = sympy.Derivative(operand, (axis, times - 1)), 1
        here = place.offsets[i]
        other = HALF - here
        staggered = times % 2 == 1 and other in self._natural(operand, i)
        source = other if staggered else here
        return self.once(
            node,
            place,
            self.meaning(node),
            lambda: self.stencil(operand, i, times, place, source),
        )

    def _natural(self, node: Expr, i: int) -> set[Fraction]:
        """Where in the cell along axis i its parts stand by themselves."""
        if isinstance(node, AppliedUndef):
            varies = self.system.coordinates[i] in node.args
            return {self.offset(node)[i]} if varies else set()
        found: set[Fraction] = set()
        for part in node.args[:1] if isinstance(node, sympy.Derivative) else node.args:
            found |= self._natural(part, i)
        if isinstance(node, sympy.Derivative):
            times = node.variables.count(self.system.coordinates[i])
            found = {(o + HALF * times) % 1 for o in found}
        return found

    def stencil(
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
        self.enough_points(i, operand, reach)
        name, held = self.array(operand, place.moved(i, source, reach))

        def at(position: Fraction) -> Expression:
            return self.window(name, held, place, {i: shifts[position]})

        if self.shores is not None and self.shores.applies(operand):
            shifted = lambda by: self.window(name, held, place, {i: by})  # noqa: E731
            value = self.shores.stencil(operand, i, times, place, source, shifted)
        else:
            total, factor = weighted(weights, at)
            value = scaled(total, factor, [self.steps[i]] * times)
        return self.over_length(value, i, place) if times else value

    def around(self, node: Expr, place: Place, reach: int) -> list[Expression]:
        wide = place
        for i, (axis, (low, high)) in enumerate(
            zip(self.grid.axes, place.reach, strict=True)
        ):
            if self.shores is not None or axis.stretch is not None:
                raise InputError(
                    f"an unknown stencil looks at the points around {written(node)}, "
                    "and there are coasts or stretched axes, where they are not alike: "
                    "take a Pointwise function of derivatives"
                )
            more = (low + reach, high + reach)
            self.enough_points(i, node, more)
            wide = wide.moved(i, place.offsets[i], more)
        name, held = self.array(node, wide)
        steps = itertools.product(range(-reach, reach + 1), repeat=self.dim)
        return [
            self.window(name, held, place, dict(enumerate(shifts))) for shifts in steps
        ]

    def enough_points(self, i: int, operand: Expr, reach: tuple[int, int]):
        axis = self.grid.axes[i]
        if max(reach) > axis.points - (not axis.periodic):
            raise InputError(
                f"axis {axis.name} has {axis.points} points, too few for the stencils "
                f"of {operand}, which reach {max(reach)} beyond: take more points or a "
                "lower order"
            )


def _name(field: Expr) -> str:
    return field.func.__name__


def _first(node: Expr) -> tuple[sympy.Symbol, int]:
    axis = node.variables[0]
    return axis, node.variables.count(axis)
