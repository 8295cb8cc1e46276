"""What the networks are made of: a dense layer, initial weights, checks of sizes."""

import functools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from tendency.errors import InputError

Activation = Callable[[Array], Array]


def float_type(dtype: DTypeLike | None) -> DTypeLike:
    """`dtype`, or JAX's default floating type where it is `None`."""
    return jnp.dtype(jnp.result_type(float) if dtype is None else dtype)


def single_at_least(dtype: DTypeLike) -> DTypeLike:
    """`dtype`, or single precision where it has fewer digits: for sums and angles."""
    return jnp.float32 if jnp.finfo(dtype).bits < 32 else jnp.dtype(dtype)


def drawn(
    of: Callable[..., Array],
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    scale: Any = 1.0,
) -> Float[Array, "*shape"]:
    """`scale * of(key, shape, dtype)`, with `of` the normal law or a uniform one.

    Each new shape would have a program of its own compiled, which takes longer than all
    else in making a network. A number depends on its place alone, so that the first of
    a longer vector are the same: few lengths serve all shapes.
    """
    by_place = jax.config.jax_threefry_partitionable  # pyright: ignore
    if (
        isinstance(key, Tracer)
        or not by_place
        or str(jax.random.key_impl(key)) != "threefry2x32"
    ):
        return jnp.asarray(scale, dtype) * of(key, shape, dtype)
    count = math.prod(shape)
    many = np.asarray(of(key, (max(64, 1 << (count - 1).bit_length()),), dtype))
    return jnp.asarray(np.asarray(scale, dtype) * many[:count].reshape(shape))


def glorot(
    key: PRNGKeyArray, inputs: int, outputs: int, dtype: DTypeLike | None = None
) -> Float[Array, "inputs outputs"]:
    """Uniform weights of variance 2 / (inputs + outputs).

    Source: Glorot & Bengio (2010, AISTATS 9, 249), eq. 16.
    """
    dtype = float_type(dtype)
    variance = np.asarray(2 / (inputs + outputs), dtype)
    bound = np.sqrt(np.asarray(3, dtype) * variance)
    return drawn(_around_zero, key, (inputs, outputs), dtype, bound)


def _around_zero(key, shape, dtype):
    return jax.random.uniform(key, shape, dtype, -1.0)


class Dense(eqx.Module):
    """y = x W + b; with the inputs first in W, a batch needs no transposition."""

    weight: Float[Array, "inputs outputs"]
    bias: Float[Array, " outputs"]

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Glorot weights, no bias.

        Raises:
            InputError: a size is below 1.
        """
        at_least(1, inputs=inputs, outputs=outputs)
        self.weight = glorot(key, inputs, outputs, dtype)
        self.bias = jnp.zeros(outputs, float_type(dtype))

    def __call__(self, x: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        return product(x, self.weight) + self.bias


def product(
    x: Float[Array, " inputs"], weight: Float[Array, "inputs outputs"]
) -> Float[Array, " outputs"]:
    """The product x W; of a very small W, where no derivative is asked for, as a sum.

    Calling a matrix product costs more than its numbers then: a step of Lorenz-63's
    bilinear model takes half the time, of a batch of 100 an eighth. The derivatives of
    that sum would be slow, so that they have forms of their own.
    """
    return _written_out(x, weight) if weight.size <= 64 else x @ weight


@jax.custom_jvp
def _written_out(x, weight):
    terms = (x[i] * weight[i] for i in range(weight.shape[0]))
    return functools.reduce(jnp.add, terms)


@_written_out.defjvp
def _derivative(primals, tangents):
    # Each form is quick in a batch of tangents (least squares, a fifth less time than
    # with products) and transposed (descent, a third less).
    x, weight = primals
    dx, dweight = tangents
    y = jnp.sum(x[:, None] * weight, axis=0)
    parts = zip(jnp.split(dx, dx.shape[0]), weight, strict=True)
    moved = functools.reduce(jnp.add, (part * row for part, row in parts))
    return y, moved + x @ dweight


def at_least(least: int, **counts: int) -> None:
    """Raise `InputError` for the first of `counts` that is below `least`."""
    for name, count in counts.items():
        if count < least:
            raise InputError(f"{name} is {count}, at least {least} was expected")


def check_step(dt: float, spin_up_steps: int = 0) -> None:
    """Raise `InputError` for a step that is not positive, or a negative spin-up."""
    if not (math.isfinite(dt) and dt > 0):
        raise InputError(
            f"dt is {dt}, a positive step was expected: give the time between states"
        )
    at_least(0, spin_up_steps=spin_up_steps)
