"""Recurrent layers, networks and cells: equations, forms, insertion, gradients."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from tendency.cell import Carry, Constant, Ramp, Standardisation, trainable
from tendency.errors import InputError
from tendency.forecasting import forecast, spin_up
from tendency.networks import (
    GRU,
    LSTM,
    RNN,
    Dense,
    EncoderDecoder,
    Recurrent,
    RecurrentCell,
    Stack,
    encoder_decoder,
    many_to_many,
    many_to_one,
    one_to_many,
    one_to_one,
    stacked,
)
from tendency.store import load, save

KINDS = (RNN, LSTM, GRU)
STATISTICS = Standardisation(jnp.array([1.0, -2.0]), jnp.array([3.0, 0.5]))
LARGE = Standardisation(jnp.array([10.0]), jnp.array([5.0]))


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


def network_of(kind, inputs, outputs, key, units=(5, 4), dtype=None):
    layers = stacked(kind, inputs, units, dtype=dtype, key=key)
    return shaken(Recurrent(layers, outputs, key=key), key)


def cell_of(kind, key, reads=2, **options):
    options = {"spin_up_steps": 3, "standardisation": STATISTICS} | options
    return RecurrentCell(network_of(kind, reads, 2, key), 0.1, **options)


def encoder_decoder_of(kind, key, reads=2, **options):
    options = {"spin_up_steps": 4, "standardisation": STATISTICS} | options
    encoder = shaken(stacked(kind, reads, (5, 4), key=key), jax.random.key(7))
    return EncoderDecoder(encoder, network_of(kind, reads, 2, key), 0.1, **options)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_hand(layer, xs):
    """The outputs of a layer from its textbook equations, gate by gate, in NumPy."""
    reads, units = layer.sizes
    h, c, hs = np.zeros(units), np.zeros(units), []
    blocks = [np.s_[i * units : (i + 1) * units] for i in range(4)]
    for x in np.asarray(xs):
        if isinstance(layer, GRU):
            wx, wh = np.asarray(layer.input_weight), np.asarray(layer.hidden_weight)
            b, held = np.asarray(layer.bias), np.asarray(layer.held_bias)
            r, z, n = blocks[:3]
            reset = sigmoid(wx[:, r].T @ x + wh[:, r].T @ h + b[r])
            keep = sigmoid(wx[:, z].T @ x + wh[:, z].T @ h + b[z])
            new = np.tanh(wx[:, n].T @ x + b[n] + reset * (wh[:, n].T @ h + held))
            h = (1 - keep) * new + keep * h
        else:
            wx, wh = np.asarray(layer.weight[:reads]), np.asarray(layer.weight[reads:])
            gates = wx.T @ x + wh.T @ h + np.asarray(layer.bias)
            if isinstance(layer, RNN):
                h = np.tanh(gates)
            else:
                i, f, g, o = (gates[block] for block in blocks)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
        hs.append(h)
    return np.stack(hs)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_is_its_equations(kind, key):
    layer = shaken(kind(3, 4, key=key), key)
    xs = jax.random.normal(key, (7, 3))
    _, hs = layer.scan(layer.init(), xs)
    np.testing.assert_allclose(hs, by_hand(layer, xs), rtol=1e-12)
    assert layer.sizes == (3, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_folded_is_unfolded(kind, key):
    network = network_of(kind, 3, 2, key)
    xs = jax.random.normal(key, (9, 3))
    hidden, ys = eqx.filter_jit(network.scan)(network.init(), xs)
    folded, step = network.init(), eqx.filter_jit(network.step)
    for x, y in zip(xs, ys, strict=True):
        folded, here = step(folded, x)
        np.testing.assert_allclose(here, y, rtol=1e-12, atol=1e-14)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), folded, hidden
    )


def test_the_rnn_of_the_lecture(key):
    """h' = f(Wₕₕ h + Wₓₕ x), y = g(Wₕᵧ h), f and g to be chosen."""
    layer = RNN(3, 4, jax.nn.relu, key=key)
    network = Recurrent(layer, 2, activation=jax.nn.sigmoid, key=key)
    h = np.zeros(4)
    xs = jax.random.normal(key, (5, 3))
    for x, y in zip(xs, many_to_many(network, xs), strict=True):
        h = np.maximum(layer.weight[3:].T @ h + layer.weight[:3].T @ x, 0)
        np.testing.assert_allclose(y, sigmoid(network.readout.weight.T @ h), rtol=1e-12)


def test_initial_weights(key):
    lstm = LSTM(3, 6, key=key)
    np.testing.assert_array_equal(lstm.bias, np.repeat([0.0, 1, 0, 0], 6))
    for gate in jnp.split(lstm.weight[3:], 4, axis=1):
        np.testing.assert_allclose(gate @ gate.T, np.eye(6), atol=1e-12)
    large = Dense(300, 200, key=key).weight
    np.testing.assert_allclose(large.std(), np.sqrt(2 / 500), rtol=0.02)


def test_the_five_forms(key):
    network = network_of(GRU, 2, 2, key)
    xs = jax.random.normal(key, (6, 2))
    ys = many_to_many(network, xs)
    np.testing.assert_allclose(one_to_one(network, xs[0]), ys[0], rtol=1e-12)
    np.testing.assert_allclose(many_to_one(network, xs), ys[-1], rtol=1e-12)
    told = one_to_many(network, xs[0], 4)
    fed = jnp.concatenate([xs[:1], told[:-1]])
    np.testing.assert_allclose(many_to_many(network, fed), told, rtol=1e-12)
    encoder = stacked(GRU, 2, (5, 4), key=jax.random.key(3))
    hidden, _ = encoder.scan(encoder.init(), xs)
    told = encoder_decoder(encoder, network, xs, 4)
    for y, x in zip(told, [xs[-1], *told[:-1]], strict=True):
        hidden, here = network.step(hidden, x)
        np.testing.assert_allclose(here, y, rtol=1e-12)


def test_one_to_many_needs_a_network_that_reads_what_it_gives(key):
    with pytest.raises(InputError, match="reads 3 numbers and gives 2"):
        one_to_many(network_of(RNN, 3, 2, key), jnp.zeros(3), 4)


@pytest.mark.parametrize(("kind", "increments"), [(GRU, True), (LSTM, False)])
def test_a_recurrent_cell_is_its_network_between_two_scalings(kind, increments, key):
    size = jnp.array([0.1, 0.2])
    cell = cell_of(kind, key, increments=increments, increment_std=size)
    history = jax.random.normal(key, (6, 2))
    z = jax.vmap(STATISTICS.apply)(history)[-4:]
    y = many_to_one(cell.network, z)
    expected = history[-1] + size * y if increments else STATISTICS.invert(y)
    new = cell.step(spin_up(cell, history))
    np.testing.assert_allclose(new.state, expected, rtol=1e-12)


def test_increments_are_as_large_as_the_state_unless_told(key):
    cell = cell_of(RNN, key)
    np.testing.assert_array_equal(cell.scaling.output_std.value, [3.0, 0.5])


@pytest.mark.parametrize("build", [cell_of, encoder_decoder_of])
def test_a_forcing_is_read_at_the_start_of_the_step(build, key):
    cell = build(GRU, key, reads=3, forcing_standardisation=LARGE)
    carry = cell.init(jnp.array([1.0, 2.0]))
    ramp = Ramp({"t": jnp.array(20.0)}, {"t": jnp.array(90.0)})
    plain = build(GRU, key, reads=3)
    held = plain.step(carry, jnp.array([2.0])).state
    np.testing.assert_allclose(cell.step(carry, ramp).state, held, rtol=1e-12)
    with pytest.raises(InputError, match="holds 0 numbers and the model reads 1"):
        cell.step(carry)


@pytest.mark.parametrize(("kind", "increments"), [(GRU, True), (LSTM, False)])
def test_the_cell_of_encoder_and_decoder_is_their_form(kind, increments, key):
    """Spin-up and forecast of the cell are the fifth form, with no special case."""
    cell = encoder_decoder_of(kind, key, increments=increments)
    history = jax.random.normal(key, (5, 2))
    _, states = forecast(cell, spin_up(cell, history), 4)

    z = jax.vmap(STATISTICS.apply)(history)
    hidden, _ = cell.encoder.scan(cell.encoder.init(), z)
    x = history[-1]
    for state in states:
        hidden, y = cell.decoder.step(hidden, STATISTICS.apply(x))
        x = x + STATISTICS.std.value * y if increments else STATISTICS.invert(y)
        np.testing.assert_allclose(state, x, rtol=1e-11)
    if not increments:
        told = encoder_decoder(cell.encoder, cell.decoder, z, 4)
        np.testing.assert_allclose(
            jax.vmap(STATISTICS.invert)(told), states, rtol=1e-11
        )


def test_what_the_encoder_reads_and_when(key):
    cell = encoder_decoder_of(LSTM, key)
    step = eqx.filter_jit(cell.step)
    cold = cell.init(jnp.zeros(2))
    first = step(cold)
    encoded, told, predicted = first.memory
    np.testing.assert_array_equal(predicted, first.state)
    assert not eqx.tree_equal(encoded, cold.memory[0]), "a cold start is read"

    free = step(first)
    assert eqx.tree_equal(free.memory[0], encoded), "a prediction is not"
    assert not eqx.tree_equal(free.memory[1], told)

    analysis = Carry(free.state + jnp.array([0.0, 1e-3]), free.memory)
    after = step(analysis)
    expected, _ = cell.encoder.step(encoded, STATISTICS.apply(analysis.state))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12),
        after.memory[0],
        expected,
    )
    decoded, _ = cell.decoder.step(expected, STATISTICS.apply(analysis.state))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12),
        after.memory[1],
        decoded,
    )

    rounded = Carry(free.state * (1 + 2e-16), free.memory)
    assert eqx.tree_equal(step(rounded).memory[0], encoded), "rounding is no insertion"


@pytest.mark.parametrize("state", [0.0, -1.0, 1.0, 1e6, -1e6])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_a_cold_start_is_always_read(state, dtype, key):
    cell = encoder_decoder_of(RNN, key)
    carry = cell.init(jnp.full(2, state, dtype))
    assert not eqx.tree_equal(cell.step(carry).memory[0], carry.memory[0])


@pytest.mark.parametrize(
    ("build", "kind"), [(cell_of, RNN), (cell_of, LSTM), (encoder_decoder_of, GRU)]
)
def test_members_by_vmap(build, kind, key):
    cell = build(kind, key)
    histories = jax.random.normal(key, (3, 6, 2))

    def run(history):
        return forecast(cell, spin_up(cell, history), 4)[1]

    together = jax.jit(jax.vmap(run))(histories)
    alone = jnp.stack([jax.jit(run)(history) for history in histories])
    np.testing.assert_allclose(together, alone, rtol=1e-11)


@pytest.mark.parametrize(
    ("build", "kind"),
    [(cell_of, RNN), (cell_of, LSTM), (cell_of, GRU), (encoder_decoder_of, GRU)],
)
def test_derivatives_agree_with_finite_differences(build, kind, key):
    """Of a forecast, in the weights and in the history; forward and reverse mode."""
    cell = build(kind, key)
    free, fixed = eqx.partition(cell, trainable(cell))
    start, unravel = ravel_pytree((free, jax.random.normal(key, (6, 2))))
    direction = jax.random.normal(key, start.shape)

    @jax.jit
    def loss(flat):
        free, history = unravel(flat)
        cell = eqx.combine(free, fixed)
        return jnp.sum(forecast(cell, spin_up(cell, history), 3)[1] ** 2)

    small = 1e-5 * direction
    expected = (loss(start + small) - loss(start - small)) / 2e-5
    _, forward = jax.jvp(loss, (start,), (direction,))
    gradient = jax.grad(loss)(start)
    np.testing.assert_allclose(forward, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient @ direction, expected, rtol=1e-6)
    of_weights, _ = unravel(gradient)
    assert jax.tree.leaves(of_weights.scaling) == []
    assert all(jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(of_weights))


@pytest.mark.parametrize(
    ("build", "kind"), [(cell_of, RNN), (cell_of, LSTM), (encoder_decoder_of, GRU)]
)
def test_a_float32_state_stays_so(build, kind, key):
    history = jax.random.normal(key, (6, 2), jnp.float32)
    single = jax.tree.map(
        lambda leaf: leaf.astype(jnp.float32) if eqx.is_array(leaf) else leaf,
        build(kind, key),
    )
    for cell in (single, build(kind, key)):
        carry, states = forecast(cell, spin_up(cell, history), 3)
        assert carry.state.dtype == states.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(single.init(history[0]))} == {
        jnp.dtype(jnp.float32)
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_dtype_is_that_of_every_weight(kind, key):
    network = network_of(kind, 2, 2, key, dtype=jnp.float32)
    cell = RecurrentCell(network, 0.1, spin_up_steps=2)
    leaves = jax.tree.leaves(eqx.filter(cell, eqx.is_array))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.float32)}
    hidden, y = network.step(network.init(), jnp.zeros(2, jnp.float32))
    assert {a.dtype for a in jax.tree.leaves((hidden, y))} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("build", [cell_of, encoder_decoder_of])
def test_saved_and_loaded(build, key, tmp_path):
    cell = build(LSTM, key)
    save(tmp_path / "model", cell)
    loaded, _ = load(tmp_path / "model")
    assert eqx.tree_equal(loaded, cell)
    assert loaded.spin_up_steps == cell.spin_up_steps
    assert isinstance(loaded.scaling.output_std, Constant)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda key: Stack(()), "no layers"),
        (
            lambda key: Stack((RNN(2, 3, key=key), GRU(4, 2, key=key))),
            "gives 3 .* reads 4",
        ),
        (lambda key: LSTM(0, 2, key=key), "inputs is 0"),
        (lambda key: GRU(2, 0, key=key), "units is 0"),
        (lambda key: Recurrent(RNN(2, 3, key=key), 0, key=key), "outputs is 0"),
        (
            lambda key: RecurrentCell(network_of(RNN, 2, 3, key), 0.1, spin_up_steps=0),
            "reads 2 numbers and gives 3",
        ),
        (
            lambda key: RecurrentCell(network_of(RNN, 2, 2, key), 0.0, spin_up_steps=0),
            "dt is 0.0",
        ),
        (lambda key: cell_of(RNN, key, spin_up_steps=-1), "spin_up_steps is -1"),
        (
            lambda key: EncoderDecoder(
                GRU(2, 4, key=key), network_of(GRU, 2, 2, key), 0.1, spin_up_steps=1
            ),
            "same kinds and sizes",
        ),
    ],
)
def test_what_does_not_fit_is_refused(build, words, key):
    with pytest.raises(InputError, match=words):
        build(key)
