"""Optimal interpolation and 3DVar against dense solves, and as filters of any cell."""

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import optimistix as optx
import pytest
from support import Map

from tendency import (
    Augmented,
    Gaussian,
    InputError,
    Integrated,
    Observations,
    adams_bashforth3,
    assimilate,
    forecast,
)
from tendency.assimilation import (
    GaussNewton,
    OptimalInterpolation,
    ThreeDVar,
    climatology,
)
from tendency.cell import Carry
from tendency.observing import (
    CovarianceFunction,
    DenseCovariance,
    DiagonalCovariance,
    Linear,
    flat,
)
from tendency.physics import Lorenz63

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
n, p, T = 5, 3, 4
A = 0.3 * RNG.normal(size=(n, n)) + 0.5 * np.eye(n)
H = RNG.normal(size=(p, n))
ROOT = RNG.normal(size=(n, n)) + 2 * np.eye(n)
B = ROOT @ ROOT.T
R = np.diag(RNG.uniform(0.5, 2, p)) + 0.2
Y = RNG.normal(size=(T, p))
START = RNG.normal(size=n)
CELL = Map(jnp.asarray(A), jnp.zeros(n))
PRIOR = Carry(jnp.asarray(START))


def _observations(values=Y):
    steps = np.arange(1, len(values) + 1)
    H_ = Linear(jnp.asarray(H))
    return Observations.of(values, steps, H_, error=DenseCovariance(R))


def _by_solve(values=Y, mean=None):
    """Means, spreads and log-likelihoods, with K = B Hᵀ (H B Hᵀ + R)⁻¹."""
    x, found = START, []
    for row in values:
        seen = ~np.isnan(row)
        h, r, y = H[seen], R[np.ix_(seen, seen)], row[seen]
        x = A @ x if mean is None else mean
        S = h @ B @ h.T + r
        K = np.linalg.solve(S, h @ B).T
        d = y - h @ x
        x = x + K @ d
        spread = np.sqrt(np.diagonal(B - K @ h @ B))
        log_det = np.linalg.slogdet(2 * np.pi * S)[1]
        found.append((x, spread, -0.5 * (d @ np.linalg.solve(S, d) + log_det)))
    return [np.array(rows) for rows in zip(*found, strict=True)]


METHODS = {
    "OI": OptimalInterpolation(B),
    "OI, B by functions": OptimalInterpolation(
        CovarianceFunction(
            lambda d: jnp.linalg.solve(jnp.asarray(ROOT), d),
            lambda z: jnp.asarray(ROOT) @ z,
            np.diagonal(B),
            jnp.zeros(()),
        )
    ),
    "3DVar": ThreeDVar(B),
    "3DVar, CG": ThreeDVar(B, GaussNewton(solver=lx.CG(1e-13, 1e-13))),
    "3DVar, L-BFGS": ThreeDVar(B, optx.LBFGS(1e-13, 1e-13)),
}


@pytest.mark.parametrize("case", METHODS)
def test_the_analysis_is_that_of_a_dense_solve(case):
    method, values = METHODS[case], Y.copy()
    values[1, 2] = np.nan
    found = assimilate(CELL, PRIOR, _observations(values), method, key=KEY)
    mean, spread, likelihood = _by_solve(values)
    # A minimiser that looks at values of J stops where they round: at the root of it.
    tolerance = 1e-7 if case == "3DVar, L-BFGS" else 1e-10
    assert np.abs(found.analysis_mean - mean).max() < tolerance
    misfit = found.misfit
    if case in ("3DVar, CG", "3DVar, L-BFGS"):
        assert np.isnan(found.analysis_spread).all()
        exact = assimilate(CELL, PRIOR, _observations(values), METHODS["OI"], key=KEY)
        assert np.abs(misfit - exact.misfit).max() < tolerance
    else:
        assert np.abs(found.analysis_spread - spread).max() < 1e-10
        assert np.abs(found.log_likelihood - likelihood).max() < 1e-10
        deviation = np.broadcast_to(np.sqrt(np.diagonal(B)), (T, n))
        assert np.abs(found.background_spread - deviation).max() < 1e-12
        expected = np.diagonal(H @ B @ H.T + R)
        assert np.abs(found.expected_variance[0] - expected).max() < 1e-10


def test_interpolation_from_the_climate_forgets_the_model():
    mean = np.ones(n)
    method = OptimalInterpolation(B, mean=jnp.asarray(mean))
    found = assimilate(CELL, PRIOR, _observations(), method, key=KEY)
    assert np.abs(found.analysis_mean - _by_solve(mean=mean)[0]).max() < 1e-10
    assert np.abs(found.background_mean - mean[None]).max() == 0


def test_3dvar_follows_an_operator_that_is_not_linear():
    """At the minimum the slope of J vanishes; optimal interpolation stops short."""

    def square(state):
        return state[:2] ** 2

    y = np.array([[4.0, 1.0]])
    obs = Observations.of(y, [0], square, error=0.1)
    prior = Carry(jnp.array([1.0, 0.3, 0.0]))
    cell = Map(jnp.eye(3), jnp.zeros(3))

    def slope(x):
        misfit = (np.asarray(y[0]) - square(x)) / 0.1
        return (x - np.asarray(prior.state)) - np.append(2 * x[:2] * misfit, 0)

    method = ThreeDVar(1.0, GaussNewton(steps=40, tolerance=1e-12))
    exact = assimilate(cell, prior, obs, method, key=KEY).analysis_mean[0]
    assert np.abs(slope(np.asarray(exact))).max() < 1e-6
    once = assimilate(cell, prior, obs, OptimalInterpolation(1.0), key=KEY)
    assert np.abs(slope(np.asarray(once.analysis_mean[0]))).max() > 1


STATE = jnp.array([8.0, 0.0, 30.0])


@pytest.mark.parametrize("kind", [OptimalInterpolation, ThreeDVar])
def test_the_memory_of_a_cell_may_be_corrected_or_left(kind):
    """A parameter: left by a B of the state, moved by one of the whole carry."""
    cell = Augmented(
        Integrated(Lorenz63(), 0.01, adams_bashforth3), lambda c: c.tendency.rho
    )
    obs = Observations.of(np.asarray([STATE + 1.0]), [2], flat, error=0.5)
    left = assimilate(cell, cell.init(STATE), obs, kind(1.0), key=KEY)
    memory = left.final.belief.mean.memory
    assert memory[1] == 28.0
    size = sum(x.size for x in jax.tree.leaves(cell.init(STATE)) if x.dtype == float)
    wide = np.eye(size)
    wide[0, -1] = wide[-1, 0] = 0.5
    moved = assimilate(cell, cell.init(STATE), obs, kind(wide), key=KEY)
    gap = moved.final.belief.mean.memory[1] - 28.0
    shift = moved.analysis_mean[0, 0] - left.background_mean[0, 0]
    assert abs(gap - 0.5 * shift) < 1e-10


def test_a_climatology_is_the_covariance_of_states():
    cell = Integrated(Lorenz63(), 0.01)
    _, states = forecast(cell, cell.init(STATE), 200)
    found = climatology(states, 0.1)
    assert isinstance(found, DenseCovariance)
    assert np.allclose(found.covariance, 0.1 * np.cov(np.asarray(states).T), rtol=1e-12)
    thin = climatology({"u": states[:2]}, diagonal=True)
    assert np.allclose(thin.variances(), states[:2].var(0, ddof=1), rtol=1e-12)


BAD = {
    "eigenvalue": lambda: OptimalInterpolation(np.ones((2, 2)) - 2 * np.eye(2) + 2),
    "variance -1": lambda: ThreeDVar([1.0, -1.0]),
    "square matrix": lambda: OptimalInterpolation(np.ones((2, 3))),
    "shape \\(1, 2\\)": lambda: OptimalInterpolation(DiagonalCovariance([[1.0, 1.0]])),
    "4 components and the state has 5": lambda: assimilate(
        CELL, PRIOR, _observations(), ThreeDVar(np.ones(4)), key=KEY
    ),
    "of the type Gaussian": lambda: assimilate(
        CELL, Gaussian(PRIOR, jnp.eye(n)), _observations(), ThreeDVar(1.0), key=KEY
    ),
    "mean of the climate": lambda: assimilate(
        CELL,
        PRIOR,
        _observations(),
        OptimalInterpolation(1.0, mean=jnp.ones(3)),
        key=KEY,
    ),
    "asked of 4 states": lambda: climatology(np.ones((4, 4))),
    "not finite": lambda: climatology(np.full((4, 2), np.nan)),
    "0 Gauss-Newton steps": lambda: GaussNewton(steps=0),
}


@pytest.mark.parametrize("said", BAD)
def test_bad_input_is_refused(said):
    with pytest.raises(InputError, match=said):
        BAD[said]()
