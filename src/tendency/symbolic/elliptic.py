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
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import sympy
from sympy.core.function import AppliedUndef

from tendency.errors import InputError
from tendency.symbolic import stencils
from tendency.symbolic.boundary import Condition, Ends
from tendency.symbolic.lowering import Place
from tendency.symbolic.program import Expression, reads
from tendency.symbolic.sums import scaled
from tendency.symbolic.system import Expr

if TYPE_CHECKING:
    from tendency.symbolic.differences import Stencils

_LAPLACE = {
    Fraction(-1): Fraction(1),
    Fraction(0): Fraction(-2),
    Fraction(1): Fraction(1),
}
Linear = dict[Expr, Expr]  # unknown field -> its coefficient


class Elliptic:
    """Solves the implicit equations of a system within a lowering."""

    def __init__(self, lowering: "Stencils", known: Mapping[Expr, Expr]):
        self.lowering = lowering
        self.place = Place(lowering.cells, ((0, 0),) * lowering.dim)
        self.equations: list[Expr] = [
            sympy.expand_mul(e.xreplace(known), deep=False)
            for e in lowering.system.implicit
        ]
        self.left = list(lowering.system.unknown)
        self.solved: dict[Expr, str] = {}
        self._eigenvalues: dict[tuple, sympy.Symbol] = {}

    def name_of(self, field: Expr) -> str:
        """Of the values of an unknown field, found when they are first asked for.

        Raises:
            InputError: the equations are not linear, do not determine their fields, or
                are coupled in a way that iterations do not solve.
        """
        while field not in self.solved:
            rows, fields = self._next()
            terms = [self._split(row, fields) for row in rows]
            if not self._by_waves(fields, terms):
                if len(fields) > 1:
                    raise InputError(
                        f"the elliptic equations couple {_listed(fields)}, which is "
                        "solved with constant coefficients on even axes without land, "
                        "periodic or with differences of order 2 and like conditions "
                        "at both ends: write equations that give one field at a time"
                    )
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
                f"the equation {row} = 0 is not linear in {_listed(fields)}: elliptic "
                "equations are solved where they are"
            )
        return operator, sympy.Add(*rest)

    # By waves

    def _by_waves(self, fields: list[Expr], terms: list[tuple[Expr, Expr]]) -> bool:
        """Whether it could be done so."""
        kinds = [self._kinds(f) for f in fields]
        if kinds[0] is None or any(k != kinds[0] for k in kinds):
            return False
        shapes = self._wave_shapes(kinds[0])
        rows: list[Linear] = []
        for operator, _ in terms:
            row: Linear = {}
            for term in sympy.Add.make_args(operator):
                found = self._multiplier(term, fields, kinds[0], shapes)
                if found is None:
                    return False
                field, factor = found
                row[field] = row.get(field, sympy.S.Zero) + factor
            rows.append(row)
        matrix = sympy.Matrix([[row.get(f, 0) for f in fields] for row in rows])
        determinant = sympy.factor(matrix.det(method="berkowitz"))
        if determinant == 0:
            raise InputError(
                f"the elliptic equations do not determine {_listed(fields)}: one says "
                "nothing new"
            )
        adjugate = matrix.adjugate()
        hats = [self._right_hat(fields, o, rest, kinds[0]) for o, rest in terms]
        under = self._whole(determinant)
        inverse = self.lowering.assign("inverse", ("reciprocal", under))
        for i, field in enumerate(fields):
            parts: list[Expression] = []
            for j, hat in enumerate(hats):
                factor = sympy.factor(-adjugate[i, j])
                if factor == 0 or hat is None:
                    continue
                value: Expression = inverse
                if factor != 1:
                    value = ("*", self._whole(factor), inverse)
                parts.append(self._product(value, hat, kinds[0]))
            name = field.func.__name__
            total = parts[0]
            for part in parts[1:]:
                total = ("+", total, part)
            hat = self.lowering.assign(f"{name}_hat", total)
            self.solved[field] = self.lowering.assign(name, self._back(hat, kinds[0]))
        return True

    def _product(self, real: Expression, hat: str, kinds: tuple[str, ...]):
        return ("times" if "fourier" in kinds else "*", real, hat)

    def _right_hat(self, fields, operator: Expr, rest: Expr, kinds) -> str | None:
        value = self._right(fields, operator, rest)
        if value == 0:
            return None
        value = ("fill", value, self.lowering.grid.shape)
        periodic = tuple(a for a, kind in _along(kinds) if kind == "fourier")
        for axis, kind in _along(kinds):
            value = (kind, value, axis) if kind != "fourier" else value
        value = ("fourier", value, periodic) if periodic else value
        return self.lowering.assign("right_hat", value)

    def _back(self, hat: Expression, kinds: tuple[str, ...]) -> Expression:
        shape, periodic = self.lowering.grid.shape, []
        for axis, kind in _along(kinds):
            if kind == "fourier":
                periodic.append(axis)
        if periodic:
            points = tuple(shape[a] for a in periodic)
            hat = ("fourier_back", hat, points, tuple(periodic))
        for axis, kind in _along(kinds):
            hat = (f"{kind}_back", hat, axis) if kind != "fourier" else hat
        return hat

    def _kinds(self, field: Expr) -> tuple[str, ...] | None:
        """The waves along every axis, where there are such."""
        lowering = self.lowering
        if lowering.shores is not None:
            return None
        found = []
        for i, axis in enumerate(lowering.grid.axes):
            if axis.periodic:
                found.append("fourier")
                continue
            ends = lowering.ghosts.ends(field, i)
            if lowering.method.order != 2:
                return None
            if ends is not None and all(c.slope == 0 for c in ends):
                found.append("sine")
            elif ends is not None and all(c.value == 0 for c in ends):
                found.append("cosine")
            else:
                return None
        return tuple(found)

    def _wave_shapes(
        self, kinds: tuple[str, ...]
    ) -> list[tuple[tuple[int, ...], bool]]:
        """Of an array along each axis, and whether it is halved."""
        periodic = [i for i, kind in enumerate(kinds) if kind == "fourier"]
        shapes = []
        for i, axis in enumerate(self.lowering.grid.axes):
            halved = bool(periodic) and i == periodic[-1]
            count = axis.points // 2 + 1 if halved else axis.points
            shapes.append((self.lowering.along(i, count), halved))
        return shapes

    def _multiplier(
        self, term: Expr, fields: list[Expr], kinds, shapes
    ) -> tuple[Expr, Expr] | None:
        """The field of a term and what multiplies its waves."""
        factors = sympy.Mul.make_args(term)
        moving = [f for f in factors if f.has(*fields)]
        constant = [f for f in factors if f not in moving]
        if len(moving) != 1 or not all(self._is_number(f) for f in constant):
            return None
        (node,) = moving
        if node in fields:
            return node, sympy.Mul(*constant)
        if not isinstance(node, sympy.Derivative):
            return None
        if node.expr in fields:
            field = node.expr
            by_axis = {
                v: stencils.central(n, self.lowering.method.order, staggered=False)
                for v, n in _counts(node).items()
                if n % 2 == 0
            }
            if len(by_axis) < len(_counts(node)):
                return None
        else:  # a flux d_x(c*d_x u)
            inner: list[Expr] = list(sympy.Mul.make_args(_expr(node)))
            slopes = [f for f in inner if isinstance(f, sympy.Derivative)]
            others = [f for f in inner if f not in slopes]
            if len(slopes) != 1 or not all(self._is_number(f) for f in others):
                return None
            field = slopes[0].expr
            if field not in fields or slopes[0].variables != node.variables:
                return None
            if len(node.variables) != 1:
                return None
            half = stencils.central(1, self.lowering.method.order, staggered=True)
            by_axis = {node.variables[0]: _convolved(half, half)}
            constant += others
        product = sympy.Mul(*constant)
        for by, weights in by_axis.items():
            i = self.lowering.axis.get(by)
            if i is None:
                return None
            if kinds[i] != "fourier" and weights != _LAPLACE:
                return None
            times = node.variables.count(by) if node.expr in fields else 2
            product *= self._eigenvalue(i, weights, times, kinds[i], *shapes[i])
        return field, product

    def _eigenvalue(
        self, i: int, weights: stencils.Stencil, times: int, kind, shape, halved
    ) -> sympy.Symbol:
        key = (i, times, tuple(sorted(weights.items())), kind)
        if key not in self._eigenvalues:
            axis = self.lowering.grid.axes[i]
            under = np.lcm.reduce([w.denominator for w in weights.values()])
            whole = {int(p): int(w * int(under)) for p, w in weights.items()}
            pairs = tuple(
                (j, w if j == 0 else w + whole[-j])
                for j, w in sorted(whole.items())
                if j >= 0
            )
            value = ("eigenvalue", shape, kind, axis.points, halved, pairs)
            steps = [self.lowering.steps[i]] * times
            value = scaled(value, Fraction(1, int(under)), steps)
            name = self.lowering.assign(f"waves_{axis.name}", value)
            self._eigenvalues[key] = sympy.Symbol(name, real=True)
        return self._eigenvalues[key]

    def _is_number(self, node: Expr) -> bool:
        parameters = {*self.lowering.system.parameters}
        return not node.atoms(AppliedUndef) and node.free_symbols <= parameters

    def _whole(self, factor: Expr) -> Expression:
        return self.lowering.value(sympy.factor(factor), self.place)

    # By iterations

    def _by_iterations(self, field: Expr, operator: Expr, rest: Expr) -> None:
        lowering, name = self.lowering, field.func.__name__
        right = lowering.assign("right", self._right([field], -operator, -rest))
        trial = self._like(field, "trial", homogeneous=True)
        symbol = trial.func.__name__
        before, lowering.assigned = lowering.assigned, {}
        value = lowering.value(operator.xreplace({field: trial}), self.place)
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
        kind = self._kind(field, operator)
        value = ("solved", symbol, tuple(inside.items()), result, right, water, *kind)
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
        name = field.func.__name__
        both = [
            lowering.ghosts.boundaries.get((name, a.name)) for a in lowering.grid.axes
        ]
        held = any(c.value != 0 for ends in both if ends for c in ends)
        singular = not held and "itself" not in terms
        if singular and not symmetric:
            raise InputError(
                f"the elliptic equation of {field.func} leaves a constant open, which "
                "differences of higher order between walls cannot: take order 2, or "
                "give it a value at a wall"
            )
        return symmetric, singular

    def _form(self, term: Expr, field: Expr) -> str:
        """`itself` (a*u), `slopes` (d_xx u, d_x(k*d_x u)) or `other`."""
        factors = sympy.Mul.make_args(term)
        (node,) = [f for f in factors if f.has(field)] or [field]
        if node == field:
            return "itself"
        if not isinstance(node, sympy.Derivative):
            return "other"
        constant = all(self._is_number(f) for f in factors if f != node)
        counts = _counts(node)
        if node.expr == field and constant:
            return "slopes" if all(n % 2 == 0 for n in counts.values()) else "other"
        inner = [f for f in sympy.Mul.make_args(_expr(node)) if f.has(field)]
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


def _along(kinds: tuple[str, ...]) -> list[tuple[int, str]]:
    """The axes, counted from the last, and their waves."""
    return list(enumerate(kinds, start=-len(kinds)))


def _expr(node: sympy.Derivative) -> Expr:
    return node.expr


def _plain(condition: Condition) -> Condition:
    return condition._replace(equals=sympy.S.Zero)


def _counts(node: Expr) -> dict[Expr, int]:
    return {v: node.variables.count(v) for v in node.variables}


def _convolved(one: stencils.Stencil, two: stencils.Stencil) -> stencils.Stencil:
    found: dict[Fraction, Fraction] = {}
    for p, v in one.items():
        for q, w in two.items():
            found[p + q] = found.get(p + q, Fraction(0)) + v * w
    return {p: w for p, w in sorted(found.items()) if w}


def _listed(fields: list[Expr]) -> str:
    return ", ".join(str(f.func) for f in fields)
