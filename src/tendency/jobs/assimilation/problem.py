"""Floor 5: a model, observations and a method, read, checked and ready to run."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from tendency.assimilation import AbstractMethod
from tendency.data.clock import as_dates, infer_clock
from tendency.errors import InputError
from tendency.jobs.assimilation.methods import ENSEMBLES, Chosen, chosen, window_of
from tendency.jobs.assimilation.model import Equivalents, Modelled, load_modelled
from tendency.jobs.assimilation.observed import (
    Seen,
    check_units,
    on_grid,
    read,
    states_in,
    steps_of,
    variances,
    window,
)
from tendency.jobs.assimilation.places import places_seen
from tendency.jobs.assimilation.points import at_points, packed
from tendency.jobs.assimilation.settings import Assimilation
from tendency.observing import DiagonalCovariance, Observations

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Problem:
    """All that an assimilation is given."""

    asked: Assimilation
    modelled: Modelled
    method: AbstractMethod
    prior: Any  # an ensemble, a Gaussian or a carry, as the method needs
    observations: Observations  # anomalies in the units of the data
    used: Seen
    withheld: Seen
    truth: Float[np.ndarray, "time state"] | None
    t: Float[np.ndarray, " time"]  # of the observations [unit of the model's clock]
    ends: Float[np.ndarray, " step"] | None  # times of all steps, the model's forcing
    variance: Float[np.ndarray, "time obs"]
    columns: Int[np.ndarray, "time packed"] | None  # of `used` in `observations`
    key: PRNGKeyArray

    @property
    def dates(self) -> np.ndarray:
        """Of the observations."""
        return self.modelled.layout.clock.date(self.t)

    @property
    def out_of_sight(self) -> Float[np.ndarray, " state"]:
        """The variance of what the EOFs leave out [square of the units]."""
        scale = np.asarray(self.modelled.preparation.scale.value, float)
        return self.modelled.left_out * scale**2


def load_problem(asked: Assimilation, *, say: Say) -> Problem:
    """Read what the TOML names, and check all that can be checked.

    Raises:
        InputError: the model, the observations or their errors will not do.
    """
    settings = asked.observations
    dataset, time = read(settings, None, "observations")
    times = as_dates(dataset[time].values)
    clock = infer_clock(np.unique(times), time)[0] if _plain(asked) else None
    units = {str(n): str(a.attrs.get("units", "")) for n, a in dataset.items()}
    modelled = load_modelled(asked, clock, units)
    layout = modelled.layout
    observed = settings.variables or [v.name for v in layout.variables]
    for name in observed:
        if name not in layout.parts:
            raise InputError(
                f"observations.variables names {name}, which is not a variable of the "
                f"model: choose from {', '.join(layout.parts)}"
            )
        if name not in dataset:
            raise InputError(
                f"the observations have no variable {name}, only "
                f"{', '.join(map(str, dataset.data_vars))}: name those that are there "
                "in observations.variables"
            )
    check_units(dataset, layout, "observations")
    errors = variances(asked, layout, observed)
    kept, origin = window(times, asked.time, layout.clock)
    dataset = dataset.isel({time: np.flatnonzero(kept)})
    steps = steps_of(times[kept], origin, layout.clock)
    if settings.positions is None:
        seen = on_grid(dataset[observed], time, layout, steps)
    else:
        seen = at_points(
            dataset, time, layout, steps, settings.positions, observed, say
        )
    if not np.isfinite(seen.values).any():
        raise InputError(
            "the observations hold no value in the time asked for, only missing ones: "
            "change time.start and time.stop, or observations.missing_value"
        )
    more = -(len(seen.steps) + asked.time.ahead) % window_of(asked.method)
    if more:
        say(f"{more} steps are added at the end, for whole windows")
    seen = _with_steps_ahead(seen, asked.time.ahead + more)
    return _assembled(asked, modelled, seen, errors, origin)


def _assembled(
    asked: Assimilation,
    modelled: Modelled,
    seen: Seen,
    errors: Float[np.ndarray, " variable"],
    origin: float,
) -> Problem:
    settings, layout = asked.observations, modelled.layout
    t = origin + layout.clock.step * seen.steps
    keys = jax.random.split(jax.random.key(asked.seed), 3)
    hidden = _withheld(seen, settings.withhold, settings.withhold_by, keys[0])
    used, withheld = seen.where(~hidden), seen.where(hidden)
    preparation = modelled.preparation
    scale = np.asarray(preparation.scale.value, float)
    normal = np.asarray(preparation.climatology(jnp.asarray(t)), float)
    variance = errors[seen.variable]
    if settings.representativeness:
        variance = variance + seen.of(
            np.broadcast_to(modelled.left_out * scale**2, normal.shape)
        )
    ends = origin + layout.clock.step * np.arange(seen.steps[-1] + 1)
    dtype = preparation.scale.value.dtype
    mean = modelled.mean
    if modelled.of_job and preparation.patterns is None:
        first = np.asarray(preparation.climatology(jnp.asarray(origin)), float)
        given = np.asarray(mean, float)
        latent = np.where(np.isfinite(given), (given - first) / scale, 0.0)
        mean = jnp.asarray(latent, dtype)
    found = chosen(asked, modelled, mean, keys[1])
    variance = np.broadcast_to(variance, seen.values.shape)
    anomalies = replace(used, values=used.values - seen.of(normal))
    columns = None
    if asked.method.name not in ENSEMBLES:
        anomalies, columns = packed(anomalies)
    return Problem(
        asked,
        found.modelled,
        found.method,
        found.prior,
        _observations(anomalies, columns, variance, found),
        used,
        withheld,
        _truth(asked, modelled, seen, origin),
        t,
        ends if modelled.of_job else None,
        variance,
        columns,
        keys[2],
    )


def _observations(
    seen: Seen,
    columns: Int[np.ndarray, "time packed"] | None,
    variance: Float[np.ndarray, "time obs"],
    found: Chosen,
) -> Observations:
    """Anomalies as the method sees them, of a model in components of its own."""
    preparation = found.modelled.preparation
    scale, patterns = preparation.scale.value, preparation.patterns
    if columns is not None:
        variance = np.take_along_axis(variance, np.maximum(columns, 0), 1)
    elif (variance == variance[:1]).all():
        variance = variance[0]
    arguments = None
    if seen.index is None:
        assert seen.weights is not None
        arguments = (
            jnp.asarray(seen.points, jnp.int32),
            jnp.asarray(seen.weights, scale.dtype),
        )
    positions = None
    if found.localisation is not None:
        positions = places_seen(found.localisation.positions[0], seen)
    operator = Equivalents(
        scale,
        None if patterns is None else patterns.value,
        None if seen.index is None else jnp.asarray(seen.index, jnp.int32),
    )
    return Observations.of(
        jnp.asarray(seen.values, scale.dtype),
        seen.steps,
        operator,
        error=DiagonalCovariance(jnp.asarray(variance, scale.dtype)),
        arguments=arguments,
        positions=positions,
    )


def _plain(asked: Assimilation) -> bool:
    return bool(asked.prior.mean) and bool(asked.prior.std)


def _withheld(seen: Seen, share: float, by: str, key: PRNGKeyArray) -> np.ndarray:
    """Which of the values are kept to score by."""
    there = np.isfinite(seen.values)
    if by == "value":
        return there & np.asarray(jax.random.uniform(key, there.shape) < share)
    times = np.asarray(jax.random.uniform(key, (len(there),)) < share)
    return there & times[:, None]


def _with_steps_ahead(seen: Seen, ahead: int) -> Seen:
    """Steps without a value after the last, which are forecasts."""

    def longer(array: np.ndarray | None, filler: float) -> np.ndarray | None:
        if array is None:
            return None
        more = np.full((ahead, *array.shape[1:]), filler, array.dtype)
        return np.concatenate([array, more])

    steps = np.concatenate([seen.steps, seen.steps[-1] + 1 + np.arange(ahead)])
    return Seen(
        steps,
        longer(seen.values, np.nan),  # pyright: ignore
        longer(seen.variable, 0),  # pyright: ignore
        seen.index,
        longer(seen.points, 0),
        longer(seen.weights, 0.0),
    )


def _truth(
    asked: Assimilation, modelled: Modelled, seen: Seen, origin: float
) -> Float[np.ndarray, "time state"] | None:
    """The truth at the times of the observations, NaN where it is not known."""
    if asked.truth is None:
        return None
    layout = modelled.layout
    names = [v.name for v in layout.variables]
    dataset, time = read(asked.truth, names, "truth")
    check_units(dataset, layout, "truth")
    exact = layout.clock.number(as_dates(dataset[time].values)) - origin
    steps = np.rint(exact / layout.clock.step).astype(np.int64)
    states = states_in(dataset, time, layout)
    found = np.full((len(seen.steps), layout.size), np.nan)
    at = np.searchsorted(seen.steps, steps)
    there = np.flatnonzero(at < len(seen.steps))
    there = there[seen.steps[at[there]] == steps[there]]
    if not there.size:
        raise InputError(
            "the truth has no time in common with the observations: give one that has, "
            "or leave [truth] out"
        )
    found[at[there]] = states[there]
    return found


def climatology_at(problem: Problem) -> Float[np.ndarray, "time state"]:
    """What would be said without a model: the climatology, or the prior's mean."""
    modelled = problem.modelled
    if modelled.of_job:
        normal = modelled.preparation.climatology(jnp.asarray(problem.t))
        return np.asarray(normal, float)
    shape = (len(problem.t), modelled.layout.size)
    return np.broadcast_to(np.asarray(modelled.mean, float), shape)
