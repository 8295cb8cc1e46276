"""The third form: an encoder and a decoder of attention alone."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, DTypeLike, Float, Int, PRNGKeyArray

from tendency.networks.attention import Decoder, Encoder, causal, sinusoidal
from tendency.networks.attention.blocks import dropped
from tendency.networks.attention.stacks import nothing_held
from tendency.networks.dense import at_least
from tendency.networks.sequences.translator import (
    AbstractTranslator,
    Embedding,
    keys_of,
)


class Transformer(AbstractTranslator):
    """Blocks that read all tokens of the source, blocks that tell on.

    Places are told by waves that are added to the tokens, or by rotary positions, then
    also between the two languages: where word follows word in both, attention need not
    find each of them anew, and it learns to align sooner.

    Source: Vaswani et al. (2017, arXiv:1706.03762), with the norm before each block;
    Su et al. (2021, arXiv:2104.09864) for rotary positions, there within a sequence.
    """

    embedding: Embedding
    encoder: Encoder
    decoder: Decoder
    dropout: float = eqx.field(static=True)
    rotary: bool = eqx.field(static=True)

    def __init__(
        self,
        vocabulary: int,
        size: int,
        heads: int,
        depth: int,
        *,
        hidden: int | None = None,
        dropout: float = 0.0,
        rotary: bool = False,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """An encoder and a decoder of `depth` blocks each.

        Arguments:
            vocabulary: tokens, of both languages.
            size: numbers of a token, even; rotary, an even share for each head.
            heads: of each attention.
            hidden: numbers between the two products of a block; 4 `size` by default.
            dropout: share of the numbers left out while it learns.
            rotary: whether queries and keys are turned by their places, or waves added.

        Raises:
            InputError: a size is impossible, or a dropout that is no share below 1.
        """
        one, two, three = jax.random.split(key, 3)
        self.embedding = Embedding(vocabulary, size, dtype=dtype, key=one)
        more: dict[str, Any] = {"hidden": hidden, "dropout": dropout, "dtype": dtype}
        self.encoder = Encoder(size, heads, depth, **more, key=two)
        self.decoder = Decoder(size, heads, depth, reads=size, **more, key=three)
        self.dropout, self.rotary = dropout, rotary

    def encode(self, source, seen, *, key=None):
        return self.decoder.remember(self._read(source, seen, key)), seen

    def start(self, memory, length):
        at_least(1, length=length)
        return tuple(nothing_held(block, length) for block in self.decoder.blocks)

    def step(self, memory, state, token, index):
        held, seen = memory
        here, own = index[None], []
        x = self._placed(token[None], here)
        there = _places(seen).astype(index.dtype)
        for block, before, of_source in zip(
            self.decoder.blocks, state, held, strict=True
        ):
            now = before.written(block.remember(x), index)
            places = _places(now.keys).astype(index.dtype)
            x = block.after(
                x,
                now,
                places <= index,
                of_source,
                seen,
                positions=self._turned(here, places),
                memory_positions=self._turned(here, there),
            )
            own.append(now)
        return tuple(own), self.embedding.logits(self.decoder.norm(x[0]))

    def teach(self, source, seen, given, *, key=None):
        one, two, three = keys_of(key, 3)
        held = self.decoder.remember(self._read(source, seen, one))
        here, there = _places(given), _places(source)
        x = dropped(self._placed(given, here), self.dropout, two)
        _, y = self.decoder.unfold(
            x,
            causal(given.shape[0]),
            held,
            seen,
            positions=self._turned(here, here),
            memory_positions=self._turned(here, there),
            key=three,
        )
        return self.embedding.logits(y)

    def attention(self, source, seen, given):
        """The mean over the heads of the decoder's last block."""
        held = self.decoder.remember(self._read(source, seen, None))
        assert held is not None
        here, there = _places(given), _places(source)
        x, mask = self._placed(given, here), causal(given.shape[0])
        for block, of_source in zip(self.decoder.blocks[:-1], held[:-1], strict=True):
            x = block(
                x,
                mask,
                of_source,
                seen,
                positions=self._turned(here, here),
                memory_positions=self._turned(here, there),
            )
        last = self.decoder.blocks[-1]
        assert last.cross is not None
        assert last.cross_norm is not None
        normed = jax.vmap(last.own_norm)(x)
        x = x + last.own(normed, mask=mask, positions=self._turned(here, here))
        asked = jax.vmap(last.cross_norm)(x)
        weights = last.cross.weights(
            asked, held[-1], seen, positions=self._turned(here, there)
        )
        return weights.mean(0)

    def _read(
        self,
        source: Int[Array, " source"],
        seen: Bool[Array, " source"],
        key: PRNGKeyArray | None,
    ) -> Float[Array, "source size"]:
        one, two = keys_of(key, 2)
        places, blocks = _places(source), self.encoder.blocks
        x = dropped(self._placed(source, places), self.dropout, one)
        for block, k in zip(blocks, keys_of(two, len(blocks)), strict=True):
            x = block(x, seen, positions=self._turned(places, places), key=k)
        return jax.vmap(self.encoder.norm)(x)

    def _placed(
        self, tokens: Int[Array, " time"], places: Int[Array, " time"]
    ) -> Float[Array, "time size"]:
        x = self.embedding(tokens)
        return x if self.rotary else x + sinusoidal(places, x.shape[1], x.dtype)

    def _turned(self, readers: Array, read: Array) -> tuple[Array, Array] | None:
        """The positions of attention, where it is told them."""
        return (readers, read) if self.rotary else None


def _places(tokens: Array) -> Int[Array, " time"]:
    return jnp.arange(tokens.shape[0], dtype=jnp.int32)
