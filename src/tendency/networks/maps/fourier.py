"""A network whose convolutions are as wide as the map: products of Fourier modes."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from tendency.errors import InputError
from tendency.networks.dense import Activation, at_least, drawn, float_type
from tendency.networks.maps.layers import (
    Convolution,
    Edges,
    Modulation,
    maybe_modulation,
    modulated,
)
from tendency.networks.maps.network import AbstractMapNetwork, read_by


class SpectralConvolution(eqx.Module):
    """ŷ(o, k) = Σ R(o, c, k) x̂(c, k) for the lowest wavenumbers k, zero beyond.

    `weight` holds the real and the imaginary part of R for the wavenumbers -m + 1, ...,
    m - 1 of the rows (in the order of the transform) and 0, ..., m - 1 of the columns.

    Source: Li et al. (2021, arXiv:2010.08895), eq. 4 and 5.
    """

    weight: Float[Array, "part out in row_mode column_mode"]

    def __init__(
        self,
        inputs: int,
        outputs: int,
        modes: tuple[int, int],
        *,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Normal weights: each mode keeps its mean square from inputs to outputs.

        Raises:
            InputError: a size below 1.
        """
        at_least(1, inputs=inputs, outputs=outputs, modes=min(modes))
        shape = (2, outputs, inputs, 2 * modes[0] - 1, modes[1])
        std = 1 / math.sqrt(2 * inputs)
        self.weight = drawn(jax.random.normal, key, shape, float_type(dtype), std)

    @property
    def modes(self) -> tuple[int, int]:
        """The wavenumbers kept along rows and columns, zero included."""
        return (self.weight.shape[3] + 1) // 2, self.weight.shape[4]

    def __call__(
        self, x: Float[Array, "in row column"]
    ) -> Float[Array, "out row column"]:
        """In single precision at least: there is no transform in half precision.

        Raises:
            InputError: the map has fewer wavenumbers than are kept.
        """
        (rows, columns), (high, wide) = x.shape[1:], self.modes
        if rows < 2 * high - 1 or columns < 2 * wide - 1:
            raise InputError(
                f"{high} x {wide} modes of a map of {rows} x {columns} points were "
                f"asked for, it has {(rows + 1) // 2} x {(columns + 1) // 2}: keep "
                "fewer"
            )
        kind = x.dtype if x.dtype.itemsize >= 4 else jnp.float32
        real, imaginary = self.weight.astype(kind)
        modes = jnp.fft.rfft2(x.astype(kind))
        low = jnp.concatenate(
            [modes[:, :high, :wide], modes[:, rows - high + 1 :, :wide]], axis=1
        )
        low = jnp.einsum("oirc,irc->orc", jax.lax.complex(real, imaginary), low)
        empty = jnp.zeros((low.shape[0], rows - 2 * high + 1, wide), low.dtype)
        low = jnp.concatenate([low[:, :high], empty, low[:, high:]], axis=1)
        right = ((0, 0), (0, 0), (0, columns // 2 + 1 - wide))
        full = jnp.fft.irfft2(jnp.pad(low, right), s=(rows, columns))
        return full.astype(x.dtype)


class FourierLayer(eqx.Module):
    """f(m(R x + W x + b)): a spectral convolution beside a product of channels."""

    spectral: SpectralConvolution
    local: Convolution
    modulation: Modulation | None

    def __call__(self, x, condition=None):
        return modulated(self.modulation, self.spectral(x) + self.local(x), condition)


class FNO(AbstractMapNetwork):
    """The Fourier neural operator: lift, Fourier layers, project.

    The map is taken as periodic; `margin` lays so many zeros beyond its rows and its
    columns, which the mask channel tells apart, for maps that are not. It reads no
    mask, so that land must be zero in what it is given, as `Frame` gives it.

    Source: Li et al. (2021, arXiv:2010.08895), figure 2.
    """

    lift: Convolution
    layers: tuple[FourierLayer, ...]
    project: tuple[Convolution, Convolution]
    margin: tuple[int, int] = eqx.field(static=True)
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int = 32,
        depth: int = 4,
        *,
        modes: tuple[int, int] = (12, 12),
        margin: tuple[int, int] = (0, 0),
        conditions: int = 0,
        activation: Activation = jax.nn.gelu,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """`depth` Fourier layers of `width` channels; the last product begins at zero.

        Arguments:
            modes: wavenumbers kept along rows and columns, of the map with its margin.
            margin: zeros laid beyond rows and columns [points].

        Raises:
            InputError: a size is impossible.
        """
        at_least(1, depth=depth)
        at_least(0, conditions=conditions, margin=min(margin))
        keys = iter(jax.random.split(key, 3 + 3 * depth))
        like = {"edges": Edges(), "dtype": dtype}
        self.lift = Convolution(inputs, width, 1, **like, key=next(keys))
        layers = []
        for _ in range(depth):
            spectral = SpectralConvolution(
                width, width, modes, dtype=dtype, key=next(keys)
            )
            local = Convolution(width, width, 1, **like, key=next(keys))
            # Two maps are added: each with half the variance.
            spectral, local = jax.tree.map(lambda a: a / 2**0.5, (spectral, local))
            layers.append(
                FourierLayer(
                    spectral,
                    local,
                    maybe_modulation(conditions, width, dtype, next(keys)),
                )
            )
        self.layers = tuple(layers)
        self.project = (
            Convolution(width, 2 * width, 1, **like, key=next(keys)),
            Convolution(2 * width, outputs, 1, **like, scale=0.0, key=next(keys)),
        )
        self.margin, self.activation = margin, activation

    @property
    def sizes(self) -> tuple[int, int]:
        return self.lift.kernel.shape[1], self.project[1].kernel.shape[0]

    @property
    def conditions(self) -> int:
        return read_by(self.layers[0].modulation)

    def __call__(self, x, mask=None, condition=None):
        rows, columns = x.shape[1:]
        x = self.lift(x)
        x = jnp.pad(x, ((0, 0), (0, self.margin[0]), (0, self.margin[1])))
        for i, layer in enumerate(self.layers):
            x = layer(self.activation(x) if i else x, condition)
        x = self.project[0](x[:, :rows, :columns])
        return self.project[1](self.activation(x))
