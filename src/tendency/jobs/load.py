"""Floor 5: what every step of a job begins with, the data packed, cut and prepared.

`load_material` reads the record and says which of its times train, choose and test;
`fit_preparation` fits what stands between them and the models, to what is learned from.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from tendency.data.clock import period, show
from tendency.data.files import load
from tendency.data.fills import fill_in
from tendency.data.layout import Layout
from tendency.data.prepare import Preparation, prepare
from tendency.data.record import Record, Series, read_record, series_of
from tendency.errors import InputError
from tendency.jobs.settings import Data, Job


@dataclass(frozen=True, eq=False)
class Material:
    """A record in memory, and which ranges of its times serve for what.

    `learn` is all that `split.train` names. Where `split.validation` is a share,
    `train` is its first part and `validation` the rest; else `train` is all of it.
    """

    record: Record
    layout: Layout
    series: Series
    learn: tuple[int, int]  # first index, and the one after the last
    train: tuple[int, int]
    validation: tuple[int, int]  # empty where nothing was set aside
    test: tuple[int, int]

    def part(self, name: str) -> Series:
        """The series of `learn`, `train`, `validation` or `test`."""
        return self.series.part(*getattr(self, name))


def open_record(data: Data) -> Record:
    """The record that `[data]` describes, its numbers still on disk.

    Raises:
        InputError: whatever is wrong with the file, the names or the times.
    """
    return read_record(
        data.path,
        data.variables,
        time=data.time,
        start=data.start,
        step=data.step,
        select=data.subset,
        missing_value=data.missing_value,
        units=data.units,
    )


def load_material(job: Job) -> Material:
    """Read what the job asks for.

    Raises:
        InputError: besides `open_record`: dates outside the data, parts that overlap,
            a variable without a valid value, missing values that the job does not
            say what to do with.
    """
    record = open_record(job.data)
    spans = _spans(job, record)
    record = Record(**{**vars(record), "dataset": load(record.dataset, record.source)})
    first, stop = _within(record.times, spans["train"])
    layout = Layout.of(
        record.dataset.isel({record.time: slice(first, stop)}),
        record.clock,
        time=record.time,
        mask=job.data.mask,
    )
    series = series_of(record, layout.pack(record.dataset))
    _check_values(series.part(first, stop), layout)
    if job.data.missing_value is None:
        _check_fills(series, layout)
    if job.data.missing == "cut":
        series = series.without_missing()
    parts = {name: _within(series.times, span) for name, span in spans.items()}
    parts["learn"] = parts["train"]
    if "validation" not in parts:
        first, stop = parts["train"]
        share = job.split.validation
        middle = stop - round(share * (stop - first))  # pyright: ignore
        parts |= {"train": (first, middle), "validation": (middle, stop)}
    for name, (first, stop) in parts.items():
        wanted = name != "validation" or job.split.validation != 0
        if wanted and stop - first < 1:
            raise InputError(
                f"the {name} part holds no time without missing values, at least one "
                f"was expected: lengthen split.{name}, or change data.missing"
            )
    material = Material(record, layout, series, **parts)
    if job.data.missing == "refuse":
        for name in ("learn", "validation", "test"):
            _refuse_missing(material.part(name), layout, name)
    return material


def fit_preparation(
    job: Job, material: Material, *, reduced: bool = True
) -> Preparation:
    """Fit the preparation that `[prepare]` describes to all that is learned from.

    `reduced=False` leaves the EOFs out, for models that work on the grid.

    Raises:
        InputError: as `tendency.data.prepare.prepare`.
    """
    learn = material.part("learn")
    settings = job.prepare
    return prepare(
        learn.states,
        learn.t,
        material.layout,
        deseasonalise=settings.deseasonalise,
        harmonics=settings.harmonics,
        standardise=settings.standardise,
        area_weights=settings.area_weights,
        eofs=settings.eofs if reduced else None,
    )


def _spans(job: Job, record: Record) -> dict[str, tuple]:
    """The dates of each part, within the data and apart from each other."""
    times = record.times
    split = job.split
    written = {"train": split.train, "test": split.test}
    if isinstance(split.validation, list):
        written["validation"] = split.validation
    spans = {}
    for name, (begin, end) in written.items():
        start = period(begin, record.clock.calendar)
        stop = period(end, record.clock.calendar)
        step = times[-1] - times[-2]
        for text, span in ((begin, start), (end, stop)):
            if span[1] <= times[0] or span[0] > times[-1] + step:
                raise InputError(
                    f"split.{name} names {text}, outside the data, which run from "
                    f"{show(times[0])} to {show(times[-1])}: choose dates within them"
                )
        spans[name] = (start[0], stop[1])
        first, last = _within(times, spans[name])
        if last <= first:
            raise InputError(
                f'split.{name} is ["{begin}", "{end}"] and holds no time of the data, '
                "a first and a last date were expected: correct the dates"
            )
    names = sorted(spans, key=lambda n: spans[n][0])
    for before, after in itertools.pairwise(names):
        if spans[after][0] < spans[before][1]:
            raise InputError(
                f"split.{before} and split.{after} overlap from "
                f"{show(spans[after][0])} on, parts that share no time were expected, "
                "or the scores would flatter: move one of them"
            )
    return spans


def _within(times: np.ndarray, span: tuple) -> tuple[int, int]:
    inside = np.flatnonzero((times >= span[0]) & (times < span[1]))
    return (int(inside[0]), int(inside[-1]) + 1) if inside.size else (0, 0)


def _check_values(train: Series, layout: Layout) -> None:
    for name, part in layout.parts.items():
        if not np.isfinite(train.states[:, part]).any():
            raise InputError(
                f"the variable {name} is missing (NaN) at every point and time of the "
                "training part, numbers were expected: leave it out, or change "
                "data.subset"
            )
        infinite = np.isinf(train.states[:, part])
        if infinite.any():
            when = show(train.times[np.argwhere(infinite)[0][0]])
            raise InputError(
                f"the variable {name} holds {int(infinite.sum())} infinite values in "
                f"the training part, the first at {when}: mend the file, or name the "
                "value in data.missing_value"
            )


def _check_fills(series: Series, layout: Layout) -> None:
    for name, part in layout.parts.items():
        fill = fill_in(series.states[:, part])
        if fill is not None:
            count = int((series.states[:, part] == fill).sum())
            raise InputError(
                f"the variable {name} holds {fill:g}, {count} times, which looks like "
                "a fill value that the file does not declare: set data.missing_value "
                f"to {fill:g}, or to nan where it is a true value"
            )


_NAMES = {"learn": "training", "validation": "validation", "test": "test"}


def _refuse_missing(series: Series, layout: Layout, name: str) -> None:
    missing = ~np.isfinite(series.states)
    if not missing.any():
        return
    time, component = np.argwhere(missing)[0]
    variable = next(
        n for n, part in layout.parts.items() if part.start <= component < part.stop
    )
    always = missing.all(0)
    if name == "learn" and always.any():
        advice = f'set data.mask to "land" ({int(always.sum())} points have no value)'
        if (missing & ~always).any():
            advice += ', and data.missing to "cut" or "weight"'
    else:
        advice = 'set data.missing to "cut" or "weight", or data.mask to "incomplete"'
    raise InputError(
        f"the {_NAMES[name]} part holds {int(missing.sum())} missing values (NaN or "
        f"infinite, {missing.mean():.2%}), the first of {variable} at "
        f"{show(series.times[time])}: {advice}"
    )
