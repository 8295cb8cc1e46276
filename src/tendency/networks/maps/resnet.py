"""A residual network on maps."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from tendency.networks.dense import Activation, at_least
from tendency.networks.maps.layers import (
    Convolution,
    Edges,
    Mask,
    Modulation,
    maybe_modulation,
    modulated,
    pointwise,
)
from tendency.networks.maps.network import AbstractMapNetwork, ends, read_by


class ResidualBlock(eqx.Module):
    """x + K₂ ∗ f(m(K₁ ∗ f(x))), m the modulation by a condition where there is one.

    Source: He et al. (2016, arXiv:1603.05027), figure 1b, without normalisation.
    """

    first: Convolution
    second: Convolution
    modulation: Modulation | None
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        channels: int,
        kernel: int = 3,
        *,
        edges: Edges = Edges(),  # noqa: B008
        conditions: int = 0,
        activation: Activation = jax.nn.gelu,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """The second convolution begins at zero, and so the block as the identity.

        Raises:
            InputError: a size below 1, or an even kernel.
        """
        keys = jax.random.split(key, 3)
        like = {"edges": edges, "dtype": dtype}
        self.first = Convolution(channels, channels, kernel, **like, key=keys[0])
        self.second = Convolution(
            channels, channels, kernel, **like, scale=0.0, key=keys[1]
        )
        self.modulation = maybe_modulation(conditions, channels, dtype, keys[2])
        self.activation = activation

    def __call__(
        self,
        x: Float[Array, "channel row column"],
        mask: Mask | None = None,
        condition: Float[Array, " conditions"] | None = None,
    ) -> Float[Array, "channel row column"]:
        y = self.first(pointwise(self.activation, x), mask)
        y = pointwise(self.activation, modulated(self.modulation, y, condition))
        return pointwise(jnp.add, x, self.second(y, mask))


class ResNet(AbstractMapNetwork):
    """A convolution, residual blocks, and a convolution of what they leave."""

    stem: Convolution
    blocks: tuple[ResidualBlock, ...]
    head: Convolution
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int = 32,
        depth: int = 4,
        *,
        kernel: int = 3,
        edges: Edges = Edges(),  # noqa: B008
        conditions: int = 0,
        activation: Activation = jax.nn.gelu,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """`depth` blocks of `width` channels; the head begins at zero.

        Raises:
            InputError: a size below 1, or an even kernel.
        """
        at_least(1, depth=depth)
        at_least(0, conditions=conditions)
        stem, head, *keys = jax.random.split(key, depth + 2)
        like = {"edges": edges, "dtype": dtype}
        self.stem = Convolution(inputs, width, kernel, **like, key=stem)
        self.blocks = tuple(
            ResidualBlock(
                width, kernel, **like, conditions=conditions, activation=activation,
                key=k,
            )
            for k in keys
        )  # fmt: skip
        self.head = Convolution(width, outputs, kernel, **like, scale=0.0, key=head)
        self.activation = activation

    @property
    def sizes(self) -> tuple[int, int]:
        return ends(self.stem, self.head)

    @property
    def conditions(self) -> int:
        return read_by(self.blocks[0].modulation)

    def __call__(self, x, mask=None, condition=None):
        x = self.stem(x, mask)
        for block in self.blocks:
            x = block(x, mask, condition)
        return self.head(pointwise(self.activation, x), mask)
