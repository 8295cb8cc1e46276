"""Floor 5: the metrics that a job or `tendency score` asks for, tallied and named.

`tallies` sums over space all that the metrics need, by start; `records` makes `Score`s
of the sums, with intervals where a block of starts is given.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from tendency.errors import InputError
from tendency.scores.bootstrap import block_bootstrap
from tendency.scores.categorical import categorical_scores, contingency
from tendency.scores.comparing import LEAD, over_starts
from tendency.scores.deterministic import error_scores, errors, pair_errors
from tendency.scores.drift import drift_scores, moments
from tendency.scores.ensemble import ensemble, ensemble_scores, rank_scores, ranks
from tendency.scores.metrics import METRICS
from tendency.scores.records import Score
from tendency.scores.spatial import fractions, fractions_scores
from tendency.scores.spectral import (
    effective_resolution,
    isotropic_spectra,
    row_spectra,
)

Tallies = dict[tuple[str, str], xr.Dataset]
"""Sums by variable, or variables, and family of scores."""


@dataclass(frozen=True)
class Measures:
    """What is to be measured."""

    metrics: Sequence[str]  # names of METRICS
    thresholds: Mapping[str, Sequence[float]] = field(default_factory=dict)
    windows: Sequence[int] = ()  # [grid points]
    rows: str | None = None  # spectra along this dimension, else around circles
    block: int | None = None  # [starts], of the bootstrap
    seed: int = 0

    @property
    def families(self) -> list[str]:
        """Each once."""
        return list(dict.fromkeys(METRICS[m].family for m in self.metrics))


def check_measures(
    asked: Measures,
    shapes: Mapping[str, Mapping[str, int]],
    units: Mapping[str, str],
    *,
    members: int,
    where: str = "score",
) -> None:
    """Whether the metrics suit the variables, before anything is read.

    Arguments:
        shapes: how many points each variable has along each dimension of space.
        where: what names the options for the user: `score` or `--`.

    Raises:
        InputError: a metric lacks its thresholds, its windows, two variables, a map or
            an ensemble.
    """
    names = ", ".join(shapes)
    of = {
        f: [m for m in asked.metrics if METRICS[m].family == f] for f in asked.families
    }
    option = (lambda n: f"--{n}") if where == "--" else (lambda n: f"{where}.{n}")
    for family in ("events", "fractions"):
        if family in of and not asked.thresholds:
            raise InputError(
                f"{option('metrics')} asks for {of[family][0]} without a threshold, "
                f"one at least was expected: give {option('thresholds')}"
            )
    for name in asked.thresholds:
        if name not in shapes:
            raise InputError(
                f"{option('thresholds')} names {name}, which is not one of the "
                f"variables {names}: correct the name"
            )
    if "fractions" in of and not asked.windows:
        raise InputError(
            f"{option('metrics')} asks for fss without a window, one at least was "
            f"expected: give {option('windows')}, sides of squares in grid points"
        )
    mapped = {"fractions": asked.thresholds}
    mapped |= {"spectra": shapes} if asked.rows is None else {}
    for family, concerned in mapped.items():
        flat = [name for name in concerned if len(shapes[name]) != 2]
        if family in of and flat:
            raise InputError(
                f"{option('metrics')} asks for {of[family][0]} and {flat[0]} is no map "
                "of two dimensions: leave it out"
            )
    for name, sizes in shapes.items():
        if "spectra" in of and asked.rows is not None and asked.rows not in sizes:
            raise InputError(
                f"{option('rows')} is {asked.rows}, and {name} has the dimensions "
                f"{', '.join(sizes) or 'none'}: choose one of them"
            )
    grids = {tuple(sizes.items()) for sizes in shapes.values()}
    if "pair" in of and (len(shapes) != 2 or len(grids) != 1):
        raise InputError(
            f"{option('metrics')} asks for the bivariate_correlation of {names}, two "
            "variables on one grid were expected: leave it out, or change the variables"
        )
    alike = len(grids) == 1 == len(set(units.values()))
    if "energy" in of and not alike:
        raise InputError(
            f"{option('metrics')} asks for the energy_ratio of {names}, components of "
            "a velocity on one grid, in one unit, were expected: leave it out, or "
            "change the variables"
        )
    for family in ("ensemble", "ranks"):
        if family in of and members < 2:
            raise InputError(
                f"{option('metrics')} asks for {of[family][0]} and there is {members} "
                "member, at least 2 were expected: leave it out, or give an ensemble"
            )


def tallies(
    asked: Measures,
    forecast: xr.Dataset,
    truth: xr.Dataset,
    climatology: xr.Dataset | None = None,
    *,
    seed: int | None = None,
) -> Tallies:
    """Sums over space by start and lead time of all that is asked for.

    Arguments:
        seed: of ties of ranks; that of `asked` by default.
    """
    found: Tallies = {}
    together = ", ".join(map(str, truth.data_vars))
    for family in asked.families:
        if family == "pair":
            found[together, family] = pair_errors(forecast, truth)
        elif family == "energy":
            both = (d.to_dataarray("component") for d in (forecast, truth))
            found[together, family] = moments(*both)
    for name, seen in truth.data_vars.items():
        told, levels = forecast[name], asked.thresholds.get(str(name), ())
        against = None if climatology is None else climatology[name]
        for family in asked.families:
            if family == "errors":
                tally = errors(told, seen, against)
            elif family == "ensemble":
                tally = ensemble(told, seen)
            elif family == "ranks":
                tally = ranks(told, seen, seed=asked.seed if seed is None else seed)
            elif family == "moments":
                tally = moments(told, seen)
            elif family == "events" and levels:
                tally = contingency(told, seen, levels)
            elif family == "fractions" and levels:
                tally = fractions(told, seen, levels, asked.windows)
            elif family == "spectra" and asked.rows is not None:
                tally = row_spectra(told, seen, asked.rows)
            elif family == "spectra":
                tally = isotropic_spectra(told, seen)
            else:
                continue
            found[str(name), family] = tally
    return found


def finished(family: str, sums: xr.Dataset) -> xr.Dataset:
    """The scores of a family, from its sums over starts."""
    if family == "spectra":
        by_error = effective_resolution(sums, criterion="error")
        by_ratio = effective_resolution(sums)
        return by_ratio.to_dataset().assign(error_resolution=by_error)
    if family == "pair":
        correlation = error_scores(sums)["correlation"]
        return correlation.to_dataset(name="bivariate_correlation")
    scores = {
        "errors": error_scores,
        "events": categorical_scores,
        "fractions": fractions_scores,
        "ensemble": ensemble_scores,
        "ranks": rank_scores,
        "moments": drift_scores,
        "energy": drift_scores,
    }
    return scores[family](sums)


def records(
    asked: Measures, found: Tallies, units: Mapping[str, str], model: str
) -> Iterator[Score]:
    """The scores by variable, metric and lead, not finite ones too.

    Arguments:
        units: of the variables.
    """
    for (variable, family), tally in found.items():
        values = finished(family, over_starts(tally))
        bounds = None
        if asked.block is not None:
            bounds = block_bootstrap(
                lambda sums, family=family: finished(family, sums),
                tally,
                block=asked.block,
                seed=asked.seed,
            )
        yield from named(
            asked, values, bounds, variable, units.get(variable, "1"), model
        )


def differences(
    asked: Measures, found: Mapping[str, Tallies], units: Mapping[str, str]
) -> Iterator[Score]:
    """The first model's scores less the second's, drawn on the same starts."""
    (one, first), (other, second) = found.items()
    for (variable, family), tally in first.items():

        def less(a: xr.Dataset, b: xr.Dataset, family=family) -> xr.Dataset:
            with xr.set_options(keep_attrs=True):  # the unit of a length
                return finished(family, a) - finished(family, b)

        against = second[variable, family]
        values = less(over_starts(tally), over_starts(against))
        bounds = None
        if asked.block is not None:
            bounds = block_bootstrap(
                less, tally, against, block=asked.block, seed=asked.seed
            )
        unit = units.get(variable, "1")
        yield from named(asked, values, bounds, variable, unit, f"{one} - {other}")


def named(
    asked: Measures,
    values: xr.Dataset,
    bounds: xr.Dataset | None,
    variable: str,
    unit: str,
    model: str,
) -> Iterator[Score]:
    """`Score`s of a Dataset of scores, those that were asked for."""
    for metric in asked.metrics:
        if metric not in values:
            continue
        kind = METRICS[metric].units
        length = str(values[metric].attrs.get("units", "1"))
        units = {"variable": unit, "length": length, "1": "1"}[kind]
        each = values[metric]
        inner = [d for d in each.dims if d != LEAD]
        stacked = each.stack(kind=inner) if inner else each.expand_dims("kind")
        ends = None
        if bounds is not None:
            ends = bounds[metric].transpose("bound", ..., LEAD)
        for i in range(stacked.sizes["kind"]):
            one = stacked.isel(kind=i)
            at = {str(d): one[d].item() for d in inner}
            case = _case(variable, unit, at)
            pair = None if ends is None else ends.sel(at)
            for j, value in enumerate(one.values):
                interval = None
                if pair is not None and np.isfinite(pair.values[:, j]).all():
                    interval = (float(pair.values[0, j]), float(pair.values[1, j]))
                lead = float(one[LEAD].values[j]) if LEAD in one.coords else None
                yield Score(
                    case, model, metric, lead, float(value), units, interval=interval
                )


def _case(variable: str, unit: str, at: Mapping[str, float]) -> str:
    """`rain >= 1 mm h-1, 11 x 11 points`: the variable, and what else tells apart."""
    text = variable
    if "threshold" in at:
        text += f" >= {at['threshold']:g}" + ("" if unit == "1" else f" {unit}")
    if "window" in at:
        text += f", {at['window']} x {at['window']} points"
    if "rank" in at:
        text += f", rank {at['rank']}"
    return text


def joined(parts: Iterable[Tallies]) -> Tallies:
    """The tallies of parts of the starts, one after another."""
    kept = list(parts)
    return {
        key: xr.concat(
            [part[key] for part in kept], "init_time", combine_attrs="override"
        )
        for key in kept[0]
    }
