"""The study from simulation to report."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.forecasting import forecast
from tendency.report.provenance import Provenance
from tendency.report.results import write_results
from tendency.scores.chaos import lyapunov_exponent, valid_prediction_time
from tendency.scores.records import Score
from tendency.store import save
from tendency.studies.lorenz63.truth import DT, FULL, LYAPUNOV, NOISE, Truth, simulate
from tendency.studies.lorenz63_latent.models import (
    CLEAN,
    NOISY,
    RATES,
    Plan,
    Start,
    begin,
    go_on,
    window_states,
)
from tendency.studies.lorenz63_latent.page import make_page

LEADS = (1, 4, 8)  # steps
PLANS = ((0.0, CLEAN), (NOISE, NOISY))


class Size(NamedTuple):
    """How much of everything."""

    train: int = 10_000  # values of x
    starts: int = 5
    windows: int = 100
    past: int = 400  # values in a window, besides the last
    ahead: int = 1_800  # steps of the long forecasts
    lyapunov_steps: int = 20_000


SMALL = Size(2_000, 1, 20, 300, 600, 2_000)


class Measured(NamedTuple):
    """The figures of one experiment."""

    reconstruction: float
    rmse: Float[np.ndarray, " lead"]  # of x, from the end of the window
    vpt: float  # of x [Lyapunov times]
    exponent: float
    exponent_error: float
    free_run: Float[np.ndarray, "time 3"]


def run(out: Path, *, seed: int, small: bool, say: Callable[[str], None]) -> None:
    """Write `scores.json`, `report.html` and the models into `out`.

    Raises:
        InputError: something cannot be written.
    """
    began = time.perf_counter()
    size = SMALL if small else Size()
    (out / "models").mkdir(exist_ok=True)
    truth = simulate(eqx.tree_at(lambda s: s.train, FULL, size.train), seed)
    scores, runs = [], {"truth": np.asarray(truth.series[:3_000])}
    for noise, plan in PLANS:
        case = f"noise {noise:g}" if noise else "noise-free"
        measured, costs, seconds = experiment(case, noise, plan, size, truth, out, say)
        runs[case] = measured.free_run
        scores += _scores(case, measured, costs, seconds)
        errors = " ".join(f"{measured.rmse[lead]:.2e}" for lead in (0, *LEADS))
        say(
            f"{case}: reconstruction {measured.reconstruction:.2e}, forecasts {errors},"
            f" VPT {measured.vpt:.2f}, exponent {measured.exponent:.3f}"
        )
    seconds = time.perf_counter() - began
    provenance = Provenance.here(
        seed=seed, wall_seconds=seconds, more={"precision": "float64"}
    )
    settings = {"seed": seed, "small": small, **size._asdict()}
    page = make_page(scores, runs, provenance)
    report = write_results(out, "lorenz63-latent", settings, scores, page)
    say(f"{report} after {seconds:.0f} s")


def experiment(
    case: str,
    noise: float,
    plan: Plan,
    size: Size,
    truth: Truth,
    out: Path,
    say: Callable[[str], None],
) -> tuple[Measured, dict[str, float], float]:
    """Fit from several starts, go on from the best, forecast from windows."""
    clock = time.process_time()
    keys = jax.random.split(jax.random.key(2), 2)
    values = truth.train[:, 0] + noise * jax.random.normal(keys[0], (size.train,))
    variance = noise**2 or 1.0  # without noise only the ratios count
    starts: dict[str, Start] = {}
    for rate in RATES[: size.starts]:
        starts[f"rate {rate:g}"] = found = begin(values, variance, rate, plan)
        say(f"{case}: start with rate {rate:g}, cost {found.cost:.3e}")
    best = min(starts.values(), key=lambda start: start.cost)
    fitted = go_on(best, values, variance, plan)
    seconds = time.process_time() - clock
    save(out / "models" / f"{case.replace(' ', '-')}.safetensors", fitted.cell)

    gap = (len(truth.series) - size.ahead - size.past - 1) // size.windows
    ends = size.past + gap * np.arange(size.windows)
    x = truth.series[:, 0]
    past = x[ends[:, None] + np.arange(-size.past, 1)]
    past = past + noise * jax.random.normal(keys[1], past.shape)
    states = window_states(best, fitted, values, past, variance, plan)
    measured = measure(
        fitted.cell,
        states,
        x[ends[:, None] + np.arange(size.ahead + 1)],
        fitted.posterior.states,
        truth.train[:, 0],
        size.lyapunov_steps,
    )
    return measured, {name: start.cost for name, start in starts.items()}, seconds


def measure(
    cell,
    states: Float[Array, "window 3"],
    later: Float[Array, "window ahead"],
    trained: Float[Array, "time 3"],
    clean: Float[Array, " time"],
    steps: int,
) -> Measured:
    """All figures, of forecasts of x from `states` against what came `later`."""
    ahead = later.shape[1] - 1
    x, exponents, free = _forecasts(cell, states, trained, ahead, steps)
    errors = x - later
    std = float(clean.std())
    vpt = valid_prediction_time(jnp.abs(errors[:, 1:]).T / std, DT) * LYAPUNOV
    return Measured(
        float(jnp.sqrt(jnp.mean((trained[:, 0] - clean) ** 2))),
        np.asarray(jnp.sqrt(jnp.mean(errors**2, axis=0)))[: max(LEADS) + 1],
        float(vpt.mean()),
        float(exponents.mean()),
        float(exponents.std() / len(exponents) ** 0.5),
        np.asarray(free),
    )


@eqx.filter_jit
def _forecasts(cell, states, trained, ahead: int, steps: int):
    def one(state):
        return forecast(cell, cell.init(state), ahead)[1][:, 0]

    x = jnp.concatenate([states[:, :1], jax.vmap(one)(states)], axis=1)
    spread = trained[:: max(1, len(trained) // 16)][:16]
    exponents = jax.vmap(
        lambda state: lyapunov_exponent(cell, cell.init(state), steps, 1_000)
    )(spread)
    return x, exponents, forecast(cell, cell.init(trained[-1]), 3_000)[1]


def _scores(
    case: str, measured: Measured, costs: dict[str, float], seconds: float
) -> list[Score]:
    model = "latent quadratic"
    scores = [
        Score(case, model, "RMSE of x", float(lead), float(measured.rmse[lead]))
        for lead in range(len(measured.rmse))
    ]
    for metric, value, units in (
        ("reconstruction RMSE of x", measured.reconstruction, "1"),
        ("valid prediction time", measured.vpt, "Lyapunov times"),
        ("Lyapunov exponent", measured.exponent, "1 / time"),
        ("standard error of the exponent", measured.exponent_error, "1 / time"),
        ("CPU time", seconds, "s"),
    ):
        scores.append(Score(case, model, metric, None, float(value), units))
    scores += [Score(case, name, "cost", None, cost) for name, cost in costs.items()]
    return [s for s in scores if np.isfinite(s.value)]
