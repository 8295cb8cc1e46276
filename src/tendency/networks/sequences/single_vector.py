"""The first form: two recurrent networks and one vector between them."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import DTypeLike, PRNGKeyArray

from tendency.networks.attention.blocks import dropped
from tendency.networks.dense import Dense
from tendency.networks.layers import LSTM, Stack, stacked
from tendency.networks.sequences.translator import (
    AbstractTranslator,
    Embedding,
    keys_of,
)


class SingleVector(AbstractTranslator):
    """One LSTM reads the source, another tells the target from where the first ended.

    All that is known of a source is the hidden state of the encoder at its end: a
    vector as long for a sentence of three words as for one of thirty.

    Source: Sutskever, Vinyals & Le (2014, arXiv:1409.3215); Cho et al. (2014,
    arXiv:1406.1078).
    """

    embedding: Embedding
    encoder: Stack
    decoder: Stack
    out: Dense
    dropout: float = eqx.field(static=True)

    def __init__(
        self,
        vocabulary: int,
        size: int,
        units: tuple[int, ...],
        *,
        dropout: float = 0.0,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Two stacks of layers of so many `units`.

        Arguments:
            vocabulary: tokens, of both languages.
            size: numbers of a token.
            dropout: share of the numbers left out while it learns.

        Raises:
            InputError: a size is below 1, or there is no layer.
        """
        one, two, three, four = jax.random.split(key, 4)
        self.embedding = Embedding(vocabulary, size, dtype=dtype, key=one)
        self.encoder = stacked(LSTM, size, units, dtype=dtype, key=two)
        self.decoder = stacked(LSTM, size, units, dtype=dtype, key=three)
        self.out = Dense(units[-1], size, dtype=dtype, key=four)
        self.dropout = dropout

    def encode(self, source, seen, *, key=None):
        x = dropped(self.embedding(source), self.dropout, key)

        def read(hidden, now):
            token, there = now
            new, _ = self.encoder.step(hidden, token)
            keep = lambda a, b: jnp.where(there, a, b)  # noqa: E731
            return jax.tree.map(keep, new, hidden), None

        return jax.lax.scan(read, self.encoder.init(), (x, seen))[0]

    def start(self, memory, length):
        return memory

    def step(self, memory, state, token, index):
        state, h = self.decoder.step(state, self.embedding(token))
        return state, self.embedding.logits(self.out(h))

    def teach(self, source, seen, given, *, key=None):
        one, two, three = keys_of(key, 3)
        hidden = self.encode(source, seen, key=one)
        x = dropped(self.embedding(given), self.dropout, two)
        _, hs = self.decoder.scan(hidden, x)
        h = jax.vmap(self.out)(dropped(hs, self.dropout, three))
        return self.embedding.logits(h)

    def attention(self, source, seen, given):
        """None: the one vector is all there is."""
        return None
