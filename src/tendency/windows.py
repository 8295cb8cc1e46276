"""Floor 2: training samples, cut on the device from series that are stored once.

`Windows` holds the series and where each sample starts; `take` cuts one `Window`.
"""

from collections.abc import Sequence
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

from tendency.errors import InputError


class Window(eqx.Module):
    """A stretch of consecutive states: a history to spin up on, then what came after.

    `forcing` is given at the times of the states; `weights` broadcast against them, and
    zero marks what is missing. `initial`, where it is not `None`, is the state that the
    roll-out starts from in place of the observed one (multiple shooting).
    """

    states: PyTree[Array]  # (time, *state)
    forcing: PyTree[Array] = None  # (time, ...)
    weights: PyTree[Array] = None  # (time, ...)
    initial: PyTree[Array] = None  # (*state)


class Windows(eqx.Module):
    """Every window of `length` times that starts at one of `starts`."""

    states: PyTree[Array]  # (time, *state)
    forcing: PyTree[Array]  # (time, ...) or None
    weights: PyTree[Array]  # (time, ...) or None
    starts: Int[Array, " window"]
    length: int = eqx.field(static=True)

    @classmethod
    def of(
        cls,
        states: PyTree[Array | np.ndarray],
        length: int,
        *,
        forcing: PyTree[Array | np.ndarray] = None,
        weights: PyTree[Array | np.ndarray] = None,
        stride: int = 1,
        segments: Sequence[int] | None = None,
    ) -> Self:
        """Windows of `length` times, one every `stride` times.

        `segments` are the lengths of contiguous stretches that were joined into the
        series (trajectories, or a record cut at its gaps); no window crosses a joint.
        A window whose weights are all zero is left out.

        Raises:
            InputError: too few times; NaN in the states where no weight is zero, or
                in the forcing; a negative weight; arrays of different lengths.
        """
        sizes = {np.shape(a)[0] for a in jax.tree.leaves((states, forcing, weights))}
        if len(sizes) != 1:
            raise InputError(
                f"states, forcing and weights have {sorted(sizes)} times, the same "
                "number was expected: cut them to a common period"
            )
        size = sizes.pop()
        starts = window_starts(size, length, stride, segments)
        _check_forcing(forcing)
        _check_weights(weights)
        states, weights = _filled(states, weights)
        if weights is not None:
            seen = np.zeros(size, bool)
            for w in jax.tree.leaves(weights):
                seen |= np.asarray(w > 0).reshape(size, -1).any(1)
            counts = np.concatenate([[0], np.cumsum(seen)])
            starts = starts[counts[starts + length] > counts[starts]]
            if starts.size == 0:
                raise InputError(
                    "every window is masked from end to end, at least one valid value "
                    "was expected: check the mask and the missing values"
                )
        return cls(
            jax.tree.map(jnp.asarray, states),
            jax.tree.map(jnp.asarray, forcing),
            jax.tree.map(jnp.asarray, weights),
            jnp.asarray(starts, jnp.int32),
            length,
        )

    def __len__(self) -> int:
        return self.starts.shape[0]

    @property
    def bytes_of_window(self) -> int:
        """Of the states, the forcing and the weights of one."""
        leaves = jax.tree.leaves((self.states, self.forcing, self.weights))
        return sum(self.length * (a.nbytes // a.shape[0]) for a in leaves)

    def take(self, index: int | Array) -> Window:
        """The window at `index`; batch with `jax.vmap`."""
        start = self.starts[index]

        def cut(series):
            return jax.lax.dynamic_slice_in_dim(series, start, self.length)

        return Window(
            *(jax.tree.map(cut, s) for s in (self.states, self.forcing, self.weights))
        )

    def all(self) -> Window:
        """Every window, stacked along a leading axis."""
        return jax.vmap(self.take)(jnp.arange(len(self)))


def window_starts(
    size: int, length: int, stride: int, segments: Sequence[int] | None
) -> Int[np.ndarray, " window"]:
    """Where the windows of a series of `size` times start, none across a joint.

    Raises:
        InputError: too few times, or segments that are not of the series.
    """
    segments = [size] if segments is None else list(segments)
    if sum(segments) != size:
        raise InputError(
            f"the segments hold {sum(segments)} times and the series {size}: give "
            "the length of each contiguous stretch"
        )
    if length < 1 or stride < 1:
        raise InputError(
            f"a window of {length} times every {stride} was asked for, both must "
            "be at least 1"
        )
    ends = np.cumsum(segments)
    starts = np.concatenate(
        [
            np.arange(end - n, end - length + 1, stride)
            for n, end in zip(segments, ends, strict=True)
        ]
    )
    if starts.size == 0:
        raise InputError(
            f"the longest contiguous stretch has {max(segments)} times and a "
            f"window needs {length}: give a longer series, or a shorter history "
            "or horizon"
        )
    return starts


def _check_forcing(forcing: PyTree) -> None:
    for leaf in jax.tree.leaves(forcing):
        bad = ~np.isfinite(np.asarray(leaf))
        if bad.any():
            raise InputError(
                f"the forcing holds {bad.sum()} NaN or infinite values, the first at "
                f"time index {np.argwhere(bad)[0][0]}: fill them, weights serve the "
                "states alone"
            )


def _check_weights(weights: PyTree) -> None:
    for leaf in jax.tree.leaves(weights):
        bad = ~(np.isfinite(np.asarray(leaf)) & (np.asarray(leaf) >= 0))
        if bad.any():
            raise InputError(
                f"{bad.sum()} weights are negative or not finite, the first at time "
                f"index {np.argwhere(bad)[0][0]}: give zero where a value is missing"
            )


def _filled(states: PyTree, weights: PyTree) -> tuple[PyTree, PyTree]:
    """States whose missing values are the mean over time: no NaN is computed with."""
    if weights is None:
        for leaf in jax.tree.leaves(states):
            bad = ~np.isfinite(np.asarray(leaf))
            if bad.any():
                raise InputError(
                    f"the training data hold {bad.sum()} NaN or infinite values, the "
                    f"first at time index {np.argwhere(bad)[0][0]}: fill them, or give "
                    "weights that are zero there"
                )
        return states, weights

    def fill(x, w):
        x = np.asarray(x)
        w = np.asarray(w)
        try:
            wide = w.reshape(w.shape + (1,) * (x.ndim - w.ndim))
            seen = np.broadcast_to(wide, x.shape)
        except ValueError:
            raise InputError(
                f"the weights have shape {w.shape} and the states {x.shape}, the same "
                "or the first axes of it were expected: give weights of the same grid"
            ) from None
        if (~np.isfinite(x) & (seen > 0)).any():
            index = np.argwhere(~np.isfinite(x) & (seen > 0))[0][0]
            raise InputError(
                f"a state is NaN or infinite at time index {index} where its weight is "
                "not zero: set the weight to zero there"
            )
        finite = np.isfinite(x)
        count = np.maximum(finite.sum(0), 1)
        mean = np.where(finite, x, 0).sum(0) / count
        return np.where(finite, x, mean).astype(x.dtype)

    if len(jax.tree.leaves(weights)) == 1:
        (weight,) = jax.tree.leaves(weights)
        return jax.tree.map(lambda x: fill(x, weight), states), weights
    return jax.tree.map(fill, states, weights), weights
