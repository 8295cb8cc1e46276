"""The study from simulation to report."""

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float

from tendency import __version__
from tendency.cell import AbstractCell
from tendency.errors import InputError
from tendency.files import write_atomically
from tendency.integrate import Integrated
from tendency.report.page import write_page
from tendency.report.posters import poster
from tendency.report.provenance import Provenance
from tendency.scores.records import Score, scores_document
from tendency.statistical.library import polynomial_coefficients
from tendency.store import save
from tendency.studies.lorenz63.evaluate import Measured, evaluate
from tendency.studies.lorenz63.models import Row
from tendency.studies.lorenz63.notebook import Compared, compare
from tendency.studies.lorenz63.page import TRUTH, attractors, make_page
from tendency.studies.lorenz63.tables import LEADS, NOISY, TABLES
from tendency.studies.lorenz63.truth import FULL, SMALL, simulate

Measures = dict[tuple[str, str], Measured]
Coefficients = Float[np.ndarray, "3 10"]


def run(out: Path, *, seed: int, small: bool, say: Callable[[str], None]) -> None:
    """Write `scores.json`, `report.html`, `attractors.png` and the models into `out`.

    Raises:
        InputError: something cannot be written.
    """
    began = time.perf_counter()
    size = SMALL if small else FULL
    say("simulating the truth")
    truth = simulate(size, seed)
    key = jax.random.key(seed + 1)
    (out / "models").mkdir(exist_ok=True)

    def made(task: tuple[str, Row]) -> tuple[AbstractCell, Measured]:
        case, row = task
        start = time.perf_counter()
        cell = row.make(truth.noisy if case == NOISY else truth.train, size, key)
        figures = evaluate(cell, truth, size, row.tangent)
        save(out / "models" / f"{_slug(case)}-{_slug(row.name)}.safetensors", cell)
        errors = " ".join(f"{figures.rmse[step - 1]:.2e}" for step in LEADS)
        seconds = time.perf_counter() - start
        say(f"{case:10}  {row.name:42} {errors}  {seconds:4.1f} s")
        return cell, figures

    tasks = [
        (case, row)
        for case, rows in TABLES.items()
        for row in rows
        if row.quick or not small
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # compiling keeps one core busy
        course = pool.submit(compare, truth, size, key)
        last_first = pool.map(made, reversed(tasks))  # the longest fits come last
        results = dict(zip(tasks, reversed(list(last_first)), strict=True))
        compared = course.result()
    measured = {(case, row.name): r[1] for (case, row), r in results.items()}
    found = {
        (case, row.name): values
        for (case, row), (cell, _) in results.items()
        if (values := _coefficients(cell)) is not None
    }
    scores = _scores(measured, compared, found)
    settings = {"seed": seed, "small": small, "dt": 0.01, "noise": 0.5}
    document = scores_document("lorenz63", __version__, settings, scores)
    text = json.dumps(document, indent=1, allow_nan=False)
    write_atomically(out / "scores.json", text.encode())
    seconds = time.perf_counter() - began
    page = make_page(
        scores,
        measured,
        compared,
        np.asarray(truth.long_targets[0]),
        found,
        Provenance.here(seed=seed, wall_seconds=seconds, more={"precision": "float64"}),
    )
    write_page(page, out / "report.html")
    picture = attractors(measured, np.asarray(truth.long_targets[0]))
    poster(picture.spec, out / "attractors.png", scale=1.1)
    say(f"{out / 'report.html'} after {seconds:.0f} s")


def _scores(
    measured: Measures,
    compared: dict[str, Compared],
    found: dict[tuple[str, str], Coefficients],
) -> list[Score]:
    published = {
        (case, row.name): dict(zip(LEADS, row.published, strict=True))
        for case, rows in TABLES.items()
        for row in rows
    }
    scores = []
    for (case, model), figures in measured.items():
        for step, value in enumerate(figures.rmse, start=1):
            theirs = published[case, model].get(step)
            error = Score(case, model, "RMSE", float(step), float(value), "1", theirs)
            scores.append(error)
        for metric, value, units in (
            ("valid prediction time", figures.vpt, "Lyapunov times"),
            ("Lyapunov exponent", figures.exponent, "1 / time"),
            ("climate distance", figures.climate, "std"),
        ):
            if value is not None:
                scores.append(Score(case, model, metric, None, value, units))
    for (case, model), values in found.items():
        error = float(np.abs(values - TRUTH).max())
        scores.append(Score(case, model, "coefficient error", None, error))
    for model, figures in compared.items():
        for step, value in enumerate(figures.explained, start=1):
            metric = "explained variance"
            scores.append(Score("course", model, metric, float(step), float(value)))
        for name, value in (figures.parameters or {}).items():
            scores.append(Score("course", model, name, None, value))
        scores.append(
            Score("course", model, "climate distance", None, figures.climate, "std")
        )
    return [s for s in scores if np.isfinite(s.value)]


def _coefficients(cell: AbstractCell) -> Coefficients | None:
    """Of the tendency as a quadratic polynomial, where it is one."""
    if not isinstance(cell, Integrated):
        return None
    try:
        return polynomial_coefficients(cell.tendency, 3)
    except InputError:
        return None


def _slug(text: str) -> str:
    words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    return "-".join(words)
