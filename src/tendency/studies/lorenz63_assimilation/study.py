"""The study from simulation to report."""

import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from tendency.report.provenance import Provenance
from tendency.report.results import write_results
from tendency.scores.records import Score
from tendency.store import save
from tendency.studies.lorenz63_assimilation.evaluate import (
    OBSERVED,
    Followed,
    follow,
)
from tendency.studies.lorenz63_assimilation.models import ROWS, Row, made
from tendency.studies.lorenz63_assimilation.page import make_page
from tendency.studies.lorenz63_assimilation.twin import (
    EVERY,
    FULL,
    SMALL,
    VARIANCE,
    simulate,
)

Found = dict[tuple[str, str], Followed]  # by what is observed, and the model


def run(out: Path, *, seed: int, small: bool, say: Callable[[str], None]) -> None:
    """Write `scores.json`, `report.html` and the learned models into `out`.

    Raises:
        InputError: something cannot be written.
    """
    began = time.perf_counter()
    size = SMALL if small else FULL
    say("simulating the truth")
    twin = simulate(size, seed)
    (out / "models").mkdir(exist_ok=True)
    rows = [row for row in ROWS if row.quick or not small]
    found: Found = {}
    for row in rows:
        cell = made(row, twin.train, size, seed)
        name = f"{row.kind}{'' if row.noise is None else f'-noise-{row.noise:g}'}"
        save(out / "models" / f"{name}.safetensors", cell)
        segments = size.segments
        if row.kind == "analogs":
            segments = size.analog_segments
        start = time.perf_counter()
        mine = jax.tree.map(lambda a, n=segments: a[:n], twin)
        for case, observed in OBSERVED.items():
            found[case, row.model] = follow(cell, mine, observed, size.members)
        told = ", ".join(
            f"{case} {found[case, row.model].mean('filter'):.3f} "
            f"{found[case, row.model].mean('smoother'):.3f}"
            for case in OBSERVED
        )
        say(f"{row.model:24} {told}  {time.perf_counter() - start:4.0f} s")
    scores = scores_of(rows, found)
    settings = {
        "seed": seed,
        "small": small,
        "segments": size.segments,
        "members": size.members,
        "every": EVERY,
        "variance": VARIANCE,
    }
    seconds = time.perf_counter() - began
    provenance = Provenance.here(seed=seed, wall_seconds=seconds)
    truth = np.asarray(twin.truth[0])
    page = make_page(rows, found, truth, size, provenance)
    path = write_results(out, "lorenz63-assimilation", settings, scores, page)
    say(f"{path} after {seconds:.0f} s")


def scores_of(rows: list[Row], found: Found) -> list[Score]:
    """Means over the segments, their standard errors, and ratios to the true model."""
    scores = []
    for case in OBSERVED:
        true = found[case, rows[0].model]
        for row in rows:
            mine = found[case, row.model]
            for name in ("filter", "smoother"):
                published = None
                if name == "smoother" and case == next(iter(OBSERVED)):
                    published = row.published
                told = [
                    (f"rmse_{name}", mine.mean(name), published),
                    (f"rmse_{name}_standard_error", mine.standard_error(name), None),
                ]
                if row is not rows[0]:
                    value, error = mine.over(true, name)
                    told.append((f"ratio_{name}", value, None))
                    told.append((f"ratio_{name}_standard_error", error, None))
                scores += [
                    Score(case, row.model, metric, None, value, "1", theirs)
                    for metric, value, theirs in told
                ]
            lost = float((~mine.kept).sum())
            scores.append(Score(case, row.model, "segments_lost", None, lost))
            scores.append(Score(case, row.model, "chi_square", None, mine.chi_square))
    return scores
