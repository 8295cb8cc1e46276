"""Floor 5: expressions of the file read by the grammar, and their values in NumPy.

The tree is walked; nothing is turned into code.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from tendency.errors import InputError
from tendency.symbolic.evaluation import evaluate
from tendency.symbolic.grammar import Names, parse_expression
from tendency.symbolic.system import Expr

Numbers = Float[np.ndarray, "..."]


def expression(text: str, symbols: Mapping[str, Expr], where: str) -> Expr:
    """The expression in SymPy; it may hold `symbols`, and no derivative.

    Raises:
        InputError: another name, or no expression of the grammar.
    """
    return parse_expression(text, Names(symbols, ()), where)


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
