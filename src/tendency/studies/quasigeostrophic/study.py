"""The study from noise to report."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from tendency import __version__
from tendency.files import write_atomically
from tendency.forecasting import forecast
from tendency.report.page import write_page
from tendency.report.provenance import Provenance
from tendency.scores.records import Score, scores_document
from tendency.studies.quasigeostrophic import gyre
from tendency.studies.quasigeostrophic.budget import ENERGIES, RATES, Observed
from tendency.studies.quasigeostrophic.gyre import GYRE, SMALL_GYRE
from tendency.studies.quasigeostrophic.gyre_page import gyre_scores
from tendency.studies.quasigeostrophic.page import make_page
from tendency.studies.quasigeostrophic.reference import CASE, NUMBERS, SKILL
from tendency.studies.quasigeostrophic.setting import (
    DAY,
    FULL,
    MIDLAT,
    SMALL,
    Flow,
    Size,
    model,
    noise,
)
from tendency.studies.quasigeostrophic.skill import Skill, forecast_skill, heights
from tendency.studies.quasigeostrophic.statistics import (
    Spectrum,
    autocorrelation,
    e_folding_distance,
    slope,
    spectrum,
)

Series = dict[str, Float[np.ndarray, " day"]]


class Run(NamedTuple):
    """The ocean after its spin-up, once a day."""

    states: dict[str, Float[np.ndarray, "day y x"]]
    means: Series  # energies [m² / s²] and what changes them [m² / s³]


def run(out: Path, *, seed: int, small: bool, say: Callable[[str], None]) -> None:
    """Write `scores.json` and `report.html` into `out`.

    Raises:
        InputError: something cannot be written.
    """
    began = time.perf_counter()
    size = SMALL if small else FULL
    say(f"{size.spin_up} days of spin-up on {size.points} x {size.points} points")
    ocean = simulate(size, seed)
    say(f"{size.days} days of diagnostics")
    basin = SMALL_GYRE if small else GYRE
    surface = heights(ocean.states)
    curve = spectrum(surface, MIDLAT.length)
    skill = forecast_skill(ocean.states, size.points, size.starts)
    say(
        f"a closed basin: {basin.spin_up} days of spin-up on {basin.points} x "
        f"{basin.points} points, {basin.days} days of diagnostics"
    )
    gyres = gyre.simulate(basin, seed)
    scores = _scores(ocean, surface, curve, skill, size) + gyre_scores(gyres, basin)
    for score in scores:
        if score.lead not in (None, 1, 5, 10, 20):
            continue
        lead = "" if score.lead is None else f" after {score.lead:g} d"
        beside = "" if score.published is None else f" ({score.published:g})"
        units = "" if score.units == "1" else f" {score.units}"
        say(f"{score.model}: {score.metric}{lead} {score.value:.3g}{units}{beside}")
    settings = {"seed": seed, "small": small, "points": size.points, "dt": MIDLAT.dt}
    document = scores_document("quasigeostrophic", __version__, settings, scores)
    text = json.dumps(document, indent=1, allow_nan=False)
    write_atomically(out / "scores.json", text.encode())
    seconds = time.perf_counter() - began
    page = make_page(
        scores,
        ocean.states,
        ocean.means,
        curve,
        size,
        (gyres, basin),
        Provenance.here(seed=seed, wall_seconds=seconds, more={"precision": "float64"}),
    )
    write_page(page, out / "report.html")
    say(f"{out / 'report.html'} after {time.perf_counter() - began:.0f} s")


def simulate(size: Size, seed: int) -> Run:
    """From weak noise to eddies, then a state a day."""
    cell, daily = model(size.points), MIDLAT.steps_a_day
    carry = cell.init(noise(size.points, jax.random.key(seed)))
    before = size.spin_up * daily
    carry, _ = forecast(cell, carry, before, every=before)
    observed = Observed(cell, Flow(size.points))
    steps = size.days * daily
    _, saved = forecast(cell, carry, steps, save=observed, every=daily)
    states, means = jax.tree.map(np.asarray, saved)
    return Run(states, means)


def residual(means: Series) -> float:
    """What the energy changed by and no term accounts for [m² / s³]."""
    energy = np.sum([means[name] for name in ENERGIES], axis=0)
    days = len(energy) - 1
    change = (energy[-1] - energy[0]) / (days * DAY)
    return float(change - sum(np.trapezoid(means[name]) / days for name in RATES))


def _scores(
    ocean: Run,
    surface: Float[np.ndarray, "day y x"],
    curve: Spectrum,
    skill: dict[str, Skill],
    size: Size,
) -> list[Score]:
    name = f"Physics on {size.points} x {size.points}"
    means = ocean.means
    values = {
        ("SSH standard deviation", "m"): surface.std(),
        ("surface eddy kinetic energy", "m2 s-2"): means["surface"].mean(),
        ("spectral slope of SSH, 70 to 250 km", "1"): slope(curve),
        ("e-folding distance of SSH", "km"): (
            e_folding_distance(surface, MIDLAT.length) / 1e3
        ),
        ("kinetic energy", "m2 s-2"): means["kinetic"].mean(),
        ("available potential energy", "m2 s-2"): means["potential"].mean(),
        **{(f"energy by {k}", "nW kg-1"): 1e9 * means[k].mean() for k in RATES},
        ("energy residual", "nW kg-1"): 1e9 * residual(means),
    }
    scores = [
        Score(CASE, name, metric, None, float(value), units, NUMBERS.get(metric))
        for (metric, units), value in values.items()
    ]
    memory = autocorrelation(surface, 20)
    for days in (1, 5, 10, 20):
        metric = "autocorrelation of SSH"
        theirs = NUMBERS.get(f"{metric}, {days}")
        value = float(memory[days])
        scores.append(Score(CASE, name, metric, float(days), value, "1", theirs))
    for who, values_by_day in skill.items():
        for days, value in enumerate(values_by_day):
            theirs = SKILL.get(who, {}).get(days)
            scores.append(
                Score(CASE, who, "skill", float(days), float(value), "1", theirs)
            )
    return scores
