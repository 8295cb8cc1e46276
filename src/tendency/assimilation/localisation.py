"""Localisation: what is far away says nothing, whatever a small ensemble believes.

`Localisation` knows where the values of the state stand and how far an observation
reaches; `gaspari_cohn` is its taper. Before the first analysis it lists, for every
point, the observations within reach, so that the work of an analysis grows as the
number of points.
"""

import dataclasses
from typing import Any, NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PyTree

from tendency.assimilation.distances import AbstractDistance, Euclidean
from tendency.errors import InputError
from tendency.grid import Grid
from tendency.observing import DiagonalCovariance, Observations

REACH = 2 * (10 / 3) ** 0.5
"""Where the taper ends, in lengths: at 2 c, with c the root of 10/3 times the length,
which gives it the curvature of exp(-d² / (2 length²)) at 0."""


def gaspari_cohn(ratio: Float[Array, "*r"]) -> Float[Array, "*r"]:
    """A correlation of the distance over c: 1 at 0, 5/24 at 1, 0 from 2 on.

    Gaspari & Cohn (1999, Q. J. R. Meteorol. Soc. 125, 723), equation 4.10.
    """
    r = jnp.abs(ratio)
    near = 1 + r**2 * (-5 / 3 + r * (5 / 8 + r * (1 / 2 - r / 4)))
    s = jnp.clip(r, 1.0, 2.0)
    far = 4 + s * (-5 + s * (5 / 3 + s * (5 / 8 + s * (s / 12 - 1 / 2)))) - 2 / (3 * s)
    return jnp.where(r < 1, near, jnp.where(r < 2, far, jnp.zeros_like(r)))


class Neighbours(NamedTuple):
    """The observations near each point; those after the last have a weight of 0."""

    index: Int[Array, "point near"]
    weight: Float[Array, "point near"]


def _places(given: Any) -> tuple[np.ndarray, ...]:
    several = given if isinstance(given, tuple | list) else (given,)
    return tuple(p if eqx.is_array(p) else np.asarray(p, float) for p in several)


class Localisation(eqx.Module):
    """Where the state stands, and how far an observation reaches.

    The taper is Gaspari and Cohn's. It falls like exp(-d² / (2 length²)) at first and
    ends at 3.65 lengths. Arrays of the carry that end in the axes of a grid are local,
    with variables and levels before these axes; all others (parameters, hidden states)
    see every observation with its full weight.

    Arguments:
        length: of the taper [unit of the distance], infinite for none.
        positions: of the points of the state, (*axes, space); several arrays, of other
            axes each, where variables stand on several grids.
        distance: `Euclidean(period)`, or `GreatCircle()` for longitude and latitude.
        most: so many of the nearest observations count at a point; by default all
            within reach.

    Raises:
        InputError: a length that is not positive, positions that are none.
    """

    length: float = eqx.field(static=True)
    positions: tuple[Any, ...] = eqx.field(converter=_places)
    distance: AbstractDistance = Euclidean()
    most: int | None = eqx.field(static=True, default=None)
    lists: tuple[Neighbours, ...] | None = None  # one a grid; see `seen_from`

    def __check_init__(self):
        if not self.length > 0:
            raise InputError(
                f"the length of the localisation is {self.length}, a positive number "
                "was expected: give a distance, or infinity for none"
            )
        shapes = [p.shape for p in self.positions]
        if min(map(len, shapes)) < 2 or len({s[:-1] for s in shapes}) < len(shapes):
            raise InputError(
                f"the positions of the state have the shapes {shapes}, (*axes, space) "
                "was expected, with other axes for each grid: give one row of "
                "coordinates a point"
            )
        for place in self.positions:
            if isinstance(place, np.ndarray):
                self.distance.check(place, "a point of the state")

    @classmethod
    def on(cls, grid: Grid, length: float, most: int | None = None) -> Self:
        """Of fields on a grid, whose axes tell positions and periods."""
        axes = np.meshgrid(*(axis.positions() for axis in grid.axes), indexing="ij")
        period = tuple(
            axis.upper - axis.lower if axis.periodic else None for axis in grid.axes
        )
        return cls(length, np.stack(axes, -1), Euclidean(period), most)

    @property
    def reach(self) -> float:
        """The distance at which the taper ends."""
        return REACH * self.length

    def grid_of(self, shape: tuple[int, ...]) -> int | None:
        """Which grid an array of that shape stands on, if any."""
        for i, place in enumerate(self.positions):
            axes = place.shape[:-1]
            if shape[max(len(shape) - len(axes), 0) :] == axes:
                return i
        return None

    def taper(
        self, a: Float[Array, "*#n space"], b: Float[Array, "*#n space"]
    ) -> Float[Array, "*n"]:
        """Between places and places."""
        return gaspari_cohn(self.distance(a, b) * (2 / self.reach))

    def near(
        self, place: Float[Array, " space"], observed: Float[Array, "obs space"]
    ) -> tuple[Int[Array, " near"], Float[Array, " near"]]:
        """Indices and weights of what is near one place, where no list tells."""
        weight = self.taper(place[None].astype(observed.dtype), observed)
        count = min(self.most or weight.size, weight.size)
        weight, index = jax.lax.top_k(weight, count)
        return index, weight

    def seen_from(self, observations: Observations, state: PyTree[Array]) -> Self:
        """Ready for such observations: with the lists of what is near each point.

        Where positions vary, only the longest list is found out, and what is near is
        looked for at each analysis.

        Raises:
            InputError: observations without positions or of another space, errors that
                are not independent, a state no part of which is on a grid.
        """
        where = self._checked(observations, state)
        if where.ndim == 3:
            moving = [self._longest(p, at) for p in self.positions for at in where]
            return dataclasses.replace(self, most=max(moving), lists=None)
        found = tuple(self._listed(p, where) for p in self.positions)
        return dataclasses.replace(self, lists=found)

    def _checked(self, observations: Observations, state: PyTree[Array]) -> np.ndarray:
        if observations.positions is None:
            raise InputError(
                "the observations have no positions, which localisation needs: give "
                "Observations.of(..., positions=...)"
            )
        if isinstance(observations.positions, Tracer):
            raise InputError(
                "the positions of the observations are traced: close over them, since "
                "the lists of what is near depend on them"
            )
        if not isinstance(observations.error, DiagonalCovariance):
            raise InputError(
                f"the errors are a {type(observations.error).__name__} and "
                "localisation needs independent ones: give a DiagonalCovariance"
            )
        where = np.asarray(observations.positions, float)
        space = self.positions[0].shape[-1]
        if where.shape[-1] != space:
            raise InputError(
                f"the observations have {where.shape[-1]} coordinates and the points "
                f"of the state {space}: give both in the same coordinates"
            )
        self.distance.check(where, "an observation")
        shapes = [x.shape for x in jax.tree.leaves(state)]
        if all(self.grid_of(shape) is None for shape in shapes):
            raise InputError(
                f"the state has arrays of the shapes {shapes}, none of which ends in "
                f"{[p.shape[:-1] for p in self.positions]}, the points of the "
                "localisation: give positions of the axes of the state"
            )
        return where

    def _longest(self, place: np.ndarray, where: np.ndarray) -> int:
        """How many entries the lists need, in steps of 8: few programs are compiled."""
        tree = self.distance.tree(where)
        points = np.asarray(place).reshape(-1, place.shape[-1])
        longest = int(self.distance.within(tree, points, self.reach).max())
        longest = max(8 * -(-longest // 8), 1)
        return min(longest, len(where), self.most or longest)

    def _listed(self, place: np.ndarray, where: np.ndarray) -> Neighbours:
        tree = self.distance.tree(where)
        points = np.asarray(place).reshape(-1, place.shape[-1])
        count = self._longest(place, where)
        apart, index = self.distance.nearest(tree, points, count, self.reach)
        found = np.isfinite(apart)
        ratio = np.where(found, apart, self.reach) * (2 / self.reach)
        ratio = np.where(found, ratio, 2.0)
        weight = gaspari_cohn(jnp.asarray(ratio))
        return Neighbours(jnp.asarray(np.where(found, index, 0), jnp.int32), weight)


def localised(method: Any, observations: Observations, state: PyTree[Array]) -> Any:
    """A method, wherever it holds a `Localisation`, ready for such observations."""

    def ready(x):
        return x.seen_from(observations, state) if isinstance(x, Localisation) else x

    return jax.tree.map(ready, method, is_leaf=lambda x: isinstance(x, Localisation))
