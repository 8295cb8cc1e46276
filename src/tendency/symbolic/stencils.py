"""Floor 1: the coefficients of finite differences, as exact fractions.

Positions are counted in grid steps. `central` gives derivatives and interpolations,
`biased` the upwind ones, `ghost` the value beyond a boundary that makes a polynomial
through the first points obey the boundary condition.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache

HALF = Fraction(1, 2)
Stencil = Mapping[Fraction, Fraction]  # position [grid steps] -> weight


def weights(positions: Sequence[Fraction], derivative: int) -> list[Fraction]:
    """Of a derivative at 0 of the polynomial through values at `positions`.

    Fornberg (1988, Math. Comput. 51, 699), in rational arithmetic.
    """
    count = len(positions)
    if derivative >= count:
        raise ValueError(f"{count} points give no derivative of order {derivative}")
    table = [[Fraction(0)] * count for _ in range(derivative + 1)]
    table[0][0] = Fraction(1)
    product = Fraction(1)
    for n in range(1, count):
        last, product_before = product, Fraction(1)
        for k in range(n):
            gap = positions[n] - positions[k]
            product_before *= gap
            if k == n - 1:
                for m in range(min(n, derivative), -1, -1):
                    lower = m * table[m - 1][n - 1] if m else Fraction(0)
                    table[m][n] = (
                        last * (lower - positions[n - 1] * table[m][n - 1])
                    ) / product_before
            for m in range(min(n, derivative), -1, -1):
                lower = m * table[m - 1][k] if m else Fraction(0)
                table[m][k] = (positions[n] * table[m][k] - lower) / gap
        product = product_before
    return table[derivative]


@lru_cache
def central(derivative: int, order: int, *, staggered: bool) -> Stencil:
    """Symmetric about 0, on whole positions or, staggered, halfway between them."""
    if staggered:
        reach = (order + derivative - derivative % 2) // 2
        positions = [k + HALF for k in range(-reach, reach)]
    else:
        reach = (order + derivative - 1 + derivative % 2) // 2
        positions = [Fraction(k) for k in range(-reach, reach + 1)]
    found = zip(positions, weights(positions, derivative), strict=True)
    return {position: weight for position, weight in found if weight}


@lru_cache
def biased(order: int) -> Stencil:
    """The first derivative, with one or two points more on the left than on the right.

    For a flow to the right; mirrored and with the other sign, for one to the left.
    """
    left = order // 2 + 1
    positions = [Fraction(k) for k in range(-left, order - left + 1)]
    found = zip(positions, weights(positions, 1), strict=True)
    return {position: weight for position, weight in found if weight}


@lru_cache
def ghost(
    distance: Fraction, first: Fraction, count: int, value: Fraction, slope: Fraction
) -> tuple[Stencil, Fraction]:
    """A value at `distance` beyond a boundary, from `count` values within.

    The boundary is at 0 and the values at `first`, `first + 1`, ...; the polynomial P
    through them that obeys value P(0) - slope P'(0) = c is taken at `-distance`.
    Gives the weights of the values, and that of c.
    """
    inside = [first + k for k in range(count)]
    # Lagrange's basis through the points, and ω = Π (s - sₖ), which vanishes at them:
    # P = Σ uₖ Lₖ + γ ω, with γ from the condition.
    at_boundary = weights(inside, 0)
    slopes = weights(inside, 1) if count > 1 else [Fraction(0)]
    there = weights([s + distance for s in inside], 0)

    def omega(s: Fraction) -> Fraction:
        product = Fraction(1)
        for k in inside:
            product *= s - k
        return product

    omega_slope = Fraction(0)
    for skipped in inside:
        product = Fraction(1)
        for k in inside:
            product *= -k if k != skipped else 1
        omega_slope += product
    condition = value * omega(Fraction(0)) - slope * omega_slope
    if condition == 0:
        raise ValueError("this condition does not determine a polynomial")
    share = omega(-distance) / condition
    found = {
        s: there[k] - share * (value * at_boundary[k] - slope * slopes[k])
        for k, s in enumerate(inside)
    }
    return {s: w for s, w in found.items() if w}, share


@lru_cache
def outside(distance: Fraction, count: int) -> Stencil:
    """Extrapolation to `distance` before the first of `count` values."""
    positions = [Fraction(k) + distance for k in range(count)]
    found = zip(range(count), weights(positions, 0), strict=True)
    return {Fraction(k): weight for k, weight in found if weight}
