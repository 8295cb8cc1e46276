"""The diagnostics of an analysis that minimised a cost."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from tendency.assimilation.method import Diagnostics
from tendency.observing import Observation


def judged(
    observation: Observation,
    innovation: Float[Array, " obs"],
    residual: Float[Array, " obs"],
    variance: Float[Array, " obs"],
    misfit: Float[Array, ""],
    log_det: Float[Array, ""],
    failed: Bool[Array, " member"],
) -> Diagnostics:
    """Diagnostics of one time.

    Arguments:
        variance: the diagonal of H Pᵇ Hᵀ.
        misfit, log_det: of the whitened innovation, given the times before.
    """
    error, seen = observation.error, observation.seen
    count = jnp.sum(seen).astype(misfit.dtype)
    total = misfit + log_det + error.log_determinant(seen).astype(misfit.dtype)
    return Diagnostics(
        innovation,
        variance + error.variances().astype(variance.dtype),
        residual,
        misfit,
        -0.5 * (total + count * jnp.log(2 * jnp.pi).astype(misfit.dtype)),
        failed,
    )


def unknown_like(x: Array) -> Array:
    """NaN: what a method without matrices does not tell."""
    return jnp.full_like(x, jnp.nan)
