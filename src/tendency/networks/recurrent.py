"""Recurrent networks: the five forms of their use, and the cell that forecasts.

`Recurrent` is a stack of layers with a readout. Folded (`step`) and unfolded (`scan`)
it gives the same numbers.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Carry, Standardisation
from tendency.errors import InputError
from tendency.networks.dense import Activation, Dense, check_step
from tendency.networks.layers import AbstractLayer, Stack
from tendency.networks.scaling import Scaling


class Recurrent(eqx.Module):
    """h' = F(h, x), y = g(h W + b): recurrent layers and a readout of the highest.

    With one `RNN` layer it is the network of the lecture, h' = f(Wₕₕ h + Wₓₕ x) and
    y = g(Wₕᵧ h).
    """

    stack: Stack
    readout: Dense
    activation: Activation | None = eqx.field(static=True)

    def __init__(
        self,
        layers: AbstractLayer | Sequence[AbstractLayer],
        outputs: int,
        *,
        activation: Activation | None = None,
        key: PRNGKeyArray,
    ):
        """A readout with Glorot weights above `layers`; `activation` is g.

        Raises:
            InputError: the sizes of the layers do not fit, or `outputs` is below 1.
        """
        if isinstance(layers, AbstractLayer):
            layers = layers.layers if isinstance(layers, Stack) else (layers,)
        self.stack = Stack(tuple(layers))
        dtype = jax.tree.leaves(self.stack.init())[-1].dtype
        self.readout = Dense(self.stack.sizes[1], outputs, dtype=dtype, key=key)
        self.activation = activation

    @property
    def sizes(self) -> tuple[int, int]:
        """How many numbers it reads and gives."""
        return self.stack.sizes[0], self.readout.bias.shape[0]

    def init(self) -> PyTree[Array]:
        """The hidden state before anything was read: zeros."""
        return self.stack.init()

    def step(
        self, hidden: PyTree[Array], x: Float[Array, " inputs"]
    ) -> tuple[PyTree[Array], Float[Array, " outputs"]]:
        """Folded: the hidden state after reading x, and y."""
        hidden, h = self.stack.step(hidden, x)
        return hidden, self.read_out(h)

    def scan(
        self, hidden: PyTree[Array], xs: Float[Array, "time inputs"]
    ) -> tuple[PyTree[Array], Float[Array, "time outputs"]]:
        """Unfolded: the hidden state after reading the series, and y at each time."""
        hidden, hs = self.stack.scan(hidden, xs)
        return hidden, jax.vmap(self.read_out)(hs)

    def read_out(self, h: Float[Array, " units"]) -> Float[Array, " outputs"]:
        """The answer y from what the highest layer gives."""
        y = self.readout(h)
        return y if self.activation is None else self.activation(y)


def one_to_one(
    network: Recurrent, x: Float[Array, " inputs"]
) -> Float[Array, " outputs"]:
    """The answer to x alone: a network without a past."""
    return network.step(network.init(), x)[1]


def one_to_many(
    network: Recurrent,
    x: Float[Array, " size"],
    steps: int,
    hidden: PyTree[Array] = None,
) -> Float[Array, "steps size"]:
    """What the network tells from x: each y is the next x.

    Arguments:
        hidden: the hidden state to begin with; `None` for that of `network.init()`.

    Raises:
        InputError: the network does not give as many numbers as it reads.
    """
    reads, gives = network.sizes
    if reads != gives:
        raise InputError(
            f"the network reads {reads} numbers and gives {gives}: they must be equal "
            "for it to read what it gave"
        )

    def tell(now, _):
        hidden, y = network.step(*now)
        return (hidden, y), y

    hidden = network.init() if hidden is None else hidden
    return jax.lax.scan(tell, (hidden, x), None, length=steps)[1]


def many_to_one(
    network: Recurrent, xs: Float[Array, "time inputs"]
) -> Float[Array, " outputs"]:
    """The answer to the whole series."""
    _, hs = network.stack.scan(network.init(), xs)
    return network.read_out(hs[-1])


def many_to_many(
    network: Recurrent, xs: Float[Array, "time inputs"]
) -> Float[Array, "time outputs"]:
    """The answer at each time of the series: aligned with it."""
    return network.scan(network.init(), xs)[1]


def encoder_decoder(
    encoder: AbstractLayer,
    decoder: Recurrent,
    xs: Float[Array, "time size"],
    steps: int,
) -> Float[Array, "steps size"]:
    """The encoder reads the series, the decoder tells on from its last value.

    The decoder starts with the hidden state that the encoder ends with, so that they
    must have layers of the same kind and size.

    Source: Sutskever, Vinyals & Le (2014, arXiv:1409.3215).

    Raises:
        InputError: the decoder does not give as many numbers as it reads.
    """
    hidden, _ = encoder.scan(encoder.init(), xs)
    return one_to_many(decoder, xs[-1], steps, hidden)


class RecurrentCell(AbstractCell):
    """x' = x + s ⊙ y or x' = mean + std ⊙ y, with y the answer to [z, forcing].

    z is the standardised state, and the memory is the network's hidden state. What is
    learned is an increment, of a size s of its own, or (`increments=False`) a value.

    Arguments:
        network: reads the state, then the forcing, and gives a state.
        dt: the time between two states [time unit of the data].
        spin_up_steps: states to read before a forecast, so that the memory is informed.
        increment_std: s [units of the state]; the state's own deviation if `None`.
        increments: whether y is an increment or a value.
    """

    network: Recurrent
    scaling: Scaling
    dt: float = eqx.field(static=True)
    spin_up_steps: int = eqx.field(static=True)
    increments: bool = eqx.field(static=True)

    def __init__(
        self,
        network: Recurrent,
        dt: float,
        *,
        spin_up_steps: int,
        standardisation: Standardisation | None = None,
        increment_std: Float[Array, "..."] | None = None,
        increments: bool = True,
        forcing_standardisation: Standardisation | None = None,
    ):
        """Statistics not given are mean zero and standard deviation one.

        Raises:
            InputError: the sizes of the network do not fit the state and the forcing,
                or those of the statistics; `dt` or `spin_up_steps` is impossible.
        """
        check_step(dt, spin_up_steps)
        self.network = network
        self.scaling = Scaling.of_network(
            *network.sizes,
            standardisation,
            increment_std,
            forcing_standardisation,
            dtype=network.readout.bias.dtype,
        )
        self.dt, self.spin_up_steps, self.increments = dt, spin_up_steps, increments

    def init(self, state: Float[Array, " size"]) -> Carry:
        return Carry(state, self.network.init())

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        x = self.scaling.inputs(carry.state, forcing)
        hidden, y = self.network.step(carry.memory, x)
        return Carry(self.scaling.after(carry.state, y, self.increments), hidden)
