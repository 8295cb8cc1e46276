"""Telling a target: the likeliest token each time, or a beam of the best so far.

Both are one compiled loop for a whole batch of sentences, which ends when all of them
have ended.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from tendency.errors import InputError
from tendency.networks.dense import at_least
from tendency.networks.sequences.translator import BEGIN, END, PAD, AbstractTranslator


class Told(eqx.Module):
    """What was told of each sentence of a batch."""

    tokens: Int[Array, "sentence target"]  # without `BEGIN`; `END`, then `PAD`
    log_probability: Float[Array, " sentence"]
    ended: Bool[Array, " sentence"]  # or the length was not enough


@eqx.filter_jit
def greedy(
    translator: AbstractTranslator,
    source: Int[Array, "sentence source"],
    seen: Bool[Array, "sentence source"],
    length: int,
) -> Told:
    """The likeliest next token, again and again.

    Arguments:
        length: tokens at most, the end among them.

    Raises:
        InputError: `length` is below 1.
    """
    at_least(1, length=length)
    count = source.shape[0]
    memory, state = _started(translator, source, seen, length)
    step = jax.vmap(translator.step, in_axes=(0, 0, 0, None))

    def go_on(now):
        index, ended = now[0], now[3]
        return (index < length) & ~ended.all()

    def tell(now):
        index, state, last, ended, tokens, total = now
        state, logits = step(memory, state, last, index)
        gains = _allowed(logits)
        chosen, gain = _likeliest(gains)
        chosen = chosen.astype(tokens.dtype)
        chosen = jnp.where(ended, PAD, chosen)
        total = total + jnp.where(ended, 0, gain)
        tokens = jax.lax.dynamic_update_slice_in_dim(
            tokens, chosen[:, None], index, axis=1
        )
        return index + 1, state, chosen, ended | (chosen == END), tokens, total

    first = jnp.full(count, BEGIN, source.dtype)
    tokens = jnp.full((count, length), PAD, source.dtype)
    ended = jnp.zeros(count, bool)
    total = jnp.zeros(count, _real(translator))
    start = (jnp.asarray(0), state, first, ended, tokens, total)
    _, _, _, ended, tokens, total = jax.lax.while_loop(go_on, tell, start)
    return Told(tokens, total, ended)


@eqx.filter_jit
def beam(
    translator: AbstractTranslator,
    source: Int[Array, "sentence source"],
    seen: Bool[Array, "sentence source"],
    length: int,
    *,
    width: int,
    penalty: float = 1.0,
) -> Told:
    """The best of `width` hypotheses that are followed side by side.

    A hypothesis of n tokens, its end among them, is worth log p / nᵅ. One that ends is
    noted and leaves the beam; the search ends when none of those that go on can be
    worth more than the best that has ended. Of width 1 it is `greedy`.

    Arguments:
        length: tokens at most, the end among them.
        width: of the beam.
        penalty: α; 0 prefers short targets, 1 is the mean of a token.

    Source: Graves (2012, arXiv:1211.3711), section 2.5; Wu et al. (2016,
    arXiv:1609.08144), section 7, for the normalisation, here without its constant.

    Raises:
        InputError: `length` or `width` is below 1.
    """
    at_least(1, length=length, width=width)
    if not penalty >= 0:
        raise InputError(f"penalty is {penalty}, 0 or more was expected: 1 is a mean")
    count, dtype = source.shape[0], _real(translator)
    low = jnp.asarray(-jnp.inf, dtype)
    memory, state = _started(translator, source, seen, length)
    several = lambda a: jnp.repeat(a[:, None], width, axis=1)  # noqa: E731
    state = jax.tree.map(several, state)
    of_hypotheses = jax.vmap(translator.step, in_axes=(None, 0, 0, None))
    step = jax.vmap(of_hypotheses, in_axes=(0, 0, 0, None))
    powers = jnp.arange(1, length + 1, dtype=dtype) ** penalty

    def go_on(now: _Search):
        hope = now.total.max(1) / powers[-1]
        return (now.index < length) & (hope > now.worth).any()

    def tell(now: _Search) -> _Search:
        state, logits = step(memory, now.state, now.last, now.index)
        gains = _allowed(logits)
        vocabulary = gains.shape[-1]
        totals = (now.total[..., None] + gains).reshape(count, width * vocabulary)
        total, places = jax.lax.top_k(totals, width)
        of, last = places // vocabulary, (places % vocabulary).astype(source.dtype)
        pick = lambda a: jax.vmap(lambda x, i: x[i])(a, of)  # noqa: E731
        state, tokens = jax.tree.map(pick, (state, now.tokens))
        tokens = jax.lax.dynamic_update_slice_in_dim(
            tokens, last[..., None], now.index, axis=2
        )
        ends = last == END
        worth = jnp.where(ends, total, low) / powers[now.index]
        found = jnp.argmax(worth, 1)
        one = lambda a: jax.vmap(lambda x, i: x[i])(a, found)  # noqa: E731
        better = one(worth) > now.worth
        return _Search(
            now.index + 1,
            state,
            last,
            jnp.where(ends, low, total),
            tokens,
            jnp.where(better, one(worth), now.worth),
            jnp.where(better, one(total), now.best_total),
            jnp.where(better[:, None], one(tokens), now.best),
        )

    start = _Search(
        jnp.asarray(0),
        state,
        jnp.full((count, width), BEGIN, source.dtype),
        jnp.full((count, width), low).at[:, 0].set(0),  # all are one at first
        jnp.full((count, width, length), PAD, source.dtype),
        jnp.full(count, low),
        jnp.full(count, low),
        jnp.full((count, length), PAD, source.dtype),
    )
    end = jax.lax.while_loop(go_on, tell, start)
    ended = end.worth > low
    likeliest = jnp.argmax(end.total, 1)  # where none has ended
    one = lambda a: jax.vmap(lambda x, i: x[i])(a, likeliest)  # noqa: E731
    return Told(
        jnp.where(ended[:, None], end.best, one(end.tokens)),
        jnp.where(ended, end.best_total, one(end.total)),
        ended,
    )


class _Search(eqx.Module):
    """The hypotheses that go on, and the best of those that ended."""

    index: Int[Array, ""]
    state: PyTree[Array]
    last: Int[Array, "sentence width"]
    total: Float[Array, "sentence width"]  # log p; -inf of one that ended
    tokens: Int[Array, "sentence width target"]
    worth: Float[Array, " sentence"]
    best_total: Float[Array, " sentence"]
    best: Int[Array, "sentence target"]


def _allowed(logits: Float[Array, "*batch vocabulary"]) -> Array:
    """Log probabilities; filling and beginning cannot be told."""
    token = jnp.arange(logits.shape[-1])
    never = jnp.broadcast_to((token == PAD) | (token == BEGIN), logits.shape)
    return jax.nn.log_softmax(jnp.where(never, -jnp.inf, logits), axis=-1)


def _likeliest(gains: Float[Array, "sentence vocabulary"]) -> tuple[Array, Array]:
    """The first of the largest, and it, by two plain reductions: quicker on a CPU."""
    largest = gains.max(-1)
    token = jnp.arange(gains.shape[-1])
    there = gains == largest[:, None]
    return jnp.where(there, token[None], gains.shape[-1] - 1).min(-1), largest


def _started(
    translator: AbstractTranslator, source: Array, seen: Array, length: int
) -> tuple[PyTree[Array], PyTree[Array]]:
    """The memory of each source, and the states before the first token."""
    memory = jax.vmap(translator.encode)(source, seen)
    return memory, jax.vmap(lambda m: translator.start(m, length))(memory)


def _real(translator: Any) -> Any:
    return jnp.result_type(
        *jax.tree.leaves(eqx.filter(translator, eqx.is_inexact_array))
    )
