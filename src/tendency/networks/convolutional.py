"""Floor 1: convolutions over the fields of a grid, with the same weights everywhere."""

import itertools
import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, Int, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Carry, Constant, Standardisation
from tendency.networks.dense import float_type


class Convolutional(AbstractCell):
    """x' = x + std · net(z, ..., z₋ₗ₊₁, mask), convolutions of the last `lags` fields.

    The state is the vector of a grid's valid points; z is its standardised form on the
    grid, zero where there is no point, and the mask tells the network where that is.
    With one layer the model is a linear regression of the increment on a neighbourhood,
    whose few weights serve every point: it learns from a short record where a
    regression on the whole field cannot.

    Arguments:
        shape: channels (variables), rows and columns of the grid.
        points: the place of each component of the state in the flattened grid.
        width: channels of the hidden layers.
        depth: layers; 1 is linear.
        kernel: rows and columns of each kernel, odd.
        lags: the states that are read; the memory holds `lags - 1` of them.

    The last layer starts at zero, so that an unfitted model is persistence.

    Raises:
        ValueError: an even kernel, or fewer than one layer or lag.
    """

    kernels: tuple[Float[Array, "out in row column"], ...]
    biases: tuple[Float[Array, " out"], ...]
    standardisation: Standardisation
    points: Constant  # (n,), int
    mask: Constant  # (1, row, column)
    dt: float = eqx.field(static=True)  # [time unit of the data]
    lags: int = eqx.field(static=True)
    shape: tuple[int, int, int] = eqx.field(static=True)
    activation: Callable = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, int, int],
        points: Int[Array, " n"],
        *,
        dt: float,
        width: int = 16,
        depth: int = 2,
        kernel: int = 5,
        lags: int = 1,
        activation: Callable = jax.nn.gelu,
        standardisation: Standardisation | None = None,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        if kernel % 2 == 0 or kernel < 1 or depth < 1 or lags < 1:
            raise ValueError(
                f"kernel {kernel}, depth {depth} and lags {lags} were given, an odd "
                "kernel and at least one layer and one lag were expected"
            )
        channels, dtype = shape[0], float_type(dtype)
        sizes = [channels * lags + 1, *[width] * (depth - 1), channels]
        keys = jax.random.split(key, depth)
        pairs = list(itertools.pairwise(sizes))
        scales = [math.sqrt(2 / (n * kernel**2)) for n, _ in pairs[:-1]] + [0.0]
        self.kernels = tuple(
            scale * jax.random.normal(k, (m, n, kernel, kernel), dtype)
            for k, scale, (n, m) in zip(keys, scales, pairs, strict=True)
        )
        self.biases = tuple(jnp.zeros(m, dtype) for _, m in pairs)
        size = points.shape[0]
        unit = Standardisation(jnp.zeros(size, dtype), jnp.ones(size, dtype))
        self.standardisation = standardisation or unit
        self.points = Constant(jnp.asarray(points, jnp.int32))
        grid = jnp.zeros(math.prod(shape)).at[points].set(1.0).reshape(shape)
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
        fields = jax.vmap(self._on_grid)(jax.vmap(self.standardisation.apply)(states))
        fields = fields.reshape(-1, *self.shape[1:])
        mask = self.mask.value.astype(fields.dtype)
        x = jnp.concatenate([fields, mask])[None]
        last = len(self.kernels) - 1
        for layer, (weights, bias) in enumerate(
            zip(self.kernels, self.biases, strict=True)
        ):
            x = jax.lax.conv_general_dilated(x, weights, (1, 1), "SAME")
            x = x + bias[None, :, None, None]
            if layer < last:
                x = self.activation(x) * mask[None]
        increment = self.standardisation.std.value * x.reshape(-1)[self.points.value]
        new = carry.state + increment
        return Carry(new, None if carry.memory is None else states[1:])

    def _on_grid(self, anomaly: Float[Array, " n"]) -> Float[Array, "variable row col"]:
        grid = jnp.zeros(math.prod(self.shape), anomaly.dtype)
        return grid.at[self.points.value].set(anomaly).reshape(self.shape)
