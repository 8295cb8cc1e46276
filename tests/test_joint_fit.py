"""States and dynamics from noisy, partial observations, against dense oracles."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import least_squares
from support import Linear as LinearTendency
from support import Map

from tendency import (
    Gaussian,
    Integrated,
    JointFit,
    Observations,
    Pruning,
    assimilate,
    fit,
    reconstruct,
)
from tendency.assimilation import KalmanFilter, RauchTungStriebel
from tendency.cell import Carry, Constant
from tendency.errors import InputError
from tendency.fitting import LeastSquares
from tendency.fitting.first_guess import smoothed
from tendency.fitting.tridiagonal import inverse_blocks, solve_tridiagonal
from tendency.forecasting import forecast
from tendency.grid import Axis, Grid
from tendency.integrate import adams_bashforth3
from tendency.networks import Bilinear
from tendency.observing import DenseCovariance, Linear, Select
from tendency.physics import Lorenz96
from tendency.statistical import (
    Polynomial,
    SparseTendency,
    polynomial_coefficients,
)
from tendency.symbolic.generated import generate
from tendency.symbolic.system import System
from tendency.windows import Windows
from tendency.wrappers import Ring, Sum

KEY = jax.random.key(0)


def _chain(blocks, n, seed=0):
    """A well-conditioned block-tridiagonal matrix, dense, and its blocks."""
    rng = np.random.default_rng(seed)
    root = np.zeros((blocks, n, blocks, n))
    for k in range(blocks):
        root[k, :, k] = np.tril(rng.normal(size=(n, n)) / 4) + 2 * np.eye(n)
        if k:
            root[k, :, k - 1] = rng.normal(size=(n, n)) / 4
    dense = root.reshape(blocks * n, -1) @ root.reshape(blocks * n, -1).T
    cut = dense.reshape(blocks, n, blocks, n)
    diagonal = np.stack([cut[k, :, k] for k in range(blocks)])
    below = [cut[k + 1, :, k] for k in range(blocks - 1)]
    return dense, jnp.asarray(diagonal), jnp.asarray(below).reshape(-1, n, n)


@pytest.mark.parametrize(("blocks", "n"), [(1, 2), (5, 3), (70, 3), (70, 6)])
def test_the_block_solver_is_the_dense_solution(blocks, n):
    """Whole, in segments of which the last is not full, and of larger blocks."""
    dense, diagonal, below = _chain(blocks, n)
    right = np.random.default_rng(1).normal(size=(blocks, n, 4))
    found = jax.jit(solve_tridiagonal)(diagonal, below, jnp.asarray(right))
    expected = np.linalg.solve(dense, right.reshape(blocks * n, 4))
    assert_allclose(found.reshape(blocks * n, 4), expected, rtol=0, atol=1e-13)
    inverse = np.linalg.inv(dense).reshape(blocks, n, blocks, n)
    expected = [inverse[k, :, k] for k in range(blocks)]
    found = jax.jit(inverse_blocks)(diagonal, below)
    assert_allclose(found, expected, rtol=0, atol=1e-13)


def _elements(jaxpr) -> float:
    """The numbers that a program computes, loops counted as often as they run."""
    total = 0.0
    for equation in jaxpr.eqns:
        inner = [p.jaxpr for p in equation.params.values() if hasattr(p, "jaxpr")]
        times = equation.params.get("length", 1)
        total += times * sum(_elements(j) for j in inner)
        total += sum(np.prod(v.aval.shape) for v in equation.outvars)
    return total


def test_the_work_of_the_solver_grows_in_proportion_to_the_length():
    def work(blocks):
        shapes = [(blocks, 3, 3), (blocks - 1, 3, 3), (blocks, 3, 5)]
        arrays = [jax.ShapeDtypeStruct(s, jnp.float64) for s in shapes]
        return _elements(jax.make_jaxpr(solve_tridiagonal)(*arrays).jaxpr)

    per_block = [work(blocks) / blocks for blocks in (1024, 4096, 16384)]
    assert max(per_block) / min(per_block) < 1.1


# Linear models: the Kalman smoother, and closed forms.


def _linear_series(times=40, seed=0):
    rng = np.random.default_rng(seed)
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    A, b, H = 0.97 * turn, np.array([0.1, -0.2]), np.array([[1.0, 0.5], [0.3, 2.0]])
    x = [np.array([2.0, 1.0])]
    for _ in range(times - 1):
        x.append(A @ x[-1] + b + 0.05 * rng.normal(size=2))
    y = np.asarray(x) @ H.T + 0.3 * rng.normal(size=(times, 2))
    return Map(jnp.asarray(A), jnp.asarray(b)), y, H


def test_the_states_of_a_linear_model_are_those_of_the_kalman_smoother():
    """Gaps, steps without a row, and correlated errors; the first row is the prior."""
    cell, y, H = _linear_series()
    R = np.array([[0.09, 0.03], [0.03, 0.12]])
    y[5, 0], y[6], y[17, 1] = np.nan, np.nan, np.nan
    steps = np.r_[0:20, 22:28:2, 30:40]
    ratio, scale = 0.02, np.array([0.5, 1.5])
    operator, error = Linear(jnp.asarray(H)), DenseCovariance(R)
    observations = Observations.of(y[steps], steps, operator, error=error)
    method = JointFit((ratio,), jnp.asarray(scale), tolerance=1e-15)
    found = reconstruct(cell, observations, method)

    back = np.linalg.inv(H)
    prior = Gaussian(Carry(jnp.asarray(back @ y[0])), jnp.asarray(back @ R @ back.T))
    later = Observations.of(y[steps][1:], steps[1:], operator, error=error)
    Q = jnp.asarray(ratio * np.diag(scale**2))
    smoother = RauchTungStriebel(KalmanFilter(Q))
    expected = assimilate(cell, prior, later, smoother, key=KEY)
    states, spread = found.states[steps[1:]], found.spread[steps[1:]]
    assert_allclose(states, expected.smoothed_mean, rtol=0, atol=1e-10)
    assert_allclose(spread, expected.smoothed_spread, rtol=0, atol=1e-10)


def test_several_windows_are_reconstructed_as_each_by_itself():
    cell, y, H = _linear_series()
    windows = [
        Observations.of(y[i : i + 12], range(12), Linear(jnp.asarray(H)), error=0.09)
        for i in (0, 7, 20)
    ]
    method = JointFit((1e-2,), jnp.ones(2), tolerance=1e-15)
    together = reconstruct(cell, windows, method)
    alone = reconstruct(cell, windows[1], method)
    assert_allclose(together.states[1], alone.states, rtol=0, atol=1e-11)
    assert_allclose(together.spread[1], alone.spread, rtol=0, atol=1e-11)


def _joint_problem():
    """Two series of a nonlinear map with gaps; all residuals, for a dense oracle."""
    times, ratio, variance = (14, 9), 0.05, 0.04
    rng = np.random.default_rng(3)
    tendency = SparseTendency(
        Polynomial(2),
        jnp.asarray([[0.1, -0.2, 1.0, 0, 0.1, 0], [0, -1.0, -0.1, 0, 0.2, 0]]),
        Constant(jnp.ones((2, 6), bool)),
    )
    cell = Integrated(tendency, 0.2)
    series = []
    for n in times:
        x = [rng.normal(size=2)]
        for _ in range(n - 1):
            x.append(np.asarray(cell.step(Carry(jnp.asarray(x[-1]))).state))
        series.append(np.asarray(x) + 0.2 * rng.normal(size=(n, 2)))
    series[0][4, 1] = np.nan
    steps = [np.r_[0:6, 8:14], np.arange(9)]
    observations = [
        Observations.of(y[s], s, error=variance)
        for y, s in zip(series, steps, strict=True)
    ]
    cell = eqx.tree_at(lambda c: c.tendency.coefficients, cell, jnp.zeros((2, 6)))
    return cell, observations, series, steps, ratio, variance


def test_a_joint_fit_is_the_dense_least_squares_of_states_and_parameters():
    """The minimum, where the gradient of the whole cost is zero, and all errors."""
    cell, observations, series, steps, ratio, variance = _joint_problem()

    @jax.jit
    def residuals(unknown):
        theta, states = unknown[:12].reshape(2, 6), unknown[12:].reshape(-1, 2)
        model = eqx.tree_at(lambda c: c.tendency.coefficients, cell, theta)
        found = []
        for y, s, x in zip(series, steps, (states[:14], states[14:]), strict=True):
            ahead = jax.vmap(lambda x, m=model: m.step(Carry(x)).state)(x[:-1])
            found.append((x[1:] - ahead).ravel() / np.sqrt(ratio * variance))
            e = (y[s] - x[s]) / np.sqrt(variance)
            found.append(jnp.where(np.isnan(y[s]), 0.0, e).ravel())
        return jnp.concatenate(found)

    fitted = fit(
        cell,
        observations,
        JointFit((0.5, ratio), tolerance=1e-14, max_steps=60),
        key=KEY,
    )
    posterior = fitted.posterior
    theta = fitted.cell.tendency.coefficients
    unknown = np.concatenate([theta.ravel(), np.concatenate(posterior.states).ravel()])
    jacobian = jax.jit(jax.jacfwd(residuals))
    gradient = np.asarray(jacobian(unknown)).T @ np.asarray(residuals(unknown))
    assert np.abs(gradient).max() < 1e-6 * np.abs(np.asarray(jacobian(unknown))).max()
    slopes: Any = lambda u: np.asarray(jacobian(u))  # noqa: E731
    oracle = least_squares(residuals, unknown, slopes, xtol=1e-15, ftol=1e-15)
    assert_allclose(unknown, oracle.x, rtol=0, atol=1e-6)
    cost = np.sum(np.asarray(residuals(unknown)) ** 2)
    seen = sum(int(o.seen.sum()) for o in observations)
    assert_allclose(fitted.history["train_loss"][-1] * seen, cost, rtol=1e-10)

    J = np.asarray(jacobian(unknown))
    covariance = np.linalg.inv(J.T @ J)
    assert_allclose(posterior.parameter_covariance, covariance[:12, :12], rtol=1e-6)
    std = np.sqrt(np.diag(covariance))
    assert_allclose(np.concatenate(posterior.spread).ravel(), std[12:], rtol=1e-6)
    errors = posterior.parameter_std.tendency.coefficients
    assert_allclose(errors.ravel(), std[:12], rtol=1e-6)


def test_standard_errors_are_the_spread_over_draws_of_the_noise():
    """A damped rotation: 60 draws of 60 noisy states; z-scores have variance one."""
    cell = Integrated(LinearTendency(jnp.asarray([[-0.1, 1.0], [-1.0, -0.1]])), 0.2)
    x = [jnp.asarray([1.0, 0.5])]
    for _ in range(59):
        x.append(cell.step(Carry(x[-1])).state)
    rng, z = np.random.default_rng(0), []
    for _ in range(60):
        y = np.asarray(x) + 0.05 * rng.normal(size=(60, 2))
        observations = Observations.of(y, range(60), error=0.05**2)
        fitted = fit(cell, observations, JointFit((1e-2, 1e-5)), key=KEY)
        error = fitted.cell.tendency.matrix - cell.tendency.matrix
        z.append(error / fitted.posterior.parameter_std.tendency.matrix)
    z = np.asarray(z)
    assert abs(z.std() - 1) < 4 / np.sqrt(2 * z.size / 2)  # half are independent
    assert np.abs(z.mean(0)).max() < 4 / np.sqrt(60)


def _library_cell(size=2, active=None):
    terms = len(Polynomial(2).factors(size))
    active = jnp.ones((size, terms), bool) if active is None else active
    zeros = jnp.zeros((size, terms))
    return Integrated(SparseTendency(Polynomial(2), zeros, Constant(active)), 0.1)


@pytest.fixture(scope="module")
def oscillator():
    """x' = y, y' = -x - 0.3 y + 0.5 x y, observed with noise."""
    active = np.zeros((2, 6), bool)
    active[0, 2] = active[1, [1, 2, 4]] = True
    truth = _library_cell()
    values = np.zeros((2, 6))
    values[0, 2], values[1, [1, 2, 4]] = 1.0, [-1.0, -0.3, 0.5]
    truth = eqx.tree_at(lambda c: c.tendency.coefficients, truth, jnp.asarray(values))
    rng, series = np.random.default_rng(1), []
    for start in ([2.0, 0.0], [-1.0, 1.5], [0.5, -2.0]):
        x = [jnp.asarray(start)]
        for _ in range(20):
            x.append(truth.step(Carry(x[-1])).state)
        series.append(np.asarray(x) + 0.01 * rng.normal(size=(21, 2)))
    observations = [Observations.of(y, range(21), error=0.01**2) for y in series]
    return observations, active, values


def test_pruning_keeps_the_true_terms_and_prints_their_errors(oscillator):
    observations, active, values = oscillator
    method = JointFit((1e-2, 1e-4, 1e-6), pruning=Pruning(4.0))
    fitted = fit(_library_cell(), observations, method, key=KEY)
    tendency = fitted.cell.tendency
    found, errors = (
        np.asarray(t.tendency.coefficients)
        for t in (fitted.cell, fitted.posterior.parameter_std)
    )
    assert ((found != 0) == active).all()
    assert (np.isnan(errors) == ~active).all()
    assert (np.asarray(tendency.active.value) == active).all()
    assert np.abs((found - values)[active] / errors[active]).max() < 3.5
    first, second = tendency.equations(errors=errors)
    assert first == f"dx/dt = {found[0, 2]:.4f}({round(errors[0, 2] * 1e4)}) y"
    assert second.count("(") == 3


def test_terms_that_were_never_active_stay_out(oscillator):
    observations, active, _ = oscillator
    cell = _library_cell(active=jnp.asarray(active))
    fitted = fit(cell, observations, JointFit((1e-2, 1e-4, 1e-6)), key=KEY)
    errors = np.asarray(fitted.posterior.parameter_std.tendency.coefficients)
    assert (np.isnan(errors) == ~active).all()


def test_smoothing_follows_a_polynomial_through_gaps_and_noise():
    t = np.arange(80.0)
    clean = 1 + 0.1 * t - 2e-3 * t**2
    gappy = clean.copy()
    gappy[[0, 20, 21, 22, 60]] = np.nan
    fit_, slope = smoothed(gappy)
    inner = slice(3, -3)
    assert_allclose(fit_[inner], clean[inner], rtol=0, atol=1e-8)
    assert_allclose(slope[inner], (0.1 - 4e-3 * t)[inner], rtol=0, atol=1e-8)
    noise = np.random.default_rng(0).normal(size=80)
    assert np.std((smoothed(clean + noise)[0] - clean)[10:-10]) < 0.5


# What is refused.


def test_what_a_joint_fit_cannot_use_is_refused(oscillator):
    observations, *_ = oscillator
    cell, one = _library_cell(), observations[0]
    windows = Windows.of(np.zeros((9, 2)), 3)
    x_alone = Observations.of(
        np.ones((9, 1)), range(9), Select(jnp.asarray([0])), error=1
    )
    memory = Integrated(cell.tendency, 0.1, adams_bashforth3)
    short = Observations.of(np.ones((1, 2)), [3], error=1.0)
    single: Any = {"first_guess": np.ones((21, 2), np.float32)}
    cases: tuple[tuple[str, Any, Any, Any, dict[str, Any]], ...] = (
        ("fits to Observations and was given Windows", windows, cell, JointFit(), {}),
        ("fits to Windows and was given others", one, cell, LeastSquares(), {}),
        ("does not observe every component", x_alone, cell, JointFit(), {}),
        ("has a memory besides its state", one, memory, JointFit(), {}),
        ("one time only", short, cell, JointFit(), {}),
        ("needs float64", one, cell, JointFit(), single),
        ("no series", [], cell, JointFit(), {}),
        (
            "20. states, 21 were",
            one,
            cell,
            JointFit(),
            {"first_guess": np.ones((20, 2))},
        ),
        ("forcing has 7 times", one, cell, JointFit(), {"forcing": np.ones((7, 2))}),
    )
    for message, data, model, method, more in cases:
        with pytest.raises(InputError, match=message):
            fit(model, data, method, key=KEY, **more)
    with pytest.raises(InputError, match="decrease"):
        JointFit((1e-3, 1e-2))
    with pytest.raises(InputError, match="threshold 0"):
        Pruning(0.0)


# Any tendency.


def test_physics_with_a_closure_is_completed(oscillator):
    """A known rotation and an unknown quadratic closure: together the truth."""
    observations, _, values = oscillator
    physics = LinearTendency(jnp.asarray([[0.0, 1.0], [-1.0, 0.0]]))
    closure = _library_cell().tendency
    cell = Integrated(Sum(physics, closure), 0.1)
    fitted = fit(
        cell,
        observations,
        JointFit((1e-2, 1e-4, 1e-6), pruning=Pruning(4.0)),
        key=KEY,
        where=lambda c: c.tendency.terms[1].coefficients,
    )
    assert (fitted.cell.tendency.terms[0].matrix == physics.matrix).all()
    found = np.asarray(fitted.cell.tendency.terms[1].coefficients)
    errors = fitted.posterior.parameter_std.tendency.terms[1].coefficients
    missing = values - np.array([[0, 0, 1, 0, 0, 0], [0, -1, 0, 0, 0, 0]])
    assert ((found != 0) == (missing != 0)).all()
    kept = missing != 0
    assert np.abs((found - missing)[kept] / np.asarray(errors)[kept]).max() < 3.5


def test_a_bilinear_network_finds_the_tendency(oscillator):
    """Weights are not unique, its polynomial is."""
    observations, _, values = oscillator
    cell = Integrated(Bilinear(2, 3, key=KEY), 0.1)
    method = JointFit((1e-2, 1e-4, 1e-6), warm_up=20)
    fitted = fit(cell, observations, method, key=KEY)
    found = polynomial_coefficients(fitted.cell.tendency, 2)
    assert_allclose(found, values, rtol=0, atol=0.05)
    assert fitted.history["observation_misfit"][-1] < 1.1


def test_half_of_a_ring_is_enough_for_its_equation():
    """Lorenz-96, every second variable, noise of 1: four terms out of 21, no others.

    Hidden states start between their neighbours, which says nothing of them, and the
    tendency from zero: for the first stages the model may err as it likes.
    """
    truth = Integrated(Lorenz96(), 0.05)
    start = 8 + jax.random.normal(KEY, (12,))
    states = forecast(truth, truth.init(start), 400)[1][200:]
    y = states[:, ::2] + jax.random.normal(jax.random.key(1), (200, 6))
    seen = Select(jnp.arange(0, 12, 2))
    observations = Observations.of(y, range(200), seen, error=1.0)
    smooth = np.stack([smoothed(np.asarray(c))[0] for c in y.T], axis=1)
    guess = np.stack([smooth, (smooth + np.roll(smooth, -1, 1)) / 2], axis=2)
    library = Polynomial(2)
    sparse = SparseTendency(
        library, jnp.zeros((1, 21)), Constant(jnp.ones((1, 21), bool)), forced=True
    )
    gentle = (100.0, 10.0, 3.0, 1.0, 0.3, 0.1, 1e-2, 1e-3, 1e-5)
    fitted = fit(
        Integrated(Ring(sparse, 2), 0.05),
        observations,
        JointFit(gentle, jnp.ones(12), Pruning(), warm_up=0),
        key=KEY,
        first_guess=guess.reshape(200, 12),
    )
    terms = {(): 8.0, (0,): -1.0, (1, 2): -1.0, (2, 3): 1.0}
    true = np.asarray([terms.get(f, 0.0) for f in library.factors(5)])
    found, errors = (
        np.asarray(cell.tendency.tendency.coefficients)[0]
        for cell in (fitted.cell, fitted.posterior.parameter_std)
    )
    kept = true != 0
    assert ((found != 0) == kept).all()
    assert np.abs((found - true)[kept] / errors[kept]).max() < 3.5
    assert errors[kept].max() < 0.1
    hidden = np.asarray(fitted.posterior.states - states)[20:-20, 1::2]
    assert np.sqrt(np.mean(hidden**2)) < 0.2  # of 3.6


def test_generated_equations_learn_a_parameter_from_some_points():
    """Diffusion on 8 points, 3 of them seen, a state of named fields, two rows late."""
    heat = ["d_t u = kappa*d_xx u"]
    system = System.of(heat, coordinates=["x"], parameters={"kappa": 0.02})
    grid = Grid.of(Axis("x", 8, 0.0, 1.0))
    truth = Integrated(generate(system, grid), 0.05)
    x = jnp.arange(8) / 8
    u = 1 + jnp.cos(2 * jnp.pi * x) + 0.5 * jnp.sin(4 * jnp.pi * x)
    states = forecast(truth, truth.init({"u": u}), 30)[1]
    noise = 0.02 * np.random.default_rng(0).normal(size=(29, 3))
    observations = Observations.of(
        states["u"][1:, jnp.asarray([0, 3, 5])] + noise,
        range(1, 30),
        Select(jnp.asarray([0, 3, 5])),
        error=4e-4,
    )
    guess = {"u": jnp.ones((29, 8))}
    where = lambda c: c.tendency.parameters["kappa"]  # noqa: E731
    wrong = eqx.tree_at(where, truth, jnp.asarray(0.05))
    fitted = fit(
        wrong,
        observations,
        JointFit((1.0, 1e-2, 1e-4, 1e-6), jnp.full(8, 0.02), warm_up=0),
        key=KEY,
        where=where,
        first_guess=guess,
    )
    error = float(where(fitted.posterior.parameter_std))
    assert error < 0.003
    assert abs(float(where(fitted.cell)) - 0.02) < 3.5 * error
    assert fitted.posterior.states["u"].shape == (29, 8)
