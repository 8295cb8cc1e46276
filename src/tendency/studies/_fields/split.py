"""What is learned from and what is held out, by date, and where forecasts start."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from tendency.data.clock import period
from tendency.errors import InputError
from tendency.studies._fields.fields import Fields


@dataclass(frozen=True)
class Split:
    """Ranges of times: the first index, and the one after the last."""

    train: tuple[int, int]
    test: tuple[int, int]


def split_at(fields: Fields, where: str | float) -> Split:
    """Learn from what lies before, hold out what comes after.

    Arguments:
        where: the date of the first time that is held out, or the share of the times
            that is learned from.

    Raises:
        InputError: nothing would be left on one side.
    """
    count = len(fields.times)
    if isinstance(where, str):
        start, _ = period(where, fields.layout.clock.calendar)
        middle = int(np.searchsorted(fields.times, start))
    else:
        middle = round(where * count)
    if not 1 < middle < count - 1:
        raise InputError(
            f"{fields.source} has {count} times and a split at {where} leaves {middle} "
            f"to learn from and {count - middle} held out, at least 2 of each were "
            "expected: give a longer record, or split it elsewhere"
        )
    return Split((0, middle), (middle, count))


def held_out_starts(
    fields: Fields, split: Split, steps: int, *, history: int = 0, stride: int = 1
) -> Int[np.ndarray, " start"]:
    """Every `stride`-th start whose forecast of `steps` steps lies in the test part.

    Its `history` may reach back into the training part.

    Raises:
        InputError: there is none, as the test part is too short.
    """
    first, stop = split.test
    found = fields.series.starts(history, steps, first=first, stop=stop)
    if found.size == 0:
        raise InputError(
            f"{stop - first} times of {fields.source} are held out and a forecast of "
            f"{steps} steps after {history} of history needs more: give a longer record"
        )
    return found[::stride]
