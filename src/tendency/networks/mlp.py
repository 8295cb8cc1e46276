"""A tendency by dense layers."""

from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray, PyTree

from tendency.cell import Standardisation
from tendency.networks.dense import Activation, Dense, at_least
from tendency.networks.scaling import Scaling


class MLP(eqx.Module):
    """dx/dt = s ⊙ (Wₘ f(... f(W₁ [z, forcing] + b₁) ...) + bₘ).

    Here z is the standardised state, and s, the `tendency_std`, should be the size of
    the tendencies [units of the state per time]: the last layer then gives numbers near
    one, and the same learning rate serves any system. A forcing is read where the
    scheme asks for it.

    Arguments:
        size: components of the state.
        width: units of each hidden layer.
        depth: hidden layers; 0 is linear.
        activation: f, of one number.
        forcing_size: numbers that the forcing holds at one time; 0 leaves it unread.
    """

    layers: tuple[Dense, ...]
    scaling: Scaling
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        size: int,
        width: int,
        depth: int = 2,
        activation: Activation = jnp.tanh,
        *,
        standardisation: Standardisation | None = None,
        tendency_std: Float[Array, "..."] | None = None,
        forcing_size: int = 0,
        forcing_standardisation: Standardisation | None = None,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Glorot weights; statistics not given are mean zero and deviation one.

        Raises:
            InputError: a size is impossible, or not that of the statistics.
        """
        at_least(1, size=size, width=width)
        at_least(0, depth=depth)
        self.scaling = Scaling(
            size,
            standardisation,
            tendency_std,
            forcing_size,
            forcing_standardisation,
            dtype=dtype,
        )
        sizes = (size + forcing_size, *(width,) * depth, size)
        keys = jax.random.split(key, depth + 1)
        self.layers = tuple(
            Dense(n, m, dtype=dtype, key=k)
            for n, m, k in zip(sizes[:-1], sizes[1:], keys, strict=True)
        )
        self.activation = activation

    @classmethod
    def of(
        cls,
        samples: Float[Array, "time size"],
        width: int,
        depth: int = 2,
        activation: Activation = jnp.tanh,
        *,
        dt: float | None = None,
        forcing: Float[Array, "time inputs"] | None = None,
        key: PRNGKeyArray,
    ) -> Self:
        """With the size, the statistics and the type of `samples`, time first.

        Arguments:
            dt: the time between two samples, from whose differences the size of the
                tendencies is found; without it, one standard deviation a unit of time.
            forcing: at the times of the samples.
        """
        samples = jnp.asarray(samples)
        standardisation = Standardisation.of(samples)
        speed = standardisation.std.value
        if dt is not None:
            speed = Standardisation.of(jnp.diff(samples, axis=0) / dt).std.value
        return cls(
            samples.shape[1],
            width,
            depth,
            activation,
            standardisation=standardisation,
            tendency_std=speed,
            forcing_size=0 if forcing is None else forcing.shape[1],
            forcing_standardisation=(
                None if forcing is None else Standardisation.of(forcing)
            ),
            dtype=samples.dtype,
            key=key,
        )

    def __call__(
        self, state: Float[Array, " size"], forcing: PyTree = None
    ) -> Float[Array, " size"]:
        x = self.scaling.inputs(state, forcing)
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        x = self.layers[-1](x)
        return (self.scaling.output_std.value * x).astype(state.dtype)
