"""Floor 1: the Jacobian that keeps energy and enstrophy, by differences.

The mean of three second-order forms on nine points, J⁺⁺, J⁺ˣ and Jˣ⁺ (Arakawa, 1966, J.
Comput. Phys. 1, 119, eq. 45): its sum over a periodic domain is zero, alone and times
either argument. Within walls where both are zero (Dirichlet, mirror images of the other
sign) its sum times either is; where the first is zero and the second has no slope
(Neumann), its sum alone and times the second.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tendency.errors import InputError
from tendency.symbolic.lowering import Place
from tendency.symbolic.program import Expression
from tendency.symbolic.sums import folded, summed
from tendency.symbolic.system import Expr

if TYPE_CHECKING:
    from tendency.symbolic.differences import Stencils

E, N, W, S = (1, 0), (0, 1), (-1, 0), (0, -1)
NE, NW, SW, SE = (1, 1), (-1, 1), (-1, -1), (1, -1)
# 12 Δx Δy J = Σ b (sum of a - sum of a), b at each of the eight neighbours.
WEIGHTS = {
    E: ((S, SE), (N, NE)),
    N: ((E, NE), (W, NW)),
    W: ((N, NW), (S, SW)),
    S: ((W, SW), (E, SE)),
    NE: ((E,), (N,)),
    NW: ((N,), (W,)),
    SW: ((W,), (S,)),
    SE: ((S,), (E,)),
}


def arakawa(lowering: "Stencils", node: Expr, place: Place) -> Expression:
    """The values of a Jacobian at a place.

    Raises:
        InputError: the differences are of another order than 2, or there are too few
            points.
    """
    a, b, x, y = node.args
    if lowering.method.order != 2:
        raise InputError(
            f"{node.func.__name__}({a}, {b}) is Arakawa's, of order 2, and differences "
            f"of order {lowering.method.order} are asked for: take order 2, or write "
            "the products of derivatives"
        )
    i, j = lowering.axis[x], lowering.axis[y]
    if not all({x, y} <= part.free_symbols for part in (a, b)):
        return lowering.value(node.doit(), place)  # one of the products is zero
    at_a, at_b = (_around(lowering, part, i, j, place) for part in (a, b))
    terms = []
    for one, (plus, minus) in WEIGHTS.items():
        less = [("neg", at_a(point)) for point in minus]
        terms.append(("*", at_b(one), summed([*map(at_a, plus), *less])))
    under = folded("*", [12, lowering.steps[i], lowering.steps[j]])
    value = ("/", summed(terms), under)
    return lowering.over_length(lowering.over_length(value, i, place), j, place)


def _around(lowering: "Stencils", part: Expr, i: int, j: int, place: Place):
    wide = place
    for axis in (i, j):
        low, high = place.reach[axis]
        lowering.enough_points(axis, part, (low + 1, high + 1))
        wide = wide.moved(axis, place.offsets[axis], (low + 1, high + 1))
    name, held = lowering.array(part, wide)

    def at(point: tuple[int, int]) -> Expression:
        shifts: Mapping[int, int] = {i: point[0], j: point[1]}
        return lowering.window(name, held, place, shifts)

    return at
