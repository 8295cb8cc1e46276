"""Floor 5: expressions of the file read by the grammar, and their values in NumPy.

The tree is walked; nothing is turned into code.
"""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
import sympy
from jaxtyping import Bool, Float
from sympy.core.function import AppliedUndef

from tendency.errors import InputError
from tendency.symbolic.grammar import Names, parse_expression

Expr = Any  # of SymPy
Numbers = Float[np.ndarray, "..."]

_FUNCTIONS: Mapping[type, Callable] = {
    sympy.sin: np.sin,
    sympy.cos: np.cos,
    sympy.tan: np.tan,
    sympy.asin: np.arcsin,
    sympy.acos: np.arccos,
    sympy.atan: np.arctan,
    sympy.sinh: np.sinh,
    sympy.cosh: np.cosh,
    sympy.tanh: np.tanh,
    sympy.exp: np.exp,
    sympy.log: np.log,
    sympy.sign: np.sign,
    sympy.Abs: np.abs,
    sympy.Heaviside: lambda a, *at_zero: np.heaviside(a, 0.5),
}


def expression(text: str, symbols: Mapping[str, Expr], where: str) -> Expr:
    """The expression in SymPy; it may hold `symbols`, and no derivative.

    Raises:
        InputError: another name, or no expression of the grammar.
    """
    return parse_expression(text, Names(symbols, ()), where)


def evaluate(node: Expr, names: Mapping[Expr, Any]) -> Any:
    """The value of an expression, `names` holding those of its symbols and fields.

    Raises:
        InputError: it holds a function or a name that has no value.
    """
    if node in names:
        return names[node]
    if node.is_number and not node.atoms(sympy.Derivative, AppliedUndef):
        return float(node)
    values = [evaluate(a, names) for a in node.args]
    if isinstance(node, sympy.Add):
        return sum(values[1:], values[0])
    if isinstance(node, sympy.Mul):
        return reduce(np.multiply, values)
    if isinstance(node, sympy.Pow):
        base, power = values
        return np.power(np.asarray(base, float), power)
    if isinstance(node, sympy.Max | sympy.Min):
        return reduce(np.maximum if isinstance(node, sympy.Max) else np.minimum, values)
    for kind, function in _FUNCTIONS.items():
        if isinstance(node, kind):
            return function(*values)
    raise InputError(f"{node} has no value: write it by known names and functions")


def on_positions(
    node: Expr,
    names: Mapping[Expr, Any],
    shape: tuple[int, ...],
    where: str,
    sea: Bool[np.ndarray, "..."] | None = None,
) -> Numbers:
    """The values of an expression over a field of this shape; beside the sea, 0.

    Raises:
        InputError: one of them is not finite.
    """
    with np.errstate(all="ignore"):
        values = np.asarray(evaluate(node, names), float)
    return finite(np.array(np.broadcast_to(values, shape)), where, sea)


def finite(
    values: Numbers, where: str, sea: Bool[np.ndarray, "..."] | None = None
) -> Numbers:
    """The values, if all are finite; where there is no sea, 0 whatever they are.

    Raises:
        InputError: one is not.
    """
    if sea is not None:
        values = np.where(sea, values, 0.0)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        place = ", ".join(map(str, bad[0]))
        raise InputError(
            f"{where} is not finite at {len(bad)} of {values.size} points, the first "
            f"of index ({place}): give values that are finite everywhere"
        )
    return values
