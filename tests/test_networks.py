"""Tendencies with learned weights: their equations, statistics, types and gradients."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from tendency.cell import Ramp, Standardisation, trainable
from tendency.errors import InputError
from tendency.forecasting import forecast
from tendency.integrate import Integrated, dormand_prince5, euler, rk4
from tendency.networks import MLP, Bilinear, Dense, Scaling
from tendency.networks.dense import drawn, glorot
from tendency.physics import Lorenz63
from tendency.store import load, save

STATISTICS = Standardisation(jnp.array([1.0, -2.0, 25.0]), jnp.array([8.0, 9.0, 0.5]))
STATE = jnp.array([3.0, 1.0, 24.0])


def shaken(module, key, scale=0.3):
    """The same module with other weights, biases included."""
    free, fixed = eqx.partition(module, trainable(module))
    leaves, tree = jax.tree.flatten(free)
    keys = jax.random.split(key, len(leaves))
    moved = [
        leaf + scale * jax.random.normal(k, leaf.shape, leaf.dtype)
        for leaf, k in zip(leaves, keys, strict=True)
    ]
    return eqx.combine(jax.tree.unflatten(tree, moved), fixed)


@pytest.fixture
def bilinear(key):
    return shaken(Bilinear(3, 4, standardisation=STATISTICS, key=key), key)


@pytest.fixture
def mlp(key):
    return shaken(
        MLP(
            3,
            5,
            depth=2,
            standardisation=STATISTICS,
            tendency_std=jnp.array([10.0, 20.0, 30.0]),
            forcing_size=2,
            forcing_standardisation=Standardisation(jnp.ones(2), jnp.full(2, 4.0)),
            key=key,
        ),
        key,
    )


def test_bilinear_is_its_equation(bilinear):
    z = (STATE - STATISTICS.mean.value) / STATISTICS.std.value
    left = bilinear.left.weight.T @ z + bilinear.left.bias
    right = bilinear.right.weight.T @ z + bilinear.right.bias
    dz = bilinear.linear.weight.T @ z + bilinear.linear.bias
    dz = dz + bilinear.mixing.T @ (left * right)
    np.testing.assert_allclose(bilinear(STATE), STATISTICS.std.value * dz, rtol=1e-12)


def test_bilinear_coefficients_are_the_tendency_in_the_units_of_the_state(
    bilinear, key
):
    constant, linear, quadratic = bilinear.coefficients()
    np.testing.assert_allclose(quadratic, quadratic.transpose(0, 2, 1), atol=1e-14)
    for state in 20 * jax.random.normal(key, (10, 3)):
        expected = constant + linear @ state + quadratic @ state @ state
        np.testing.assert_allclose(bilinear(state), expected, rtol=1e-11)


def test_two_products_write_the_lorenz_equations():
    zero = Bilinear(3, 2, standardisation=STATISTICS, key=jax.random.key(0))
    std, mean = STATISTICS.std.value, STATISTICS.mean.value
    sigma, rho, beta = 10.0, 28.0, 8 / 3
    linear = jnp.array([[-sigma, sigma, 0], [rho, -1, 0], [0, 0, -beta]])

    def tree(linear_weight, linear_bias, left, left_bias, right, right_bias, mixing):
        return eqx.tree_at(
            lambda m: (
                m.linear.weight,
                m.linear.bias,
                m.left.weight,
                m.left.bias,
                m.right.weight,
                m.right.bias,
                m.mixing,
            ),
            zero,
            (
                linear_weight,
                linear_bias,
                left,
                left_bias,
                right,
                right_bias,
                mixing,
            ),
        )

    # -x z and x y, both with x in front; x = mean + std z throughout
    left = jnp.array([[std[0], std[0]], [0, 0], [0, 0]])
    right = jnp.array([[0, 0], [0, std[1]], [std[2], 0]])
    mixing = jnp.array([[0.0, -1, 0], [0, 0, 1]]) / std[None]
    model = tree(
        (linear * std[None]).T / std[None],
        linear @ mean / std,
        left,
        jnp.full(2, mean[0]),
        right,
        jnp.array([mean[2], mean[1]]),
        mixing,
    )
    constant, found, quadratic = model.coefficients()
    np.testing.assert_allclose(constant, 0, atol=1e-12)
    np.testing.assert_allclose(found, linear, atol=1e-12)
    expected = np.zeros((3, 3, 3))
    expected[1, 0, 2] = expected[1, 2, 0] = -0.5
    expected[2, 0, 1] = expected[2, 1, 0] = 0.5
    np.testing.assert_allclose(quadratic, expected, atol=1e-12)
    np.testing.assert_allclose(model(STATE), Lorenz63()(STATE), rtol=1e-12)


def test_mlp_is_its_equation(mlp):
    z = (STATE - STATISTICS.mean.value) / STATISTICS.std.value
    x = np.concatenate([z, (np.array([5.0, -3.0]) - 1) / 4])
    for layer in mlp.layers[:-1]:
        x = np.tanh(layer.weight.T @ x + layer.bias)
    x = mlp.layers[-1].weight.T @ x + mlp.layers[-1].bias
    expected = np.array([10.0, 20.0, 30.0]) * x
    for forcing in (
        jnp.array([5.0, -3.0]),
        {"a": jnp.array(5.0), "b": jnp.array(-3.0)},
    ):
        np.testing.assert_allclose(mlp(STATE, forcing), expected, rtol=1e-12)


def test_the_stages_of_a_scheme_see_a_ramp(mlp):
    cell = Integrated(mlp, dt=0.01)
    start, end = jnp.array([5.0, -3.0]), jnp.array([9.0, 0.0])
    ramp = cell.step(cell.init(STATE), Ramp(start, end)).state
    held = cell.step(cell.init(STATE), start).state
    middle = cell.step(cell.init(STATE), (start + end) / 2).state
    assert jnp.abs(ramp - middle).max() < 0.2 * jnp.abs(ramp - held).max()


def test_depth_zero_is_linear(key):
    model = MLP(3, 5, depth=0, key=key)
    np.testing.assert_allclose(model(2 * STATE), 2 * model(STATE), rtol=1e-12)


@pytest.mark.parametrize(
    "build",
    [
        lambda key: MLP(3, 5, key=key),
        lambda key: MLP(3, 5, activation=jax.nn.gelu, key=key),
        lambda key: Bilinear(3, 2, key=key),
    ],
)
def test_derivatives_agree_with_finite_differences(build, key):
    """In the weights and in the states; forward and reverse mode."""
    model = shaken(build(key), key)
    free, fixed = eqx.partition(model, trainable(model))
    start, unravel = ravel_pytree((free, jax.random.normal(key, (4, 3))))
    direction = jax.random.normal(key, start.shape)

    @jax.jit
    def loss(flat):
        free, states = unravel(flat)
        return jnp.sum(jax.vmap(eqx.combine(free, fixed))(states) ** 2)

    small = 1e-5 * direction
    expected = (loss(start + small) - loss(start - small)) / 2e-5
    _, forward = jax.jvp(loss, (start,), (direction,))
    np.testing.assert_allclose(forward, expected, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(loss)(start) @ direction, expected, rtol=1e-6)


def test_only_statistics_are_kept_from_learning(mlp, bilinear):
    for model in (mlp, bilinear):
        free, fixed = eqx.partition(model, trainable(model))
        assert jax.tree.leaves(free.scaling) == []
        kept = jax.tree.leaves(eqx.filter(fixed, eqx.is_array))
        assert len(kept) == len(jax.tree.leaves(model.scaling))


def test_float32_stays_float32(key):
    samples = jax.random.normal(key, (50, 3), jnp.float32)
    for model in (
        MLP.of(samples, 4, dt=0.1, key=key),
        Bilinear.of(samples, 2, key=key),
    ):
        assert {leaf.dtype for leaf in jax.tree.leaves(model)} == {
            jnp.dtype(jnp.float32)
        }
        assert model(samples[0]).dtype == jnp.float32
        cell = Integrated(model, dt=0.01, scheme=euler)
        _, states = forecast(cell, cell.init(samples[0]), 3)
        assert states.dtype == jnp.float32


def test_a_float32_state_stays_so_under_a_float64_model(bilinear, mlp):
    state = STATE.astype(jnp.float32)
    forcing = jnp.zeros(2, jnp.float32)
    for model in (bilinear, mlp):
        tendency = model(state, forcing)
        assert tendency.dtype == jnp.float32
        np.testing.assert_allclose(tendency, model(STATE, forcing), rtol=1e-6)


def test_members_by_vmap(bilinear, mlp, key):
    states = jax.random.normal(key, (6, 3))
    forcing = jnp.zeros(2)
    for model in (bilinear, mlp):
        together = jax.jit(jax.vmap(model, (0, None)))(states, forcing)
        alone = jnp.stack([model(x, forcing) for x in states])
        np.testing.assert_allclose(together, alone, rtol=1e-12)


def test_of_takes_the_statistics_of_the_samples(key):
    samples = jax.vmap(STATISTICS.invert)(jax.random.normal(key, (200, 3)))
    forcing = 3 + jax.random.normal(key, (200, 1))
    model = MLP.of(samples, 4, dt=0.5, forcing=forcing, key=key)
    np.testing.assert_allclose(model.scaling.state.mean.value, samples.mean(0))
    np.testing.assert_allclose(
        model.scaling.output_std.value, jnp.diff(samples, axis=0).std(0) / 0.5
    )
    assert model.scaling.forcing is not None
    np.testing.assert_allclose(model.scaling.forcing.mean.value, forcing.mean(0))
    slow = MLP.of(samples, 4, key=key)
    np.testing.assert_allclose(slow.scaling.output_std.value, samples.std(0))


def test_a_bilinear_tendency_is_found_by_descent_on_its_residual(key):
    """Nothing but the products is missing: the weights of Lorenz-63 are reached."""
    truth = Integrated(Lorenz63(), dt=0.01, scheme=dormand_prince5)
    _, series = forecast(truth, truth.init(jnp.array([1.0, 1, 25])), 1000)
    slopes = jax.vmap(Lorenz63())(series)
    model = Bilinear.of(series, 2, key=key)
    free, fixed = eqx.partition(model, trainable(model))
    flat, unravel = ravel_pytree(free)

    def residual(flat):
        model = eqx.combine(unravel(flat), fixed)
        return ((jax.vmap(model)(series) - slopes) / slopes.std(0)[None]).ravel()

    @jax.jit
    def improved(flat, damping):
        jacobian, r = jax.jacfwd(residual)(flat), residual(flat)
        normal = jacobian.T @ jacobian
        step = jnp.linalg.solve(
            normal + damping * jnp.diag(jnp.diag(normal) + 1e-9), jacobian.T @ r
        )
        better = jnp.sum(residual(flat - step) ** 2) < jnp.sum(r**2)
        return jnp.where(better, flat - step, flat), jnp.where(
            better, damping / 5, damping * 4
        )

    damping = jnp.array(1e-2)
    for _ in range(60):
        flat, damping = improved(flat, damping)
    constant, linear, quadratic = eqx.combine(unravel(flat), fixed).coefficients()
    np.testing.assert_allclose(constant, 0, atol=1e-5)
    np.testing.assert_allclose(linear[0], jnp.array([-10.0, 10, 0]), atol=1e-5)
    np.testing.assert_allclose(linear[2, 2], -8 / 3, atol=1e-5)
    np.testing.assert_allclose(quadratic[2, 0, 1], 0.5, atol=1e-5)


def test_saved_and_loaded(bilinear, mlp, tmp_path):
    for model in (bilinear, mlp):
        save(tmp_path / "model", model)
        loaded, _ = load(tmp_path / "model")
        assert eqx.tree_equal(loaded, model)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda key: Bilinear(3, 0, key=key), "products is 0"),
        (lambda key: Bilinear(0, 2, key=key), "size is 0"),
        (lambda key: MLP(3, 4, depth=-1, key=key), "depth is -1"),
        (lambda key: MLP(3, 0, key=key), "width is 0"),
        (lambda key: Dense(0, 2, key=key), "inputs is 0"),
        (lambda key: Bilinear(4, 2, standardisation=STATISTICS, key=key), "4 comp"),
        (lambda key: MLP(2, 4, tendency_std=jnp.ones(3), key=key), "of the output"),
        (
            lambda key: MLP(2, 4, forcing_standardisation=STATISTICS, key=key),
            "of the forcing",
        ),
        (lambda key: Scaling(2, forcing_size=-1), "forcing_size is -1"),
    ],
)
def test_impossible_sizes_are_refused(build, words, key):
    with pytest.raises(InputError, match=words):
        build(key)


def test_a_missing_forcing_is_named(mlp):
    with pytest.raises(InputError, match="holds 0 numbers and the model reads 2"):
        mlp(STATE)
    with pytest.raises(InputError, match="holds 3 numbers and the model reads 2"):
        mlp(STATE, jnp.zeros(3))


def test_a_forcing_is_left_unread_by_who_reads_none(bilinear):
    cell = Integrated(bilinear, dt=0.01, scheme=rk4)
    forced = cell.step(cell.init(STATE), Ramp(jnp.zeros(2), jnp.ones(2))).state
    np.testing.assert_array_equal(forced, cell.step(cell.init(STATE)).state)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64, jnp.bfloat16])
def test_weights_are_those_that_are_drawn_a_shape_at_a_time(dtype, key):
    """By programs that serve all shapes, and in one that is traced."""
    for shape in ((3, 5), (65,), (4, 2, 3, 3)):
        expected = jnp.asarray(0.3, dtype) * jax.random.normal(key, shape, dtype)
        found = drawn(jax.random.normal, key, shape, dtype, 0.3)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == dtype
    traced = jax.jit(lambda k: drawn(jax.random.normal, k, (3, 5), dtype, 0.3))(key)
    found = drawn(jax.random.normal, key, (3, 5), dtype, 0.3)
    np.testing.assert_allclose(
        traced.astype(float), found.astype(float), rtol=float(jnp.finfo(dtype).eps)
    )
    initialise = jax.nn.initializers.glorot_uniform()
    np.testing.assert_array_equal(
        glorot(key, 7, 12, dtype), initialise(key, (7, 12), dtype)
    )
