"""Floor 1: what stands beyond the ends of an axis.

Periodic copies, the values that make a polynomial through the first points obey the
boundary condition, or, for a given field, an extrapolation.
"""

from collections.abc import Mapping
from fractions import Fraction

import sympy

from tendency.errors import InputError
from tendency.grid import HALF
from tendency.symbolic import stencils
from tendency.symbolic.boundary import Ends
from tendency.symbolic.lowering import Lowering, Place
from tendency.symbolic.program import Expression
from tendency.symbolic.sums import scaled, weighted
from tendency.symbolic.system import Expr
from tendency.symbolic.unknowns import Whole


class Ghosts:
    """Pads the fields of a lowering."""

    def __init__(
        self,
        lowering: Lowering,
        order: int,
        offsets: Mapping[str, tuple[Fraction, ...]],
        boundaries: Mapping[tuple[str, str], Ends],
    ):
        self.lowering, self.order = lowering, order
        self.offsets, self.boundaries = offsets, dict(boundaries)

    def _offset(self, field: Expr) -> tuple[Fraction, ...]:
        return self.offsets.get(field.func.__name__, self.lowering.cells)

    def around(
        self, field: Expr, reach: tuple[tuple[int, int], ...], start: str
    ) -> str:
        """The name of a field with so many values before and after it.

        Arguments:
            start: the name of its values within.
        """
        name = field.func.__name__
        if not any(map(any, reach)):
            return start
        value: Expression = start
        for i, (before, after) in enumerate(reach):
            if (
                not (before or after)
                or self.lowering.system.coordinates[i] not in field.args
            ):
                continue
            if self.lowering.grid.axes[i].periodic:
                value = ("wrap", value, i - self.lowering.dim, before, after)
            else:
                value = self._joined(field, value, i, before, after, reach)
        return self.lowering.assign(f"{name}_", ("hold", value))

    def _joined(self, field, value, i, before, after, reach) -> Expression:
        name, axis = field.func.__name__, self.lowering.grid.axes[i]
        if not isinstance(value, str):
            value = self.lowering.assign(f"{name}_", value)
        here = self._offset(field)[i]
        first = HALF + here

        def strip(k: int, upper: bool) -> Expression:
            distance = first + k if here == 0 else Fraction(k)

            def inside(position: Fraction) -> Expression:
                j = int(position - first)
                bounds: list[tuple[int, int | None]] = [(0, None)] * self.lowering.dim
                bounds[i] = (-1 - j, -j or None) if upper else (j, j + 1)
                return ("window", value, tuple(bounds))

            ends = self.ends(field, i)
            if ends is None:  # a given field: extrapolated
                self._enough_beside(field, i, self.order)
                weights = {
                    p + first: w
                    for p, w in stencils.outside(Fraction(k + 1), self.order).items()
                }
                total, factor = weighted(weights, inside)
                return scaled(total, factor, [])
            condition = ends[1] if upper else ends[0]
            spacing = axis.spacing_at(upper=upper)
            exact = condition.slope == 0 or condition.value == 0
            count = self._count(field, i)
            if exact:
                a, b = Fraction(condition.slope == 0), Fraction(condition.value == 0)
                scale = spacing / condition.slope if b else 1 / condition.value
            else:
                a, b = (
                    Fraction(condition.value),
                    Fraction(condition.slope / spacing),
                )
                scale = 1.0
            try:
                weights, share = stencils.ghost(distance, first, count, a, b)
            except ValueError as error:
                raise InputError(
                    f"the boundary of {name} along {axis.name} has the value "
                    f"{condition.value} and the slope {condition.slope}, which "
                    "determine nothing on this grid: give both the same sign, or "
                    "another number of points"
                ) from error
            total, factor = weighted(weights, inside) if weights else (None, 1)
            if total is None:
                total = ("*", 0, inside(first))
            else:
                total = scaled(total, Fraction(factor), [])
            if condition.equals.is_zero:
                return total
            symbol = self.lowering.system.coordinates[i]
            edge = axis.upper if upper else axis.lower
            padded = tuple(r if j < i else (0, 0) for j, r in enumerate(reach))
            expression = condition.equals.xreplace({symbol: sympy.Float(edge, 17)})
            equals = self.lowering.value(expression, Place(self._offset(field), padded))
            return ("+", total, ("*", float(share) * scale, equals))

        def ghosts(count: int, upper: bool) -> list[str]:
            wish = f"{name}_{'above' if upper else 'below'}_{axis.name}"
            return [self.lowering.assign(wish, strip(k, upper)) for k in range(count)]

        low, high = reversed(ghosts(before, False)), ghosts(after, True)
        return ("join", i - self.lowering.dim, (*low, value, *high))

    def ends(self, field: Expr, i: int) -> Ends | None:
        """The conditions of a field along an axis; one that is given has none.

        Raises:
            InputError: the field is of the equations, and has none either.
        """
        system, axis = self.lowering.system, self.lowering.grid.axes[i]
        ends = self.boundaries.get((field.func.__name__, axis.name))
        given = (*system.constants, *system.forcings)
        whole = isinstance(system.unknowns.get(field.func.__name__), Whole)
        if ends is None and field not in given and not whole:
            raise InputError(
                f"axis {axis.name} is bounded and {field.func} has no boundary "
                "condition there: give dirichlet, neumann or robin at both ends"
            )
        return ends

    def _count(self, field: Expr, i: int) -> int:
        """How many values beside a boundary make a ghost.

        As many as the order, since a flux at a wall loses one order that nothing gives
        back; one suffices for order 2, the mirror image, which also conserves mass.
        """
        order = self.order
        count = 1 if order == 2 else order
        self._enough_beside(field, i, count)
        return count

    def _enough_beside(self, field: Expr, i: int, count: int):
        axis = self.lowering.grid.axes[i]
        if count > axis.size(self._offset(field)[i]):
            raise InputError(
                f"axis {axis.name} has {axis.points} points, too few for the "
                f"boundaries of {field.func}, which need {count} values beside "
                "them: take more points or a lower order"
            )
