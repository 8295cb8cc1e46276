"""Floor 1: stretched axes, their points spread by a function of s.

s goes from 0 at the lower end to 1 at the upper one. Derivatives are taken in even
steps of s and divided by the length of the cells over the mean one: d_x f =
(L ds/dx) d_s f / L, L being the length of the axis. A second derivative is that of a
flux, so that sums weighted by the lengths of the cells are kept.
"""

from dataclasses import dataclass

import numpy as np
import sympy
from jaxtyping import Float

from tendency.errors import InputError
from tendency.grid import AbstractStretch
from tendency.symbolic.evaluation import evaluate
from tendency.symbolic.grammar import Names, parse_expression
from tendency.symbolic.system import Expr

Points = Float[np.ndarray, "*points"]
S = sympy.Symbol("s", real=True)
_KINKED = (sympy.Abs, sympy.sign, sympy.Max, sympy.Min)


@dataclass(frozen=True)
class Stretch(AbstractStretch):
    """One that is an expression of s, as `stretch` reads it."""

    text: str
    position: Expr  # of SymPy: the share, of `S`
    length: Expr  # its derivative

    def share(self, s: Points) -> Points:
        return _values(self.position, s)

    def slope(self, s: Points) -> Points:
        return _values(self.length, s)


def stretch(text: str, where: str = "the stretch") -> Stretch:
    """Points of an axis where an expression of `s` has them, scaled to its ends.

    `stretch("tanh(2*(2*s - 1))")` makes cells short at both ends, `stretch("exp(3*s)")`
    at the lower one. On a periodic axis it is s plus a function of period 1, as in
    `stretch("s + sin(2*pi*s)/10")`.

    Raises:
        InputError: it cannot be read, holds another name than s, has a kink, or is not
            finite, or the same, at s = 0 and 1.
    """
    found: Expr = parse_expression(text, Names({"s": S}, ()), where)
    kinks = [kind.__name__.lower() for kind in _KINKED if found.has(kind)]
    if kinks:
        raise InputError(
            f"{where}, {text}, holds {kinks[0]}, which has a kink: a smooth function "
            "of s was expected"
        )
    values = _values(found, np.linspace(0.0, 1.0, 65))
    first, last = values[0], values[-1]
    if not abs(last - first) > 1e-12 * np.nanmax(np.abs(values), initial=0.0):
        raise InputError(
            f"{where}, {text}, is {first:g} at s = 0 and {last:g} at s = 1: a function "
            "that rises from one finite number to another was expected"
        )
    start, end = found.subs(S, 0), found.subs(S, 1)
    position = (found - start) / (end - start)
    return Stretch(text, position, sympy.diff(position, S))


def _values(node: Expr, s: Points) -> Points:
    with np.errstate(all="ignore"):
        values = np.asarray(evaluate(node, {S: s}), float)
    return np.array(np.broadcast_to(values, np.shape(s)))
