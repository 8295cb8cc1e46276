"""Floor 1: elliptic equations whose solutions are found wave by wave.

With constant coefficients, on an even grid and between walls that are alike at both
ends, the waves of `waves` are eigenvectors of the differences: a transform, a division
by the matrix of their eigenvalues, and a transform back solve any number of fields.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import sympy
from sympy.core.function import AppliedUndef

from tendency.errors import InputError
from tendency.symbolic import stencils
from tendency.symbolic.lowering import Place
from tendency.symbolic.program import Expression
from tendency.symbolic.sums import scaled
from tendency.symbolic.system import Expr

if TYPE_CHECKING:
    from tendency.symbolic.differences import Stencils

Linear = dict[Expr, Expr]  # unknown field -> its coefficient
Right = Callable[[list[Expr], Expr, Expr], Expression]
_LAPLACE = {
    Fraction(-1): Fraction(1),
    Fraction(0): Fraction(-2),
    Fraction(1): Fraction(1),
}


class Waves:
    """Solves elliptic equations of a lowering where waves separate them."""

    def __init__(self, lowering: "Stencils"):
        self.lowering = lowering
        self.place = Place(lowering.cells, ((0, 0),) * lowering.dim)
        self._eigenvalues: dict[tuple, sympy.Symbol] = {}

    def solve(
        self, fields: list[Expr], terms: list[tuple[Expr, Expr]], right: Right
    ) -> dict[Expr, str] | None:
        """The names of the solutions; None where waves do not separate them.

        Arguments:
            terms: of each equation what holds the fields, and the rest.
            right: gives the values of an equation where the fields are zero within.

        Raises:
            InputError: the equations do not determine the fields.
        """
        kinds = [self._kinds(f) for f in fields]
        if kinds[0] is None or any(k != kinds[0] for k in kinds):
            return None
        shapes = self._wave_shapes(kinds[0])
        rows: list[Linear] = []
        for operator, _ in terms:
            row: Linear = {}
            for term in sympy.Add.make_args(operator):
                found = self._multiplier(term, fields, kinds[0], shapes)
                if found is None:
                    return None
                field, factor = found
                row[field] = row.get(field, sympy.S.Zero) + factor
            rows.append(row)
        matrix = sympy.Matrix([[row.get(f, 0) for f in fields] for row in rows])
        determinant = sympy.factor(matrix.det(method="berkowitz"))
        if determinant == 0:
            raise InputError(
                f"the elliptic equations do not determine {listed(fields)}: one says "
                "nothing new"
            )
        adjugate = matrix.adjugate()
        values = [right(fields, operator, rest) for operator, rest in terms]
        hats = [self._right_hat(value, kinds[0]) for value in values]
        under = self._whole(determinant)
        inverse = self.lowering.assign("inverse", ("reciprocal", under))
        solved = {}
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
            solved[field] = self.lowering.assign(name, self._back(hat, kinds[0]))
        return solved

    def _product(self, real: Expression, hat: str, kinds: tuple[str, ...]):
        return ("times" if "fourier" in kinds else "*", real, hat)

    def _right_hat(self, value: Expression, kinds: tuple[str, ...]) -> str | None:
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
            if axis.stretch is not None:
                return None
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
        if len(moving) != 1 or not all(is_number(self.lowering, f) for f in constant):
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
                for v, n in counts(node).items()
                if n % 2 == 0
            }
            if len(by_axis) < len(counts(node)):
                return None
        else:  # a flux d_x(c*d_x u)
            inner: list[Expr] = list(sympy.Mul.make_args(operand(node)))
            slopes = [f for f in inner if isinstance(f, sympy.Derivative)]
            others = [f for f in inner if f not in slopes]
            if len(slopes) != 1 or not all(is_number(self.lowering, f) for f in others):
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

    def _whole(self, factor: Expr) -> Expression:
        return self.lowering.value(sympy.factor(factor), self.place)


def is_number(lowering: "Stencils", node: Expr) -> bool:
    """Whether it is the same everywhere and always."""
    parameters = {*lowering.system.parameters}
    return not node.atoms(AppliedUndef) and node.free_symbols <= parameters


def counts(node: Expr) -> dict[Expr, int]:
    """How often a derivative is taken, by coordinate."""
    return {v: node.variables.count(v) for v in node.variables}


def operand(node: sympy.Derivative) -> Expr:
    """What is differentiated."""
    return node.expr


def listed(fields: list[Expr]) -> str:
    """Their names."""
    return ", ".join(str(f.func) for f in fields)


def _convolved(one: stencils.Stencil, two: stencils.Stencil) -> stencils.Stencil:
    found: dict[Fraction, Fraction] = {}
    for p, v in one.items():
        for q, w in two.items():
            found[p + q] = found.get(p + q, Fraction(0)) + v * w
    return {p: w for p, w in sorted(found.items()) if w}


def _along(kinds: tuple[str, ...]) -> list[tuple[int, str]]:
    """The axes, counted from the last, and their waves."""
    return list(enumerate(kinds, start=-len(kinds)))
