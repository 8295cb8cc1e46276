"""Ensemble and particle filters in twin experiments, cycle by cycle.

Sides agree on the analyses of an unrotated filter from one and the same ensemble; where
random numbers enter, on the mean error or the evidence, as far as these are random.
"""

from benchmarks.measure import Case, Peer

CYCLES = 10_000  # of the ETKF, so that a call weighs little
FEWER = 1_000
_DAPPER, _CUTHBERT = "filters_dapper", "filters_cuthbert"


def _dapper(with_statistics: float, bare: float) -> tuple[Peer, Peer]:
    return (
        Peer(
            "DAPPER, with statistics",
            _DAPPER,
            {"statistics": True},
            with_statistics,
            ".dapper",
        ),
        Peer("DAPPER, its bare loop", _DAPPER, {"statistics": False}, bare, ".dapper"),
    )


def _cuthbert() -> tuple[Peer]:
    return (Peer("Cuthbert", _CUTHBERT, asked=1, environment=".cuthbert"),)


CASES = (
    Case(
        "ETKF, Lorenz-96, 24 members, rotated",
        "cycle",
        _dapper(20, 6),
        {"twin": "L96", "members": 24, "method": "ETKF"},
        tolerance=1e-6,
    ),
    Case(
        "ETKF, Lorenz-63, 10 members, rotated",
        "cycle",
        _dapper(150, 70),
        {"twin": "L63", "members": 10, "method": "ETKF"},
        tolerance=1e-6,
    ),
    Case(
        "stochastic EnKF, Lorenz-96, 40 members",
        "cycle",
        _cuthbert(),
        {"twin": "L96", "members": 40, "method": "stochastic"},
        tolerance=0.1,
    ),
    Case(
        "particle filter, Lorenz-63, 800 particles, noise",
        "cycle",
        _cuthbert(),
        {"twin": "L63", "members": 800, "method": "particles"},
        tolerance=0.02,
    ),
)
NOISE = 2.0  # per square root of time, which particles need


def twin(name, members, cycles, noise=0.0):
    """The cell, observations, an ensemble and the truth, in DAPPER's settings."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    import tendency
    from tendency.physics import Lorenz63, Lorenz96

    if name == "L96":
        cell = tendency.Integrated(Lorenz96(), 0.05)
        start, spread, gap, variance = jnp.zeros(40).at[0].set(1.0), 0.03, 1, 1.0
    else:
        cell = tendency.Integrated(Lorenz63(), 0.01)
        start, spread, gap, variance = jnp.array([1.5, -1.5, 25.5]), 1.4, 25, 2.0
    if noise:
        cell = tendency.Perturbed(cell, noise)
    keys = jax.random.split(jax.random.key(0), 4)
    carry, _ = tendency.forecast(cell, cell.init(start), 1000, key=keys[0])
    _, truth = tendency.forecast(cell, carry, gap * cycles, every=gap, key=keys[1])
    errors = np.sqrt(variance) * jax.random.normal(keys[2], truth.shape)
    steps = gap * np.arange(1, cycles + 1)
    observations = tendency.Observations.of(truth + errors, steps, error=variance)
    ensemble = tendency.ensemble_of(cell, carry, spread, size=members, key=keys[3])
    return cell, observations, ensemble, truth


def prepare(twin, members, method):
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    from benchmarks.assimilation import twin as twin_of
    from tendency import assimilate
    from tendency.assimilation import (
        ETKF,
        Multiplicative,
        ParticleFilter,
        StochasticEnKF,
    )

    noise = NOISE if method == "particles" else 0.0
    cycles = CYCLES if method == "ETKF" else FEWER
    cell, observations, ensemble, truth = twin_of(twin, members, cycles, noise)
    timed = {
        "ETKF": ETKF(Multiplicative(1.02), rotated=True),
        "stochastic": StochasticEnKF(Multiplicative(1.06)),
        "particles": ParticleFilter(threshold=0.5),
    }[method]

    def analyses(method, observations=observations):
        key = jax.random.key(1)
        found = assimilate(cell, ensemble, observations, method, key=key)
        return jax.block_until_ready(found)

    def run(times):
        for _ in range(times):
            analyses(timed)

    if method == "ETKF":
        few = analyses(ETKF(Multiplicative(1.02)), observations[:10])
        agreed = few.analysis_mean.tolist()
    elif method == "stochastic":
        wrong = analyses(timed).analysis_mean - truth
        agreed = float(jnp.sqrt((wrong**2).mean(1))[cycles // 10 :].mean())
    else:
        agreed = float(analyses(timed).log_likelihood.sum())
    problem = {
        "values": observations.values[:FEWER].tolist(),
        "truth": truth[:FEWER].tolist(),
        "ensemble": ensemble.state.tolist(),
    }
    if method == "particles":
        problem["noise"] = NOISE
    return {"problem": problem, "agreed": [agreed], "work": cycles}, run
