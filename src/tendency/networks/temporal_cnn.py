"""Causal convolutions over the recent past, and the cell that forecasts with them.

`CausalConvolutions` answers for the end of a window (`__call__`, folded) or for every
time of a series (`unfold`) with the same numbers.
"""

from collections.abc import Sequence
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Carry, Standardisation
from tendency.errors import InputError
from tendency.networks.dense import Activation, Dense, at_least, check_step
from tendency.networks.scaling import Scaling, flat_forcing


class CausalBlock(eqx.Module):
    """f(S u + f(K₂ ∗ f(K₁ ∗ u))): two dilated causal convolutions beside a shortcut.

    A convolution is a dense layer of its taps, joined. The shortcut S is the identity
    where the channels do not change.

    Source: Bai, Kolter & Koltun (2018, arXiv:1803.01271), figure 1b, without weight
    normalisation and dropout.
    """

    first: Dense
    second: Dense
    shortcut: Dense | None
    kernel: int = eqx.field(static=True)
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        channels: int,
        kernel: int,
        activation: Activation,
        *,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Glorot weights, no biases."""
        keys = jax.random.split(key, 3)
        self.first = Dense(kernel * inputs, channels, dtype=dtype, key=keys[0])
        self.second = Dense(kernel * channels, channels, dtype=dtype, key=keys[1])
        self.shortcut = None
        if inputs != channels:
            self.shortcut = Dense(inputs, channels, dtype=dtype, key=keys[2])
        self.kernel, self.activation = kernel, activation

    def __call__(
        self,
        u: Float[Array, "time inputs"],
        count: int,
        dilation: int = 1,
        stride: int = 1,
    ) -> Float[Array, "count channels"]:
        """The answers at `count` times, `stride` apart, from the earliest possible."""
        reach = (self.kernel - 1) * dilation
        middle = self._convolve(
            self.first, u, (count - 1) * stride + reach + 1, dilation
        )
        answer = self._convolve(self.second, middle, count, dilation, stride)
        carried = _every(u, 2 * reach, count, stride)
        if self.shortcut is not None:
            carried = jax.vmap(self.shortcut)(carried)
        return self.activation(carried + answer)

    def _convolve(
        self,
        dense: Dense,
        u: Float[Array, "time inputs"],
        count: int,
        dilation: int,
        stride: int = 1,
    ) -> Float[Array, "count channels"]:
        taps = [_every(u, i * dilation, count, stride) for i in range(self.kernel)]
        return self.activation(jax.vmap(dense)(jnp.concatenate(taps, axis=1)))


class CausalConvolutions(eqx.Module):
    """Blocks of growing dilation and a linear readout; reads `window` times.

    Arguments:
        inputs: channels of the series.
        outputs: numbers of the answer.
        channels: of every block.
        kernel: taps of each convolution.
        dilations: of the blocks, each a divisor of the next.
    """

    blocks: tuple[CausalBlock, ...]
    readout: Dense
    kernel: int = eqx.field(static=True)
    dilations: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        channels: int,
        *,
        kernel: int = 3,
        dilations: Sequence[int] = (1, 2, 4),
        activation: Activation = jax.nn.relu,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Glorot weights, no biases.

        Raises:
            InputError: a size is below 1, or a dilation does not divide the next.
        """
        at_least(1, inputs=inputs, outputs=outputs, channels=channels, kernel=kernel)
        dilations = tuple(dilations)
        if (
            not dilations
            or min(dilations) < 1
            or any(b % a for a, b in pairwise(dilations))
        ):
            raise InputError(
                f"the dilations are {dilations}, each was expected to divide the next: "
                "give for instance (1, 2, 4)"
            )
        first, *others = jax.random.split(key, len(dilations) + 1)
        reads = (inputs, *(channels,) * (len(dilations) - 1))
        self.blocks = tuple(
            CausalBlock(n, channels, kernel, activation, dtype=dtype, key=k)
            for n, k in zip(reads, others, strict=True)
        )
        self.readout = Dense(channels, outputs, dtype=dtype, key=first)
        self.kernel, self.dilations = kernel, dilations

    @property
    def sizes(self) -> tuple[int, int]:
        """How many numbers it reads at a time, and gives."""
        return self.blocks[0].first.weight.shape[
            0
        ] // self.kernel, self.readout.bias.size

    @property
    def window(self) -> int:
        """The times that one answer depends on."""
        return 1 + 2 * (self.kernel - 1) * sum(self.dilations)

    def __call__(
        self, series: Float[Array, "window inputs"]
    ) -> Float[Array, " outputs"]:
        """The answer at the end of a window.

        Only what it depends on is computed: each block answers at the times that the
        next one reads, which lie a dilation of the next one apart.
        """
        counts, count = [], 1
        steps = [*self.dilations, self.dilations[-1]]
        strides = [b // a for a, b in pairwise(steps)]
        for stride in reversed(strides):
            counts.append(count)
            count = (count - 1) * stride + 2 * (self.kernel - 1) + 1
        u = series[:: self.dilations[0]]
        for block, n, stride in zip(
            self.blocks, reversed(counts), strides, strict=True
        ):
            u = block(u, n, stride=stride)
        return self.readout(u[0])

    def unfold(
        self, series: Float[Array, "time inputs"]
    ) -> Float[Array, "answers outputs"]:
        """The answers at the times from `window - 1` on.

        Raises:
            InputError: the series is shorter than the window.
        """
        if series.shape[0] < self.window:
            raise InputError(
                f"the series has {series.shape[0]} times and the network reads "
                f"{self.window}: give a longer one"
            )
        u = series
        for block, dilation in zip(self.blocks, self.dilations, strict=True):
            u = block(u, u.shape[0] - 2 * (self.kernel - 1) * dilation, dilation)
        return jax.vmap(self.readout)(u)


class TemporalCNN(AbstractCell):
    """x' = x + s ⊙ y, with y the answer of causal convolutions to the last states.

    They read the standardised states, then the forcing at their times. The memory holds
    the `window - 1` states before the present one, oldest first, each followed by its
    forcing, in their units; a cold start repeats the state.

    Arguments:
        network: reads the state, then the forcing, and gives a state.
        dt: the time between two states [time unit of the data].
        increment_std: s [units of the state]; the state's own deviation if `None`.
    """

    network: CausalConvolutions
    scaling: Scaling
    dt: float = eqx.field(static=True)

    def __init__(
        self,
        network: CausalConvolutions,
        dt: float,
        *,
        standardisation: Standardisation | None = None,
        increment_std: Float[Array, "..."] | None = None,
        forcing_standardisation: Standardisation | None = None,
    ):
        """Statistics not given are mean zero and standard deviation one.

        Raises:
            InputError: the sizes of the network do not fit the state and the forcing,
                or those of the statistics; `dt` is impossible.
        """
        check_step(dt)
        self.network, self.dt = network, dt
        self.scaling = Scaling.of_network(
            *network.sizes,
            standardisation,
            increment_std,
            forcing_standardisation,
            dtype=network.readout.bias.dtype,
        )

    @property
    def spin_up_steps(self) -> int:
        return self.network.window - 1

    def init(self, state: Float[Array, " size"]) -> Carry:
        nothing = jnp.zeros(self.scaling.forcing_size, state.dtype)
        if self.scaling.forcing is not None:
            nothing = self.scaling.forcing.mean.value.astype(state.dtype)
        row = jnp.concatenate([state, nothing])
        return Carry(state, jnp.tile(row, (self.spin_up_steps, 1)))

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        row = carry.state
        if self.scaling.forcing_size:
            here = flat_forcing(forcing, self.scaling.forcing_size, row.dtype)
            row = jnp.concatenate([row, here])
        rows = jnp.concatenate([carry.memory, row[None]])
        y = self.network(jax.vmap(self._inputs)(rows))
        return Carry(self.scaling.after(carry.state, y, increments=True), rows[1:])

    def _inputs(self, row: Float[Array, " numbers"]) -> Float[Array, " inputs"]:
        return self.scaling.inputs(row[: self.scaling.size], row[self.scaling.size :])


def _every(
    u: Float[Array, "time channels"], start: int, count: int, stride: int
) -> Float[Array, "count channels"]:
    return u[start : start + (count - 1) * stride + 1 : stride]
