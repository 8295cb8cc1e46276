"""Floor 1: terms of equations, and the factors of waves, taken apart."""

from typing import Any

import sympy

from tendency.symbolic.meaning import Jacobian
from tendency.symbolic.program import Expression
from tendency.symbolic.system import Expr


def in_fluxes(tendency: Any) -> Any:
    """Jacobians as divergences, so that their products are formed once."""
    return tendency.xreplace({j: j.fluxes for j in tendency.atoms(Jacobian)})


def unevaluated(*factors: Any) -> Expr:
    """As it stands, nothing worked out."""
    return sympy.Mul(*factors, evaluate=False)


def terms_of(tendency: Any) -> Any:
    """The terms of a sum, products of sums multiplied out."""
    expanded: Any = sympy.expand_mul(tendency, deep=False)
    return sympy.Add.make_args(expanded)


def parts_of(factor: Any) -> tuple[Expr, Expr]:
    """The real and the imaginary part of a symbol, I standing only as a factor."""
    if not factor.has(sympy.I):
        return factor, sympy.S.Zero
    mark: Any = sympy.Dummy("i")
    above, under = sympy.fraction(sympy.together(factor))
    above = sympy.expand(above.xreplace({sympy.I: mark}))
    real, imaginary = sympy.S.Zero, sympy.S.Zero
    for term in sympy.Add.make_args(above):
        power = sympy.degree(term, mark) if term.has(mark) else 0
        rest = term / mark**power
        turned = (1, 1, -1, -1)[power % 4] * rest / under
        if power % 2:
            imaginary += turned
        else:
            real += turned
    return sympy.factor(real), sympy.factor(imaginary)


def signed(factor: Expr, make, alone: Expression) -> Expression:
    """With the sign in front, so that sums become differences."""
    if factor == 1:
        return alone
    if factor.could_extract_minus_sign():
        return ("neg", alone if factor == -1 else make(-factor))
    return make(factor)
