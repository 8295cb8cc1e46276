"""The convolution that all layers of maps are made of."""

import jax
from jaxtyping import Array, Float


def convolve(
    x: Float[Array, "in row column"],
    kernel: Float[Array, "out in height width"],
    stride: int = 1,
) -> Float[Array, "out fewer_row fewer_column"]:
    """y(o, i, j) = Σ K(o, c, a, b) x(c, s i + a, s j + b): nothing beyond the edges.

    As is the custom with networks it is a correlation: the kernel is not turned round.
    """
    return jax.lax.conv(x[None], kernel, (stride, stride), "VALID")[0]
