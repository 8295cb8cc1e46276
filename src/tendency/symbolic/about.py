"""Floor 1: what a discretised system is, in words."""

from collections.abc import Sequence

from tendency.grid import Grid
from tendency.symbolic.boundary import Boundaries, Condition
from tendency.symbolic.coasts import Coast
from tendency.symbolic.system import System


def about(
    system: System,
    grid: Grid,
    methods: Sequence[tuple[str, str]],
    boundaries: Boundaries,
    coast: Coast | None,
) -> tuple[str, ...]:
    """The lines of the docstring of source: equations, method, boundaries."""
    lines = [system.doc, ""] * bool(system.doc)
    lines += [f"    {equation}" for equation in system.written]
    if len(methods) > 1:
        lines += ["", "By equation,"]
        lines += [*(f"    {fields}: {how}" for fields, how in methods), "on"]
    elif grid.axes:
        (how,) = (how for _, how in methods)
        lines += ["", f"{how[0].upper()}{how[1:]} on"]
    for axis in grid.axes:
        ends = "periodic" if axis.periodic else "bounded"
        stretched = f", spread as {axis.stretch.text}" if axis.stretch else ""
        lines.append(
            f"    {axis.name}: {axis.points} points from {axis.lower!r} to "
            f"{axis.upper!r}, {ends}{stretched}"
        )
    for field, by_axis in boundaries.items():
        for axis, ends in by_axis.items():
            both = (ends, ends) if isinstance(ends, Condition) else ends
            lower, upper = (_condition(field, end) for end in both)
            lines.append(f"    at the ends of {axis}: {lower}; {upper}")
    if coast is not None:
        lines.append(f"    nothing crosses the coasts, {coast.slip}-slip along them")
    return tuple(lines)


def _condition(field: str, end: Condition) -> str:
    if end.slope == 0:
        return f"{field} = {end.equals}"
    if end.value == 0:
        return f"d_n {field} = {end.equals}"
    return f"{end.value!r} {field} + {end.slope!r} d_n {field} = {end.equals}"
