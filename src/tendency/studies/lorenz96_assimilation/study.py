"""The study from the first cycle to the report."""

import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from tendency.report.provenance import Provenance
from tendency.report.results import write_results
from tendency.scores.records import Score
from tendency.studies.lorenz96_assimilation.methods import ROWS
from tendency.studies.lorenz96_assimilation.page import make_page
from tendency.studies.lorenz96_assimilation.twin import Reached, climate, reach

CYCLES, SEEDS = 10_000, 4
QUICK_CYCLES, QUICK_SEEDS = 1_000, 2
Found = dict[tuple[str, int | None], Reached]  # by row and members


def run(out: Path, *, seed: int, small: bool, say: Callable[[str], None]) -> None:
    """Write `scores.json` and `report.html` into `out`.

    Raises:
        InputError: something cannot be written.
    """
    began = time.perf_counter()
    cycles, seeds = (QUICK_CYCLES, QUICK_SEEDS) if small else (CYCLES, SEEDS)
    keys = jax.random.split(jax.random.key(seed), seeds)
    found: Found = {}
    states = climate(jax.random.fold_in(jax.random.key(seed), seeds))
    for row in ROWS:
        method = row.method(states)
        for members in row.quick if small else row.sizes:
            start = time.perf_counter()
            mine = reach(
                method, members, min(cycles, row.most or cycles), keys, row.every
            )
            found[row.name, members] = mine
            lost = f", {mine.lost} lost" * (mine.lost > 0)
            seconds = time.perf_counter() - start
            say(
                f"{row.name:48} {members or '':>3} {mine.median:.3f}{lost}"
                f"  {seconds:.0f} s"
            )
    seconds = time.perf_counter() - began
    provenance = Provenance.here(seed=seed, wall_seconds=seconds)
    page = make_page(found, cycles, seeds, provenance)
    settings = {"seed": seed, "small": small, "cycles": cycles, "seeds": seeds}
    scores = scores_of(found)
    path = write_results(out, "lorenz96-assimilation", settings, scores, page)
    say(f"{path} after {seconds:.0f} s")


def scores_of(found: Found) -> list[Score]:
    """The case is the number of members; medians over the seeds."""
    rows = {row.name: row for row in ROWS}
    scores = []
    for (name, members), mine in found.items():
        case = f"{members} members" if members else "no ensemble"
        theirs = rows[name].dapper.get(members)
        if mine.smoothed is not None:
            smoothed, other = float(np.median(mine.smoothed)), rows[name].smoother
            scores.append(
                Score(
                    case, name, "rmse_smoother", None, smoothed, "1", other.get(members)
                )
            )
        for metric, value, other in (
            ("rmse_filter", mine.median, theirs),
            ("rmse_filter_largest", float(mine.error.max()), None),
            ("spread_filter", float(np.median(mine.spread)), None),
            ("seeds_lost", float(mine.lost), None),
        ):
            scores.append(Score(case, name, metric, None, value, "1", other))
    return [s for s in scores if np.isfinite(s.value)]
