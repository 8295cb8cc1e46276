"""Attention over the recent past of a series, and the cell that forecasts with it.

`CausalTransformer` answers step by step, with the keys and values of the last `window`
times remembered, or for all times of a series at once (`unfold`), with the same
numbers.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, Int, PRNGKeyArray, PyTree

from tendency.cell import AbstractParallelCell, Carry, Standardisation
from tendency.errors import InputError
from tendency.networks.attention.blocks import Tokens, dropped
from tendency.networks.attention.multi_head import Bias, KeysValues, causal
from tendency.networks.attention.stacks import Decoder, nothing_held
from tendency.networks.dense import Activation, Dense, at_least, check_step
from tendency.networks.scaling import Scaling

_POSITIONS = ("rotary", "learned")


class Held(eqx.Module):
    """What is remembered of the last times, the latest last: keys and values by block.

    `forcing` holds those of the forcing, where it is read by cross-attention.
    """

    own: tuple[KeysValues, ...]
    forcing: tuple[KeysValues, ...] | None
    count: Int[Array, ""]  # times that were read, `window` at most


class CausalTransformer(eqx.Module):
    """y = R D(E x): each time reads those before it, `window` in all.

    A time is told by its distance, by rotary positions or by a number learned for each
    head and distance, so that the network may go on for ever.

    Arguments:
        inputs: numbers of a time: of the state, then of the forcing.
        outputs: numbers of the answer.
        window: times that each block reads, its own among them.
        size: numbers of a token.
        heads: of the attention.
        depth: blocks.
        hidden: numbers between the two products of a block; 4 `size` by default.
        cross: the last so many inputs, the forcing, are read by cross-attention to the
            forcing of the last `window` times in place of being joined with the state.
        positions: how distances are told: `rotary` or `learned`.
        dropout: share of the numbers left out in `unfold` with a key, and only there:
            a forecast never drops.

    Source: Vaswani et al. (2017, arXiv:1706.03762), the decoder; Radford et al. (2019)
    for the decoder alone.
    """

    embedding: Dense
    of_forcing: Dense | None
    decoder: Decoder
    readout: Dense
    bias: Float[Array, "heads window"] | None  # by distance
    window: int = eqx.field(static=True)
    cross: int = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        window: int,
        size: int = 64,
        heads: int = 4,
        depth: int = 2,
        hidden: int | None = None,
        cross: int = 0,
        positions: str = "rotary",
        dropout: float = 0.0,
        activation: Activation = jax.nn.gelu,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Glorot weights but for the readout, which begins at zero.

        Raises:
            InputError: a size is impossible, the forcing takes all inputs, or positions
                of an unknown kind.
        """
        at_least(1, inputs=inputs, outputs=outputs, window=window)
        at_least(0, cross=cross)
        if cross >= inputs:
            raise InputError(
                f"cross takes {cross} of {inputs} inputs, fewer were expected: the "
                "state comes first, then the forcing"
            )
        if positions not in _POSITIONS:
            raise InputError(
                f"positions is {positions!r}, {' or '.join(_POSITIONS)} was expected"
            )
        one, two, three = jax.random.split(key, 3)
        self.embedding = Dense(inputs - cross, size, dtype=dtype, key=one)
        self.of_forcing = Dense(cross, size, dtype=dtype, key=two) if cross else None
        self.decoder = Decoder(
            size,
            heads,
            depth,
            hidden=hidden,
            reads=size if cross else None,
            dropout=dropout,
            activation=activation,
            dtype=dtype,
            key=three,
        )
        readout = Dense(size, outputs, dtype=dtype, key=one)
        self.readout = eqx.tree_at(
            lambda d: d.weight, readout, replace_fn=jnp.zeros_like
        )
        self.bias = None
        if positions == "learned":
            self.bias = jnp.zeros((heads, window), self.readout.bias.dtype)
        self.window, self.cross = window, cross

    @property
    def sizes(self) -> tuple[int, int]:
        """How many numbers it reads at a time, and gives."""
        reads = self.embedding.weight.shape[0] + self.cross
        return reads, self.readout.bias.shape[0]

    def init(self) -> Held:
        """Nothing read yet."""
        own = tuple(nothing_held(b, self.window) for b in self.decoder.blocks)
        return Held(own, own if self.cross else None, jnp.zeros((), jnp.int32))

    def step(
        self, held: Held, x: Float[Array, " inputs"]
    ) -> tuple[Held, Float[Array, " outputs"]]:
        """Folded: what is remembered after reading x, and y."""
        token, given = self._embedded(x[None])
        count = jnp.minimum(held.count + 1, self.window)
        places = jnp.arange(self.window, dtype=jnp.int32)
        bias = None if self.bias is None else self.bias[:, None, ::-1]
        turns, of_forcing = (places[-1:], places), None
        if given is not None and held.forcing is not None:
            new = self.decoder.remember(given) or ()
            pairs = zip(held.forcing, new, strict=True)
            of_forcing = tuple(old.pushed(one) for old, one in pairs)
        own, answer = self.decoder.push(
            held.own,
            token[0],
            count,
            of_forcing,
            places[::-1] < count,
            bias=bias,
            positions=turns if self.bias is None else None,
            memory_positions=turns,
        )
        return Held(own, of_forcing, count), self.readout(answer)

    def unfold(
        self, xs: Float[Array, "time inputs"], *, key: PRNGKeyArray | None = None
    ) -> tuple[Held, Float[Array, "time outputs"]]:
        """Unfolded: what is remembered after the series, and y at each time."""
        times, tokens_key = xs.shape[0], None
        if key is not None:
            key, tokens_key = jax.random.split(key)
        tokens, given = self._embedded(xs)
        rate, among = self.decoder.blocks[0].dropout, self._among(times, given)
        own, answers = self.decoder.unfold(
            dropped(tokens, rate, tokens_key), **among, key=key
        )
        memory = among["memory"]
        of_forcing = None if memory is None else self._latest(memory)
        count = jnp.asarray(min(times, self.window), jnp.int32)
        held = Held(self._latest(own), of_forcing, count)
        return held, jax.vmap(self.readout)(answers)

    def attention(
        self, xs: Float[Array, "time inputs"]
    ) -> Float[Array, "depth heads time source"]:
        """How much each time reads of each, block by block: what a page shows."""
        tokens, given = self._embedded(xs)
        among, weights = self._among(xs.shape[0], given), []
        memory = among.pop("memory") or (None,) * len(self.decoder.blocks)
        for block, of_memory in zip(self.decoder.blocks, memory, strict=True):
            weights.append(
                block.own.weights(
                    jax.vmap(block.own_norm)(tokens),
                    block.remember(tokens),
                    among["mask"],
                    bias=among["bias"],
                    positions=among["positions"],
                )
            )
            tokens = block(
                tokens,
                among["mask"],
                of_memory,
                among["seen"],
                bias=among["bias"],
                positions=among["positions"],
                memory_positions=among["memory_positions"],
            )
        return jnp.stack(weights)

    def _among(self, times: int, given: Tokens | None) -> dict[str, Any]:
        """Which times each may read, and how far apart they are."""
        places, mask = jnp.arange(times, dtype=jnp.int32), causal(times, self.window)
        turns = (places, places)
        return {
            "mask": mask,
            "memory": self.decoder.remember(given),
            "seen": mask,
            "bias": self._bias(times),
            "positions": turns if self.bias is None else None,
            "memory_positions": turns,
        }

    def _embedded(self, xs):
        """The tokens of the states, and of the forcing where it is read apart."""
        if self.of_forcing is None:
            return jax.vmap(self.embedding)(xs), None
        states, forcing = jnp.split(xs, [xs.shape[1] - self.cross], axis=1)
        return jax.vmap(self.embedding)(states), jax.vmap(self.of_forcing)(forcing)

    def _bias(self, times: int) -> Bias | None:
        if self.bias is None:
            return None
        age = jnp.arange(times)[:, None] - jnp.arange(times)[None]
        return self.bias[:, jnp.clip(age, 0, self.window - 1)]

    def _latest(self, held: tuple[KeysValues, ...]) -> tuple[KeysValues, ...]:
        """Of the last `window` times, zeros before the first."""

        def cut(a):
            missing = max(0, self.window - a.shape[0])
            padded = jnp.pad(a, ((missing, 0), *((0, 0),) * (a.ndim - 1)))
            return padded[padded.shape[0] - self.window :]

        return jax.tree.map(cut, held)


class TransformerCell(AbstractParallelCell):
    """x' = x + s ⊙ y or x' = mean + std ⊙ y, y the answer of a `CausalTransformer`.

    It reads the standardised states, then the forcing at their times. The memory holds
    keys and values of the last `window` times, so that each step of a forecast costs
    one token; an ensemble filter recombines them as it does the rest of the carry.

    Arguments:
        network: reads the state, then the forcing, and gives a state.
        dt: the time between two states [time unit of the data].
        increment_std: s [units of the state]; the state's own deviation if `None`.
        increments: whether y is an increment or a value.
    """

    network: CausalTransformer
    scaling: Scaling
    dt: float = eqx.field(static=True)
    increments: bool = eqx.field(static=True)

    def __init__(
        self,
        network: CausalTransformer,
        dt: float,
        *,
        standardisation: Standardisation | None = None,
        increment_std: Float[Array, "..."] | None = None,
        increments: bool = True,
        forcing_standardisation: Standardisation | None = None,
    ):
        """Statistics not given are mean zero and standard deviation one.

        Raises:
            InputError: the sizes of the network do not fit the state and the forcing,
                or those of the statistics; `dt` is impossible.
        """
        check_step(dt)
        self.network, self.dt, self.increments = network, dt, increments
        self.scaling = Scaling.of_network(
            *network.sizes,
            standardisation,
            increment_std,
            forcing_standardisation,
            dtype=network.readout.bias.dtype,
        )
        if network.cross and network.cross != self.scaling.forcing_size:
            raise InputError(
                f"the network reads {network.cross} numbers by cross-attention and the "
                f"forcing has {self.scaling.forcing_size}: let it read all of them so"
            )

    @property
    def spin_up_steps(self) -> int:
        return self.network.window - 1

    def init(self, state: Float[Array, " size"]) -> Carry:
        return Carry(state, self.network.init())

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        x = self.scaling.inputs(carry.state, forcing)
        held, y = self.network.step(carry.memory, x)
        return Carry(self.scaling.after(carry.state, y, self.increments), held)

    def unfold(
        self,
        states: Float[Array, "time size"],
        forcing: PyTree = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> tuple[Held, Float[Array, "time size"]]:
        xs = jax.vmap(self.scaling.inputs)(states, forcing)
        held, ys = self.network.unfold(xs, key=key)

        def after(state, y):
            return self.scaling.after(state, y, self.increments)

        return held, jax.vmap(after)(states, ys)
