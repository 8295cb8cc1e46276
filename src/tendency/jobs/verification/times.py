"""Floor 5: when forecasts are valid, and where in the truth those times are."""

import re
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from tendency.data.clock import (
    DATETIME64,
    SECONDS,
    Clock,
    as_dates,
    parse_step,
    show,
)
from tendency.errors import InputError
from tendency.jobs.verification.opened import Forecasts, Truth


def indices(
    told: Forecasts, truth: Truth, offset: str | None = None
) -> Int[np.ndarray, "start lead"]:
    """The index of the valid time of each forecast in the truth, -1 where it has none.

    Arguments:
        offset: added to the times of the truth, such as `12 hours`.

    Raises:
        InputError: the calendars differ, or no time is in both.
    """
    times = as_dates(truth.dataset[truth.time].values)
    calendar = DATETIME64 if times.dtype.kind == "M" else times[0].calendar
    if calendar != told.clock.calendar:
        raise InputError(
            f"{told.source} has the calendar {told.clock.calendar} and {truth.source} "
            f"{calendar}, the same was expected: convert one of them"
        )
    known = told.clock.number(times)
    if offset is not None:
        known = known + _number(offset, told.clock)
    step = float(np.median(np.diff(known))) if len(known) > 1 else 1.0
    place = np.clip(np.searchsorted(known, told.valid), 1, max(len(known) - 1, 1))
    before = np.minimum(place - 1, len(known) - 1)
    after = np.minimum(place, len(known) - 1)
    distance = [np.abs(told.valid - known[i]) for i in (before, after)]
    nearest = np.where(distance[0] <= distance[1], before, after)
    near = np.minimum(*distance)
    found = np.where(near <= 0.01 * step, nearest, -1)
    if (found < 0).all():
        raise InputError(_nothing(told, truth, known, float(near.min())))
    return found


def dates(told: Forecasts) -> Any:
    """The dates (start, lead) at which the forecasts are valid."""
    return as_dates(told.clock.date(told.valid.ravel())).reshape(told.valid.shape)


def _number(text: str, clock: Clock) -> float:
    """A length of time such as `-12 hours`, in the unit of a clock."""
    sign = -1.0 if text.strip().startswith("-") else 1.0
    length, unit = parse_step(re.sub(r"^\s*[-+]", "", text))
    if unit == clock.unit:
        return sign * length
    if unit not in SECONDS or clock.unit not in SECONDS:
        raise InputError(
            f"--truth-offset is {text!r} and the lead times are in {clock.unit}s: give "
            "it in those"
        )
    return sign * length * SECONDS[unit] / SECONDS[clock.unit]


def _nothing(
    told: Forecasts, truth: Truth, known: Float[np.ndarray, " time"], near: float
) -> str:
    def span(numbers: np.ndarray) -> str:
        ends = told.clock.date(np.array([numbers.min(), numbers.max()]))
        return f"{show(ends[0])} to {show(ends[1])}"

    text = (
        f"{told.source} is valid from {span(told.valid)} and {truth.source} runs from "
        f"{span(known)}, and they have no time in common"
    )
    if told.valid.max() < known.min() or told.valid.min() > known.max():
        return f"{text}: give a truth of those dates"
    return (
        f"{text}, the nearest being {near:g} {told.clock.unit}s apart: where a time of "
        "the truth stands for the mean of what follows or precedes it, give "
        f'--truth-offset "{near:g} {told.clock.unit}s"'
    )
