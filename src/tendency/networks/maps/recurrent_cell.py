"""The cells that forecast with recurrent layers of maps."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Carry, differs
from tendency.errors import InputError
from tendency.networks.dense import check_step
from tendency.networks.maps.frame import Frame
from tendency.networks.maps.layers import Convolution
from tendency.networks.maps.recurrent import AbstractMapLayer


class MapRecurrent(AbstractCell):
    """x' = x + s ⊙ (R ∗ h' + b) or x' = mean + std ⊙ (...), h' = F(h, z): by ConvLSTMs.

    z are the standardised maps, the mask and the maps of the forcing; the memory is the
    hidden state.

    Arguments:
        layers: a recurrent layer or a stack of them.
        readout: from what the highest gives to the channels of the state.
        frame: the grid and its statistics; `frame.output_std` is s.
        dt: the time between two states [time unit of the data].
        spin_up_steps: states to read before a forecast, so that the memory is informed.
        increments: whether an increment is learned or a value.
    """

    layers: AbstractMapLayer
    readout: Convolution
    frame: Frame
    dt: float = eqx.field(static=True)
    spin_up_steps: int = eqx.field(static=True)
    increments: bool = eqx.field(static=True)

    def __init__(
        self,
        layers: AbstractMapLayer,
        readout: Convolution,
        frame: Frame,
        dt: float,
        *,
        spin_up_steps: int,
        increments: bool = True,
    ):
        """All as said above.

        Raises:
            InputError: the layers do not fit the frame or the readout; `dt` or
                `spin_up_steps` is impossible.
        """
        check_step(dt, spin_up_steps)
        check_layers(layers, readout, frame)
        self.layers, self.readout, self.frame = layers, readout, frame
        self.dt, self.spin_up_steps = dt, spin_up_steps
        self.increments = increments

    def init(self, state: Float[Array, "*state"]) -> Carry:
        return Carry(state, self.layers.init(self.frame.grid, self.frame.dtype))

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        x, _ = self.frame.inputs(carry.state[None], forcing)
        hidden, y = self.layers.step(carry.memory, x, self.frame.land)
        y = self.readout(y, self.frame.land)
        return Carry(self.frame.after(carry.state, y, self.increments), hidden)


class EncoderForecaster(AbstractCell):
    """One stack of layers reads each state that is inserted, another tells on.

    As `EncoderDecoder` of vectors: a state that is not the cell's own last prediction
    was inserted, and the forecasting layers restart from the hidden state of those that
    encode. The memory holds both and the last prediction.

    Arguments:
        encoder: layers as many, of the kind and of the sizes of the forecaster's.
        forecaster: the layers that tell on.
        readout, frame, dt, increments: as of `MapRecurrent`.
        spin_up_steps: states that are read before a forecast, less one.

    Source: Shi et al. (2015, arXiv:1506.04214), figure 3.
    """

    encoder: AbstractMapLayer
    forecaster: AbstractMapLayer
    readout: Convolution
    frame: Frame
    dt: float = eqx.field(static=True)
    spin_up_steps: int = eqx.field(static=True)
    increments: bool = eqx.field(static=True)

    def __init__(
        self,
        encoder: AbstractMapLayer,
        forecaster: AbstractMapLayer,
        readout: Convolution,
        frame: Frame,
        dt: float,
        *,
        spin_up_steps: int,
        increments: bool = True,
    ):
        """All as said above.

        Raises:
            InputError: the encoder does not fit the forecaster, or the forecaster the
                frame or the readout; `dt` or `spin_up_steps` is impossible.
        """
        check_step(dt, spin_up_steps)
        check_layers(forecaster, readout, frame)
        both = [
            eqx.filter_eval_shape(layers.init, frame.grid, frame.dtype)
            for layers in (encoder, forecaster)
        ]
        if not eqx.tree_equal(*both) or encoder.sizes[0] != forecaster.sizes[0]:
            raise InputError(
                f"the encoder reads {encoder.sizes[0]} channels into {both[0]} and the "
                f"forecaster {forecaster.sizes[0]} into {both[1]}: give them layers of "
                "the same kinds and sizes"
            )
        self.encoder, self.forecaster = encoder, forecaster
        self.readout, self.frame = readout, frame
        self.dt, self.spin_up_steps = dt, spin_up_steps
        self.increments = increments

    def init(self, state: Float[Array, "*state"]) -> Carry:
        shape = (self.frame.grid, self.frame.dtype)
        known = jnp.where(jnp.isfinite(state), state, 0)
        std = self.frame.state.std.value.astype(state.dtype)
        elsewhere = known + jnp.abs(known) + std  # so that the first step reads `state`
        return Carry(
            state, (self.encoder.init(*shape), self.forecaster.init(*shape), elsewhere)
        )

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        read, told, predicted = carry.memory
        x, _ = self.frame.inputs(carry.state[None], forcing)
        land = self.frame.land
        std = self.frame.state.std.value.astype(carry.state.dtype)
        inserted = differs(carry.state, predicted, std)

        def choose(new: Any, old: Any) -> Any:
            return jax.tree.map(lambda a, b: jnp.where(inserted, a, b), new, old)

        read = choose(self.encoder.step(read, x, land)[0], read)
        told, y = self.forecaster.step(choose(read, told), x, land)
        y = self.readout(y, land)
        new = self.frame.after(carry.state, y, self.increments)
        return Carry(new, (read, told, new))


def check_layers(
    layers: AbstractMapLayer, readout: Convolution, frame: Frame, states: int = 1
) -> None:
    """Whether layers and readout read and give what the frame holds of so many states.

    Raises:
        InputError: they do not, or the frame has numbers that they cannot read.
    """
    if frame.conditions:
        raise InputError(
            f"the frame holds {frame.conditions} numbers beside the maps, which "
            "recurrent layers of maps do not read: give them as maps of one value"
        )
    reads, gives = layers.sizes
    out, into = readout.kernel.shape[:2]
    wanted = frame.reads(states)
    if (reads, gives, out) != (wanted, into, frame.shape[0]):
        raise InputError(
            f"the layers read {reads} channels and give {gives}, the readout reads "
            f"{into} and gives {out}; {frame.reads()} ({frame.shape[0]} variables, the "
            f"mask, {frame.forcing_maps} maps of forcing) and {frame.shape[0]} were "
            "expected: build them with these sizes"
        )
