"""The forecasts that a network of fields must beat, fitted to the same record.

Persistence, damped persistence of anomalies, and a ridge regression of the leading EOFs
on their last few states, whose lags and ridge are chosen at the end of the training
part.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from tendency.data.prepare import Preparation, lasting_share, prepare
from tendency.statistical.linear_ar import linear_ar
from tendency.statistical.persistence import Persistence, damped_persistence
from tendency.studies._fields.evaluate import (
    Model,
    encoded,
    forecasts,
    rmse_by_lead,
    truth_of,
)
from tendency.studies._fields.fields import Fields
from tendency.studies._fields.split import Split
from tendency.windows import Windows

NAMES = ("Persistence", "Damped persistence", "EOF-ridge")
_LATE = 0.8  # the share of the training part that choices are fitted to


def baselines(
    fields: Fields,
    split: Split,
    steps: int,
    *,
    cycles: Sequence[str] = (),
    modes: int | float = 0.95,
    lags: Sequence[int] = (1, 2, 3),
    ridges: Sequence[float] = (0.003, 0.03, 0.3),
) -> dict[str, Model]:
    """All three, by their names in `NAMES`, for forecasts of `steps` steps.

    Arguments:
        cycles: "day" or "year", taken off before the anomalies are damped.
        modes: EOFs, or the share of the variance that they must hold.
        lags: numbers of past states to choose from.
        ridges: penalties to choose from.

    Raises:
        InputError: the training part is too short for its cycles or its lags.
    """
    whole = prepared(fields, split.train, cycles, None)
    damped = damped_persistence(_windows(fields, whole, split.train, 2), fields.dt)
    return {
        "Persistence": Model(Persistence(fields.dt)),  # pyright: ignore
        "Damped persistence": Model(damped, whole),
        "EOF-ridge": eof_ridge(
            fields, split, steps, cycles=cycles, modes=modes, lags=lags, ridges=ridges
        ),
    }


def eof_ridge(
    fields: Fields,
    split: Split,
    steps: int,
    *,
    cycles: Sequence[str],
    modes: int | float,
    lags: Sequence[int],
    ridges: Sequence[float],
) -> Model:
    """The leading EOFs from their last states; the choice is refitted to all of it."""
    first, stop = split.train
    middle = first + round(_LATE * (stop - first))
    past = max(lags) - 1
    chosen = (lags[0], ridges[0])
    starts = fields.series.starts(past, steps, first=middle - 1, stop=stop)
    early = prepared(fields, (first, middle), cycles, modes)
    late = fields.series.part(middle, stop)
    outside = lasting_share(early, late.states, late.t, late.follows)
    if starts.size and len(lags) * len(ridges) > 1:
        starts = starts[:: max(1, len(starts) // 40)]
        truth = truth_of(fields, starts, steps)

        def error(pair: tuple[int, float]) -> float:
            model = _ridge(fields, early, (first, middle), *pair, outside)
            told = forecasts(model, fields, starts, steps)
            return float(np.mean(rmse_by_lead(told, truth, fields.areas) ** 2))

        chosen = min(itertools.product(lags, ridges), key=error)
    whole = prepared(fields, split.train, cycles, modes)
    return _ridge(fields, whole, split.train, *chosen, outside)


def _ridge(
    fields: Fields,
    preparation: Preparation,
    part: tuple[int, int],
    lags: int,
    ridge: float,
    outside: float,
) -> Model:
    windows = _windows(fields, preparation, part, lags + 1)
    cell = linear_ar(windows, ridge=ridge, dt=fields.dt, increments=True)
    return Model(cell, preparation, outside)


def prepared(
    fields: Fields,
    part: tuple[int, int],
    cycles: Sequence[str],
    modes: int | float | None,
) -> Preparation:
    learn = fields.series.part(*part)
    return prepare(
        learn.states,
        learn.t,
        fields.layout,
        deseasonalise=cycles,
        area_weights=modes is not None,
        eofs=modes,
    )


def _windows(
    fields: Fields, preparation: Preparation, part: tuple[int, int], length: int
) -> Windows:
    states = encoded(preparation, fields)
    segments = fields.series.part(*part).segments
    return Windows.of(states[slice(*part)], length, segments=segments)
