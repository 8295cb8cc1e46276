"""What stacks of attention are made of: norms, layers of two products, blocks."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, DTypeLike, Float, PRNGKeyArray

from tendency.errors import InputError
from tendency.networks.attention.multi_head import (
    Bias,
    KeysValues,
    MultiHeadAttention,
)
from tendency.networks.dense import (
    Activation,
    Dense,
    at_least,
    float_type,
    single_at_least,
)

Tokens = Float[Array, "time size"]
Positions = tuple[Array, Array]  # of those that read, and of those that are read


class Norm(eqx.Module):
    """gain ⊙ (x - mean) / √(variance + ε) + offset, over the numbers of a token.

    Source: Ba, Kiros & Hinton (2016, arXiv:1607.06450), eq. 4.
    """

    gain: Float[Array, " size"]
    offset: Float[Array, " size"]

    def __init__(self, size: int, *, dtype: DTypeLike | None = None):
        """Gain one, offset zero."""
        at_least(1, size=size)
        self.gain = jnp.ones(size, float_type(dtype))
        self.offset = jnp.zeros(size, float_type(dtype))

    def __call__(self, x: Float[Array, " size"]) -> Float[Array, " size"]:
        wide = x.astype(single_at_least(x.dtype))
        anomaly = wide - wide.mean()
        variance = jnp.mean(anomaly**2)
        scaled = anomaly * jax.lax.rsqrt(variance + _SMALL)
        return scaled.astype(x.dtype) * self.gain + self.offset


_SMALL = 1e-5


class FeedForward(eqx.Module):
    """y = W₂ f(W₁ x), of each token alone."""

    first: Dense
    second: Dense
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        size: int,
        hidden: int,
        *,
        activation: Activation = jax.nn.relu,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Glorot weights, no biases."""
        one, two = jax.random.split(key)
        self.first = Dense(size, hidden, dtype=dtype, key=one)
        self.second = Dense(hidden, size, dtype=dtype, key=two)
        self.activation = activation

    def __call__(self, x: Tokens, rate: float, key: PRNGKeyArray | None) -> Tokens:
        y = self.activation(jax.vmap(self.first)(x))
        return jax.vmap(self.second)(dropped(y, rate, key))


class Block(eqx.Module):
    """x + A(norm x), then + C(norm x) of a memory, then + F(norm x): pre-norm.

    A is attention among the tokens, C, which an encoder has not, attention to the
    tokens of a memory, F two products for each token alone.

    Source: Vaswani et al. (2017, arXiv:1706.03762), figure 1, with the norm first as of
    Xiong et al. (2020, arXiv:2002.04745).
    """

    own_norm: Norm
    own: MultiHeadAttention
    cross_norm: Norm | None
    cross: MultiHeadAttention | None
    last_norm: Norm
    last: FeedForward
    dropout: float = eqx.field(static=True)

    def __init__(
        self,
        size: int,
        heads: int,
        *,
        hidden: int,
        reads: int | None = None,
        dropout: float = 0.0,
        activation: Activation = jax.nn.relu,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """`reads` are the numbers of a token of the memory; `None` for no memory.

        Raises:
            InputError: a size is impossible, or a dropout that is no share below 1.
        """
        if not 0 <= dropout < 1:
            raise InputError(
                f"dropout is {dropout}, a share of 0 or more and below 1 was expected"
            )
        one, two, three = jax.random.split(key, 3)
        self.own_norm, self.last_norm = (Norm(size, dtype=dtype) for _ in range(2))
        self.own = MultiHeadAttention(size, heads, dtype=dtype, key=one)
        self.cross_norm, self.cross = None, None
        if reads is not None:
            self.cross_norm = Norm(size, dtype=dtype)
            self.cross = MultiHeadAttention(
                size, heads, reads=reads, dtype=dtype, key=two
            )
        self.last = FeedForward(
            size, hidden, activation=activation, dtype=dtype, key=three
        )
        self.dropout = dropout

    def __call__(
        self,
        x: Tokens,
        mask: Bool[Array, "..."] | None = None,
        memory: KeysValues | None = None,
        memory_mask: Bool[Array, "..."] | None = None,
        *,
        bias: Bias | None = None,
        positions: Positions | None = None,
        memory_positions: Positions | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Tokens:
        """All tokens at once, as many as may see each other by the mask."""
        return self.after(
            x,
            self.remember(x),
            mask,
            memory,
            memory_mask,
            bias=bias,
            positions=positions,
            memory_positions=memory_positions,
            key=key,
        )

    def remember(self, x: Tokens) -> KeysValues:
        """Keys and values of the tokens, for those that come after."""
        return self.own.remember(jax.vmap(self.own_norm)(x))

    def after(
        self,
        x: Tokens,
        held: KeysValues,
        mask: Bool[Array, "..."] | None = None,
        memory: KeysValues | None = None,
        memory_mask: Bool[Array, "..."] | None = None,
        *,
        bias: Bias | None = None,
        positions: Positions | None = None,
        memory_positions: Positions | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Tokens:
        """The same where keys and values of the tokens are held already."""
        keys = (None,) * 4 if key is None else jax.random.split(key, 4)
        a = self.own.read(
            jax.vmap(self.own_norm)(x), held, mask, bias=bias, positions=positions
        )
        x = x + dropped(a, self.dropout, keys[0])
        if self.cross is not None and self.cross_norm is not None:
            if memory is None:
                raise InputError(
                    "the block reads a memory and none was given: give what an "
                    "encoder made of the source, or build it without `reads`"
                )
            c = self.cross.read(
                jax.vmap(self.cross_norm)(x),
                memory,
                memory_mask,
                positions=memory_positions,
            )
            x = x + dropped(c, self.dropout, keys[1])
        y = self.last(jax.vmap(self.last_norm)(x), self.dropout, keys[2])
        return x + dropped(y, self.dropout, keys[3])


def dropped(x: Tokens, rate: float, key: PRNGKeyArray | None) -> Tokens:
    """`x` with a share of its numbers zero and the others larger; whole without a key.

    Source: Srivastava et al. (2014, JMLR 15, 1929), inverted as usual.
    """
    if key is None or rate == 0:
        return x
    # In single precision: of double there would be twice the bits to draw.
    kept = jax.random.bernoulli(key, jnp.asarray(1 - rate, jnp.float32), x.shape)
    return jnp.where(kept, x / (1 - rate), jnp.zeros_like(x))
