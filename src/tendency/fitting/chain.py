"""Observed series laid end to end: the states of a joint fit, and what ties them."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from tendency.cell import Ramp
from tendency.errors import InputError
from tendency.forecasting import forcing_is_ramped
from tendency.observing import DiagonalCovariance, Observations


class Chain(eqx.Module):
    """The states of all series, from the first observation of each to its last.

    Between the last state of a series and the first of the next there is no model.
    """

    observations: Observations  # of all series, at the places of their states
    linked: Float[Array, " link"]  # 1 where a step of the model leads to the next, or 0
    forcing: PyTree[Array]  # of each step
    lengths: tuple[int, ...] = eqx.field(static=True)  # states of each series

    @property
    def places(self) -> Int[Array | np.ndarray, " time"]:
        """Which state each row of observations is of."""
        return self.observations.steps

    def split(self, states: PyTree[Array]) -> list[PyTree[Array]]:
        """The states of each series."""
        ends = np.cumsum(self.lengths)
        return [
            jax.tree.map(lambda a, i=i, j=j: a[i:j], states)
            for i, j in zip(ends - self.lengths, ends, strict=True)
        ]


def chain_of(series: Sequence[Observations], forcings: Sequence[Any] | None) -> Chain:
    """Join series that have the same operator.

    Arguments:
        forcings: of each series, from its step 0 to its last observation, held over the
            steps or at their ends.

    Raises:
        InputError: no series, one of a single time, operators or error covariances that
            differ, a forcing of another length.
    """
    if not series:
        raise InputError("no series of observations was given, at least 1 was expected")
    steps = [np.asarray(s.steps) for s in series]
    lengths = tuple(int(s[-1] - s[0]) + 1 for s in steps)
    for i, length in enumerate(lengths):
        if length < 2:
            raise InputError(
                f"series {i} holds observations of one time only, at least 2 times were"
                " expected: leave it out"
            )
    starts = np.cumsum((0, *lengths[:-1]))
    places = np.concatenate([p + s - s[0] for p, s in zip(starts, steps, strict=True)])
    linked = np.ones(sum(lengths) - 1)
    linked[starts[1:] - 1] = 0
    forcing = None
    if forcings is not None:
        if len(forcings) != len(series):
            raise InputError(
                f"there are {len(forcings)} forcings and {len(series)} series of "
                "observations: give one a series"
            )
        pieces = [_ramps(f, s) for f, s in zip(forcings, steps, strict=True)]
        gaps = [jax.tree.map(lambda a: a[-1:], piece) for piece in pieces[:-1]]
        between = [part for pair in zip(pieces, gaps, strict=False) for part in pair]
        forcing = _concatenated([*between, pieces[-1]])
    return Chain(_joined(series, places), jnp.asarray(linked), forcing, lengths)


def _ramps(forcing: Any, steps: np.ndarray) -> PyTree[Array]:
    """The forcing of each step from the first observation to the last."""
    forcing = jax.tree.map(jnp.asarray, forcing)
    try:
        ramped = forcing_is_ramped(forcing, int(steps[-1]))
    except ValueError as error:
        raise InputError(str(error)) from error
    first, last = int(steps[0]), int(steps[-1])
    here = jax.tree.map(lambda a: a[first:last], forcing)
    if not ramped:
        return here
    ends = jax.tree.map(lambda a: a[first + 1 : last + 1], forcing)
    return Ramp(here, ends)


def _joined(series: Sequence[Observations], places: np.ndarray) -> Observations:
    first = series[0]
    if len(series) == 1:
        return Observations(
            first.values,
            first.seen,
            places.astype(np.int32),
            first.operator,
            first.error,
            first.arguments,
        )
    for i, other in enumerate(series):
        if other.values.shape[1] != first.values.shape[1] or not eqx.tree_equal(
            other.operator, first.operator
        ):
            raise InputError(
                f"series {i} has another observation operator than series 0, the same "
                "was expected: mark what one of them lacks as NaN"
            )
    error: Any = first.error
    if all(isinstance(s.error, DiagonalCovariance) for s in series):
        variances = (
            jnp.broadcast_to(s.error.variances(), s.values.shape) for s in series
        )
        error = DiagonalCovariance(jnp.concatenate(list(variances)))
    elif not all(bool(eqx.tree_equal(s.error, first.error)) for s in series):
        raise InputError(
            "the error covariances of the series differ: give diagonal ones, or the "
            "same to all"
        )
    return Observations(
        jnp.concatenate([s.values for s in series]),
        jnp.concatenate([s.seen for s in series]),
        places.astype(np.int32),
        first.operator,
        error,
        _concatenated([s.arguments for s in series]),
    )


def _concatenated(parts: list[PyTree[Array]]) -> PyTree[Array]:
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
