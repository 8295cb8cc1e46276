"""Floor 1: from equations to a program, by Fourier transforms on periodic axes.

What is linear with constant coefficients is a multiplication in Fourier space, elliptic
equations are divisions there, and products are formed on the grid. Odd derivatives
leave out the highest wavenumber of an even number of points, which has no sine.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import sympy
from sympy.core.function import AppliedUndef

from tendency.errors import InputError
from tendency.grid import Grid
from tendency.stiff import SpectralLinear
from tendency.symbolic.factors import in_fluxes, parts_of, signed, terms_of, unevaluated
from tendency.symbolic.lowering import Lowering, Place, defined
from tendency.symbolic.program import Expression, Program, evaluate, run
from tendency.symbolic.sums import summed
from tendency.symbolic.system import Expr, System


class Spectral(NamedTuple):
    """Fourier transforms; `dealias` leaves a third of the wavenumbers out of products.

    Without it a product of two fields folds its highest wavenumbers back (Orszag, 1971,
    J. Atmos. Sci. 28, 1074).
    """

    dealias: bool = True


def lower_spectral(
    system: System, grid: Grid, method: Spectral, *, diagnostics: bool = False
) -> Program:
    """The program of the tendency, or of the diagnostic and the unknown fields.

    Raises:
        InputError: a bounded axis; elliptic equations that are not linear with constant
            coefficients, or do not determine their fields.
    """
    _require_periodic(grid)
    lowering = _Spectral(system, grid, method)
    return lowering.diagnostics() if diagnostics else lowering.program()


def linear_part(system: System, grid: Grid) -> SpectralLinear:
    """What is linear with constant coefficients, for the schemes of `tendency.stiff`.

    Parameters have the values that the system gives them.

    Raises:
        InputError: as `lower_spectral`.
    """
    _require_periodic(grid)
    lowering = _Spectral(system, grid, Spectral())
    with jax.enable_x64(True):
        values = {str(k): np.float64(v) for k, v in system.parameters.items()}
        symbols = {}
        for pair, (real, imaginary) in lowering.linear().items():
            known = run(tuple(lowering.assigned.items()), values, np.float64)
            parts = [evaluate(e, known, np.float64) for e in (real, imaginary)]
            symbols[pair] = np.asarray(parts[0]) + 1j * np.asarray(parts[1])
    nothing = {(name, name): 0.0 for name in system.fields}
    return SpectralLinear.of(nothing | symbols, grid.shape)


def _require_periodic(grid: Grid) -> None:
    wrong = [f"{axis.name} is bounded" for axis in grid.axes if not axis.periodic]
    wrong += [f"{axis.name} is stretched" for axis in grid.axes if axis.stretch]
    if wrong or not grid.axes:
        raise InputError(
            "the spectral method needs periodic axes, evenly spaced, and "
            f"{', '.join(wrong) or 'none is given'}: use differences"
        )


class _Spectral(Lowering):
    """Values on the grid as in any lowering, derivatives through Fourier space."""

    def __init__(self, system: System, grid: Grid, method: Spectral):
        super().__init__(system, grid)
        self.method = method
        self.here = Place(self.cells, ((0, 0),) * self.dim)
        self.in_fourier = Place((), ())  # another place of the same expression
        names = [axis.name for axis in grid.axes]
        self.whole = [sympy.Symbol(f"K{n}", real=True) for n in names]  # even powers
        self.sine = [sympy.Symbol(f"k{n}", real=True) for n in names]  # odd powers
        self.arrays: dict[Expr, str] = {}
        self.kept: str | None = None
        self.hats: dict[str, str] = {}
        self.unknown: dict[Expr, dict[Expr, Expr]] = {}
        self.unknown = self._solved()

    def program(self) -> Program:
        outputs = []
        known = defined(self.system)
        for field, tendency in self.system.prognostic.items():
            name = field.func.__name__
            whole = in_fluxes(tendency.xreplace(known))
            hat = self.assign(f"d_t_{name}_hat", self._hat(whole))
            outputs.append((name, self.assign(f"d_t_{name}", self._grid_values(hat))))
        return Program((), tuple(self.assigned.items()), tuple(outputs))

    def diagnostics(self) -> Program:
        outputs, known = [], defined(self.system)
        for field in (*self.system.diagnostic, *self.system.unknown):
            name, value = field.func.__name__, field.xreplace(known)
            outputs.append((name, self.assign(name, self.value(value, self.here))))
        return Program((), tuple(self.assigned.items()), tuple(outputs))

    def linear(self) -> dict[tuple[str, str], tuple[Expression, Expression]]:
        """By equation and field: the real and the imaginary part of the multiplier."""
        known = defined(self.system)
        found = {}
        for field, tendency in self.system.prognostic.items():
            total: dict[Expr, Expr] = {}
            for term in terms_of(tendency.xreplace(known)):
                for one, factor in (self._symbol_of(term) or {}).items():
                    for source, share in self.unknown.get(one, {one: 1}).items():
                        total[source] = total.get(source, 0) + factor * share
            for source, factor in total.items():
                parts = parts_of(sympy.together(factor))
                names = (field.func.__name__, source.func.__name__)
                real, imaginary = (self._real(sympy.sympify(p)) for p in parts)
                found[names] = (real, imaginary)
        return found

    # In Fourier space

    def _hat(self, tendency: Expr) -> Expression:
        """The transform of a tendency: linear terms, then products."""
        linear: dict[Expr, Expr] = {}
        products: dict[Expr, list[Expr]] = {}
        for term in terms_of(tendency):
            symbol = self._symbol_of(term)
            if symbol is not None:
                for field, factor in symbol.items():
                    linear[field] = linear.get(field, 0) + factor
                continue
            factors: Any = sympy.Mul.make_args(term)
            slopes = [f for f in factors if isinstance(f, sympy.Derivative)]
            rest = [f for f in factors if f not in slopes]
            constant = all(self._is_number(f) for f in rest)
            if len(slopes) == 1 and constant:  # a flux
                factor = self._wave(slopes[0].variables)
                products.setdefault(factor, []).append(
                    unevaluated(*rest, slopes[0].expr) if rest else slopes[0].expr
                )
            else:
                products.setdefault(sympy.S.One, []).append(term)
        parts = self._multiplied(linear)
        for factor, terms in products.items():
            value = summed([self.value(term, self.here) for term in terms])
            product: Any = sympy.Add(*terms, evaluate=False)
            hat = self.once(
                product,
                self.in_fourier,
                "product_hat",
                lambda product=product, value=value: self._transform(product, value),
            )
            if self.method.dealias:
                hat = ("times", self._kept(), hat)
            parts.append(self._times(factor, hat))
        nothing = ("times", 0.0, self._field_hat(next(iter(self.system.prognostic))))
        return summed(parts) if parts else nothing

    def _transform(self, node: Expr, value: Expression) -> Expression:
        fields = {*self.system.prognostic, *self.unknown}
        if not node.atoms(AppliedUndef) & fields:  # it may be the same along an axis
            value = ("fill", value, self.grid.shape)
        return ("rfft", value, self.dim)

    def _multiplied(self, symbol: Mapping[Expr, Expr]) -> list[Expression]:
        return [
            self._times(factor, self._field_hat(field))
            for field, factor in symbol.items()
            if factor != 0
        ]

    def _times(self, factor: Expr, hat: Expression) -> Expression:
        """A symbol, real or imaginary, times a transform."""
        if factor == 1:
            return hat
        real, imaginary = parts_of(factor)
        terms = []
        if real != 0:
            terms.append(signed(real, lambda r: ("times", self._real(r), hat), hat))
        if imaginary != 0:
            turned = ("turned", hat)
            terms.append(
                signed(imaginary, lambda r: ("times", self._real(r), turned), turned)
            )
        return summed(terms)

    def _real(self, factor: Expr) -> Expression:
        """A real symbol as an array, or a number."""
        for wave in (*self.whole, *self.sine):
            if factor.has(wave):
                self._wavenumber(wave)
        above, under = sympy.fraction(sympy.together(factor))
        if not any(under.has(w) for w in self.whole):
            return self.value(factor, self.here)
        under: Expr = sympy.factor(under)
        inverse = self.once(
            1 / under,
            self.in_fourier,
            "inverse",
            lambda: ("reciprocal", self.value(under, self.here)),
        )
        above = sympy.factor(above)
        return inverse if above == 1 else ("*", self.value(above, self.here), inverse)

    def symbol(self, node: Expr, place: Place):
        if node in self.arrays:
            return self.arrays[node]
        return super().symbol(node, place)

    def _wavenumber(self, wave: Expr) -> None:
        if wave in self.arrays:
            return
        odd = wave in self.sine
        i = (self.sine if odd else self.whole).index(wave)
        axis = self.grid.axes[i]
        last = i == len(self.grid.axes) - 1
        wish = f"k_{axis.name}" if odd else f"k_{axis.name}_even"
        length = axis.upper - axis.lower
        shape = self.along(i, axis.points // 2 + 1 if last else axis.points)
        value = ("wavenumber", shape, axis.points, length, last, odd)
        self.arrays[wave] = self.assign(wish, value)

    def _kept(self) -> str:
        if self.kept is None:
            self.kept = self.assign("kept", ("dealias", self.grid.shape))
        return self.kept

    def _field_hat(self, field: Expr) -> str:
        name = field.func.__name__
        if name not in self.hats:
            if field in self.unknown:
                value = summed(self._multiplied(self.unknown[field]))
            else:
                value = ("rfft", name, self.dim)
            self.hats[name] = self.assign(f"{name}_hat", value)
        return self.hats[name]

    def _grid_values(self, hat: Expression) -> Expression:
        return ("irfft", hat, self.grid.shape)

    def _is_number(self, node: Expr) -> bool:
        """Whether it is the same everywhere and always."""
        symbols = node.free_symbols - {*self.system.parameters}
        return not symbols and not node.atoms(AppliedUndef)

    def _wave(self, variables) -> Expr:
        """(i k)^n for every coordinate."""
        factor = sympy.S.One
        for i, coordinate in enumerate(self.system.coordinates):
            n = variables.count(coordinate)
            factor *= (-1) ** (n // 2) * self.whole[i] ** (n - n % 2)
            factor *= sympy.I * self.sine[i] if n % 2 else 1
        return factor

    def _symbol_of(self, node: Expr) -> dict[Expr, Expr] | None:
        """Of what is linear with constant coefficients: field -> its multiplier."""
        if isinstance(node, AppliedUndef):
            known = node in self.system.prognostic or node in self.unknown
            return {node: sympy.S.One} if known else None
        if isinstance(node, sympy.Derivative):
            inner = self._symbol_of(node.expr)
            factor = self._wave(node.variables)
            return inner and {f: factor * s for f, s in inner.items()}
        if isinstance(node, sympy.Add):
            total: dict[Expr, Expr] = {}
            for part in node.args:
                symbol = self._symbol_of(part)
                if symbol is None:
                    return None
                for field, s in symbol.items():
                    total[field] = total.get(field, 0) + s
            return total
        if isinstance(node, sympy.Mul):
            varying = [f for f in node.args if not self._is_number(f)]
            if len(varying) != 1:
                return None
            inner = self._symbol_of(varying[0])
            factor = sympy.Mul(*(f for f in node.args if self._is_number(f)))
            return inner and {f: factor * s for f, s in inner.items()}
        return None

    def _solved(self) -> dict[Expr, dict[Expr, Expr]]:
        """The unknown fields of the elliptic equations in terms of prognostic ones."""
        wanted = self.system.unknown
        if not wanted:
            return {}
        self.unknown = {field: {} for field in wanted}
        known = defined(self.system)
        rows = []
        for equation in self.system.implicit:
            symbol = self._symbol_of(sympy.expand_mul(equation.xreplace(known)))
            if symbol is None:
                raise InputError(
                    f"the equation {equation} = 0 is not linear with constant "
                    "coefficients, which the spectral method needs to solve it for "
                    f"{', '.join(str(f.func) for f in wanted)}"
                )
            rows.append(symbol)
        matrix: Any = sympy.Matrix([[row.get(f, 0) for f in wanted] for row in rows])
        if sympy.cancel(matrix.det()) == 0:
            raise InputError(
                "the elliptic equations do not determine "
                f"{', '.join(str(f.func) for f in wanted)}: one says nothing new"
            )
        inverse = matrix.inv()
        found: dict[Expr, dict[Expr, Expr]] = {}
        for i, field in enumerate(wanted):
            found[field] = {}
            for source in self.system.prognostic:
                factor = -sum(
                    inverse[i, j] * row.get(source, 0) for j, row in enumerate(rows)
                )
                factor = sympy.factor(sympy.together(factor))
                if factor != 0:
                    found[field][source] = factor
        return found

    # On the grid

    def field(self, node: Expr, place: Place) -> Expression:
        symbol = self._symbol_of(node)
        if symbol is None:  # a constant or a forcing
            return node.func.__name__
        if node in self.system.prognostic and not self.method.dealias:
            return node.func.__name__
        return self._back(node, symbol, node.func.__name__)

    def jacobian(self, node: Expr, place: Place) -> Expression:
        return self.value(node.fluxes, place)

    def around(self, node: Expr, place: Place, reach: int) -> list[Expression]:
        raise InputError(
            f"an unknown stencil looks at the points around {node}, and the spectral "
            "method knows no neighbours: use differences, or a Pointwise function"
        )

    def derivative(self, node: Expr, place: Place) -> Expression:
        if not node.expr.atoms(AppliedUndef):
            return self.value(node.doit(), place)
        symbol = self._symbol_of(node)
        if symbol is not None:
            return self._back(node, symbol, self.meaning(node))
        return self.once(
            node,
            place,
            self.meaning(node),
            lambda: self._grid_values(
                self._times(
                    self._wave(node.variables),
                    self._transform(node.expr, self.value(node.expr, place)),
                )
            ),
        )

    def _back(self, node: Expr, symbol: Mapping[Expr, Expr], wish: str) -> Expression:
        def make() -> Expression:
            hat = summed(self._multiplied(symbol))
            if self.method.dealias:
                hat = ("times", self._kept(), hat)
            return self._grid_values(hat)

        return self.once(node, self.here, wish, make)
