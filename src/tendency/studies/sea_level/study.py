"""The study from sea level to report."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from tendency.report.provenance import Provenance
from tendency.report.results import write_results
from tendency.scores.records import Score
from tendency.statistical.persistence import Persistence
from tendency.studies._fields import evaluate
from tendency.studies._fields.fields import Fields
from tendency.studies._fields.split import split_at
from tendency.studies.sea_level.models import all_models, forecasts
from tendency.studies.sea_level.on_map import on_map
from tendency.studies.sea_level.page import Shown, make_page
from tendency.studies.sea_level.points import Points, points_of
from tendency.studies.sea_level.setting import (
    FULL,
    LEARNED,
    PUBLISHED,
    SMALL,
    STEPS,
    open_sea,
)

POINTS, GIVEN = "points", "the file given"


def run(
    out: Path,
    *,
    seed: int,
    small: bool,
    say: Callable[[str], None],
    data: Path | None = None,
) -> None:
    """Write `scores.json` and `report.html` into `out`.

    Raises:
        InputError: the file does not hold what the study reads, or cannot be written.
    """
    began = time.perf_counter()
    size = SMALL if small else FULL
    sea = open_sea(data, size, seed, say)
    split = split_at(sea.fields, LEARNED)
    points = points_of(sea.fields, split.train[1], size, seed)
    starts = points.starts(max(size.history, 16))
    say(f"{len(points.places)} points, {split.train[1]} days to learn from, "
        f"{len(starts)} starts held out")  # fmt: skip
    told = {
        name: forecasts(cell, points, starts)
        for name, cell in all_models(points, size, seed, say).items()
    }
    scores = point_scores(told, points, starts)
    maps = on_map(sea.fields, split, size, seed, small, say)
    scores += maps.scores
    if sea.short is not None:
        scores += given_scores(sea.short)
    for score in scores:
        if score.metric == "rmse" and score.lead in (1, 3, 5) and score.case == POINTS:
            error = f"{score.value:.2f} cm after {score.lead:g} d"
            say(f"{score.case}, {score.model}: {error}")
    provenance = Provenance.here(
        seed=seed,
        wall_seconds=time.perf_counter() - began,
        more={"data": sea.fields.source},
    )
    shown = Shown(sea, size, points, starts, told, maps)
    page = make_page(scores, shown, provenance)
    settings = {"seed": seed, "small": small, "source": sea.fields.source,
                **size._asdict()}  # fmt: skip
    report = write_results(out, "sea-level", settings, scores, page)
    say(f"{report} after {time.perf_counter() - began:.0f} s")


def point_scores(
    told: dict[str, np.ndarray], points: Points, starts: np.ndarray
) -> list[Score]:
    """RMSE, correlation and accuracy over all points and held-out starts, by lead.

    The accuracy is 1 - Σ|f - o| / Σ|o| of the anomalies.
    """
    index = starts[:, None] + np.arange(1, STEPS + 1)
    truth = points.series[:, index, 0].astype(np.float64)
    found = []
    for name, values in told.items():
        error = values - truth
        rmse = np.sqrt((error**2).mean((0, 1)))
        both = (values * truth).sum((0, 1))
        length = np.sqrt(
            (values.astype(float) ** 2).sum((0, 1)) * (truth**2).sum((0, 1))
        )
        share = 100 * (1 - abs(error).sum((0, 1)) / abs(truth).sum((0, 1)))
        for i in range(STEPS):
            lead = float(i + 1)
            theirs = PUBLISHED[lead] if name == "Merged LSTM" else None
            found += [
                Score(POINTS, name, "rmse", lead, 100 * float(rmse[i]), "cm"),
                Score(POINTS, name, "correlation", lead, float(both[i] / length[i])),
                Score(POINTS, name, "accuracy", lead, float(share[i]), "%", theirs),
            ]
    return found


def given_scores(fields: Fields) -> list[Score]:
    """Persistence on a file that is too short to learn from: nothing is learned."""
    starts = fields.series.starts(0, STEPS)
    model = evaluate.Model(Persistence(fields.dt))  # pyright: ignore[reportCallIssue]
    told = evaluate.forecasts(model, fields, starts, STEPS)
    truth = evaluate.truth_of(fields, starts, STEPS)
    return in_centimetres(
        evaluate.rmse_scores(GIVEN, "Persistence", told, truth, fields)
    )


def in_centimetres(scores: list[Score]) -> list[Score]:
    """Errors in metres, as they are spoken of."""
    return [replace(s, value=100 * s.value, units="cm") for s in scores]
