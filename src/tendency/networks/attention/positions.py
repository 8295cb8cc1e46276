"""Where a token stands: waves that are added to it, or angles that turn it.

Attention alone does not see order. `sinusoidal` is added to the tokens once, before the
first block; `rotated` turns queries and keys in each, so that their products depend on
how far apart they are and on nothing else.
"""

import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, Shaped

from tendency.errors import InputError
from tendency.networks.dense import float_type, single_at_least

_SLOWEST = 10_000.0  # radians: 2 pi times this is the longest wave


def sinusoidal(
    positions: Shaped[Array, " time"], size: int, dtype: DTypeLike | None = None
) -> Float[Array, "time size"]:
    """Sines and cosines of the positions at `size` / 2 wavelengths from 2π to 20,000 π.

    Source: Vaswani et al. (2017, arXiv:1706.03762), section 3.5; sines first, then
    cosines, a fixed permutation of theirs.

    Raises:
        InputError: `size` is odd.
    """
    angles = _angles(positions, size, dtype)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def rotated(
    x: Float[Array, "time heads width"], positions: Shaped[Array, " time"]
) -> Float[Array, "time heads width"]:
    """Each pair (xᵢ, xᵢ₊ₕ), h = `width` / 2, turned by position × frequency i.

    Source: Su et al. (2021, arXiv:2104.09864), eq. 34, with pairs half a width apart.

    Raises:
        InputError: the width is odd.
    """
    angles = _angles(positions, x.shape[-1], x.dtype)[:, None]
    sin, cos = jnp.sin(angles), jnp.cos(angles)
    first, second = jnp.split(x, 2, axis=-1)
    return jnp.concatenate(
        [first * cos - second * sin, second * cos + first * sin], axis=-1
    )


def _angles(
    positions: Shaped[Array, " time"], size: int, dtype: DTypeLike | None
) -> Float[Array, "time half"]:
    if size % 2:
        raise InputError(
            f"positions are told by pairs of numbers and {size} of them were given: "
            "choose an even size (of each head, for rotary positions)"
        )
    dtype = float_type(dtype)
    wide = single_at_least(dtype)
    share = jnp.arange(size // 2, dtype=wide) / (size // 2)
    frequency = jnp.exp(-jnp.log(jnp.asarray(_SLOWEST, wide)) * share)
    return (positions.astype(wide)[:, None] * frequency[None]).astype(dtype)
