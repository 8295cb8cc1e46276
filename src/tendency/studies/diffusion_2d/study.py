"""The study from equations to report."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tendency.report.provenance import Provenance
from tendency.report.results import write_results
from tendency.scores.records import Score
from tendency.studies.diffusion_2d.page import make_page
from tendency.studies.diffusion_2d.setting import (
    FORMS,
    POINTS,
    PRODUCT,
    PUBLISHED,
    QUICK,
    Run,
    decay_error,
    spread,
)
from tendency.symbolic.differences import Differences
from tendency.symbolic.spectral import Spectral

DECAY = {
    **{f"order {order}": Differences(order) for order in (2, 4, 6, 8)},
    "spectral": Spectral(),
}


def run(out: Path, *, seed: int, small: bool, say: Callable[[str], None]) -> None:
    """Write `scores.json` and `report.html` into `out`; nothing in it is random.

    Raises:
        InputError: something cannot be written.
    """
    began = time.perf_counter()
    points = QUICK if small else POINTS
    runs: dict[tuple[str, int], Run] = {}
    scores = []
    for form in FORMS:
        for order in (2, 4):
            found = spread(form, Differences(order), points)
            runs[form, order] = found
            drift = float(np.abs(found.mass - 1).max())
            say(f"{form:12}  order {order}  mass drifts by {drift:.1e}")
            theirs = (form, order, small) == (PRODUCT, 2, False)
            model = f"{form}, order {order}"
            published = PUBLISHED if theirs else None
            scores += [
                Score("point source", model, "mass drift", 1.0, drift, "1", published),
                Score(
                    "point source", model, "minimum", None, float(found.fields.min())
                ),
            ]
    decay = {
        (name, n): decay_error(method, n)
        for name, method in DECAY.items()
        for n in ((16, 32) if small else (32, 64))
    }
    scores += [
        Score("decay of a mode", f"{name}, {n} points", "relative error", 1.0, value)
        for (name, n), value in decay.items()
    ]
    provenance = Provenance.here(
        seed=seed,
        wall_seconds=time.perf_counter() - began,
        more={"precision": "float64", "grid": f"{points} x {points}"},
    )
    page = make_page(runs, decay, provenance, at_full_size=not small)
    settings = {"seed": seed, "small": small, "points": points}
    report = write_results(out, "diffusion-2d", settings, scores, page)
    say(f"{report} after {time.perf_counter() - began:.0f} s")
