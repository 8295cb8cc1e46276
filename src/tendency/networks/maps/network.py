"""The interface of networks from maps to maps, and the plainest of them."""

import abc
from itertools import pairwise

import equinox as eqx
import jax
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


class AbstractMapNetwork(eqx.Module):
    """From some maps to others on the same grid, whatever its size.

    `condition` holds numbers that are the same everywhere (the season, the hour, an
    index); how many is for the network to say.
    """

    @property
    @abc.abstractmethod
    def sizes(self) -> tuple[int, int]:
        """The channels that it reads, and gives."""

    @property
    @abc.abstractmethod
    def conditions(self) -> int:
        """The numbers that it reads beside the maps."""

    @abc.abstractmethod
    def __call__(
        self,
        x: Float[Array, "in row column"],
        mask: Mask | None = None,
        condition: Float[Array, " conditions"] | None = None,
    ) -> Float[Array, "out row column"]:
        """The answer to one sample: batch with `jax.vmap`.

        Raises:
            InputError: the map is too small, or the condition is missing.
        """


class ConvNet(AbstractMapNetwork):
    """Convolutions with an activation between them.

    The first hidden layer is modulated by the condition, where there is one.
    """

    layers: tuple[Convolution, ...]
    modulation: Modulation | None
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
        """`depth` layers, He weights but for the last, which begins at zero.

        Raises:
            InputError: a size below 1, an even kernel, fewer than two layers.
        """
        at_least(2, depth=depth)
        at_least(0, conditions=conditions)
        first, *keys = jax.random.split(key, depth + 1)
        sizes = (inputs, *(width,) * (depth - 1), outputs)
        self.layers = tuple(
            Convolution(
                n,
                m,
                kernel,
                edges=edges,
                scale=float(i < depth - 1),
                dtype=dtype,
                key=k,
            )
            for i, ((n, m), k) in enumerate(zip(pairwise(sizes), keys, strict=True))
        )
        self.modulation = maybe_modulation(conditions, width, dtype, first)
        self.activation = activation

    @property
    def sizes(self) -> tuple[int, int]:
        return ends(self.layers[0], self.layers[-1])

    @property
    def conditions(self) -> int:
        return read_by(self.modulation)

    def __call__(self, x, mask=None, condition=None):
        x = modulated(self.modulation, self.layers[0](x, mask), condition)
        for layer in self.layers[1:]:
            x = layer(pointwise(self.activation, x), mask)
        return x


def ends(first: Convolution, last: Convolution) -> tuple[int, int]:
    """The channels that the first layer reads and the last gives."""
    return first.kernel.shape[1], last.kernel.shape[0]


def read_by(modulation: Modulation | None) -> int:
    """The numbers of the condition."""
    return 0 if modulation is None else modulation.dense.weight.shape[0]
