"""Floor 1: convolutions over the fields of a grid, with the same weights everywhere.

`Convolutional` is the cell; `stencil_regression` gives it its linear part in closed
form, from which a fit through roll-outs goes on.
"""

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, DTypeLike, Float, Int, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Carry, Constant, Standardisation
from tendency.errors import InputError
from tendency.networks.dense import Activation, at_least, check_step, float_type
from tendency.windows import Windows


class Convolutional(AbstractCell):
    """x' = x + std ⊙ (K ∗ z + N(z)), with z the last `lags` fields and a mask.

    The state is the vector of a grid's valid points; z is its standardised form on the
    grid, zero where there is no point, and the mask tells where that is. The stencil K
    is a linear regression of the increment on a neighbourhood, whose few weights serve
    every point: it learns from a short record where a regression on the whole field
    cannot. The network N, convolutions with an activation between them, adds what is
    not linear.

    The numbers of the convolutions have the type of the weights, the state keeps its
    own. All that the step adds starts at zero: an unfitted model is persistence.
    """

    stencil: Float[Array, "out in row column"]  # K
    offset: Float[Array, " out"]
    kernels: tuple[Float[Array, "out in row column"], ...]  # of N, none if linear
    biases: tuple[Float[Array, " out"], ...]
    standardisation: Standardisation
    points: Constant  # (n,), int
    mask: Constant  # (1, row, column)
    dt: float = eqx.field(static=True)  # [time unit of the data]
    lags: int = eqx.field(static=True)
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
        lags: int = 1,
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
            lags: the states that are read; the memory holds `lags - 1` of them.
            standardisation: of the state; mean zero and deviation one if `None`.

        Raises:
            InputError: an even kernel, fewer than one layer, lag or channel.
        """
        at_least(1, kernel=kernel, depth=depth, lags=lags, width=width)
        check_step(dt)
        if kernel % 2 == 0:
            raise InputError(
                f"kernel is {kernel}, an odd number was expected, so that it has a "
                f"middle: take {kernel + 1}"
            )
        channels, dtype = shape[0], float_type(dtype)
        reads = channels * lags + 1
        self.stencil = jnp.zeros((channels, reads, kernel, kernel), dtype)
        self.offset = jnp.zeros(channels, dtype)
        sizes = [reads, *[width] * (depth - 1), channels] if depth > 1 else []
        pairs = list(itertools.pairwise(sizes))
        last = len(pairs) - 1
        self.kernels = tuple(
            (0.0 if i == last else math.sqrt(2 / (n * kernel**2)))
            * jax.random.normal(k, (m, n, kernel, kernel), dtype)
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
        self.dt, self.lags, self.shape = dt, lags, shape
        self.activation = activation

    @property
    def spin_up_steps(self) -> int:
        return self.lags - 1

    def init(self, state: Float[Array, " n"]) -> Carry:
        past = self.lags - 1
        return Carry(state, jnp.tile(state, (past, 1)) if past else None)

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        states = carry.state[None]
        if carry.memory is not None:
            states = jnp.concatenate([carry.memory, states])
        x = self.inputs(states)
        y = _convolved(x, self.stencil, self.offset)
        for i, (kernel, bias) in enumerate(
            zip(self.kernels, self.biases, strict=True), start=1
        ):
            x = _convolved(x, kernel, bias)
            if i < len(self.kernels):
                x = self.activation(x) * self.mask.value
        y = y + x if self.kernels else y
        std = self.standardisation.std.value
        increment = std * y.reshape(-1)[self.points.value]
        new = carry.state + increment.astype(carry.state.dtype)
        return Carry(new, None if carry.memory is None else states[1:])

    def inputs(
        self, states: Float[Array, "lags n"]
    ) -> Float[Array, "channels row column"]:
        """What the convolutions read: the standardised fields, and the mask."""
        dtype = self.stencil.dtype
        anomalies = jax.vmap(self.standardisation.apply)(states.astype(dtype))
        grid = jnp.zeros((self.lags, math.prod(self.shape)), dtype)
        fields = grid.at[:, self.points.value].set(anomalies)
        fields = fields.reshape(-1, *self.shape[1:])
        return jnp.concatenate([fields, self.mask.value])


def stencil_regression(
    cell: Convolutional,
    windows: Windows,
    *,
    ridge: float = 1e-2,
    samples: int = 400_000,
) -> Convolutional:
    """The cell with the stencil of least squared error over one step.

    Minimises Σ w |dz - K ∗ z|² / Σ w + ridge Σ |K|² σ², σ the deviation of each input,
    over all points of the grid: closed form, from normal equations of
    (channels · lags + 1) · kernel² unknowns. A ridge draws toward persistence.

    Arguments:
        windows: of `cell.lags + 1` times or more, of which the first so many are read.
            A point counts by its weight at the last of these.
        ridge: a number without units.
        samples: as many points and times at least, as long as there are more; windows
            beyond are left out evenly.

    Raises:
        InputError: the windows are too short, or `ridge` is negative.
    """
    if windows.length < cell.lags + 1:
        raise InputError(
            f"windows of {windows.length} times were given and {cell.lags + 1} are "
            "needed for the regression: cut longer windows"
        )
    if not ridge >= 0:
        raise InputError(f"ridge is {ridge}, expected zero or more: change its sign")
    size = cell.points.value.shape[0]
    every = max(1, len(windows) * size // samples)
    index = jnp.arange(0, len(windows), every)
    gram, moment, weight = _normal_equations(cell, windows, index)
    gram, moment = np.asarray(gram, np.float64), np.asarray(moment, np.float64)
    weight = np.maximum(np.asarray(weight, np.float64), 1e-30)[:, None]
    gram, moment = gram / weight[..., None], moment / weight
    diagonal = np.einsum("cii->ci", gram)
    # What never varies, the mask's share of the constant among it, is left at zero.
    diagonal = np.maximum(diagonal, 1e-9 * diagonal.max(1, keepdims=True))
    penalty = max(ridge, 1e-9) * diagonal
    penalty[:, -1] = 1e-9
    gram += np.einsum("ci,ij->cij", penalty, np.eye(gram.shape[1]))
    weights = np.linalg.solve(gram, moment[..., None])[..., 0]
    dtype = cell.stencil.dtype
    stencil = jnp.asarray(weights[:, :-1].reshape(cell.stencil.shape), dtype)
    offset = jnp.asarray(weights[:, -1], dtype)
    return eqx.tree_at(lambda c: (c.stencil, c.offset), cell, (stencil, offset))


@eqx.filter_jit
def _normal_equations(cell: Convolutional, windows: Windows, index):
    channels, reads, kernel, _ = cell.stencil.shape
    size = math.prod(cell.shape)

    def one(total, i):
        window = windows.take(i)
        states, lags = window.states, cell.lags
        patches = jax.lax.conv_general_dilated_patches(
            cell.inputs(states[:lags])[None], (kernel, kernel), (1, 1), "SAME"
        )
        features = patches[0].reshape(reads * kernel**2, -1).T
        features = jnp.concatenate([features, jnp.ones_like(features[:, :1])], axis=1)
        target = (states[lags] - states[lags - 1]).astype(features.dtype)
        target = target / cell.standardisation.std.value

        def spread(values):
            values = values.astype(features.dtype)
            grid = jnp.zeros(size, features.dtype).at[cell.points.value].set(values)
            return grid.reshape(channels, -1)

        weight = jnp.ones_like(target)
        if window.weights is not None:
            weight = jnp.broadcast_to(window.weights[lags], target.shape)
        w = spread(weight)
        weighted = features[None] * w[..., None]
        found = (
            jnp.einsum("cpi,pj->cij", weighted, features),
            jnp.einsum("cpi,cp->ci", weighted, spread(target)),
            w.sum(1),
        )
        return jax.tree.map(lambda a, b: a + b.astype(a.dtype), total, found), None

    unknowns = reads * kernel**2 + 1
    start = (
        jnp.zeros((channels, unknowns, unknowns)),
        jnp.zeros((channels, unknowns)),
        jnp.zeros(channels),
    )
    return jax.lax.scan(one, start, index)[0]


def _convolved(
    x: Float[Array, "in row column"],
    kernel: Float[Array, "out in height width"],
    bias: Float[Array, " out"],
) -> Float[Array, "out row column"]:
    return jax.lax.conv(x[None], kernel, (1, 1), "SAME")[0] + bias[:, None, None]
