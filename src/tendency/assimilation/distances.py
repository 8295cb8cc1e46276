"""How far apart two places are: in a plane or a periodic box, or on the sphere.

Each distance works on arrays, under derivatives and compilation, and leads places to
points of a k-d tree, which finds neighbours outside compiled programs.
"""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.errors import InputError

Places = Float[np.ndarray, "n space"]


class AbstractDistance(eqx.Module):
    """A distance between places, the coordinates last."""

    @abc.abstractmethod
    def __call__(
        self, a: Float[Array, "*#n space"], b: Float[Array, "*#n space"]
    ) -> Float[Array, "*n"]:
        """Between places and places."""

    @abc.abstractmethod
    def check(self, places: Float[np.ndarray, "*n space"], what: str) -> None:
        """Refuse what is no place.

        Raises:
            InputError: another number of coordinates, or one that is not finite.
        """

    @abc.abstractmethod
    def tree(self, places: Places) -> Any:
        """A k-d tree of places."""

    @abc.abstractmethod
    def nearest(
        self, tree: Any, places: Places, count: int, reach: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Distances and indices of the nearest in a tree, infinite beyond reach."""

    @abc.abstractmethod
    def within(self, tree: Any, places: Places, reach: float) -> np.ndarray:
        """How many in a tree are within reach of each place."""


class Euclidean(AbstractDistance):
    """In any number of coordinates, along which space may be periodic.

    Arguments:
        period: of each coordinate, None where it has none [its units].
    """

    period: tuple[float | None, ...] | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if any(p is not None and not p > 0 for p in self.period or ()):
            raise InputError(
                f"the periods are {self.period}, positive numbers were expected: give "
                "None where space is not periodic"
            )

    def __call__(self, a, b):
        apart = a - b
        if self.period is not None:
            period = jnp.asarray([p or jnp.inf for p in self.period], apart.dtype)
            period = jnp.broadcast_to(period, apart.shape)
            once = jnp.abs(apart) % period
            apart = jnp.minimum(once, period - once)
        square = jnp.sum(apart**2, -1)
        safe = jnp.where(square > 0, square, jnp.ones_like(square))
        return jnp.where(square > 0, jnp.sqrt(safe), jnp.zeros_like(square))

    def check(self, places, what):
        if self.period is not None and places.shape[-1] != len(self.period):
            raise InputError(
                f"{what} has {places.shape[-1]} coordinates and there are "
                f"{len(self.period)} periods: give one a coordinate"
            )
        refuse_infinite(places, what)

    def tree(self, places):
        from scipy.spatial import KDTree  # a tenth of a second that few need

        box = None if self.period is None else [p or 0.0 for p in self.period]
        return KDTree(self._wrapped(places), boxsize=box)

    def nearest(self, tree, places, count, reach):
        # Beyond by rounding, so that what is on the edge is found; its weight is 0.
        found = tree.query(self._wrapped(places), np.arange(1, count + 1))
        return np.where(found[0] <= reach, found[0], np.inf), found[1]

    def within(self, tree, places, reach):
        found = tree.query_ball_point(self._wrapped(places), reach, return_length=True)
        return np.asarray(found)

    def _wrapped(self, places: Places) -> Places:
        if self.period is None:
            return places
        period = np.array([p or np.inf for p in self.period])
        finite = np.isfinite(period)
        wrapped = places.copy()
        wrapped[:, finite] = places[:, finite] % period[finite]
        wrapped[:, finite] *= wrapped[:, finite] < period[finite]  # by rounding
        return wrapped


class GreatCircle(AbstractDistance):
    """On a sphere, between places of longitude and latitude [degree], in that order.

    Arguments:
        radius: [km], or in any unit that distances shall have.
    """

    radius: float = eqx.field(static=True, default=6371.0)

    def __call__(self, a, b):
        a, b = jnp.deg2rad(a), jnp.deg2rad(b)
        half = jnp.sin((a - b) / 2) ** 2
        square = half[..., 1] + jnp.cos(a[..., 1]) * jnp.cos(b[..., 1]) * half[..., 0]
        safe = jnp.where(square > 0, square, jnp.ones_like(square))
        angle = 2 * jnp.arcsin(jnp.minimum(jnp.sqrt(safe), 1.0))
        return self.radius * jnp.where(square > 0, angle, jnp.zeros_like(angle))

    def check(self, places, what):
        if places.shape[-1] != 2:
            raise InputError(
                f"{what} has {places.shape[-1]} coordinates, longitude and latitude "
                "were expected: give the two [degree]"
            )
        refuse_infinite(places, what)
        if (np.abs(places[..., 1]) > 90).any():
            wrong = places[np.abs(places[..., 1]) > 90][0]
            raise InputError(
                f"{what} has the latitude {wrong[1]:g}, from -90 to 90 was expected: "
                "give longitude first, latitude second"
            )

    def tree(self, places):
        from scipy.spatial import KDTree

        return KDTree(_on_unit_sphere(places))

    def nearest(self, tree, places, count, reach):
        counts = np.arange(1, count + 1)
        chord, index = tree.query(_on_unit_sphere(places), counts)
        angle = 2 * np.arcsin(np.minimum(chord / 2, 1))
        arc = np.where(np.isfinite(chord), self.radius * angle, np.inf)
        return np.where(arc <= reach, arc, np.inf), index

    def within(self, tree, places, reach):
        chord = 2 * np.sin(min(reach / self.radius, np.pi) / 2)
        found = tree.query_ball_point(
            _on_unit_sphere(places), chord, return_length=True
        )
        return np.asarray(found)


def refuse_infinite(places: Float[np.ndarray, "*n space"], what: str) -> None:
    """Refuse coordinates that are no numbers.

    Raises:
        InputError: one is not finite.
    """
    if not np.isfinite(places).all():
        wrong = places[~np.isfinite(places).all(-1)].reshape(-1, places.shape[-1])[0]
        raise InputError(
            f"{what} is at {tuple(wrong.tolist())}, finite coordinates were expected: "
            "leave it out, or give it any place and the value NaN"
        )


def _on_unit_sphere(places: Places) -> Float[np.ndarray, "n 3"]:
    longitude, latitude = np.deg2rad(places).T
    flat = np.cos(latitude)
    return np.stack(
        [flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)], 1
    )
