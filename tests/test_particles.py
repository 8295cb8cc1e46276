"""Particle filters: against the Kalman filter, and what resampling keeps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import Map

from tendency import (
    Gaussian,
    InputError,
    Observations,
    Perturbed,
    assimilate,
    ensemble_of,
)
from tendency.assimilation import FilterDivergence, KalmanFilter, ParticleFilter
from tendency.assimilation.particles import systematic
from tendency.cell import Carry

KEY = jax.random.key(0)
T = 20
CELL = Map(jnp.array([[0.9, 0.2], [-0.2, 0.8]]), jnp.array([0.1, 0.0]))


def _problem():
    rng = np.random.default_rng(0)
    A, x, y = np.asarray(CELL.matrix), np.zeros(2), []
    for _ in range(T):
        x = A @ x + [0.1, 0.0] + 0.5 * rng.normal(size=2)
        y.append(x + 0.7 * rng.normal(size=2))
    y = np.array(y)
    y[4] = y[7, 0] = np.nan
    obs = Observations.of(y, np.arange(1, T + 1), error=0.49)
    prior = Gaussian(Carry(jnp.zeros(2)), jnp.eye(2))
    method = KalmanFilter(0.25 * jnp.eye(2))
    return obs, assimilate(CELL, prior, obs, method, key=KEY)


def weights(cycle):
    return cycle.analysis.log_weights


def test_particles_tend_to_the_kalman_filter():
    """Means, spreads and log-evidence, with errors that fall as the root of N."""
    obs, exact = _problem()
    cell, size = Perturbed(CELL, 0.5), 2000
    method = ParticleFilter()

    @jax.jit
    @jax.vmap
    def found(key):
        prior = ensemble_of(cell, jnp.zeros(2), 1.0, size=size, key=key)
        run = assimilate(cell, prior, obs, method, key=key)
        total = run.log_likelihood.sum()
        return run.analysis_mean, run.analysis_spread, total, run.effective_size

    found_all = map(np.asarray, found(jax.random.split(KEY, 24)))
    means, spreads, totals, sizes = found_all
    error = np.sqrt(((means - np.asarray(exact.analysis_mean)) ** 2).mean())
    assert error < 4 * np.sqrt(0.2 / size)  # a posterior variance of 0.2 at most
    assert np.abs(spreads.mean(0) - exact.analysis_spread).max() < 0.01
    away = totals - float(exact.log_likelihood.sum())
    assert away.std() < 0.25
    # E[exp] is 1 exactly; its mean is within five standard errors.
    ratio = np.exp(away)
    assert abs(ratio.mean() - 1) < 5 * ratio.std() / np.sqrt(24) + 1e-3
    seen = sizes[:, np.delete(np.arange(T), 4)]
    assert (seen > 1).all()
    assert (seen < size).all()


def test_one_analysis_is_importance_sampling():
    """Of weighted particles: w p(y | x), normalised; the evidence is the sum."""
    rng = np.random.default_rng(1)
    members, y = rng.normal(size=(6, 2)), np.array([[0.3, np.nan]])
    still = Map(jnp.eye(2), jnp.zeros(2))
    obs = Observations.of(np.concatenate([y, y + 0.4]), [0, 1], error=0.5)
    method = ParticleFilter(threshold=1e-9)
    run = assimilate(
        still, Carry(jnp.asarray(members)), obs, method, save=weights, key=KEY
    )
    likely = [
        np.exp(-((v - members[:, 0]) ** 2) / (2 * 0.5)) / np.sqrt(2 * np.pi * 0.5)
        for v in (0.3, 0.7)
    ]
    first = likely[0] / likely[0].sum()
    second = first * likely[1] / (first @ likely[1])
    assert np.abs(np.exp(run.saved) - [first, second]).max() < 1e-14
    evidence = np.log([likely[0].mean(), first @ likely[1]])
    assert np.abs(run.log_likelihood - evidence).max() < 1e-14
    assert np.abs(run.effective_size[0] - 1 / (first**2).sum()) < 1e-13
    assert np.abs(run.analysis_mean[1] - second @ members).max() < 1e-14
    spread = np.sqrt(second @ (members - second @ members) ** 2 / (1 - second @ second))
    assert np.abs(run.analysis_spread[1] - spread).max() < 1e-14


def test_systematic_resampling_rounds_the_expected_copies():
    w = np.random.default_rng(2).dirichlet(np.ones(7))
    w[3] = 0
    w /= w.sum()
    draw = jax.jit(jax.vmap(systematic, (0, None)))
    found = draw(jax.random.split(KEY, 4000), jnp.log(jnp.asarray(w)))
    counts = np.stack([(np.asarray(found) == i).sum(1) for i in range(7)], 1)
    assert (counts >= np.floor(7 * w)[None]).all()
    assert (counts <= np.ceil(7 * w)[None]).all()
    assert np.abs(counts.mean(0) - 7 * w).max() < 0.05  # six standard errors


def test_jitter_moves_copies_alone_and_keeps_the_covariance():
    rng = np.random.default_rng(3)
    N = 3000
    members = rng.normal(size=(N, 2)) @ np.array([[2.0, 0.0], [1.0, 0.5]])
    still = Map(jnp.eye(2), jnp.zeros(2))
    obs = Observations.of(np.zeros((1, 2)), [0], error=1.0)
    prior = Carry(jnp.asarray(members))

    def after(jitter):
        method = ParticleFilter(threshold=1.0, jitter=jitter)
        found = assimilate(still, prior, obs, method, key=KEY)
        assert np.abs(np.exp(found.final.belief.log_weights) - 1 / N).max() < 1e-15
        return np.asarray(found.final.belief.ensemble.state)

    plain, moved = after(0.0), after(2.0)
    copy = np.append(False, (plain[1:] == plain[:-1]).all(1))
    assert 0.2 < copy.mean() < 0.8
    assert np.array_equal((moved != plain).any(1), copy)
    w = np.exp(-0.5 * (members**2).sum(1))
    expected = np.cov(members.T, aweights=w) * (2 * N ** (-1 / 6)) ** 2
    noise = np.cov((moved - plain)[copy].T)
    assert np.abs(noise - expected).max() < 0.15 * expected.max()


def test_degenerate_weights_are_said_and_members_without_a_number_left_out():
    rng = np.random.default_rng(4)
    cell = Perturbed(CELL, 0.5)
    prior = ensemble_of(cell, jnp.zeros(2), 1.0, size=20, key=KEY)
    far = Observations.of(rng.normal(size=(9, 2)), np.arange(1, 10), error=1e-4)
    with pytest.warns(FilterDivergence, match=r"degenerate: at 9 of 9 times"):
        assimilate(cell, prior, far, ParticleFilter(), key=KEY)
    spoilt = Carry(prior.state.at[3, 0].set(jnp.nan))
    with pytest.warns(FilterDivergence, match="member 3 at step 1"):
        found = assimilate(
            cell,
            spoilt,
            Observations.of(np.zeros((2, 2)), [1, 2], error=1.0),
            ParticleFilter(threshold=0.01),
            key=KEY,
        )
    assert np.isfinite(found.analysis_mean).all()
    assert not found.failed[1].any()


def test_what_is_no_particle_filter_is_refused():
    for given, said in (
        ({"threshold": 0.0}, "threshold of resampling is 0.0"),
        ({"jitter": -1.0}, "jitter is -1.0"),
    ):
        with pytest.raises(InputError, match=said):
            ParticleFilter(**given)
    obs = Observations.of(np.zeros((1, 2)), [1], error=1.0)
    with pytest.raises(InputError, match="ParticleFilter was given a prior of the ty"):
        assimilate(
            CELL,
            Gaussian(Carry(jnp.zeros(2)), jnp.eye(2)),
            obs,
            ParticleFilter(),
            key=KEY,
        )
