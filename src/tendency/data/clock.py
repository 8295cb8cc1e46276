"""Floor 4: the time axis, in any calendar, as numbers that a model can read.

`Clock` turns dates into numbers and back; `infer_clock` finds one, and where the record
is cut, from the dates of a file; `period` reads a date that a person wrote.
"""

import datetime
import re
from dataclasses import asdict, dataclass
from typing import Any, Self

import cftime
import numpy as np

from tendency.errors import InputError

SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
UNITS = (*SECONDS, "month", "year")
DATETIME64 = "proleptic_gregorian"  # the calendar of NumPy's dates
_YEAR = {  # [day]
    "noleap": 365.0,
    "365_day": 365.0,
    "all_leap": 366.0,
    "366_day": 366.0,
    "360_day": 360.0,
    "julian": 365.25,
}
_DATE = re.compile(
    r"(\d{4,5})(?:-(\d{1,2})(?:-(\d{1,2})"
    r"(?:[T ](\d{1,2})(?::(\d{2})(?::(\d{2})(?:\.\d+)?)?)?)?)?)?Z?"
)


@dataclass(frozen=True)
class Clock:
    """A regular axis of time: number 0 is `reference`, a step is `step` [unit].

    Months and years are counted, as their days are unequal: on a monthly axis
    consecutive dates are one `unit` apart. Dates are `datetime64[us]`, or cftime
    objects where the calendar is not the common one.
    """

    step: float  # [unit]
    unit: str  # one of UNITS
    reference: str  # ISO date
    calendar: str = DATETIME64
    month_end: bool = False  # the dates are last days of months

    @property
    def label(self) -> str:
        """The step in words, such as `1 day` or `6 hours`."""
        return f"{self.step:g} {self.unit}{'' if self.step == 1 else 's'}"

    def number(self, times: np.ndarray) -> np.ndarray:
        """Dates as float64 numbers of units since the reference."""
        reference = self._reference
        times = as_dates(times)
        if self.unit in SECONDS:
            return _seconds(times, reference) / SECONDS[self.unit]
        months = _months(times)[0] - _months(np.array([reference]))[0]
        return months / (12.0 if self.unit == "year" else 1.0)

    def date(self, numbers: np.ndarray) -> np.ndarray:
        """The dates of numbers; the inverse of `number` on a regular axis."""
        numbers = np.asarray(numbers, np.float64)
        reference = self._reference
        if self.unit in SECONDS:
            micro = np.rint(numbers * SECONDS[self.unit] * 1e6).astype(np.int64)
            if self.calendar == DATETIME64:
                return reference + micro.astype("timedelta64[us]")
            return cftime.num2date(
                micro,
                f"microseconds since {_iso(reference)}",
                self.calendar,
                only_use_cftime_datetimes=True,
            )
        months = np.rint(numbers * (12 if self.unit == "year" else 1)).astype(np.int64)
        move = np.vectorize(
            lambda n: _moved(reference, int(n), self.month_end), otypes=[object]
        )
        dates = move(months)
        return dates.astype("datetime64[us]") if self.calendar == DATETIME64 else dates

    def cycle(self, name: str) -> float:
        """The length of a `year` or a `day` [unit].

        Raises:
            InputError: a day on an axis of months or years, a year on one of years.
        """
        if name == "year" and self.unit == "month":
            return 12.0
        if self.unit in SECONDS and name in ("year", "day"):
            days = _YEAR.get(self.calendar, 365.2425) if name == "year" else 1.0
            return days * SECONDS["day"] / SECONDS[self.unit]
        raise InputError(
            f"the cycle of the {name} was asked for on an axis whose step is "
            f"{self.label}, a cycle longer than the step was expected: leave the "
            f"{name} out"
        )

    @property
    def _reference(self) -> Any:
        if self.calendar == DATETIME64:
            return np.datetime64(self.reference, "us")
        whole, _, fraction = self.reference.partition(".")
        micro = int(fraction[:6].ljust(6, "0")) if fraction else 0
        start, _ = period(whole, self.calendar)
        return start + datetime.timedelta(microseconds=micro)

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**content)


def infer_clock(times: np.ndarray, name: str = "time") -> tuple[Clock, np.ndarray]:
    """The clock of a record, and its gaps: true at `i` where one lies after time `i`.

    The step is the median difference, in the largest unit that divides it. Differences
    of 0.5 to 1.5 steps are one step (rounded times, composites cut at the year's end);
    a longer one is a gap.

    Raises:
        InputError: fewer than two times; unsorted, duplicate or irregular times; more
            than one calendar.
    """
    times = as_dates(times, name)
    if times.size < 2:
        raise InputError(
            f"the time axis {name} has {times.size} time, at least 2 were expected to "
            "tell the step: give a longer record or a wider subset"
        )
    seconds = _seconds(times, times[0])
    steps = np.diff(seconds)
    if (steps <= 0).any():
        i = int(np.argmax(steps <= 0))
        kind = "is twice" if steps[i] == 0 else f"comes after {show(times[i])}"
        raise InputError(
            f"the time axis {name} is not strictly increasing: {show(times[i + 1])} "
            f"{kind} at index {i + 1} ({int((steps <= 0).sum())} such places); sort "
            "the file by time and remove duplicates"
        )
    months, fraction = _months(times)
    calendar = DATETIME64 if times.dtype.kind == "M" else times[0].calendar
    reference = _iso(times[0])
    if np.median(steps) > 27 * SECONDS["day"] and np.ptp(fraction) < 0.1:
        steps = np.diff(months).astype(float)
        step = float(np.median(steps))
        unit = "year" if step % 12 == 0 else "month"
        clock = Clock(
            step / 12 if unit == "year" else step,
            unit,
            reference,
            calendar,
            month_end=all(_last_day(t) for t in times),
        )
    else:
        step = float(np.median(steps))
        clock = Clock(*_rounded(step), reference, calendar)
    gaps = steps > 1.5 * step
    if (steps < 0.5 * step).any() or gaps.mean() > 0.5:
        raise InputError(
            f"the time axis {name} is irregular, its steps run from "
            f"{steps.min():g} to {steps.max():g} with a median of {step:g} "
            f"[{'s' if clock.unit in SECONDS else 'month'}], and one step was "
            "expected: average or interpolate the record to regular times first"
        )
    return clock, gaps


def as_dates(times: np.ndarray, name: str = "time") -> np.ndarray:
    """Times as `datetime64[us]`, or as cftime objects of one calendar."""
    times = np.asarray(times)
    if times.dtype.kind == "M":
        return times.astype("datetime64[us]")
    calendars = sorted({getattr(t, "calendar", type(t).__name__) for t in times.flat})
    if len(calendars) > 1:
        raise InputError(
            f"the time axis {name} mixes the calendars {', '.join(calendars)}, one was "
            "expected: convert the record to one calendar"
        )
    return times


def period(text: str, calendar: str = DATETIME64) -> tuple[Any, Any]:
    """The first instant of a date as a person writes it, and the first one after it.

    `2005` is the whole year, `2005-03` the month, `2005-03-01` the day, and so on to
    the second.

    Raises:
        InputError: not a date, or not one of this calendar.
    """
    match = _DATE.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError
        parts = [int(p) for p in match.groups() if p is not None]
        filled = parts + [1, 1, 0, 0, 0][len(parts) - 1 :]
        start = cftime.datetime(*filled, calendar=calendar)
        if len(parts) <= 2:
            stop = _moved(start, 12 if len(parts) == 1 else 1)
        else:
            unit = ("days", "hours", "minutes", "seconds")[len(parts) - 3]
            stop = start + datetime.timedelta(**{unit: 1})
        if calendar == DATETIME64:
            return np.datetime64(_iso(start), "us"), np.datetime64(_iso(stop), "us")
    except (ValueError, OverflowError) as error:
        raise InputError(
            f'"{text}" is not a date of the {calendar} calendar, one like "2005", '
            '"2005-03", "2005-03-01" or "2005-03-01T06:00" was expected: correct it'
        ) from error
    return start, stop


def parse_step(text: str) -> tuple[float, str]:
    """A step as a person writes it: `1 day`, `6 hours`, `month`.

    Raises:
        InputError: not a positive number and a unit of time.
    """
    match = re.fullmatch(r"\s*([-+.\deE]*?)\s*([a-z]+?)s?\s*", text)
    try:
        step, unit = (float(match[1] or 1), match[2]) if match else (0.0, "")
    except ValueError:
        step, unit = 0.0, ""
    counted = unit in ("month", "year") and step != int(step)
    if unit not in UNITS or not 0 < step < np.inf or counted:
        raise InputError(
            f'"{text}" is not a step of time, a positive number and one of '
            f'{", ".join(UNITS)} were expected: write "1 day", "6 hours" or "1 month"'
        )
    return step, unit


def years_of(times: np.ndarray) -> np.ndarray:
    """The year of each date."""
    return _months(as_dates(times))[0] // 12


def show(time: Any) -> str:
    """A date as short as it can be written: the time of day only if not midnight."""
    return re.sub(r"(T00:00)?(:00)?(\.0+)?$", "", _iso(time), count=1)


def _iso(time: Any) -> str:
    if isinstance(time, np.datetime64):
        text = str(time.astype("datetime64[us]"))
    else:
        text = time.isoformat()
    return re.sub(r"\.0+$", "", text)


def _seconds(times: np.ndarray, origin: Any) -> np.ndarray:
    if times.dtype.kind == "M":
        return (times - origin).astype(np.int64) / 1e6
    units = f"microseconds since {_iso(origin)}"
    return (
        np.asarray(cftime.date2num(times, units, times[0].calendar), np.float64) / 1e6
    )


def _months(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Months since the year 0, and the fraction of the month that has gone by."""
    if times.dtype.kind == "M":
        month = times.astype("datetime64[M]")
        length = ((month + 1).astype(times.dtype) - month.astype(times.dtype)).astype(
            np.int64
        )
        gone = (times - month.astype(times.dtype)).astype(np.int64)
        return month.astype(np.int64) + 1970 * 12, gone / length
    gone = [
        (t.day - 1 + (t.hour + (t.minute + t.second / 60) / 60) / 24) / t.daysinmonth
        for t in times
    ]
    return np.array([12 * t.year + t.month - 1 for t in times]), np.array(gone)


def _moved(time: Any, months: int, month_end: bool = False) -> Any:
    """The date some months later, its day cut to the length of the month."""
    if isinstance(time, np.datetime64):
        calendar = DATETIME64
        time = time.astype("datetime64[us]").item()
    else:
        calendar = time.calendar
    year, month = divmod(12 * time.year + time.month - 1 + months, 12)
    days = cftime.datetime(year, month + 1, 1, calendar=calendar).daysinmonth
    day = days if month_end else min(time.day, days)
    return time.replace(year=year, month=month + 1, day=day)


def _last_day(time: Any) -> bool:
    if isinstance(time, np.datetime64):
        tomorrow = time.astype("datetime64[D]") + 1
        return bool(tomorrow == tomorrow.astype("datetime64[M]"))
    return bool(time.day == time.daysinmonth)


def _rounded(seconds: float) -> tuple[float, str]:
    """A step in the largest unit that divides it, to a hundredth of that unit."""
    for unit, length in reversed(SECONDS.items()):
        count = round(seconds / length)
        if count and abs(seconds - count * length) <= 0.01 * min(seconds, length):
            return float(count), unit
    return seconds, "second"
