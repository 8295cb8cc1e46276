"""Floor 1: the values of expressions in NumPy.

The tree is walked; nothing is turned into code.
"""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
import sympy
from sympy.core.function import AppliedUndef

from tendency.errors import InputError
from tendency.symbolic.system import Expr

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
