"""The study from equations to report."""

import time
from collections.abc import Callable
from pathlib import Path

from tendency.report.provenance import Provenance
from tendency.report.results import write_results
from tendency.scores.records import Score
from tendency.studies.shallow_water_drag.page import make_page
from tendency.studies.shallow_water_drag.recovery import recover, wrong
from tendency.studies.shallow_water_drag.setting import (
    DRAG,
    FULL,
    SMALL,
    measured,
    shear,
    truth,
)

NOISES = (0.0, 0.01, 0.02)


def run(out: Path, *, seed: int, small: bool, say: Callable[[str], None]) -> None:
    """Write `scores.json` and `report.html` into `out`; starts and noise by the seed.

    Raises:
        InputError: something cannot be written.
    """
    began = time.perf_counter()
    size = SMALL if small else FULL
    series = truth(size, seed)
    shears = shear(series)
    say(f"{size.runs} runs of {size.hours:g} hours on {size.points} x {size.points}")
    found, errors, scores = {}, {}, []
    for noise in NOISES[:2] if small else NOISES:
        seen = measured(series, noise, seed)
        found[noise] = recover(seen, size, seed, noisy=noise > 0)
        errors[noise] = wrong(found[noise], shears)
        case = f"noise {100 * noise:g} %"
        value, error = found[noise].drag
        say(
            f"{case}: c = {value:.6f} ({error:.1e}), truth {DRAG}; the curve is "
            f"{100 * errors[noise]['error of the stress curve']:.2g} % off"
        )
        scores += [
            Score(case, "roll-outs", f"relative {name}", None, number)
            for name, number in errors[noise].items()
        ]
        scores.append(Score(case, "roll-outs", "drag coefficient", None, value))
    provenance = Provenance.here(
        seed=seed,
        wall_seconds=time.perf_counter() - began,
        more={"precision": "float64", "grid": f"{size.points} x {size.points}"},
    )
    page = make_page(found, errors, series, size, provenance)
    settings = {"seed": seed, "small": small, **size._asdict()}
    report = write_results(out, "shallow-water-drag", settings, scores, page)
    say(f"{report} after {time.perf_counter() - began:.0f} s")
