"""Floor 5: the page of what was found: the equations, the numbers, the maps."""

from collections.abc import Iterator

import numpy as np

from tendency.equations.build import Built
from tendency.equations.identified import Found, networks_of
from tendency.equations.page import map_of
from tendency.report.blocks import Block, Chart, Code, Column, Section, Table
from tendency.report.lines import line_chart
from tendency.report.page import Page
from tendency.report.provenance import Provenance
from tendency.symbolic.printed import printed


def equations_found(found: Found, *, latex: bool = False) -> str:
    """The equations with the numbers that were found, standard errors in brackets."""
    errors = {name: error for name, (_, error) in found.known.items()}
    values = found.cell.tendency.values  # pyright: ignore[reportAttributeAccessIssue]
    lines = printed(found.built.system, values, errors, latex=latex)
    return (" \\\\\n" if latex else "\n").join(lines)


def make_page(found: Found, *, seconds: float, config: str) -> Page:
    """All that was found; `config` is the path of its TOML."""
    asked = found.built.asked
    question = asked.system.about or "What do the data make of these equations?"
    return Page(
        asked.system.name,
        question,
        (_equations(found), _numbers(found), *_maps(found)),
        Provenance.here(
            seed=None, wall_seconds=seconds, command=f"tendency identify {config}"
        ),
        kicker="tendency identified equations",
    )


def _equations(found: Found) -> Section:
    times = found.seen.times
    text = (
        f"Found from {len(times)} times, t = {times[0]:g} to {times[-1]:g}, of "
        f"{', '.join(found.seen.fields)}; {100 * _missing(found):.2g} % of the values "
        "are missing. Standard errors are in units of the last two digits."
    )
    return Section(
        "The equations",
        text,
        (
            Code("\n".join(found.built.system.written), "", "As they were given:"),
            Code(equations_found(found), "", "With what was found:"),
            Code(equations_found(found, latex=True), "latex", "In LaTeX:"),
        ),
    )


def _numbers(found: Found) -> Section:
    first = found.built.generated.values
    rows = tuple(
        (name, float(first[name]), value, error)
        for name, (value, error) in found.known.items()
        if name in first
    )
    blocks: list[Block] = []
    if rows:
        columns = tuple(map(Column, ("", "first guess", "found", "standard error")))
        blocks.append(Table(columns, rows, "The coefficients.", 4))
    left = tuple((name, size) for name, size in found.noise.items())
    if left:
        heads = Column("field"), Column("left over of its tendency")
        blocks.append(Table(heads, left, "What is not explained, in root mean square."))
    told = "By least squares on tendencies."
    if found.misfit is not None:
        before, after = found.misfit
        told = (
            f"Through roll-outs the misfit went from {before:.3g} to {after:.3g} of "
            "the standard deviation of each field."
        )
    learned = networks_of(found.built)
    if learned:
        told += (
            f" The learned {', '.join(learned)} stand in `model.safetensors`, with "
            "everything else."
        )
    return Section("The numbers", told, tuple(blocks))


def _maps(found: Found) -> Iterator[Section]:
    if not found.maps:
        return
    blocks: list[Block] = []
    for name, (values, error) in found.maps.items():
        shown = {f"{name}, found": values, f"{name}, standard error": error}
        for title, field in shown.items():
            blocks.append(_picture(found.built, title, field))
    yield Section("The maps", "What is the same at all times.", tuple(blocks))


def _picture(built: Built, title: str, field: np.ndarray) -> Block:
    """A line or a map; of a field of fewer axes than the grid the line or a table."""
    full = [axis for axis, n in zip(built.grid.axes, field.shape, strict=True) if n > 1]
    if len(full) >= 2:
        whole = np.broadcast_to(field, built.grid.shape)
        return map_of(built, title, whole[None], ["all times"])
    values = np.ravel(field)
    if not full:
        return f"{title}: {float(values[0]):.4g}."
    spec = line_chart(
        {title: (full[0].positions(), values)}, across=full[0].name, up=title
    )
    return Chart(spec, f"{title}.", f"{title} along {full[0].name}.")


def _missing(found: Found) -> float:
    gone = [np.isnan(v).ravel() for v in found.seen.fields.values()]
    return float(np.concatenate(gone).mean())
