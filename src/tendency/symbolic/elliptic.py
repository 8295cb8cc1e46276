"""Floor 1: fields that equations determine everywhere at once, by differences.

An elliptic equation is linear in its unknown fields, A ψ = b. Where the coefficients
are constant, the grid is even and the conditions at both ends of an axis are alike, the
waves of `waves` are eigenvectors of A: the solution is a transform, a division, and a
transform back, for several fields at once. Otherwise, with coefficients that vary,
land, other conditions or higher orders between walls, A is inverted by iterations:
conjugate gradients where it is found symmetric, BiCGSTAB where not. Where they do not
arrive, as they may not if A is indefinite, the field is not a number.

Where A leaves a constant undetermined, as it does without walls that hold a value, the
solution has no mean, nor has the part of b that is used.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import sympy

from tendency.errors import InputError
from tendency.symbolic.boundary import Condition, Ends
from tendency.symbolic.by_waves import Waves, counts, is_number, listed, operand
from tendency.symbolic.coasts import connected
from tendency.symbolic.lowering import Place
from tendency.symbolic.program import Expression, reads
from tendency.symbolic.system import Expr

if TYPE_CHECKING:
    from tendency.symbolic.differences import Stencils


class Elliptic:
    """Solves the implicit equations of a system within a lowering."""

    def __init__(self, lowering: "Stencils", known: Mapping[Expr, Expr]):
        self.lowering = lowering
        self.place = Place(lowering.cells, ((0, 0),) * lowering.dim)
        self.equations: list[Expr] = [
            _terms(e.xreplace(known)) for e in lowering.system.implicit
        ]
        self.left = list(lowering.system.unknown)
        self.solved: dict[Expr, str] = {}
        self.waves = Waves(lowering)

    def name_of(self, field: Expr) -> str:
        """Of the values of an unknown field, found when they are first asked for.

        Raises:
            InputError: the equations are not linear, do not determine their fields, or
                are coupled in a way that iterations do not solve.
        """
        while field not in self.solved:
            rows, fields = self._next()
            terms = [self._split(row, fields) for row in rows]
            found = self.waves.solve(fields, terms, self._right)
            if found is not None:
                self.solved |= found
            elif len(fields) > 1:
                raise InputError(
                    f"the elliptic equations couple {listed(fields)}, which is solved "
                    "with constant coefficients on even axes without land, periodic "
                    "or with differences of order 2 and like conditions at both ends: "
                    "write equations that give one field at a time"
                )
            else:
                self._by_iterations(fields[0], *terms[0])
            for row in rows:
                self.equations.remove(row)
            self.left = [f for f in self.left if f not in fields]
        return self.solved[field]

    def _next(self) -> tuple[list[Expr], list[Expr]]:
        """One equation with one unknown field, or else all that are left."""
        for row in self.equations:
            held = [f for f in self.left if row.has(f)]
            if len(held) == 1:
                return [row], held
        return list(self.equations), list(self.left)

    def _split(self, row: Expr, fields: list[Expr]) -> tuple[Expr, Expr]:
        """What holds the fields, and the rest."""
        terms = sympy.Add.make_args(row)
        within = [t for t in terms if t.has(*fields)]
        rest = [t for t in terms if not t.has(*fields)]
        operator = sympy.Add(*within)
        scale = sympy.Dummy("scale")
        scaled_fields = {f: scale * f for f in fields}
        if sympy.diff(operator.xreplace(scaled_fields).doit(), scale, 2) != 0:
            raise InputError(
                f"the equation {row} = 0 is not linear in {listed(fields)}: elliptic "
                "equations are solved where they are"
            )
        return operator, sympy.Add(*rest)

    # By iterations

    def _by_iterations(self, field: Expr, operator: Expr, rest: Expr) -> None:
        lowering, name = self.lowering, field.func.__name__
        kind = self._kind(field, operator)
        value = ("fill", self._right([field], -operator, -rest), lowering.grid.shape)
        right = lowering.assign("right", value)
        size = lowering.size(self.place)
        if size is not None:  # times the sizes of the cells, it is symmetric again
            if kind[1]:
                level = lowering.averaged(right, self.place)
                right = lowering.assign("right", ("-", right, level))
            right = lowering.assign("right", ("*", size, right))
        trial = self._like(field, "trial", homogeneous=True)
        symbol = trial.func.__name__
        before, lowering.assigned = lowering.assigned, {}
        value = lowering.value(operator.xreplace({field: trial}), self.place)
        value = value if size is None else ("*", size, value)
        if lowering.shores is not None:
            value = lowering.shores.tendency(value, self.place)
        result = lowering.assign(f"operator_on_{name}", value)
        inside, moving = {}, {symbol}
        for one, expression in lowering.assigned.items():
            if any(reads(expression, m) for m in moving):
                moving.add(one)
                inside[one] = expression
            else:
                before[one] = expression
        lowering.assigned = before
        water = None
        if lowering.shores is not None:
            water = lowering.shores.mask(self.place)
        value = ("solved", symbol, tuple(inside.items()), result, right, water, *kind)
        if size is not None and kind[1]:
            value = lowering.assign(name, value)
            value = ("-", value, lowering.averaged(value, self.place))
            value = value if water is None else ("*", water, value)
        self.solved[field] = lowering.assign(name, value)

    def _kind(self, field: Expr, operator: Expr) -> tuple[bool, bool]:
        """Whether the operator is symmetric, and whether constants are in its kernel.

        Raises:
            InputError: they are, and it is not symmetric.
        """
        lowering = self.lowering
        terms = [self._form(t, field) for t in sympy.Add.make_args(operator)]
        even = all(axis.periodic for axis in lowering.grid.axes)
        even |= lowering.method.order == 2
        symmetric = even and "other" not in terms
        singular = "itself" not in terms and self._is_open(field)
        if singular and not symmetric:
            mend = (
                "write it in fluxes, d_x(k*d_x u), numbers alone before them"
                if even
                else "take order 2"
            )
            raise InputError(
                f"the elliptic equation of {field.func} leaves a constant open and its "
                f"differences are not symmetric: {mend}, or give the field a value at "
                "a wall"
            )
        return symmetric, singular

    def _is_open(self, field: Expr) -> bool:
        """Whether no wall holds the level of a field.

        Raises:
            InputError: it is held in some pieces of the water and open in others.
        """
        grid, shores = self.lowering.grid, self.lowering.shores
        water = np.ones(grid.shape, bool) if shores is None else shores.water
        held = np.zeros(grid.shape, bool)
        for i, axis in enumerate(grid.axes):
            ends = self.lowering.ghosts.boundaries.get((field.func.__name__, axis.name))
            for end, condition in zip((0, -1), ends or (), strict=False):
                if condition.value != 0:
                    np.moveaxis(held, i, 0)[end] = True
        pieces, count = connected(water, grid)
        level = {*np.unique(pieces[held & water])}
        free = [piece for piece in range(1, count + 1) if piece not in level]
        if free and count > 1:
            first = tuple(int(i) for i in np.argwhere(pieces == free[0])[0])
            size = int((pieces == free[0]).sum())
            raise InputError(
                f"the water is in {count} pieces, and nothing holds the level of "
                f"{field.func} in the one of {size} cells at index {first}: fill all "
                "pieces but one with land, or let a wall hold a value in each"
            )
        return bool(free)

    def _form(self, term: Expr, field: Expr) -> str:
        """`itself` (a*u), `slopes` (d_xx u, d_x(k*d_x u)) or `other`."""
        factors = sympy.Mul.make_args(term)
        (node,) = [f for f in factors if f.has(field)] or [field]
        if node == field:
            return "itself"
        if not isinstance(node, sympy.Derivative):
            return "other"
        constant = all(is_number(self.lowering, f) for f in factors if f != node)
        if node.expr == field and constant:
            even = all(n % 2 == 0 for n in counts(node).values())
            return "slopes" if even else "other"
        inner = [f for f in sympy.Mul.make_args(operand(node)) if f.has(field)]
        flux = (
            len(inner) == 1
            and isinstance(inner[0], sympy.Derivative)
            and inner[0].expr == field
            and inner[0].variables == node.variables
            and len(node.variables) == 1
        )
        return "slopes" if flux and constant else "other"

    def _like(self, field: Expr, wish: str, *, homogeneous: bool) -> Expr:
        """Another field under the conditions of this one, or those that are zero."""
        lowering, name = self.lowering, field.func.__name__
        new = lowering.new(f"{wish}_{name}")
        lowering.offsets[new] = lowering.offset(field)
        for axis in lowering.grid.axes:
            ends = lowering.ghosts.boundaries.get((name, axis.name))
            if ends is not None:
                plain = [_plain(c) for c in ends] if homogeneous else ends
                lowering.ghosts.boundaries[new, axis.name] = Ends(*plain)
        other = sympy.Function(new, real=True)(*field.args)
        lowering.starts[other] = new
        return other

    def _right(self, fields: list[Expr], operator: Expr, rest: Expr) -> Expression:
        """The operator without the fields: what the equations and their walls give."""
        total: Expr = rest
        held = [f for f in fields if operator.has(f) and self._has_values(f)]
        if held:
            none = {}
            for field in held:
                nothing = self._like(field, "no", homogeneous=False)
                lowered = ("fill", 0.0, self.lowering.grid.shape)
                self.lowering.assigned[nothing.func.__name__] = lowered
                none[field] = nothing
            kept = [t for t in sympy.Add.make_args(operator) if t.has(*held)]
            total = total + sympy.Add(*kept).xreplace(none)
        return self.lowering.value(total, self.place)

    def _has_values(self, field: Expr) -> bool:
        """Whether a condition of it is not zero."""
        name = field.func.__name__
        ends = [
            self.lowering.ghosts.boundaries.get((name, axis.name))
            for axis in self.lowering.grid.axes
        ]
        return any(not c.equals.is_zero for both in ends if both for c in both)


def _plain(condition: Condition) -> Condition:
    return condition._replace(equals=sympy.S.Zero)


def _terms(equation: Expr) -> Expr:
    """A sum without factors of sums; what is differentiated stays as it is."""
    return sympy.Add(
        *(sympy.expand_mul(term, deep=False) for term in sympy.Add.make_args(equation))
    )
