"""Persistence, damped persistence and climatology against their closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tendency.cell import Carry, Ramp, trainable
from tendency.errors import InputError
from tendency.statistical.climatology import (
    GREGORIAN_YEAR,
    climatology,
    harmonic_basis,
)
from tendency.statistical.persistence import (
    DampedPersistence,
    Persistence,
    damped_persistence,
)
from tendency.windows import Windows


def red_noise(factors, size, seed=0):
    """A series of independent components, each with its lag-one autocorrelation."""
    rng = np.random.default_rng(seed)
    factors = np.asarray(factors)
    x = np.zeros((size, len(factors)))
    for t in range(1, size):
        x[t] = factors * x[t - 1] + rng.standard_normal(len(factors))
    return jnp.asarray(x)


def advance(cell, carry, steps):
    return jax.lax.scan(lambda c, _: (cell.step(c), None), carry, None, steps)[0]


def test_persistence_keeps_a_state_of_any_structure():
    cell = Persistence(dt=1.0)
    state = {"u": jnp.arange(3.0), "v": jnp.ones((2, 2))}
    assert cell.spin_up_steps == 0
    new = cell.step(cell.init(state), key=jax.random.key(0))
    assert all(jax.tree.leaves(jax.tree.map(jnp.array_equal, new.state, state)))


def test_damped_persistence_decays_as_a_power():
    x = red_noise([0.9, 0.5], 4000) + jnp.array([[3.0, -2.0]])
    cell = damped_persistence(Windows.of(x, 2), 1.0)
    mean, factor = cell.mean.value, cell.factor
    np.testing.assert_allclose(factor, [0.9, 0.5], atol=0.03)
    np.testing.assert_allclose(mean, x.mean(0), atol=5e-3)
    start = jnp.array([10.0, 10.0])
    end = advance(cell, cell.init(start), 7).state
    np.testing.assert_allclose(end, mean + factor**7 * (start - mean), rtol=1e-14)


def test_the_factor_is_the_least_squares_slope_about_the_mean():
    x = np.asarray(red_noise([0.7], 300))
    cell = damped_persistence(Windows.of(jnp.asarray(x), 4), 1.0, lag=3)
    now, later = x[:-3, 0], x[3:, 0]
    mean = np.concatenate([now, later]).mean()
    slope = ((now - mean) @ (later - mean)) / ((now - mean) @ (now - mean))
    np.testing.assert_allclose(cell.mean.value, [mean], rtol=1e-12)
    np.testing.assert_allclose(cell.factor, [slope ** (1 / 3)], rtol=1e-12)


def test_a_factor_stays_between_the_mean_and_persistence():
    t = np.arange(50.0)
    x = np.stack([(-1.0) ** t, np.exp(0.2 * t), np.ones(50)], axis=1)
    factor = damped_persistence(Windows.of(jnp.asarray(x), 2), 1.0).factor
    np.testing.assert_array_equal(factor, [0.0, 1.0, 0.0])


def test_damping_leaves_out_what_is_masked():
    x = np.asarray(red_noise([0.8, 0.6], 500)).copy()
    weights = np.ones_like(x)
    weights[100:200, 0] = 0
    spoilt = np.where(weights > 0, x, np.nan)
    cell = damped_persistence(
        Windows.of(jnp.asarray(spoilt), 2, weights=jnp.asarray(weights)), 1.0
    )
    alone = damped_persistence(
        Windows.of(
            jnp.asarray(np.delete(x, slice(100, 200), 0)), 2, segments=[100, 300]
        ),
        1.0,
    )
    whole = damped_persistence(Windows.of(jnp.asarray(x), 2), 1.0)
    np.testing.assert_allclose(cell.factor[0], alone.factor[0], rtol=1e-12)
    np.testing.assert_allclose(cell.factor[1], whole.factor[1], rtol=1e-12)


def test_damping_takes_a_state_of_several_arrays():
    x = red_noise([0.9, 0.5], 200)
    states = {"a": x[:, 0], "b": x[:, 1:]}
    weights = {"a": jnp.ones(200), "b": jnp.ones((200, 1))}
    alone = damped_persistence(Windows.of(x, 2), 1.0)
    for w in (None, jnp.ones(200), weights):
        cell = damped_persistence(Windows.of(states, 2, weights=w), 1.0)
        np.testing.assert_allclose(cell.factor["a"], alone.factor[0], rtol=1e-13)
        new = cell.step(cell.init({"a": jnp.array(2.0), "b": jnp.ones(1)}))
        assert new.state["a"].shape == ()
        assert new.state["b"].shape == (1,)


def test_damping_keeps_float32_and_trains_its_factor_only():
    x = red_noise([0.9], 100).astype(jnp.float32)
    cell = damped_persistence(Windows.of(x, 2), 1.0)
    assert cell.step(cell.init(x[0])).state.dtype == jnp.float32
    assert isinstance(cell, DampedPersistence)
    assert jax.tree.leaves(trainable(cell)) == [False, True]


@pytest.mark.parametrize("lag", [0, 2])
def test_a_lag_outside_the_windows_is_refused(lag):
    with pytest.raises(InputError, match=f"lag of {lag} steps from windows of 2 times"):
        damped_persistence(Windows.of(jnp.ones((5, 1)), 2), 1.0, lag=lag)


PERIODS, HARMONICS = (GREGORIAN_YEAR, 1.0), (2, 1)


def cycles(t, seed=0):
    """A state of shape (2, 3) made of a year with two harmonics and a day with one."""
    basis = harmonic_basis(np.asarray(t, float), PERIODS, HARMONICS, np)
    coefficients = np.random.default_rng(seed).standard_normal((7, 2, 3))
    return np.tensordot(basis, coefficients, 1), coefficients


def test_climatology_recovers_its_harmonics_through_gaps():
    t = 20_000 + np.arange(0, 800, 0.25)
    x, coefficients = cycles(t)
    rng = np.random.default_rng(1)
    gappy = np.where(rng.random(x.shape) < 0.3, np.nan, x)
    gappy[:, 1, 2] = np.nan  # land
    model = climatology(gappy, t, PERIODS, HARMONICS, dt=0.25)
    np.testing.assert_allclose(
        model.coefficients.reshape(7, 6)[:, :5],
        coefficients.reshape(7, 6)[:, :5],
        atol=1e-11,
    )
    assert np.isnan(model.coefficients[:, 1, 2]).all()


def test_climatology_is_the_least_squares_fit_of_every_component():
    rng = np.random.default_rng(2)
    t = np.sort(rng.uniform(0, 400, 300))
    x = rng.standard_normal((300, 3))
    x[rng.random(x.shape) < 0.2] = np.nan
    model = climatology(x, t, (GREGORIAN_YEAR,), 2, dt=1.0)
    basis = harmonic_basis(t, model.periods, model.harmonics, np)
    for i in range(3):
        seen = np.isfinite(x[:, i])
        oracle = np.linalg.lstsq(basis[seen], x[seen, i])[0]
        np.testing.assert_allclose(model.coefficients[:, i], oracle, atol=1e-11)


def test_climatology_is_read_at_any_times():
    t = np.arange(0, 800, 0.25)
    x, _ = cycles(t)
    model = climatology(x, t, PERIODS, HARMONICS, dt=0.25)
    later = 1e4 + np.linspace(0, 300, 6).reshape(2, 3)
    assert model.at(later).shape == (2, 3, 2, 3)
    np.testing.assert_allclose(model.at(later), cycles(later)[0], atol=1e-9)
    np.testing.assert_allclose(model.at(later[0, 0]), cycles(later[0, 0])[0], atol=1e-9)


def test_the_step_of_a_climatology_answers_for_its_end():
    t = np.arange(0, 800, 0.25)
    x, _ = cycles(t)
    model = climatology(x, t, PERIODS, HARMONICS, dt=0.25)
    start = model.init(jnp.zeros((2, 3)))
    for forcing in (jnp.array(t[5]), Ramp(jnp.array(t[5]), jnp.array(t[6]))):
        new = jax.jit(lambda c, f: model.step(c, f))(start, forcing)
        np.testing.assert_allclose(new.state, x[6], atol=1e-10)
    with pytest.raises(ValueError, match="reads the time"):
        model.step(start)


def test_a_climatology_without_periods_is_the_mean():
    x = np.array([[1.0, np.nan], [3.0, 5.0]])
    model = climatology(x, np.array([0.0, 1.0]), (), dt=1.0)
    np.testing.assert_allclose(model.at(7.0), [2.0, 5.0])


def test_a_climatology_follows_the_precision_of_the_series():
    t = np.arange(0, 800, 0.25)
    model = climatology(cycles(t)[0].astype(np.float32), t, PERIODS, HARMONICS, dt=0.25)
    state = jnp.zeros((2, 3), jnp.float32)
    assert model.at(3.0).dtype == jnp.float32
    assert model.step(Carry(state), jnp.array(3.0)).state.dtype == jnp.float32


@pytest.mark.parametrize(
    ("states", "times", "periods", "harmonics", "message"),
    [
        (np.full((9, 1), np.nan), np.arange(9.0), (4.0,), 1, "no valid value"),
        (np.ones((9, 1)), np.arange(8.0), (4.0,), 1, "9 states and 8 times"),
        (np.ones((9, 1)), np.arange(9.0), (4.0,), (1, 2), "2 numbers of harmonics"),
        (np.ones((9, 1)), np.arange(9.0), (20.0,), 1, "one period of 20"),
        (np.ones((9, 1)), np.arange(9.0), (4.0,), 5, "9 times and the climatology 11"),
    ],
)
def test_a_climatology_that_cannot_be_fitted_says_why(
    states, times, periods, harmonics, message
):
    with pytest.raises(InputError, match=message):
        climatology(states, times, periods, harmonics, dt=1.0)
