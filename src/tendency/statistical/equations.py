"""Floor 1: coefficients of library terms, written as equations that a reader knows."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Float

from tendency.statistical.library import AbstractLibrary


def equations(
    coefficients: Float[Array | np.ndarray, "state term"],
    library: AbstractLibrary,
    names: Sequence[str] | None = None,
    *,
    errors: Float[Array | np.ndarray, "state term"] | None = None,
    digits: int = 4,
    latex: bool = False,
) -> list[str]:
    """One line per component, `dx/dt = -10.0000 x + 10.0000 y`; zeros are left out.

    Args:
        coefficients: in the order of the terms of `library`.
        library: what the terms are.
        names: the variables, the state first, then forcings; x, y, z (or x1, x2, ...)
            by default.
        errors: standard errors of the coefficients, written in units of the last
            decimal, `-10.0031(125) x`; NaN is not known.
        digits: decimals; a coefficient that would show as zero is written with an
            exponent instead.
        latex: whether to write for mathematics mode.
    """
    values = np.asarray(coefficients)
    names = default_names(values.shape[0], latex) if names is None else tuple(names)
    terms = library.terms(names, latex)
    known = np.full(values.shape, np.nan) if errors is None else np.asarray(errors)
    lines = []
    for name, row, error in zip(names, values, known, strict=False):
        left = rf"\frac{{d{name}}}{{dt}}" if latex else f"d{name}/dt"
        kept = [k for k in zip(row, error, terms, strict=True) if k[0] != 0]
        lines.append(f"{left} = {_sum(kept, digits, latex)}")
    return lines


def default_names(size: int, latex: bool = False) -> tuple[str, ...]:
    """x, y, z for up to three variables, numbered ones for more."""
    if size <= 3:
        return ("x", "y", "z")[:size]
    return tuple(f"x_{{{i}}}" if latex else f"x{i}" for i in range(1, size + 1))


def _sum(kept: list[tuple[float, float, str]], digits: int, latex: bool) -> str:
    text = ""
    for value, error, term in kept:
        sign = "-" if value < 0 else "+"
        lead = f" {sign} " if text else sign.replace("+", "")
        text += lead + _product(abs(value), error, term, digits, latex)
    return text or "0"


def _product(value: float, error: float, term: str, digits: int, latex: bool) -> str:
    number, exponent = f"{value:.{digits}f}", ""
    if float(number) == 0:
        number, exponent = f"{value:.{digits}e}".split("e")
        error = error / 10 ** int(exponent)
        exponent = rf" \times 10^{{{int(exponent)}}}" if latex else f"e{exponent}"
    if np.isfinite(error):
        number += f"({round(error * 10**digits)})"
    number += exponent
    if term == "1":
        return number
    return number + (r"\," if latex else " ") + term
