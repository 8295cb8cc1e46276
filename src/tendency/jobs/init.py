"""Floor 5: `tendency init`, a TOML to start from, written by looking at the file."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tendency.data.clock import show, years_of
from tendency.data.inspect import GUESS, Inspection, inspect_file
from tendency.errors import InputError
from tendency.files import write_atomically

CONFIG = "tendency.toml"
_HORIZON = {"second": 60, "minute": 12, "hour": 24, "day": 10, "month": 6, "year": 5}
_FEWEST = 20  # times that a job is made for
_FIELD = 50  # points beyond which a variable is reduced by EOFs
_LAGS = [1, 3, 5, 10, 20, 40]
_FIELD_LAGS, _FIELD_RIDGES = [1, 2, 3], [0.01, 0.1, 1.0]


def init(path: str | Path, config: str | Path = CONFIG) -> Path:
    """Write a commented TOML for a data file, and give its path.

    Raises:
        InputError: the TOML is there already, or the data file cannot be used.
    """
    config = Path(config)
    if config.exists():
        raise InputError(
            f"{config} is there already and is not overwritten: remove it, or name "
            "another with --output"
        )
    text = template(inspect_file(path), config.parent)
    write_atomically(config, text.encode("utf-8"))
    return config


def template(found: Inspection, folder: Path = Path()) -> str:
    """The TOML for a file, paths from `folder`, a comment where a choice was made."""
    return "\n".join(_lines(found, folder)) + "\n"


def _lines(found: Inspection, folder: Path) -> Iterator[str]:
    times, clock = found.times, found.clock
    stem = Path(found.source).name.split(".")[0].replace("*", "") or "data"
    gaps = int(found.gaps.sum())
    yield f"# Written by `tendency init` for {Path(found.source).name}:"
    yield (
        f"# {len(times)} times, {show(times[0])} to {show(times[-1])}, one every "
        f"{clock.label}" + (f", {gaps} gap{'s' * (gaps > 1)}" if gaps else "")
    )
    yield f"out = {_toml(f'runs/{stem}')}  # folder of the results"
    yield ""
    yield from _data(found, folder)
    yield ""
    yield from _split(found)
    yield ""
    yield from _prepare(found)
    yield ""
    yield from _models(found)
    yield ""
    yield "[forecast]"
    yield f"steps = {_steps(found)}  # of {clock.label}"
    yield ""
    yield "[score]"
    yield f"metrics = {_toml(_metrics(found))}"


def _data(found: Inspection, folder: Path) -> Iterator[str]:
    yield "[data]"
    yield f"path = {_toml(_relative(found.source, folder))}"
    names = [v.name for v in found.chosen]
    yield f"variables = {_toml(names)}  # names, or CF standard names"
    bare = [v.name for v in found.chosen if not v.units]
    if bare:
        inner = ", ".join(f'{_toml(name)} = "1"' for name in bare)
        yield f"units = {{ {inner} }}  # the file has none: 1 is a pure number"
    if found.others:
        yield f"# also there: {', '.join(found.others[:8])}"
    if not found.dated:
        yield "# THE FILE HAS NO DATES: put the true first date and step, and then"
        yield "# correct the dates of [split], which follow from this guess."
        yield f"start = {_toml(GUESS[0])}"
        yield f"step = {_toml(GUESS[1])}"
    if found.levels:
        inner = ", ".join(f"{d} = {_toml(v)}" for d, v in found.levels.items())
        yield f"subset = {{ {inner} }}  # one level; a range is [from, to]"
    elif len(found.chosen[0].space) >= 2:
        yield f"# subset = {{ {found.chosen[0].space[-2]} = [from, to] }}"
    fills = sorted({v.fill for v in found.chosen if v.fill is not None})
    if fills:
        yield f"missing_value = {fills[0]!r}  # it seems to stand for missing"
    missing = {v.missing for v in found.chosen}
    if missing & {"land", "some"} and found.chosen[0].points > 1:
        yield 'mask = "land"  # leave out the points that never have a value'
    if "some" in missing and found.chosen[0].points > 1:
        yield 'missing = "weight"  # the other missing values: no weight in the fit'
    elif missing & {"some", "times"}:
        yield 'missing = "cut"  # times with missing values cut the record'


def _split(found: Inspection) -> Iterator[str]:
    """About 70 % to learn from, 15 % to choose by, 15 % to test on."""
    times = found.times
    count = len(times)
    if count < _FEWEST:
        raise InputError(
            f"{found.source} holds {count} times, too few to learn from, to choose by "
            f"and to test on, {_FEWEST} at least were expected: give a longer record"
        )
    first_test = round(0.85 * count)
    years = years_of(times)
    if years[-1] - years[0] >= 8:  # whole years read better
        year = years[first_test]
        first_test = int(np.searchsorted(years, year))
        learn_to, test_from = str(years[first_test - 1]), str(year)
    else:
        learn_to, test_from = show(times[first_test - 1]), show(times[first_test])
    yield "[split]"
    yield f"train = {_toml([show(times[0]), learn_to])}"
    yield "validation = 0.18  # the last share of train, to choose the best epoch by"
    yield (
        f"test = {_toml([test_from, show(times[-1])])}  # held out: only scored against"
    )


def _prepare(found: Inspection) -> Iterator[str]:
    clock = found.clock
    span = clock.number(found.times[-1:])[0]
    cycles = []
    for name, at_least in (("year", 2.0), ("day", 5.0)):
        try:
            length = clock.cycle(name)
        except InputError:
            continue
        # Two harmonics need more than four steps a cycle.
        if 0.7 * span >= at_least * length and length / clock.step > 4:
            cycles.append(name)
    yield "[prepare]"
    yield f"deseasonalise = {_toml(cycles)}  # cycles taken off: year, day"
    if cycles:
        yield "harmonics = 2"
    if _is_field(found):
        modes = max(1, min(30, int(0.6 * len(found.times)) // 8))
        yield (
            f"eofs = {modes}  # patterns kept, or their share of the variance, as 0.9: "
            "see `tendency check`"
        )


def _models(found: Inspection) -> Iterator[str]:
    """Models that the length of the record can feed; baselines are always there."""
    learned = int(0.7 * len(found.times))
    plane = len(found.chosen[0].space) == 2
    field = _is_field(found)
    components = sum(v.points for v in found.chosen)
    lags = [p for p in _LAGS if 10 * p * components <= learned]
    lags = _FIELD_LAGS if field else lags or [1]
    yield "# Climatology, persistence and damped persistence are always scored too."
    yield "[models.ar]"
    yield 'kind = "linear_ar"'
    yield f"lags = {_toml(lags)}  # the validation part chooses"
    if field:
        yield f"ridge = {_toml(_FIELD_RIDGES)}  # toward persistence"
        yield "increments = true"
    if field and plane:
        yield ""
        yield "[models.convolution]  # on the grid itself, without EOFs"
        yield 'kind = "convolutional"'
    if learned >= 300:
        yield ""
        yield "[models.analogs]"
        yield 'kind = "analog"'
        yield f"neighbours = {min(100, max(10, learned // 40))}"
    if learned >= 1000:
        yield ""
        yield "[models.gru]"
        yield 'kind = "gru"'
        yield "width = 32"


def _steps(found: Inspection) -> int:
    step = found.clock.step
    usual = max(3, round(_HORIZON[found.clock.unit] / step))
    return max(1, min(usual, int(0.15 * len(found.times)) // 3))


def _metrics(found: Inspection) -> list[str]:
    pair = len(found.chosen) == 2 and not found.chosen[0].space
    return ["rmse", "bivariate_correlation" if pair else "correlation"]


def _is_field(found: Inspection) -> bool:
    return sum(v.points for v in found.chosen) > _FIELD


def _relative(path: str, folder: Path) -> str:
    """From the folder of the TOML where the data lie below it, else absolute."""
    if "://" in path:
        return path
    absolute, root = os.path.abspath(path), os.path.abspath(folder)
    below = os.path.commonpath([absolute, root]) == root
    return os.path.relpath(absolute, root) if below else absolute


def _toml(value: Any) -> str:
    """JSON's text, numbers and lists are TOML's too."""
    return json.dumps(value, ensure_ascii=False)
