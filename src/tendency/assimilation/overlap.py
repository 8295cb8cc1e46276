"""The times that a window shares with the one before, in an assimilation in parts.

Observations, gaps and forcing of the overlap are kept from one part to the next, where
they stand before those of the part.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

from tendency.assimilation.method import Run
from tendency.observing import Observations


class Past(eqx.Module):
    """What a later window reaches back to, where an assimilation is in parts."""

    observations: PyTree[Array]  # those of the overlap, as `_moving` has them
    gaps: Int[Array, " overlap"]
    forcing: PyTree[Array]


def _moving(observations: Observations) -> tuple[PyTree, Callable[[Any], Any]]:
    """What varies from time to time, and how to put another in its place."""
    wide = observations.error.variances().ndim == 2
    places = observations.positions
    moving = places is not None and places.ndim == 3

    def parts(o):
        return (
            o.values,
            o.seen,
            o.arguments,
            o.error if wide else None,
            o.positions if moving else None,
        )

    def rebuilt(new):
        values, seen, arguments, error, positions = new
        return dataclasses.replace(
            observations,
            values=values,
            seen=seen,
            steps=np.arange(len(values), dtype=np.int32),  # the gaps of the run count
            arguments=arguments,
            error=error if wide else observations.error,
            positions=positions if moving else places,
        )

    return parts(observations), rebuilt


def joined(run: Run, past: Past | None, overlap: int, step: Any):
    """A run with the times of the overlap before its own.

    Where there is no past they stand at the prior, and nothing is observed there.
    Returns it, the step of the model at which it begins, and the step to which the
    first entry of its forcing belongs.
    """
    first, offset = jnp.asarray(step), jnp.asarray(step)
    if not overlap:
        return run, first, offset
    own, rebuilt = _moving(run.observations)
    forcing = run.forcing
    if past is None:
        before = jax.tree.map(lambda a: jnp.repeat(a[:1], overlap, 0), own)
        before = eqx.tree_at(lambda b: b[1], before, jnp.zeros_like(before[1]))
        gaps = jnp.zeros(overlap, run.gaps.dtype)
    else:
        before, gaps = past.observations, past.gaps
        first = first - jnp.sum(gaps, dtype=first.dtype)
        if forcing is not None:
            kept = jax.tree.leaves(past.forcing)[0].shape[0]
            offset = offset - kept
            forcing = jax.tree.map(
                lambda a, b: jnp.concatenate([a, b]), past.forcing, forcing
            )
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), before, own)
    whole = dataclasses.replace(
        run,
        observations=rebuilt(both),
        forcing=forcing,
        gaps=jnp.concatenate([gaps, run.gaps]),
        even=False,
    )
    return whole, first, offset


def past_of(run: Run, overlap: int, offset: Array, ends: Int[Array, " time"]) -> Past:
    """What a later run needs of this one."""
    parts, _ = _moving(run.observations)
    parts, gaps = jax.tree.map(lambda a: a[-overlap:], (parts, run.gaps))
    forcing = run.forcing
    if forcing is not None:
        size = overlap * run.longest
        index = ends[-1] - offset - size + jnp.arange(size, dtype=ends.dtype)
        forcing = jax.tree.map(lambda a: a[jnp.maximum(index, 0)], forcing)
    return Past(parts, gaps, forcing)
