"""The study from equations to report."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tendency.report.provenance import Provenance
from tendency.report.results import write_results
from tendency.scores.records import Score
from tendency.studies.heat_source.page import make_page
from tendency.studies.heat_source.recovery import (
    by_tendencies,
    maps_of,
    recover,
    wrong,
)
from tendency.studies.heat_source.setting import FULL, SMALL, measured, truth

NOISE, GAPS = 0.02, 0.5
NOISES, SHARES = (0.005, NOISE, 0.05, 0.1), (0.0, GAPS, 0.75, 0.9)
EXACT, UNSMOOTHED = "tendencies, exact fields", "tendencies, noise but no gaps"
SMOOTHED, ROLLOUTS = "tendencies, smoothed", "roll-outs"


def run(out: Path, *, seed: int, small: bool, say: Callable[[str], None]) -> None:
    """Write `scores.json` and `report.html` into `out`; starts and noise by the seed.

    Raises:
        InputError: something cannot be written.
    """
    began = time.perf_counter()
    size = SMALL if small else FULL
    temperature = truth(size, seed)
    found: dict[tuple[str, float, float], dict[str, float]] = {}

    def tell(how: str, noise: float, gaps: float, maps) -> None:
        found[how, noise, gaps] = wrong(maps, size)
        of = ", ".join(f"{k} {100 * v:.2g} %" for k, v in wrong(maps, size).items())
        say(f"noise {100 * noise:g} %, {100 * gaps:g} % missing, {how}: {of}")

    for how, noise in ((EXACT, 0.0), (UNSMOOTHED, NOISE)):
        fields = measured(temperature, noise, 0.0, seed).seen
        cell = by_tendencies(fields, size)
        tell(how, noise, 0.0, None if cell is None else maps_of(cell))
    cases = [(NOISE, GAPS)]
    if not small:
        cases += [(noise, GAPS) for noise in NOISES if noise != NOISE]
        cases += [(NOISE, gaps) for gaps in SHARES if gaps != GAPS]
    results = {}
    for noise, gaps in cases:
        results[noise, gaps] = recover(measured(temperature, noise, gaps, seed), size)
        tell(SMOOTHED, noise, gaps, results[noise, gaps].smoothed)
        tell(ROLLOUTS, noise, gaps, results[noise, gaps].maps)
    scores = [
        Score(
            f"noise {100 * noise:g} %, {100 * gaps:g} % missing",
            how,
            f"relative error of {name}",
            None,
            value,
        )
        for (how, noise, gaps), both in found.items()
        for name, value in both.items()
        if np.isfinite(value)
    ]
    provenance = Provenance.here(
        seed=seed,
        wall_seconds=time.perf_counter() - began,
        more={"precision": "float64", "grid": f"{size.points} x {size.points}"},
    )
    seen = measured(temperature, NOISE, GAPS, seed)
    page = make_page(results[NOISE, GAPS], found, seen, size, provenance)
    settings = {"seed": seed, "small": small, **size._asdict()}
    report = write_results(out, "heat-source", settings, scores, page)
    say(f"{report} after {time.perf_counter() - began:.0f} s")
