"""A number of a few others, by dense layers: an unknown term of an equation."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from tendency.cell import Constant
from tendency.errors import InputError
from tendency.networks.dense import Activation, Dense, at_least, float_type


class ScalarMLP(eqx.Module):
    """y = Wₘ f(... f(W₁ (x / scales) + b₁) ...) + bₘ, one number.

    Wₘ starts at zero, so that the term is absent before a fit.

    Arguments:
        inputs: how many numbers x has.
        width: units of each hidden layer.
        depth: hidden layers; 0 is linear.
        activation: f, of one number.
        scales: typical sizes of the components of x, in their units; default: one.

    Raises:
        InputError: a size is impossible, or another number of scales than of inputs.
    """

    layers: tuple[Dense, ...]
    scales: Constant
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        width: int = 16,
        depth: int = 2,
        activation: Activation = jnp.tanh,
        *,
        scales: Float[Array, " inputs"] | tuple[float, ...] | list[float] | None = None,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        at_least(1, inputs=inputs, width=width)
        at_least(0, depth=depth)
        dtype = float_type(dtype)
        found = (
            jnp.ones(inputs, dtype) if scales is None else jnp.asarray(scales, dtype)
        )
        if found.shape != (inputs,) or not bool(jnp.all(found > 0)):
            raise InputError(
                f"the scales of a network of {inputs} inputs are {scales}: as many "
                "positive numbers were expected, the typical sizes of the inputs"
            )
        sizes = (inputs, *(width,) * depth, 1)
        keys = jax.random.split(key, depth + 1)
        layers = [
            Dense(n, m, dtype=dtype, key=k)
            for n, m, k in zip(sizes[:-1], sizes[1:], keys, strict=True)
        ]
        layers[-1] = eqx.tree_at(
            lambda d: d.weight, layers[-1], replace_fn=jnp.zeros_like
        )
        self.layers = tuple(layers)
        self.scales = Constant(found)
        self.activation = activation

    def __call__(self, x: Float[Array, " inputs"]) -> Float[Array, ""]:
        x = x / self.scales.value
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)[0]
