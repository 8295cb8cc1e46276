"""Floor 1: units such as "m2 s-1", read by pint as the CF conventions write them."""

import difflib
import re
from functools import lru_cache
from typing import Any

from tendency.errors import InputError

Unit = Any  # of pint, which is imported where units are given
_TEXT = re.compile(r"[\w %°/*^().+-]{0,80}", re.ASCII)
_COMMON = [  # to guess from
    *["m", "km", "cm", "mm", "s", "hour", "day", "year", "K", "degC", "kg", "g", "N"],
    *["Pa", "hPa", "J", "W", "rad", "degree", "meter", "metre", "second", "minute"],
    *["seconds", "minutes", "hours", "days", "kelvin", "celsius", "watt", "joule"],
    *["pascal", "degrees_north", "degrees_east", "psu", "percent", "mol"],
]
CLOSE = 1e-9  # of a factor to 1, and of a power to 0


def unit_of(text: str, where: str) -> Unit:
    """What a text such as "m2 s-1", "W m-2" or "days" says.

    Raises:
        InputError: it is not a unit.
    """
    try:
        if not _TEXT.fullmatch(text.replace("°", "")):
            raise ValueError
        return registry().parse_units(text)
    except Exception:  # pint raises many kinds, AssertionError among them
        words = re.findall(r"[A-Za-z_]+", text)
        bad = next((w for w in words if not _is_known(w)), None)
        near = bad and difflib.get_close_matches(bad, _COMMON, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]}?" if near else 'write it like "m2 s-1" or "K"'
        raise InputError(
            f"{where} has the units {text[:40]!r}, "
            + (f"and {bad[:40]} is no known unit: " if bad else "which are no units: ")
            + advice
        ) from None


def _is_known(word: str) -> bool:
    try:
        registry().parse_units(word)
    except Exception:
        return False
    return True


@lru_cache
def registry() -> Any:
    """Of pint, with what CF adds to it."""
    import cf_xarray.units

    return cf_xarray.units.units


def is_offset(unit: Unit) -> bool:
    """Whether zero is a convention: degC, degF."""
    return difference(unit) != unit


def difference(unit: Unit) -> Unit:
    """That of a difference of temperatures."""
    names = registry()
    pairs = {names.Unit(f"deg{x}"): names.Unit(f"delta_deg{x}") for x in "CF"}
    return pairs.get(unit, unit)


def scale_of(a: Unit, b: Unit) -> float | None:
    """How many b one a is; `None` where they do not compare."""
    names = registry()
    ratio = difference(a) / difference(b)
    if any(abs(power) > CLOSE for power in ratio.dimensionality.values()):
        return None
    return float(names.get_root_units(ratio, check_nonmult=False)[0])


def how_far(a: Unit, b: Unit) -> str:
    """What to say of units that differ by their scale, or their zero, only."""
    scale = scale_of(a, b)
    if scale is None:
        return ""
    if abs(scale - 1) < CLOSE:
        return ": their zeros differ, give both in the same units"
    return (
        f": they differ by a factor of {scale:.6g}, and numbers are not converted, so "
        "give both in the same units"
    )


def shown(unit: Unit) -> str:
    """As CF writes it."""
    return f"{unit:cf}"
