"""Auto-encoders: against singular vectors and closed forms, and as cells."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import Map, normal

from tendency import Descent, fit, forecast, spin_up
from tendency.cell import Standardisation
from tendency.errors import InputError
from tendency.fitting import AutoEncoding
from tendency.networks import LSTM, Recurrent, RecurrentCell
from tendency.networks.maps import (
    ConvAutoEncoder,
    DenseAutoEncoder,
    Edges,
    Frame,
    LinearAutoEncoder,
)
from tendency.windows import Window, Windows
from tendency.wrappers import Latent

SHAPE = (1, 5, 6)


def waves(count, key):
    """Two patterns with amplitudes of their own, and a mean."""
    rows, columns = np.meshgrid(np.arange(5), np.arange(6), indexing="ij")
    patterns = np.stack([np.sin(columns), np.cos(rows + columns)])
    amplitudes = normal(key, (count, 2)) * jnp.asarray([[2.0, 0.7]])
    fields = 3 + jnp.tensordot(amplitudes, jnp.asarray(patterns), axes=1)
    return fields[:, None]


def test_linear_is_the_best_of_its_size(key):
    states = waves(40, key) + 0.1 * normal(key, (40, *SHAPE))
    codec = LinearAutoEncoder.of(states, 2)
    z = jax.vmap(codec.encode)(states)
    np.testing.assert_allclose(np.var(np.asarray(z)[:, 0]), 1, rtol=1e-12)
    told = jax.vmap(codec.decode)(z)
    anomalies = np.asarray(states - states.mean(0)[None]).reshape(40, -1)
    left = np.linalg.svd(anomalies, compute_uv=False)[2:]
    np.testing.assert_allclose(
        jnp.sum((told - states) ** 2).item(), np.sum(left**2), rtol=1e-10
    )
    again = jax.vmap(codec.encode)(told)
    np.testing.assert_allclose(again, z, atol=1e-12)


def test_linear_weighs_areas_and_leaves_out_what_weighs_nothing(key):
    states = waves(30, key) + 0.3 * normal(key, (30, *SHAPE))
    weights = np.ones(SHAPE)
    weights[:, 0], weights[:, 1] = 0, 4
    codec = LinearAutoEncoder.of(states, 2, weights=jnp.asarray(weights))
    told = jax.vmap(lambda x: codec.decode(codec.encode(x)))(states)
    root = np.sqrt(weights)
    anomalies = (np.asarray(states - states.mean(0)[None]) * root).reshape(30, -1)
    left = np.sum(np.linalg.svd(anomalies, compute_uv=False)[2:] ** 2)
    missed = np.sum((np.asarray(told - states) * root) ** 2)
    np.testing.assert_allclose(missed, left, rtol=1e-10)


@pytest.mark.parametrize("variational", [False, True])
def test_convolutions_come_back_to_the_grid(key, variational):
    mask = np.ones(SHAPE, bool)
    mask[:, 1:3, 1:3] = False
    frame = Frame(SHAPE, mask=mask)
    codec = ConvAutoEncoder(frame, 3, (4, 5, 6), variational=variational, key=key)
    state = normal(key, SHAPE)
    z = codec.encode(state)
    assert z.shape == (3,)
    assert codec.latent == 3
    assert codec.decode(z).shape == SHAPE
    nan = jnp.where(jnp.asarray(mask), state, jnp.nan)
    np.testing.assert_array_equal(codec.encode(nan), z)
    spread = codec.spread(state)
    assert (spread is not None) == variational


def test_with_partial_edges_nothing_of_an_island_is_read_on_any_level(key):
    """What the lowest maps hold where all four of their points are land."""
    mask = np.ones((1, 8, 8), bool)
    mask[:, 2:6, 2:6] = False
    edges = Edges("replicate", "replicate", partial=True)
    codec = ConvAutoEncoder(Frame((1, 8, 8), mask=mask), 2, (3, 3), edges=edges,
                            key=key)  # fmt: skip
    inland = np.zeros((3, 4, 4), bool)
    inland[:, 1:3, 1:3] = True

    @jax.jit
    @jax.grad
    def slope(bias):
        changed = eqx.tree_at(lambda c: c.from_latent.bias, codec, bias)
        return jnp.sum(jnp.where(jnp.asarray(mask), changed.decode(jnp.ones(2)), 0))

    found = np.asarray(slope(codec.from_latent.bias)).reshape(inland.shape)
    assert (found[inland] == 0).all()
    assert (found[~inland] != 0).any()


def test_the_loss_is_its_formula(key):
    codec = DenseAutoEncoder(SHAPE, 2, (), variational=True, key=key)
    states = waves(4, key)
    loss = AutoEncoding(beta=0.5)
    found = loss(codec, Window(states))
    square = cost = 0.0
    for state in states:
        mean, log = codec.encode(state), codec.spread(state)
        assert log is not None
        square += jnp.mean((codec.decode(mean) - state) ** 2) / 4
        cost += 0.5 * jnp.sum(mean**2 + jnp.exp(log) - log - 1) / state.size / 4
    np.testing.assert_allclose(found.item(), float(square + 0.5 * cost), rtol=1e-12)
    weights = jnp.zeros((4, *SHAPE)).at[1].set(2.0)
    of_one = AutoEncoding(beta=0.0)(codec, Window(states, weights=weights))
    alone = AutoEncoding(beta=0.0)(codec, Window(states[1:2]))
    np.testing.assert_allclose(of_one, alone, rtol=1e-12)
    # Drawn z: the mean over draws of the square grows by the spread that D passes on.
    drawn = [loss(codec, Window(states), key=k) for k in jax.random.split(key, 3)]
    assert len(set(map(float, drawn))) == 3


def test_a_linear_network_learns_the_singular_vectors(key):
    """Two numbers hold waves of two patterns: the reconstruction becomes exact."""
    states = waves(64, key)
    statistics = Standardisation.of(states)
    codec = DenseAutoEncoder(SHAPE, 2, (), standardisation=statistics, key=key)
    method = Descent(optax.adam(0.03), epochs=150, batch=16)
    fitted = fit(codec, Windows.of(states, 1), method, loss=AutoEncoding(), key=key)
    told = jax.vmap(lambda x: fitted.cell.decode(fitted.cell.encode(x)))(states)
    assert float(jnp.sqrt(jnp.mean((told - states) ** 2))) < 0.02


def latent(key):
    states = waves(40, key)
    codec = LinearAutoEncoder.of(states, 2)
    angle = 0.3
    turn = jnp.asarray(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    return Latent(codec, Map(turn, jnp.zeros(2))), states, turn


def test_latent_steps_what_is_encoded(key):
    cell, states, turn = latent(key)
    _, told = forecast(cell, cell.init(states[0]), 3)
    z = cell.codec.encode(states[0])
    expected = [
        cell.codec.decode(jnp.linalg.matrix_power(turn, n) @ z) for n in (1, 2, 3)
    ]
    np.testing.assert_allclose(told, jnp.stack(expected), atol=1e-12)
    assert (cell.dt, cell.spin_up_steps) == (1.0, 0)


def test_latent_reads_what_is_inserted_and_keeps_its_memory(key):
    """A recurrent cell of z: spun up on encoded states, then free in latent space."""
    states = waves(6, key)
    keys = jax.random.split(key, 4)
    frame = Frame(SHAPE)
    codec = ConvAutoEncoder(frame, 2, (3,), edges=Edges("replicate"), key=keys[0])
    network = Recurrent(LSTM(2, 4, key=keys[1]), 2, key=keys[2])
    inner = RecurrentCell(network, 1.0, spin_up_steps=3)
    cell = Latent(codec, inner)
    carry = spin_up(cell, states)
    _, told = forecast(cell, carry, 2)
    z = jax.vmap(codec.encode)(states)
    _, zs = forecast(inner, spin_up(inner, z), 2)
    np.testing.assert_allclose(told, jax.vmap(codec.decode)(zs), atol=1e-12)


def test_what_does_not_fit_is_told(key):
    states = waves(4, key)
    with pytest.raises(InputError, match=r"4 patterns of 4 states .* there are 3"):
        LinearAutoEncoder.of(states, 4)
    with pytest.raises(InputError, match="hold NaN"):
        LinearAutoEncoder.of(states.at[0, 0, 0, 0].set(jnp.nan), 2)
    with pytest.raises(InputError, match="beta is -1"):
        AutoEncoding(beta=-1.0)
    with pytest.raises(InputError, match="holds a forcing"):
        ConvAutoEncoder(Frame(SHAPE, forcing_maps=1), 2, key=key)
    assert eqx.tree_equal(Frame(SHAPE), Frame(SHAPE))
