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
    digits: int = 4,
    latex: bool = False,
) -> list[str]:
    """One line per component, `dx/dt = -10.0000 x + 10.0000 y`; zeros are left out.

    Args:
        coefficients: in the order of the terms of `library`.
        library: what the terms are.
        names: the variables, the state first, then forcings; x, y, z (or x1, x2, ...)
            by default.
        digits: decimals; a coefficient that would show as zero is written with an
            exponent instead.
        latex: whether to write for mathematics mode.
    """
    values = np.asarray(coefficients)
    names = default_names(values.shape[0], latex) if names is None else tuple(names)
    terms = library.terms(names, latex)
    lines = []
    for name, row in zip(names, values, strict=False):
        left = rf"\frac{{d{name}}}{{dt}}" if latex else f"d{name}/dt"
        kept = [(c, t) for c, t in zip(row, terms, strict=True) if c != 0]
        lines.append(f"{left} = {_sum(kept, digits, latex)}")
    return lines


def default_names(size: int, latex: bool = False) -> tuple[str, ...]:
    """x, y, z for up to three variables, numbered ones for more."""
    if size <= 3:
        return ("x", "y", "z")[:size]
    return tuple(f"x_{{{i}}}" if latex else f"x{i}" for i in range(1, size + 1))


def _sum(kept: list[tuple[float, str]], digits: int, latex: bool) -> str:
    text = ""
    for value, term in kept:
        sign = "-" if value < 0 else "+"
        lead = f" {sign} " if text else sign.replace("+", "")
        text += lead + _product(abs(value), term, digits, latex)
    return text or "0"


def _product(value: float, term: str, digits: int, latex: bool) -> str:
    number = f"{value:.{digits}f}"
    if float(number) == 0:
        number = f"{value:.{digits}e}"
        if latex:
            mantissa, exponent = number.split("e")
            number = rf"{mantissa} \times 10^{{{int(exponent)}}}"
    if term == "1":
        return number
    return number + (r"\," if latex else " ") + term
