"""A cell of two transformers: one reads what is observed, one runs free."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, DTypeLike, Float, Int, PRNGKeyArray, PyTree

from tendency.cell import AbstractParallelCell, Carry, Standardisation, differs
from tendency.networks.attention.multi_head import KeysValues
from tendency.networks.attention.positions import sinusoidal
from tendency.networks.attention.stacks import Decoder, Encoder, nothing_held
from tendency.networks.dense import Activation, Dense, at_least, check_step
from tendency.networks.scaling import Scaling


class Read(eqx.Module):
    """What such a cell remembers: the inputs read, and what was told since."""

    rows: Float[Array, "window inputs"]  # observed, the latest last
    count: Int[Array, ""]  # of them
    memory: tuple[KeysValues, ...]  # of the encoded rows, by block of the decoder
    own: tuple[KeysValues, ...]  # of what was told, by block
    told: Int[Array, ""]
    predicted: Float[Array, " size"]


class EncoderDecoderTransformer(AbstractParallelCell):
    """The encoder reads the last inserted states at once, the decoder tells on.

    A state that is not the cell's own last prediction was inserted (spin-up, teacher
    forcing, an analysis, a perturbation): the encoder reads the last `window` of them
    and the decoder starts anew, its first token the latest; otherwise the decoder goes
    on, one token a step, which reads what was encoded and the last `window` told.

    Both read the standardised state, then the forcing. The next state is x' = x + s ⊙ y
    or x' = mean + std ⊙ y, y linear in what the decoder makes of its token, zero before
    the fit. In a batch the encoder is computed at every step, since one member may have
    been inserted where another was not; without a batch only where one was.

    Arguments:
        size: numbers of a token.
        state_size, forcing_size: numbers of a state and of a forcing.
        window: states that are read, and told ones that are remembered.
        depth: blocks of each.
        others: as of `CausalTransformer` and `TransformerCell`.

    Source: Vaswani et al. (2017, arXiv:1706.03762).
    """

    embedding: Dense
    encoder: Encoder
    decoder: Decoder
    readout: Dense
    scaling: Scaling
    dt: float = eqx.field(static=True)
    window: int = eqx.field(static=True)
    increments: bool = eqx.field(static=True)

    def __init__(
        self,
        state_size: int,
        dt: float,
        *,
        window: int,
        forcing_size: int = 0,
        size: int = 64,
        heads: int = 4,
        depth: int = 2,
        hidden: int | None = None,
        activation: Activation = jax.nn.gelu,
        standardisation: Standardisation | None = None,
        increment_std: Float[Array, "..."] | None = None,
        increments: bool = True,
        forcing_standardisation: Standardisation | None = None,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Glorot weights but for the readout; statistics are 0 and 1 by default.

        Raises:
            InputError: a size, `dt` or the statistics are impossible.
        """
        check_step(dt)
        at_least(1, window=window, state_size=state_size)
        at_least(0, forcing_size=forcing_size)
        one, two, three = jax.random.split(key, 3)
        inputs = state_size + forcing_size
        like = {"hidden": hidden, "activation": activation, "dtype": dtype}
        self.embedding = Dense(inputs, size, dtype=dtype, key=one)
        self.encoder = Encoder(size, heads, depth, **like, key=two)
        self.decoder = Decoder(size, heads, depth, reads=size, **like, key=three)
        readout = Dense(size, state_size, dtype=dtype, key=one)
        self.readout = eqx.tree_at(
            lambda d: d.weight, readout, replace_fn=jnp.zeros_like
        )
        self.scaling = Scaling.of_network(
            inputs,
            state_size,
            standardisation,
            increment_std,
            forcing_standardisation,
            dtype=self.readout.bias.dtype,
        )
        self.dt, self.window, self.increments = dt, window, increments

    @property
    def spin_up_steps(self) -> int:
        return self.window - 1

    def init(self, state: Float[Array, " size"]) -> Carry:
        std = self.scaling.state.std.value.astype(state.dtype)
        elsewhere = state + jnp.abs(state) + std  # so that the first step reads `state`
        inputs, dtype = self.embedding.weight.shape[0], self.embedding.bias.dtype
        own = tuple(nothing_held(b, self.window) for b in self.decoder.blocks)
        none = jnp.zeros((), jnp.int32)
        rows = jnp.zeros((self.window, inputs), dtype)
        return Carry(state, Read(rows, none, own, own, none, elsewhere))

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        held: Read = carry.memory
        x = self.scaling.inputs(carry.state, forcing)
        std = self.scaling.state.std.value.astype(carry.state.dtype)
        inserted = differs(carry.state, held.predicted, std)
        held = jax.lax.cond(inserted, lambda: self._reading(held, x), lambda: held)
        held, y = self._telling(held, x)
        new = self.scaling.after(carry.state, y, self.increments)
        return Carry(new, eqx.tree_at(lambda h: h.predicted, held, new))

    def unfold(
        self,
        states: Float[Array, "time size"],
        forcing: PyTree = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> tuple[Read, Float[Array, "time size"]]:
        """Each time is read with those before it, as if all had been inserted."""
        xs = jax.vmap(self.scaling.inputs)(states, forcing)
        times = xs.shape[0]
        blank = self.init(states[0]).memory

        def one(last):
            back = jnp.arange(self.window, dtype=jnp.int32)[::-1]
            rows = xs[jnp.maximum(last - back, 0)]
            rows = jnp.where((back <= last)[:, None], rows, 0)
            count = jnp.minimum(last + 1, self.window)
            read = eqx.tree_at(lambda h: (h.rows, h.count), blank, (rows, count))
            held, y = self._telling(self._encoded(read), rows[-1])
            new = self.scaling.after(states[last], y, self.increments)
            return eqx.tree_at(lambda h: h.predicted, held, new), new

        _, told = jax.vmap(one)(jnp.arange(times, dtype=jnp.int32))
        return one(jnp.asarray(times - 1, jnp.int32))[0], told

    def _reading(self, held: Read, x: Float[Array, " inputs"]) -> Read:
        """With one more row; the decoder is to start anew."""
        rows = jnp.concatenate([held.rows[1:], x[None]])
        count = jnp.minimum(held.count + 1, self.window)
        read = eqx.tree_at(lambda h: (h.rows, h.count), held, (rows, count))
        return self._encoded(read)

    def _encoded(self, held: Read) -> Read:
        tokens = jax.vmap(self.embedding)(held.rows)
        places = jnp.arange(self.window)
        tokens = tokens + sinusoidal(places, tokens.shape[1], tokens.dtype)
        memory = self.decoder.remember(self.encoder(tokens, self._seen(held)))
        assert memory is not None
        none = jnp.zeros((), jnp.int32)
        return eqx.tree_at(lambda h: (h.memory, h.told), held, (memory, none))

    def _telling(
        self, held: Read, x: Float[Array, " inputs"]
    ) -> tuple[Read, Float[Array, " size"]]:
        """What is remembered after one token more, and y."""
        told = jnp.minimum(held.told + 1, self.window)
        places = jnp.arange(self.window, dtype=jnp.int32)
        own, answer = self.decoder.push(
            held.own,
            self.embedding(x),
            told,
            held.memory,
            self._seen(held),
            positions=(places[-1:], places),
        )
        held = eqx.tree_at(lambda h: (h.own, h.told), held, (own, told))
        return held, self.readout(answer)

    def _seen(self, held: Read) -> Bool[Array, " window"]:
        return jnp.arange(self.window, dtype=jnp.int32)[::-1] < held.count
