"""The cell that forecasts with a network from maps to maps."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Carry
from tendency.errors import InputError
from tendency.networks.dense import at_least, check_step
from tendency.networks.maps.frame import Frame
from tendency.networks.maps.network import AbstractMapNetwork


class MapStepper(AbstractCell):
    """x' = x + s ⊙ N(z, z₋₁, ...) or x' = mean + std ⊙ N: a step by any map network.

    z are the standardised maps of the last `lags` states. The memory holds the states
    before the present one, oldest first; a cold start repeats the state. A network
    whose last layer begins at zero is persistence before its fit.

    Arguments:
        network: from the channels that the frame reads to those of the state.
        frame: the grid and its statistics; `frame.output_std` is s.
        dt: the time between two states [time unit of the data].
        lags: the states that are read.
        increments: whether the network gives an increment or a value.
        noise: maps of white noise that the network reads after the others, drawn from
            the key of the step, zero without one: what it makes of them is a model
            error, learned by `tendency.fitting.EnsembleLoss`.
    """

    network: AbstractMapNetwork
    frame: Frame
    dt: float = eqx.field(static=True)
    lags: int = eqx.field(static=True)
    increments: bool = eqx.field(static=True)
    noise: int = eqx.field(static=True)  # [maps]

    def __init__(
        self,
        network: AbstractMapNetwork,
        frame: Frame,
        dt: float,
        *,
        lags: int = 1,
        increments: bool = True,
        noise: int = 0,
    ):
        """All as said above.

        Raises:
            InputError: the network does not fit the frame; `dt`, `lags` or `noise` is
                impossible.
        """
        check_step(dt)
        at_least(1, lags=lags)
        at_least(0, noise=noise)
        check_network(network.sizes, network.conditions, frame, lags, noise)
        self.network, self.frame, self.dt = network, frame, dt
        self.lags, self.increments, self.noise = lags, increments, noise

    @property
    def spin_up_steps(self) -> int:
        return self.lags - 1

    def init(self, state: Float[Array, "*state"]) -> Carry:
        past = self.lags - 1
        return Carry(state, jnp.stack([state] * past) if past else None)

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        states = carry.state[None]
        if carry.memory is not None:
            states = jnp.concatenate([carry.memory, states])
        x, condition = self.frame.inputs(states, forcing)
        if self.noise:
            drawn = jnp.zeros((self.noise, *self.frame.grid), x.dtype)
            if key is not None:
                drawn = jax.random.normal(key, drawn.shape, x.dtype) * self.frame.land
            x = jnp.concatenate([x, drawn])
        y = self.network(x, self.frame.land, condition)
        new = self.frame.after(carry.state, y, self.increments)
        return Carry(new, None if carry.memory is None else states[1:])


def check_network(
    sizes: tuple[int, int],
    conditions: int,
    frame: Frame,
    lags: int = 1,
    noise: int = 0,
) -> None:
    """Whether a network reads and gives what the frame holds.

    Raises:
        InputError: it does not.
    """
    wanted = (frame.reads(lags) + noise, frame.shape[0])
    beside = f", {noise} of noise" if noise else ""
    if sizes != wanted or conditions != frame.conditions:
        raise InputError(
            f"the network reads {sizes[0]} channels and {conditions} numbers and gives "
            f"{sizes[1]} channels; {wanted[0]} ({lags} x {frame.shape[0]} variables, "
            f"the mask, {frame.forcing_maps} maps of forcing{beside}), "
            f"{frame.conditions} and {wanted[1]} were expected: build it with these "
            "sizes"
        )
