"""VAR(p) against its definition: coefficients, eigenvalues, ridge and noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tendency.errors import InputError
from tendency.statistical.linear_ar import LinearAR, linear_ar
from tendency.windows import Windows

A = np.array(
    [
        [[0.2, -0.1, 0.0], [0.1, 0.1, 0.2], [0.0, -0.3, 0.1]],
        [[0.5, 0.2, 0.0], [-0.2, 0.6, 0.1], [0.1, 0.0, 0.4]],
    ]
)  # the newest lag last
C = np.array([1.0, -2.0, 0.5])


def trajectory(size, seed=0, noise=0.0):
    rng = np.random.default_rng(seed)
    x = 3 * rng.standard_normal((size, 3))
    for t in range(2, size):
        x[t] = C + A[0] @ x[t - 2] + A[1] @ x[t - 1] + noise * rng.standard_normal(3)
    return x


def joined(noise=0.0, count=10, size=40):
    x = np.concatenate([trajectory(size, seed, noise) for seed in range(count)])
    return jnp.asarray(x), [size] * count


def test_the_coefficients_of_a_noise_free_process_are_recovered():
    x, segments = joined()
    model = linear_ar(Windows.of(x, 3, segments=segments), dt=1.0)
    np.testing.assert_allclose(model.coefficients, A, atol=1e-12)
    np.testing.assert_allclose(model.intercept, C, atol=1e-12)
    assert model.noise is not None
    np.testing.assert_allclose(model.noise.value, 0, atol=1e-7)
    assert model.spin_up_steps == 1


def test_the_companion_matrix_advances_the_stacked_states():
    x, segments = joined()
    model = linear_ar(Windows.of(x, 3, segments=segments), dt=1.0)
    companion = np.block([[np.zeros((3, 3)), np.eye(3)], [A[0], A[1]]])
    np.testing.assert_allclose(model.companion(), companion, atol=1e-12)
    roots = np.linalg.eigvals(np.asarray(model.companion()))
    z = roots[:, None, None]
    characteristic = np.linalg.det(z**2 * np.eye(3) - z * A[1] - A[0])
    np.testing.assert_allclose(characteristic, 0, atol=1e-10)


def test_steps_carry_the_past_newest_last():
    x = trajectory(20)
    model = LinearAR(jnp.asarray(A), jnp.asarray(C), 1.0)
    carry = model.init(jnp.asarray(x[0]))
    np.testing.assert_array_equal(carry.memory, x[:1])
    carry = model.init(jnp.asarray(x[1]))
    carry = type(carry)(carry.state, jnp.asarray(x[:1]))

    def step(carry, _):
        new = model.step(carry)
        return new, new.state

    np.testing.assert_allclose(
        jax.lax.scan(step, carry, None, 18)[1], x[2:], rtol=1e-12
    )


def test_one_lag_needs_no_memory():
    x, segments = joined()
    model = linear_ar(Windows.of(x, 2, segments=segments), dt=1.0)
    carry = model.step(model.init(x[0]))
    assert carry.memory is None
    expected = model.intercept + model.coefficients[0] @ x[0]
    np.testing.assert_allclose(carry.state, expected, rtol=1e-13)


def test_ridge_is_that_of_the_standardised_normal_equations():
    x, segments = joined(noise=1.0)
    windows = Windows.of(x, 3, segments=segments)
    model = linear_ar(windows, ridge=0.3, dt=1.0)
    samples = np.asarray(windows.all().states)
    past, target = samples[:, :2].reshape(-1, 6), samples[:, 2]
    z = (past - past.mean(0)) / past.std(0)
    y = target - target.mean(0)
    slope = np.linalg.solve(z.T @ z + 0.3 * len(z) * np.eye(6), z.T @ y).T / past.std(0)
    found = np.concatenate(list(model.coefficients), axis=1)
    np.testing.assert_allclose(found, slope, rtol=1e-10)
    np.testing.assert_allclose(
        model.intercept, target.mean(0) - slope @ past.mean(0), rtol=1e-10
    )


def test_much_ridge_leaves_the_mean_and_little_changes_nothing():
    x, segments = joined(noise=1.0)
    windows = Windows.of(x, 3, segments=segments)
    flat = linear_ar(windows, ridge=1e9, dt=1.0)
    np.testing.assert_allclose(flat.coefficients, 0, atol=1e-8)
    mean = windows.all().states[:, 2].mean(0)
    np.testing.assert_allclose(flat.intercept, mean, atol=1e-7)
    plain, little = (linear_ar(windows, ridge=r, dt=1.0) for r in (0.0, 1e-12))
    np.testing.assert_allclose(plain.coefficients, little.coefficients, atol=1e-10)


def test_samples_with_a_zero_weight_are_left_out():
    x, segments = joined()
    weights = np.ones((400, 3))
    weights[50, 1] = weights[333] = 0
    spoilt = np.where(weights > 0, np.asarray(x), 1e6)
    windows = Windows.of(
        jnp.asarray(spoilt), 3, segments=segments, weights=jnp.asarray(weights)
    )
    model = linear_ar(windows, dt=1.0)
    np.testing.assert_allclose(model.coefficients, A, atol=1e-12)


def test_a_component_that_never_varies_gets_no_weight():
    x = np.concatenate([trajectory(200, noise=1.0), np.full((200, 1), 7.0)], axis=1)
    model = linear_ar(Windows.of(jnp.asarray(x), 3), dt=1.0)
    np.testing.assert_allclose(model.coefficients[:, :, 3], 0, atol=1e-14)
    np.testing.assert_allclose(model.step(model.init(jnp.asarray(x[9]))).state[3], 7.0)


def test_noise_has_the_covariance_of_the_residuals():
    x, segments = joined(noise=0.5, count=5, size=1000)
    model = linear_ar(Windows.of(x, 3, segments=segments), dt=1.0)
    assert model.noise is not None
    root = model.noise.value
    np.testing.assert_allclose(root @ root.T, 0.25 * np.eye(3), atol=0.02)
    carry = model.init(x[7])
    keys = jax.random.split(jax.random.key(0), 4000)
    draws = jax.vmap(lambda k: model.step(carry, key=k).state)(keys)
    np.testing.assert_allclose(np.cov(draws.T), root @ root.T, atol=0.03)
    mean = model.step(carry).state
    np.testing.assert_allclose(draws.mean(0), mean, atol=0.03)
    silent = LinearAR(model.coefficients, model.intercept, 1.0)
    np.testing.assert_array_equal(silent.step(carry, key=keys[0]).state, mean)


def test_float32_stays_float32():
    x, segments = joined(noise=1.0)
    model = linear_ar(
        Windows.of(x.astype(jnp.float32), 3, segments=segments), ridge=0.1, dt=1.0
    )
    carry = model.step(model.init(x[0].astype(jnp.float32)), key=jax.random.key(0))
    assert carry.state.dtype == jnp.float32


def test_what_cannot_be_fitted_is_refused():
    x, _ = joined()
    with pytest.raises(InputError, match="hold 1 time, at least 2"):
        linear_ar(Windows.of(x, 1), dt=1.0)
    with pytest.raises(InputError, match="ridge is -1"):
        linear_ar(Windows.of(x, 2), ridge=-1.0, dt=1.0)
    with pytest.raises(InputError, match="pack the variables"):
        linear_ar(Windows.of({"a": x, "b": x}, 2), dt=1.0)
    weights = jnp.asarray(np.arange(400) % 2, float)
    with pytest.raises(InputError, match="every window of 2 times holds a masked"):
        linear_ar(Windows.of(x, 2, weights=weights), dt=1.0)


def test_a_ridge_on_increments_draws_toward_persistence():
    x, segments = joined(noise=1.0)
    windows = Windows.of(x, 3, segments=segments)
    plain = linear_ar(windows, dt=1.0)
    same = linear_ar(windows, dt=1.0, increments=True)
    np.testing.assert_allclose(same.coefficients, plain.coefficients, atol=1e-10)
    np.testing.assert_allclose(same.intercept, plain.intercept, atol=1e-9)
    assert same.noise is not None
    assert plain.noise is not None
    np.testing.assert_allclose(same.noise.value, plain.noise.value, atol=1e-10)
    drawn = linear_ar(windows, ridge=1e9, dt=1.0, increments=True)
    np.testing.assert_allclose(drawn.coefficients[1], np.eye(3), atol=1e-6)
    np.testing.assert_allclose(drawn.coefficients[0], 0, atol=1e-6)
