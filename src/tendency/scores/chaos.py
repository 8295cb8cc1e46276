"""Scores of chaotic dynamics, where an error at a fixed lead says little.

How long a forecast stays valid, how fast neighbouring states part, and how far the
statistics of a free run are from those of the truth.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tendency.cell import AbstractCell, Carry


def valid_prediction_time(
    errors: Float[Array, "time *case"], dt: float, threshold: float = 0.4
) -> Float[Array, "*case"]:
    """The lead time at which an error first exceeds the threshold.

    Arguments:
        errors: |forecast - truth| over the climatological standard deviation of the
            whole state, √Σ var; the first is that after one step. NaN is an error.
        dt: the time between two errors; divide by the Lyapunov time for the unit of
            the literature.

    A forecast that stays valid to the end scores the length of the series.
    """
    wrong = ~(errors <= threshold)
    steps = jnp.where(wrong.any(0), jnp.argmax(wrong, 0) + 1, errors.shape[0])
    return steps.astype(errors.dtype) * dt


def lyapunov_exponent(
    cell: AbstractCell, carry: Carry, steps: int, discard: int
) -> Float[Array, ""]:
    """The leading Lyapunov exponent along a free run [1 / time unit of the cell].

    Carries a tangent vector of the whole carry through `steps` after `discard` ones,
    rescaled at each (Benettin et al. 1980, Meccanica 15, 9).
    """
    moving, fixed = eqx.partition(carry, eqx.is_inexact_array)
    tangent = jax.tree.map(jnp.ones_like, moving)

    def advance(now, _):
        moving, fixed, tangent = now

        def step(moving):
            new = cell.step(eqx.combine(moving, fixed))
            return eqx.partition(new, eqx.is_inexact_array)

        moving, tangent, fixed = jax.jvp(step, (moving,), (tangent,), has_aux=True)
        leaves = jax.tree.leaves(tangent)
        size = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in leaves))  # pyright: ignore
        tangent = jax.tree.map(lambda leaf: leaf / size, tangent)
        return (moving, fixed, tangent), jnp.log(size)

    start = (moving, fixed, tangent)
    _, growth = jax.lax.scan(advance, start, length=discard + steps)
    return growth[discard:].mean() / cell.dt


def quantile_distance(
    sample: Float[Array, "draw *state"], truth: Float[Array, "time *state"]
) -> Float[Array, "*state"]:
    """The mean distance of the quantiles of two samples, a component at a time.

    This is the Wasserstein-1 distance of the two marginal distributions, by 200
    quantiles, in the units of the state.
    """
    levels = (jnp.arange(200, dtype=truth.dtype) + 0.5) / 200
    ours, theirs = (jnp.quantile(x, levels, axis=0) for x in (sample, truth))
    return jnp.abs(ours - theirs).mean(0)
