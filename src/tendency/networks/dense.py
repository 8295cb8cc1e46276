"""What the networks are made of: a dense layer, initial weights, checks of sizes."""

import functools
import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from tendency.errors import InputError

Activation = Callable[[Array], Array]


def float_type(dtype: DTypeLike | None) -> DTypeLike:
    """`dtype`, or JAX's default floating type where it is `None`."""
    return jnp.dtype(jnp.result_type(float) if dtype is None else dtype)


def single_at_least(dtype: DTypeLike) -> DTypeLike:
    """`dtype`, or single precision where it has fewer digits: for sums and angles."""
    return jnp.float32 if jnp.finfo(dtype).bits < 32 else jnp.dtype(dtype)


def glorot(
    key: PRNGKeyArray, inputs: int, outputs: int, dtype: DTypeLike | None = None
) -> Float[Array, "inputs outputs"]:
    """Uniform weights of variance 2 / (inputs + outputs).

    Source: Glorot & Bengio (2010, AISTATS 9, 249), eq. 16.
    """
    initialise = jax.nn.initializers.glorot_uniform()
    return initialise(key, (inputs, outputs), float_type(dtype))


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
