"""Floor 1: transport by upwind differences, and by the fluxes of finite volumes."""

from fractions import Fraction
from typing import TYPE_CHECKING

import sympy
from sympy.core.function import AppliedUndef

from tendency.errors import InputError
from tendency.grid import HALF
from tendency.symbolic import stencils
from tendency.symbolic.faces import RECONSTRUCTIONS
from tendency.symbolic.lowering import Place
from tendency.symbolic.meaning import Learned
from tendency.symbolic.program import Expression
from tendency.symbolic.sums import summed
from tendency.symbolic.system import Expr
from tendency.symbolic.written import written

if TYPE_CHECKING:
    from tendency.symbolic.differences import Differences, Stencils


class Transport:
    """The terms of an equation that carry something along, for a lowering."""

    def __init__(self, lowering: "Stencils", method: "Differences"):
        self.lowering, self.method = lowering, method
        self.taken: set[tuple[str, str]] = set()  # field, the way that a term went
        self.missed: dict[str, tuple[Expr, Expr]] = {}  # way -> field, its other form

    def sum_of_terms(self, field: Expr, expression: Expr, place: Place) -> Expression:
        """As `value`, transport in the way that is asked."""
        if not self.method.upwind and self.method.flux == "central":
            return self.lowering.value(expression, place)
        whole: Expr = sympy.expand_mul(expression, deep=False)
        terms: Expr = sympy.Add.make_args(whole)
        return summed([self._transport(field, term, place) for term in terms])

    def _transport(self, field: Expr, term: Expr, place: Place) -> Expression:
        """A term of the equation of `field`."""
        factors: list[Expr] = list(sympy.Mul.make_args(term))
        slopes = [f for f in factors if isinstance(f, sympy.Derivative)]
        if len(slopes) != 1 or len(slopes[0].variables) != 1:
            return self.lowering.value(term, place)
        (slope,) = slopes
        factors.remove(slope)
        factor, i = sympy.Mul(*factors), self.lowering.axis[slope.variables[0]]
        # What another field's slope does is no transport: both fields of a wave, taken
        # from the same side, would make the waves grow that go the other way.
        name = field.func.__name__
        if self.method.upwind and slope.expr == field:
            self.taken.add((name, "upwind"))
            return self._advective(factor, slope, i, place)
        flux = -factor * slope.expr
        moves = {
            f for f in flux.atoms(AppliedUndef) if f in self.lowering.system.prognostic
        }
        carries = field in moves and not flux.has(sympy.Derivative)
        if (
            self.method.flux != "central"
            and carries
            and not flux.has(Learned)  # whose speeds are not known: central
            and not {*factor.free_symbols} & {*self.lowering.axis}
            and all(self.lowering.offset(f) == place.offsets for f in moves)
        ):
            self.taken.add((name, "flux"))
            return ("neg", self._divergence(field, flux, moves, i, place))
        if slope.expr == field:
            self.missed["flux"] = field, term
        elif self.method.upwind and carries and slope.expr.has(field):
            self.missed["upwind"] = field, term
        return self.lowering.value(term, place)

    def took(self, name: str) -> "Differences":
        """The method that the terms of an equation were given."""
        flux = self.method.flux if (name, "flux") in self.taken else "central"
        return self.method._replace(upwind=(name, "upwind") in self.taken, flux=flux)

    def require_use(self) -> None:
        """That what is asked for was of use in an equation, if it could have been.

        Raises:
            InputError: it was not, and there is transport in the other form.
        """
        for way, (field, term) in self.missed.items():
            if any(way == used for _, used in self.taken):
                continue
            asked, form, example = {
                "flux": (self.method.flux, "d_x(f(u))", ("-d_x(u**2/2)", "-u*d_x u")),
                "upwind": ("true", "-a*d_x u", ("-u*d_x u", "-d_x(u**2/2)")),
            }[way]
            raise InputError(
                f"{way} = {asked} is asked for, which is for terms {form}, and no "
                f"equation has one: that of {field.func} holds {written(term)}, write "
                f"it so, as {example[0]} for {example[1]}, or leave {way} out"
            )

    def _advective(self, speed: Expr, slope: Expr, i: int, place: Place) -> Expression:
        """Speed d_x u, u being a field: differences from where the flow comes."""
        along = self.lowering.value(speed, place)
        from_left = stencils.biased(self.method.order)
        from_right = {-p: -w for p, w in from_left.items()}
        field, here, (by,) = slope.expr, place.offsets[i], slope.variables
        sides = [
            self.lowering.assign(
                f"{field.func.__name__}_{by}_{side}",
                self.lowering.stencil(field, i, 1, place, here, weights),
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
        axis, by = self.lowering.grid.axes[i], self.lowering.system.coordinates[i]
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
        name = self.lowering.assign(
            f"flux_along_{by}", self.lowering.value(value, face)
        )
        self.lowering.named[sympy.Symbol(name), face] = name
        weights = stencils.central(1, 2, staggered=True)
        return self.lowering.stencil(sympy.Symbol(name), i, 1, place, HALF, weights)

    def _sides(self, field: Expr, i: int, face: Place) -> tuple[Expr, Expr]:
        """The field on the lower and on the upper side of the faces."""
        reconstructed, seen = RECONSTRUCTIONS[self.method.flux]
        axis, by = self.lowering.grid.axes[i], self.lowering.system.coordinates[i]
        low, high = face.reach[i]
        less = axis.size(HALF) - axis.size(Fraction(0))
        reach = (low + seen, max(high + 1 + seen + less, 0))
        self.lowering.enough_points(i, field, reach)
        name, held = self.lowering.array(field, face.moved(i, Fraction(0), reach))
        wish = field.func.__name__
        cells = [
            self._real(wish, self.lowering.window(name, held, face, {i: shift}))
            for shift in range(-seen, seen + 2)
        ]
        lower, upper = reconstructed(cells[:-1]), reconstructed(cells[:0:-1])
        return (
            self._real(f"{wish}_below_{by}_face", self.lowering.value(lower, face)),
            self._real(f"{wish}_above_{by}_face", self.lowering.value(upper, face)),
        )

    def _real(self, wish: str, value: Expression) -> sympy.Symbol:
        """A symbol for an array, to reason with."""
        return sympy.Symbol(self.lowering.assign(wish, value), real=True)
