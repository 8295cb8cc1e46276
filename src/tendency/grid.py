"""Floor 0: where the values of a field stand.

A periodic axis of N points has them at `lower + i h`, h = (upper - lower) / N; a
bounded one at the centres of its N cells, `lower + (i + 1/2) h`, so that no value
stands on a boundary. A field may be shifted by half a step along some axes (the Arakawa
C grid): on a bounded axis it then has the N - 1 faces within, the two on the boundaries
being given by the boundary conditions.

A stretched axis has them at the same fractions s of an even count, 0 at the lower end
and 1 at the upper one, and a smooth function says how far along the axis each s is.
"""

import abc
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from tendency.errors import InputError

HALF = Fraction(1, 2)
_LEAST = 1e-9  # of the length of a cell over the mean one: below it is rounding
_SAMPLES = 1024  # of s, where a stretch is looked at besides the points


class AbstractStretch(abc.ABC):
    """How the points of an axis are spread: a smooth, rising function of s.

    s counts even steps, from 0 at the lower end of the axis to 1 at the upper one.
    """

    text: str  # as it was given

    @abc.abstractmethod
    def share(self, s: Float[np.ndarray, "*points"]) -> Float[np.ndarray, "*points"]:
        """Of the way from the lower to the upper end; 0 at 0, 1 at 1."""

    @abc.abstractmethod
    def slope(self, s: Float[np.ndarray, "*points"]) -> Float[np.ndarray, "*points"]:
        """Its derivative, the length of a cell there over that of the mean one."""


class Axis(NamedTuple):
    """One coordinate of a grid, evenly spaced unless it has a stretch."""

    name: str
    points: int
    lower: float = 0.0  # [units of the coordinate]
    upper: float = 1.0  # [units of the coordinate]
    periodic: bool = True
    stretch: AbstractStretch | None = None

    @property
    def spacing(self) -> float:
        """The mean one [units of the coordinate]."""
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
        if self.stretch is None:
            steps = np.arange(-before, self.size(offset) + after) + self.first(offset)
            return self.lower + steps * self.spacing
        share = self.stretch.share(self.fractions(offset, before, after))
        return self.lower + (self.upper - self.lower) * share

    def fractions(
        self, offset: Fraction = Fraction(0), before: int = 0, after: int = 0
    ) -> Float[np.ndarray, " points"]:
        """The same, in even steps: s, from 0 at the lower end to 1 at the upper one."""
        steps = np.arange(-before, self.size(offset) + after) + self.first(offset)
        return steps / self.points

    def lengths(self, offset: Fraction = Fraction(0)) -> Float[np.ndarray, " points"]:
        """Of the cells around the values, dx/ds / N [coordinate].

        The weights of the midpoint rule in s, by which fluxes conserve their sum.
        """
        return self.spacing * self._slope(self.fractions(offset))

    def spacing_at(self, *, upper: bool) -> float:
        """At one end of the axis [coordinate]."""
        return float(self.spacing * self._slope(np.array([float(upper)]))[0])

    def _slope(self, s: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        return np.ones(s.shape) if self.stretch is None else self.stretch.slope(s)


class Grid(NamedTuple):
    """The axes, in the order of the axes of the arrays."""

    axes: tuple[Axis, ...]

    @classmethod
    def of(cls, *axes: Axis) -> "Grid":
        """Check the axes.

        Raises:
            InputError: too few points, bounds in the wrong order, two axes of one name,
                or a stretch that does not rise all the way, or not periodically.
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
            if axis.stretch is not None:
                _require_rising(axis, axis.stretch)
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
        return {
            axis.name: self.along(axis.name, axis.positions(offset))
            for axis, offset in zip(self.axes, offsets, strict=True)
        }

    def sizes(
        self, offsets: Sequence[Fraction] | None = None
    ) -> Float[np.ndarray, "..."]:
        """Of the cells around the values of a field: the weights of an integral."""
        offsets = offsets or [Fraction(0)] * len(self.axes)
        found = np.ones((1,) * len(self.axes))
        for axis, offset in zip(self.axes, offsets, strict=True):
            found = found * self.along(axis.name, axis.lengths(offset))
        return found

    def along(
        self, name: str, values: Float[np.ndarray, " points"]
    ) -> Float[np.ndarray, "..."]:
        """Values along one axis, in an array that broadcasts against a field."""
        return values.reshape([-1 if a.name == name else 1 for a in self.axes])


def _require_rising(axis: Axis, stretch: AbstractStretch) -> None:
    """From end to end; and on a periodic axis that it goes on as it began."""
    halves = np.arange(2 * axis.points + 1) / (2 * axis.points)  # cells and faces
    s = np.union1d(np.linspace(0.0, 1.0, _SAMPLES + 1), halves)
    slope = stretch.slope(s)
    for one, bad in (
        ("not finite", ~(np.isfinite(slope) & np.isfinite(stretch.share(s)))),
        ("not rising", ~(slope > _LEAST)),
    ):
        if bad.any():
            where = s[bad][0]
            raise InputError(
                f"the stretch of axis {axis.name}, {stretch.text}, is {one} at s = "
                f"{where:.4g}: a smooth function was expected whose derivative keeps "
                "its sign from s = 0 to 1, the ends included"
            )
    if axis.periodic and not np.allclose(slope, stretch.slope(s + 1), rtol=1e-6):
        raise InputError(
            f"axis {axis.name} is periodic and its stretch {stretch.text} is not: take "
            "s plus a function of period 1, such as s + sin(2*pi*s)/10"
        )
