"""The joint fit beyond the easy case: what it reaches, and where it stops working.

    .venv/bin/python validation/joint_fit.py [lorenz96] [stops] [networks] [mlp] [cost]

Lorenz-96: 40 variables, steps of 0.05, every second of them observed at each step with
errors of standard deviation 1. Nothing is known of its tendency but that it is the same
quadratic function of five neighbours everywhere, 21 coefficients, all first zero, or
that it is the same function of them everywhere, a network. `stops` changes one thing
at a time; `mlp` is a network on Lorenz-63 with noise of 0.5; `cost` times an iteration
against the length, the size of the state and the number of parameters. Forecasts start
from true states that were not learned from.
"""

import resource
import sys
import time
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from tendency import Integrated, JointFit, Observations, Pruning, Ring, fit, forecast
from tendency.cell import Constant, trainable
from tendency.fitting.first_guess import joint_problem, smoothed
from tendency.fitting.joint import descend, first_search
from tendency.fitting.normal_equations import Unknowns
from tendency.networks import MLP
from tendency.observing import Select
from tendency.physics import Lorenz96
from tendency.scores.chaos import valid_prediction_time
from tendency.statistical import Polynomial, SparseTendency
from tendency.studies.lorenz63.evaluate import evaluate
from tendency.studies.lorenz63.truth import FULL, simulate

jax.config.update("jax_enable_x64", True)
DT = 0.05
LYAPUNOV = 1.67  # [1 / time], of Lorenz-96 with F = 8
RATIOS = (100.0, 10.0, 3.0, 1.0, 0.3, 0.1, 3e-2, 1e-2, 1e-3, 1e-4, 1e-6)
NAMES = ("x", "x[-2]", "x[-1]", "x[+1]", "x[+2]")
TRUE = {(): 8.0, (0,): -1.0, (1, 2): -1.0, (2, 3): 1.0}  # of what NAMES multiply
KEY = jax.random.key(0)


class Twin(NamedTuple):
    """What is learned from, and the truth."""

    train: jax.Array  # (step, variable)
    rest: jax.Array  # later
    observations: Observations
    seen: np.ndarray  # which variables
    guess: jax.Array  # the states that a fit starts from
    noise: float


def twin(size=40, steps=500, spacing=2, noise=1.0, every=1, seed=0) -> Twin:
    """Every `spacing`-th variable at every `every`-th step.

    The first guess is smooth in time where there are observations, and linear around
    the ring between them.
    """
    cell = Integrated(Lorenz96(), DT)
    key, noise_key = jax.random.split(jax.random.key(seed))
    start = 8 + jax.random.normal(key, (size,))
    x = forecast(cell, cell.init(start), 1_400 + steps)[1]
    train, rest = x[400 : 400 + steps], x[400 + steps :]
    seen, at = np.arange(0, size, spacing), np.arange(0, steps, every)
    rows = np.full((steps, len(seen)), np.nan)
    errors = noise * jax.random.normal(noise_key, (steps, len(seen)))
    rows[at] = (train[:, seen] + errors)[at]
    observations = Observations.of(
        rows, range(steps), Select(jnp.asarray(seen)), error=noise**2
    )
    smooth = np.stack([smoothed(column)[0] for column in rows.T], axis=1)
    wrapped = np.concatenate([smooth, smooth[:, :1]], axis=1)
    places = np.append(seen, size)
    guess = np.stack([np.interp(np.arange(size), places, row) for row in wrapped])
    return Twin(train, rest, observations, seen, jnp.asarray(guess), noise)


def quadratic() -> Integrated:
    """21 coefficients, the same at all points, none of them known."""
    active = Constant(jnp.ones((1, 21), bool))
    sparse = SparseTendency(Polynomial(2), jnp.zeros((1, 21)), active, forced=True)
    return Integrated(Ring(sparse, 2), DT)


def truth_coefficients():
    """F = 8, - xᵢ, - xᵢ₋₂ xᵢ₋₁ + xᵢ₋₁ xᵢ₊₁ in the order of the library."""
    return np.asarray([TRUE.get(f, 0.0) for f in Polynomial(2).factors(5)])


def fitted_to(data: Twin, model: Integrated, warm_up=0, ratios=RATIOS):
    """The joint fit, and its CPU seconds."""
    size = data.train.shape[1]
    scale = jnp.full(size, data.noise)
    method = JointFit(ratios, scale, warm_up=warm_up, max_steps=30)
    clock = time.process_time()
    fitted = fit(model, data.observations, method, key=KEY, first_guess=data.guess)
    return fitted, time.process_time() - clock


@eqx.filter_jit
def _ahead(cell, starts):
    return jax.vmap(lambda s: forecast(cell, cell.init(s), 200)[1])(starts)


def skill(cell, data: Twin):
    """Errors of forecasts after 1, 4 and 8 steps; valid time in Lyapunov times."""
    starts = data.rest[:800:10]
    truth, mine = (_ahead(c, starts) for c in (Integrated(Lorenz96(), DT), cell))
    rmse = jnp.sqrt(jnp.mean((mine - truth) ** 2, axis=(0, 2)))
    spread = jnp.sqrt(jnp.sum(data.train.std(0) ** 2))
    errors = jnp.linalg.norm(mine - truth, axis=-1) / spread
    vpt = valid_prediction_time(errors.T, DT).mean() * LYAPUNOV
    return [float(rmse[k - 1]) for k in (1, 4, 8)], float(vpt)


class Found(NamedTuple):
    """The figures of one fit."""

    seen: float  # root mean square error of the states that are observed
    hidden: float  # of the others
    rmse: list[float]  # of forecasts after 1, 4 and 8 steps
    valid: float  # [Lyapunov times]
    error: float  # of the coefficients, the largest
    z: float  # root mean square of errors over standard errors
    misfit: float  # 1 is right
    iterations: int
    seconds: float


def found(data: Twin, fitted: Any, seconds: float) -> Found:
    """Against the truth; the first and last 50 states, seen from one side, are out."""
    wrong = np.asarray((fitted.posterior.states - data.train)[50:-50])
    hidden = np.setdiff1d(np.arange(wrong.shape[1]), data.seen)
    error = z = np.nan
    if isinstance(fitted.cell.tendency.tendency, SparseTendency):
        values, stds = (
            np.asarray(c.tendency.tendency.coefficients)[0]
            for c in (fitted.cell, fitted.posterior.parameter_std)
        )
        off = values - truth_coefficients()
        error, z = np.abs(off).max(), np.sqrt(np.nanmean((off / stds) ** 2))
    states = (np.sqrt(np.mean(wrong[:, c] ** 2)) for c in (data.seen, hidden) if len(c))
    seen, unseen = [*states, np.nan][:2]
    misfit = fitted.history["observation_misfit"][-1]
    return Found(
        seen, unseen, *skill(fitted.cell, data), error, z, misfit, fitted.best, seconds
    )


def line(cells) -> None:
    print("| " + " | ".join(str(c) for c in cells) + " |", flush=True)


def head(*titles) -> None:
    line(titles)
    line("---" for _ in titles)


def told(what: str, of: Found) -> None:
    line((
        what, f"{of.seen:.3f}", f"{of.hidden:.3f}", *(f"{e:.4f}" for e in of.rmse),
        f"{of.valid:.1f}", f"{of.error:.4f}", f"{of.z:.2f}", f"{of.misfit:.3f}",
        of.iterations, f"{of.seconds:.0f}",
    ))  # fmt: skip


TITLES = (
    "observed", "error of what is seen", "of what is not", "forecast 1 step", "4", "8",
    "valid", "coefficients", "rms z", "misfit", "iterations", "CPU s",
)  # fmt: skip


def lorenz96():
    """All, half and a quarter observed; then insignificant coefficients removed."""
    head(*TITLES)
    for spacing in (1, 2, 4):
        data = twin(spacing=spacing)
        fitted, seconds = fitted_to(data, quadratic())
        told(f"1 of {spacing}", found(data, fitted, seconds))
        if spacing != 2:
            continue
        method = JointFit(RATIOS[-2:], jnp.ones(40), Pruning(), 0, max_steps=30)
        clock = time.process_time()
        guess = fitted.posterior.states
        fitted = fit(fitted.cell, data.observations, method, key=KEY, first_guess=guess)
        seconds = time.process_time() - clock
        told(f"1 of {spacing}, pruned", found(data, fitted, seconds))
        errors = fitted.posterior.parameter_std.tendency.tendency.coefficients
        print(fitted.cell.tendency.tendency.equations(NAMES, errors=errors))


def stops():
    """One thing changed at a time, three seeds each, of 20 variables."""
    head(
        "changed", "converged", "error of what is not seen", "forecast 4 steps",
        "valid", "coefficients", "rms z", "misfit", "CPU s",
    )  # fmt: skip
    changes: tuple[dict[str, Any], ...] = (
        {},
        *({"spacing": s} for s in (4, 5)),
        *({"noise": s} for s in (2.0, 4.0)),
        *({"every": s} for s in (2, 4)),
        *({"steps": s} for s in (125, 250)),
        {"size": 10},
    )
    for change in changes:
        changed(change)


def changed(change: dict[str, Any]) -> None:
    """One line of that table."""
    all_found = []
    for seed in range(3):
        data = twin(**{"size": 20, **change, "seed": seed})
        all_found.append(found(data, *fitted_to(data, quadratic())))
    good = [f for f in all_found if f.misfit < 1.2 and f.hidden < data.noise]
    # A model whose forecasts leave the range of numbers errs without bound.
    medians: Any = [
        np.median(np.nan_to_num(a, nan=np.inf), axis=0)
        for a in zip(*all_found, strict=True)
    ]
    of = Found(*medians)
    what = ", ".join(f"{k} {v}" for k, v in change.items()) or "nothing"
    line((
        what, f"{len(good)} of 3", f"{of.hidden:.3f}", f"{of.rmse[1]:.4f}",
        f"{of.valid:.1f}", f"{of.error:.3f}", f"{of.z:.2f}", f"{of.misfit:.3f}",
        f"{of.seconds:.0f}",
    ))  # fmt: skip


def network(data: Twin, width: int) -> Integrated:
    """One hidden layer, the same at all points, whose last weights are zero."""
    around = Ring(lambda x, beside: x, 2).around
    beside = jax.vmap(around)(data.guess)[:, 0]
    of = MLP.of(
        data.guess[:, :1], width, 1, jax.nn.silu, dt=DT, forcing=beside, key=KEY
    )
    last = lambda m: (m.layers[-1].weight, m.layers[-1].bias)  # noqa: E731
    of = eqx.tree_at(last, of, replace_fn=jnp.zeros_like)
    return Integrated(Ring(of, 2), DT)


def numbers(fitted) -> int:
    """How many were learned."""
    return len(fitted.posterior.parameter_covariance)


def networks():
    """Lorenz-96 by networks that do not contain it, 20 variables."""
    head(*TITLES)
    for width, spacing in ((8, 1), (8, 2), (16, 2), (32, 2)):
        data = twin(20, spacing=spacing)
        fitted, seconds = fitted_to(data, network(data, width))
        what = f"{width} units, {numbers(fitted)} numbers, 1 of {spacing}"
        told(what, found(data, fitted, seconds))


def mlp():
    """Lorenz-63, noise of 0.5, by networks that do not contain it, stage by stage."""
    head(
        "units", "numbers", "ratio", "error of states", "forecast 1 step", "4", "8",
        "valid", "misfit", "CPU s",
    )  # fmt: skip
    truth = simulate(FULL, 0)
    observations = Observations.of(truth.noisy, range(len(truth.noisy)), error=0.25)
    for width in (12, 24):
        of = MLP.of(truth.noisy, width, 1, jax.nn.silu, dt=0.1, key=KEY)
        cell, states, seconds = Integrated(of, 0.01), None, 0.0
        for ratio in (4e-2, 4e-3, 4e-4, 4e-5, 4e-6):
            method = JointFit((ratio,), warm_up=0 if seconds else 40, max_steps=40)
            clock = time.process_time()
            fitted = fit(cell, observations, method, key=KEY, first_guess=states)
            seconds += time.process_time() - clock
            cell, states = fitted.cell, fitted.posterior.states
            of = evaluate(cell, truth, FULL, False)
            error = float(jnp.sqrt(jnp.mean((states - truth.train) ** 2)))
            line((
                width, numbers(fitted), f"{ratio:g}", f"{error:.3f}",
                *(f"{of.rmse[lead - 1]:.4f}" for lead in (1, 4, 8)), f"{of.vpt:.1f}",
                f"{fitted.history['observation_misfit'][-1]:.4f}", f"{seconds:.0f}",
            ))  # fmt: skip


def iteration(data: Twin, model: Integrated, count=4) -> tuple[int, float]:
    """The numbers that are learned; CPU seconds of a Gauss-Newton iteration."""
    weights, fixed = eqx.partition(model, trainable(model))
    problem, states = joint_problem(
        fixed,
        weights,
        [data.observations],
        [data.guess],
        None,
        jnp.ones(data.seen.size),
    )
    theta, _ = ravel_pytree(weights)
    now = first_search(Unknowns(states, theta))

    def run(limit):
        free, hold = jnp.ones_like(theta), jnp.asarray(False)
        settings = jnp.asarray(0.1), free, jnp.asarray(limit), hold
        return int(descend(problem, now, settings, jnp.asarray(0.0), count)[1])

    run(1)  # compiles
    clock = time.process_time()
    steps = run(count)
    return theta.size, (time.process_time() - clock) / steps


def cost():
    """An iteration against the length, the size of the state and the parameters."""
    head("components", "steps", "numbers", "CPU s", "memory so far [GB]")
    of_size = ((size, 250, None) for size in (5, 10, 20, 40, 80, 160))
    of_length = ((10, steps, None) for steps in (1_000, 4_000, 16_000))
    of_numbers = ((10, 1_000, width) for width in (8, 32, 128))
    for size, steps, width in (*of_length, *of_numbers, *of_size):
        data = twin(size, steps, spacing=1)
        model = quadratic() if width is None else network(data, width)
        many, seconds = iteration(data, model)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        line((size, steps, many, f"{seconds:.3f}", f"{memory:.1f}"))


STEPS = {f.__name__: f for f in (lorenz96, stops, networks, mlp, cost)}

if __name__ == "__main__":
    for name in sys.argv[1:] or STEPS:
        print(f"\n{STEPS[name].__doc__}\n")
        STEPS[name]()
