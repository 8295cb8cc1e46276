"""Transformers over series: folded as unfolded, in every verb."""

from typing import Any

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
    Standardisation,
)
from tendency.errors import InputError
from tendency.fitting import Descent, RolloutLoss
from tendency.networks.attention import (
    CausalTransformer,
    EncoderDecoderTransformer,
    TransformerCell,
)
from tendency.windows import Window, Windows

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


def folded(network, xs):
    return jax.lax.scan(lambda h, x: network.step(h, x), network.init(), xs)


def test_folded_equals_unfolded_beyond_the_window(network):
    xs = series(size=3)
    held, told = folded(network, xs)
    after, at_once = network.unfold(xs)
    np.testing.assert_allclose(told, at_once, atol=1e-12)
    for one, other in zip(jax.tree.leaves(held), jax.tree.leaves(after), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    short, _ = folded(network, xs[:2])
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
    like: dict[str, Any] = {"window": WINDOW, "size": 8, "heads": 2, "depth": 1}
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


@eqx.filter_jit
def verbs(cell, states, forcing):
    """What was told before the last insertion is remembered still, and never read."""
    carry = spin_up(cell, states, forcing)
    window = Window(states[1:9], forcing[1:9])
    told = forecast(cell, carry, 3, forcing[:4])[1]
    return told, RolloutLoss(teacher_forcing=True)(cell, window)


def test_every_verb_reads_at_once_what_steps_read_one_by_one(cell):
    given = series(seed=2), series(size=1, seed=3)
    (told, loss), (by_steps, of_steps) = (verbs(c, *given) for c in (cell, Steps(cell)))
    np.testing.assert_allclose(told, by_steps, atol=1e-12)
    assert loss == pytest.approx(float(of_steps), rel=1e-12)


def test_a_forecast_costs_one_token_a_step():
    """Its carry is as large after it as before, however long."""
    network = CausalTransformer(3, 2, window=3, size=4, heads=1, key=jax.random.key(0))
    cell = TransformerCell(network, 0.5)
    carry = eqx.filter_eval_shape(cell.init, jnp.zeros(2))

    def told(carry):
        return forecast(cell, carry, 50, jnp.zeros((50, 1)))

    last, states = eqx.filter_eval_shape(told, carry)
    assert states.shape == (50, 2)
    assert jax.tree.structure(last) == jax.tree.structure(carry)
    assert [a.shape for a in jax.tree.leaves(last)] == [
        a.shape for a in jax.tree.leaves(carry)
    ]


def test_the_decoder_starts_anew_where_a_state_is_inserted():
    """And goes on otherwise: two steps, the first told state given back as it is."""
    cell = EncoderDecoderTransformer(
        2, 1.0, window=3, size=8, heads=2, key=jax.random.key(0)
    )
    cell = eqx.tree_at(lambda c: c.readout, cell, replace_fn=shaken)

    @eqx.filter_jit
    def told(history):
        carry = spin_up(cell, history)
        after, states = forecast(cell, carry, 2)
        moved = Carry(states[0] + 0.1, cell.step(carry).memory)
        return after.memory, states, cell.step(moved).memory

    on, states, anew = told(series(3))
    assert (int(on.told), int(on.count)) == (2, 3)
    assert int(anew.told) == 1
    np.testing.assert_allclose(anew.rows[-1], states[0] + 0.1, atol=1e-12)


def test_an_untrained_cell_is_persistence():
    network = CausalTransformer(2, 2, window=3, size=4, heads=1, key=jax.random.key(0))
    cell, state = TransformerCell(network, 1.0), jnp.array([1.0, 2.0])
    np.testing.assert_array_equal(cell.step(cell.init(state)).state, state)


def test_it_learns_an_oscillation_whose_speed_is_not_seen():
    """x alone, of two numbers: what was lost comes back from the past."""
    x = jnp.sin(0.7 * jnp.arange(200.0))[:, None]
    network = CausalTransformer(
        1, 1, window=6, size=8, heads=2, depth=1, dropout=0.01, key=jax.random.key(0)
    )
    cell = TransformerCell(network, 1.0, increment_std=jnp.array([0.5]))
    loss = RolloutLoss(teacher_forcing=True)
    windows = Windows.of(x, 20)
    fitted = fit(
        cell, windows, Descent(optax.adam(1e-2), epochs=20, batch=32),
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
