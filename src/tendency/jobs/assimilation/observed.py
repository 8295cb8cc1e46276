"""Floor 5: the observations of an assimilation, read and laid along the model's steps.

`read` gives the values as they are in the file; `Seen` holds them time by time, with
the components of the state that each is of.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from tendency.data.clock import Clock, as_dates, period, show
from tendency.data.files import load, open_file
from tendency.data.layout import Layout
from tendency.data.record import with_dates
from tendency.data.select import choose
from tendency.errors import InputError
from tendency.jobs.assimilation.settings import Assimilation, Source, Times
from tendency.symbolic.units import scale_of, unit_of

_ALIKE = 0.02  # of a step: dates are rounded in files


@dataclass(frozen=True, eq=False)
class Seen:
    """Values along the steps of the model; NaN is missing.

    Either column i is of component `index[i]` of the state, or each value is the sum of
    the components `points`, weighted by `weights`.
    """

    steps: Int[np.ndarray, " time"]
    values: Float[np.ndarray, "time obs"]  # [units of the data]
    variable: Int[np.ndarray, "time obs"]  # which of the layout's
    index: Int[np.ndarray, " obs"] | None = None
    points: Int[np.ndarray, "time obs corner"] | None = None
    weights: Float[np.ndarray, "time obs corner"] | None = None

    def of(self, states: Float[np.ndarray, "time state"]) -> np.ndarray:
        """(time, obs): what these states hold where something is seen."""
        if self.index is not None:
            return states[:, self.index]
        assert self.points is not None
        assert self.weights is not None
        rows = np.arange(len(states))[:, None, None]
        return np.sum(self.weights * states[rows, self.points], -1)

    def where(self, kept: Bool[np.ndarray, "time obs"]) -> Self:
        """The same with NaN elsewhere."""
        return replace(self, values=np.where(kept, self.values, np.nan))


def read(
    source: Source, variables: list[str] | None, key: str
) -> tuple[xr.Dataset, str]:
    """The dataset, in memory, and the name of its time axis.

    Raises:
        InputError: whatever is wrong with the file, the names or the dates.
    """
    try:
        dataset = open_file(source.path)
        dataset, time, _ = with_dates(dataset, source.time, source.start, source.step)
        if variables is not None:
            dataset = choose(dataset, variables, time)
        dataset = load(dataset, source.path)
    except InputError as error:
        told = str(error).replace("data.", f"{key}.")
        raise InputError(f"{key}: {told}") from error
    if source.missing_value is not None:
        wrong = source.missing_value
        dataset = dataset.where(abs(dataset - wrong) > 1e-6 * max(1.0, abs(wrong)))
    return dataset, time


def check_units(dataset: xr.Dataset, layout: Layout, key: str) -> None:
    """Refuse variables in other units than the model's.

    Raises:
        InputError: units that differ; a file without units is taken at its word.
    """
    for v in layout.variables:
        told = str(dataset[v.name].attrs.get("units", "")) if v.name in dataset else ""
        if told in ("", v.units) or "units" not in v.attributes:
            continue
        ours, theirs = unit_of(v.units, "the model"), unit_of(told, f"{key}: {v.name}")
        scale = scale_of(theirs, ours)
        if scale is None or abs(scale - 1) > 1e-9:
            by = "" if scale is None else f", {scale:g} times as large"
            raise InputError(
                f"{key}: {v.name} is in {told} and the model in {v.units}{by}: convert "
                "the file"
            )


def states_in(
    dataset: xr.Dataset, time: str, layout: Layout
) -> Float[np.ndarray, "time state"]:
    """The values as states, NaN for what the file does not hold.

    Raises:
        InputError: another grid than the model's.
    """
    times = dataset.sizes[time]
    full = dataset.rename({time: layout.time}) if time != layout.time else dataset
    for v in layout.variables:
        if v.name not in full:
            space = [d for d in v.dims if d != layout.time]
            nothing = np.full((times, *v.valid.shape), np.nan)
            full = full.assign({v.name: ((layout.time, *space), nothing)})
    return layout.pack(full).astype(float)


def on_grid(
    dataset: xr.Dataset, time: str, layout: Layout, numbers: Int[np.ndarray, " time"]
) -> Seen:
    """Observations on the model's own points.

    Raises:
        InputError: another grid, or two times of one step.
    """
    states = states_in(dataset, time, layout)
    twice = np.flatnonzero(np.diff(numbers) <= 0)
    if twice.size:
        dates = as_dates(dataset[time].values)
        i = int(twice[0])
        raise InputError(
            f"observations: {show(dates[i + 1])} follows {show(dates[i])} in the file "
            f"and falls on step {numbers[i + 1]} of the model, after step "
            f"{numbers[i]}: sort the file by time, and average what falls on one step"
        )
    index = np.flatnonzero(np.isfinite(states).any(0))
    which = np.concatenate(
        [np.full(p.stop - p.start, i) for i, p in enumerate(layout.parts.values())]
    )
    variable = np.broadcast_to(which[index], (len(states), len(index)))
    return Seen(numbers, states[:, index], variable, index)


def window(
    times: np.ndarray, asked: Times, clock: Clock
) -> tuple[Bool[np.ndarray, " time"], float]:
    """Which times are used, and the number of the prior's own.

    Raises:
        InputError: no time lies in the window.
    """
    kept = np.ones(len(times), bool)
    origin = times[0]
    if asked.start is not None:
        origin = period(asked.start, clock.calendar)[0]
        kept &= times >= origin
    if asked.stop is not None:
        kept &= times < period(asked.stop, clock.calendar)[1]
    if not kept.any():
        raise InputError(
            f"time asks for {asked.start or 'the first'} to {asked.stop or 'the last'} "
            f"and the observations run from {show(times[0])} to {show(times[-1])}: "
            "change time.start and time.stop"
        )
    if asked.start is None:
        origin = times[kept][0]
    return kept, float(clock.number(np.array([origin]))[0])


def steps_of(
    times: np.ndarray, origin: float, clock: Clock, key: str = "observations"
) -> Int[np.ndarray, " time"]:
    """After how many steps of the model each date comes.

    Raises:
        InputError: a date between two steps.
    """
    exact = (clock.number(times) - origin) / clock.step
    steps = np.rint(exact)
    off = np.abs(exact - steps)
    if (off > _ALIKE).any():
        i = int(np.argmax(off > _ALIKE))
        raise InputError(
            f"{key}: {show(times[i])} lies {off[i]:.2g} steps off the steps of "
            f"the model, which are {clock.label} long: move the dates to them"
        )
    return steps.astype(np.int64)


def variances(
    asked: Assimilation, layout: Layout, observed: list[str]
) -> Float[np.ndarray, " variable"]:
    """The error variance of each variable of the layout, NaN where none is observed.

    Raises:
        InputError: none or two given for a variable, not positive, other units.
    """
    settings = asked.observations
    for key in ("variance", "std"):
        for name in getattr(settings, key):
            if name not in observed:
                raise InputError(
                    f"observations.{key} names {name}, which is not observed: choose "
                    f"from {', '.join(observed)}"
                )
    found = np.full(len(layout.variables), np.nan)
    for i, v in enumerate(layout.variables):
        if v.name not in observed:
            continue
        given = [k for k in ("variance", "std") if v.name in getattr(settings, k)]
        if len(given) != 1:
            both = "twice, as variance and as std" if given else "missing"
            raise InputError(
                f"the error of the observations of {v.name} is {both}: give "
                f"observations.variance.{v.name} or observations.std.{v.name}"
            )
        (key,) = given
        power = 2 if key == "variance" else 1
        value = _amount(
            getattr(settings, key)[v.name], v.units, power, f"{key}.{v.name}"
        )
        found[i] = value if key == "variance" else value**2
    return found


def _amount(told: float | str, units: str, power: int, key: str) -> float:
    """A number, or one with units that must be those of the variable."""
    place = f"observations.{key}"
    if not isinstance(told, str):
        return float(told)
    head, _, unit = told.strip().partition(" ")
    try:
        value = float(head)
    except ValueError:
        value = np.nan
    if not (np.isfinite(value) and value > 0):
        raise InputError(
            f'{place} is "{told}", a positive number was expected, with or without '
            f'units: write "0.01 {units}"'
        )
    if unit:
        wanted = unit_of(units, "the variable") ** power
        scale = scale_of(unit_of(unit, place), wanted)
        if scale is None:
            raise InputError(
                f"{place} is in {unit} and {'the square of ' * (power == 2)}{units} "
                "was expected: correct the units, or give the other of variance and std"
            )
        value *= scale
    return value
