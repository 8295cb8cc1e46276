"""Stacks of blocks: an encoder that reads all at once, a decoder that tells on.

A decoder is folded (`step` and `push`, one token with what is remembered of those
before) or unfolded (all at once under a causal mask), with the same numbers.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, DTypeLike, Float, Int, PRNGKeyArray

from tendency.errors import InputError
from tendency.networks.attention.blocks import Block, Norm, Positions, Tokens
from tendency.networks.attention.multi_head import Bias, KeysValues, Mask, causal
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
        return self.unfold(x, causal(x.shape[0]), held, seen, key=key)[1]

    def unfold(
        self,
        x: Tokens,
        mask: Mask,
        memory: tuple[KeysValues, ...] | None = None,
        seen: Bool[Array, "..."] | None = None,
        *,
        bias: Bias | None = None,
        positions: Positions | None = None,
        memory_positions: Positions | None = None,
        key: PRNGKeyArray | None = None,
    ) -> tuple[tuple[KeysValues, ...], Tokens]:
        """Keys and values of the tokens by block, and what becomes of them at once.

        Arguments:
            mask: which tokens each may read.
            memory: keys and values of a source by block, and `seen` which of it each
                token may read.
            bias, positions, memory_positions: as of `MultiHeadAttention`, of both.
        """
        own, keys = [], _keys(key, len(self.blocks))
        for block, of_memory, k in zip(
            self.blocks, _by_block(memory, self), keys, strict=True
        ):
            held = block.remember(x)
            x = block.after(
                x,
                held,
                mask,
                of_memory,
                seen,
                bias=bias,
                positions=positions,
                memory_positions=memory_positions,
                key=k,
            )
            own.append(held)
        return tuple(own), jax.vmap(self.norm)(x)

    def push(
        self,
        own: tuple[KeysValues, ...],
        x: Float[Array, " size"],
        count: Int[Array, ""],
        memory: tuple[KeysValues, ...] | None = None,
        seen: Bool[Array, "..."] | None = None,
        *,
        bias: Bias | None = None,
        positions: Positions | None = None,
        memory_positions: Positions | None = None,
    ) -> tuple[tuple[KeysValues, ...], Float[Array, " size"]]:
        """Folded, for ever: the latest token, the oldest one forgotten.

        Arguments:
            count: tokens that are held, this one among them.
            others: as of `unfold`.
        """
        length = own[0].keys.shape[0]
        here = jnp.arange(length, dtype=jnp.int32)[::-1] < count
        token, kept = x[None], []
        for block, held, of_memory in zip(
            self.blocks, own, _by_block(memory, self), strict=True
        ):
            held = held.pushed(block.remember(token))
            token = block.after(
                token,
                held,
                here,
                of_memory,
                seen,
                bias=bias,
                positions=positions,
                memory_positions=memory_positions,
            )
            kept.append(held)
        return tuple(kept), self.norm(token[0])

    def remember(
        self, memory: Float[Array, "source reads"] | None
    ) -> tuple[KeysValues, ...] | None:
        """Keys and values of a memory, by block: computed once for all tokens."""
        if memory is None:
            return None
        crosses = [block.cross for block in self.blocks if block.cross is not None]
        if not crosses:
            raise InputError(
                "a memory was given and the decoder reads none: build it with `reads`"
            )
        return tuple(cross.remember(memory) for cross in crosses)

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
        return Cache(own, self.remember(memory), seen)

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
        memory = _by_block(cache.memory, self)
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


def _by_block(
    memory: tuple[KeysValues, ...] | None, decoder: Decoder
) -> tuple[KeysValues | None, ...]:
    return (None,) * len(decoder.blocks) if memory is None else memory


def _keys(key: PRNGKeyArray | None, count: int):
    return (None,) * count if key is None else jax.random.split(key, count)
