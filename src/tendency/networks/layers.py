"""Recurrent layers, `RNN`, `LSTM`, `GRU`, and their `Stack`.

Each is h' = F(h, x): `step` is the layer folded, one time after the other, and `scan`
the same layer unfolded over a series, with the same numbers.

Input and hidden state are joined before the one product with all gates, and the
unfolded layer is a scan of the folded one: measured on the CPU, taking the product with
the inputs, or the gradient of the weights, out of the scan (one large product over all
times) costs more in memory traffic than it gains.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray, PyTree

from tendency.errors import InputError
from tendency.networks.dense import Activation, at_least, float_type, glorot


class AbstractLayer(eqx.Module):
    """One recurrent layer, for one member: batch with `jax.vmap`."""

    @property
    @abc.abstractmethod
    def sizes(self) -> tuple[int, int]:
        """How many numbers it reads and gives."""

    @abc.abstractmethod
    def init(self) -> PyTree[Array]:
        """The hidden state before anything was read: zeros."""

    @abc.abstractmethod
    def step(
        self, hidden: PyTree[Array], x: Float[Array, " inputs"]
    ) -> tuple[PyTree[Array], Float[Array, " units"]]:
        """The hidden state after reading x, and what it gives."""

    def scan(
        self, hidden: PyTree[Array], xs: Float[Array, "time inputs"]
    ) -> tuple[PyTree[Array], Float[Array, "time units"]]:
        """The hidden state after reading the series, and what each step gives."""
        return jax.lax.scan(lambda hidden, x: self.step(hidden, x), hidden, xs)


class RNN(AbstractLayer):
    """h' = f([x, h] W + b), with Wₓₕ above Wₕₕ in W.

    Source: Elman (1990, Cogn. Sci. 14, 179). Its output y = g(Wₕᵧ h) is the readout of
    `Recurrent`.
    """

    weight: Float[Array, "rows units"]
    bias: Float[Array, " units"]
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        units: int,
        activation: Activation = jnp.tanh,
        *,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Glorot weights of the inputs, orthogonal ones of the hidden state, no bias.

        Raises:
            InputError: a size is below 1.
        """
        self.weight = jnp.concatenate(_weights(key, inputs, units, 1, dtype))
        self.bias = jnp.zeros(units, float_type(dtype))
        self.activation = activation

    @property
    def sizes(self) -> tuple[int, int]:
        return self.weight.shape[0] - self.weight.shape[1], self.weight.shape[1]

    def init(self) -> Float[Array, " units"]:
        return jnp.zeros_like(self.bias)

    def step(self, hidden, x):
        hidden = self.activation(jnp.concatenate([x, hidden]) @ self.weight + self.bias)
        return hidden, hidden


class LSTM(AbstractLayer):
    """c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c'), with [i, f, g, o] = [x, h] W + b.

    The hidden state is the pair (h, c). The forget gate's bias starts at one.

    Source: Hochreiter & Schmidhuber (1997, Neural Comput. 9, 1735), with the forget
    gate of Gers, Schmidhuber & Cummins (2000, Neural Comput. 12, 2451).
    """

    weight: Float[Array, "rows gates"]
    bias: Float[Array, " gates"]

    def __init__(
        self,
        inputs: int,
        units: int,
        *,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Glorot weights of the inputs, orthogonal ones of the hidden state.

        Raises:
            InputError: a size is below 1.
        """
        self.weight = jnp.concatenate(_weights(key, inputs, units, 4, dtype))
        self.bias = jnp.zeros(4 * units, float_type(dtype)).at[units : 2 * units].set(1)

    @property
    def sizes(self) -> tuple[int, int]:
        units = self.bias.shape[0] // 4
        return self.weight.shape[0] - units, units

    def init(self) -> tuple[Float[Array, " units"], Float[Array, " units"]]:
        nothing = jnp.zeros(self.sizes[1], self.bias.dtype)
        return nothing, nothing

    def step(self, hidden, x):
        h, c = hidden
        gates = jnp.concatenate([x, h]) @ self.weight + self.bias
        i, f, g, o = jnp.split(gates, 4)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h


class GRU(AbstractLayer):
    """h' = (1 - z) n + z h, with n = tanh(x Wₙ + bₙ + r (h Uₙ + b)).

    The gates are r = σ(x Wᵣ + h Uᵣ + bᵣ) and z, alike. The reset gate r acts after the
    product with the hidden state, so that all products with h are one.

    Source: Cho et al. (2014, arXiv:1406.1078), in the variant of its first version that
    the usual libraries hold.
    """

    input_weight: Float[Array, "inputs gates"]
    hidden_weight: Float[Array, "units gates"]
    bias: Float[Array, " gates"]
    held_bias: Float[Array, " units"]

    def __init__(
        self,
        inputs: int,
        units: int,
        *,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Glorot weights of the inputs, orthogonal ones of the hidden state, no bias.

        Raises:
            InputError: a size is below 1.
        """
        self.input_weight, self.hidden_weight = _weights(key, inputs, units, 3, dtype)
        self.bias = jnp.zeros(3 * units, float_type(dtype))
        self.held_bias = jnp.zeros(units, float_type(dtype))

    @property
    def sizes(self) -> tuple[int, int]:
        return self.input_weight.shape[0], self.held_bias.shape[0]

    def init(self) -> Float[Array, " units"]:
        return jnp.zeros_like(self.held_bias)

    def step(self, hidden, x):
        read_r, read_z, n = jnp.split(x @ self.input_weight + self.bias, 3)
        held_r, held_z, m = jnp.split(hidden @ self.hidden_weight, 3)
        reset, keep = jax.nn.sigmoid(read_r + held_r), jax.nn.sigmoid(read_z + held_z)
        new = jnp.tanh(n + reset * (m + self.held_bias))
        hidden = new + keep * (hidden - new)
        return hidden, hidden


class Stack(AbstractLayer):
    """Layers one above the other, each reading what the one below gives."""

    layers: tuple[AbstractLayer, ...]

    def __check_init__(self):
        if not self.layers:
            raise InputError("a stack of no layers was asked for: give at least one")
        for below, above in zip(self.layers[:-1], self.layers[1:], strict=True):
            if below.sizes[1] != above.sizes[0]:
                raise InputError(
                    f"a layer gives {below.sizes[1]} numbers and the one above reads "
                    f"{above.sizes[0]}: make them equal"
                )

    @property
    def sizes(self) -> tuple[int, int]:
        return self.layers[0].sizes[0], self.layers[-1].sizes[1]

    def init(self) -> tuple[PyTree[Array], ...]:
        return tuple(layer.init() for layer in self.layers)

    def step(self, hidden, x):
        after = []
        for layer, held in zip(self.layers, hidden, strict=True):
            new, x = layer.step(held, x)
            after.append(new)
        return tuple(after), x


def stacked(
    kind: type[RNN] | type[LSTM] | type[GRU],
    inputs: int,
    units: tuple[int, ...],
    *,
    dtype: DTypeLike | None = None,
    key: PRNGKeyArray,
) -> Stack:
    """Layers of one `kind`, of so many `units` from the lowest to the highest."""
    keys = jax.random.split(key, len(units))
    reads = (inputs, *units[:-1])
    return Stack(
        tuple(
            kind(n, m, dtype=dtype, key=k)
            for n, m, k in zip(reads, units, keys, strict=True)
        )
    )


def _weights(
    key: PRNGKeyArray, inputs: int, units: int, gates: int, dtype: DTypeLike | None
) -> tuple[Float[Array, "inputs gates"], Float[Array, "units gates"]]:
    """The weights of each gate, side by side."""
    at_least(1, inputs=inputs, units=units)
    keys = jax.random.split(key, 2 * gates)
    square = jax.nn.initializers.orthogonal()
    of_x = [glorot(k, inputs, units, dtype) for k in keys[:gates]]
    of_h = [square(k, (units, units), float_type(dtype)) for k in keys[gates:]]
    return jnp.concatenate(of_x, axis=1), jnp.concatenate(of_h, axis=1)
