"""What a fit of an auto-encoder brings down."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from tendency.cell import Constant
from tendency.errors import InputError
from tendency.windows import Window


class AutoEncoding(eqx.Module):
    """Σ w (D(E(x)) - x)² / (s² Σ w) + β KL: reconstruction, and what z costs.

    The first is a mean over the times and components of a window, the second over its
    times: KL = ½ Σ (μ² + v - log v - 1), of the law N(μ, v) of a variational z against
    N(0, 1), divided by the number of components of the state, so that with a β of 1
    both are of one number of the state. With a key z is drawn, without it is the mean.

    `Descent` fits an auto-encoder with it as it fits a cell.

    Arguments:
        scale: s, of the errors [units of the state].
        beta: weight of the second, which a plain auto-encoder does not have.

    Source: Kingma & Welling (2014, arXiv:1312.6114), eq. 10; Higgins et al. (2017) for
    β.

    Raises:
        InputError: a negative beta.
    """

    scale: Constant | None = None
    beta: float = eqx.field(static=True, default=1.0)

    def __check_init__(self):
        if not self.beta >= 0:
            raise InputError(
                f"beta is {self.beta}, 0 or more was expected: 0 leaves out z"
            )

    def __call__(
        self, codec: Any, window: Window, *, key: PRNGKeyArray | None = None
    ) -> Float[Array, ""]:
        """The mean over the window; the forcing is not read."""
        if not hasattr(codec, "encode"):
            raise InputError(
                f"{type(codec).__name__} is no auto-encoder: give a RolloutLoss for a "
                "cell"
            )
        states, weights = window.states, window.weights
        count = states.shape[0]
        keys = None if key is None else jax.random.split(key, count)
        told, cost = jax.vmap(lambda x, k: self._one(codec, x, k))(states, keys)
        errors = told - states
        if self.scale is not None:
            errors = errors / jnp.broadcast_to(self.scale.value, errors.shape)
        if weights is None:
            return jnp.mean(errors**2) + self.beta * jnp.mean(cost)
        shape = weights.shape + (1,) * (errors.ndim - weights.ndim)
        w = jnp.broadcast_to(weights.reshape(shape), errors.shape).astype(errors.dtype)
        total = jnp.sum(w)
        missed = jnp.sum(w * errors**2) / jnp.where(total > 0, total, 1)
        return missed + self.beta * jnp.mean(cost)

    def _one(self, codec: Any, state: Array, key: PRNGKeyArray | None):
        z, log_variance = codec.encode(state), codec.spread(state)
        if log_variance is None:
            return codec.decode(z), jnp.zeros((), z.dtype)
        variance = jnp.exp(log_variance)
        cost = 0.5 * jnp.sum(z**2 + variance - log_variance - 1) / state.size
        if key is not None:
            z = z + jnp.sqrt(variance) * jax.random.normal(key, z.shape, z.dtype)
        return codec.decode(z), cost
