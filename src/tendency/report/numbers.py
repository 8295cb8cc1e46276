"""Floor 5, report: how a number reads in a table, an axis or a sentence."""

import math
import re
from typing import Any

import numpy as np

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MISSING = "–"


def superscript(exponent: int) -> str:
    """`exponent` in raised digits: -6 gives ⁻⁶."""
    return str(exponent).translate(_SUPERSCRIPTS)


def readable(value: Any, digits: int = 3) -> str:
    """`value` for a reader: 3 significant digits, 1.30×10⁻⁵ rather than 1.3e-05.

    Integers are given in full, as is the integer part of any number below 100,000;
    `None` and NaN are a dash. Anything that is no number becomes its `str`.
    """
    if value is None:
        return MISSING
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{int(value):,}".replace("-", "−")
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    if math.isnan(number):
        return MISSING
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    if number == 0:
        return "0"
    mantissa, exponent = f"{number:.{digits - 1}e}".split("e")
    power = int(exponent)
    if -4 < power < 5:
        text = f"{number:,.{max(0, digits - 1 - power)}f}"
    else:
        text = f"{mantissa}×10{superscript(power)}"
    return text.replace("-", "−")


def duration(seconds: float) -> str:
    """A wall time for a reader: 41 s, 2 min 05 s, 3 h 10 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


_DEGREES = re.compile(r"\bdeg(rees?)?_?C(elsius)?\b|\bcelsius\b", re.IGNORECASE)


def readable_units(units: str) -> str:
    """Units as CF writes them, for a reader: "m s-1" gives m s⁻¹, "1" nothing."""
    if units in ("", "1"):
        return ""
    units = _DEGREES.sub("°C", units)
    return re.sub(
        r"(?<=[A-Za-z])(?:\^|\*\*)?(-?[1-9])(?![\w.])",
        lambda match: superscript(int(match[1])),
        units,
    )


def with_units(label: str, units: str) -> str:
    """`label [units]`, or the label alone for a pure number."""
    return f"{label} [{readable_units(units)}]" if readable_units(units) else label
