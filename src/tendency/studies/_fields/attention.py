"""A section that shows what an attention network reads: a map for each patch asked."""

import numpy as np

from tendency.forecasting import spin_up
from tendency.networks.maps import MapCorrector, MapTransformer
from tendency.report.blocks import Section
from tendency.report.maps import map_frames, plane_frames
from tendency.studies._fields.emulation import Emulated

_ASKED = 3  # patches along each axis


def attention_section(found: Emulated, name: str) -> Section:
    """From the middle start, for patches spread over the map, block by block.

    The mean over the heads, in shares of what an even choice among the patches would
    be.
    """
    cell, record = found.models[name].cell, found.record
    assert isinstance(cell, MapCorrector)
    assert isinstance(cell.network, MapTransformer)
    start = int(found.starts[len(found.starts) // 2])
    history = record.states[start - cell.spin_up_steps : start + 1]
    _, _, x, condition = cell.read(spin_up(cell, history))
    weights = 100 * np.asarray(cell.network.attention(x, cell.frame.land, condition))
    depth, down, across = weights.shape[:3]
    fields, n = record.fields, cell.network.patch
    land = np.asarray(cell.frame.land)[0] == 0
    seen = np.asarray(~_blocks(land, n, down, across).all((1, 3)))
    rows, columns = fields.axes
    labels, maps = [], {f"Block {i + 1}": [] for i in range(depth)}
    for row in _spread(down):
        for column in _spread(across):
            if not seen[row, column]:
                continue
            for i, kept in enumerate(maps.values()):
                fine = np.kron(weights[i, row, column], np.ones((n, n)))
                fine = fine[: len(rows), : len(columns)]
                kept.append(np.where(land, np.nan, fine))
            here = rows[min(row * n + n // 2, len(rows) - 1)]
            there = columns[min(column * n + n // 2, len(columns) - 1)]
            labels.append(f"read by the patch at {here:.4g}, {there:.4g}")
    panels = {title: np.stack(kept) for title, kept in maps.items()}
    given = {
        "quantity": "attention",
        "units": "%",
        "signed": False,
        "caption": f"How much a patch reads of each. {name}, the mean over its heads; "
        "the slider picks the patch that reads.",
    }
    if fields.on_sphere:
        frames = map_frames(panels, rows, columns, labels, **given)
    else:
        aspect = float(np.ptp(columns) / max(np.ptp(rows), 1e-9))
        edges = (f"{columns[0]:g}", "", f"{columns[-1]:g} km")
        frames = plane_frames(
            panels, rows, columns, labels, aspect=aspect, edges=edges, **given
        )
    return Section("What attention reads", "", (frames,))


def _spread(count: int) -> list[int]:
    """Places spread evenly over so many."""
    return sorted({int((i + 0.5) * count / _ASKED) for i in range(_ASKED)})


def _blocks(land: np.ndarray, n: int, down: int, across: int) -> np.ndarray:
    """(down, n, across, n), land beyond the map."""
    around = [
        (0, size * n - points)
        for size, points in zip((down, across), land.shape, strict=True)
    ]
    padded = np.pad(land, around, constant_values=True)
    return padded.reshape(down, n, across, n)
