"""Floor 1: expressions as the grammar writes them, `kappa*d_xx u`, for sentences."""

from typing import Any

import sympy
from sympy.core.function import AppliedUndef
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.str import StrPrinter

from tendency.symbolic.system import Expr


def written(node: Expr, longest: int = 60) -> str:
    """The text of an expression, cut where it is long."""
    text = Text().doprint(node)
    return text if len(text) <= longest else text[: longest - 3] + "..."


class Text(StrPrinter):
    """SymPy's own, but for what has arguments there and none here."""

    def _print_Function(self, expr: Any) -> str:  # noqa: N802 (SymPy calls it)
        if isinstance(expr, AppliedUndef):
            return expr.func.__name__
        name = {"Abs": "abs", "Mean": "mean"}.get(
            expr.func.__name__, expr.func.__name__
        )
        return f"{name}({', '.join(self._print(a) for a in expr.args)})"

    _print_Abs = _print_Function  # noqa: N815

    def parenthesize(self, item: Any, level: int, strict: bool = False) -> str:
        """`(d_x u)**2`, since `d_x u**2` could mean two things."""
        text = super().parenthesize(item, level, strict)
        bare = isinstance(item, sympy.Derivative) and not text.startswith("(")
        return f"({text})" if bare and level >= PRECEDENCE["Pow"] else text

    def _print_Derivative(self, expr: Any) -> str:  # noqa: N802
        operand = self._print(expr.expr)
        by = "".join(str(v) for v in expr.variables)
        bare = isinstance(expr.expr, AppliedUndef)
        return f"d_{by} {operand}" if bare else f"d_{by}({operand})"

    def _print_Jacobian(self, expr: Any) -> str:  # noqa: N802
        a, b, x, y = map(self._print, expr.args)
        return f"J_{x}{y}({a}, {b})"

    def _print_Max(self, expr: Any) -> str:  # noqa: N802
        return f"max({', '.join(self._print(a) for a in expr.args)})"

    def _print_Min(self, expr: Any) -> str:  # noqa: N802
        return f"min({', '.join(self._print(a) for a in expr.args)})"
