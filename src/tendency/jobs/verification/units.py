"""Floor 5: a forecast in the units of the truth."""

from tendency.data.units import linear, shown_units
from tendency.errors import InputError


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
    if shown_units(ours) == shown_units(theirs) == "1":
        return 1.0, 0.0, ""
    if ours is None or theirs is None:
        which = "the forecast" if ours is None else "the truth"
        known = theirs if ours is None else ours
        return 1.0, 0.0, f"{name}: {which} gives no units, {known} was taken"
    found = linear(ours, theirs, name)
    if found is None:
        raise InputError(
            f"{name} is in {ours!r} in the forecast and in {theirs!r} in the truth, "
            "units that do not convert: give both in one unit"
        )
    if found == (1.0, 0.0):
        return *found, ""
    said = f"{name}: converted from {ours} to {theirs}, the units of the truth"
    return *found, said
