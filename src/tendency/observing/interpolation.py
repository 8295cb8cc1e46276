"""Fields where they are observed: linear interpolation on a grid, any positions."""

import itertools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from tendency.errors import InputError
from tendency.grid import Grid


def _same(state: Any) -> Any:
    return state


class Interpolate(eqx.Module):
    """A field at given positions: linear along each axis (bilinear on a plane).

    Positions are those of the operator, or the `arguments` of the observations, which
    may vary with time: (observed, axis), in the order of the axes of the field. Linear
    in the state, exact for fields that are linear along each axis.

    Arguments:
        axes: the coordinates of the points along each axis, rising or falling.
        periods: of each axis, None where it has none [its units].
        positions: where the field is observed, if that is the same at all times.
        where: picks the field out of the state, the whole of it by default; pass a
            function defined once.

    Raises:
        InputError: axes that are no axes, periods shorter than they are.
    """

    axes: tuple[Float[Array, " points"], ...]
    periods: tuple[float | None, ...] = eqx.field(static=True)
    positions: Float[Array, "obs axis"] | None
    where: Callable[[Any], Any] = eqx.field(static=True)

    def __init__(
        self,
        axes: Any,
        periods: Any = None,
        positions: Any = None,
        where: Callable[[Any], Any] = _same,
    ):
        rows = [np.asarray(axis, float) for axis in axes]
        self.periods = (None,) * len(rows) if periods is None else tuple(periods)
        if len(self.periods) != len(rows):
            raise InputError(
                f"there are {len(rows)} axes and {len(self.periods)} periods: give one "
                "an axis, None where it has none"
            )
        for row, period in zip(rows, self.periods, strict=True):
            _check_axis(row, period)
        self.axes = tuple(jnp.asarray(row) for row in rows)
        self.positions = None if positions is None else jnp.asarray(positions, float)
        self.where = where

    @classmethod
    def on(
        cls, grid: Grid, positions: Any = None, where: Callable[[Any], Any] = _same
    ) -> "Interpolate":
        """Of fields on a grid, whose axes tell points and periods."""
        periods = [a.upper - a.lower if a.periodic else None for a in grid.axes]
        return cls([a.positions() for a in grid.axes], periods, positions, where)

    def __call__(
        self, state: Any, positions: Float[Array, "obs axis"] | None = None
    ) -> Float[Array, " obs"]:
        field = self.where(state)
        if positions is None:
            positions = self.positions
        assert positions is not None  # `check` has refused it
        index, weight = self.corners(positions)
        parts = (
            field[tuple(i)] * w.astype(field.dtype)
            for i, w in zip(index, weight, strict=True)
        )
        return sum(parts, jnp.zeros(len(positions), field.dtype))

    def corners(
        self, positions: Float[Array, "obs axis"]
    ) -> tuple[Int[Array, "corner axis obs"], Float[Array, "corner obs"]]:
        """The points around each position, and their weights."""
        sides = [
            _around(axis, period, positions[:, i])
            for i, (axis, period) in enumerate(
                zip(self.axes, self.periods, strict=True)
            )
        ]
        index, weight = [], []
        for ends in itertools.product((0, 1), repeat=len(sides)):
            found = [side[end] for side, end in zip(sides, ends, strict=True)]
            index.append(jnp.stack([i for i, _ in found]))
            weight.append(jnp.prod(jnp.stack([w for _, w in found]), 0))
        return jnp.stack(index), jnp.stack(weight)

    def check(self, state: Any, positions: Any = None, seen: Any = None) -> None:
        """Refuse a field of another shape, and positions outside of its axes.

        Arguments:
            positions: of the observations, (*time, observed, axis), where these have
                some; those not `seen` may be anywhere.

        Raises:
            InputError: they do not fit, or one is outside the domain.
        """
        shape, points = jnp.shape(self.where(state)), tuple(map(len, self.axes))
        if shape != points:
            raise InputError(
                f"the field to interpolate has the shape {shape} and the axes have "
                f"{points} points: pick a field of that shape by `where`"
            )
        places = self.positions if positions is None else positions
        if places is None:
            raise InputError(
                "the interpolation has no positions: give it some, or give the "
                "observations arguments=positions"
            )
        if isinstance(places, Tracer):
            return
        places = np.asarray(places, float)
        if places.ndim < 2 or places.shape[-1] != len(points):
            raise InputError(
                f"the positions have the shape {places.shape} and the field "
                f"{len(points)} axes: give (observed, axis), one coordinate an axis"
            )
        if seen is None or isinstance(seen, Tracer):
            seen = np.ones(places.shape[:-1], bool)
        used = np.broadcast_to(seen, np.broadcast_shapes(places.shape[:-1], seen.shape))
        places = np.broadcast_to(places, (*used.shape, places.shape[-1]))[used]
        for i, (axis, period) in enumerate(zip(self.axes, self.periods, strict=True)):
            low, high = float(axis.min()), float(axis.max())
            rounding = 1e-6 * (high - low)
            along = places[:, i]
            good = np.isfinite(along)
            if period is None:
                good &= (along >= low - rounding) & (along <= high + rounding)
            if not good.all():
                raise InputError(
                    f"an observation is at {along[~good][0]:g} along axis {i}, from "
                    f"{low:g} to {high:g} was expected: leave it out, or mark it NaN"
                )


def _check_axis(row: np.ndarray, period: float | None) -> None:
    steps = np.diff(row)
    if row.ndim != 1 or row.size < 2 or not (all(steps > 0) or all(steps < 0)):
        raise InputError(
            f"an axis of the interpolation has the coordinates {row}, at least 2 that "
            "rise or fall all the way were expected"
        )
    if period is not None and not np.ptp(row) < period:
        raise InputError(
            f"an axis has the period {period:g} and its points span {np.ptp(row):g}: "
            "give a longer period, or leave out the point that is there twice"
        )


def _around(
    axis: Float[Array, " points"], period: float | None, where: Float[Array, " obs"]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """The point before and the one after each position, with their weights."""
    size = axis.shape[0]
    falling = axis[0] > axis[-1]
    rising = jnp.where(falling, axis[::-1], axis).astype(where.dtype)
    if period is not None:
        where = rising[0] + (where - rising[0]) % period
        rising = jnp.append(rising, rising[0] + period)
    last = rising.shape[0] - 2
    before = jnp.searchsorted(rising, where, side="right").astype(jnp.int32) - 1
    before = jnp.clip(before, 0, last)
    left, right = rising[before], rising[before + 1]
    share = jnp.clip((where - left) / (right - left), 0.0, 1.0)
    ends = before, (before + 1) % size
    first, second = (jnp.where(falling, size - 1 - i, i) for i in ends)
    return (first, 1 - share), (second, share)
