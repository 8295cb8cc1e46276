"""Error variances of observations and of the model, found while one assimilates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.optimize import minimize
from support import Map

from tendency import Gaussian, InputError, Observations, assimilate
from tendency.assimilation import (
    ETKF,
    EstimatedErrors,
    EstimatedModelError,
    KalmanFilter,
    ParticleFilter,
)
from tendency.cell import Carry
from tendency.observing import DenseCovariance, DiagonalCovariance, Linear

KEY = jax.random.key(0)
CELL = Map(jnp.array([[0.9, 0.2], [-0.2, 0.8]]), jnp.zeros(2))
PRIOR = Gaussian(Carry(jnp.zeros(2)), jnp.eye(2))


def _observed(times=1500, gap=1, seed=4):
    """Of a model that errs by a variance of 0.36 a step, with error variance 2."""
    rng = np.random.default_rng(seed)
    A, x, y = np.asarray(CELL.matrix), np.zeros(2), []
    for _ in range(times):
        for _ in range(gap):
            x = A @ x + 0.6 * rng.normal(size=2)
        y.append(x + np.sqrt(2.0) * rng.normal(size=2))
    y = np.array(y)
    y[::5, 0] = np.nan
    y[7] = np.nan
    return y, gap * np.arange(1, times + 1)


def test_the_error_variance_is_found_as_observations_come():
    """Four times what was given, of a linear model whose other errors are known."""
    y, steps = _observed()
    method = EstimatedErrors(KalmanFilter(0.36 * jnp.eye(2)), times=300.0)
    for error, factor, within in ((0.5, 4, 0.6), (2.0, 1, 0.15)):
        obs = Observations.of(y, steps, error=error)
        found = assimilate(CELL, PRIOR, obs, method, key=KEY)
        assert abs(found.final.belief.factor - factor) < within
    with pytest.raises(InputError, match=r"memory is 0\.5 times"):
        EstimatedErrors(KalmanFilter(), times=0.5)
    dense = Observations.of(
        y[:1], [1], Linear(jnp.eye(2)), error=DenseCovariance(np.eye(2))
    )
    with pytest.raises(InputError, match="DenseCovariance and EstimatedErrors"):
        assimilate(CELL, PRIOR, dense, method, key=KEY)


def factors(cycle):
    return cycle.analysis.factor


@pytest.mark.parametrize("filter", [KalmanFilter(), ETKF()], ids=["kalman", "etkf"])
def test_the_model_error_is_found_as_observations_come(filter):
    """Four times what was given, from too small and too large a start."""
    prior = PRIOR
    if isinstance(filter, ETKF):
        prior = Carry(jax.random.normal(KEY, (60, 2)))
    y, steps = _observed(gap=3)
    obs = Observations.of(y, steps, error=2.0)
    for start in (0.0, 12.0):
        method = EstimatedModelError(filter, 0.3, times=100.0, start=start)
        found = assimilate(CELL, prior, obs, method, save=factors, key=KEY)
        assert abs(found.saved[500:].mean() - 4) < 0.6
        assert found.saved[500:].std() < 2


def test_with_the_model_error_found_the_filter_is_that_which_knows_it():
    y, steps = _observed(600)
    obs = Observations.of(y, steps, error=2.0)
    known = KalmanFilter(0.36 * jnp.eye(2))
    exact = assimilate(CELL, PRIOR, obs, known, key=KEY)
    told = EstimatedModelError(KalmanFilter(), 0.6, times=1e30)  # never learns
    found = assimilate(CELL, PRIOR, obs, told, key=KEY)
    assert np.abs(found.analysis_mean - exact.analysis_mean).max() < 1e-11
    assert np.abs(found.analysis_spread - exact.analysis_spread).max() < 1e-11


def test_both_variances_are_those_of_the_largest_likelihood():
    """Of 0.36 and 2, with standard errors from the curvature; the truth is within 3."""
    y, steps = _observed(600, seed=8)

    @jax.jit
    def misfit(logs):
        model, error = jnp.exp(logs)
        obs = Observations.of(y, steps, error=DiagonalCovariance(error * jnp.ones(2)))
        filter = KalmanFilter(model * jnp.eye(2))
        found = assimilate(CELL, PRIOR, obs, filter, key=KEY)
        return -found.log_likelihood.sum()

    start = jnp.log(jnp.array([0.1, 1.0]))
    found = minimize(misfit, start, method="BFGS", tol=1e-6).x
    curvature = jax.hessian(misfit)(found)
    z = (found - np.log([0.36, 2.0])) / np.sqrt(np.diagonal(np.linalg.inv(curvature)))
    assert np.abs(jax.grad(misfit)(found)).max() < 1e-2
    assert np.abs(z).max() < 3
    with pytest.raises(InputError, match="ParticleFilter, an ensemble filter or a Kal"):
        EstimatedModelError(ParticleFilter(), 0.3)


def test_what_is_never_seen_tells_nothing():
    """Observations of nothing but zero weight leave the factor where it was."""
    method = EstimatedModelError(KalmanFilter(), 0.3, start=2.0)
    none = Observations.of(np.full((4, 2), np.nan), [1, 2, 3, 4], error=1.0)
    found = assimilate(CELL, PRIOR, none, method, key=KEY)
    assert found.final.belief.factor == 2.0
    assert found.final.belief.elapsed == 4.0


def test_the_step_of_the_prior_and_whole_numbers_are_no_trouble():
    y, _ = _observed(30)
    y[0] = 30.0  # far off, at a step before which no error was made
    obs = Observations.of(y, np.arange(30), error=2.0)
    method = EstimatedModelError(KalmanFilter(), 1, times=50.0, start=1)
    found = assimilate(CELL, PRIOR, obs, method, save=factors, key=KEY)
    assert found.saved[0] == 1.0
    assert np.isfinite(found.saved).all()
    real = EstimatedModelError(KalmanFilter(), 1.0, times=50.0, start=1.0)
    same = assimilate(CELL, PRIOR, obs, real, save=factors, key=KEY)
    assert np.array_equal(found.saved, same.saved)
