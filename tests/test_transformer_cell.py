"""Transformers over series: folded as unfolded, in every verb."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tendency import fit, forecast, spin_up
from tendency.cell import (
    AbstractCell,
    AbstractParallelCell,
    Carry,
    Ramp,
    Standardisation,
)
from tendency.errors import InputError
from tendency.fitting import Descent, RolloutLoss
from tendency.networks.attention import (
    CausalTransformer,
    EncoderDecoderTransformer,
    TransformerCell,
)
from tendency.windows import Windows

WINDOW, TIMES = 4, 11


def shaken(module, seed=1):
    """With a readout that is not zero."""
    rng = np.random.default_rng(seed)
    arrays, rest = eqx.partition(module, eqx.is_inexact_array)
    moved = jax.tree.map(lambda a: a + 0.2 * rng.normal(size=a.shape), arrays)
    return eqx.combine(moved, rest)


def series(times=TIMES, size=2, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(times, size)))


KINDS = {
    "rotary": {},
    "cross, learned": {"cross": 1, "positions": "learned"},
}


@pytest.fixture(scope="module", params=KINDS)
def network(request):
    return shaken(
        CausalTransformer(
            3, 2, window=WINDOW, size=8, heads=2, key=jax.random.key(0),
            **KINDS[request.param],
        )
    )  # fmt: skip


def test_folded_equals_unfolded_beyond_the_window(network):
    xs = series(size=3)
    held, told = jax.lax.scan(lambda h, x: network.step(h, x), network.init(), xs)
    after, at_once = network.unfold(xs)
    np.testing.assert_allclose(told, at_once, atol=1e-12)
    for one, other in zip(jax.tree.leaves(held), jax.tree.leaves(after), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    short, _ = jax.lax.scan(lambda h, x: network.step(h, x), network.init(), xs[:2])
    for one, other in zip(
        jax.tree.leaves(short), jax.tree.leaves(network.unfold(xs[:2])[0]), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_a_time_reads_its_window_through_each_block(network):
    """Two blocks of four times reach six times back, and no time ahead."""
    slope = jax.jacobian(lambda xs: network.unfold(xs)[1].sum(-1))(series(size=3))
    reads = np.abs(slope).sum(-1) > 1e-14
    age = np.arange(TIMES)[:, None] - np.arange(TIMES)
    np.testing.assert_array_equal(reads, (age >= 0) & (age <= 2 * (WINDOW - 1)))


def test_what_is_read_of_each_time_is_one(network):
    weights = network.attention(series(size=3))
    assert weights.shape == (2, 2, TIMES, TIMES)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-12)
    age = np.arange(TIMES)[:, None] - np.arange(TIMES)
    assert np.abs(np.asarray(weights)[..., (age < 0) | (age >= WINDOW)]).max() == 0


def scaled():
    statistics = Standardisation(jnp.array([0.5, -1.0]), jnp.array([2.0, 0.5]))
    return {"standardisation": statistics, "increment_std": jnp.array([0.3, 0.1])}


@pytest.fixture(scope="module", params=[*KINDS, "encoder-decoder"])
def cell(request):
    like = {"window": WINDOW, "size": 8, "heads": 2, "depth": 1}
    like["key"] = jax.random.key(0)
    if request.param == "encoder-decoder":
        two = EncoderDecoderTransformer(2, 0.5, forcing_size=1, **like, **scaled())
        return eqx.tree_at(
            lambda c: (c.encoder, c.decoder, c.readout),
            two,
            replace_fn=lambda part: shaken(part),
        )
    network = shaken(CausalTransformer(3, 2, **like, **KINDS[request.param]))
    return TransformerCell(network, 0.5, **scaled())


class Steps(AbstractCell):
    """The same cell, of which nobody knows that it can read a series at once."""

    of: AbstractParallelCell
    dt: float = 0.5
    spin_up_steps: int = WINDOW - 1

    def init(self, state):
        return self.of.init(state)

    def step(self, carry: Carry, forcing=None, *, key=None):
        return self.of.step(carry, forcing, key=key)


def test_every_verb_reads_at_once_what_steps_read_one_by_one(cell):
    states, forcing = series(seed=2), series(size=1, seed=3)
    one_by_one = Steps(cell)
    here, there = (spin_up(c, states, forcing) for c in (cell, one_by_one))
    # What was told before the last insertion is remembered still, and never read.
    told = jax.vmap(lambda c: forecast(cell, c, 3, forcing[:4])[1])(
        jax.tree.map(lambda *a: jnp.stack(a), here, there)
    )
    np.testing.assert_allclose(*told, atol=1e-12)
    windows = Windows.of(states, 8, forcing=forcing)
    for loss in (RolloutLoss(teacher_forcing=True), RolloutLoss(2)):
        values = [loss(c, windows.take(1)) for c in (cell, one_by_one)]
        assert values[0] == pytest.approx(float(values[1]), rel=1e-12)


def test_a_forecast_costs_one_token_a_step(cell):
    states, forcing = series(seed=2), series(size=1, seed=3)
    carry = spin_up(cell, states[:6], forcing[:6])
    last, told = forecast(cell, carry, 5, forcing[5:])
    assert told.shape == (5, 2)
    shapes = [a.shape for a in jax.tree.leaves(last)]
    assert shapes == [a.shape for a in jax.tree.leaves(carry)]
    by_hand, here = [], carry
    for i in range(5):
        here = cell.step(here, Ramp(forcing[5 + i], forcing[6 + i]))
        by_hand.append(here.state)
    np.testing.assert_allclose(told, by_hand, atol=1e-12)


def test_the_decoder_starts_anew_where_a_state_is_inserted():
    """And goes on otherwise: two steps, the first told state given back as it is."""
    cell = EncoderDecoderTransformer(
        2, 1.0, window=3, size=8, heads=2, key=jax.random.key(0)
    )
    cell = eqx.tree_at(lambda c: c.readout, cell, replace_fn=shaken)
    carry = spin_up(cell, series(3))
    after, told = forecast(cell, carry, 2)
    assert int(after.memory.told) == 2
    assert int(after.memory.count) == 3
    moved = Carry(told[0] + 0.1, cell.step(carry).memory)
    assert int(cell.step(moved).memory.told) == 1
    np.testing.assert_array_equal(
        cell.step(moved).memory.rows[-1], cell.scaling.inputs(told[0] + 0.1)
    )


def test_an_untrained_cell_is_persistence():
    network = CausalTransformer(2, 2, window=3, size=4, heads=1, key=jax.random.key(0))
    cell, state = TransformerCell(network, 1.0), jnp.array([1.0, 2.0])
    np.testing.assert_array_equal(cell.step(cell.init(state)).state, state)


def test_it_learns_an_oscillation_whose_speed_is_not_seen():
    """x alone, of two numbers: what was lost comes back from the past."""
    x = jnp.sin(0.7 * jnp.arange(300.0))[:, None]
    network = CausalTransformer(
        1, 1, window=6, size=16, heads=2, depth=1, dropout=0.01, key=jax.random.key(0)
    )
    cell = TransformerCell(network, 1.0, increment_std=jnp.array([0.5]))
    loss = RolloutLoss(teacher_forcing=True)
    windows = Windows.of(x, 20)
    fitted = fit(
        cell, windows, Descent(optax.adam(3e-3), epochs=25, batch=32),
        loss=loss, key=jax.random.key(1),
    )  # fmt: skip
    before, after = (loss(c, windows.take(3)) for c in (cell, fitted.cell))
    assert after < 0.01 * before


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cross": 3}, "cross takes 3 of 3 inputs"),
        ({"positions": "absolute"}, "positions is 'absolute'"),
        ({"window": 0}, "window is 0"),
    ],
)
def test_impossible_networks_are_told(given, words):
    with pytest.raises(InputError, match=words):
        CausalTransformer(3, 2, **{"window": 3, **given}, key=jax.random.key(0))


def test_a_forcing_of_another_size_is_told():
    network = CausalTransformer(4, 2, window=3, cross=1, key=jax.random.key(0))
    with pytest.raises(InputError, match="reads 1 numbers by cross-attention"):
        TransformerCell(network, 1.0)
