"""What every translator can do, and the marks among its tokens."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, DTypeLike, Float, Int, PRNGKeyArray, PyTree

from tendency.networks.dense import at_least, drawn, float_type

PAD, BEGIN, END = 0, 1, 2  # tokens that are no text: filling, before it, after it


class AbstractTranslator(eqx.Module):
    """From the tokens of a source to those of a target, for one pair of sentences.

    A source ends with `END` and is filled up with `PAD`; a target begins with `BEGIN`.
    Batch with `jax.vmap`.

    Folded, a source is read once (`encode`), then `step` tells one token after the
    other; unfolded, `teach` gives the same logits of a target that is known. With a key
    there is dropout.
    """

    @abc.abstractmethod
    def encode(
        self,
        source: Int[Array, " source"],
        seen: Bool[Array, " source"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> PyTree[Array]:
        """The memory of a source, which stays as it is while the target is told.

        Arguments:
            seen: false at tokens that are none.
        """

    @abc.abstractmethod
    def start(self, memory: PyTree[Array], length: int) -> PyTree[Array]:
        """The state before the first of at most `length` tokens."""

    @abc.abstractmethod
    def step(
        self,
        memory: PyTree[Array],
        state: PyTree[Array],
        token: Int[Array, ""],
        index: Int[Array, ""],
    ) -> tuple[PyTree[Array], Float[Array, " vocabulary"]]:
        """Folded: read the token at `index`, and the logits of the next."""

    @abc.abstractmethod
    def teach(
        self,
        source: Int[Array, " source"],
        seen: Bool[Array, " source"],
        given: Int[Array, " target"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "target vocabulary"]:
        """Unfolded: the logits after each of the tokens given, from `BEGIN` on."""

    @abc.abstractmethod
    def attention(
        self,
        source: Int[Array, " source"],
        seen: Bool[Array, " source"],
        given: Int[Array, " target"],
    ) -> Float[Array, "target source"] | None:
        """How much each next token was read off each of the source's, a sum of one.

        `None` where nothing of the kind is computed.
        """


class Embedding(eqx.Module):
    """One vector a token, which also reads logits off: E[token], and E h + b.

    Input and output share their weights, and so do both languages.

    Source: Press & Wolf (2017, arXiv:1608.05859).
    """

    weight: Float[Array, "vocabulary size"]
    bias: Float[Array, " vocabulary"]

    def __init__(
        self,
        vocabulary: int,
        size: int,
        *,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Gaussian vectors of variance 1 / size, no bias.

        Raises:
            InputError: a size is below 1.
        """
        at_least(1, vocabulary=vocabulary, size=size)
        shape, dtype = (vocabulary, size), float_type(dtype)
        draw = drawn(jax.random.normal, key, shape, dtype)
        self.weight = draw / jnp.sqrt(jnp.asarray(size, draw.dtype))
        self.bias = jnp.zeros(vocabulary, draw.dtype)

    def __call__(self, tokens: Int[Array, "*time"]) -> Float[Array, "*time size"]:
        """The vectors, of variance one."""
        return self.weight[tokens] * self.weight.shape[1] ** 0.5

    def logits(self, h: Float[Array, "*time size"]) -> Float[Array, "*time vocabulary"]:
        """How likely each token is, before normalisation."""
        return h @ self.weight.T + jnp.broadcast_to(
            self.bias, (*h.shape[:-1], self.bias.shape[0])
        )


def seen_of(tokens: Int[Array, "*time"]) -> Bool[Array, "*time"]:
    """True at tokens that are none of the filling."""
    return tokens != PAD


def keys_of(key: PRNGKeyArray | None, count: int) -> Any:
    """So many keys, or none for each."""
    return (None,) * count if key is None else jax.random.split(key, count)
