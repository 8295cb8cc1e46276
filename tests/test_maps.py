"""Networks on maps: against sums by hand, analytic multipliers, symmetries, masks."""

from types import SimpleNamespace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate2d
from support import normal

from tendency.cell import Carry, Standardisation, trainable
from tendency.errors import InputError
from tendency.forecasting import forecast, spin_up
from tendency.networks.dense import drawn
from tendency.networks.maps import (
    FNO,
    ConvGRU,
    ConvLSTM,
    ConvNet,
    Convolution,
    Edges,
    EncoderForecaster,
    Frame,
    MapCorrector,
    MapRecurrent,
    MapStack,
    MapStepper,
    PredRNN,
    RecurrentCorrector,
    ResNet,
    SpectralConvolution,
    UNet,
    stacked_maps,
)
from tendency.networks.maps.layers import channels_first
from tendency.statistical import Persistence

ROWS, COLUMNS = 6, 8
PERIODIC = Edges("periodic", "periodic")
PAD: dict[str, Any] = {
    "zero": "constant",
    "reflect": "reflect",
    "periodic": "wrap",
    "replicate": "edge",
}


def by_hand(x, layer, stride=1):
    """The sums of a convolution, and its padding by NumPy."""
    kernel, reach = np.asarray(layer.kernel), layer.kernel.shape[-1] // 2
    for axis, edge in ((1, layer.edges.rows), (2, layer.edges.columns)):
        around = [(0, 0)] * 3
        around[axis] = (reach, reach)
        x = np.pad(x, around, mode=PAD[edge])
    out = [sum(correlate2d(a, k, "valid") for a, k in zip(x, ks, strict=True))
           for ks in kernel]  # fmt: skip
    y = np.stack(out)[:, ::stride, ::stride]
    return y + np.asarray(layer.bias)[:, None, None]


def filled(module, key):
    """The weights all drawn anew, those that begin at zero too."""
    weights, rest = eqx.partition(module, eqx.is_inexact_array)
    leaves, structure = jax.tree.flatten(weights)
    keys = jax.random.split(key, len(leaves))
    new = [
        drawn(jax.random.normal, k, a.shape, a.dtype, 0.3)
        for k, a in zip(keys, leaves, strict=True)
    ]
    return eqx.combine(jax.tree.unflatten(structure, new), rest)


NETWORKS = {
    "conv": lambda key, **more: ConvNet(3, 2, 4, 3, key=key, **more),
    "resnet": lambda key, **more: ResNet(3, 2, 4, 2, key=key, **more),
    "unet": lambda key, **more: UNet(3, 2, (3, 4), key=key, **more),
}


@pytest.mark.parametrize("rows", list(PAD))
@pytest.mark.parametrize(
    ("columns", "kernel", "stride"), [("periodic", 3, 1), ("zero", 5, 2)]
)
def test_a_convolution_is_the_sum_by_hand(key, rows, columns, kernel, stride):
    layer = Convolution(
        2, 3, kernel, edges=Edges(rows, columns), stride=stride, key=key
    )
    layer = filled(layer, key)
    x = normal(key, (2, ROWS, COLUMNS))
    np.testing.assert_allclose(
        layer(x), by_hand(np.asarray(x), layer, stride), atol=1e-13
    )


def test_partial_convolutions_do_not_feel_what_is_not_there(key):
    layer = filled(Convolution(1, 2, 3, edges=Edges(partial=True), key=key), key)
    mask = np.ones((1, ROWS, COLUMNS))
    mask[0, 2:4, 3:] = 0
    # Of a constant field the sum is the same at the coast, at the wall, in the open.
    kernel = jnp.full_like(layer.kernel, 1 / 9)
    mean = eqx.tree_at(lambda c: (c.kernel, c.bias), layer, (kernel, 0 * layer.bias))
    open_sea = 5.0 * jnp.ones((1, ROWS, COLUMNS))
    np.testing.assert_allclose(mean(open_sea, jnp.asarray(mask)), 5, atol=1e-13)
    x, other = normal(key, (2, 1, ROWS, COLUMNS))
    land = jnp.where(jnp.asarray(mask) > 0, x, other)
    there = jnp.asarray(mask)
    np.testing.assert_array_equal(layer(x, there), layer(land, there))
    # A point that sees none gives the bias.
    nothing = layer(x, jnp.zeros_like(there))
    np.testing.assert_array_equal(nothing, layer.bias[:, None, None] + 0 * nothing)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_on_a_torus_a_network_commutes_with_shifts(key, name):
    network = filled(NETWORKS[name](key, edges=PERIODIC), key)
    x = normal(key, (3, ROWS, COLUMNS))
    moved = (2, -4)  # a UNet of two sizes: by multiples of two
    shifted = network(jnp.roll(x, moved, (1, 2)))
    np.testing.assert_allclose(shifted, jnp.roll(network(x), moved, (1, 2)), atol=1e-12)


@pytest.mark.parametrize("name", [*NETWORKS, "fno"])
def test_an_unfitted_network_gives_nothing_and_reads_its_condition(key, name):
    make = NETWORKS.get(
        name, lambda key, **m: FNO(3, 2, 4, 2, modes=(2, 3), key=key, **m)
    )
    network = make(key, conditions=2)
    assert network.sizes == (3, 2)
    assert network.conditions == 2
    x = normal(key, (3, ROWS, COLUMNS))
    condition = jnp.asarray([0.3, -1.0])
    assert not network(x, None, condition).any()
    with pytest.raises(InputError, match="reads 2 numbers beside the map"):
        network(x)
    drawn = filled(network, key)
    assert not jnp.allclose(drawn(x, None, condition), drawn(x, None, -condition))


def test_a_unet_on_odd_sizes_and_a_broken_circle(key):
    network = filled(UNet(3, 2, (3, 4, 5), key=key), key)
    assert network(jnp.ones((3, 7, 9))).shape == (2, 7, 9)
    ring = UNet(3, 2, (3, 4, 5), edges=Edges("zero", "periodic"), key=key)
    with pytest.raises(InputError, match=r"9 columns in a circle.*multiple of 4"):
        ring(jnp.ones((3, 8, 9)))


def test_a_spectral_convolution_is_a_fourier_multiplier(key):
    """d/dx of a band-limited field, on rows and columns of unlike number."""
    rows, columns, modes = 12, 15, (4, 5)
    layer = SpectralConvolution(1, 1, modes, key=key)
    across = 1j * 2 * np.pi * np.arange(modes[1])
    weight = np.broadcast_to(across, (1, 1, 2 * modes[0] - 1, modes[1]))
    parts = jnp.asarray(np.stack([weight.real, weight.imag]))
    layer = eqx.tree_at(lambda c: c.weight, layer, parts)
    y = np.arange(rows)[:, None] / rows
    x = np.arange(columns)[None] / columns
    field = np.sin(2 * np.pi * (3 * x - 2 * y)) + np.cos(2 * np.pi * (x + 3 * y))
    slope = 6 * np.pi * np.cos(2 * np.pi * (3 * x - 2 * y)) - 2 * np.pi * np.sin(
        2 * np.pi * (x + 3 * y)
    )
    np.testing.assert_allclose(layer(jnp.asarray(field)[None])[0], slope, atol=1e-12)
    # What is beyond the modes that are kept is left out.
    fast = jnp.asarray(np.sin(2 * np.pi * 6 * x) + 0 * y)
    np.testing.assert_allclose(layer(fast[None]), 0, atol=1e-12)
    with pytest.raises(InputError, match="keep fewer"):
        layer(jnp.ones((1, 6, 15)))


def test_an_fno_gives_the_same_on_finer_points(key):
    network = filled(FNO(1, 1, 3, 1, modes=(2, 2), key=key), key)

    def field(n):
        x = 2 * np.pi * np.arange(n) / n
        return jnp.asarray((np.sin(x)[:, None] + np.cos(x)[None])[None])

    coarse, fine = network(field(8)), network(field(16))
    np.testing.assert_allclose(fine[:, ::2, ::2], coarse, atol=1e-12)


def lstm_by_hand(layer, h, c, x):
    gates = by_hand(np.concatenate([x, h]), layer.gates)
    i, f, g, o = np.split(gates, 4)
    sigmoid = lambda a: 1 / (1 + np.exp(-a))  # noqa: E731
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_by_hand(layer, h, x):
    gates = by_hand(np.concatenate([x, h]), layer.gates)
    r, z = np.split(1 / (1 + np.exp(-gates)), 2)
    n = np.tanh(by_hand(np.concatenate([x, r * h]), layer.candidate))
    return (1 - z) * n + z * h


def test_recurrent_layers_are_their_equations(key):
    xs = np.asarray(normal(key, (4, 2, ROWS, COLUMNS)))
    lstm = filled(ConvLSTM(2, 3, key=key), key)
    gru = filled(ConvGRU(2, 3, 5, edges=PERIODIC, key=key), key)
    grid, kind = (ROWS, COLUMNS), jnp.dtype(float)
    (h, c), ys = lstm.scan(lstm.init(grid, kind), jnp.asarray(xs))
    ours, inside = np.zeros((2, 3, ROWS, COLUMNS))
    for x in xs:
        ours, inside = lstm_by_hand(lstm, ours, inside, x)
    np.testing.assert_allclose(channels_first(h), ours, atol=1e-13)
    np.testing.assert_allclose(channels_first(c), inside, atol=1e-13)
    np.testing.assert_array_equal(ys[-1], channels_first(h))
    h, _ = gru.scan(gru.init(grid, kind), jnp.asarray(xs))
    ours = np.zeros((3, ROWS, COLUMNS))
    for x in xs:
        ours = gru_by_hand(gru, ours, x)
    np.testing.assert_allclose(channels_first(h), ours, atol=1e-13)


def test_the_memory_of_predrnn_climbs_and_returns(key):
    layer = filled(PredRNN(2, 3, 2, key=key), key)
    x = normal(key, (2, ROWS, COLUMNS))
    (each, memory), y = layer.step(layer.init((ROWS, COLUMNS), x.dtype), x)
    lowest, highest = layer.layers
    nothing = jnp.zeros((ROWS, COLUMNS, 3))
    first, climbed = lowest.step((nothing, nothing), nothing, x)
    second, back = highest.step((nothing, nothing), climbed, channels_first(first[0]))
    for found, expected in zip(
        (each, memory, y),
        ((first, second), back, channels_first(second[0])),
        strict=True,
    ):
        assert eqx.tree_equal(found, expected, rtol=1e-12, atol=1e-12)


def frame_of(**more) -> Frame:
    mask = np.ones((2, ROWS, COLUMNS), bool)
    mask[:, 1:3, 2:5] = False
    return Frame((2, ROWS, COLUMNS), mask=mask, **more)


def cells(key):
    frame, edges = frame_of(), Edges("replicate", "periodic", partial=True)
    like = {"edges": edges, "key": key}
    stack = lambda kind: stacked_maps(kind, 3, (4, 4), **like)  # noqa: E731
    yield MapStepper(UNet(frame.reads(2), 2, (3, 4), **like), frame, 0.5, lags=2)
    yield MapStepper(FNO(3, 2, 4, 1, modes=(2, 2), key=key), frame, 0.5)
    readout = Convolution(4, 2, 1, **like)
    yield MapRecurrent(stack(ConvLSTM), readout, frame, 0.5, spin_up_steps=2)
    predrnn = PredRNN(3, 4, 1, **like)
    yield MapRecurrent(predrnn, readout, frame, 0.5, spin_up_steps=1, increments=False)
    yield EncoderForecaster(
        stack(ConvGRU), stack(ConvGRU), readout, frame, 0.5, spin_up_steps=2
    )


@pytest.mark.parametrize("index", range(5))
def test_what_lies_on_land_is_never_seen(key, index):
    """NaN there stays, and spreads neither to the sea nor to the gradient."""
    cell = filled_networks(list(cells(key))[index], key)
    land = np.asarray(cell.frame.mask.value == 0)
    history = np.array(normal(key, (3, 2, ROWS, COLUMNS)))
    other = np.where(land, np.nan, history)

    def run(cell, history):
        carry = spin_up(cell, history)
        return forecast(cell, carry, 2)[1]

    one, two = run(cell, jnp.asarray(history)), run(cell, jnp.asarray(other))
    sea = np.broadcast_to(~land, one.shape)
    np.testing.assert_array_equal(np.asarray(one)[sea], np.asarray(two)[sea])
    there = np.broadcast_to(land, one.shape)  # what a state holds there it keeps
    np.testing.assert_array_equal(
        np.asarray(one)[there], np.broadcast_to(history[-1], one.shape)[there]
    )
    assert np.isnan(np.asarray(two)[there]).all()

    weights, fixed = eqx.partition(cell, trainable(cell))

    def cost(weights):
        cell = eqx.combine(weights, fixed)
        return jnp.sum(
            jnp.where(jnp.asarray(sea), run(cell, jnp.asarray(other)), 0) ** 2
        )

    slopes = jax.jit(jax.grad(cost))(weights)
    for leaf in jax.tree.leaves(slopes):
        assert jnp.isfinite(leaf).all()


def filled_networks(cell, key):
    """Weights drawn anew, the frame as it is."""
    return eqx.tree_at(lambda c: c.frame, filled(cell, key), cell.frame)


def test_states_may_be_vectors_of_the_points(key):
    frame = frame_of(
        standardisation=Standardisation(jnp.asarray(2.0), jnp.asarray(3.0))
    )
    points = np.flatnonzero(np.asarray(frame.mask.value))
    flat = Frame(
        frame.shape,
        points,
        standardisation=Standardisation(jnp.asarray(2.0), jnp.asarray(3.0)),
    )
    network = filled(ConvNet(3, 2, 3, 2, key=key), key)
    maps = normal(key, frame.shape)
    whole = MapStepper(network, frame, 1.0).step(Carry(maps)).state
    vector = MapStepper(network, flat, 1.0).step(Carry(maps.reshape(-1)[points])).state
    np.testing.assert_allclose(vector, whole.reshape(-1)[points], atol=1e-14)


def test_folded_is_unfolded(key):
    """The encoder-forecaster teacher-forced is its encoder over the series."""
    *_, cell = cells(key)
    cell = filled_networks(cell, key)
    history = normal(key, (3, 2, ROWS, COLUMNS))
    carry = spin_up(cell, history)
    xs = jax.vmap(lambda state: cell.frame.inputs(state[None])[0])(history)
    land = cell.frame.land
    start = cell.encoder.init(cell.frame.grid, cell.frame.dtype)
    read, _ = cell.encoder.scan(start, xs, land)
    _, y = cell.forecaster.step(read, xs[-1], land)
    expected = cell.frame.after(history[-1], cell.readout(y, land), True)
    np.testing.assert_allclose(cell.step(carry).state, expected, atol=1e-13)
    # From its own prediction the encoder reads no more.
    after = cell.step(cell.step(carry)).memory[0]
    assert eqx.tree_equal(after, read, rtol=1e-12, atol=1e-12)


def test_forcings_are_maps_numbers_and_the_time(key):
    frame = frame_of(
        forcing_maps=1,
        forcing_numbers=2,
        cycles=(24.0,),
        forcing=Standardisation(jnp.asarray([1.0, 4.0]), jnp.asarray([2.0, 0.5])),
    )
    assert frame.reads(1) == 4
    assert frame.conditions == 3
    wind = normal(key, (ROWS, COLUMNS))
    state = jnp.ones(frame.shape)
    x, condition = frame.inputs(state[None], (wind, jnp.asarray([6.0, 5.0])))
    np.testing.assert_allclose(np.asarray(condition), [1, 0, 2], atol=1e-12)
    expected = np.where(np.asarray(frame.land) > 0, (np.asarray(wind) - 1) / 2, 0)
    np.testing.assert_allclose(x[-1:], expected, atol=1e-14)
    with pytest.raises(InputError, match="0 maps of 6 x 8 points and 2 numbers"):
        frame.inputs(state[None], jnp.asarray([6.0, 5.0]))
    network = filled(ConvNet(4, 2, 3, 2, conditions=3, key=key), key)
    cell = MapStepper(network, frame, 1.0)
    times = jnp.stack([jnp.arange(3.0), jnp.ones(3)], axis=1)
    winds = jnp.tile(wind, (3, 1, 1))
    _, states = forecast(cell, cell.init(state), 2, (winds, times))
    assert states.shape == (2, *frame.shape)


def test_single_weights_and_half_weights(key):
    """Half-precision weights: the state and the memory keep their precision."""
    frame = frame_of(dtype=jnp.float32)
    layers = MapStack((ConvLSTM(3, 4, dtype=jnp.bfloat16, key=key),))
    readout = Convolution(4, 2, 1, dtype=jnp.bfloat16, key=key)
    half = MapRecurrent(layers, readout, frame, 1.0, spin_up_steps=0)
    state = normal(key, frame.shape, jnp.float32)
    carry, states = forecast(half, half.init(state), 2)
    assert states.dtype == jnp.float32
    assert all(a.dtype == jnp.float32 for a in jax.tree.leaves(carry.memory))
    single = jax.tree.map(
        lambda a: a.astype(jnp.float32) if a.dtype == jnp.bfloat16 else a, half
    )
    _, wanted = forecast(single, single.init(state), 2)
    np.testing.assert_allclose(states, wanted, atol=0.02)


def test_what_does_not_fit_is_told(key):
    frame = frame_of()
    layers = MapStack((ConvLSTM(3, 4, key=key),))
    with pytest.raises(InputError, match="kernel is 4, an odd number"):
        Convolution(2, 2, 4, key=key)
    with pytest.raises(InputError, match="edge of the rows is 'wrap'"):
        Edges.__check_init__(SimpleNamespace(rows="wrap"))  # pyright: ignore
    with pytest.raises(InputError, match="its reflect edge needs 3"):
        Convolution(1, 1, 5, edges=Edges("reflect", "zero"), key=key)(
            jnp.ones((1, 2, 5))
        )
    with pytest.raises(
        InputError, match=r"network reads 4 channels.*3 .1 x 2 variables"
    ):
        MapStepper(ConvNet(4, 2, 3, 2, key=key), frame, 1.0)
    with pytest.raises(InputError, match="layers read 3 channels and give 4"):
        MapRecurrent(layers, Convolution(3, 2, 1, key=key), frame, 1.0, spin_up_steps=0)
    with pytest.raises(InputError, match="a layer gives 4 channels"):
        MapStack((ConvLSTM(3, 4, key=key), ConvLSTM(3, 4, key=key)))
    with pytest.raises(InputError, match="encoder reads 3 channels"):
        EncoderForecaster(
            MapStack((ConvGRU(3, 4, key=key),)), layers,
            Convolution(4, 2, 1, key=key), frame, 1.0, spin_up_steps=0,
        )  # fmt: skip
    with pytest.raises(InputError, match="points lie from 0 to 96 and the grid has 96"):
        Frame((2, ROWS, COLUMNS), np.arange(97))
    with pytest.raises(InputError, match="statistics of the state have shape"):
        frame_of(standardisation=Standardisation(jnp.zeros(3), jnp.ones(3)))
    with pytest.raises(InputError, match="the first of forcing_numbers is the time"):
        frame_of(cycles=(1.0,))
    with pytest.raises(InputError, match="patch of 7 x 3 points"):
        frame.window((0, 0), (7, 3))


def test_a_patch_is_cut_with_its_statistics(key):
    mean = normal(key, (2, ROWS, COLUMNS))
    frame = frame_of(standardisation=Standardisation(mean, jnp.ones((2, 1, 1))))
    part = jax.jit(lambda i: frame.window((i, 2), (3, 4)))(jnp.asarray(1))
    assert part.shape == (2, 3, 4)
    state = normal(key, frame.shape)
    np.testing.assert_array_equal(
        part.maps(state[:, 1:4, 2:6]), frame.maps(state)[:, 1:4, 2:6]
    )


def test_a_corrector_of_persistence_is_a_stepper(key):
    """The prediction it reads beside the state is then the state again."""
    frame = frame_of()
    network = filled(ConvNet(frame.reads(2), 2, 3, 2, key=key), key)
    same = eqx.tree_at(
        lambda n: n.layers[0].kernel, network, replace_fn=lambda k: k.at[:, :2].set(0)
    )
    alone = filled(ConvNet(frame.reads(1), 2, 3, 2, key=key), key)
    alone = eqx.tree_at(
        lambda n: (n.layers[0].kernel, n.layers[0].bias, n.layers[1]),
        alone,
        (same.layers[0].kernel[:, 2:], same.layers[0].bias, same.layers[1]),
    )
    state = normal(key, frame.shape)
    beside = MapCorrector(Persistence(0.5), same, frame)  # pyright: ignore
    expected = MapStepper(alone, frame, 0.5)
    _, one = forecast(beside, beside.init(state), 2)
    _, two = forecast(expected, expected.init(state), 2)
    np.testing.assert_allclose(one, two, atol=1e-12)
    assert (beside.dt, beside.spin_up_steps) == (0.5, 0)
    lagged = MapCorrector(
        beside, ConvNet(frame.reads(4), 2, 3, 2, key=key), frame, lags=3
    )
    assert lagged.spin_up_steps == 2
    history = normal(key, (3, *frame.shape))
    unfitted = lagged.step(spin_up(lagged, history)).state
    np.testing.assert_allclose(
        unfitted, beside.step(Carry(history[-1], (None, None))).state, atol=1e-12
    )


def test_a_recurrent_corrector_of_persistence_is_the_recurrent_cell(key):
    """As above: the layers read the state twice, and the state is what is corrected."""
    frame = frame_of()
    layers = stacked_maps(ConvGRU, frame.reads(2), (3,), key=key)
    alone = stacked_maps(ConvGRU, frame.reads(), (3,), key=key)
    gates = lambda s: (s.layers[0].gates, s.layers[0].candidate)  # noqa: E731
    # The first two of what the layers read are the state, which the prediction repeats.
    cut = [eqx.tree_at(lambda c: c.kernel, c, c.kernel[:, 2:]) for c in gates(layers)]
    alone = eqx.tree_at(gates, alone, tuple(cut))
    layers = eqx.tree_at(
        lambda s: [c.kernel for c in gates(s)],
        layers,
        replace_fn=lambda k: k.at[:, :2].set(0),
    )
    readout = Convolution(3, 2, 1, key=key)
    still = Persistence(0.5)  # pyright: ignore
    beside = RecurrentCorrector(still, layers, readout, frame, spin_up_steps=2)
    expected = MapRecurrent(alone, readout, frame, 0.5, spin_up_steps=2)
    assert (beside.dt, beside.spin_up_steps) == (0.5, 2)
    history = normal(key, (3, *frame.shape))
    one, two = (forecast(c, spin_up(c, history), 3)[1] for c in (beside, expected))
    np.testing.assert_allclose(one, two, atol=1e-12)
    with pytest.raises(InputError, match="the layers read 3 channels"):
        RecurrentCorrector(still, alone, readout, frame, spin_up_steps=2)
