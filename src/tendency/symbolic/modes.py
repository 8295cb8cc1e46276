"""Floor 1: a smooth map by a few numbers, its lowest modes along each axis."""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.cell import Constant
from tendency.errors import InputError
from tendency.grid import Axis
from tendency.symbolic.bounds import Interval, unbounded
from tendency.symbolic.unknowns import AbstractMap


class Modes(AbstractMap):
    """A map k = x(Σ cₙ φₙ), with x of `Interval`: as smooth as its modes.

    Along a bounded axis φ are the cosines cos(n π s), n = 0, 1, ..., with s from 0 at
    the lower end to 1; along a periodic one 1, cos 2πs, sin 2πs, cos 4πs, ... Over
    several axes they are multiplied. A few numbers are found from data that are too
    noisy, or have too many gaps, to tell a value at every cell.

    Arguments:
        modes: how many along each axis.
        value: of the map at first, the same everywhere.
        bounds: of the map.
        along: the coordinates that it varies along; default: all.

    Raises:
        InputError: no mode along an axis, or a first guess out of its bounds.
    """

    free: Float[Array, " mode"]  # c
    scale: Constant
    bounds: Interval  # of c: none
    along: tuple[str, ...] | None = eqx.field(static=True)
    modes: tuple[int, ...] = eqx.field(static=True)
    map_bounds: Interval
    map_scale: float = eqx.field(static=True)
    basis: Constant  # (mode, *cells), once it is on a grid

    def __init__(
        self,
        modes: Sequence[int],
        value: float = 1.0,
        bounds: Interval = unbounded,
        along: Sequence[str] | None = None,
    ):
        if not modes or min(modes) < 1:
            raise InputError(
                f"a map has {tuple(modes)} modes along its axes, at least 1 along each "
                "was expected"
            )
        bounds.require(value, "the map")
        self.map_bounds, self.map_scale = bounds, float(bounds.scale(value))
        mean = float(bounds.to_free(value, self.map_scale))
        count = int(np.prod(modes))
        self.free = jnp.asarray([mean] + [0.0] * (count - 1))
        self.scale = Constant(jnp.ones(count))
        self.bounds, self.modes = unbounded, tuple(modes)
        self.along = None if along is None else tuple(along)
        self.basis = Constant(jnp.ones(count))

    @property
    def on_cells(self) -> Float[Array, "..."]:
        total = jnp.tensordot(self.value, self.basis.value, 1)
        return self.map_bounds.to_bounded(total, self.map_scale)

    def on(self, axes: Sequence[Axis], full: tuple[int, ...], name: str) -> "Modes":
        if len(axes) != len(self.modes) or any(
            m > axis.points for m, axis in zip(self.modes, axes, strict=False)
        ):
            raise InputError(
                f"the unknown map {name} has {self.modes} modes, and its axes have "
                f"{tuple(a.points for a in axes)} points: give a number for each axis, "
                "at most that of its points"
            )
        basis = np.ones((1, 1))
        for count, axis in zip(self.modes, axes, strict=True):
            basis = np.einsum("ax,by->abxy", basis, _along(axis, count))
            basis = basis.reshape(basis.shape[0] * count, -1)
        basis = jnp.asarray(basis.reshape(-1, *full))
        return eqx.tree_at(lambda m: m.basis.value, self, basis)

    def narrowed(self, bounds: Interval, name: str) -> "Modes":
        narrow = self.map_bounds.within(bounds)
        value = float(np.ravel(np.asarray(self.on_cells))[0])  # the same everywhere
        narrow.require(value, name)
        return Modes(self.modes, value, narrow, self.along)


def _along(axis: Axis, count: int) -> Float[np.ndarray, "mode cell"]:
    s = axis.fractions()
    if not axis.periodic:
        return np.cos(np.pi * np.arange(count)[:, None] * s)
    n = (np.arange(count) + 1) // 2
    phase = 2 * np.pi * n[:, None] * s
    odd = (np.arange(count) % 2 == 1)[:, None]
    return np.where(odd | (n[:, None] == 0), np.cos(phase), np.sin(phase))
