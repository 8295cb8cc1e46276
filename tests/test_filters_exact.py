"""Filters and smoothers of a linear model against the Gaussian posterior itself."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import Map

from tendency import Gaussian, Observations, assimilate
from tendency.assimilation import (
    ETKF,
    DEnKF,
    EnKFN,
    EnsembleSmoother,
    FilterDivergence,
    KalmanFilter,
    RauchTungStriebel,
    SerialEnSRF,
    StochasticEnKF,
)
from tendency.cell import Carry
from tendency.observing import DenseCovariance, DiagonalCovariance, Linear

N, n, T, GAP = 7, 4, 40, 2
KEY = jax.random.key(0)


def _dynamics():
    q, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(n, n)))
    return 0.98 * q, np.array([0.1, -0.2, 0.0, 0.3])


def _problem(seed=0, seen=3):
    rng = np.random.default_rng(seed)
    A, b = _dynamics()
    H = rng.normal(size=(seen, n))
    root = rng.normal(size=(seen, seen)) + 2 * np.eye(seen)
    R = root @ root.T
    members = 5 + rng.normal(size=(N, n)) @ rng.normal(size=(n, n))
    y = 5 + 2 * rng.normal(size=(T, seen))
    steps = GAP * np.arange(1, T + 1)
    obs = Observations.of(y, steps, Linear(jnp.asarray(H)), error=DenseCovariance(R))
    cell = Map(jnp.asarray(A), jnp.asarray(b))
    return cell, Carry(jnp.asarray(members)), obs, (A, b, H, R, members, y)


def _posterior(A, b, H, R, mean, P0, y, Q):
    """Means and covariances of x at the observed times, given all: one dense solve."""
    times = len(y)
    A2, b2 = A @ A, A @ b + b
    Q2 = A @ Q @ A.T + Q
    size = (times + 1) * n
    means, joint = np.zeros((times + 1, n)), np.zeros((size, size))
    means[0], joint[:n, :n] = mean, P0
    for t in range(1, times + 1):
        here, last = slice(t * n, t * n + n), slice(t * n - n, t * n)
        means[t] = A2 @ means[t - 1] + b2
        joint[here, : t * n] = A2 @ joint[last, : t * n]
        joint[: t * n, here] = joint[here, : t * n].T
        joint[here, here] = A2 @ joint[last, last] @ A2.T + Q2
    wide = np.kron(np.eye(times + 1)[1:], H)
    S = wide @ joint @ wide.T + np.kron(np.eye(times), R)
    d = y.ravel() - wide @ means.ravel()
    K = np.linalg.solve(S, wide @ joint).T
    mean = (means.ravel() + K @ d).reshape(times + 1, n)[1:]
    joint = joint - K @ wide @ joint
    blocks = [joint[i : i + n, i : i + n] for i in range(n, size, n)]
    _, log_det = np.linalg.slogdet(2 * np.pi * S)
    return mean, np.array(blocks), -0.5 * (d @ np.linalg.solve(S, d) + log_det)


def _filtered(A, b, H, R, members, y, Q):
    """Means and covariances after each analysis, and log-likelihoods of each time."""
    x, P = members.mean(0), np.cov(members.T)
    means, covariances, likelihoods = [], [], []
    for row in y:
        for _ in range(GAP):
            x, P = A @ x + b, A @ P @ A.T + Q
        S, d = H @ P @ H.T + R, row - H @ x
        K = np.linalg.solve(S, H @ P).T
        x, P = x + K @ d, P - K @ H @ P
        _, log_det = np.linalg.slogdet(2 * np.pi * S)
        means.append(x)
        covariances.append(P)
        likelihoods.append(-0.5 * (d @ np.linalg.solve(S, d) + log_det))
    return np.array(means), np.array(covariances), np.array(likelihoods)


def ensembles(cycle):
    return cycle.analysis.ensemble.state


def _covariances(states):
    anomalies = states - states.mean(1, keepdims=True)
    return np.einsum("tmi,tmj->tij", anomalies, anomalies) / (states.shape[1] - 1)


def _gap(method, seen):
    """How far an ensemble filter is from the Kalman filter, over all cycles."""
    cell, prior, obs, numbers = _problem(seen=seen)
    found = assimilate(cell, prior, obs, method, save=ensembles, key=KEY)
    mean, covariance, likelihood = _filtered(*numbers, np.zeros((n, n)))
    return (
        np.abs(found.analysis_mean - mean).max(),
        np.abs(_covariances(np.asarray(found.saved)) - covariance).max(),
        np.abs(found.log_likelihood / likelihood - 1).max(),
    )


SQUARE_ROOTS = [ETKF(), ETKF(rotated=True), SerialEnSRF(), SerialEnSRF(rotated=True)]


@pytest.mark.filterwarnings("ignore:the filter has lost")  # values are at random
@pytest.mark.parametrize("seen", [3, 5])  # fewer than half of the members, and more
@pytest.mark.parametrize("method", SQUARE_ROOTS)
def test_square_root_filters_are_the_kalman_filter(method, seen):
    mean, covariance, likelihood = _gap(method, seen)
    assert mean < 1e-11
    assert covariance < 1e-11
    assert likelihood < 1e-11


def test_the_deterministic_filter_keeps_more_spread_than_the_kalman_filter():
    cell, prior, obs, numbers = _problem()
    found = assimilate(cell, prior, obs[:1], DEnKF(), save=ensembles, key=KEY)
    mean, covariance, _ = _filtered(*numbers, np.zeros((n, n)))
    assert np.abs(found.analysis_mean[0] - mean[0]).max() < 1e-12
    excess = _covariances(np.asarray(found.saved))[0] - covariance[0]
    assert np.linalg.eigvalsh(excess)[0] > -1e-12
    assert np.linalg.eigvalsh(excess)[-1] > 1e-2


def test_the_error_of_perturbed_observations_falls_as_the_root_of_the_members():
    cell, _, obs, numbers = _problem()
    A, b, H, R, _, y = numbers
    sizes, errors = (100, 100_000), []
    rng = np.random.default_rng(3)
    for size in sizes:
        members = rng.normal(size=(size, n))
        members -= members.mean(0)
        exact = members @ np.linalg.inv(np.linalg.cholesky(np.cov(members.T))).T
        _, P, _ = _filtered(A, b, H, R, exact, y[:1], np.zeros((n, n)))

        @jax.jit
        def analysed(key, prior=Carry(jnp.asarray(exact))):  # noqa: B008
            return assimilate(cell, prior, obs[:1], StochasticEnKF(), key=key)

        keys = jax.random.split(KEY, 24)
        found = jax.lax.map(lambda key: analysed(key).analysis_spread[0], keys)
        wrong = np.asarray(found) - np.sqrt(np.diagonal(P[0]))
        errors.append(np.sqrt((wrong**2).mean()))
    (slope,) = np.diff(np.log(errors)) / np.diff(np.log(sizes))
    assert abs(slope + 0.5) < 0.06


def test_the_kalman_filter_and_smoother_are_the_posterior():
    cell, _, obs, numbers = _problem()
    A, b, H, R, members, y = numbers
    x0, P0 = members.mean(0), np.cov(members.T)
    Q = np.diag([0.1, 0.2, 0.0, 0.3])
    gaussian = Gaussian(Carry(jnp.asarray(x0)), jnp.asarray(P0))
    method = RauchTungStriebel(KalmanFilter(jnp.asarray(Q)))
    found = assimilate(cell, gaussian, obs, method, key=KEY)
    mean, covariance, total = _posterior(A, b, H, R, x0, P0, y, Q)
    deviation = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    assert np.abs(found.smoothed_mean - mean).max() < 1e-10
    assert np.abs(found.smoothed_spread - deviation).max() < 1e-10
    assert np.abs(found.log_likelihood.sum() - total) < 1e-10
    forward, P, likelihood = _filtered(*numbers, Q)
    assert np.abs(found.analysis_mean - forward).max() < 1e-11
    assert np.abs(found.final.belief.covariance - P[-1]).max() < 1e-11
    assert np.abs(found.log_likelihood - likelihood).max() < 1e-11


@pytest.mark.parametrize("rotated", [False, True])
def test_the_ensemble_smoother_is_that_of_rauch_tung_and_striebel(rotated):
    cell, prior, obs, numbers = _problem()
    found = assimilate(
        cell, prior, obs, EnsembleSmoother(ETKF(rotated=rotated)), key=KEY
    )
    A, b, H, R, members, y = numbers
    x0, P0 = members.mean(0), np.cov(members.T)
    mean, covariance, _ = _posterior(A, b, H, R, x0, P0, y, np.zeros((n, n)))
    deviation = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    assert np.abs(found.smoothed_mean - mean).max() < 1e-10
    assert np.abs(found.smoothed_spread - deviation).max() < 1e-10


def test_a_fixed_lag_sees_so_many_later_times():
    cell, prior, obs, _ = _problem()
    short = EnsembleSmoother(ETKF(rotated=True), lag=3)
    found = assimilate(cell, prior, obs[:10], short, key=KEY)
    whole = EnsembleSmoother(ETKF(rotated=True))
    until = assimilate(cell, prior, obs[:8], whole, key=KEY)
    assert np.abs(found.smoothed_mean[4] - until.smoothed_mean[4]).max() < 1e-12
    assert np.abs(found.smoothed_mean[5] - until.smoothed_mean[5]).max() > 1e-3


@pytest.mark.parametrize("part", [1, 4])
def test_a_fixed_lag_goes_on_over_the_parts_of_an_assimilation(part):
    """What the last part has not yet seen the next one corrects."""
    cell, prior, obs, _ = _problem()
    method = EnsembleSmoother(ETKF(rotated=True), lag=3)
    whole = assimilate(cell, prior, obs[:12], method, key=KEY)
    now: Any = prior
    for i in range(0, 12, part):
        found = assimilate(cell, now, obs[i : i + part], method, key=KEY)
        now = found.final
        revised = now.belief.revised
        for j, step in enumerate(np.asarray(revised.steps)):
            at = i - 3 + j  # which of all times it is
            assert step == (obs.steps[at] if at >= 0 else -1)
            if at < 0:
                assert np.isnan(revised.mean[j]).all()
            elif at + 3 < i + part:
                gap = np.abs(revised.mean[j] - whole.smoothed_mean[at])
                assert gap.max() < 1e-12
                gap = np.abs(revised.spread[j] - whole.smoothed_spread[at])
                assert gap.max() < 1e-12
    assert now.belief.ensemble.state.shape == (N, n)


class Failing(Map):
    """It stands still, but for one member that is lost at one step."""

    def step(self, carry, forcing=None, *, key=None):
        index, count = carry.memory
        lost = (index == 1) & (count == 5)
        state = jnp.where(lost, jnp.nan, carry.state)
        return Carry(state, (index, count + 1))


def test_a_member_that_was_replaced_has_the_past_of_its_copy():
    """Where the model stands still the smoothed past is the present."""
    cell = Failing(jnp.eye(n), jnp.zeros(n))
    _, prior, obs, _ = _problem()
    prior = Carry(prior.state, (jnp.arange(N), jnp.zeros(N, int)))
    method = EnsembleSmoother(ETKF(resample=True))
    with pytest.warns(FilterDivergence, match="copies of others"):
        found = assimilate(cell, prior, obs[:4], method, key=KEY)
    for mean, spread in zip(found.smoothed_mean, found.smoothed_spread, strict=True):
        assert np.abs(mean - found.analysis_mean[-1]).max() < 1e-12
        assert np.abs(spread - found.analysis_spread[-1]).max() < 1e-12


def test_times_without_observations_are_smoothed_too():
    """A row of missing values is a time like any other, for both smoothers."""
    cell, prior, obs, numbers = _problem()
    y = np.full((12, 3), np.nan)
    y[1::2] = numbers[5][:6]
    H, R = jnp.asarray(numbers[2]), DenseCovariance(jnp.asarray(numbers[3]))
    each = Observations.of(y, np.arange(1, 13), Linear(H), error=R)
    x0, P0 = prior.state.mean(0), jnp.cov(prior.state.T)
    gaussian = Gaussian(Carry(x0), P0)
    sparse = assimilate(cell, gaussian, obs[:6], RauchTungStriebel(), key=KEY)
    dense = assimilate(cell, gaussian, each, RauchTungStriebel(), key=KEY)
    members = assimilate(cell, prior, each, EnsembleSmoother(ETKF()), key=KEY)
    assert np.abs(dense.smoothed_mean[1::2] - sparse.smoothed_mean).max() < 1e-11
    assert np.abs(dense.smoothed_mean - members.smoothed_mean).max() < 1e-10
    assert np.abs(dense.smoothed_spread - members.smoothed_spread).max() < 1e-10


UNPERTURBED = [  # of which there are others for another number of values
    ETKF(rotated=True),
    DEnKF(),
    SerialEnSRF(),
    EnKFN(),
    KalmanFilter(),
]


@pytest.mark.parametrize("method", UNPERTURBED, ids=lambda m: type(m).__name__)
def test_a_missing_value_is_a_shorter_vector(method):
    cell, prior, _, numbers = _problem()
    if isinstance(method, KalmanFilter):
        prior = Gaussian(Carry(prior.state.mean(0)), jnp.cov(prior.state.T))
    y = numbers[5][:3].copy()
    y[:, 1] = np.nan
    H, R = jnp.asarray(numbers[2]), jnp.asarray(numbers[3])
    steps = np.array([1, 2, 5])
    kept = np.array([0, 2])
    with_gaps = Observations.of(y, steps, Linear(H), error=DenseCovariance(R))
    short = Observations.of(
        y[:, kept], steps, Linear(H[kept]), error=DenseCovariance(R[kept][:, kept])
    )
    one = assimilate(cell, prior, with_gaps, method, key=KEY)
    other = assimilate(cell, prior, short, method, key=KEY)
    assert np.abs(one.analysis_mean - other.analysis_mean).max() < 1e-12
    assert np.abs(one.analysis_spread - other.analysis_spread).max() < 1e-12
    assert np.abs(one.log_likelihood - other.log_likelihood).max() < 1e-12
    assert np.isnan(one.innovation[:, 1]).all()
    assert np.abs(one.innovation[:, kept] - other.innovation).max() < 1e-12


def test_the_dual_of_the_finite_size_filter_has_the_mean_of_its_primal():
    """J(w) = |d - Yᵀw|² / 2 + (N-1) c log(ε + w·w) / 2, w the weights of the mean."""
    cell, prior, obs, numbers = _problem()
    A, b, H, R, members, y = numbers
    for weight in (1.0, 2.0):
        method = EnKFN(weight=weight)
        found = assimilate(cell, prior, obs[:1], method, key=KEY)
        E = members
        for _ in range(GAP):
            E = E @ A.T + b
        x, anomalies = E.mean(0), E - E.mean(0)
        W = np.linalg.inv(np.linalg.cholesky(R))
        Y, d = anomalies @ H.T @ W.T, W @ (y[0] - H @ x)
        gram = Y @ Y.T / (N - 1)
        ignorance = np.mean(1 / (1 + np.linalg.eigvalsh(gram)))
        eps, c = method.coefficients(jnp.asarray(ignorance), N)
        eps, c = float(eps), float(c)
        w = np.zeros(N)
        for _ in range(60):  # Newton on the primal, over N weights
            share = (N - 1) * c / (eps + w @ w)
            gradient = -Y @ (d - w @ Y) + share * w
            curvature = np.eye(N) - 2 * np.outer(w, w) / (eps + w @ w)
            w = w - np.linalg.solve(Y @ Y.T + share * curvature, gradient)
        assert np.abs(gradient).max() < 1e-12
        assert np.abs(found.analysis_mean[0] - (x + w @ anomalies)).max() < 1e-10


def test_independent_errors_may_differ_from_time_to_time():
    cell, prior, _, numbers = _problem()
    H, y = jnp.asarray(numbers[2]), numbers[5][:4]
    variance = jnp.asarray(np.random.default_rng(5).uniform(0.5, 2, (4, 3)))
    together = Observations.of(
        y, np.arange(1, 5), Linear(H), error=DiagonalCovariance(variance)
    )
    found = assimilate(cell, prior, together, ETKF(), key=KEY)
    now = prior
    for i in range(4):
        own = Observations.of(
            y[i : i + 1],
            np.array([i + 1]),
            Linear(H),
            error=DiagonalCovariance(variance[i]),
        )
        last = assimilate(cell, now, own, ETKF(), key=KEY)
        now = last.final
    assert np.array_equal(found.analysis_mean[-1], last.analysis_mean[0])
