"""The study from equations to report."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tendency.report.provenance import Provenance
from tendency.report.results import write_results
from tendency.scores.records import Score
from tendency.studies.shallow_water.budget import means
from tendency.studies.shallow_water.page import make_page
from tendency.studies.shallow_water.setting import FULL, SMALL, integrate
from tendency.studies.shallow_water.waves import Wave, equatorial, poincare

WAVES: dict[str, Callable[[], Wave]] = {
    "inertia-gravity, f plane, k = 1, l = 0": lambda: poincare(1, 0),
    "inertia-gravity, f plane, k = 2, l = 1": lambda: poincare(2, 1),
    "inertia-gravity, beta plane, n = 1, k = 1": lambda: equatorial(1, 1, root=2),
    "Rossby, beta plane, n = 1, k = 1": lambda: equatorial(1, 1),
    "Rossby, beta plane, n = 1, k = 2": lambda: equatorial(1, 2),
    "Rossby, beta plane, n = 2, k = 1": lambda: equatorial(2, 1),
}


def run(out: Path, *, seed: int, small: bool, say: Callable[[str], None]) -> None:
    """Write `scores.json` and `report.html` into `out`; the coast is by the seed.

    Raises:
        InputError: something cannot be written.
    """
    began = time.perf_counter()
    size = SMALL if small else FULL
    say(f"the jet, {size.days} days on {size.points} x {size.points // 2} points")
    grid, water, states = integrate(size, seed)
    budget = means(states, grid, water)
    depth = budget["depth"]
    energy = budget["kinetic"] + budget["potential"]
    scores = [
        Score("jet", "C grid", metric, float(size.days), float(value), units)
        for metric, value, units in (
            ("drift of the mass", np.abs(depth / depth[0] - 1).max(), "1"),
            ("energy lost", 1 - energy[-1] / energy[0], "1"),
            (
                "potential enstrophy lost",
                1 - budget["enstrophy"][-1] / budget["enstrophy"][0],
                "1",
            ),
            ("fastest flow across", np.abs(states["v"][-1]).max(), "m s-1"),
        )
    ]
    waves = {}
    for name, measure in WAVES.items():
        waves[name] = measure()
        say(f"{name}: {waves[name].relative:.1e} from theory")
        scores.append(
            Score(name, "order 4", "relative error", None, waves[name].relative)
        )
    provenance = Provenance.here(
        seed=seed,
        wall_seconds=time.perf_counter() - began,
        more={"precision": "float64", "grid": f"{size.points} x {size.points // 2}"},
    )
    page = make_page(states, budget, waves, grid, water, size, provenance)
    settings = {"seed": seed, "small": small, **size._asdict()}
    report = write_results(out, "shallow-water", settings, scores, page)
    say(f"{report} after {time.perf_counter() - began:.0f} s")
