"""Floor 5: a file of forecasts or of the truth, with its axes under our names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cf_xarray  # noqa: F401  (registers the accessor `.cf`)
import numpy as np
import xarray as xr
from jaxtyping import Float

from tendency.data.axes import decoded, time_axis
from tendency.data.clock import DATETIME64, SECONDS, Clock, as_dates, show
from tendency.data.files import open_file
from tendency.errors import InputError
from tendency.scores.comparing import LEAD, MEMBER, START

_STARTS = ("init_time", "init", "forecast_reference_time", "reference_time", "reftime",
           "start", "start_time", "S")  # fmt: skip
_LEADS = ("lead_time", "lead", "step", "leadtime", "forecast_period", "forecast_hour",
          "prediction_timedelta", "L")  # fmt: skip
_MEMBERS = ("member", "members", "ensemble", "ens", "realization", "number", "M")
_UNITS = {
    **{unit: (unit, 1.0) for unit in (*SECONDS, "month", "year")},
    **{"d": ("day", 1.0), "h": ("hour", 1.0), "hr": ("hour", 1.0)},
    **{"min": ("minute", 1.0), "s": ("second", 1.0), "sec": ("second", 1.0)},
    **{"week": ("day", 7.0), "millisecond": ("second", 1e-3)},
    **{"microsecond": ("second", 1e-6), "nanosecond": ("second", 1e-9)},
}


@dataclass(frozen=True, eq=False)
class Forecasts:
    """Forecasts along `init_time`, `lead_time`, perhaps `member`, and space.

    In a file that has times only each is a start, its lead time 0.
    """

    dataset: xr.Dataset  # its numbers still on disk
    clock: Clock  # in the unit of the lead times
    valid: Float[np.ndarray, "start lead"]  # [unit of the clock]
    led: bool  # whether there are lead times
    source: str
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Truth:
    """A record along `time` and space."""

    dataset: xr.Dataset  # its numbers still on disk
    time: str
    source: str


def open_forecasts(path: str, lead_unit: str | None = None) -> Forecasts:
    """Open a file of forecasts.

    Arguments:
        lead_unit: of lead times whose unit the file does not give.

    Raises:
        InputError: it cannot be read, or its axes of time cannot be told.
    """
    dataset = open_file(path)
    lead = _named(dataset, "forecast_period", _LEADS)
    start = _named(dataset, "forecast_reference_time", _STARTS)
    member = _named(dataset, "realization", _MEMBERS)
    if lead is None and start is not None and dataset[start].ndim == 0:
        dataset, lead = _led_by_time(dataset, start)
    if start is None or start not in dataset.variables:
        start = time_axis(dataset)
    for name in (start, lead):
        if name is not None and dataset[name].ndim == 0:
            dataset = dataset.set_coords(name).expand_dims(name)
    dataset = decoded(dataset, start).rename({start: START} if start != START else {})
    if dataset.sizes[START] == 0:
        raise InputError(
            f"{path} holds no forecast (its {start} is empty), at least one was "
            "expected: give another file"
        )
    dataset = dataset.sortby(START)
    inits = as_dates(dataset[START].values)
    _check_once(inits, path, "start")
    calendar = DATETIME64 if inits.dtype.kind == "M" else inits[0].calendar
    if lead is None:
        dataset = dataset.expand_dims({LEAD: [0.0]}, axis=1)
        clock = Clock(1.0, "day", show(inits[0]), calendar)
        valid = clock.number(inits)[:, None]
    else:
        unit, leads = _lead_times(dataset[lead], path, lead_unit)
        (dim,) = dataset[lead].dims
        dataset = dataset.drop_vars([lead, str(dim)], errors="ignore")
        dataset = dataset.rename({dim: LEAD}).assign_coords({LEAD: leads})
        clock = Clock(1.0, unit, show(inits[0]), calendar)
        # In months 0.5 is the middle of the first, which has the number 0.
        steps = np.floor(leads) if unit in ("month", "year") else leads
        valid = clock.number(inits)[:, None] + steps
    if member is None:  # a dimension needs no coordinate
        member = next((str(d) for d in dataset.dims if d in _MEMBERS), None)
    if member is not None and dataset[member].ndim == 1:
        (dim,) = dataset[member].dims
        dataset = dataset.drop_vars([member, str(dim)], errors="ignore")
        dataset = dataset.rename({dim: MEMBER})
    along = [n for n, c in dataset.coords.items() if {START, LEAD} & set(c.dims)]
    dataset = dataset.drop_vars([n for n in along if n not in (START, LEAD)])
    return Forecasts(dataset, clock, valid, lead is not None, path)


def open_truth(path: str) -> Truth:
    """Open a file of what was observed, in the order of time.

    Raises:
        InputError: it cannot be read, has no axis of time, or holds forecasts.
    """
    dataset = open_file(path)
    lead = _named(dataset, "forecast_period", _LEADS)
    if lead is not None and dataset[lead].size > 1:
        raise InputError(
            f"{path}, the truth, has lead times ({lead}), and a record along one axis "
            "of time was expected: give the forecast first and then the truth"
        )
    name = time_axis(dataset)
    dataset = decoded(dataset, name)
    order = np.argsort(as_dates(dataset[name].values), kind="stable")
    if (np.diff(order) != 1).any():
        dataset = dataset.isel({name: order})
    _check_once(as_dates(dataset[name].values), path, "time")
    return Truth(dataset, name, path)


def _check_once(dates: np.ndarray, path: str, what: str) -> None:
    twice = dates[1:] == dates[:-1]
    if twice.any():
        raise InputError(
            f"{path} holds the {what} {show(dates[1:][twice][0])} more than once "
            f"({int(twice.sum())} such), each once was expected: remove the others"
        )


def _named(dataset: xr.Dataset, standard: str, names: Sequence[str]) -> str | None:
    """The coordinate of a standard name, else of one of the names."""
    lines = [str(n) for n, v in dataset.variables.items() if v.ndim <= 1]
    for name in lines:
        if dataset[name].attrs.get("standard_name") == standard:
            return name
    exact = [n for n in lines if n in names]
    return next(iter(exact), None)


def _led_by_time(dataset: xr.Dataset, start: str) -> tuple[xr.Dataset, str]:
    """One forecast along its valid times, its start a scalar."""
    name = time_axis(dataset.drop_vars(start))
    dataset = decoded(dataset, name)
    init = decoded(dataset[[start]].expand_dims(start), start)[start].values
    times = as_dates(dataset[name].values)
    calendar = DATETIME64 if times.dtype.kind == "M" else times[0].calendar
    hours = Clock(1.0, "hour", show(as_dates(init)[0]), calendar).number(times)
    dataset = dataset.drop_vars(name).rename({name: LEAD})
    return dataset.assign_coords({LEAD: (LEAD, hours, {"units": "hours"})}), LEAD


def _lead_times(
    array: xr.DataArray, path: str, asked: str | None
) -> tuple[str, Float[np.ndarray, " lead"]]:
    """The unit of the lead times, and how many of it they are."""
    if array.dtype.kind == "m":
        values, text = array.values / np.timedelta64(1, "s"), "second"
    else:
        values = array.values.astype(np.float64)
        text = str(asked or array.attrs.get("units", "")).strip().lower()
    known = _UNITS.get(text) or _UNITS.get(text.removesuffix("s"))
    if known is None:
        raise InputError(
            f"the lead times of {path} ({array.name}) have the units {text!r}, hours, "
            "days or months were expected: name them with --lead-unit"
        )
    unit, factor = known
    values = values * factor
    if unit == "second":
        for unit in ("day", "hour", "minute", "second"):
            count = values / SECONDS[unit]
            if np.allclose(count, np.rint(count), atol=1e-6):
                break
        values = values / SECONDS[unit]
    return unit, np.round(values, 9)


def paired_names(
    told: xr.Dataset,
    seen: xr.Dataset,
    wanted: Sequence[str],
    sources: Mapping[str, str],
) -> dict[str, str]:
    """The variables to compare: the forecast's names, and the truth's.

    Arguments:
        wanted: names, or `forecast=truth` where they differ; by default all that both
            have, by name, by standard name, or by name in another case.

    Raises:
        InputError: one is missing, or nothing is in both.
    """
    if not wanted:
        found = {n: _like(told, n, seen) for n in _numbers(told)}
        pairs = {name: other for name, other in found.items() if other is not None}
        if not pairs:
            raise InputError(
                f"{sources['told']} and {sources['seen']} have no variable in common "
                f"({_list(told)}; {_list(seen)}): name two with --variables A=B"
            )
        return pairs
    pairs = {}
    for text in wanted:
        name, _, other = text.partition("=")
        name, other = name.strip(), other.strip()
        ours = _like(told, name, told)
        if ours is None:
            raise InputError(
                f"{sources['told']} has no variable {name}: choose from {_list(told)}"
            )
        theirs = _like(told, ours, seen) if not other else _like(seen, other, seen)
        if theirs is None:
            raise InputError(
                f"{sources['seen']} has no variable {other or name}: choose from "
                f"{_list(seen)}, with --variables {name}=NAME where names differ"
            )
        pairs[ours] = theirs
    return pairs


def _numbers(dataset: xr.Dataset) -> list[str]:
    bounds = {str(v.attrs.get("bounds")) for v in dataset.variables.values()}
    return [
        str(n)
        for n, a in dataset.data_vars.items()
        if a.dtype.kind in "fiu" and a.ndim and n not in bounds
    ]


def _like(source: xr.Dataset, name: str, other: xr.Dataset) -> str | None:
    """The variable of `other` that is what `name` is in `source`."""
    known = _numbers(other)
    if name in known:
        return name
    standard = name
    if name in source.data_vars:
        standard = source[name].attrs.get("standard_name", name)
    for same in (
        [n for n in known if other[n].attrs.get("standard_name") == standard],
        [n for n in known if n.lower() == name.lower()],
    ):
        if len(same) == 1:
            return same[0]
    return None


def _list(dataset: xr.Dataset) -> str:
    return ", ".join(_numbers(dataset)) or "none of numbers"
