"""Attention: a token reads the others as much as its query agrees with their keys."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, DTypeLike, Float, PRNGKeyArray, Shaped

from tendency.errors import InputError
from tendency.networks.attention.positions import rotated
from tendency.networks.dense import Dense, at_least, single_at_least

Mask = Bool[Array, "time source"] | Bool[Array, " source"]
Bias = Float[Array, "heads time source"]


class KeysValues(eqx.Module):
    """What a source holds for those who read it: keys to find it by, and values."""

    keys: Float[Array, "source heads width"]
    values: Float[Array, "source heads width"]

    def pushed(self, new: "KeysValues") -> "KeysValues":
        """As long as before: the oldest left out and `new`, one token, at the end."""

        def push(old, one):
            return jnp.concatenate([old[1:], one.astype(old.dtype)])

        return jax.tree.map(push, self, new)

    def written(self, new: "KeysValues", index: Shaped[Array, ""]) -> "KeysValues":
        """With `new`, one token, at `index`."""

        def write(old, one):
            return jax.lax.dynamic_update_slice_in_dim(
                old, one.astype(old.dtype), index, axis=0
            )

        return jax.tree.map(write, self, new)


class MultiHeadAttention(eqx.Module):
    """Σ softmax(q · k / √width + bias) v in each head, the heads joined and mixed.

    In half precision on a GPU it is JAX's fused kernel, whose memory is linear in the
    number of tokens; elsewhere it is written out (that function of JAX's would compute
    in single precision what is given in double).

    Queries come from the tokens that read, keys and values from those that are read,
    linearly. Written for one sample: batch with `jax.vmap`.

    Source: Vaswani et al. (2017, arXiv:1706.03762), section 3.2.
    """

    query: Dense
    source: Dense  # keys, then values
    out: Dense
    heads: int = eqx.field(static=True)

    def __init__(
        self,
        size: int,
        heads: int,
        *,
        reads: int | None = None,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Glorot weights, no biases.

        Arguments:
            size: numbers of a token that reads, and of the answer.
            reads: numbers of a token that is read; `size` where it is `None`.

        Raises:
            InputError: a number is below 1, or `heads` does not divide `size`.
        """
        at_least(1, size=size, heads=heads)
        if size % heads:
            raise InputError(
                f"{heads} heads cannot share {size} numbers: choose a size that their "
                "number divides"
            )
        one, two, three, four = jax.random.split(key, 4)
        reads = size if reads is None else reads
        self.query = Dense(size, size, dtype=dtype, key=one)
        parts = [Dense(reads, size, dtype=dtype, key=k) for k in (two, three)]
        self.source = jax.tree.map(lambda *a: jnp.concatenate(a, -1), *parts)
        self.out = Dense(size, size, dtype=dtype, key=four)
        self.heads = heads

    def queries(
        self, x: Float[Array, "time size"], positions: Shaped[Array, " time"] | None
    ) -> Float[Array, "time heads width"]:
        """Turned by their positions, where these are given."""
        q = self._split(jax.vmap(self.query)(x))
        return q if positions is None else rotated(q, positions)

    def remember(self, memory: Float[Array, "source reads"]) -> KeysValues:
        """Keys, not turned yet, and values of what is read."""
        keys, values = jnp.split(jax.vmap(self.source)(memory), 2, axis=-1)
        return KeysValues(self._split(keys), self._split(values))

    def read(
        self,
        x: Float[Array, "time size"],
        held: KeysValues,
        mask: Mask | None = None,
        *,
        bias: Bias | None = None,
        positions: tuple[Array, Array] | None = None,
    ) -> Float[Array, "time size"]:
        """The answer to each token of `x` from what is held.

        Arguments:
            mask: false where nothing is to be read; a token for which it is false
                everywhere gets the mean of all.
            bias: added to the products of queries and keys.
            positions: of `x` and of what is held, for rotary positions.
        """
        q, k, mask, bias = self._prepared(x, held, mask, bias, positions)
        if _is_fused(q):
            answer = jax.nn.dot_product_attention(
                q, k, held.values, bias, mask, implementation="cudnn"
            )
        else:
            weights = _weights(q, k, mask, bias).astype(q.dtype)
            answer = _mixed(weights, held.values)
        return jax.vmap(self.out)(answer.reshape(x.shape))

    def __call__(
        self,
        x: Float[Array, "time size"],
        memory: Float[Array, "source reads"] | None = None,
        mask: Mask | None = None,
        *,
        bias: Bias | None = None,
        positions: tuple[Array, Array] | None = None,
    ) -> Float[Array, "time size"]:
        """The answer to `x` from `memory`, or from itself: as `read`."""
        held = self.remember(x if memory is None else memory)
        return self.read(x, held, mask, bias=bias, positions=positions)

    def weights(
        self,
        x: Float[Array, "time size"],
        held: KeysValues,
        mask: Mask | None = None,
        *,
        bias: Bias | None = None,
        positions: tuple[Array, Array] | None = None,
    ) -> Float[Array, "heads time source"]:
        """How much each token reads of each, a sum of one: what a page shows."""
        return _weights(*self._prepared(x, held, mask, bias, positions))

    def _prepared(self, x, held, mask, bias, positions) -> tuple[Any, ...]:
        """Queries, keys, and the mask and the bias as (heads, time, source)."""
        here, there = (None, None) if positions is None else positions
        keys = held.keys if there is None else rotated(held.keys, there)
        if mask is not None:
            mask = jnp.broadcast_to(mask, (1, x.shape[0], keys.shape[0]))
        bias = None if bias is None else bias.astype(keys.dtype)
        return self.queries(x, here), keys, mask, bias

    def _split(self, x: Float[Array, "time size"]) -> Float[Array, "time heads width"]:
        return x.reshape(x.shape[0], self.heads, x.shape[1] // self.heads)


def _weights(q, k, mask, bias) -> Float[Array, "heads time source"]:
    """The softmax, in single precision at least."""
    wide = single_at_least(q.dtype)
    if q.shape[0] == 1:  # a product would transpose all keys first: twice as long
        logits = jnp.sum(q * k, -1, dtype=wide).T[:, None]
    else:
        logits = jnp.einsum("tnh,snh->nts", q, k, preferred_element_type=wide)
    logits = logits / math.sqrt(q.shape[-1])
    logits = logits if bias is None else logits + bias.astype(wide)
    if mask is not None:
        logits = jnp.where(mask, logits, float(jnp.finfo(wide).min) / 2)
    return jax.nn.softmax(logits, axis=-1)


def _mixed(
    weights: Float[Array, "heads time source"],
    values: Float[Array, "source heads width"],
) -> Float[Array, "time heads width"]:
    """The values by their weights, of one token without a product, as its weights."""
    if weights.shape[1] > 1:
        return jnp.einsum("nts,snh->tnh", weights, values)
    return jnp.sum(weights[:, 0].T[..., None] * values, 0, keepdims=True)


def _is_fused(q: Float[Array, "time heads width"]) -> bool:
    """Whether JAX has a kernel that never holds the weights: of a GPU, in half."""
    half = q.dtype in (jnp.bfloat16, jnp.float16)
    return half and jax.default_backend() == "gpu" and q.shape[-1] % 8 == 0


def causal(
    length: int, window: int | None = None, source: int | None = None
) -> Bool[Array, "length source"]:
    """True where a token may read: itself and those before it, `window` in all."""
    behind = jnp.arange(length)[:, None] - jnp.arange(source or length)[None]
    mask = behind >= 0
    return mask if window is None else mask & (behind < window)
