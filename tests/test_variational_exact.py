"""4DVar and the IEnKS of a linear model against the Gaussian posterior itself."""

import jax.numpy as jnp
import lineax as lx
import numpy as np
import optimistix as optx
import pytest
from test_filters_exact import GAP, KEY, _filtered, _posterior, _problem, n

from tendency import Gaussian, assimilate
from tendency.assimilation import (
    ETKF,
    EnsembleSmoother,
    FourDVar,
    GaussNewton,
    IEnKS,
    WeakFourDVar,
)
from tendency.assimilation.minimise import evidence
from tendency.cell import Carry

CELL, ENSEMBLE, OBS, NUMBERS = _problem()
A, b, H, R, MEMBERS, Y = NUMBERS
X0, P0 = MEMBERS.mean(0), np.cov(MEMBERS.T)
PRIOR = Gaussian(Carry(jnp.asarray(X0)), jnp.asarray(P0))


def _deviations(covariances):
    return np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))


WINDOWS = {  # with the model error of a step
    "strong": (FourDVar(lag=10), np.zeros(n)),
    "weak": (
        WeakFourDVar(np.array([0.1, 0.2, 0.05, 0.3]), lag=10),
        np.array([0.1, 0.2, 0.05, 0.3]),
    ),
}


@pytest.mark.parametrize("case", WINDOWS)
def test_windows_are_the_kalman_filter_and_the_last_one_its_smoother(case):
    """Means, inverse Hessians along a window and at its end, and the likelihood."""
    method, variances = WINDOWS[case]
    Q = np.diag(variances)
    found = assimilate(CELL, PRIOR, OBS, method, key=KEY)
    mean, covariance, likelihood = _filtered(*NUMBERS, Q)
    ends = slice(9, None, 10)
    assert np.abs(found.analysis_mean - mean)[ends].max() < 1e-10
    spread = found.analysis_spread - _deviations(covariance)
    assert np.abs(spread)[ends].max() < 1e-10
    root = found.final.belief.start.root  # of the inverse Hessian, brought along
    assert np.abs(root @ root - covariance[-1]).max() < 1e-10
    assert np.abs(found.log_likelihood / likelihood - 1).max() < 1e-10
    mean, covariance, total = _posterior(A, b, H, R, X0, P0, Y, Q)
    last = slice(-11, None)  # the beginning of the last window included
    assert np.abs(found.smoothed_mean - mean)[last].max() < 1e-10
    spread = found.smoothed_spread - _deviations(covariance)
    assert np.abs(spread)[last].max() < 1e-10
    assert abs(found.log_likelihood.sum() / total - 1) < 1e-11
    assert np.array_equal(found.smoothed_mean[-10:], found.analysis_mean[-10:])


@pytest.mark.parametrize(
    ("method", "prior"),
    [
        (FourDVar(lag=4, shift=1), PRIOR),
        (IEnKS(lag=4, steps=1), ENSEMBLE),
        (IEnKS(lag=4, steps=1, bundle=1e-3), ENSEMBLE),
    ],
)
def test_windows_that_overlap_are_the_lagged_ensemble_smoother(method, prior):
    """By the ETKF: of a linear model it is the Kalman smoother of that lag."""
    found = assimilate(CELL, prior, OBS, method, key=KEY)
    lagged = EnsembleSmoother(ETKF(), lag=4)
    other = assimilate(CELL, ENSEMBLE, OBS, lagged, key=KEY)
    for name in (
        "background_mean",
        "background_spread",
        "analysis_mean",
        "analysis_spread",
        "innovation",
        "expected_variance",
        "residual",
        "smoothed_mean",
        "smoothed_spread",
    ):
        gap = getattr(found, name) - getattr(other, name)
        assert np.abs(gap).max() < 1e-10, name
    assert np.abs(found.log_likelihood / other.log_likelihood - 1).max() < 1e-10


MINIMISERS = {
    "CG": (GaussNewton(solver=lx.CG(1e-14, 1e-14)), 1e-9),
    # It stops where the values of J round, so at the root of that.
    "L-BFGS": (optx.LBFGS(1e-14, 1e-14), 1e-6),
}


@pytest.mark.parametrize("case", MINIMISERS)
def test_minimisers_without_matrices_find_the_same_minimum(case):
    minimiser, tolerance = MINIMISERS[case]
    method = FourDVar(P0, lag=4, minimiser=minimiser)
    found = assimilate(CELL, CELL.init(jnp.asarray(X0)), OBS[:4], method, key=KEY)
    mean, _, _ = _posterior(A, b, H, R, X0, P0, Y[:4], np.zeros((n, n)))
    assert np.abs(found.smoothed_mean - mean).max() < tolerance
    _, d, S = _tempered(np.ones(4))
    assert abs(found.misfit.sum() / (d @ np.linalg.solve(S, d)) - 1) < tolerance
    assert np.isnan(found.smoothed_spread).all()


def test_more_steps_of_the_iterative_smoother_change_nothing():
    method = IEnKS(lag=4, shift=2, rotated=True, tolerance=0.0, steps=4)
    found = assimilate(CELL, ENSEMBLE, OBS, method, key=KEY)
    mean, covariance, _ = _filtered(*NUMBERS, np.zeros((n, n)))
    assert np.abs(found.analysis_mean - mean)[1::2].max() < 1e-10
    spread = found.analysis_spread - _deviations(covariance)
    assert np.abs(spread)[1::2].max() < 1e-10


def _tempered(weights):
    """Posterior mean and covariance at the start, by solving for all at once.

    An observation of the weight c has the error covariance R / c.
    """
    rows, offsets = [], []
    M, offset = np.eye(n), np.zeros(n)
    for _ in weights:
        for _ in range(GAP):
            M, offset = A @ M, A @ offset + b
        rows.append(H @ M)
        offsets.append(H @ offset)
    G, times = np.concatenate(rows), len(weights)
    S = G @ P0 @ G.T + np.kron(np.diag(1 / weights), R)
    d = (Y[:times] - offsets).ravel() - G @ X0
    K = np.linalg.solve(S, G @ P0).T
    x, P = X0 + K @ d, P0 - K @ G @ P0
    return (M @ x + offset, M @ P @ M.T), d, S


@pytest.mark.parametrize(
    ("method", "prior"),
    [
        (IEnKS(lag=4, shift=2, multiple=True, steps=1), ENSEMBLE),
        (FourDVar(lag=4, shift=2, multiple=True), PRIOR),
    ],
)
def test_observations_used_in_several_windows_count_once(method, prior):
    """At the end all but the newest have counted as one, and those as a half."""
    found = assimilate(CELL, prior, OBS[:8], method, key=KEY)
    (mean, covariance), *_ = _tempered(np.array([1.0] * 6 + [0.5] * 2))
    assert np.abs(found.analysis_mean[-1] - mean).max() < 1e-10
    spread = np.sqrt(np.diagonal(covariance))
    assert np.abs(found.analysis_spread[-1] - spread).max() < 1e-10


@pytest.mark.parametrize("controls", [5, 40])
def test_the_evidence_of_each_time_is_that_given_those_before(controls):
    """Both ways, by observations and by controls, against one dense factor."""
    rng = np.random.default_rng(2)
    G, d = rng.normal(size=(4, 3, controls)), rng.normal(size=(4, 3))
    G[2, 1] = d[2, 1] = 0  # not seen
    misfit, log_det = evidence(jnp.asarray(G), jnp.asarray(d))
    rows = G.reshape(12, controls)
    factor = np.linalg.cholesky(np.eye(12) + rows @ rows.T)
    white = np.linalg.solve(factor, d.ravel()).reshape(4, 3)
    logs = 2 * np.log(np.diagonal(factor)).reshape(4, 3).sum(1)
    assert np.abs(misfit - (white**2).sum(1)).max() < 1e-12
    assert np.abs(log_det - logs).max() < 1e-12
