"""Floor 1: what the constructs of the grammar mean in SymPy, and what is refused.

SymPy works out products, powers and functions of numbers as they are built. Here it is
given only what is quick: numbers have at most `_BITS` bits, powers of powers multiply
to at most `_LARGEST_POWER`, and `min`, `max`, `abs` and `sign` stay as they stand.
What has no real value (1/0, log(0), sqrt(-2), asin(2)) is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any, cast

import sympy
from sympy import S
from sympy.core.function import ArgumentIndexError

_LARGEST_POWER = 64
_TALLEST = 4  # powers within exponents
_BITS = 2100  # of a numerator or denominator: the range of float64 and its digits
_ROOTS = 8  # of numbers in one product, which SymPy joins factor by factor
_MOST = 8  # arguments of min and max


class Mean(sympy.Function):
    """The mean over the grid, on water where there is land."""

    nargs = 1
    is_real = True

    @classmethod
    def eval(cls, value: Any) -> Any:
        """A number is its own mean."""
        return value if value.is_number else None


class Learned(sympy.Function):
    """An unknown function of some expressions; its subclasses have its name."""

    is_real = True

    def fdiff(self, argindex: int = 1) -> Any:
        """It has no derivative that could be written down."""
        raise ArgumentIndexError(self, argindex)


@cache
def learned(name: str) -> Any:  # a subclass of Learned
    """The function of that name, one and the same for all who ask."""
    return type(name, (Learned,), {"__module__": __name__})


FUNCTIONS: Mapping[str, Callable] = {
    name: getattr(sympy, name)
    for name in [
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "tanh",
        "exp",
        "log",
        "sqrt",
        "sign",
    ]
} | {
    "abs": sympy.Abs,
    "min": sympy.Min,
    "max": sympy.Max,
    "mean": Mean,
}

_DOMAINS: Mapping[str, tuple[float, float]] = {
    "sqrt": (0, float("inf")),
    "log": (0, float("inf")),
    "asin": (-1, 1),
    "acos": (-1, 1),
}


class Refused(Exception):
    """Why the SymPy object cannot be built."""


class Jacobian(sympy.Function):
    """J(a, b) = ∂a/∂x ∂b/∂y - ∂a/∂y ∂b/∂x, not carried out: arguments a, b, x, y."""

    nargs = 4
    is_real = True

    def doit(self, **hints: Any) -> Any:
        """The products of derivatives."""
        a, b, x, y = (arg.doit(**hints) for arg in self.args)
        slope = sympy.Derivative
        both = slope(a, x) * slope(b, y) - slope(a, y) * slope(b, x)
        return both.doit(**hints)

    @property
    def fluxes(self) -> Any:
        """∂(b ∂a/∂x)/∂y - ∂(b ∂a/∂y)/∂x."""
        a, b, x, y = self.args
        by_x, by_y = (sympy.Derivative(a, c, evaluate=False) * b for c in (x, y))
        first = sympy.Derivative(by_x, y, evaluate=False)
        return first - sympy.Derivative(by_y, x, evaluate=False)


def shown(text: object, longest: int = 40) -> str:
    """Text in quotes, cut where it is long."""
    whole = str(text)
    return repr(whole if len(whole) <= longest else whole[: longest - 3] + "...")


def number(text: str) -> sympy.Expr:
    """Exactly what is written: 0.1 is 1/10."""
    digits, _, exponent = text.lower().partition("e")
    if len(digits) > 40 or len(exponent) > 4 or abs(int(exponent or 0)) > 300:
        raise Refused(f"the number {shown(text)} has more than 40 digits or 1e300")
    return sympy.Rational(text)


def total(terms: Sequence[sympy.Expr]) -> sympy.Expr:
    """A sum."""
    return _folded(terms, S.Zero, sympy.Add)


def product(factors: Sequence[sympy.Expr]) -> sympy.Expr:
    """A product."""
    roots = [
        f
        for part in factors
        for f in sympy.Mul.make_args(part)
        if isinstance(f, sympy.Pow) and f.base.is_Rational and f.exp.is_Rational
    ]
    if len(roots) > _ROOTS:
        raise Refused(f"more than {_ROOTS} roots of numbers are multiplied")
    return _folded(factors, S.One, sympy.Mul)


def minus(value: sympy.Expr) -> sympy.Expr:
    """The negative."""
    return -value


def power(base: sympy.Expr, exponent: sympy.Expr) -> sympy.Expr:
    """A power, the reciprocal among them."""
    if isinstance(exponent, sympy.Rational):
        if abs(exponent) > _LARGEST_POWER or exponent.q > _LARGEST_POWER:
            raise Refused(
                f"the power {shown(exponent)} was found, at most {_LARGEST_POWER} (or "
                f"1/{_LARGEST_POWER}) was expected"
            )
        if base.is_Number and base.is_zero and not exponent.is_positive:
            raise Refused("this divides by zero")
        if abs(exponent) != 1:
            _check_growth(base, exponent)
    elif not exponent.free_symbols:
        raise Refused(
            f"the power {shown(exponent)} was found, a whole number or a fraction was "
            "expected: write it as one"
        )
    elif _height(exponent) >= _TALLEST:
        raise Refused(f"more than {_TALLEST} powers stand within exponents")
    elif base.is_Number and not base.is_positive:
        raise Refused(f"{shown(base)} to a power that varies is no real number")
    return _real(base**exponent, f"{shown(base)} to the power {shown(exponent)}")


def called(name: str, arguments: Sequence[sympy.Expr]) -> sympy.Expr:
    """A function's value."""
    several = name in ("min", "max")
    if several and not 2 <= len(arguments) <= _MOST:
        raise Refused(
            f"{name} has {len(arguments)} arguments, 2 to {_MOST} were expected"
        )
    if not several and len(arguments) != 1:
        raise Refused(f"{name} has {len(arguments)} arguments, one was expected")
    if several or name in ("abs", "sign"):
        if not all(a.is_Rational for a in arguments):
            return FUNCTIONS[name](*arguments, evaluate=False)
        return FUNCTIONS[name](*arguments)
    argument = arguments[0]
    value, domain = _value(argument), _DOMAINS.get(name)
    said = f"the {name} of {shown(argument)}"
    outside = (
        value is not None and domain and not (domain[0] <= value <= domain[1])
    ) or (name == "log" and value == 0)
    if outside:
        raise Refused(f"{said} is no real number")
    if name == "sqrt":
        _check_growth(argument, S.Half)
    return _real(FUNCTIONS[name](argument), said)


def derivative(
    operand: sympy.Expr,
    coordinates: Sequence[sympy.Symbol],
    order: Sequence[sympy.Symbol],
) -> sympy.Expr:
    """A derivative that is not carried out; in several coordinates in their order.

    What does not depend on one of the coordinates has the derivative 0.
    """
    if not operand.free_symbols.issuperset(coordinates):
        return S.Zero
    by = list(coordinates)
    while isinstance(operand, sympy.Derivative):
        by += operand.variables
        operand = cast(sympy.Expr, operand.expr)
    return sympy.Derivative(operand, *sorted(by, key=order.index), evaluate=False)


def jacobian(
    a: sympy.Expr, b: sympy.Expr, coordinates: Sequence[sympy.Symbol]
) -> sympy.Expr:
    """That of two expressions, 0 where one depends on neither coordinate."""
    if any(not part.free_symbols & {*coordinates} for part in (a, b)):
        return S.Zero
    return cast(sympy.Expr, Jacobian(a, b, *coordinates))


def _folded(parts: Sequence[sympy.Expr], unit: sympy.Expr, build) -> sympy.Expr:
    """A sum or product, its numbers first, so that none becomes too long."""
    if len(parts) == 1:
        return parts[0]
    numbers, rest = unit, []
    for part in parts:
        if part.is_Rational:
            numbers = build(numbers, part)
            _check_bits(numbers)
        else:
            rest.append(part)
    result = build(numbers, *rest)
    head = result.as_coeff_Add()[0] if build is sympy.Add else result.as_coeff_Mul()[0]
    _check_bits(head)
    return result


def _check_bits(value: sympy.Expr) -> None:
    if (
        isinstance(value, sympy.Rational)
        and max(value.p.bit_length(), value.q.bit_length()) > _BITS
    ):
        raise Refused("a number is beyond 1e600 or has more than 600 digits")


def _check_growth(base: sympy.Expr, exponent: sympy.Expr) -> None:
    """That no number becomes too long as the power of a product is worked out."""
    for factor in sympy.Mul.make_args(base):
        inner, times = factor.as_base_exp()
        if isinstance(inner, sympy.Rational) and times.is_Rational:
            bits = max(inner.p.bit_length(), inner.q.bit_length())
            if bits * abs(times * exponent) > _BITS:
                raise Refused("a number is beyond 1e600 or has more than 600 digits")
        elif times.is_Rational and abs(times * exponent) > _LARGEST_POWER:
            raise Refused(
                f"powers of powers come to {shown(times * exponent)}, at most "
                f"{_LARGEST_POWER} was expected"
            )


def _height(expression: sympy.Expr) -> int:
    """How many powers, or exponentials, stand within exponents."""
    exponents = [cast(Any, p).exp for p in expression.atoms(sympy.Pow, sympy.exp)]
    return 1 + max((_height(e) for e in exponents if e.free_symbols), default=0)


def _value(expression: sympy.Expr) -> float | None:
    """The number that a short expression without names is."""
    if expression.is_Rational:
        return float(expression)
    if len(list(islice(sympy.preorder_traversal(expression), 41))) > 40:
        return None
    if expression.free_symbols:
        return None
    found = complex(expression.evalf(15, maxn=30))
    return found.real if found.imag == 0 else float("nan")


def _real(value: sympy.Expr, said: str) -> sympy.Expr:
    """The value, unless it was worked out to be none."""
    heads = [value, *value.args]
    odd = (S.ImaginaryUnit, S.ComplexInfinity, S.NaN, S.Infinity, S.NegativeInfinity)
    if any(h is o for h in heads for o in odd) or any(
        h.is_Pow and h.base.is_Rational and h.base < 0 for h in heads
    ):
        raise Refused(f"{said} is no real number")
    return value
