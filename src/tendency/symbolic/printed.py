"""Floor 1: equations with the numbers that were found, as text and as LaTeX."""

import math
from collections.abc import Mapping
from typing import Any

import sympy
from sympy.core.function import AppliedUndef
from sympy.printing.latex import LatexPrinter

from tendency.symbolic.meaning import Learned
from tendency.symbolic.system import TIME, Expr, System
from tendency.symbolic.unknowns import Combination
from tendency.symbolic.written import Text


def printed(
    system: System,
    values: Mapping[str, Any] | None = None,
    errors: Mapping[str, float] | None = None,
    *,
    latex: bool = False,
) -> list[str]:
    """The equations with their unknown coefficients as numbers, one line for each.

    A combination whose coefficient is zero has lost that term.

    Arguments:
        values: of the unknown scalars and coefficients, `tendency.values`; by default
            the first guesses. Other names are not heeded.
        errors: standard errors, written in units of the last two digits: 0.9340(52).
        latex: for mathematics mode; else as `System.of` reads equations.
    """
    known = dict(system.parameters)
    given, doubt = dict(values or {}), dict(errors or {})
    shown = {}
    for symbol in system.coefficients:
        value = float(given.get(symbol.name, known[symbol]))
        shown[symbol] = number(value, doubt.get(symbol.name, math.nan), latex=latex)
    out = {
        s: sympy.S.Zero
        for s in system.coefficients
        if float(given.get(s.name, known[s])) == 0 and _of_combination(s.name, system)
    }
    printer: Any = _Latex(shown) if latex else _Numbers(shown)
    slope = [
        (sympy.Derivative(field, TIME), value)
        for field, value in system.prognostic.items()
    ]
    lines = [
        f"{printer.doprint(left)} = {printer.doprint(right.xreplace(out))}"
        for left, right in [*slope, *system.diagnostic.items()]
    ]
    zero = [f"{printer.doprint(e.xreplace(out))} = 0" for e in system.implicit]
    return lines + zero


def number(value: float, error: float = math.nan, *, latex: bool = False) -> str:
    """`0.9340(52)`: with its standard error in units of the last digits."""
    if math.isfinite(error) and error > 0:
        place = math.floor(math.log10(error)) - 1  # of the second digit of the error
        top = math.floor(math.log10(abs(value))) if value else place
        if -5 < max(top, place) < 6 and place <= 0:
            return f"{value:.{-place}f}({round(error / 10.0**place)})"
        power = max(top, place)
        digits = power - place
        text = f"{value / 10.0**power:.{digits}f}({round(error / 10.0**place)})"
        return text + (rf" \times 10^{{{power}}}" if latex else f"e{power}")
    text = f"{value:.6g}"
    if latex and "e" in text:
        digits, _, power = text.partition("e")
        return rf"{digits} \times 10^{{{int(power)}}}"
    return text


def _of_combination(name: str, system: System) -> bool:
    whole = name.rpartition("_")[0]
    return name not in system.unknowns and isinstance(
        system.unknowns.get(whole), Combination
    )


class _Numbers(Text):
    """Numbers in the places of symbols."""

    def __init__(self, shown: Mapping[Expr, str]):
        super().__init__()
        self.shown = shown

    def _print_Symbol(self, expr: Any) -> str:  # noqa: N802 (SymPy calls it)
        if expr in self.shown:
            text = self.shown[expr]
            return f"({text})" if text.startswith("-") or "e" in text else text
        return super()._print_Symbol(expr)


class _Latex(LatexPrinter):
    """Fields without their arguments, derivatives by the signs of the grammar."""

    def __init__(self, shown: Mapping[Expr, str]):
        super().__init__()
        self.shown = shown

    def _print_Symbol(self, expr: Any, style: str = "plain") -> str:  # noqa: N802
        if expr in self.shown:
            text = self.shown[expr]
            plain = not text.startswith("-") and "times" not in text
            return text if plain else rf"\left({text}\right)"
        return super()._print_Symbol(expr, style)

    def _print_Function(self, expr: Any, exp: Any = None) -> str:  # noqa: N802
        if isinstance(expr, AppliedUndef):
            name = self._print(sympy.Symbol(expr.func.__name__))
            return name if exp is None else f"{name}^{{{exp}}}"
        if isinstance(expr, Learned):
            name = self._print(sympy.Symbol(expr.func.__name__))
            name = name if exp is None else f"{name}^{{{exp}}}"
            inside = ", ".join(self._print(a) for a in expr.args)
            return rf"{name}\left({inside}\right)"
        return super()._print_Function(expr, exp)

    def _print_Derivative(self, expr: Any) -> str:  # noqa: N802
        inside = self._print(expr.expr)
        if not isinstance(expr.expr, AppliedUndef):
            inside = rf"\left({inside}\right)"
        by = " ".join(
            rf"\partial_{{{self._print(v)}}}" + (f"^{{{n}}}" if n > 1 else "")
            for v, n in expr.variable_count
        )
        return f"{by} {inside}"

    def _print_Mean(self, expr: Any, exp: Any = None) -> str:  # noqa: N802
        text = rf"\overline{{{self._print(expr.args[0])}}}"
        return text if exp is None else f"{text}^{{{exp}}}"

    def _print_Jacobian(self, expr: Any, exp: Any = None) -> str:  # noqa: N802
        a, b = map(self._print, expr.args[:2])
        text = rf"J\left({a}, {b}\right)"
        return text if exp is None else rf"\left({text}\right)^{{{exp}}}"
