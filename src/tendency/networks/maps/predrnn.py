"""PredRNN: a memory that passes upward through the layers, and on to the next step."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import DTypeLike, PRNGKeyArray

from tendency.errors import InputError
from tendency.networks.dense import at_least
from tendency.networks.maps.layers import (
    Convolution,
    Edges,
    channels_first,
    channels_last,
    joined,
)
from tendency.networks.maps.recurrent import AbstractMapLayer, beside, gates_of


class SpatiotemporalLSTM(eqx.Module):
    """A ConvLSTM with a second memory m that the layers hand upward.

    c' = σ(f) c + σ(i) tanh(g) and m' = σ(f') m + σ(i') tanh(g'), the gates of the first
    from [x, h], of the second from [x, m]; o from [x, h, c', m'] and
    h' = σ(o) tanh(L [c', m']).

    Source: Wang et al. (2017, NeurIPS 30, 879), eq. 3.
    """

    of_hidden: Convolution
    of_memory: Convolution
    output: Convolution
    merge: Convolution

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
        keys = jax.random.split(key, 4)

        def forgetful(gates: Convolution) -> Convolution:
            bias = gates.bias.at[units : 2 * units].set(1)
            return eqx.tree_at(lambda g: g.bias, gates, bias)

        reads = inputs + units
        one = gates_of(reads, 3 * units, kernel, edges, dtype, keys[0])
        two = gates_of(reads, 3 * units, kernel, edges, dtype, keys[1])
        self.of_hidden, self.of_memory = forgetful(one), forgetful(two)
        self.output = gates_of(reads + 2 * units, units, kernel, edges, dtype, keys[2])
        self.merge = gates_of(2 * units, units, 1, edges, dtype, keys[3])

    @property
    def sizes(self) -> tuple[int, int]:
        """The channels that it reads, and gives."""
        units = self.merge.bias.shape[0]
        return self.of_hidden.kernel.shape[1] - units, units

    def step(self, hidden, memory, x, mask=None):
        """The new hidden state (h, c), and the memory for the layer above."""
        h, c = hidden

        def renewed(gates: Convolution, read, held):
            answer = channels_last(gates(beside(x, read), mask)).astype(held.dtype)
            i, f, g = jnp.split(answer, 3, axis=-1)
            return jax.nn.sigmoid(f) * held + jax.nn.sigmoid(i) * jnp.tanh(g)

        c, memory = (
            renewed(self.of_hidden, h, c),
            renewed(self.of_memory, memory, memory),
        )
        both = joined(channels_first(c), channels_first(memory))
        o = channels_last(self.output(beside(x, h, c, memory), mask)).astype(c.dtype)
        merged = channels_last(self.merge(both, mask)).astype(c.dtype)
        h = jax.nn.sigmoid(o) * jnp.tanh(merged)
        return (h, c), memory


class PredRNN(AbstractMapLayer):
    """Spatiotemporal LSTMs whose memory climbs the stack, then starts the next step.

    Source: Wang et al. (2017, NeurIPS 30, 879), figure 2.
    """

    layers: tuple[SpatiotemporalLSTM, ...]

    def __init__(
        self,
        inputs: int,
        units: int,
        depth: int = 2,
        kernel: int = 3,
        *,
        edges: Edges = Edges(),  # noqa: B008
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """`depth` layers of as many `units`, which the memory demands.

        Raises:
            InputError: a size below 1, or an even kernel.
        """
        at_least(1, depth=depth)
        keys = jax.random.split(key, depth)
        self.layers = tuple(
            SpatiotemporalLSTM(
                units if i else inputs, units, kernel, edges=edges, dtype=dtype, key=k
            )
            for i, k in enumerate(keys)
        )

    def __check_init__(self):
        units = {layer.sizes[1] for layer in self.layers}
        if len(units) != 1:
            raise InputError(
                f"the layers have {sorted(units)} units, the same number was expected: "
                "one memory passes through all of them"
            )

    @property
    def sizes(self) -> tuple[int, int]:
        return self.layers[0].sizes[0], self.layers[-1].sizes[1]

    def init(self, grid, dtype):
        nothing = jnp.zeros((*grid, self.sizes[1]), dtype)
        return tuple((nothing, nothing) for _ in self.layers), nothing

    def step(self, hidden, x, mask=None):
        each, memory = hidden
        after = []
        for layer, held in zip(self.layers, each, strict=True):
            new, memory = layer.step(held, memory, x, mask)
            after.append(new)
            x = channels_first(new[0])
        return (tuple(after), memory), x
