"""Floor 1: expectations of products of errors and of their derivatives.

With e = σ ε, σ² = V, all of them come down to E[ε ∂ᵞε] by

    E[∂_i a b] = ∂_i E[a b] - E[a ∂_i b],

and of a field alone these are 1, 0, -g, and for odd orders what lower ones give; for
even orders from four on they stay open. Those of two fields are all open but the
covariance itself. A multi-index is a sorted tuple of coordinates. Products are kept as
S = σ_f σ_h E[∂ᵅε_f ∂ᵝε_h], which are rational in V, g and their derivatives.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import combinations, combinations_with_replacement
from typing import Any, NamedTuple

import sympy
from sympy.core.function import AppliedUndef

from tendency.symbolic.system import TIME, Expr, System

Index = tuple[sympy.Symbol, ...]
Tensor = Any  # a matrix of SymPy, which types its entries as lists as well
Slopes = Mapping[tuple[Expr, Index], Expr]  # dF/d(∂ᵅu), by field and α
_HALF = sympy.Rational(1, 2)
_SCALED = " of errors of variance 1, times both standard deviations"


class Open(NamedTuple):
    """An expectation that variance and aspect do not tell."""

    field: Expr
    fields: tuple[Expr, Expr]
    index: Index
    meaning: str


def named(system: System) -> list[str]:
    """The names of all fields that moments add, but for what stays open."""
    fields = [f.func.__name__ for f in system.prognostic]
    pairs = combinations_with_replacement(fields, 2)
    found = [_variance(fields, f, h) for f, h in pairs]
    for f in fields:
        found += [
            _name(letter, fields, f, i, j, len(system.coordinates) > 1)
            for letter in (
                ("nu", "g", "g_t") if len(system.coordinates) > 1 else ("nu",)
            )
            for i, j in combinations_with_replacement(system.coordinates, 2)
        ]
    return found


def _variance(fields: list[str], f: str, h: str) -> str:
    if len(fields) == 1:
        return "V"
    return f"V_{f}" if f == h else f"V_{f}_{h}"


def _name(
    letter: str, fields: list[str], f: str, i: object, j: object, two: bool
) -> str:
    middle = "" if len(fields) == 1 else f"_{f}"
    return f"{letter}{middle}" + (f"_{i}{j}" if two else "")


class Errors:
    """The errors of the fields of a system, and what is expected of them."""

    def __init__(self, system: System):
        self.space = system.coordinates
        self.fields = list(system.prognostic)
        self.names = [f.func.__name__ for f in self.fields]
        self.everywhere = (TIME, *self.space)
        self.variance: dict[tuple[Expr, Expr], Expr] = {}
        for f, h in combinations_with_replacement(self.fields, 2):
            name = _variance(self.names, f.func.__name__, h.func.__name__)
            self.variance[f, h] = self.variance[h, f] = self._field(name)
        self.aspect: dict[Expr, Tensor] = {}
        self.metric: dict[Expr, Tensor] = {}
        for f in self.fields:
            self.aspect[f], self.metric[f] = self._tensor("nu", f), self._tensor("g", f)
        self.open: dict[str, Open] = {}
        self.ratio = cache(self._ratio)
        self.product = cache(self._product)

    def _field(self, name: str) -> Expr:
        return sympy.Function(name, real=True)(*self.everywhere)

    def _tensor(self, letter: str, f: Expr) -> Tensor:
        two, space = len(self.space) > 1, self.space

        def entry(i, j):
            a, b = sorted((int(i), int(j)))
            name = f.func.__name__
            return self._field(_name(letter, self.names, name, space[a], space[b], two))

        return sympy.Matrix(len(space), len(space), entry)

    def slopes(self, tendency: Expr) -> Slopes:
        """The derivatives of a tendency by each field and its derivatives."""
        flat, jet = self._jet(tendency)
        found = {key: sympy.diff(flat, mark) for mark, key in jet.items()}
        back = {mark: _derivative(*key) for mark, key in jet.items()}
        return {k: F.xreplace(back) for k, F in found.items() if not F.is_zero}

    def second_order(self, tendency: Expr) -> Expr:
        """Σ F'' E[e e] / 2."""
        flat, jet = self._jet(tendency)
        back = {mark: _derivative(*key) for mark, key in jet.items()}
        total = sympy.S.Zero
        for a, b in combinations_with_replacement(jet, 2):
            F = sympy.diff(flat, a, b)
            if F.is_zero:
                continue
            once = _HALF if a == b else sympy.S.One
            total += once * F.xreplace(back) * self.expected(*jet[a], *jet[b])
        return total

    def _jet(self, tendency: Expr) -> tuple[Expr, dict]:
        marks, jet = {}, {}
        nodes = [*tendency.atoms(sympy.Derivative), *tendency.atoms(AppliedUndef)]
        for node in sorted(nodes, key=sympy.default_sort_key):
            derived = isinstance(node, sympy.Derivative)
            field, by = (node.expr, node.variables) if derived else (node, ())
            if field in self.fields:
                marks[node] = mark = sympy.Dummy(str(node))
                jet[mark] = field, _sorted(by)
        return tendency.xreplace(marks), jet

    def variance_rate(self, f: Expr, h: Expr, of_f: Slopes, of_h: Slopes) -> Expr:
        """∂_t E[e_f e_h]."""
        total = sympy.S.Zero
        for slopes, other in ((of_f, h), (of_h, f)):
            for (k, index), F in slopes.items():
                total += F * self.expected(k, index, other, ())
        return total

    def metric_rate(self, f: Expr, slopes: Slopes, growth: Expr) -> Tensor:
        """∂_t g, where `growth` is ∂_t V."""
        n, V = len(self.space), self.variance[f, f]
        rate: Tensor = sympy.zeros(n, n)
        for (k, index), F in slopes.items():
            for inner, outer in _parts(index):
                # ∂_t ε_f holds c (σ_k/σ_f) ∂ᵞε_k.
                c = F * self.ratio(k, outer)
                for i in range(n):
                    for j in range(n):
                        x, y = self.space[i], self.space[j]
                        apart = self._log(k, y) - self._log(f, y)
                        one = (c.diff(y) + c * apart) * self.product(f, (x,), k, inner)
                        two = c * self.product(f, (x,), k, _sorted((*inner, y)))
                        rate[i, j] += (one + two) / V
                        rate[j, i] += (one + two) / V
        return rate - growth / V * self.metric[f]

    def metric_fields(self, f: Expr) -> dict[Expr, Expr]:
        """The metric ν⁻¹/2, as diagnostic fields of two dimensions."""
        nu, g = self.aspect[f], self.metric[f]
        determinant = nu[0, 0] * nu[1, 1] - nu[0, 1] ** 2
        return {
            g[0, 0]: nu[1, 1] / (2 * determinant),
            g[0, 1]: -nu[0, 1] / (2 * determinant),
            g[1, 1]: nu[0, 0] / (2 * determinant),
        }

    def aspect_rates(
        self, f: Expr, rate: Tensor, diagnostic: dict[Expr, Expr]
    ) -> dict[Expr, Expr]:
        """∂_t ν = -2 ν ∂_t g ν; the rates of g become diagnostic fields."""
        nu, slope = self.aspect[f], self._tensor("g_t", f)
        found = {}
        for i, j in combinations_with_replacement(range(len(self.space)), 2):
            diagnostic[slope[i, j]] = self.plain(rate[i, j])
            found[nu[i, j]] = sympy.expand((-2 * nu * slope * nu)[i, j])
        return found

    def plain(self, expression: Expr) -> Expr:
        """Expanded; in one dimension with ν in the place of g."""
        if len(self.space) == 1:
            put = {
                self.metric[f][0, 0]: 1 / (2 * self.aspect[f][0, 0])
                for f in self.fields
            }
            expression = expression.subs(put)
        return sympy.expand(expression.doit())

    def expected(self, f: Expr, a: Index, h: Expr, b: Index) -> Expr:
        """E[∂ᵅe_f ∂ᵝe_h]."""
        total = sympy.S.Zero
        for inner_a, outer_a in _parts(a):
            for inner_b, outer_b in _parts(b):
                S = self.product(f, inner_a, h, inner_b)
                total += self.ratio(f, outer_a) * self.ratio(h, outer_b) * S
        return sympy.expand(total)

    def _log(self, f: Expr, x: sympy.Symbol) -> Expr:
        """∂ log σ."""
        V = self.variance[f, f]
        return V.diff(x) / (2 * V)

    def _ratio(self, f: Expr, index: Index) -> Expr:
        """∂ᵅσ / σ."""
        if not index:
            return sympy.S.One
        *rest, x = index
        before = self.ratio(f, tuple(rest))
        return sympy.expand(before.diff(x) + before * self._log(f, x))

    def _product(self, f: Expr, a: Index, h: Expr, b: Index) -> Expr:
        """σ_f σ_h E[∂ᵅε_f ∂ᵝε_h]."""
        if a:
            x, *rest = a
            rest = tuple(rest)
            whole = self.product(f, rest, h, b)
            scaled = whole.diff(x) - whole * (self._log(f, x) + self._log(h, x))
            return sympy.expand(scaled - self.product(f, rest, h, _sorted((*b, x))))
        V = self.variance[f, h]
        if f == h:
            return sympy.expand(V * self._alone(f, b))
        if not b:
            return V
        if self.fields.index(f) > self.fields.index(h):
            return self.product(h, b, f, ())
        return self._left_open(f, h, b)

    def _alone(self, f: Expr, index: Index) -> Expr:
        """E[ε ∂ᵞε]."""
        n = len(index)
        if n == 0:
            return sympy.S.One
        if n == 2:
            i, j = map(self.space.index, index)
            return -self.metric[f][i, j]
        if n % 2 == 0:
            return self._left_open(f, f, index)
        # By parts from left to right it is minus itself, and what lower orders give.
        V, total = self.variance[f, f], sympy.S.Zero
        for k in range(n):
            x, ahead, behind = index[k], index[k + 1 :], index[:k]
            inner = sympy.expand(self.product(f, ahead, f, behind) / V)
            total += (-1) ** k * inner.diff(x)
        return sympy.expand(total / 2)

    def _left_open(self, f: Expr, h: Expr, index: Index) -> Expr:
        alone, by = f == h, "".join(map(str, index))
        simple = alone and len(self.names) == 1
        if simple and len(self.space) == 1 and len(index) == 4:
            name = "C"
        else:
            own = "" if simple else f"_{f.func.__name__}"
            own += "" if alone else f"_{h.func.__name__}"
            name = f"C{own}_{by}"
        field = self._field(name)
        if simple:
            meaning = f"E[e d_{by} e]"
        else:
            left, right = (f"e[{one.func.__name__}]" for one in (f, h))
            meaning = f"E[{left} d_{by} {right}]"
        meaning += " of errors of variance 1" if alone else _SCALED
        self.open[name] = Open(field, (f, h), index, meaning)
        return field

    def theory(self, name: str) -> Expr | None:
        """What a Gaussian shape of the correlation says, `None` where it says nothing.

        Of a field alone E[∂_ij ε ∂_kl ε] = g_ij g_kl + g_ik g_jl + g_il g_jk, the value
        of a homogeneous Gaussian correlation, is asked to hold at each point. Of two
        fields the errors are asked to be correlated alike in both orders, E[ε_f ∂ε_h] =
        ∂r/2, and their gradients as they are themselves, by the mean of both metrics.
        """
        one = self.open[name]
        (f, h), index = one.fields, one.index
        if f == h:
            return self._gaussian(f, index) if len(index) == 4 else None
        V, r = self.variance[f, h], self.variance[f, h]

        def slope(S: Expr, x: sympy.Symbol) -> Expr:  # σσ ∂(S/σσ)
            return S.diff(x) - S * (self._log(f, x) + self._log(h, x))

        if len(index) == 1:
            return self.plain(slope(r, index[0]) / 2)
        if len(index) == 2:
            x, y = index
            i, j = map(self.space.index, index)
            g = (self.metric[f][i, j] + self.metric[h][i, j]) / 2
            return self.plain(slope(slope(r, x), y) / 2 - V * g)
        return None

    def _gaussian(self, f: Expr, index: Index) -> Expr:
        g, at, V = self.metric[f], self.space.index, self.variance[f, f]
        opened = self.product(f, (), f, index) / V
        total = sympy.S.Zero
        for k in (1, 2, 3):
            pair = index[0], index[k]
            rest = tuple(x for m, x in enumerate(index) if m not in (0, k))
            total += g[at(pair[0]), at(pair[1])] * g[at(rest[0]), at(rest[1])]
            apart = self.product(f, _sorted(pair), f, _sorted(rest)) / V - opened
            total -= sympy.expand(apart) / 3
        return self.plain(total)


def _derivative(field: Expr, index: Index) -> Expr:
    return sympy.Derivative(field, *index) if index else field


def _sorted(index) -> Index:
    return tuple(sorted(index, key=str))


def _parts(index: Index) -> Iterator[tuple[Index, Index]]:
    """All ways to share a product rule's derivatives between two factors."""
    places = range(len(index))
    for n in range(len(index) + 1):
        for chosen in combinations(places, n):
            inner = tuple(index[i] for i in chosen)
            outer = tuple(index[i] for i in places if i not in chosen)
            yield inner, outer
