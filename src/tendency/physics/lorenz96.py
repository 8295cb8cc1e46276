"""The Lorenz-96 equations."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree


class Lorenz96(eqx.Module):
    """Waves around a latitude circle: Lorenz (1996, ECMWF Seminar on Predictability).

    dxᵢ/dt = (xᵢ₊₁ - xᵢ₋₂) xᵢ₋₁ - xᵢ + F, periodic in i, without units; a unit of time
    stands for five days. With F = 8 and 40 variables the flow is chaotic. A forcing
    given to the step is added to F.
    """

    force: Float[Array, "..."] = eqx.field(default=8.0, converter=jnp.asarray)

    def __call__(
        self, state: Float[Array, " n"], forcing: Float[Array, "..."] | None = None
    ) -> Float[Array, " n"]:
        ahead, behind = jnp.roll(state, -1), jnp.roll(state, 1)
        advection = (ahead - jnp.roll(state, 2)) * behind
        extra: PyTree = 0.0 if forcing is None else forcing
        return advection - state + self.force + extra
