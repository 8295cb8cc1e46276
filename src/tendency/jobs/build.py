"""Floor 5: from a `[models.NAME]` table to a fitted cell.

`baselines` are the forecasts to beat; `build` fits one model, in closed form here or by
descent in `train`. What is fitted in closed form learns from all of `train`, the
validation part included once it has made its choices.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tendency.cell import AbstractCell
from tendency.data.prepare import Preparation
from tendency.errors import InputError
from tendency.integrate import Integrated, euler, rk4
from tendency.jobs import models, train
from tendency.jobs.choose import choose_linear
from tendency.jobs.load import Material
from tendency.jobs.series import (
    Encoded,
    climatology_of,
    encode,
    outside_damping,
    untouched,
    without_validation,
)
from tendency.jobs.settings import Job
from tendency.statistical.linear_ar import linear_ar
from tendency.statistical.persistence import Persistence, damped_persistence
from tendency.statistical.sparse_regression import sparse_regression
from tendency.statistical.stlsq import STLSQ

Report = Callable[[Mapping[str, float]], None]


@dataclass(frozen=True)
class Built:
    """A fitted cell, what stands between it and the data, and how it came about."""

    cell: AbstractCell
    preparation: Preparation
    outside: float = 0.0  # of what the EOFs leave out, the part that lasts a step
    notes: dict[str, Any] = field(default_factory=dict)  # for the header and the report


def baselines(job: Job, material: Material) -> dict[str, Built]:
    """Climatology, persistence and damped persistence, on the whole state.

    Persistence is of the values, damped persistence of their anomalies.
    """
    as_it_is = untouched(material.layout.size, material.series.states.dtype)
    encoded = encode(job, material, on_grid=True)
    windows = encoded.windows("learn", 2)
    return {
        "climatology": Built(climatology_of(job, material), as_it_is),
        "persistence": Built(Persistence(encoded.dt), as_it_is),  # pyright: ignore
        "damped_persistence": Built(
            damped_persistence(windows, encoded.dt), encoded.preparation
        ),
    }


def build(
    job: Job,
    name: str,
    material: Material,
    *,
    directory: Path,
    report: Report | None = None,
) -> Built:
    """Fit the model of that name.

    Arguments:
        directory: for the checkpoints of models fitted by descent.
        report: called with the figures of each epoch.

    Raises:
        InputError: the model does not fit the data.
        Diverged: the loss stopped being finite.
    """
    model = job.models[name]
    on_grid = isinstance(model, models.Convolutional | models.OnMaps)
    encoded = encode(job, material, on_grid=on_grid, areas=on_grid)
    outside = 0.0
    if encoded.preparation.patterns is not None:
        outside = outside_damping(job, material)
    try:
        if isinstance(model, models.LinearAR):
            cell, notes = _linear(job, name, model, material, encoded)
        else:
            cell, notes = _fitted(model, encoded, job, directory, report)
    except InputError as error:
        raise InputError(f"models.{name}: {error}") from error
    return Built(cell, encoded.preparation, outside, notes)


def _fitted(
    model: models.Analog | models.SparseRegression | train.Trained,
    encoded: Encoded,
    job: Job,
    directory: Path,
    report: Report | None,
) -> tuple[AbstractCell, dict[str, Any]]:
    if isinstance(model, models.Analog):
        return _analogs(model, encoded), {}
    if isinstance(model, models.SparseRegression):
        return _sparse(model, encoded)
    return train.network(
        model, encoded, seed=job.seed, directory=directory, report=report
    )


def _linear(
    job: Job, name: str, model: models.LinearAR, material: Material, encoded: Encoded
) -> tuple[AbstractCell, dict[str, Any]]:
    early = encoded
    if isinstance(model.lags, list) or isinstance(model.ridge, list):
        early = encode(*without_validation(job, material))
    lags, ridge, tried = choose_linear(model, early, job.forecast.steps, name)
    cell = linear_ar(
        encoded.windows("learn", lags + 1),
        ridge=ridge,
        dt=encoded.dt,
        increments=model.increments,
    )
    return cell, {"chosen": {"lags": lags, "ridge": ridge}, "tried": tried}


def _analogs(model: models.Analog, encoded: Encoded) -> AbstractCell:
    from tendency.statistical.analog import analog

    return analog(
        encoded.windows("learn", model.lags + 1),
        k=model.neighbours,
        method=model.method,
        ridge=model.ridge,
        dt=encoded.dt,
    )


def _sparse(
    model: models.SparseRegression, encoded: Encoded
) -> tuple[AbstractCell, dict[str, Any]]:
    from tendency.statistical.library import Polynomial

    states = encoded.samples("learn")
    if encoded.weights is not None and not (np.asarray(encoded.weights) > 0).all():
        raise InputError(
            "sparse regression takes time derivatives and the data have missing "
            'values: set data.missing to "cut"'
        )
    first, stop = encoded.material.learn
    segments = encoded.material.series.part(first, stop).segments
    kept = np.concatenate([np.full(n, n >= 5) for n in segments])
    tendency = sparse_regression(
        states[kept],
        encoded.dt,
        Polynomial(model.degree),
        regression=STLSQ(model.threshold, normalise=True),
        segments=[n for n in segments if n >= 5],
    )
    names = [f"z{i + 1}" for i in range(states.shape[1])]
    notes = {"equations": tendency.equations(names)}
    scheme = {"euler": euler, "rk4": rk4}[model.scheme]
    return Integrated(tendency, encoded.dt, scheme), notes
