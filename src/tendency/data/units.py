"""Floor 4: numbers from one unit to another, such as degC to K or cm s-1 to m s-1."""

import numpy as np

from tendency.symbolic.units import registry, unit_of

_NONE = {"", "1", "none", "-", "unitless", "dimensionless", "ids"}


def shown_units(units: str | None) -> str:
    """As they are told: `1` where there are none, in any wording."""
    return "1" if units is None or units.strip().lower() in _NONE else units.strip()


def linear(given: str, wanted: str, name: str) -> tuple[float, float] | None:
    """The factor and the offset from one unit to another.

    `None`: they do not convert, or not by a straight line, as dBZ and mm6 m-3.

    Arguments:
        name: of the variable, to say it.

    Raises:
        InputError: one of them is no unit.
    """
    plain = [shown_units(given), shown_units(wanted)]
    if plain[0] == plain[1]:
        return 1.0, 0.0
    units = [unit_of(u, name) for u in plain]
    try:
        quantity = registry().Quantity(np.array([0.0, 1.0, 2.0]), units[0])
        zero, one, two = quantity.to(units[1]).magnitude
    except Exception:  # pint raises many kinds
        return None
    if not np.isclose(two - one, one - zero):
        return None
    if np.isclose(zero, 0, atol=1e-12) and np.isclose(one, 1, rtol=1e-12):
        return 1.0, 0.0
    return float(one - zero), float(zero)
