"""Recurrent layers whose states are maps, and their stacks.

Folded (`step`) and unfolded (`scan`) they give the same numbers. The channels of hidden
states are last, as convolutions want them: (row, column, channel).
"""

import abc
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray, PyTree

from tendency.errors import InputError
from tendency.networks.dense import at_least
from tendency.networks.maps.layers import (
    Convolution,
    Edges,
    Mask,
    channels_first,
    channels_last,
    joined,
)


class AbstractMapLayer(eqx.Module):
    """h' = F(h, x), y: a recurrent layer that reads and gives maps on any grid."""

    @property
    @abc.abstractmethod
    def sizes(self) -> tuple[int, int]:
        """The channels that it reads, and gives."""

    @abc.abstractmethod
    def init(self, grid: tuple[int, int], dtype: DTypeLike) -> PyTree[Array]:
        """A hidden state of zeros on so many rows and columns."""

    @abc.abstractmethod
    def step(
        self,
        hidden: PyTree[Array],
        x: Float[Array, "inputs row column"],
        mask: Mask | None = None,
    ) -> tuple[PyTree[Array], Float[Array, "units row column"]]:
        """The new hidden state, and what the layer gives.

        Products have the type of the weights, the hidden state keeps its own.
        """

    def scan(
        self,
        hidden: PyTree[Array],
        xs: Float[Array, "time inputs row column"],
        mask: Mask | None = None,
    ) -> tuple[PyTree[Array], Float[Array, "time units row column"]]:
        """All steps of a series."""
        return jax.lax.scan(lambda h, x: self.step(h, x, mask), hidden, xs)


class ConvLSTM(AbstractMapLayer):
    """c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c'); (i, f, g, o) = K ∗ [x, h] + b.

    Source: Shi et al. (2015, arXiv:1506.04214), eq. 3, without the products of the
    gates with c, which tie the weights to one grid.
    """

    gates: Convolution

    def __init__(
        self,
        inputs: int,
        units: int,
        kernel: int = 3,
        *,
        edges: Edges = Edges(),  # noqa: B008
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Weights of half He's variance; the gates of forgetting have a bias of 1.

        Raises:
            InputError: a size below 1, or an even kernel.
        """
        at_least(1, inputs=inputs, units=units)
        gates = gates_of(inputs + units, 4 * units, kernel, edges, dtype, key)
        bias = gates.bias.at[units : 2 * units].set(1)
        self.gates = eqx.tree_at(lambda g: g.bias, gates, bias)

    @property
    def sizes(self) -> tuple[int, int]:
        units = self.gates.bias.shape[0] // 4
        return self.gates.kernel.shape[1] - units, units

    def init(self, grid, dtype):
        nothing = jnp.zeros((*grid, self.sizes[1]), dtype)
        return nothing, nothing

    def step(self, hidden, x, mask=None):
        h, c = hidden
        gates = channels_last(self.gates(beside(x, h), mask)).astype(c.dtype)
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), channels_first(h)


class ConvGRU(AbstractMapLayer):
    """h' = (1 - z) n + z h; (r, z) = σ(K ∗ [x, h] + b), n = tanh(C ∗ [x, r h] + a).

    Source: Ballas et al. (2016, arXiv:1511.06432), eq. 8 to 11, with z and 1 - z as in
    Cho et al. (2014).
    """

    gates: Convolution
    candidate: Convolution

    def __init__(
        self,
        inputs: int,
        units: int,
        kernel: int = 3,
        *,
        edges: Edges = Edges(),  # noqa: B008
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Weights of half He's variance, no biases.

        Raises:
            InputError: a size below 1, or an even kernel.
        """
        at_least(1, inputs=inputs, units=units)
        one, two = jax.random.split(key)
        reads = inputs + units
        self.gates = gates_of(reads, 2 * units, kernel, edges, dtype, one)
        self.candidate = gates_of(reads, units, kernel, edges, dtype, two)

    @property
    def sizes(self) -> tuple[int, int]:
        units = self.candidate.bias.shape[0]
        return self.candidate.kernel.shape[1] - units, units

    def init(self, grid, dtype):
        return jnp.zeros((*grid, self.sizes[1]), dtype)

    def step(self, hidden, x, mask=None):
        gates = jax.nn.sigmoid(channels_last(self.gates(beside(x, hidden), mask)))
        reset, keep = jnp.split(gates.astype(hidden.dtype), 2, axis=-1)
        new = jnp.tanh(channels_last(self.candidate(beside(x, reset * hidden), mask)))
        hidden = new.astype(hidden.dtype) * (1 - keep) + keep * hidden
        return hidden, channels_first(hidden)


class MapStack(AbstractMapLayer):
    """Layers one above the other, each reading what the one below gives."""

    layers: tuple[AbstractMapLayer, ...]

    def __check_init__(self):
        check_stack(self.layers)

    @property
    def sizes(self) -> tuple[int, int]:
        return self.layers[0].sizes[0], self.layers[-1].sizes[1]

    def init(self, grid, dtype):
        return tuple(layer.init(grid, dtype) for layer in self.layers)

    def step(self, hidden, x, mask=None):
        after = []
        for layer, held in zip(self.layers, hidden, strict=True):
            new, x = layer.step(held, x, mask)
            after.append(new)
        return tuple(after), x


def stacked_maps(
    kind: Any,
    inputs: int,
    units: tuple[int, ...],
    kernel: int = 3,
    *,
    edges: Edges = Edges(),  # noqa: B008
    dtype: DTypeLike | None = None,
    key: PRNGKeyArray,
) -> MapStack:
    """Layers of one `kind`, of so many `units` from the lowest to the highest."""
    keys = jax.random.split(key, len(units))
    reads = (inputs, *units[:-1])
    return MapStack(
        tuple(
            kind(n, m, kernel, edges=edges, dtype=dtype, key=k)
            for n, m, k in zip(reads, units, keys, strict=True)
        )
    )


def check_stack(layers: tuple[Any, ...]) -> None:
    """Whether layers fit one above the other.

    Raises:
        InputError: there are none, or they do not.
    """
    if not layers:
        raise InputError("a stack of no layers was asked for: give at least one")
    for below, above in pairwise(layers):
        if below.sizes[1] != above.sizes[0]:
            raise InputError(
                f"a layer gives {below.sizes[1]} channels and the one above reads "
                f"{above.sizes[0]}: make them equal"
            )


def gates_of(
    reads: int,
    gives: int,
    kernel: int,
    edges: Edges,
    dtype: DTypeLike | None,
    key: PRNGKeyArray,
) -> Convolution:
    """A convolution for gates: half He's variance, as they are squashed."""
    return Convolution(
        reads, gives, kernel, edges=edges, scale=0.5**0.5, dtype=dtype, key=key
    )


def beside(
    x: Float[Array, "inputs row column"], *hidden: Float[Array, "row column _"]
) -> Float[Array, "all row column"]:
    """[x, h, ...], in the type of the hidden states."""
    held = [channels_first(h) for h in hidden]
    return joined(x.astype(held[0].dtype), *held)
