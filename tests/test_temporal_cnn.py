"""Causal convolutions folded and unfolded, and the cell that forecasts with them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from tendency.cell import Ramp, Standardisation, trainable
from tendency.errors import InputError
from tendency.forecasting import forecast, spin_up
from tendency.networks import CausalConvolutions, TemporalCNN
from tendency.store import load, save

STATISTICS = Standardisation(jnp.array([1.0, -2.0]), jnp.array([3.0, 0.5]))
LARGE = Standardisation(jnp.array([10.0]), jnp.array([5.0]))


def network_of(key, inputs=2, outputs=2, channels=5, kernel=3, dilations=(1, 2, 4)):
    """A network whose biases are not zero."""
    network = CausalConvolutions(
        inputs,
        outputs,
        channels,
        kernel=kernel,
        dilations=dilations,
        activation=jax.nn.gelu,
        key=key,
    )
    return jax.tree.map(lambda a: a + 0.1 if a.ndim == 1 else a, network)


def cell_of(key, inputs=2, **options):
    options = {"standardisation": STATISTICS, "increment_std": jnp.ones(2)} | options
    network = network_of(key, inputs=inputs, dilations=(1, 2))
    return TemporalCNN(network, 0.1, **options)


def by_hand(network, series):
    """The answers for a series, tap by tap, in NumPy, with times before it unknown."""
    u = np.asarray(series)

    def convolve(dense, u, dilation):
        weight = np.asarray(dense.weight).reshape(network.kernel, u.shape[1], -1)
        out = np.full((u.shape[0], weight.shape[2]), np.nan)
        for t in range((network.kernel - 1) * dilation, u.shape[0]):
            taps = [t - i * dilation for i in reversed(range(network.kernel))]
            terms = [u[time] @ w for time, w in zip(taps, weight, strict=True)]
            out[t] = sum(terms) + np.asarray(dense.bias)
        return np.asarray(jax.nn.gelu(out))

    for block, dilation in zip(network.blocks, network.dilations, strict=True):
        answer = convolve(block.second, convolve(block.first, u, dilation), dilation)
        if block.shortcut is not None:
            u = u @ np.asarray(block.shortcut.weight) + np.asarray(block.shortcut.bias)
        u = np.asarray(jax.nn.gelu(u + answer))
    return u @ np.asarray(network.readout.weight) + np.asarray(network.readout.bias)


SHAPES = [
    {"kernel": 3, "dilations": (1, 2, 4)},
    {"kernel": 2, "dilations": (1, 1, 4)},
    {"kernel": 4, "dilations": (2, 6)},
    {"kernel": 1, "dilations": (1,)},
]


@pytest.mark.parametrize("shape", SHAPES)
def test_folded_is_unfolded_is_the_convolution(shape, key):
    network = network_of(key, **shape)
    series = jax.random.normal(key, (network.window + 6, 2))
    unfolded = eqx.filter_jit(network.unfold)(series)
    expected = by_hand(network, series)
    assert np.isnan(expected[: network.window - 1]).all()
    assert unfolded.shape == (7, 2)
    np.testing.assert_allclose(unfolded, expected[network.window - 1 :], rtol=1e-12)
    windows = jnp.stack([series[i : i + network.window] for i in range(7)])
    folded = jax.jit(jax.vmap(lambda window: network(window)))(windows)
    np.testing.assert_allclose(folded, unfolded, rtol=1e-12, atol=1e-14)


def test_the_window_is_what_the_answer_depends_on(key):
    network = network_of(key)
    assert network.window == 1 + 2 * 2 * 7
    series = jax.random.normal(key, (network.window, 2))
    sensitivity = jnp.abs(jax.jit(jax.jacrev(lambda window: network(window)))(series))
    assert (sensitivity.max((0, 2)) > 0).all()


def test_one_step_computes_a_part_of_the_window(key):
    network = network_of(key, channels=8)
    series = jnp.zeros((network.window, 2))

    def flops(function, series):
        cost = jax.jit(function).lower(series).compile().cost_analysis()
        assert cost is not None
        return cost["flops"]

    padded = jnp.zeros((2 * network.window - 1, 2))
    whole = flops(lambda series: network.unfold(series), padded)
    assert flops(lambda series: network(series), series) < 0.4 * whole


def test_the_cell_forecasts_with_its_window(key):
    cell = cell_of(key)
    assert cell.spin_up_steps == cell.network.window - 1 == 12
    history = jax.random.normal(key, (20, 2))
    carry = spin_up(cell, history)
    np.testing.assert_array_equal(carry.memory, history[-13:-1])

    _, states = forecast(cell, carry, 3)
    answers = eqx.filter_jit(cell.network.unfold)
    known = history
    for state in states:
        (answer,) = answers(jax.vmap(STATISTICS.apply)(known[-13:]))
        known = jnp.concatenate([known, (known[-1] + answer)[None]])
        np.testing.assert_allclose(state, known[-1], rtol=1e-12)


def test_a_cold_start_repeats_the_state(key):
    cell = cell_of(key)
    state = jnp.array([4.0, 5.0])
    np.testing.assert_array_equal(cell.init(state).memory, jnp.tile(state, (12, 1)))
    forced = cell_of(key, inputs=3, forcing_standardisation=LARGE)
    np.testing.assert_array_equal(forced.init(state).memory[:, 2], 10)


def test_a_forcing_is_kept_with_its_state(key):
    cell = cell_of(key, inputs=3, forcing_standardisation=LARGE)
    history, level = jax.random.normal(key, (13, 2)), jnp.linspace(0.0, 30.0, 13)
    carry = spin_up(cell, history, level)
    np.testing.assert_array_equal(carry.memory[:, 2], level[:-1])
    new = eqx.filter_jit(cell.step)(carry, Ramp(level[-1], jnp.array(99.0)))
    z = jax.vmap(STATISTICS.apply)(history)
    inputs = jnp.concatenate([z, ((level - 10) / 5)[:, None]], axis=1)
    np.testing.assert_allclose(
        new.state, history[-1] + eqx.filter_jit(cell.network)(inputs), rtol=1e-12
    )
    with pytest.raises(InputError, match="holds 0 numbers and the model reads 1"):
        cell.step(carry)


def test_derivatives_agree_with_finite_differences(key):
    """Of a forecast, in the weights and in the history; forward and reverse mode."""
    cell = cell_of(key)
    free, fixed = eqx.partition(cell, trainable(cell))
    start, unravel = ravel_pytree((free, jax.random.normal(key, (14, 2))))
    direction = jax.random.normal(key, start.shape)

    @jax.jit
    def loss(flat):
        free, history = unravel(flat)
        cell = eqx.combine(free, fixed)
        return jnp.sum(forecast(cell, spin_up(cell, history), 2)[1] ** 2)

    small = 1e-5 * direction
    expected = (loss(start + small) - loss(start - small)) / 2e-5
    _, forward = jax.jvp(loss, (start,), (direction,))
    gradient = jax.grad(loss)(start)
    np.testing.assert_allclose(forward, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient @ direction, expected, rtol=1e-6)
    of_weights, _ = unravel(gradient)
    assert jax.tree.leaves(of_weights.scaling) == []
    assert all(jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(of_weights))


def test_members_in_float32_by_vmap(key):
    network = CausalConvolutions(2, 2, 4, dtype=jnp.float32, key=key)
    cell = TemporalCNN(network, 0.1, standardisation=STATISTICS)
    leaves = jax.tree.leaves(eqx.filter(cell, eqx.is_array))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.float32)}
    states = jax.random.normal(key, (3, 2), jnp.float32)

    def run(state):
        return forecast(cell, cell.init(state), 4)[1]

    together = jax.jit(jax.vmap(run))(states)
    assert together.dtype == jnp.float32
    alone = jnp.stack([run(state) for state in states])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)


def test_a_float32_state_stays_so_under_a_float64_model(key):
    cell = cell_of(key)
    carry, states = forecast(cell, cell.init(jnp.ones(2, jnp.float32)), 2)
    assert {carry.state.dtype, states.dtype, carry.memory.dtype} == {
        jnp.dtype(jnp.float32)
    }


def test_saved_and_loaded(key, tmp_path):
    cell = cell_of(key)
    save(tmp_path / "model", cell)
    loaded, _ = load(tmp_path / "model")
    assert eqx.tree_equal(loaded, cell)
    assert loaded.spin_up_steps == 12


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda key: network_of(key, dilations=(2, 3)), r"\(2, 3\), each"),
        (lambda key: network_of(key, dilations=()), r"\(\), each"),
        (lambda key: network_of(key, dilations=(0, 1)), r"\(0, 1\), each"),
        (lambda key: network_of(key, kernel=0), "kernel is 0"),
        (lambda key: network_of(key, channels=0), "channels is 0"),
        (lambda key: network_of(key).unfold(jnp.zeros((5, 2))), "5 times .* reads 29"),
        (
            lambda key: TemporalCNN(network_of(key, outputs=3), 0.1),
            "reads 2 .* gives 3",
        ),
        (lambda key: TemporalCNN(network_of(key), -1.0), "dt is -1.0"),
    ],
)
def test_what_does_not_fit_is_refused(build, words, key):
    with pytest.raises(InputError, match=words):
        build(key)
