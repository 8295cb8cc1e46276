"""The cells that correct another by a network: physics, advection or a regression."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Carry
from tendency.networks.dense import at_least
from tendency.networks.maps.frame import Frame, Maps
from tendency.networks.maps.layers import Convolution
from tendency.networks.maps.network import AbstractMapNetwork
from tendency.networks.maps.recurrent import AbstractMapLayer
from tendency.networks.maps.recurrent_cell import check_layers
from tendency.networks.maps.stepper import check_network


class MapCorrector(AbstractCell):
    """x' = f(x) + s ⊙ N(z, z₋₁, ..., z(f(x))): any cell f, and a network beside it.

    The network reads the standardised maps of the last `lags` states, then those of
    what the cell predicts. One whose last layer begins at zero leaves the cell as it is
    before its fit. The forcing is for both.

    Arguments:
        cell: what is corrected; its state has the grid of the frame.
        network: from the channels that the frame reads of `lags` + 1 states to those of
            the state.
        frame: the grid and its statistics; `frame.output_std` is s.
        lags: the states that the network reads beside the prediction.
    """

    cell: AbstractCell
    network: AbstractMapNetwork
    frame: Frame
    lags: int = eqx.field(static=True)

    def __init__(
        self,
        cell: AbstractCell,
        network: AbstractMapNetwork,
        frame: Frame,
        *,
        lags: int = 1,
    ):
        """All as said above.

        Raises:
            InputError: the network does not fit the frame, or `lags` is below 1.
        """
        at_least(1, lags=lags)
        check_network(network.sizes, network.conditions, frame, lags + 1)
        self.cell, self.network, self.frame, self.lags = cell, network, frame, lags

    @property
    def dt(self) -> float:
        return self.cell.dt

    @property
    def spin_up_steps(self) -> int:
        return max(self.cell.spin_up_steps, self.lags - 1)

    def init(self, state: Float[Array, "*state"]) -> Carry:
        past = self.lags - 1
        before = jnp.stack([state] * past) if past else None
        return Carry(state, (self.cell.init(state).memory, before))

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        new, states, x, condition = self.read(carry, forcing, key=key)
        y = self.network(x, self.frame.land, condition)
        state = self.frame.after(new.state, y, increments=True)
        before = None if carry.memory[1] is None else states[1:]
        return Carry(state, (new.memory, before))

    def read(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> tuple[Carry, Float[Array, "lags *state"], Maps, Array | None]:
        """What the cell predicts, the last states, and what the network reads of both.

        The last are its maps and its condition.
        """
        memory, before = carry.memory
        states = carry.state[None]
        if before is not None:
            states = jnp.concatenate([before, states])
        new = self.cell.step(Carry(carry.state, memory), forcing, key=key)
        reads = jnp.concatenate([states, new.state[None]])
        return new, states, *self.frame.inputs(reads, forcing)


class RecurrentCorrector(AbstractCell):
    """x' = f(x) + s ⊙ (R ∗ h' + b), h' = F(h, z, z(f(x))): recurrent layers beside f.

    The layers read the standardised maps of the state, then those of what the cell
    predicts; their hidden state remembers what the cell got wrong before. A readout of
    zeros leaves the cell as it is. The forcing is for both.

    Arguments:
        cell: what is corrected; its state has the grid of the frame.
        layers: a recurrent layer or a stack of them, which reads what the frame reads
            of two states.
        readout: from what the highest gives to the channels of the state.
        frame: the grid and its statistics; `frame.output_std` is s.
        spin_up_steps: states to read before a forecast; those of the cell, if more.
    """

    cell: AbstractCell
    layers: AbstractMapLayer
    readout: Convolution
    frame: Frame
    spin_up_steps: int = eqx.field(static=True)

    def __init__(
        self,
        cell: AbstractCell,
        layers: AbstractMapLayer,
        readout: Convolution,
        frame: Frame,
        *,
        spin_up_steps: int,
    ):
        """All as said above.

        Raises:
            InputError: layers, readout and frame do not fit, or `spin_up_steps` is
                negative.
        """
        at_least(0, spin_up_steps=spin_up_steps)
        check_layers(layers, readout, frame, 2)
        self.cell, self.layers, self.readout, self.frame = cell, layers, readout, frame
        self.spin_up_steps = max(cell.spin_up_steps, spin_up_steps)

    @property
    def dt(self) -> float:
        return self.cell.dt

    def init(self, state: Float[Array, "*state"]) -> Carry:
        hidden = self.layers.init(self.frame.grid, self.frame.dtype)
        return Carry(state, (self.cell.init(state).memory, hidden))

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        memory, hidden = carry.memory
        new = self.cell.step(Carry(carry.state, memory), forcing, key=key)
        x, _ = self.frame.inputs(jnp.stack([carry.state, new.state]), forcing)
        hidden, y = self.layers.step(hidden, x, self.frame.land)
        y = self.readout(y, self.frame.land)
        return Carry(self.frame.after(new.state, y, True), (new.memory, hidden))
