"""The Lorenz-63 equations."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree


class Lorenz63(eqx.Module):
    """Convection in three variables: Lorenz (1963, J. Atmos. Sci. 20, 130), eqs 25-27.

    dx/dt = σ (y - x), dy/dt = x (ρ - z) - y, dz/dt = x y - β z, without units.

    Its three parameters are arrays, so that they can be fitted, assimilated or
    differentiated. At the classical values the leading Lyapunov exponent is 0.9056.
    """

    sigma: Float[Array, ""] = eqx.field(default=10.0, converter=jnp.asarray)
    rho: Float[Array, ""] = eqx.field(default=28.0, converter=jnp.asarray)
    beta: Float[Array, ""] = eqx.field(default=8 / 3, converter=jnp.asarray)

    def __call__(
        self, state: Float[Array, "3"], forcing: PyTree = None
    ) -> Float[Array, "3"]:
        x, y, z = state
        return jnp.stack(
            [self.sigma * (y - x), x * (self.rho - z) - y, x * y - self.beta * z]
        )
