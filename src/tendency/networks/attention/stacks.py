"""Stacks of blocks: an encoder that reads all at once, a decoder that tells on.

A decoder is folded (`step`, one token with what it remembers of those before) or
unfolded (`__call__`, all at once under a causal mask), with the same numbers.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, DTypeLike, Float, Int, PRNGKeyArray

from tendency.networks.attention.blocks import Block, Norm, Tokens
from tendency.networks.attention.multi_head import KeysValues, Mask, causal
from tendency.networks.dense import Activation, at_least


class Encoder(eqx.Module):
    """Blocks in which every token sees every other, and a norm.

    Arguments:
        size: numbers of a token.
        heads: of the attention, a divisor of `size`.
        depth: blocks.
        hidden: numbers between the two products of a block; 4 `size` by default.
        dropout: share of the numbers left out, with a key.
    """

    blocks: tuple[Block, ...]
    norm: Norm

    def __init__(
        self,
        size: int,
        heads: int,
        depth: int,
        *,
        hidden: int | None = None,
        dropout: float = 0.0,
        activation: Activation = jax.nn.relu,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Glorot weights.

        Raises:
            InputError: a size is impossible, or a dropout that is no share below 1.
        """
        self.blocks = _blocks(
            size, heads, depth, hidden, None, dropout, activation, dtype, key
        )
        self.norm = Norm(size, dtype=dtype)

    def __call__(
        self,
        x: Tokens,
        seen: Mask | None = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> Tokens:
        """What becomes of each token among the others.

        Arguments:
            seen: false at tokens that are none (beyond the end), or (time, source).
            key: draws the dropout; none without it.
        """
        keys = _keys(key, len(self.blocks))
        for block, k in zip(self.blocks, keys, strict=True):
            x = block(x, seen, key=k)
        return jax.vmap(self.norm)(x)


class Cache(eqx.Module):
    """All that a decoder remembers of the tokens before: keys and values by block.

    `memory` are those of the source that it reads, where it reads one.
    """

    own: tuple[KeysValues, ...]
    memory: tuple[KeysValues, ...] | None
    seen: Bool[Array, " source"] | None


class Decoder(eqx.Module):
    """Blocks in which a token sees those before it, and a memory; and a norm.

    Arguments:
        reads: numbers of a token of the memory; `None` for a decoder without one.
        others: as of `Encoder`.
    """

    blocks: tuple[Block, ...]
    norm: Norm

    def __init__(
        self,
        size: int,
        heads: int,
        depth: int,
        *,
        hidden: int | None = None,
        reads: int | None = None,
        dropout: float = 0.0,
        activation: Activation = jax.nn.relu,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Glorot weights.

        Raises:
            InputError: a size is impossible, or a dropout that is no share below 1.
        """
        self.blocks = _blocks(
            size, heads, depth, hidden, reads, dropout, activation, dtype, key
        )
        self.norm = Norm(size, dtype=dtype)

    def __call__(
        self,
        x: Tokens,
        memory: Float[Array, "source reads"] | None = None,
        seen: Bool[Array, "..."] | None = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> Tokens:
        """Unfolded: what becomes of all tokens at once."""
        held = self.remember(memory)
        mask = causal(x.shape[0])
        keys = _keys(key, len(self.blocks))
        for block, k, of_memory in zip(self.blocks, keys, held, strict=True):
            x = block(x, mask, of_memory, seen, key=k)
        return jax.vmap(self.norm)(x)

    def remember(
        self, memory: Float[Array, "source reads"] | None
    ) -> tuple[KeysValues | None, ...]:
        """Keys and values of a memory, by block: computed once for all tokens."""
        if memory is None:
            return (None,) * len(self.blocks)
        return tuple(
            None if block.cross is None else block.cross.remember(memory)
            for block in self.blocks
        )

    def start(
        self,
        length: int,
        memory: Float[Array, "source reads"] | None = None,
        seen: Bool[Array, " source"] | None = None,
    ) -> Cache:
        """Nothing told yet, with room for `length` tokens.

        Raises:
            InputError: `length` is below 1.
        """
        at_least(1, length=length)
        own = tuple(nothing_held(block, length) for block in self.blocks)
        return Cache(own, self.remember(memory), seen)  # pyright: ignore

    def step(
        self,
        cache: Cache,
        x: Float[Array, " size"],
        index: Int[Array, ""],
    ) -> tuple[Cache, Float[Array, " size"]]:
        """Folded: what becomes of the token at `index`, those before it remembered.

        An index that is not batched, as where all samples tell on together, costs no
        copy of what is remembered.
        """
        token, own = x[None], []
        memory = cache.memory or (None,) * len(self.blocks)
        for block, held, of_memory in zip(self.blocks, cache.own, memory, strict=True):
            new = block.remember(token)
            held = held.written(new, index)
            here = jnp.arange(held.keys.shape[0], dtype=index.dtype) <= index
            token = block.after(token, held, here, of_memory, cache.seen)
            own.append(held)
        return Cache(tuple(own), cache.memory, cache.seen), self.norm(token[0])


def nothing_held(block: Block, length: int) -> KeysValues:
    """Room for the keys and values of so many tokens: zeros."""
    size, heads = block.own.out.bias.shape[0], block.own.heads
    nothing = jnp.zeros((length, heads, size // heads), block.own.out.bias.dtype)
    return KeysValues(nothing, nothing)


def _blocks(
    size, heads, depth, hidden, reads, dropout, activation, dtype, key
) -> tuple[Block, ...]:
    at_least(1, depth=depth)
    return tuple(
        Block(
            size,
            heads,
            hidden=4 * size if hidden is None else hidden,
            reads=reads,
            dropout=dropout,
            activation=activation,
            dtype=dtype,
            key=k,
        )
        for k in jax.random.split(key, depth)
    )


def _keys(key: PRNGKeyArray | None, count: int):
    return (None,) * count if key is None else jax.random.split(key, count)
