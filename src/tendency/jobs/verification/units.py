"""Floor 5: a forecast in the units of the truth."""

import numpy as np

from tendency.errors import InputError
from tendency.symbolic.units import registry, unit_of

_NONE = {"", "1", "none", "-", "unitless", "dimensionless", "ids"}


def shown_units(units: str | None) -> str:
    """As a score gives them: `1` where there are none, in any wording."""
    return "1" if units is None or units.strip().lower() in _NONE else units.strip()


def conversion(
    name: str, ours: str | None, theirs: str | None
) -> tuple[float, float, str]:
    """Factor and offset from the units of a forecast to those of the truth.

    Arguments:
        ours: of the forecast, `None` where its file says nothing.
        theirs: of the truth.

    Returns:
        The two numbers, and what to say of them.

    Raises:
        InputError: the units do not convert.
    """
    plain = [shown_units(ours), shown_units(theirs)]
    if plain == ["1", "1"]:
        return 1.0, 0.0, ""
    if ours is None or theirs is None:
        which = "the forecast" if ours is None else "the truth"
        known = theirs if ours is None else ours
        return 1.0, 0.0, f"{name}: {which} gives no units, {known} was taken"
    if plain[0] == plain[1]:
        return 1.0, 0.0, ""
    units = [unit_of(u, f"{name}") for u in plain]
    try:
        quantity = registry().Quantity(np.array([0.0, 1.0, 2.0]), units[0])
        zero, one, two = quantity.to(units[1]).magnitude
    except Exception:  # pint raises many kinds
        raise InputError(
            f"{name} is in {ours!r} in the forecast and in {theirs!r} in the truth, "
            "units that do not convert: give both in one unit"
        ) from None
    if not np.isclose(two - one, one - zero):
        raise InputError(
            f"{name} is in {ours!r} in the forecast and in {theirs!r} in the truth, "
            "a scale that is not linear: give both in one unit"
        )
    if np.isclose(zero, 0, atol=1e-12) and np.isclose(one, 1, rtol=1e-12):
        return 1.0, 0.0, ""
    said = f"{name}: converted from {ours} to {theirs}, the units of the truth"
    return float(one - zero), float(zero), said
