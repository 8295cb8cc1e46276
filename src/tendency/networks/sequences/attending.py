"""The second form: a recurrent network that looks back at what another one read."""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from tendency.networks.attention.blocks import dropped
from tendency.networks.dense import Dense, glorot
from tendency.networks.layers import LSTM
from tendency.networks.sequences.translator import (
    AbstractTranslator,
    Embedding,
    keys_of,
)


class AbstractAlignment(eqx.Module):
    """How well what the decoder looks for agrees with each token of the source."""

    @abc.abstractmethod
    def keys(self, memory: Float[Array, "source reads"]) -> Float[Array, "source _"]:
        """What is computed of a source once."""

    @abc.abstractmethod
    def scores(
        self, h: Float[Array, " units"], keys: Float[Array, "source _"]
    ) -> Float[Array, " source"]:
        """Of each token, before normalisation."""


class Additive(AbstractAlignment):
    """v · tanh(W h + U m).

    Source: Bahdanau, Cho & Bengio (2015, arXiv:1409.0473), appendix A.1.2.
    """

    query: Float[Array, "units width"]
    key: Float[Array, "reads width"]
    weight: Float[Array, " width"]

    def __init__(
        self,
        units: int,
        reads: int,
        width: int,
        *,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Glorot weights."""
        one, two, three = jax.random.split(key, 3)
        self.query = glorot(one, units, width, dtype)
        self.key = glorot(two, reads, width, dtype)
        self.weight = glorot(three, width, 1, dtype)[:, 0]

    def keys(self, memory):
        return memory @ self.key

    def scores(self, h, keys):
        return jnp.tanh((h @ self.query)[None] + keys) @ self.weight


class DotProduct(AbstractAlignment):
    """h · (W m) / √units.

    Source: Luong, Pham & Manning (2015, arXiv:1508.04025), eq. 8 (general), divided by
    √units as of Vaswani et al. (2017).
    """

    key: Float[Array, "reads units"]

    def __init__(
        self,
        units: int,
        reads: int,
        *,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Glorot weights."""
        self.key = glorot(key, reads, units, dtype)

    def keys(self, memory):
        return memory @ self.key

    def scores(self, h, keys):
        return keys @ h / math.sqrt(h.shape[0])


class Attending(AbstractTranslator):
    """LSTMs whose decoder looks back at all that the encoder gave, at each step.

    The encoder reads the source in both directions, m; the decoder reads a token and
    what it looked up before, a, and h is what it gives:

        h = LSTM([E[token], a]),   c = Σ softmax(score(h, m)) m,   a' = tanh(W [c, h])

    and the logits are read off a'. The score is `Additive` or `DotProduct`.

    Source: Luong, Pham & Manning (2015, arXiv:1508.04025), eqs 5 to 8 and section 3.3,
    with the bidirectional encoder of Bahdanau, Cho & Bengio (2015, arXiv:1409.0473).
    """

    embedding: Embedding
    forward: LSTM
    backward: LSTM
    first: Dense  # the decoder's first hidden state, of the encoder's last ones
    decoder: LSTM
    alignment: AbstractAlignment
    joined: Dense
    out: Dense
    dropout: float = eqx.field(static=True)

    def __init__(
        self,
        vocabulary: int,
        size: int,
        units: int,
        *,
        additive: bool,
        dropout: float = 0.0,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """An encoder of `units` numbers in each direction, a decoder of as many.

        Arguments:
            vocabulary: tokens, of both languages.
            size: numbers of a token.
            additive: whether the score is `Additive`, or `DotProduct`.
            dropout: share of the numbers left out while it learns.

        Raises:
            InputError: a size is below 1.
        """
        keys = jax.random.split(key, 8)
        self.embedding = Embedding(vocabulary, size, dtype=dtype, key=keys[0])
        self.forward = LSTM(size, units, dtype=dtype, key=keys[1])
        self.backward = LSTM(size, units, dtype=dtype, key=keys[2])
        self.first = Dense(2 * units, 2 * units, dtype=dtype, key=keys[3])
        self.decoder = LSTM(size + units, units, dtype=dtype, key=keys[4])
        self.alignment = (
            Additive(units, 2 * units, units, dtype=dtype, key=keys[5])
            if additive
            else DotProduct(units, 2 * units, dtype=dtype, key=keys[5])
        )
        self.joined = Dense(3 * units, units, dtype=dtype, key=keys[6])
        self.out = Dense(units, size, dtype=dtype, key=keys[7])
        self.dropout = dropout

    def encode(self, source, seen, *, key=None):
        one, two = keys_of(key, 2)
        x = dropped(self.embedding(source), self.dropout, one)

        def read(layer, reverse):
            def one(hidden, now):
                token, there = now
                new, h = layer.step(hidden, token)
                keep = lambda a, b: jnp.where(there, a, b)  # noqa: E731
                return jax.tree.map(keep, new, hidden), h

            return jax.lax.scan(one, layer.init(), (x, seen), reverse=reverse)

        (h, _), there = read(self.forward, False)
        (g, _), back = read(self.backward, True)
        held = dropped(jnp.concatenate([there, back], -1), self.dropout, two)
        begin = jnp.tanh(self.first(jnp.concatenate([h, g])))
        return held, self.alignment.keys(held), seen, begin

    def start(self, memory, length):
        h, c = jnp.split(memory[3], 2)
        return (h, c), jnp.zeros_like(h)

    def step(self, memory, state, token, index):
        state, _ = self._looked_up(memory, state, self.embedding(token))
        return state, self.embedding.logits(self.out(state[1]))

    def teach(self, source, seen, given, *, key=None):
        one, two, three = keys_of(key, 3)
        memory = self.encode(source, seen, key=one)
        x = dropped(self.embedding(given), self.dropout, two)

        def tell(state, token):
            state, _ = self._looked_up(memory, state, token)
            return state, state[1]

        _, found = jax.lax.scan(tell, self.start(memory, given.shape[0]), x)
        h = jax.vmap(self.out)(dropped(found, self.dropout, three))
        return self.embedding.logits(h)

    def attention(self, source, seen, given):
        memory = self.encode(source, seen)

        def tell(state, token):
            return self._looked_up(memory, state, token)

        start = self.start(memory, given.shape[0])
        return jax.lax.scan(tell, start, self.embedding(given))[1]

    def _looked_up(self, memory, state, x):
        """The state after a token, and what it read of the source."""
        held, keys, seen, _ = memory
        hidden, a = state
        hidden, h = self.decoder.step(hidden, jnp.concatenate([x, a]))
        scores = self.alignment.scores(h, keys)
        low = jnp.finfo(scores.dtype).min / 2
        weights = jax.nn.softmax(jnp.where(seen, scores, low))
        a = jnp.tanh(self.joined(jnp.concatenate([weights @ held, h])))
        return (hidden, a), weights
