"""Learning: least squares in closed form, descent step by step, what is refused."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix as optx
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import least_squares
from support import (
    Map,
    child,
    fitting_problem,
    lorenz63_taylor,
    noisy_series,
)

from tendency.errors import InputError
from tendency.fitting import Descent, Diverged, LeastSquares, RolloutLoss, fit
from tendency.integrate import Integrated, rk4
from tendency.physics import Lorenz63
from tendency.statistical import Persistence
from tendency.windows import Windows
from tendency.wrappers import Perturbed

KEY = jax.random.key(0)


@eqx.filter_jit
def each_window(loss, cell, windows):
    return jax.vmap(lambda w: loss(cell, w))(windows.all())


def all_windows(loss, cell, windows):
    """The mean loss of every window, without any of the machinery of `fit`."""
    return float(np.mean(each_window(loss, cell, windows)))


# Least squares.


def test_the_parameters_of_lorenz63_are_found_from_exact_data():
    start = lorenz63_taylor([8.0, 0.0, 30.0], 0.01, 100)[-1]
    truth = lorenz63_taylor(start, 0.01, 200).astype(float)
    windows = Windows.of(truth, 3, stride=2)
    cell = Integrated(Lorenz63(5.0, 20.0, 2.0), 0.01, rk4, substeps=8)
    fitted = fit(cell, windows, LeastSquares(), key=KEY)
    found = fitted.cell.tendency
    assert_allclose(
        [found.sigma, found.rho, found.beta], [10, 28, 8 / 3], rtol=0, atol=1e-7
    )
    before, after = fitted.history["train_loss"]
    assert after < 1e-16 < before


@pytest.mark.parametrize(
    "solver", [None, optx.GaussNewton(1e-10, 1e-10)], ids=["own", "optimistix"]
)
def test_a_linear_model_is_fitted_as_in_closed_form(solver):
    """x' = A x + b by one-step residuals is a linear regression, weights included."""
    x = noisy_series(301)  # so many windows that they are not treated all at once
    weights = np.random.default_rng(1).uniform(0.1, 2.0, 301)
    windows = Windows.of(x, 2, weights=weights)
    cell = Map(jnp.eye(2), jnp.zeros(2))
    method = LeastSquares(solver)
    fitted = fit(cell, windows, method, key=KEY, validation=windows)
    root = np.sqrt(weights[1:, None])
    predictors = np.column_stack([x[:-1], np.ones(300)])
    solution = np.linalg.lstsq(root * predictors, root * x[1:])[0]
    assert_allclose(fitted.cell.matrix, solution[:2].T, atol=1e-9)
    assert_allclose(fitted.cell.offset, solution[2], atol=1e-9)
    if solver is None:
        left = root * (predictors @ solution - x[1:])
        inverse = np.linalg.inv((root * predictors).T @ (root * predictors))
        variance = inverse[2, 2] * (left**2).sum() / (left.size - 6)
        error = fitted.standard_error(lambda cell: 3 * cell.offset)
        assert_allclose(error, 3 * np.sqrt(variance), rtol=1e-6)
    else:
        with pytest.raises(InputError, match="standard errors need a covariance"):
            fitted.standard_error(lambda cell: cell.offset)
    validation = fitted.history["validation_loss"]
    assert_allclose(validation[1], all_windows(RolloutLoss(), fitted.cell, windows))
    assert validation[1] < validation[0]


@pytest.fixture(scope="module")
def shooting():
    """A noisy rotation in windows, and the dense joint optimum of map and states."""
    cell = Map(jnp.eye(2), jnp.zeros(2))
    windows = Windows.of(noisy_series(40), 10, stride=10)
    observed = np.asarray(windows.all().states)

    def residuals(unknown):
        matrix, offset = unknown[:4].reshape(2, 2), unknown[4:6]
        states = [unknown[6:].reshape(-1, 2)]
        for _ in range(9):
            states.append(states[-1] @ matrix.T + offset)
        return (np.stack(states, 1) - observed).ravel()

    rough = np.concatenate([np.eye(2).ravel(), np.zeros(2), observed[:, 0].ravel()])
    joint = least_squares(residuals, rough, xtol=1e-15, ftol=1e-15, gtol=1e-15)
    return cell, windows, joint


def test_multiple_shooting_is_the_dense_joint_least_squares(shooting, monkeypatch):
    """Four windows treated by threes: the last of them beside two that do not exist."""
    at_once = "tendency.fitting.levenberg_marquardt._WINDOWS_AT_ONCE"
    monkeypatch.setattr(at_once, 3)
    cell, windows, joint = shooting
    fitted = fit(cell, windows, LeastSquares(), key=KEY, free_initial_states=True)
    assert_allclose(fitted.cell.matrix.ravel(), joint.x[:4], atol=1e-6)
    assert_allclose(fitted.cell.offset, joint.x[4:6], atol=1e-6)
    assert_allclose(fitted.initial_states.ravel(), joint.x[6:], atol=1e-6)
    assert_allclose(fitted.history["train_loss"][1], np.mean(joint.fun**2), rtol=1e-9)
    inverse = np.linalg.inv(joint.jac.T @ joint.jac)[:6, :6]
    freedom = joint.fun.size - joint.x.size
    expected = inverse * (joint.fun**2).sum() / freedom
    assert fitted.covariance is not None
    assert_allclose(fitted.covariance, expected, rtol=1e-3, atol=1e-6 * expected.max())


def test_descent_with_free_states_goes_to_the_same_optimum(shooting):
    cell, windows, joint = shooting
    first = windows.all().states[:, 0] + 0.3
    optimiser = optax.adam(optax.cosine_decay_schedule(0.05, 3000))
    fitted = fit(
        cell, windows, Descent(optimiser, 3000), key=KEY, free_initial_states=first
    )
    assert_allclose(fitted.cell.matrix.ravel(), joint.x[:4], atol=1e-5)
    assert_allclose(fitted.initial_states.ravel(), joint.x[6:], atol=1e-4)
    assert_allclose(fitted.history["train_loss"][-1], np.mean(joint.fun**2), rtol=1e-5)


# Descent.

LOSS = RolloutLoss(horizon=3)


def descend(optimiser, epochs, **options):
    """`fit` by descent of the small problem, in batches of four windows of twelve."""
    cell, windows, validation = fitting_problem()
    if options.pop("validated", False):
        options["validation"] = validation
    names = ("curriculum", "patience", "batch")
    own: dict[str, Any] = {"batch": 4} | {
        k: options.pop(k) for k in names if k in options
    }
    options = {"key": KEY, "loss": LOSS} | options
    return fit(
        cell, windows, Descent(optimiser, epochs, **{"batch": 4, **own}), **options
    )


@pytest.fixture(scope="module")
def adam():
    return optax.adam(0.02)


@pytest.fixture(scope="module")
def trained(adam):
    return descend(adam, 30)


def test_descent_brings_the_loss_down(trained):
    _, windows, _ = fitting_problem()
    losses = trained.history["train_loss"]
    assert losses.shape == (30,)
    assert losses[-1] < 0.2 * losses[0]
    assert_allclose(
        all_windows(LOSS, trained.cell, windows), losses[-1], rtol=0.2
    )  # the weights moved a little while the last epoch was averaged
    assert trained.best == 29


def test_the_same_seed_gives_the_same_bits(adam, trained):
    assert eqx.tree_equal(descend(adam, 30).cell, trained.cell)
    other = descend(adam, 30, key=jax.random.key(1)).cell
    assert not np.any(other.matrix == trained.cell.matrix)


def test_the_callers_cell_and_windows_are_left_as_they_were(adam):
    cell, windows, _ = fitting_problem()
    starts = np.asarray(windows.starts)
    fit(cell, windows, Descent(adam, 30, 4), key=KEY, loss=LOSS)
    assert_array_equal(cell.matrix, 0.5 * np.eye(2))
    assert_array_equal(windows.starts, starts)


def test_a_curriculum_changes_the_horizon_from_its_epoch_on():
    """At rate zero the mean over the batches of an epoch is that over all windows."""
    cell, windows, validation = fitting_problem()
    told = []
    options = {"validated": True, "report": told.append}
    fitted = descend(optax.sgd(0.0), 4, curriculum=((1, 2),), **options)
    train = [all_windows(RolloutLoss(h), cell, windows) for h in (3, 2, 2, 2)]
    validation = [all_windows(LOSS, cell, validation)] * 4
    assert_allclose(fitted.history["train_loss"], train, rtol=1e-13)
    assert_allclose(fitted.history["validation_loss"], validation, rtol=1e-13)
    assert eqx.tree_equal(fitted.cell, cell)
    last = {name: losses[-1] for name, losses in fitted.history.items()}
    assert told[-1] == {"epoch": 3, "epochs": 4} | last


def at_epoch(epoch, before, after):
    """Gradient descent whose rate changes at an epoch of three steps."""
    rates = [optax.constant_schedule(before), optax.constant_schedule(after)]
    return optax.sgd(optax.join_schedules(rates, [3 * epoch]))


def test_the_weights_kept_are_the_best_and_patience_ends_the_fit():
    """Descent for four epochs, then ascent."""
    _, _, validation = fitting_problem()
    fitted = descend(at_epoch(4, 0.02, -0.02), 9, validated=True, patience=2)
    losses = fitted.history["validation_loss"]
    assert fitted.best == np.argmin(losses) == 3
    assert len(losses) == len(fitted.history["train_loss"]) == 3 + 1 + 2
    assert_allclose(all_windows(LOSS, fitted.cell, validation), losses[3], rtol=1e-12)


def test_a_fit_that_explodes_says_where_and_keeps_the_best():
    """The seventh step falls into the abyss; the loss of the eighth shows it."""
    cell, _, validation = fitting_problem()
    message = r"finite at step 7 \(epoch 2\): try a smaller learning rate"
    with pytest.raises(Diverged, match=message) as caught:
        descend(at_epoch(2, 0.02, 1e200), 9, validated=True, where=lambda c: c.offset)
    fitted = caught.value.fitted
    losses = fitted.history["validation_loss"]
    assert len(losses) == 2
    assert_allclose(all_windows(LOSS, fitted.cell, validation), losses[1], rtol=1e-12)
    assert_array_equal(fitted.cell.matrix, cell.matrix)  # `where` left it out
    assert not np.any(fitted.cell.offset == cell.offset)


def test_least_squares_from_weights_that_are_not_finite_is_refused():
    cell, windows, _ = fitting_problem()
    cell = eqx.tree_at(lambda c: c.offset, cell, jnp.array([jnp.nan, 0.0]))
    with pytest.raises(Diverged, match="not finite at the first weights"):
        fit(cell, windows, LeastSquares(), key=KEY)


def test_float32_stays_float32_and_each_epoch_draws_its_own_batches():
    """Two of eighteen windows fill no batch: at rate zero each epoch misses others."""
    windows = Windows.of(noisy_series(20).astype(np.float32), 3)
    cell = Map(jnp.eye(2, dtype=jnp.float32), jnp.zeros(2, jnp.float32))
    method = Descent(optax.sgd(0.0), 4, batch=8)
    fitted = fit(cell, windows, method, key=KEY, validation=windows)
    assert {a.dtype for a in jax.tree.leaves(fitted.cell)} == {jnp.dtype("float32")}
    assert fitted.history["train_loss"].dtype == np.float32
    assert len(set(fitted.history["train_loss"].tolist())) == 4
    assert len(set(fitted.history["validation_loss"].tolist())) == 1


def test_any_function_may_be_the_loss_and_no_constant_is_touched():
    """The key that makes steps stochastic reaches it; decay moves weights only."""
    cell, windows, _ = fitting_problem()
    keys = []

    def distance(cell, window, *, key):
        keys.append(key)
        return jnp.sum((cell.cell.offset - 3.0) ** 2)

    method = Descent(optax.adamw(0.3, weight_decay=0.1), 20, batch=4)
    fitted = fit(Perturbed(cell, 0.5), windows, method, key=KEY, loss=distance).cell
    assert_allclose(fitted.cell.offset, [3.0, 3.0], atol=0.3)
    assert float(fitted.cell.matrix[0, 0]) < 0.5  # decayed, without any slope
    assert float(fitted.std.value) == 0.5
    assert all(isinstance(key, jax.Array) for key in keys)
    with pytest.raises(InputError, match="least squares needs a loss with residuals"):
        fit(cell, windows, LeastSquares(), key=KEY, loss=distance)


# What is refused.


def test_a_solver_that_cannot_free_the_initial_states_is_refused():
    cell, windows, _ = fitting_problem()
    method = LeastSquares(optx.GaussNewton(1e-8, 1e-8))
    with pytest.raises(InputError, match="GaussNewton was asked to fit free initial"):
        fit(cell, windows, method, key=KEY, free_initial_states=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"loss": RolloutLoss(horizon=5)},
            "training windows of 5 times .* 6 are",
        ),
        ({"curriculum": ((2, 9),)}, "training windows of 5 times .* 10 are needed"),
        ({"curriculum": ((0, 1),), "loss": print}, "curriculum changes the horizon"),
        ({"patience": 2}, "no validation data were given"),
        ({"free_initial_states": jnp.zeros((3, 2))}, r"\[3\] states and there are 12"),
        ({"batch": 0}, "batch is 0, at least 1 was expected"),
        ({"patience": 0, "validated": True}, "patience is 0"),
    ],
)
def test_a_descent_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        descend(optax.sgd(0.1), 2, **options)


def test_a_validation_set_too_short_and_a_model_without_weights_are_refused(adam):
    cell, windows, _ = fitting_problem()
    short = Windows.of(noisy_series(9), 3)
    with pytest.raises(InputError, match="validation windows of 3 times"):
        fit(cell, windows, Descent(adam, 1), key=KEY, loss=LOSS, validation=short)
    with pytest.raises(InputError, match="Persistence has nothing to fit"):
        fit(Persistence(1.0), windows, Descent(adam, 1), key=KEY)
    with pytest.raises(InputError, match="horizon is 0 steps"):
        RolloutLoss(horizon=0)


SHARED = """
import optax
from support import fitting_problem
from tendency.errors import InputError
from tendency.fitting import Descent, RolloutLoss, fit

assert len(jax.local_devices()) == 4
cell, windows, _ = fitting_problem()

def fitted(devices):
    method = Descent(optax.adam(0.02), 5, batch=8, devices=devices)
    return fit(cell, windows, method, key=jax.random.key(0))

four, one = fitted(None), fitted(tuple(jax.devices()[:1]))
shards = Descent(optax.adam(0.02), 5, batch=8)._mesh(8)
assert shards is not None and shards.size == 4
print(*(abs(a - b).max() for a, b in zip(
    jax.tree.leaves((four.cell, dict(four.history))),
    jax.tree.leaves((one.cell, dict(one.history))),
    strict=True,
)))
try:
    fitted(tuple(jax.devices()[:3]))
except InputError as error:
    print(error)
"""


def test_devices_that_share_a_batch_agree_with_one():
    process = child(
        SHARED,
        XLA_FLAGS="--xla_force_host_platform_device_count=4",
        JAX_COMPILATION_CACHE_DIR=jax.config.jax_compilation_cache_dir,  # pyright: ignore
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0.3",
    )
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    differences, refusal = out.splitlines()
    assert len(differences.split()) == 3
    assert all(float(d) < 1e-10 for d in differences.split())
    assert "3 devices cannot share batches of 8" in refusal
