"""Parts that the pages of field studies share: maps by lead time, curves, tables.

Tables and curves of scores are those of `tendency.report.from_scores`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from tendency.report.blocks import Frames, Section
from tendency.report.from_scores import Better, score_chart, score_table
from tendency.report.maps import map_frames, plane_frames
from tendency.scores.records import Score
from tendency.studies._fields.fields import Fields

Maps = Float[np.ndarray, "lead row column"]


def forecast_maps(
    fields: Fields,
    truth: Maps,
    told: Mapping[str, Maps],
    labels: Sequence[str],
    *,
    quantity: str,
    units: str,
    caption: str = "",
    signed: bool | None = None,
    limits: tuple[float, float] | None = None,
) -> Frames:
    """Truth, each forecast and its difference from the truth, a slider for the lead.

    The differences have a scale of their own, each.

    Raises:
        InputError: shapes that contradict each other.
    """
    panels: dict[str, Maps] = {"Truth": truth}
    differences = []
    for name, maps in told.items():
        panels[name] = np.where(np.isfinite(truth), maps, np.nan)
        title = f"{name} - truth"
        panels[title] = maps - truth
        differences.append(title)
    rows, columns = fields.axes
    arguments = {
        "quantity": quantity,
        "units": units,
        "caption": caption,
        "signed": signed,
        "limits": limits,
        "own_scale": differences,
    }
    if fields.on_sphere:
        return map_frames(panels, rows, columns, labels, **arguments)
    aspect = float(np.ptp(columns) / max(np.ptp(rows), 1e-9))
    edges = (f"{columns[0]:g}", "", f"{columns[-1]:g} km")
    return plane_frames(
        panels, rows, columns, labels, aspect=aspect, edges=edges, **arguments
    )


def skill_section(
    title: str,
    text: str,
    scores: Sequence[Score],
    metric: str,
    *,
    case: str | None = None,
    lead_units: str,
    leads: Sequence[float] | None = None,
    baselines: Sequence[str] = (),
    best: Better = "lowest",
    caption: str = "",
) -> Section:
    """A table of models by lead, published numbers beside, and the curves."""
    table = score_table(
        scores,
        metric,
        case=case,
        leads=leads,
        lead_units=lead_units,
        best=best,
        caption=caption,
    )
    chart = score_chart(
        scores, metric, case=case, lead_units=lead_units, baselines=baselines
    )
    return Section(title, text, (table, chart))


def where_from(fields: Fields, how: str) -> str:
    """What the numbers are of; of a simulation, how to get data of one's own.

    Arguments:
        how: what file the study reads and where it is had, a sentence.
    """
    times = fields.times
    rows, columns = fields.shape[1:]
    span = (
        f"{len(times):,} times, every {fields.layout.clock.label}, {rows} x {columns}"
    )
    if fields.simulated:
        return f"No file was given, so this is {fields.source} ({span} points). {how}"
    return f"The data are `{fields.source}`, {span} points."
