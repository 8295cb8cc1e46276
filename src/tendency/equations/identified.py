"""Floor 5: the unknowns of a file, found from the fields that its `[data]` names."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float

from tendency.cell import Constant
from tendency.equations.build import Built, build
from tendency.equations.expressions import Numbers
from tendency.equations.given import record_from_file
from tendency.equations.settings import Equations
from tendency.equations.tables import DataTable, Given
from tendency.equations.values import positions
from tendency.errors import InputError
from tendency.fitting import (
    Fitted,
    Identified,
    LeastSquares,
    RolloutLoss,
    fit,
    identify,
)
from tendency.integrate import Integrated
from tendency.symbolic.unknowns import (
    AbstractFunction,
    AbstractMap,
    AbstractNumbers,
    Field,
)
from tendency.windows import Windows

_MEMORY = 8e9  # of the Jacobian of roll-outs [bytes]
_LOST = 100.0  # times the size of a number: a standard error of one that is not told

State = Mapping[str, Numbers]


class Seen(NamedTuple):
    """What is measured: fields at times that are some steps apart."""

    times: Float[np.ndarray, " time"]  # [time.units]
    fields: State  # time first; NaN is missing
    apart: int  # steps of the cell from one to the next


class Found(NamedTuple):
    """What is found, and how well it is known."""

    built: Built  # with the first guesses
    seen: Seen
    cell: Integrated  # with what was found in place
    known: Mapping[str, tuple[float, float]]  # numbers: value and standard error
    maps: Mapping[str, tuple[Numbers, Numbers]]  # likewise
    noise: Mapping[str, float]  # of tendencies, what is not explained; by field
    misfit: tuple[float, float] | None  # of roll-outs, before and after; of each field


def found(asked: Equations) -> Found:
    """Least squares on tendencies, then through roll-outs if that is asked.

    Raises:
        InputError: nothing is unknown, no data, data that do not fit the grid or the
            steps; unknowns that the data cannot tell, by name.
    """
    data = asked.data
    if data is None or not asked.unknowns:
        missing = "[data], what they are found from," if data is None else "[unknowns]"
        raise InputError(f"the table {missing} is missing: add it")
    built, seen = _read(asked, data)
    cell, known, maps, noise, misfit = built.cell, {}, {}, {}, None
    numbers = [
        one
        for one in built.generated.unknowns.values()
        if isinstance(one, AbstractNumbers)
    ]
    if data.tendencies and not numbers and not data.rollouts:
        raise InputError(
            "only networks are unknown, which tendencies alone do not find: set "
            "data.rollouts"
        )
    if data.tendencies and numbers:
        one = _by_tendencies(built, seen)
        cell = _cell(built, one.model)
        known, noise = one.known, one.noise
        maps = {n: _identified(m, n, one) for n, m in _maps_in(cell).items()}
    if data.rollouts:
        fitted = _by_rollouts(built._replace(cell=cell), seen, data)
        cell, known = fitted.cell, _known(fitted, data)
        maps = {n: _refined(m, n, fitted) for n, m in _maps_in(cell).items()}
        first, *_, last = fitted.history["train_loss"]
        misfit = math.sqrt(first), math.sqrt(last)
    return Found(built, seen, cell, known, maps, noise, misfit)


def _read(asked: Equations, data: DataTable) -> tuple[Built, Seen]:
    """The fields, and the system over their times."""
    if asked.time.dt == "auto":
        raise InputError(
            'time.dt is "auto", and times of data are a whole number of steps apart: '
            "give a number"
        )
    built = build(asked)
    fields, times = {}, None
    for name in built.system.fields:
        given = Given(file=data.file, variable=data.variables.get(name, name))
        places = positions(built.grid, list(asked.axes), built.offsets[name])
        times, fields[name] = record_from_file(given, places, f"data, {name}")
        sea = built.sea(name)
        if sea is not None:
            fields[name] = np.where(sea, fields[name], 0.0)
    assert times is not None
    for name in data.variables:
        if name not in fields:
            raise InputError(
                f"data.variables holds {name}, and the fields are {', '.join(fields)}"
            )
    steps = np.diff(times) / asked.time.step
    apart = round(float(steps[0]))
    if apart < 1 or np.abs(steps - apart).max() > 1e-6 * apart:
        raise InputError(
            f"the times of {data.file} are {np.diff(times).min():g} to "
            f"{np.diff(times).max():g} apart, and a whole number of steps of time.dt = "
            f"{asked.time.step:g}, the same throughout, was expected: choose a time.dt "
            "that divides it"
        )
    span = {"start": float(times[0]), "steps": apart * (len(times) - 1), "every": apart}
    over = asked.time.model_copy(update=span)
    built = build(asked.model_copy(update={"time": over}))
    return built, Seen(times, fields, apart)


def _by_tendencies(built: Built, seen: Seen) -> Identified:
    """From single steps where data have them all, else from centred differences."""
    forcing = built.forcing
    if seen.apart == 1:
        return identify(built.cell, seen.fields, forcing=forcing)
    if len(seen.times) < 3:
        raise InputError(
            f"the data have {len(seen.times)} times, several steps apart, and "
            "differences over three were expected: give more, or set data.tendencies "
            "to false"
        )
    across = seen.times[2:] - seen.times[:-2]
    slopes = {
        name: (v[2:] - v[:-2]) / across.reshape(-1, *(1,) * (v.ndim - 1))
        for name, v in seen.fields.items()
    }
    inner = {name: v[1:-1] for name, v in seen.fields.items()}
    if forcing is not None:
        forcing = {name: v[:: seen.apart][1:-1] for name, v in forcing.items()}
    return identify(built.generated, inner, slopes, forcing=forcing)


def _by_rollouts(built: Built, seen: Seen, data: DataTable) -> Fitted:
    """Levenberg and Marquardt's method, roll-outs one after the other."""
    length, missing = data.rollouts * seen.apart, {}
    every = np.arange(0, len(seen.times) - data.rollouts, data.rollouts)
    if not len(every):
        raise InputError(
            f"data.rollouts is {data.rollouts}, and the data have {len(seen.times)} "
            "times: at least one more than it were expected"
        )
    series, weights, starts = {}, {}, {}
    for name, values in seen.fields.items():
        whole = np.full((seen.apart * (len(values) - 1) + 1, *values.shape[1:]), np.nan)
        whole[:: seen.apart] = values
        series[name], weights[name] = whole, np.isfinite(whole).astype(float)
        missing[name] = int(np.isnan(values[every]).sum())
        starts[name] = _without_gaps(values, name)[every]
    if not data.free_starts and any(missing.values()):
        name = max(missing, key=lambda name: missing[name])
        raise InputError(
            f"{missing[name]} values of {name} are missing where roll-outs start: set "
            "data.free_starts = true, and they are found"
        )
    _require_memory(starts, length, data)
    sizes = {name: float(np.nanstd(v)) or 1.0 for name, v in seen.fields.items()}
    forcing = built.forcing
    windows = Windows.of(
        series, length + 1, weights=weights, forcing=forcing, stride=length
    )
    if len(windows) != len(every):
        raise InputError(
            "nothing is seen during one of the roll-outs: lengthen data.rollouts"
        )
    return fit(
        built.cell,
        windows,
        LeastSquares(max_steps=50, tolerance=1e-6),
        loss=RolloutLoss(
            scale=Constant({name: jnp.asarray(size) for name, size in sizes.items()})
        ),
        key=jax.random.key(0),  # nothing is random
        free_initial_states=jax.tree.map(jnp.asarray, starts)
        if data.free_starts
        else False,
    )


def _require_memory(starts: State, length: int, data: DataTable) -> None:
    """That the Jacobian of roll-outs with free starts is not too large.

    Raises:
        InputError: it is.
    """
    if not data.free_starts:
        return
    count = len(next(iter(starts.values())))
    size = sum(np.size(v) // count for v in starts.values())
    needed = 8.0 * count * (length + 1) * size**2
    if needed > _MEMORY:
        raise InputError(
            f"roll-outs with free starts would need {needed / 1e9:.0f} GB, up to "
            f"{_MEMORY / 1e9:.0f} are taken: give fewer times, a coarser grid, or no "
            "free starts"
        )


def _known(fitted: Fitted, data: DataTable) -> dict[str, tuple[float, float]]:
    """The coefficients with their standard errors."""
    value = lambda cell: ravel_pytree(_coefficients(cell))[0]  # noqa: E731
    names = sorted(_coefficients(fitted.cell))
    if not names:
        return {}
    values = np.asarray(value(fitted.cell))
    errors = fitted.standard_error(value)
    lost = [
        n for n, v, e in zip(names, values, errors, strict=True) if e > _LOST * abs(v)
    ]
    if lost and not data.tendencies:  # which would have told
        raise InputError(
            f"{', '.join(lost)} cannot be told by these data: the standard error is "
            f"more than {_LOST:g} times the value; leave it out, or give states that "
            "vary more"
        )
    both = zip(names, values, errors, strict=True)
    return {name: (float(v), float(e)) for name, v, e in both}


def _coefficients(cell: Integrated) -> dict[str, Any]:
    tendency: Any = cell.tendency
    known = tendency.known.value
    return {name: v for name, v in tendency.values.items() if name not in known}


def _maps_in(cell: Integrated) -> dict[str, AbstractMap]:
    tendency: Any = cell.tendency
    unknowns = tendency.unknowns.items()
    return {name: one for name, one in unknowns if isinstance(one, AbstractMap)}


def _identified(one: AbstractMap, name: str, by: Identified) -> tuple[Numbers, Numbers]:
    """The map on its cells, and its standard error from those of its numbers."""
    own = [i for i, n in enumerate(by.names) if n.startswith(f"{name}[")]
    covariance = by.covariance[np.ix_(own, own)]
    values = np.asarray(one.on_cells)
    if isinstance(one, Field):
        return values, np.sqrt(np.diag(covariance)).reshape(values.shape)
    on_cells = lambda free: eqx.tree_at(lambda m: m.free, one, free).on_cells  # noqa: E731
    slopes = np.asarray(jax.jacfwd(on_cells)(one.free))
    return values, np.sqrt(np.einsum("...p,pq,...q", slopes, covariance, slopes))


def _refined(one: AbstractMap, name: str, by: Fitted) -> tuple[Numbers, Numbers]:
    error = by.standard_error(lambda cell: cell.tendency.unknowns[name].on_cells)
    return np.asarray(one.on_cells), error


def networks_of(built: Built) -> list[str]:
    """The functions that are unknown."""
    unknowns = built.generated.unknowns.items()
    return [name for name, one in unknowns if isinstance(one, AbstractFunction)]


def _cell(built: Built, model: Any) -> Integrated:
    if isinstance(model, Integrated):
        return model
    return Integrated(model, built.cell.dt, built.cell.scheme)


def _without_gaps(values: Numbers, name: str) -> Numbers:
    """Gaps filled from the times around; where nothing is ever seen, by the mean."""
    if np.isnan(values).all():
        raise InputError(f"the data hold no value of {name} that is not missing")
    rows = values.reshape(len(values), -1).copy()
    times, mean = np.arange(len(rows)), float(np.nanmean(values))
    for column in rows.T:
        there = np.isfinite(column)
        if not there.all():
            column[:] = (
                np.interp(times, times[there], column[there]) if there.any() else mean
            )
    return rows.reshape(values.shape)
