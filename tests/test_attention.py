"""Attention and its stacks: NumPy's numbers, folded as unfolded, masks that hide."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tendency.errors import InputError
from tendency.networks.attention import (
    Decoder,
    Encoder,
    MultiHeadAttention,
    causal,
    rotated,
    sinusoidal,
)

SIZE, HEADS, TIME, SOURCE = 12, 3, 5, 7


def drawn(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def shaken(module, seed=1):
    """With biases, gains and offsets that are not those of the start."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda a: a + 0.3 * rng.normal(size=a.shape), module)


def numpy_attention(of, x, memory, mask=None):
    """Written out, head by head."""
    x, memory = np.asarray(x), np.asarray(memory)
    q = x @ np.asarray(of.query.weight) + np.asarray(of.query.bias)
    kv = memory @ np.asarray(of.source.weight) + np.asarray(of.source.bias)
    k, v = kv[:, :SIZE], kv[:, SIZE:]
    width, parts = SIZE // of.heads, []
    for h in range(of.heads):
        at = slice(h * width, (h + 1) * width)
        logits = q[:, at] @ k[:, at].T / np.sqrt(width)
        if mask is not None:
            logits = np.where(np.asarray(mask), logits, -np.inf)
        e = np.exp(logits - logits.max(-1, keepdims=True))
        parts.append(e / e.sum(-1, keepdims=True) @ v[:, at])
    joined = np.concatenate(parts, 1)
    return joined @ np.asarray(of.out.weight) + np.asarray(of.out.bias)


def numpy_norm(norm, x):
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return scaled * np.asarray(norm.gain) + np.asarray(norm.offset)


def numpy_block(block, x, mask=None, memory=None):
    z = numpy_norm(block.own_norm, x)
    x = x + numpy_attention(block.own, z, z, mask)
    if memory is not None:
        x = x + numpy_attention(block.cross, numpy_norm(block.cross_norm, x), memory)
    z, last = numpy_norm(block.last_norm, x), block.last
    z = np.maximum(z @ np.asarray(last.first.weight) + np.asarray(last.first.bias), 0)
    return x + z @ np.asarray(last.second.weight) + np.asarray(last.second.bias)


@pytest.fixture(scope="module")
def attention():
    return shaken(MultiHeadAttention(SIZE, HEADS, key=jax.random.key(0)))


@pytest.fixture(scope="module")
def decoder():
    return shaken(Decoder(SIZE, HEADS, 2, reads=SIZE, key=jax.random.key(1)))


def test_attention_equals_numpy(attention):
    x, memory = drawn(TIME, SIZE), drawn(SOURCE, SIZE, seed=1)
    mask = np.random.default_rng(2).random((TIME, SOURCE)) < 0.6
    mask[:, 0] = True
    told = attention(x, memory, jnp.asarray(mask))
    np.testing.assert_allclose(
        told, numpy_attention(attention, x, memory, mask), atol=1e-12
    )


def test_weights_are_those_of_the_answer(attention):
    x, memory = drawn(TIME, SIZE), drawn(SOURCE, SIZE, seed=1)
    held, mask = attention.remember(memory), jnp.arange(SOURCE) < 4
    weights = attention.weights(x, held, mask)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-12)
    np.testing.assert_array_equal(weights[..., 4:], 0)
    joined = jnp.einsum("nts,snh->tnh", weights, held.values).reshape(TIME, SIZE)
    np.testing.assert_allclose(
        jax.vmap(attention.out)(joined), attention.read(x, held, mask), atol=1e-12
    )


def test_encoder_and_decoder_equal_numpy(decoder):
    encoder = shaken(Encoder(SIZE, HEADS, 2, key=jax.random.key(2)))
    x, source = np.asarray(drawn(TIME, SIZE)), np.asarray(drawn(SOURCE, SIZE, seed=1))
    memory = source
    for block in encoder.blocks:
        memory = numpy_block(block, memory)
    memory = numpy_norm(encoder.norm, memory)
    np.testing.assert_allclose(encoder(jnp.asarray(source)), memory, atol=1e-12)
    told, mask = x, np.tril(np.ones((TIME, TIME), bool))
    for block in decoder.blocks:
        told = numpy_block(block, told, mask, memory)
    told = numpy_norm(decoder.norm, told)
    np.testing.assert_allclose(
        decoder(jnp.asarray(x), jnp.asarray(memory)), told, atol=1e-12
    )


def test_the_decoder_folded_and_unfolded_agree(decoder):
    x, memory = drawn(TIME, SIZE), drawn(SOURCE, SIZE, seed=1)
    seen = jnp.arange(SOURCE) < 5

    def one(cache, inputs):
        return decoder.step(cache, *inputs)

    cache = decoder.start(TIME + 2, memory, seen)
    _, told = jax.lax.scan(one, cache, (x, jnp.arange(TIME)))
    np.testing.assert_allclose(told, decoder(x, memory, seen), atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, SOURCE - 1))
def test_order_and_what_is_hidden_do_not_matter(seed, shown):
    """Without positions a source is a set, and what a mask hides is nowhere."""
    of = _one_attention()
    rng = np.random.default_rng(seed)
    x, memory = drawn(TIME, SIZE, seed=seed), drawn(SOURCE, SIZE, seed=seed + 1)
    seen = jnp.arange(SOURCE) < shown
    told = of(x, memory, seen)
    order = rng.permutation(SOURCE)
    np.testing.assert_allclose(of(x, memory[order], seen[order]), told, atol=1e-12)
    other = jnp.where(seen[:, None], memory, 1e3 * drawn(SOURCE, SIZE, seed=seed + 2))
    np.testing.assert_array_equal(of(x, other, seen), told)


_MADE = []


def _one_attention():
    if not _MADE:
        made = MultiHeadAttention(SIZE, HEADS, key=jax.random.key(3))
        _MADE.append(jax.jit(lambda *a: made(*a)))
    return _MADE[0]


def test_the_past_does_not_see_the_future(decoder):
    memory = drawn(SOURCE, SIZE, seed=1)
    x = drawn(TIME, SIZE)
    slope = jax.jacobian(lambda x: decoder(x, memory).sum(-1))(x)
    reads = np.abs(slope).sum(-1) > 0
    np.testing.assert_array_equal(reads, np.tril(np.ones((TIME, TIME), bool)))


def test_rotary_products_depend_on_the_distance_alone():
    q, k = drawn(1, 1, 8), drawn(1, 1, 8, seed=1)

    def product(here, there):
        a, b = rotated(q, jnp.array([here])), rotated(k, jnp.array([there]))
        return float(jnp.sum(a * b))

    assert product(3, 1) == pytest.approx(product(103, 101), abs=1e-12)
    assert product(3, 1) != pytest.approx(product(3, 2), abs=1e-6)
    turned = rotated(q, jnp.array([7]))
    assert float(jnp.sum(turned**2)) == pytest.approx(float(jnp.sum(q**2)))


def test_sinusoidal_positions_shift_by_a_rotation():
    """sin(a + b), cos(a + b) are linear in sin a, cos a: what made the paper choose."""
    waves = sinusoidal(jnp.arange(20), 6)
    shift, *_ = np.linalg.lstsq(np.asarray(waves[:-3]), np.asarray(waves[3:]))
    np.testing.assert_allclose(waves[:-3] @ shift, waves[3:], atol=1e-10)
    np.testing.assert_allclose(waves[:, 0], np.sin(np.arange(20)), atol=1e-12)


def test_a_window_hides_what_is_too_old():
    mask = np.asarray(causal(6, 2))
    np.testing.assert_array_equal(
        np.argwhere(mask)[:4], [[0, 0], [1, 0], [1, 1], [2, 1]]
    )


def test_a_token_that_sees_nothing_is_finite(attention):
    x = drawn(TIME, SIZE)
    told, slope = jax.value_and_grad(
        lambda x: attention(x, mask=jnp.zeros(TIME, bool)).sum()
    )(x)
    assert np.isfinite(told)
    assert np.isfinite(slope).all()


def test_dropout_asks_for_a_key():
    of = Encoder(SIZE, HEADS, 1, dropout=0.5, key=jax.random.key(0))
    x = drawn(TIME, SIZE)
    np.testing.assert_array_equal(of(x), of(x))
    one, two = (of(x, key=jax.random.key(i)) for i in range(2))
    assert not np.array_equal(one, two)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda k: MultiHeadAttention(10, 3, key=k), "3 heads cannot share 10"),
        (lambda k: Encoder(4, 2, 0, key=k), "depth is 0"),
        (lambda k: Encoder(4, 2, 1, dropout=1.0, key=k), "dropout is 1.0"),
        (lambda k: sinusoidal(jnp.arange(3), 5), "even size"),
        (
            lambda k: Decoder(4, 2, 1, reads=4, key=k)(jnp.zeros((2, 4))),
            "reads a memory and none was given",
        ),
    ],
)
def test_impossible_sizes_are_told(make, words):
    with pytest.raises(InputError, match=words):
        make(jax.random.key(0))
