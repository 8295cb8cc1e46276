"""Points of the sea with what lies around them, as series that networks learn from."""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from tendency.errors import InputError
from tendency.studies._fields.fields import Fields
from tendency.studies.sea_level.setting import STEPS, Size, anomalies
from tendency.windows import Windows

_SPACING = 40.0 / 111.2  # degrees between the point and its near neighbours
_AROUND = [
    (i, j) for i, j in itertools.product((-1, 0, 1), repeat=2) if (i, j) != (0, 0)
]
PARTS = (1, len(_AROUND), len(_AROUND))  # the point, near and far neighbours


class Points(NamedTuple):
    """The sea level of neighbourhoods: the point first, then its near and far ring."""

    series: Float[np.ndarray, "centre time number"]  # anomalies [m]
    places: Int[np.ndarray, "centre 2"]  # row and column of each
    split: int  # the first day that is held out

    def windows(self, length: int, stride: int) -> Windows:
        """Windows of the days before the split, all neighbourhoods as one series."""
        learn = self.series[:, : self.split]
        joined = learn.reshape(-1, learn.shape[-1])
        segments = [learn.shape[1]] * len(learn)
        return Windows.of(joined, length, stride=stride, segments=segments)

    def starts(self, history: int) -> np.ndarray:
        """The held-out days with `history` before and `STEPS` after them."""
        first = max(self.split, history)
        return np.arange(first, self.series.shape[1] - STEPS)


def points_of(fields: Fields, split: int, size: Size, seed: int) -> Points:
    """Neighbourhoods drawn at random where all of them is sea at all times.

    Raises:
        InputError: there is no such place.
    """
    level = anomalies(fields, split)
    step = float(np.abs(np.diff(fields.axes[0])).mean())
    reach = max(1, round(_SPACING / step)) if fields.on_sphere else 2
    known = np.asarray(np.isfinite(level).all(0))
    offsets = [(0, 0)]
    offsets += [(k * reach * i, k * reach * j) for k in (1, 2) for i, j in _AROUND]
    edge = 2 * reach
    inner = np.zeros_like(known)
    inner[edge:-edge, edge:-edge] = True
    for i, j in offsets:
        inner &= np.roll(known, (-i, -j), (0, 1))
    choices = np.argwhere(inner)
    if not len(choices):
        raise InputError(
            f"no point of {fields.source} has sea {edge} points around at all times: "
            "give a larger part of the sea, without gaps"
        )
    rng = np.random.default_rng(seed)
    count = min(size.centres, len(choices))
    places = choices[rng.choice(len(choices), count, replace=False)]
    series = np.stack(
        [
            np.stack([level[:, r + i, c + j] for i, j in offsets], axis=1)
            for r, c in places
        ]
    )
    return Points(series.astype(np.float32), places, split)
