"""What networks on maps are made of: padding, convolution, modulation, resampling.

A map is (channel, row, column); where a mask is given it is (1, row, column), one where
there is a point and zero elsewhere (land, or what was never observed). Within each of
them the channels are last, as convolutions want them: between two of them the compiler
drops both moves, and what stands between convolutions had best be one of them too
(`pointwise`, `joined`).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from tendency.errors import InputError
from tendency.networks.dense import Dense, at_least, drawn, float_type
from tendency.networks.maps.convolution import convolve_last

Edge = Literal["zero", "reflect", "periodic", "replicate"]
Mask = Float[Array, "1 row column"]
_MODES: dict[str, Any] = {
    "zero": "constant",
    "reflect": "reflect",
    "periodic": "wrap",
    "replicate": "edge",
}


class Edges(eqx.Module):
    """What lies beyond the edges of a map, along its rows and along its columns.

    `zero`, `reflect` (about the outermost point), `periodic`, or `replicate` (the
    outermost value goes on). On a globe of latitudes and longitudes the rows (from
    south to north) are `replicate`, the columns `periodic`.

    With `partial` a convolution counts only the points that there are: it is divided by
    the share of its window that the mask holds, and the edges of `zero` are no points
    either, so that coasts and walls do not pull toward zero.

    Source of `partial`: Liu et al. (2018, arXiv:1804.07723), eq. 1.

    Raises:
        InputError: an edge that is none of these.
    """

    rows: Edge = eqx.field(static=True, default="zero")
    columns: Edge = eqx.field(static=True, default="zero")
    partial: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        for name in ("rows", "columns"):
            if getattr(self, name) not in get_args(Edge):
                raise InputError(
                    f"the edge of the {name} is {getattr(self, name)!r}, one of "
                    f"{', '.join(get_args(Edge))} was expected"
                )

    def convolve(
        self,
        x: Float[Array, "in row column"],
        kernel: Float[Array, "out in size size"],
        stride: int = 1,
    ) -> Float[Array, "out strided_row strided_column"]:
        """K ∗ x with an odd kernel, at every point or every stride-th.

        Raises:
            InputError: the map has too few points for its edges.
        """
        reach, zeros, beyond = kernel.shape[-1] // 2, [], []
        for axis, edge in enumerate((self.rows, self.columns), start=1):
            if edge == "zero":  # which cost no copy of the map
                zeros.append(reach)
                continue
            zeros.append(0)
            least = {"reflect": reach + 1, "periodic": reach}.get(edge, 1)
            if x.shape[axis] < least:
                raise InputError(
                    f"a map of {x.shape[1]} x {x.shape[2]} points was given and its "
                    f"{edge} edge needs {least}: give a larger map, a smaller kernel, "
                    "fewer levels or another edge"
                )
            beyond.append((axis - 1, _MODES[edge]))
        x = channels_last(x)
        for axis, mode in beyond:
            around = [(0, 0), (0, 0), (0, 0)]
            around[axis] = (reach, reach)
            x = jnp.pad(x, around, mode=mode)
        return channels_first(convolve_last(x, kernel, stride, (zeros[0], zeros[1])))

    def padded(
        self,
        x: Float[Array, "channels row column"],
        rows: tuple[int, int],
        columns: tuple[int, int],
    ) -> Float[Array, "channels more_row more_column"]:
        """The map with so many rows and columns of what lies before and behind it."""
        nothing = (0, 0)
        x = jnp.pad(x, (nothing, rows, nothing), mode=_MODES[self.rows])
        return jnp.pad(x, (nothing, nothing, columns), mode=_MODES[self.columns])


class Convolution(eqx.Module):
    """y = K ∗ x + b with an odd kernel, as many points as before (or a stride-th)."""

    kernel: Float[Array, "out in height width"]
    bias: Float[Array, " out"]
    edges: Edges
    stride: int = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        edges: Edges = Edges(),  # noqa: B008
        stride: int = 1,
        scale: float = 1.0,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Normal weights of variance 2 scale² / (inputs kernel²), no biases.

        Raises:
            InputError: a size below 1, or an even kernel.

        Source of the weights: He et al. (2015, arXiv:1502.01852), eq. 10.
        """
        at_least(1, inputs=inputs, outputs=outputs, kernel=kernel, stride=stride)
        if kernel % 2 == 0:
            raise InputError(
                f"kernel is {kernel}, an odd number was expected, so that it has a "
                f"middle: take {kernel + 1}"
            )
        shape, dtype = (outputs, inputs, kernel, kernel), float_type(dtype)
        std = scale * math.sqrt(2 / (inputs * kernel**2))
        self.kernel = drawn(jax.random.normal, key, shape, dtype, std)
        self.bias = jnp.zeros(outputs, dtype)
        self.edges, self.stride = edges, stride

    def __call__(
        self, x: Float[Array, "in row column"], mask: Mask | None = None
    ) -> Float[Array, "out strided_row strided_column"]:
        """In the type of the kernel; the mask is read with `partial` alone."""
        x = x.astype(self.kernel.dtype)
        if not self.edges.partial:
            y = self.edges.convolve(x, self.kernel, self.stride)
            return pointwise(lambda y: y + self.bias[None, None], y)
        here = jnp.ones((1, *x.shape[1:]), x.dtype)
        here = here if mask is None else mask.astype(x.dtype)
        y = self.edges.convolve(x * here, self.kernel, self.stride)
        window = jnp.ones((1, 1, *self.kernel.shape[2:]), x.dtype)
        seen = self.edges.convolve(here, window, self.stride)
        share = window.size / jnp.where(seen > 0, seen, window.size)
        return pointwise(lambda y, share: y * share + self.bias[None, None], y, share)


class Modulation(eqx.Module):
    """y = (1 + γ) x + β for each channel, γ and β linear in the numbers of a condition.

    Source: Perez et al. (2018, arXiv:1709.07871), eq. 2.
    """

    dense: Dense

    def __init__(
        self,
        conditions: int,
        channels: int,
        *,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Nothing is changed to begin with."""
        dense = Dense(conditions, 2 * channels, dtype=dtype, key=key)
        self.dense = eqx.tree_at(lambda d: d.weight, dense, replace_fn=jnp.zeros_like)

    def __call__(
        self,
        x: Float[Array, "channel row column"],
        condition: Float[Array, " conditions"],
    ) -> Float[Array, "channel row column"]:
        answer = self.dense(condition.astype(self.dense.bias.dtype))
        gain, shift = jnp.split(answer[None, None], 2, axis=-1)
        return pointwise(lambda x: x + gain * x + shift, x)


def maybe_modulation(
    conditions: int, channels: int, dtype: DTypeLike | None, key: PRNGKeyArray
) -> Modulation | None:
    """None where there is no condition."""
    if conditions == 0:
        return None
    return Modulation(conditions, channels, dtype=dtype, key=key)


def modulated(
    modulation: Modulation | None,
    x: Float[Array, "channel row column"],
    condition: Float[Array, " conditions"] | None,
) -> Float[Array, "channel row column"]:
    """`x` under its condition, where the network has one.

    Raises:
        InputError: the network reads a condition and none was given.
    """
    if modulation is None:
        return x
    if condition is None:
        raise InputError(
            f"the network reads {modulation.dense.weight.shape[0]} numbers beside the "
            "map and none was given: give the forcing that it was built for"
        )
    return modulation(x, condition)


def halved(
    x: Float[Array, "channel row column"], mask: Mask | None = None
) -> Float[Array, "channel half_row half_column"]:
    """The means of 2 x 2 points that there are; the last of an odd number is alone."""
    here = (
        jnp.ones((1, *x.shape[1:]), x.dtype) if mask is None else mask.astype(x.dtype)
    )
    if mask is None and not (x.shape[1] % 2 or x.shape[2] % 2):
        return pointwise(lambda sums: sums / 4, _sums(x))
    seen = _sums(here)
    seen = jnp.where(seen > 0, seen, 1)
    return pointwise(jnp.divide, _sums(pointwise(jnp.multiply, x, here)), seen)


def halved_mask(mask: Mask) -> Float[Array, "1 half_row half_column"]:
    """One where any of 2 x 2 points is."""
    return (_sums(mask) > 0).astype(mask.dtype)


def doubled(
    x: Float[Array, "channel half_row half_column"], shape: Sequence[int]
) -> Float[Array, "channel row column"]:
    """Each point twice along each axis, cut to so many rows and columns."""
    (rows, columns), x = x.shape[1:], channels_last(x)
    blocks = jnp.broadcast_to(x[:, None, :, None], (rows, 2, columns, 2, x.shape[-1]))
    twice = blocks.reshape(2 * rows, 2 * columns, x.shape[-1])
    return channels_first(twice[: shape[0], : shape[1]])


def joined(*maps: Float[Array, "_ row column"]) -> Float[Array, "channel row column"]:
    """The channels of the first map, then of the next."""
    return channels_first(jnp.concatenate([channels_last(x) for x in maps], -1))


def pointwise(
    function: Callable[..., Array], *maps: Float[Array, "_ row column"]
) -> Float[Array, "channel row column"]:
    """A function of the numbers at each point, which reads maps with channels last."""
    return channels_first(function(*map(channels_last, maps)))


def channels_last(
    x: Float[Array, "channel row column"],
) -> Float[Array, "row column channel"]:
    """The same map as convolutions want it."""
    return jnp.moveaxis(x, 0, -1)


def channels_first(
    x: Float[Array, "row column channel"],
) -> Float[Array, "channel row column"]:
    """The same map as states are."""
    return jnp.moveaxis(x, -1, 0)


def _sums(
    x: Float[Array, "channel row column"],
) -> Float[Array, "channel half_row half_column"]:
    odd = ((0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0))
    x = channels_last(x)
    x = jnp.pad(x, odd) if any(map(any, odd)) else x
    blocks = x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, x.shape[2])
    return channels_first(blocks.sum((1, 3)))
