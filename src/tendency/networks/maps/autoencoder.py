"""From maps to few numbers and back: linear, dense, convolutional; plain, variational.

`tendency.fitting.AutoEncoding` is the loss that `fit` brings down for them, and
`tendency.wrappers.Latent` steps the numbers by any cell.
"""

import abc
import math
from collections.abc import Sequence
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from tendency.cell import Constant, Standardisation
from tendency.errors import InputError
from tendency.networks.dense import Activation, Dense, at_least
from tendency.networks.maps.frame import Frame
from tendency.networks.maps.layers import (
    Convolution,
    Edges,
    Mask,
    doubled,
    halved_mask,
    pointwise,
)


class AbstractAutoEncoder(eqx.Module):
    """z = E(x), x ≈ D(z), with z of few numbers."""

    @property
    @abc.abstractmethod
    def latent(self) -> int:
        """How many numbers z holds."""

    @abc.abstractmethod
    def encode(self, state: Float[Array, "*state"]) -> Float[Array, " latent"]:
        """z; of a variational encoder its mean."""

    @abc.abstractmethod
    def decode(self, z: Float[Array, " latent"]) -> Float[Array, "*state"]:
        """The state that z stands for [units of the state]."""

    def spread(self, state: Float[Array, "*state"]) -> Float[Array, " latent"] | None:
        """The logarithm of the variance of z; `None`: z is what it is."""
        return None


class LinearAutoEncoder(AbstractAutoEncoder):
    """z = Eᵀ (x - mean), x ≈ mean + E z: empirical orthogonal functions.

    Nothing of it is learned by descent: `of` gives the best patterns there are for
    a mean square weighted by `weights`.
    """

    mean: Constant  # (*state,) [units of the state]
    patterns: Constant  # (latent, *state) [units of the state]
    duals: Constant  # (latent, *state): what is multiplied with an anomaly

    @classmethod
    def of(
        cls,
        samples: Float[Array, "time *state"],
        latent: int,
        *,
        weights: Float[Array, "*state"] | None = None,
    ) -> "LinearAutoEncoder":
        """The leading singular vectors of the anomalies; z of the first has variance 1.

        Raises:
            InputError: more numbers than times or components, or missing values.
        """
        at_least(1, latent=latent)
        count, size = samples.shape[0], math.prod(samples.shape[1:])
        if latent > min(count - 1, size):
            raise InputError(
                f"{latent} patterns of {count} states of {size} components were asked "
                f"for, there are {min(count - 1, size)}: keep fewer"
            )
        if not bool(jnp.isfinite(samples).all()):
            raise InputError(
                "the states hold NaN or infinite values: give the valid points alone, "
                "or fill them with the mean"
            )
        mean = samples.mean(0)
        root = jnp.ones_like(mean) if weights is None else jnp.sqrt(weights)
        root = jnp.broadcast_to(root, mean.shape).astype(mean.dtype)
        anomalies = ((samples - mean[None]) * root[None]).reshape(count, -1)
        _, s, right = jnp.linalg.svd(anomalies, full_matrices=False)
        scale = s[0] / math.sqrt(count)
        vectors = right[:latent].reshape(latent, *mean.shape)
        inverse = jnp.where(root > 0, 1 / jnp.where(root > 0, root, 1), 0)
        return cls(
            Constant(mean),
            Constant(scale * vectors * inverse[None]),
            Constant(vectors * root[None] / scale),
        )

    @property
    def latent(self) -> int:
        return self.patterns.value.shape[0]

    def encode(self, state):
        anomaly = state.astype(self.mean.value.dtype) - self.mean.value
        return jnp.tensordot(self.duals.value, anomaly, axes=anomaly.ndim)

    def decode(self, z):
        return self.mean.value + jnp.tensordot(z, self.patterns.value, axes=1)


class DenseAutoEncoder(AbstractAutoEncoder):
    """Dense layers down to z and up again, of a state that is a vector or any array."""

    down: tuple[Dense, ...]
    up: tuple[Dense, ...]
    standardisation: Standardisation
    shape: tuple[int, ...] = eqx.field(static=True)
    variational: bool = eqx.field(static=True)
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        shape: Sequence[int] | int,
        latent: int,
        widths: Sequence[int] = (64,),
        *,
        variational: bool = False,
        standardisation: Standardisation | None = None,
        activation: Activation = jax.nn.gelu,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Glorot weights.

        Arguments:
            shape: of a state.
            widths: of the hidden layers on the way down.
            variational: z is drawn, its mean and spread come from the state.
            standardisation: of the state; mean zero and deviation one if `None`.

        Raises:
            InputError: a size below 1.
        """
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        sizes = (math.prod(self.shape), *widths, latent)
        keys = iter(jax.random.split(key, 2 * (len(sizes) - 1)))
        pairs = list(pairwise(sizes))
        last = len(pairs) - 1
        self.down = tuple(
            Dense(n, m * (1 + (variational and i == last)), dtype=dtype, key=next(keys))
            for i, (n, m) in enumerate(pairs)
        )
        self.up = tuple(
            Dense(m, n, dtype=dtype, key=next(keys)) for n, m in reversed(pairs)
        )
        kind = self.up[0].bias.dtype
        given = standardisation or Standardisation(jnp.zeros(()), jnp.ones(()))
        self.standardisation = jax.tree.map(lambda a: a.astype(kind), given)
        self.variational, self.activation = variational, activation

    @property
    def latent(self) -> int:
        return self.up[0].weight.shape[0]

    def encode(self, state):
        return self._down(state)[: self.latent]

    def spread(self, state):
        return self._down(state)[self.latent :] if self.variational else None

    def decode(self, z):
        x = z.astype(self.up[0].bias.dtype)
        for layer in self.up[:-1]:
            x = self.activation(layer(x))
        return self.standardisation.invert(self.up[-1](x).reshape(self.shape))

    def _down(self, state):
        x = self.standardisation.apply(state.astype(self.down[0].bias.dtype))
        x = jnp.ravel(x)
        for layer in self.down[:-1]:
            x = self.activation(layer(x))
        return self.down[-1](x)


class ConvAutoEncoder(AbstractAutoEncoder):
    """Convolutions on maps of halved sizes, a dense layer to z, and back.

    Before each layer but the first the map is halved by a stride of 2, and doubled on
    the way back.
    """

    down: tuple[Convolution, ...]
    to_latent: Dense
    from_latent: Dense
    up: tuple[Convolution, ...]
    frame: Frame
    variational: bool = eqx.field(static=True)
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        frame: Frame,
        latent: int,
        widths: Sequence[int] = (16, 32),
        *,
        kernel: int = 3,
        edges: Edges = Edges(),  # noqa: B008
        variational: bool = False,
        activation: Activation = jax.nn.gelu,
        key: PRNGKeyArray,
    ):
        """He and Glorot weights, of the type of the frame.

        Arguments:
            frame: the grid and its statistics, no forcing.
            widths: channels of the maps, each half the size of the one before.
            variational: z is drawn, its mean and spread come from the state.

        Raises:
            InputError: a size below 1, an even kernel, or a frame with forcing.
        """
        at_least(1, latent=latent, sizes_of_maps=len(widths))
        if frame.forcing_maps or frame.forcing_numbers:
            raise InputError(
                "the frame of an auto-encoder holds a forcing, none was expected: "
                "build it without"
            )
        keys = iter(jax.random.split(key, 2 * len(widths) + 2))
        like = {"kernel": kernel, "edges": edges, "dtype": frame.dtype}
        reads = (frame.reads(), *widths[:-1])
        self.down = tuple(
            Convolution(n, m, stride=1 + (i > 0), **like, key=next(keys))
            for i, (n, m) in enumerate(zip(reads, widths, strict=True))
        )
        self.frame, self.variational = frame, variational
        self.activation = activation
        size = widths[-1] * math.prod(self._grids()[-1])
        outputs = latent * (1 + variational)
        self.to_latent = Dense(size, outputs, dtype=frame.dtype, key=next(keys))
        self.from_latent = Dense(latent, size, dtype=frame.dtype, key=next(keys))
        gives = (*widths[-2::-1], frame.shape[0])
        self.up = tuple(
            Convolution(n, m, **like, key=next(keys))
            for n, m in zip(widths[::-1], gives, strict=True)
        )

    @property
    def latent(self) -> int:
        return self.from_latent.weight.shape[0]

    def encode(self, state):
        return self._down(state)[: self.latent]

    def spread(self, state):
        return self._down(state)[self.latent :] if self.variational else None

    def decode(self, z):
        grids, masks = self._grids(), self._masks()
        x = self.from_latent(z.astype(self.from_latent.bias.dtype))
        x = x.reshape(self.down[-1].kernel.shape[0], *grids[-1])
        for i, layer in enumerate(self.up):
            if i:
                x = doubled(pointwise(self.activation, x), grids[-1 - i])
            x = layer(x, masks[-1 - i])
        values = self.frame.values(x)
        return self.frame.state.invert(values)

    def _down(self, state):
        x, _ = self.frame.inputs(state[None])
        reads = [self.frame.land, *self._masks()]
        for layer, mask in zip(self.down, reads, strict=False):
            x = pointwise(self.activation, layer(x, mask))
        return self.to_latent(jnp.ravel(x))

    def _masks(self) -> list[Mask]:
        """Where there are points, after each layer on the way down."""
        masks = [self.frame.land]
        for _ in self.down[1:]:
            masks.append(halved_mask(masks[-1]))
        return masks

    def _grids(self) -> list[tuple[int, int]]:
        """Rows and columns after each layer on the way down."""
        grids = [self.frame.grid]
        for _ in self.down[1:]:
            rows, columns = grids[-1]
            grids.append(((rows + 1) // 2, (columns + 1) // 2))
        return grids
