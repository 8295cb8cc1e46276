"""Convolutions over the fields of a grid, with the same weights everywhere.

`stencil_regression` gives a `Convolutional` its linear part in closed form, from which
a fit through roll-outs goes on.
"""

import itertools
import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, DTypeLike, Float, Int, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Carry, Constant, Standardisation
from tendency.errors import InputError
from tendency.networks.dense import Activation, at_least, check_step, drawn, float_type
from tendency.networks.maps.layers import Edges


class Convolutional(AbstractCell):
    """x' = x + std ⊙ (K ∗ z + U(C ∗ D z) + M A z + N(z)), z past fields and a mask.

    The state is the vector of a grid's valid points; z is its standardised form on the
    grid, zero where there is no point, and the mask tells where that is. The stencil K
    is a linear regression of the increment on a neighbourhood, whose few weights serve
    every point: it learns from a short record where a regression on the whole field
    cannot. C is another on the means D z of square blocks, interpolated back (U) to the
    grid: it sees what comes from far, as weather does. M is a third, on the means A z
    over the square around each point: few weights, so that many lags may have them. The
    network N, convolutions with an activation between them, adds what is not linear.

    The numbers of the convolutions have the type of the weights, the state keeps its
    own. All that the step adds starts at zero: an unfitted model is persistence.
    """

    stencil: Float[Array, "out in row column"]  # K
    offset: Float[Array, " out"]
    coarse_stencil: Float[Array, "out in row column"] | None  # C
    around_stencil: Float[Array, "out in"] | None  # M
    kernels: tuple[Float[Array, "out in row column"], ...]  # of N, none if linear
    biases: tuple[Float[Array, " out"], ...]
    standardisation: Standardisation
    points: Constant  # (n,), int
    mask: Constant  # (1, row, column)
    dt: float = eqx.field(static=True)  # [time unit of the data]
    lags: tuple[int, ...] = eqx.field(static=True)  # steps before the next state
    coarse: int = eqx.field(static=True)
    around: int = eqx.field(static=True)
    edges: Edges
    shape: tuple[int, int, int] = eqx.field(static=True)
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, int, int],
        points: Int[Array, " n"],
        *,
        dt: float,
        width: int = 16,
        depth: int = 1,
        kernel: int = 5,
        lags: int | Sequence[int] = 1,
        coarse: int = 0,
        around: int = 0,
        edges: Edges = Edges(),  # noqa: B008
        activation: Activation = jax.nn.gelu,
        standardisation: Standardisation | None = None,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Zero stencil, He weights but for the last layer of N, which is zero.

        Arguments:
            shape: channels (variables), rows and columns of the grid.
            points: the place of each component of the state in the flattened grid.
            width: channels of the hidden layers of N.
            depth: layers of N; 1 leaves N out, and the model is linear.
            kernel: rows and columns of each kernel, odd.
            lags: how many of the last states are read, or which: so many steps before
                the next one, (1, 2, 24, 48) for those of this hour on past days too.
                The memory holds all that lie between.
            coarse: rows and columns of a block of D; 0 leaves C out.
            around: rows and columns of a square of A, odd; 0 leaves M out.
            edges: what lies beyond the grid, by default zero anomaly; coasts within it
                are zero anomaly with any, whether `partial` or not.
            standardisation: of the state; mean zero and deviation one if `None`.

        Raises:
            InputError: an even kernel, fewer than one layer, lag or channel, or a lag
                twice.
        """
        read = _lags(lags)
        at_least(1, kernel=kernel, depth=depth, width=width)
        at_least(0, coarse=coarse, around=around)
        check_step(dt)
        for name, across in (("kernel", kernel), ("around", around or 1)):
            if across % 2 == 0:
                raise InputError(
                    f"{name} is {across}, an odd number was expected, so that it has a "
                    f"middle: take {across + 1}"
                )
        channels, dtype = shape[0], float_type(dtype)
        reads = channels * len(read) + 1
        self.stencil = jnp.zeros((channels, reads, kernel, kernel), dtype)
        self.offset = jnp.zeros(channels, dtype)
        self.coarse_stencil = jnp.zeros_like(self.stencil) if coarse else None
        self.around_stencil = jnp.zeros((channels, reads), dtype) if around else None
        sizes = [reads, *[width] * (depth - 1), channels] if depth > 1 else []
        pairs = list(itertools.pairwise(sizes))
        last = len(pairs) - 1
        self.kernels = tuple(
            drawn(
                jax.random.normal,
                k,
                (m, n, kernel, kernel),
                dtype,
                0.0 if i == last else math.sqrt(2 / (n * kernel**2)),
            )
            for i, (k, (n, m)) in enumerate(
                zip(jax.random.split(key, len(pairs)), pairs, strict=True)
            )
        )
        self.biases = tuple(jnp.zeros(m, dtype) for _, m in pairs)
        size = points.shape[0]
        if standardisation is None:
            ones = jnp.ones(size, dtype)
            standardisation = Standardisation(jnp.zeros_like(ones), ones)
        self.standardisation = jax.tree.map(
            lambda leaf: leaf.astype(dtype), standardisation
        )
        self.points = Constant(jnp.asarray(points, jnp.int32))
        grid = jnp.zeros(math.prod(shape), dtype).at[points].set(1.0).reshape(shape)
        self.mask = Constant(grid.max(0, keepdims=True))
        self.dt, self.lags, self.coarse, self.shape = dt, read, coarse, shape
        self.activation, self.around, self.edges = activation, around, edges

    @property
    def spin_up_steps(self) -> int:
        return max(self.lags) - 1

    def init(self, state: Float[Array, " n"]) -> Carry:
        past = self.spin_up_steps
        return Carry(state, jnp.tile(state, (past, 1)) if past else None)

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        states = carry.state[None]
        if carry.memory is not None:
            states = jnp.concatenate([carry.memory, states])
        x = self.inputs(states)
        y = self.edges.convolve(x, self.stencil) + self.offset[:, None, None]
        if self.coarse_stencil is not None:
            far = self.edges.convolve(self.block_means(x), self.coarse_stencil)
            y = y + self.interpolated(far)
        if self.around_stencil is not None:
            y = y + jnp.einsum("oi,irc->orc", self.around_stencil, self.means_around(x))
        for i, (kernel, bias) in enumerate(
            zip(self.kernels, self.biases, strict=True), start=1
        ):
            x = self.edges.convolve(x, kernel) + bias[:, None, None]
            if i < len(self.kernels):
                x = self.activation(x) * self.mask.value
        y = y + x if self.kernels else y
        std = self.standardisation.std.value
        increment = std * y.reshape(-1)[self.points.value]
        new = carry.state + increment.astype(carry.state.dtype)
        return Carry(new, None if carry.memory is None else states[1:])

    def inputs(
        self, states: Float[Array, "past n"]
    ) -> Float[Array, "channels row column"]:
        """What the convolutions read of the last states, the newest last.

        The standardised fields of the lags, the oldest first, and the mask.
        """
        dtype = self.stencil.dtype
        if len(self.lags) < len(states):
            states = states[-np.asarray(self.lags)]
        anomalies = jax.vmap(self.standardisation.apply)(states.astype(dtype))
        grid = jnp.zeros((len(self.lags), math.prod(self.shape)), dtype)
        fields = grid.at[:, self.points.value].set(anomalies)
        fields = fields.reshape(-1, *self.shape[1:])
        return jnp.concatenate([fields, self.mask.value])

    def block_means(
        self, x: Float[Array, "channels row column"]
    ) -> Float[Array, "channels blocks_down blocks_across"]:
        """The means of square blocks, the last filled up with what is beyond."""
        n = self.coarse
        x = self.edges.padded(x, (0, -x.shape[1] % n), (0, -x.shape[2] % n))
        blocks = x.reshape(len(x), x.shape[1] // n, n, x.shape[2] // n, n)
        return blocks.mean((2, 4))

    def means_around(
        self, x: Float[Array, "channels row column"]
    ) -> Float[Array, "channels row column"]:
        """The means over the square around each point."""
        reach = (self.around // 2, self.around // 2)
        x = self.edges.padded(x, reach, reach)
        nothing = np.zeros((), x.dtype)  # a number: else the sum has no gradient
        for across in ((1, self.around, 1), (1, 1, self.around)):
            x = jax.lax.reduce_window(
                x, nothing, jax.lax.add, across, (1, 1, 1), "valid"
            )
        return x / self.around**2

    def interpolated(
        self, x: Float[Array, "channels blocks_down blocks_across"]
    ) -> Float[Array, "channels row column"]:
        """From the middles of the blocks to the grid, linearly."""
        n, (_, rows, columns) = self.coarse, self.shape
        fine = (len(x), x.shape[1] * n, x.shape[2] * n)
        return jax.image.resize(x, fine, "linear")[:, :rows, :columns]


def _lags(lags: int | Sequence[int]) -> tuple[int, ...]:
    """The steps before the next state whose fields are read, the oldest first."""
    read = range(1, lags + 1) if isinstance(lags, int) else [int(k) for k in lags]
    if not read or min(read) < 1 or len(set(read)) < len(read):
        raise InputError(
            f"lags is {lags}, at least one step before the next state was expected, "
            "and none of them twice: 1 is the present state"
        )
    return tuple(sorted(read, reverse=True))
