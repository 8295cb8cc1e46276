"""What is seen of the rain in a frame that moves with it.

In that frame rain does not move, it grows and decays: what a network has to learn from
a few hours of one radar. Every feature is isotropic: there are no directions to learn.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from tendency.statistical.advection import (
    Flow,
    carried,
    departures,
    estimated_flow,
    smoothed,
)

SCALES = (0, 2, 4, 8, 16)  # [cells], of the means of the last field
FLOW_SCALES = (8.0, 4.0)  # [cells]
_APART = 100  # [cells] between the controls of the flow: a continent has many
PAIRS = 3  # pairs of fields that it is estimated from
_KNOWN = 8  # [cells], of the mean of what is known
FEATURES = len(SCALES) + 5


class Moving(NamedTuple):
    """The rain of one start, and where it goes."""

    flow: Flow  # [cells a step]
    maps: Float[Array, "feature row column"]


def logarithm(rate: Float[Array, "*map"]) -> Float[Array, "*map"]:
    """log(1 + R / 0.1) / log(11): 0 where it is dry, 1 at 1 mm/h."""
    return jnp.log1p(rate / 0.1) / jnp.log(11.0).astype(rate.dtype)


@jax.jit
def moving(
    rate: Float[Array, "time row column"], seen: Bool[Array, "row column"]
) -> Moving:
    """The frame of a start, whose last field ends `rate` [mm / h].

    The maps are means of the last field over circles of several sizes, the mean of all
    fields and their trend along the flow, and where the radar sees.
    """
    z, known = logarithm(rate), seen.astype(rate.dtype)
    controls = max(3, round(max(seen.shape) / _APART) + 1)
    flow = estimated_flow(
        z[-PAIRS - 1 :], seen, controls=controls, scales=FLOW_SCALES, iterations=3
    )
    past = departures(flow, len(rate) - 1)
    bring = jax.vmap(lambda f, p: carried(f, p))
    # The oldest field has come farthest.
    here = jnp.concatenate([z[-1:], bring(z[-2::-1], past)])
    there = jnp.concatenate([known[None], jax.vmap(lambda p: carried(known, p))(past)])
    mean = _weighted(here, there)
    half = len(rate) // 2
    trend = _weighted(here[:half], there[:half]) - _weighted(here[half:], there[half:])
    maps = [smoothed(z[-1], known, s) for s in SCALES]
    maps += [smoothed(mean, known, 2), smoothed(trend, known, 4), known]
    return Moving(flow, jnp.stack(maps))


sources = jax.jit(departures, static_argnames="steps")


def features(now: Moving, lead: Float[Array, ""], points: Array) -> Array:
    """(feature, row, column): the maps as they arrive after a lead.

    Then how much is known of what is upstream, and the logarithm of the lead.

    Arguments:
        lead: [min].
        points: where what arrives comes from.
    """
    arrived = jax.vmap(lambda f: carried(f, points))(now.maps)
    around = smoothed(arrived[-1], jnp.ones_like(arrived[-1]), _KNOWN)
    when = jnp.full_like(around, jnp.log(lead).astype(around.dtype) / 5)
    return jnp.concatenate([arrived, jnp.stack([around, when])])


def _weighted(fields: Array, weights: Array) -> Array:
    return (fields * weights).sum(0) / jnp.maximum(weights.sum(0), 1e-3)
