"""Floor 5: what stands opposite what in two files, and how it is brought together."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from tendency.data.files import open_file
from tendency.errors import InputError
from tendency.jobs.verification.climatology import cycle_of
from tendency.jobs.verification.grids import on_grid
from tendency.jobs.verification.opened import Forecasts, Truth, paired_names
from tendency.jobs.verification.options import Options, words
from tendency.jobs.verification.parts import Pairing
from tendency.jobs.verification.times import indices
from tendency.jobs.verification.units import conversion
from tendency.scores.comparing import LEAD, START

_LONG = 20  # letters; a longer name of a file would fill a table


def named_files(forecast: str, reference: str | None) -> dict[str, str]:
    """The files of forecasts, each under a name of its own."""
    paths = [forecast, *([reference] if reference else [])]
    stems = [Path(p.rstrip("/")).stem for p in paths]
    if len(set(stems)) < len(stems) or max(map(len, stems)) > _LONG:
        stems = ["forecast", "reference"][: len(stems)]
    return dict(zip(stems, paths, strict=True))


def in_common(one: Forecasts, other: Forecasts) -> tuple[Forecasts, Forecasts]:
    """Both at the starts and lead times that they share.

    Raises:
        InputError: they share none.
    """
    starts, leads = (
        np.intersect1d(one.dataset[d].values, other.dataset[d].values)
        for d in (START, LEAD)
    )
    if one.clock.unit != other.clock.unit or not starts.size or not leads.size:
        raise InputError(
            f"{one.source} and {other.source} share {starts.size} starts and "
            f"{leads.size} lead times, at least one of each was expected: give "
            "forecasts of the same times"
        )
    both = []
    for told in (one, other):
        index = {
            d: np.flatnonzero(np.isin(told.dataset[d].values, kept))
            for d, kept in ((START, starts), (LEAD, leads))
        }
        valid = told.valid[np.ix_(index[START], index[LEAD])]
        part = told.dataset.isel(index)
        both.append(Forecasts(part, told.clock, valid, told.led, told.source))
    return both[0], both[1]


def paired(
    told: Forecasts, truth: Truth, options: Options, notes: list[str]
) -> Pairing:
    """Forecasts and truth on one grid; what was done to them is added to `notes`.

    Raises:
        InputError: variables, times, grids or units do not fit.
    """
    sources = {"told": told.source, "seen": truth.source}
    pairs = paired_names(told.dataset, truth.dataset, words(options.variables), sources)
    index = indices(told, truth, options.truth_offset)
    arrays, scale = {}, {}
    for ours, theirs in pairs.items():
        seen, original = truth.dataset[theirs], told.dataset[ours]
        if truth.time not in seen.dims:
            raise InputError(
                f"{theirs} of {truth.source} has no axis of time "
                f"({', '.join(map(str, seen.dims))}): leave it out with --variables"
            )
        arrays[ours], done = on_grid(
            seen, original, truth.time, (told.source, truth.source)
        )
        notes += done
        factor, offset, said = conversion(ours, units_of(original), units_of(seen))
        scale[ours] = (factor, offset)
        notes += [said] if said else []
    climatology = cycle = None
    if options.climatology is not None:
        climatology, cycle = _climatology(
            options.climatology, told, pairs, truth, notes
        )
    seen = xr.Dataset(arrays)
    return Pairing(
        told,
        pairs,
        seen,
        truth,
        index,
        scale,
        options.missing_value,
        climatology,
        cycle,
    )


def _climatology(
    path: str, told: Forecasts, pairs: Mapping[str, str], truth: Truth, notes: list[str]
) -> tuple[xr.Dataset, tuple[str | None, Callable[[Any], np.ndarray]]]:
    """The climatology on the grid of the forecast, in the units of the truth."""
    dataset, dim, place = cycle_of(open_file(path), path)
    wanted = list(pairs.values())
    names = paired_names(
        truth.dataset, dataset, wanted, {"told": truth.source, "seen": path}
    )
    arrays = {}
    for ours, theirs in pairs.items():
        source = dataset[names[theirs]]
        array, done = on_grid(
            source, told.dataset[ours], dim or "", (told.source, path)
        )
        factor, offset, said = conversion(
            ours, units_of(source), units_of(truth.dataset[theirs])
        )
        arrays[ours] = array * factor + offset
        notes += [n.replace("the truth", "the climatology") for n in done]
        if said:
            notes.append(f"the climatology is in other units, {said}")
    return xr.Dataset(arrays), (dim, place)


def units_of(array: xr.DataArray) -> str | None:
    """As the file says, if it does."""
    units = array.attrs.get("units")
    return None if units is None else str(units)
