"""Floor 4: the states of a record, packed as they are read.

For `LazyWindows`: `Packed(record, layout)` looks like an array (time, *state) of which
only what is asked for comes into memory.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from tendency.data.files import load
from tendency.data.layout import Layout
from tendency.data.record import Record


class Packed:
    """The states of `record` in the order of `layout`: vectors, or `maps`.

    Arguments:
        maps: (channel, row, column) in place of the vector of valid points, NaN where
            there is none.

    Raises:
        InputError: maps are asked for and the variables do not lie on one grid.
    """

    def __init__(self, record: Record, layout: Layout, *, maps: bool = False):
        self._record, self._layout = record, layout
        self._grid = layout.grid() if maps else None
        state = (layout.size,) if self._grid is None else self._grid[0]
        self.shape: tuple[int, ...] = (len(record.times), *state)
        self.dtype = np.result_type(*(v.dtype for v in layout.variables))
        lengths = [_chunk(record, v.name) for v in layout.variables]
        known = [n for n in lengths if n is not None]
        self.chunks = ((max(known),),) if known else None

    @property
    def segments(self) -> tuple[int, ...]:
        """The lengths of the stretches without a gap, for `LazyWindows`."""
        ends = np.append(np.flatnonzero(self._record.gaps) + 1, self.shape[0])
        return tuple(np.diff(np.concatenate([[0], ends])).tolist())

    def __getitem__(self, times: slice) -> Float[np.ndarray, "time *state"]:
        """The states at these times, read now.

        Raises:
            InputError: the file cannot be read.
        """
        part = self._record.dataset.isel({self._record.time: times}).copy()
        states = self._layout.pack(load(part, self._record.source))
        if self._grid is None:
            return states
        shape, points = self._grid
        whole = np.full((len(states), int(np.prod(shape))), np.nan, states.dtype)
        whole[:, points] = states
        return whole.reshape(-1, *shape)


def _chunk(record: Record, name: str) -> int | None:
    """The times of a chunk in the file."""
    array: Any = record.dataset[name]
    axis = array.dims.index(record.time)
    if array.chunks is not None:
        return int(max(array.chunks[axis]))
    chunks = array.encoding.get("chunks") or array.encoding.get("chunksizes")
    return int(chunks[axis]) if chunks and len(chunks) > axis else None
