"""Floor 5: the score of any forecast against any truth, from two files to numbers."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import xarray as xr

from tendency import __version__
from tendency.data.units import shown_units
from tendency.errors import InputError, nearest
from tendency.files import prepare_folder, write_atomically
from tendency.jobs.measures import (
    Measures,
    Tallies,
    check_measures,
    differences,
    joined,
    records,
    tallies,
)
from tendency.jobs.printed import print_scores
from tendency.jobs.progress import Say
from tendency.jobs.verification.found import Found
from tendency.jobs.verification.opened import open_forecasts, open_truth
from tendency.jobs.verification.options import Options, words
from tendency.jobs.verification.pairing import in_common, named_files, paired, units_of
from tendency.jobs.verification.parts import Pairing, parts_of
from tendency.jobs.verification.times import dates
from tendency.scores.comparing import LEAD, MEMBER, START
from tendency.scores.metrics import METRICS
from tendency.scores.records import Score, scores_document

_BYTES = 2**27  # of forecasts in memory at a time, as float64


def verify(
    forecast: str,
    truth: str,
    options: Options,
    *,
    out: Path | None,
    report: bool,
    overwrite: bool,
    say: Say,
) -> None:
    """Score, print, and with `out` write `scores.json`, with `report` the page.

    Raises:
        InputError: whatever keeps the two files from being compared.
    """
    if report and out is None:
        raise InputError("--report writes a page and needs a folder: give --out")
    if out is not None:
        prepare_folder(out, overwrite=overwrite)
    began = time.perf_counter()
    found = scored(forecast, truth, options)
    for note in found.notes:
        say(note)
    finite = [s for s in found.scores if np.isfinite(s.value)]
    lost = {s.metric for s in found.scores} - {s.metric for s in finite}
    gone = {
        f"{s.metric} of {s.model}" for s in found.scores if not np.isfinite(s.value)
    }
    if gone:
        say(
            f"not defined, or not finite, at some lead times: {', '.join(sorted(gone))}"
        )
    if not finite:
        raise InputError(
            f"none of {', '.join(sorted(lost))} is defined for these files: see what "
            "is missing in them, or ask for other metrics"
        )
    shown = [s for s in finite if s.metric != "rank_frequency"]
    for own in (True, False):  # and then the differences
        part = [s for s in shown if (s.model in found.files) == own]
        print_scores(part, found.lead_unit or "day")
    if out is None:
        return
    document = scores_document(
        Path(forecast).stem,
        __version__,
        {
            "forecast": forecast,
            "truth": truth,
            **asdict(options),
            **found.facts,
            "notes": list(found.notes),
        },
        finite,
    )
    text = json.dumps(document, indent=1, allow_nan=False)
    write_atomically(out / "scores.json", text.encode())
    say(f"{len(finite)} scores are in {out / 'scores.json'}")
    if report:
        from tendency.jobs.verification.page import write

        say(f"the report is {write(found, finite, out, time.perf_counter() - began)}")


def scored(forecast: str, truth: str, options: Options) -> Found:
    """The scores, those not finite too.

    Raises:
        InputError: whatever keeps the two files from being compared.
    """
    models = named_files(forecast, options.reference)
    told = {m: open_forecasts(p, options.lead_unit) for m, p in models.items()}
    if len(told) > 1:
        told = dict(zip(told, in_common(*told.values()), strict=True))
    record = open_truth(truth)
    notes: list[str] = []
    pairings = {m: paired(f, record, options, notes) for m, f in told.items()}
    first = next(iter(pairings.values()))
    units = {}
    for name in first.names:
        given = units_of(first.seen[name]) or units_of(first.told.dataset[name])
        units[name] = shown_units(given)
    measures = _measures(options, first)
    shapes = {n: _shape(first.told.dataset[n]) for n in first.names}
    members = min(p.told.dataset.sizes.get(MEMBER, 1) for p in pairings.values())
    check_measures(measures, shapes, units, members=members, where="--")
    sums = _summed(measures, pairings)
    scores = [s for m, t in sums.items() for s in records(measures, t, units, m)]
    if len(sums) > 1 and measures.block is not None:
        scores += differences(measures, sums, units)
    facts = _facts(first, members)
    notes += [n for m, p in pairings.items() for n in _counted(m, p, len(pairings) > 1)]
    notes += _without_spectra(measures, sums)
    unit = first.told.clock.unit if first.told.led else None
    if unit is None:
        scores = [Score(**{**vars(s), "lead": None}) for s in scores]
    notes = list(dict.fromkeys(notes))
    return Found(models, truth, measures, sums, scores, units, unit, facts, notes)


def _measures(options: Options, pairing: Pairing) -> Measures:
    metrics = words(options.metrics)
    for name in metrics:
        if name not in METRICS:
            raise InputError(
                f"--metrics names {name}, which is no metric: "
                + nearest(name, list(METRICS))
            )
    thresholds, windows = options.levels(list(pairing.names)), options.sides()
    if not metrics:
        metrics = ["rmse", "mae", "bias"]
        metrics += ["correlation"] if options.climatology else []
        metrics += ["pod", "far", "csi"] if thresholds else []
        metrics += ["fss"] if windows else []
        ensemble = pairing.told.dataset.sizes.get(MEMBER, 1) > 1
        metrics += ["crps_fair", "spread_skill"] if ensemble else []
    anomalies = [m for m in metrics if m in ("correlation", "skill")]
    if anomalies and options.climatology is None:
        raise InputError(
            f"--metrics asks for {anomalies[0]}, which needs a climatology from "
            "outside the test period: give its file with --climatology"
        )
    return Measures(
        metrics, thresholds, windows, options.rows, options.block, options.seed
    )


def _summed(measures: Measures, pairings: Mapping[str, Pairing]) -> dict[str, Tallies]:
    """The sums of each model by start, where the truth counts for all of them."""
    first = next(iter(pairings.values()))
    when = dates(first.told) if first.climatology is not None else first.told.valid
    count = first.told.dataset.sizes[START]
    size = sum(8 * p.told.dataset[n].size for p in pairings.values() for n in p.names)
    step = int(np.clip(_BYTES * count // max(size, 1), 1, count))
    found: dict[str, list[Tallies]] = {name: [] for name in pairings}
    streams = [parts_of(p, when, step) for p in pairings.values()]
    for number, parts in enumerate(zip(*streams, strict=True)):
        truth = parts[0][1]
        for _, other, _ in parts[1:]:
            if dict(other.sizes) != dict(truth.sizes):
                raise InputError(
                    "the two forecasts are on different grids, the same was expected: "
                    "interpolate one of them first"
                )
            truth = truth.where(other.notnull())
        for name, (forecast, _, climatology) in zip(pairings, parts, strict=True):
            # Ties are broken anew in each part.
            seed = measures.seed + number
            part = tallies(measures, forecast, truth, climatology, seed=seed)
            found[name].append(part)
    return {name: joined(parts) for name, parts in found.items()}


def _facts(pairing: Pairing, members: int) -> dict[str, str]:
    told = pairing.told
    there = int((pairing.index >= 0).sum())
    facts = {
        "starts": str(told.dataset.sizes[START]),
        "lead times": str(told.dataset.sizes[LEAD]) if told.led else "none",
        "verified": f"{there} of {pairing.index.size} times",
        "variables": ", ".join(
            n if n == o else f"{n} (truth: {o})" for n, o in pairing.names.items()
        ),
    }
    return facts | ({"members": str(members)} if members > 1 else {})


def _counted(model: str, pairing: Pairing, several: bool) -> list[str]:
    notes = []
    for name, (left, of, absent) in pairing.counts.items():
        what = f"{name} of {model}" if several else name
        if left:
            notes.append(
                f"{what}: {left} of {of} values ({left / of:.2%}) are known in only "
                "one of forecast and truth, and were left out"
            )
        if absent:
            starts = "1 start holds" if absent == 1 else f"{absent} starts hold"
            notes.append(f"{what}: {starts} no forecast, left out")
    missing = int((pairing.index < 0).sum())
    if missing:
        notes.append(
            f"{missing} of {pairing.index.size} valid times are not in the truth, and "
            "were left out"
        )
    return notes


def _without_spectra(measures: Measures, sums: Mapping[str, Tallies]) -> list[str]:
    what = "map" if measures.rows is None else f"row along {measures.rows}"
    return [
        f"{variable}: no {what} is known throughout, so there are no spectra: cut the "
        "files to a part without gaps"
        for tallies in sums.values()
        for (variable, family), tally in tallies.items()
        if family == "spectra" and not (tally["count"] > 0).any()
    ]


def _shape(array: xr.DataArray) -> dict[str, int]:
    outside = (START, LEAD, MEMBER)
    return {str(d): n for d, n in array.sizes.items() if d not in outside}
