"""A network that sees far by coarser and coarser maps."""

from collections.abc import Sequence

import equinox as eqx
import jax
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from tendency.errors import InputError
from tendency.networks.dense import Activation, at_least
from tendency.networks.maps.layers import (
    Convolution,
    Edges,
    Mask,
    Modulation,
    doubled,
    halved,
    halved_mask,
    joined,
    maybe_modulation,
    modulated,
    pointwise,
)
from tendency.networks.maps.network import AbstractMapNetwork, ends, read_by


class Pair(eqx.Module):
    """f(m(K₂ ∗ f(K₁ ∗ x))), m the modulation by a condition where there is one."""

    first: Convolution
    second: Convolution
    modulation: Modulation | None
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        edges: Edges,
        conditions: int,
        activation: Activation,
        *,
        dtype: DTypeLike | None,
        key: PRNGKeyArray,
    ):
        """He weights."""
        keys = jax.random.split(key, 3)
        like = {"edges": edges, "dtype": dtype}
        self.first = Convolution(inputs, outputs, kernel, **like, key=keys[0])
        self.second = Convolution(outputs, outputs, kernel, **like, key=keys[1])
        self.modulation = maybe_modulation(conditions, outputs, dtype, keys[2])
        self.activation = activation

    def __call__(
        self,
        x: Float[Array, "in row column"],
        mask: Mask | None,
        condition: Float[Array, " conditions"] | None,
    ) -> Float[Array, "out row column"]:
        x = pointwise(self.activation, self.first(x, mask))
        x = modulated(self.modulation, self.second(x, mask), condition)
        return pointwise(self.activation, x)


class UNet(AbstractMapNetwork):
    """Pairs of convolutions on maps of halved sizes, and back with what was there.

    Going down the maps are averaged over 2 x 2 points, going up each point stands for
    four and is joined with the maps of that size on the way down.

    Source: Ronneberger, Fischer & Brox (2015, arXiv:1505.04597), with the padding,
    the averages and the repeated points in place of crops, maxima and transposed
    convolutions.
    """

    down: tuple[Pair, ...]
    up: tuple[Pair, ...]
    head: Convolution

    def __init__(
        self,
        inputs: int,
        outputs: int,
        widths: Sequence[int] = (16, 32, 64),
        *,
        kernel: int = 3,
        edges: Edges = Edges(),  # noqa: B008
        conditions: int = 0,
        activation: Activation = jax.nn.gelu,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """One size of the maps for each of `widths`, the channels there.

        The last convolution begins at zero.

        Raises:
            InputError: a size below 1, an even kernel, fewer than two widths.
        """
        widths = tuple(widths)
        at_least(2, sizes_of_maps=len(widths))
        at_least(0, conditions=conditions)
        keys = iter(jax.random.split(key, 2 * len(widths)))

        def pair(reads: int, gives: int) -> Pair:
            return Pair(
                reads, gives, kernel, edges, conditions, activation,
                dtype=dtype, key=next(keys),
            )  # fmt: skip

        reads = (inputs, *widths[:-1])
        self.down = tuple(pair(n, m) for n, m in zip(reads, widths, strict=True))
        self.up = tuple(
            pair(below + here, here)
            for here, below in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.head = Convolution(
            widths[0], outputs, 1, edges=edges, scale=0.0, dtype=dtype, key=next(keys)
        )

    @property
    def sizes(self) -> tuple[int, int]:
        return ends(self.down[0].first, self.head)

    @property
    def conditions(self) -> int:
        return read_by(self.down[0].modulation)

    def __call__(self, x, mask=None, condition=None):
        self._check(x.shape[1:])
        masks, kept = [mask], []
        for i, pair in enumerate(self.down):
            if i:
                x = halved(x, masks[-1])
                masks.append(None if mask is None else halved_mask(masks[-1]))  # pyright: ignore
            x = pair(x, masks[-1], condition)
            kept.append(x)
        for pair, fine, here in zip(self.up, kept[-2::-1], masks[-2::-1], strict=True):
            x = joined(doubled(x, fine.shape[1:]), fine)
            x = pair(x, here, condition)
        return self.head(x, mask)

    def _check(self, shape: Sequence[int]) -> None:
        """Halving must not break a circle."""
        edges, times = self.head.edges, 2 ** (len(self.down) - 1)
        for name, edge, size in zip(
            ("rows", "columns"), (edges.rows, edges.columns), shape, strict=True
        ):
            if edge == "periodic" and size % times:
                raise InputError(
                    f"the map has {size} {name} in a circle, which are halved "
                    f"{len(self.down) - 1} times, so a multiple of {times} was "
                    "expected: give fewer widths, or another edge"
                )
