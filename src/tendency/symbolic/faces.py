"""Floor 1: what a field is on the two sides of a face, for conservative fluxes.

Cell averages v are reconstructed from the side that is looked from: `minmod` by a slope
that vanishes at extrema (van Leer, 1979, J. Comput. Phys. 32, 101; second order, total
variation diminishing), `weno5` by three parabolas weighted by their smoothness (Jiang &
Shu, 1996, J. Comput. Phys. 126, 202; fifth order). The ε of its weights is taken
relative to the squares of the values, so that units do not matter.
"""

from collections.abc import Callable, Mapping, Sequence

import sympy

from tendency.symbolic.system import Expr

_HALF = sympy.Rational(1, 2)


def minmod(v: Sequence[Expr]) -> Expr:
    """At the far side of the second of three cells, in the direction of looking."""
    before, here, after = v
    left, right = here - before, after - here
    smaller = sympy.Min(sympy.Abs(left), sympy.Abs(right))
    return here + (sympy.sign(left) + sympy.sign(right)) / 4 * smaller


def weno5(v: Sequence[Expr]) -> Expr:
    """At the far side of the third of five cells."""
    a, b, c, d, e = v
    parabolas = (
        (2 * a - 7 * b + 11 * c) / 6,
        (-b + 5 * c + 2 * d) / 6,
        (2 * c + 5 * d - e) / 6,
    )
    bend = sympy.Rational(13, 12)
    roughness = (
        bend * (a - 2 * b + c) ** 2 + (a - 4 * b + 3 * c) ** 2 / 4,
        bend * (b - 2 * c + d) ** 2 + (b - d) ** 2 / 4,
        bend * (c - 2 * d + e) ** 2 + (3 * c - 4 * d + e) ** 2 / 4,
    )
    squares = sum(x**2 for x in v) / 5
    small = squares * sympy.Float("1e-6") + sympy.Float("1e-30")
    ideal = (_HALF / 5, _HALF * 6 / 5, _HALF * 3 / 5)
    weights = [
        d * (small / (small + r)) ** 2 for d, r in zip(ideal, roughness, strict=True)
    ]
    total = sum(w * p for w, p in zip(weights, parabolas, strict=True))
    return total / sum(weights)


RECONSTRUCTIONS: Mapping[str, tuple[Callable[[Sequence[Expr]], Expr], int]] = {
    "minmod": (minmod, 1),  # and the cells that it sees on either side
    "weno5": (weno5, 2),
}
