"""Floor 0: where the values of a field stand.

A periodic axis of N points has them at `lower + i h`, h = (upper - lower) / N; a
bounded one at the centres of its N cells, `lower + (i + 1/2) h`, so that no value
stands on a boundary. A field may be shifted by half a step along some axes (the Arakawa
C grid): on a bounded axis it then has the N - 1 faces within, the two on the boundaries
being given by the boundary conditions.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from tendency.errors import InputError

HALF = Fraction(1, 2)


class Axis(NamedTuple):
    """One coordinate of a grid, evenly spaced."""

    name: str
    points: int
    lower: float = 0.0  # [units of the coordinate]
    upper: float = 1.0  # [units of the coordinate]
    periodic: bool = True

    @property
    def spacing(self) -> float:
        """[units of the coordinate]."""
        return (self.upper - self.lower) / self.points

    def size(self, offset: Fraction = Fraction(0)) -> int:
        """How many values a field shifted by `offset` has."""
        return self.points - (not self.periodic and offset == HALF)

    def first(self, offset: Fraction = Fraction(0)) -> float:
        """Where the first value stands, in steps from `lower`."""
        return float(offset if self.periodic else offset + HALF)

    def positions(
        self, offset: Fraction = Fraction(0), before: int = 0, after: int = 0
    ) -> Float[np.ndarray, " points"]:
        """Of the values, and of so many before and after them [coordinate]."""
        steps = np.arange(-before, self.size(offset) + after) + self.first(offset)
        return self.lower + steps * self.spacing


class Grid(NamedTuple):
    """The axes, in the order of the axes of the arrays."""

    axes: tuple[Axis, ...]

    @classmethod
    def of(cls, *axes: Axis) -> "Grid":
        """Check the axes.

        Raises:
            InputError: too few points, bounds in the wrong order, two axes of one name.
        """
        names = [axis.name for axis in axes]
        if len(set(names)) < len(names):
            raise InputError(f"the axes are {', '.join(names)}: give each its own name")
        for axis in axes:
            if axis.points < 3:
                raise InputError(
                    f"axis {axis.name} has {axis.points} points, at least 3 were "
                    "expected"
                )
            if not (math.isfinite(axis.lower) and math.isfinite(axis.upper)):
                raise InputError(
                    f"axis {axis.name} goes from {axis.lower} to {axis.upper}, finite "
                    "bounds were expected"
                )
            if axis.upper <= axis.lower:
                raise InputError(
                    f"axis {axis.name} goes from {axis.lower} to {axis.upper}, an "
                    "upper bound above the lower one was expected"
                )
        return cls(axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a field that is not shifted."""
        return tuple(axis.points for axis in self.axes)

    def coordinates(
        self, offsets: Sequence[Fraction] | None = None
    ) -> dict[str, Float[np.ndarray, "..."]]:
        """The positions along each axis, in arrays that broadcast against a field."""
        offsets = offsets or [Fraction(0)] * len(self.axes)
        found = {}
        for i, (axis, offset) in enumerate(zip(self.axes, offsets, strict=True)):
            shape = [1] * len(self.axes)
            shape[i] = -1
            found[axis.name] = axis.positions(offset).reshape(shape)
        return found
