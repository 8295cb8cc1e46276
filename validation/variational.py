"""Variational methods and the IEnKS in DAPPER's settings, and 4DVar over segments.

    OMP_NUM_THREADS=1 XLA_FLAGS=--xla_cpu_multi_thread_eigen=false \
        .venv/bin/python validation/variational.py [cycles] [seeds] [segments]

Lorenz-63: steps of 0.01, all three components observed every 0.25 with variance 2.
Lorenz-96: 40 components, steps of 0.05, all observed with variance 1, at every step or
at every fourth. Static covariances are those of the climate, times a scale. Errors are
the root of the mean square over the components, averaged over all cycles but the first
twentieth; those of smoothers leave out the last ten too.

The segments: Lorenz-63, 10 units of time, x or x, y, z observed every 8 steps with
variance 2; nothing else is known but the climate. Errors are the root of the mean
square over a segment's observed times and components, averaged over segments.
"""

import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tendency import (
    Gaussian,
    Integrated,
    Observations,
    assimilate,
    ensemble_of,
    forecast,
)
from tendency.assimilation import (
    AbstractMethod,
    FourDVar,
    GaussNewton,
    IEnKS,
    Multiplicative,
    OptimalInterpolation,
    ThreeDVar,
    climatology,
)
from tendency.cell import AbstractCell, Carry
from tendency.observing import Select
from tendency.physics import Lorenz63, Lorenz96

jax.config.update("jax_enable_x64", True)


class Twin(NamedTuple):
    cell: AbstractCell
    start: jax.Array
    deviation: float  # of the truth's start and of the first ensemble
    gap: int
    variance: float


L63 = Integrated(Lorenz63(), 0.01)
L96 = Integrated(Lorenz96(), 0.05)
TWINS = {
    "L63": Twin(L63, jnp.array([1.509, -1.531, 25.46]), np.sqrt(2.0), 25, 2.0),
    "L96": Twin(L96, jnp.zeros(40).at[0].set(1.0), 0.03, 1, 1.0),
    "L96, every 4th": Twin(L96, jnp.zeros(40).at[0].set(1.0), 0.03, 4, 1.0),
}


class Case(NamedTuple):
    twin: str
    label: str
    method: Callable[[jax.Array], AbstractMethod]  # of states of the climate
    asked: float
    smoother: float | None = None  # asked of the smoothed states
    members: int | None = None


CASES = [
    Case(
        "L63",
        "OI from the climate",
        lambda states: OptimalInterpolation(climatology(states), states.mean(0)),
        1.23,
    ),
    Case("L63", "3DVar", lambda states: ThreeDVar(climatology(states, 0.1)), 1.03),
    Case(
        "L63",
        "IEnKS",
        lambda _: IEnKS(rotated=True),
        0.32,
        0.24,
        10,
    ),
    Case(
        "L96",
        "OI from the climate",
        lambda states: OptimalInterpolation(climatology(states), states.mean(0)),
        0.94,
    ),
    Case("L96", "3DVar", lambda states: ThreeDVar(climatology(states, 0.02)), 0.435),
    Case(
        "L96, every 4th",
        "IEnKS, lag 4",
        lambda _: IEnKS(Multiplicative(1.03), lag=4, rotated=True),
        0.30,
        0.16,
        20,
    ),
    Case(
        "L96, every 4th",
        "4DVar, lag 4",
        lambda states: FourDVar(climatology(states, 0.002), lag=4, shift=1),
        0.40,
    ),
]


def run(case: Case, cycles: int, seed: int):
    """Mean errors of analyses and of smoothed states, CPU seconds."""
    twin = TWINS[case.twin]
    keys = jax.random.split(jax.random.key(seed), 4)
    begin = twin.start + twin.deviation * jax.random.normal(keys[0], twin.start.shape)
    steps = twin.gap * np.arange(1, cycles + 1)
    carry = twin.cell.init(begin)
    _, truth = forecast(twin.cell, carry, twin.gap * cycles, every=twin.gap)
    _, climate = forecast(twin.cell, twin.cell.init(truth[-1]), 100_000, every=10)
    noise = np.sqrt(twin.variance) * jax.random.normal(keys[1], truth.shape)
    obs = Observations.of(truth + noise, steps, error=twin.variance)
    prior = twin.cell.init(twin.start)
    if case.members is not None:
        prior = ensemble_of(
            twin.cell, prior, twin.deviation, size=case.members, key=keys[2]
        )
    method = case.method(climate)
    for _ in range(2):
        began = time.process_time()
        found = assimilate(twin.cell, prior, obs, method, key=keys[3])
        jax.block_until_ready(found.analysis_mean)
        spent = time.process_time() - began

    def error(states, kept):
        return float(jnp.sqrt(((states - truth) ** 2).mean(1))[kept].mean())

    smoothed = np.nan
    if found.smoothed_mean is not None:
        smoothed = error(found.smoothed_mean, slice(cycles // 20, -10))
    return error(found.analysis_mean, slice(cycles // 20, None)), smoothed, spent


def segments(number: int, observed: list[int]):
    """Errors of the smoothed states of each segment, and CPU seconds for all."""
    key = jax.random.key(0)
    carry, climate = forecast(L63, L63.init(TWINS["L63"].start), 100_000, every=10)
    climate = climate[100:]
    prior = Gaussian(Carry(climate.mean(0)), jnp.cov(climate.T))
    # The window grows by 5 times: a window as long as the memory has many minima.
    method = FourDVar(lag=125, growth=5, minimiser=GaussNewton(steps=20))
    errors, spent = [], 0.0
    for i in range(number):
        carry, _ = forecast(L63, carry, 2000)
        _, truth = forecast(L63, carry, 1000, every=8)
        noise = np.sqrt(2) * jax.random.normal(jax.random.fold_in(key, i), truth.shape)
        operator = Select(jnp.asarray(observed))
        obs = Observations.of(
            (truth + noise)[:, jnp.asarray(observed)],
            8 * np.arange(1, 126),
            operator,
            error=2.0,
        )
        began = time.process_time()
        found = assimilate(L63, prior, obs, method, key=key)
        errors.append(float(jnp.sqrt(((found.smoothed_mean - truth) ** 2).mean())))
        spent += time.process_time() - began if i else 0.0
    return np.array(errors), spent


def main(cycles: int = 10_000, seeds: int = 4, number: int = 24) -> None:
    head = ("twin", "method", "median", "range", "asked", "smoother", "asked", "CPU s")
    print("{:15}{:21}{:>7}{:>14}{:>7}{:>9}{:>7}{:>8}".format(*head))
    for case in CASES:
        runs = [run(case, cycles, seed) for seed in range(seeds)]
        error, smoothed, spent = np.array(runs).T
        between = f"{error.min():.3f}-{error.max():.3f}"
        print(
            f"{case.twin:15}{case.label:21}{np.median(error):7.3f}{between:>14}"
            f"{case.asked:7.3f}{np.median(smoothed):9.3f}"
            f"{case.smoother or np.nan:7.3f}{np.median(spent):8.2f}",
            flush=True,
        )
    for observed, asked in (([0], 0.32), ([0, 1, 2], 0.12)):
        errors, spent = segments(number, observed)
        names = ", ".join("xyz"[i] for i in observed)
        print(
            f"{number} segments, {names} observed: {errors.mean():.3f} +- "
            f"{errors.std(ddof=1) / number**0.5:.3f}, median {np.median(errors):.3f}, "
            f"from {errors.min():.3f} to {errors.max():.3f} (asked {asked:.2f}), "
            f"{spent:.1f} CPU s",
            flush=True,
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
