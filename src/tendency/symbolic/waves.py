"""Floor 1: transforms in which differences between walls are products.

Each axis is expanded in waves that obey its boundary conditions, half a step beyond the
first and the last value: `fourier` where it is periodic, `sine` where the field is zero
there, `cosine` where its slope is. The sums are found by fast Fourier transforms of as
many points (Makhoul, 1980, IEEE Trans. Acoust. 28, 27).
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

Weights = Sequence[tuple[int, int]]  # distance [grid steps], whole weight


def fourier(a: Array, axes: Sequence[int]) -> Array:
    """The transform of a real array along some axes, the last of them halved."""
    return jnp.fft.rfftn(a, axes=axes)


def fourier_back(a: Array, shape: Sequence[int], axes: Sequence[int]) -> Array:
    """The real array, of this shape along the axes, whose `fourier` it is."""
    return jnp.fft.irfftn(a, s=shape, axes=axes)


def cosine(a: Array, axis: int) -> Array:
    """Σ a_j cos(π k (2 j + 1) / 2 n), k = 0 to n - 1."""
    a = jnp.moveaxis(a, axis, -1)
    n = a.shape[-1]
    folded = jnp.concatenate([a[..., ::2], a[..., 1::2][..., ::-1]], -1)
    hat = jnp.fft.rfft(folded)
    turn = np.exp(-0.5j * np.pi * np.arange(n // 2 + 1) / n)
    turn = turn.reshape((1,) * (a.ndim - 1) + (-1,))
    hat = hat * jnp.asarray(turn, hat.dtype)
    rest = -hat.imag[..., 1 : (n + 1) // 2][..., ::-1]
    return jnp.moveaxis(jnp.concatenate([hat.real, rest], -1), -1, axis)


def cosine_back(a: Array, axis: int) -> Array:
    """The values whose `cosine` it is."""
    a = jnp.moveaxis(a, axis, -1)
    n = a.shape[-1]
    real = a[..., : n // 2 + 1]
    imaginary = a[..., (n + 1) // 2 :][..., ::-1]  # of k = 1 to n // 2
    imaginary = jnp.concatenate([jnp.zeros_like(a[..., :1]), -imaginary], -1)
    hat = jax.lax.complex(real, imaginary)
    turn = np.exp(0.5j * np.pi * np.arange(n // 2 + 1) / n)
    turn = turn.reshape((1,) * (a.ndim - 1) + (-1,))
    folded = jnp.fft.irfft(hat * jnp.asarray(turn, hat.dtype), n)
    half = (n + 1) // 2
    even, odd = folded[..., :half], folded[..., half:][..., ::-1]
    if n % 2:
        odd = jnp.concatenate([odd, jnp.zeros_like(even[..., :1])], -1)
    both = jnp.stack([even, odd], -1).reshape(*a.shape[:-1], 2 * half)
    return jnp.moveaxis(both[..., :n], -1, axis)


def sine(a: Array, axis: int) -> Array:
    """Σ a_j sin(π k (2 j + 1) / 2 n), k = 1 to n."""
    return jnp.flip(cosine(alternating(a, axis), axis), axis)


def sine_back(a: Array, axis: int) -> Array:
    """The values whose `sine` it is."""
    return alternating(cosine_back(jnp.flip(a, axis), axis), axis)


def alternating(a: Array, axis: int) -> Array:
    """Every other value with the other sign."""
    signs = np.where(np.arange(a.shape[axis]) % 2, -1.0, 1.0)
    signs = signs.reshape((-1,) + (1,) * (-1 - axis))
    return a * jnp.asarray(signs.reshape((1,) * (a.ndim + axis) + signs.shape), a.dtype)


def eigenvalue(
    shape: tuple[int, ...],
    kind: str,
    points: int,
    halved: bool,
    weights: Weights,
    *,
    dtype: Any,
) -> Array:
    """Σ w cos(j θ): a symmetric difference of each wave along an axis, over the wave.

    Arguments:
        halved: of an axis whose negative wavenumbers are left out.
        weights: (j, w), those of both sides together.
    """
    k = np.arange(points) + (kind == "sine")
    if kind == "fourier":
        k = np.arange(points // 2 + 1) if halved else np.fft.fftfreq(points, 1 / points)
        k = 2 * k
    total = sum(w * np.cos(j * np.pi * k / points) for j, w in weights)
    return jnp.asarray(np.reshape(total, shape), dtype)
