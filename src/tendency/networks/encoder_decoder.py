"""A cell of two recurrent networks: one reads what is observed, one runs free."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Carry, Standardisation, differs
from tendency.errors import InputError
from tendency.networks.dense import check_step
from tendency.networks.layers import AbstractLayer
from tendency.networks.recurrent import Recurrent
from tendency.networks.scaling import Scaling


class EncoderDecoder(AbstractCell):
    """The encoder reads each state that is inserted, the decoder tells on from there.

    A state that is not the cell's own last prediction was inserted (spin-up, teacher
    forcing, an analysis, a perturbation): the encoder reads it and the decoder restarts
    from the encoder's hidden state; otherwise the decoder goes on from what it told.

    Both read the standardised state z, then the forcing. The next state is
    x' = x + s ⊙ y or x' = mean + std ⊙ y, as of `RecurrentCell`. The memory holds both
    hidden states and the last prediction, which a difference within rounding keeps.

    Arguments:
        encoder: layers as many, of the kind and of the sizes of the decoder's.
        decoder: gives as many numbers as the state has.
        dt: the time between two states [time unit of the data].
        spin_up_steps: states that the encoder reads before a forecast, less one.
        increment_std: s [units of the state]; the state's own deviation if `None`.
        increments: whether y is an increment or a value.

    Source: Sutskever, Vinyals & Le (2014, arXiv:1409.3215).
    """

    encoder: AbstractLayer
    decoder: Recurrent
    scaling: Scaling
    dt: float = eqx.field(static=True)
    spin_up_steps: int = eqx.field(static=True)
    increments: bool = eqx.field(static=True)

    def __init__(
        self,
        encoder: AbstractLayer,
        decoder: Recurrent,
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
            InputError: the encoder does not fit the decoder, the decoder not the state
                and the forcing; `dt` or `spin_up_steps` is impossible.
        """
        check_step(dt, spin_up_steps)
        hidden, expected = eqx.filter_eval_shape(
            lambda: (encoder.init(), decoder.init())
        )
        if not eqx.tree_equal(hidden, expected) or encoder.sizes[0] != decoder.sizes[0]:
            raise InputError(
                f"the encoder reads {encoder.sizes[0]} numbers into {hidden} and the "
                f"decoder {decoder.sizes[0]} into {expected}: give them layers of the "
                "same kinds and sizes"
            )
        self.encoder, self.decoder = encoder, decoder
        self.scaling = Scaling.of_network(
            *decoder.sizes,
            standardisation,
            increment_std,
            forcing_standardisation,
            dtype=decoder.readout.bias.dtype,
        )
        self.dt, self.spin_up_steps, self.increments = dt, spin_up_steps, increments

    def init(self, state: Float[Array, " size"]) -> Carry:
        std = self.scaling.state.std.value.astype(state.dtype)
        elsewhere = state + jnp.abs(state) + std  # so that the first step reads `state`
        return Carry(state, (self.encoder.init(), self.decoder.init(), elsewhere))

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        read, told, predicted = carry.memory
        x = self.scaling.inputs(carry.state, forcing)
        std = self.scaling.state.std.value.astype(carry.state.dtype)
        inserted = differs(carry.state, predicted, std)

        def choose(new, old):
            return jax.tree.map(lambda a, b: jnp.where(inserted, a, b), new, old)

        read = choose(self.encoder.step(read, x)[0], read)
        told, y = self.decoder.step(choose(read, told), x)
        new = self.scaling.after(carry.state, y, self.increments)
        return Carry(new, (read, told, new))
