"""Floor 5: what the models of a job train on, and where its forecasts start."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from tendency.errors import InputError
from tendency.jobs.load import Material
from tendency.jobs.models import past_steps, window_times
from tendency.jobs.settings import Job


def training_samples(job: Job, material: Material) -> dict[str, int]:
    """How many training samples each model has.

    Raises:
        InputError: a model has none, as the series is too short for its window.
    """
    segments = np.array(material.part("train").segments)
    counts = {}
    for name, model in job.models.items():
        length = window_times(model)
        counts[name] = int(np.maximum(segments - length + 1, 0).sum())
        if counts[name] == 0:
            raise InputError(
                f"models.{name} trains on windows of {length} times and the longest "
                f"stretch of the training part has {segments.max()}: lengthen "
                "split.train, or shorten the model's lags, history or horizon"
            )
    return counts


@dataclass(frozen=True)
class Starts:
    """The times that forecasts start from, as indices into the series."""

    index: Int[np.ndarray, " start"]
    verified: bool  # whether the data reach to the end of every forecast


def forecast_starts(job: Job, material: Material) -> Starts:
    """Where the forecasts start: as `[forecast]` says, else all through the test part.

    All models share them, so that their scores compare.

    Raises:
        InputError: none is left, a date is not in the data, or it has too little
            history before it.
    """
    series, settings = material.series, job.forecast
    past = max([past_steps(model) for model in job.models.values()], default=0)
    if settings.starts is None:
        first, stop = material.test
        index = series.starts(past, settings.steps, first=first, stop=stop)
        if index.size == 0:
            raise InputError(
                f"the test part has {stop - first} times, in stretches of "
                f"{list(material.part('test').segments)[:5]}, and no forecast of "
                f"{settings.steps} steps with {past} steps of history fits: lengthen "
                "split.test, or lower forecast.steps"
            )
        return Starts(index[:: settings.stride], True)
    calendar = material.layout.clock.calendar
    index = np.array([series.index(date, calendar) for date in settings.starts])
    informed = series.starts(past, 0)
    for date, i in zip(settings.starts, index, strict=True):
        if i not in informed:
            raise InputError(
                f"forecast.starts names {date}, which has fewer than {past} unbroken "
                "steps of history before it: choose a later date, or models with a "
                "shorter history"
            )
    verified = np.isin(index, series.starts(past, settings.steps)).all()
    return Starts(index, bool(verified))
