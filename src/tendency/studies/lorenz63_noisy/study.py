"""The study from simulation to report."""

import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from tendency.cell import AbstractCell
from tendency.errors import InputError
from tendency.integrate import Integrated
from tendency.report.provenance import Provenance
from tendency.report.results import write_results
from tendency.scores.records import Score
from tendency.statistical.library import polynomial_coefficients
from tendency.store import save
from tendency.studies.lorenz63.evaluate import evaluate
from tendency.studies.lorenz63.page import TRUTH
from tendency.studies.lorenz63.truth import FULL, NOISE, SMALL, Truth, simulate
from tendency.studies.lorenz63_noisy.models import PRUNED, Made, rows
from tendency.studies.lorenz63_noisy.page import make_page
from tendency.studies.lorenz63_noisy.parameters import PARAMETERS, parameters

SEEDS, SMALL_SEEDS = 5, 2
LEADS = (1, 4, 8)  # steps
_CASE = f"noise {NOISE:g}"


def run(out: Path, *, seed: int, small: bool, say: Callable[[str], None]) -> None:
    """Write `scores.json`, `report.html` and the models of the first seed into `out`.

    Raises:
        InputError: something cannot be written.
    """
    began = time.perf_counter()
    size, seeds = (SMALL, SMALL_SEEDS) if small else (FULL, SEEDS)
    (out / "models").mkdir(exist_ok=True)
    scores: list[Score] = []
    equations: list[str] = []
    for number in range(seed, seed + seeds):
        truth = simulate(size, number)
        key, first = jax.random.key(number + 1), number == seed
        for row in rows(truth.noisy, size, key, first, small):
            start = time.process_time()
            for made in row():
                seconds = time.process_time() - start
                found = _measured(made, truth, size, f"{_CASE}, seed {number}", seconds)
                scores += found
                values = {(s.metric, s.lead): s.value for s in found}
                errors = " ".join(f"{values['RMSE', lead]:.2e}" for lead in LEADS)
                vpt = values["valid prediction time", None]
                say(
                    f"seed {number}  {made.name:40} {errors}  "
                    f"{vpt:4.2f}  {seconds:.1f} s"
                )
                if first:
                    name = "".join(c if c.isalnum() else "-" for c in made.name.lower())
                    save(out / "models" / f"{name}.safetensors", made.cell)
                if first and made.name == PRUNED and made.fitted is not None:
                    errors = made.fitted.posterior.parameter_std.tendency.coefficients
                    equations = made.fitted.cell.tendency.equations(errors=errors)
                start = time.process_time()
    scores = [*_medians(scores), *scores]
    seconds = time.perf_counter() - began
    more = {"precision": "float64", "seeds": str(seeds)}
    provenance = Provenance.here(seed=seed, wall_seconds=seconds, more=more)
    settings = {"seed": seed, "seeds": seeds, "small": small, "noise": NOISE}
    page = make_page(scores, _CASE, equations, provenance)
    report = write_results(out, "lorenz63-noisy", settings, scores, page)
    say(f"{report} after {seconds:.0f} s")


def _measured(made: Made, truth: Truth, size, case: str, seconds: float) -> list[Score]:
    """All figures of one model."""
    figures = evaluate(made.cell, truth, size, tangent=False)

    def score(metric, value, units="1", lead=None, published=None):
        return Score(case, made.name, metric, lead, float(value), units, published)

    published = dict(zip(LEADS, made.published, strict=True))
    scores = [
        score("RMSE", figures.rmse[lead - 1], "1", float(lead), published[lead])
        for lead in LEADS
    ]
    scores.append(score("valid prediction time", figures.vpt, "Lyapunov times"))
    scores.append(score("climate distance", figures.climate, "std"))
    scores.append(score("CPU time", seconds, "s"))
    coefficients = _coefficients(made.cell)
    if coefficients is not None:
        wrong = np.abs(coefficients - TRUTH).max()
        terms = int((np.abs(coefficients) > 1e-10).sum())
        right = bool(((np.abs(coefficients) > 1e-10) == (TRUTH != 0)).all())
        scores += [
            score("coefficient error", wrong),
            score("terms", terms),
            score("true terms exactly", right),
        ]
    if made.fitted is not None:
        states = made.fitted.posterior.states
        error = jnp.sqrt(jnp.mean((states - truth.train) ** 2))
        scores.append(score("state RMSE", error))
    if made.name == PRUNED and made.fitted is not None:
        found = parameters(made.fitted)
        for name, (value, std) in found.items():
            scores.append(score(f"error of {name}", abs(value - PARAMETERS[name])))
            scores.append(score(f"standard error of {name}", std))
    return [s for s in scores if np.isfinite(s.value)]


def _medians(scores: list[Score]) -> list[Score]:
    """Over the seeds, of all figures."""
    groups: dict[tuple, list[Score]] = {}
    for s in scores:
        groups.setdefault((s.model, s.metric, s.lead), []).append(s)
    return [
        Score(
            _CASE,
            model,
            metric,
            lead,
            float(
                np.mean(values) if metric == "true terms exactly" else np.median(values)
            ),
            group[0].units,
            group[0].published,
        )
        for (model, metric, lead), group in groups.items()
        for values in [[s.value for s in group]]
    ]


def _coefficients(cell: AbstractCell) -> Float[np.ndarray, "3 10"] | None:
    if not isinstance(cell, Integrated):
        return None
    try:
        return polynomial_coefficients(cell.tendency, 3)
    except InputError:
        return None
