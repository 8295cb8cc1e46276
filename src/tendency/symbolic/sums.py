"""Floor 1: sums and products as expressions of a program."""

import math
from collections.abc import Callable
from fractions import Fraction

from tendency.symbolic import stencils
from tendency.symbolic.program import Expression


def summed(terms: list[Expression]) -> Expression:
    """Terms with a sign in front become differences."""
    total, *rest = terms
    for term in rest:
        if isinstance(term, tuple) and term[0] == "neg":
            total = ("-", total, term[1])
        else:
            total = ("+", total, term)
    return total


def folded(kind: str, parts: list[Expression]) -> Expression:
    """One operation from left to right."""
    total, *rest = parts
    for part in rest:
        total = (kind, total, part)
    return total


def weighted(
    weights: stencils.Stencil, at: Callable[[Fraction], Expression]
) -> tuple[Expression, Fraction]:
    """The sum with whole weights, pairs of equal weight taken together, and its factor.

    Σ wₖ fₖ = factor (n₁ (f₊₁ - f₋₁) + n₂ (f₊₂ - f₋₂) + ...)
    """
    under = math.lcm(*(w.denominator for w in weights.values()))
    if under > 10**9:  # not from a table of differences: plain numbers
        return summed([("*", float(w), at(p)) for p, w in weights.items()]), Fraction(1)
    over = math.gcd(*(int(w * under) for w in weights.values()))
    whole = {p: int(w * under) // over for p, w in weights.items()}
    terms = []
    for p in sorted(whole, key=lambda p: (abs(p), -p)):
        if p < 0 and -p in whole and abs(whole[p]) == abs(whole[-p]):
            continue  # stands with its twin
        n, value = whole[p], at(p)
        if p > 0 and abs(whole.get(-p, 0)) == abs(n):
            value = ("+" if whole[-p] == n else "-", value, at(-p))
        if abs(n) != 1:
            value = ("*", abs(n), value)
        terms.append(("neg", value) if n < 0 else value)
    positive = [t for t in terms if not (isinstance(t, tuple) and t[0] == "neg")]
    if not positive:
        return summed([t[1] for t in terms]), Fraction(-over, under)
    first = positive[0]
    terms.remove(first)
    return summed([first, *terms]), Fraction(over, under)


def scaled(total: Expression, factor: Fraction, steps: list[str]) -> Expression:
    """`total` times an exact factor, over the grid steps."""
    scale: Expression = factor.numerator
    if factor.denominator != 1 or steps:
        under = [*([factor.denominator] if factor.denominator != 1 else []), *steps]
        scale = ("/", factor.numerator, folded("*", under))
    return total if scale == 1 else ("*", scale, total)
