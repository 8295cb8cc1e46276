"""The third form: an encoder and a decoder of attention alone."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, DTypeLike, Float, Int, PRNGKeyArray

from tendency.networks.attention import Cache, Decoder, Encoder, causal, sinusoidal
from tendency.networks.attention.blocks import dropped
from tendency.networks.attention.stacks import nothing_held
from tendency.networks.dense import at_least
from tendency.networks.sequences.translator import (
    AbstractTranslator,
    Embedding,
    keys_of,
)


class Transformer(AbstractTranslator):
    """Tokens and their places, blocks that read them all, blocks that tell on.

    Source: Vaswani et al. (2017, arXiv:1706.03762), with the norm before each block.
    """

    embedding: Embedding
    encoder: Encoder
    decoder: Decoder
    dropout: float = eqx.field(static=True)

    def __init__(
        self,
        vocabulary: int,
        size: int,
        heads: int,
        depth: int,
        *,
        hidden: int | None = None,
        dropout: float = 0.0,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """An encoder and a decoder of `depth` blocks each.

        Arguments:
            vocabulary: tokens, of both languages.
            size: numbers of a token, even.
            heads: of each attention.
            hidden: numbers between the two products of a block; 4 `size` by default.
            dropout: share of the numbers left out while it learns.

        Raises:
            InputError: a size is impossible, or a dropout that is no share below 1.
        """
        one, two, three = jax.random.split(key, 3)
        self.embedding = Embedding(vocabulary, size, dtype=dtype, key=one)
        more: dict[str, Any] = {"hidden": hidden, "dropout": dropout, "dtype": dtype}
        self.encoder = Encoder(size, heads, depth, **more, key=two)
        self.decoder = Decoder(size, heads, depth, reads=size, **more, key=three)
        self.dropout = dropout

    def encode(self, source, seen, *, key=None):
        memory = self._read(source, seen, key)
        return self.decoder.remember(memory), seen

    def start(self, memory, length):
        at_least(1, length=length)
        return tuple(nothing_held(block, length) for block in self.decoder.blocks)

    def step(self, memory, state, token, index):
        held, seen = memory
        x = self._placed(token[None], index[None])[0]
        cache, y = self.decoder.step(Cache(state, held, seen), x, index)
        return cache.own, self.embedding.logits(y)

    def teach(self, source, seen, given, *, key=None):
        one, two, three = keys_of(key, 3)
        memory = self._read(source, seen, one)
        x = dropped(self._placed(given, jnp.arange(given.shape[0])), self.dropout, two)
        return self.embedding.logits(self.decoder(x, memory, seen, key=three))

    def attention(self, source, seen, given):
        """The mean over the heads of the decoder's last block."""
        memory = self._read(source, seen, None)
        x = self._placed(given, jnp.arange(given.shape[0]))
        mask, held = causal(given.shape[0]), self.decoder.remember(memory)
        assert held is not None
        for block, of_memory in zip(self.decoder.blocks[:-1], held[:-1], strict=True):
            x = block(x, mask, of_memory, seen)
        last = self.decoder.blocks[-1]
        assert last.cross is not None
        assert last.cross_norm is not None
        x = x + last.own(jax.vmap(last.own_norm)(x), mask=mask)
        asked = jax.vmap(last.cross_norm)(x)
        return last.cross.weights(asked, held[-1], seen).mean(0)

    def _read(
        self,
        source: Int[Array, " source"],
        seen: Bool[Array, " source"],
        key: PRNGKeyArray | None,
    ) -> Float[Array, "source size"]:
        one, two = keys_of(key, 2)
        x = self._placed(source, jnp.arange(source.shape[0]))
        return self.encoder(dropped(x, self.dropout, one), seen, key=two)

    def _placed(
        self, tokens: Int[Array, " time"], places: Int[Array, " time"]
    ) -> Float[Array, "time size"]:
        x = self.embedding(tokens)
        return x + sinusoidal(places, x.shape[1], x.dtype)
