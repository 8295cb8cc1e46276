"""Twin experiments in DAPPER's settings: errors of each filter, and what they cost.

    OMP_NUM_THREADS=1 XLA_FLAGS=--xla_cpu_multi_thread_eigen=false \
        .venv/bin/python validation/assimilation.py [cycles] [seeds] [rows]

Lorenz-63: steps of 0.01, all three components observed every 0.25 with variance 2.
Lorenz-96: 40 components, steps of 0.05, all observed at each with variance 1. Errors
are the root of the mean square over the components, averaged over all cycles but the
first twentieth; CPU seconds are those of the second run, after compilation. `rows` is a
part of a twin and a method: "L96 ETKF".
"""

import sys
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tendency import Integrated, Observations, assimilate, ensemble_of, forecast
from tendency.assimilation import (
    ETKF,
    LETKF,
    DEnKF,
    EnKFN,
    Euclidean,
    Localisation,
    Multiplicative,
    ParticleFilter,
    SerialEnSRF,
    StochasticEnKF,
)
from tendency.cell import AbstractCell
from tendency.physics import Lorenz63, Lorenz96

jax.config.update("jax_enable_x64", True)


class Twin(NamedTuple):
    cell: AbstractCell
    start: jax.Array
    deviation: float  # of the truth's start and of the first ensemble
    gap: int
    variance: float


TWINS = {
    "L63": Twin(
        Integrated(Lorenz63(), 0.01),
        jnp.array([1.509, -1.531, 25.46]),
        np.sqrt(2.0),
        25,
        2.0,
    ),
    "L96": Twin(
        Integrated(Lorenz96(), 0.05), jnp.zeros(40).at[0].set(1.0), 0.03, 1, 1.0
    ),
}

RING = np.arange(40.0)[:, None]  # where the components of Lorenz-96 stand
NEAR = Localisation(4.0, RING, Euclidean((40.0,)))

# Twin, members, method, what it must reach (median over seeds).
CASES = [
    ("L63", 10, "ETKF 1.02, rotated", ETKF(Multiplicative(1.02), rotated=True), 0.62),
    ("L63", 100, "stochastic", StochasticEnKF(), 0.57),
    ("L63", 10, "EnKF-N, rotated", EnKFN(rotated=True), 0.57),
    ("L96", 24, "ETKF 1.02, rotated", ETKF(Multiplicative(1.02), rotated=True), 0.182),
    (
        "L96",
        28,
        "EnSRF 1.02, rotated",
        SerialEnSRF(Multiplicative(1.02), rotated=True),
        0.182,
    ),
    ("L96", 40, "DEnKF 1.01", DEnKF(Multiplicative(1.01)), 0.185),
    ("L96", 24, "EnKF-N x2, rotated", EnKFN(weight=2.0, rotated=True), 0.19),
    (
        "L96",
        7,
        "LETKF 1.04, length 4",
        LETKF(Multiplicative(1.04), localisation=NEAR),
        0.22,
    ),
    (
        "L63",
        800,
        "particles, jitter 0.9",
        ParticleFilter(threshold=0.2, jitter=0.9),
        0.27,
    ),
    ("L96", 40, "stochastic 1.06", StochasticEnKF(Multiplicative(1.06)), 0.225),
]


def run(twin: Twin, members: int, method, cycles: int, seed: int):
    """The mean error of the analyses, the mean spread and the CPU seconds."""
    keys = jax.random.split(jax.random.key(seed), 4)
    n = twin.start.size
    begin = twin.start + twin.deviation * jax.random.normal(keys[0], (n,))
    steps = twin.gap * np.arange(1, cycles + 1)
    _, truth = forecast(
        twin.cell, twin.cell.init(begin), twin.gap * cycles, every=twin.gap
    )
    noise = np.sqrt(twin.variance) * jax.random.normal(keys[1], truth.shape)
    obs = Observations.of(
        truth + noise, steps, error=twin.variance, positions=np.arange(n)[:, None]
    )
    prior = ensemble_of(
        twin.cell, twin.start, twin.deviation, size=members, key=keys[2]
    )
    for _ in range(2):
        began = time.process_time()
        found = assimilate(twin.cell, prior, obs, method, key=keys[3])
        jax.block_until_ready(found.analysis_mean)
        spent = time.process_time() - began
    kept = slice(cycles // 20, None)
    error = jnp.sqrt(((found.analysis_mean - truth) ** 2).mean(1))[kept].mean()
    spread = jnp.sqrt((found.analysis_spread**2).mean(1))[kept].mean()
    return float(error), float(spread), spent


def main(cycles: int = 10_000, seeds: int = 4, only: str = "") -> None:
    head = (
        "twin",
        "N",
        "method",
        "median",
        "range",
        "lost",
        "asked",
        "spread",
        "CPU s",
    )
    print("{:5}{:>4}  {:20}{:>7}{:>15}{:>8}{:>7}{:>8}{:>7}".format(*head))
    for name, members, label, method, asked in CASES:
        if only not in f"{name} {label}":
            continue
        runs = [run(TWINS[name], members, method, cycles, s) for s in range(seeds)]
        error, spread, spent = np.array(runs).T
        between = f"{error.min():.3f}-{error.max():.3f}"
        # Astray for long: a mean error beyond 0.6 of the observations'.
        lost = f"{(error > 0.6 * TWINS[name].variance ** 0.5).sum()}/{seeds}"
        print(
            f"{name:5}{members:4}  {label:20}{np.median(error):7.3f}{between:>15}"
            f"{lost:>8}{asked:7.3f}{np.median(spread):8.3f}{np.median(spent):7.2f}",
            flush=True,
        )


if __name__ == "__main__":
    cycles, seeds, only = sys.argv[1:] + ["10000", "4", ""][len(sys.argv) - 1 :]
    main(int(cycles), int(seeds), only)
