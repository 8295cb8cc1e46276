"""Between the state of a grid and the maps of pure numbers that a network reads."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, DTypeLike, Float, Int, PyTree

from tendency.cell import Constant, Standardisation, forcing_at
from tendency.errors import InputError
from tendency.networks.dense import at_least, float_type
from tendency.networks.maps.layers import Mask

Maps = Float[Array, "channel row column"]


class Frame(eqx.Module):
    """A grid, the points of it that are known, and the statistics of what is there.

    A state is (channel, row, column), its variables and levels the channels; or, where
    `points` is given, the vector of its valid points, as `Layout.pack` lays them out.
    What is no point (land) is zero in what a network reads, whatever the state holds
    there, and the state keeps what it holds: NaN stays NaN and spreads nowhere.

    A network reads the standardised maps of the last states, the mask, then the maps of
    the forcing. The numbers of the forcing that are no maps are its condition; with
    `cycles` the first of them is the time, and the condition has its phases instead.
    """

    mask: Constant  # (channel, row, column): one at the points of each variable
    points: Constant | None  # (state,), int
    state: Standardisation  # [units of the state]
    output_std: Constant  # of what a network gives [units of the state]
    forcing: Standardisation | None  # of its maps, then its numbers but the time
    forcing_maps: int = eqx.field(static=True)
    forcing_numbers: int = eqx.field(static=True)
    cycles: tuple[float, ...] = eqx.field(static=True)  # [time unit of the data]

    def __init__(
        self,
        shape: tuple[int, int, int],
        points: Int[Array | np.ndarray, " state"] | None = None,
        *,
        mask: Bool[Array | np.ndarray, "channel row column"] | None = None,
        standardisation: Standardisation | None = None,
        increment_std: Float[Array, "..."] | None = None,
        forcing_maps: int = 0,
        forcing_numbers: int = 0,
        forcing: Standardisation | None = None,
        cycles: tuple[float, ...] = (),
        dtype: DTypeLike | None = None,
    ):
        """Statistics not given are mean zero and standard deviation one.

        Arguments:
            shape: channels, rows and columns.
            points: the place of each component of the state in the flattened grid, for
                states that are vectors.
            mask: where there are points, for states that are maps; by default all over.
            standardisation: of the state, or of its channels: (channel, 1, 1).
            increment_std: what a network gives is multiplied by it; by default the
                state's own deviation [units of the state].
            forcing_maps: maps among the forcing of a step.
            forcing_numbers: numbers beside them, the time included.
            forcing: the statistics of the maps, then of the numbers but the time.
            cycles: the periods of the time whose phases a network reads (a day, a
                year) [time unit of the data].
            dtype: of what a network reads.

        Raises:
            InputError: a size is impossible, points and a mask both, points beyond the
                grid, statistics of another size, or cycles without a time.
        """
        if len(shape) != 3:
            raise InputError(
                f"the shape of a grid is {tuple(shape)}, channels, rows and columns "
                "were expected: one variable is (1, rows, columns)"
            )
        at_least(1, channels=shape[0], rows=shape[1], columns=shape[2])
        at_least(0, forcing_maps=forcing_maps, forcing_numbers=forcing_numbers)
        dtype, size = float_type(dtype), math.prod(shape)
        if points is not None and mask is not None:
            raise InputError(
                "points and a mask were given, one of them was expected: a state that "
                "is a vector has points, one that is a map a mask"
            )
        if points is None:
            there = np.asarray(True if mask is None else mask)
            if there.ndim and there.shape[-2:] != tuple(shape[1:]):
                raise InputError(
                    f"the mask has shape {there.shape} and the grid {tuple(shape)}: "
                    "give one value for each of its points"
                )
            there = np.broadcast_to(there, shape)
            of_state: tuple[int, ...] = shape
        else:
            points = np.asarray(points)
            if points.size and not (points.min() >= 0 and points.max() < size):
                raise InputError(
                    f"points lie from {points.min()} to {points.max()} and the grid "
                    f"has {size}: give their places in the flattened grid"
                )
            there = np.zeros(size, bool)
            there[points] = True
            of_state = points.shape
        self.mask = Constant(jnp.asarray(there.reshape(shape), dtype))
        self.points = (
            None if points is None else Constant(jnp.asarray(points, jnp.int32))
        )
        state = standardisation or Standardisation(jnp.zeros(()), jnp.ones(()))
        std = state.std.value if increment_std is None else jnp.asarray(increment_std)
        self.state = _fitting(state, of_state, "state", dtype)
        self.output_std = _fitting(
            Standardisation(std, std), of_state, "output", dtype
        ).std
        if cycles and not forcing_numbers:
            raise InputError(
                f"cycles of {cycles} were given and the forcing has no numbers: the "
                "first of forcing_numbers is the time"
            )
        scaled = forcing_maps + forcing_numbers - bool(cycles)
        self.forcing = (
            None if forcing is None else _fitting(forcing, (scaled,), "forcing", dtype)
        )
        self.cycles = tuple(map(float, cycles))
        self.forcing_maps, self.forcing_numbers = forcing_maps, forcing_numbers

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns."""
        return self.mask.value.shape

    @property
    def land(self) -> Mask:
        """(1, row, column): one where any variable has a point, for a network."""
        return self.mask.value.max(0, keepdims=True)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.shape[1:]

    @property
    def dtype(self) -> DTypeLike:
        """Of what a network reads."""
        return self.mask.value.dtype

    @property
    def conditions(self) -> int:
        """The numbers that a network reads beside the maps."""
        return self.forcing_numbers - bool(self.cycles) + 2 * len(self.cycles)

    def reads(self, lags: int = 1) -> int:
        """The channels that a network reads of so many states."""
        return lags * self.shape[0] + 1 + self.forcing_maps

    def maps(self, state: Float[Array, "*state"]) -> Maps:
        """The standardised maps, zero where there is no point.

        Raises:
            InputError: the state is of another grid, or of several times or members.
        """
        wanted = self.shape if self.points is None else self.points.value.shape
        if state.shape != wanted:
            raise InputError(
                f"a state of shape {state.shape} was given and the model has {wanted}: "
                "give states of its grid, one at a time, and batch with jax.vmap"
            )
        return self.laid_out(self.state.apply(state.astype(self.dtype)))

    def laid_out(self, values: Float[Array, "*state"]) -> Maps:
        """The components of a state as maps, as they are, zero where is no point."""
        if self.points is not None:
            flat = jnp.zeros(math.prod(self.shape), values.dtype)
            return flat.at[self.points.value].set(values).reshape(self.shape)
        return jnp.where(self.mask.value > 0, values, 0)

    def values(self, maps: Maps) -> Float[Array, "*state"]:
        """The components of a state in maps, as they are."""
        return maps if self.points is None else maps.reshape(-1)[self.points.value]

    def inputs(
        self, states: Float[Array, "lags *state"], forcing: PyTree = None
    ) -> tuple[Maps, Float[Array, " conditions"] | None]:
        """What a network reads of the last states, and its condition.

        Raises:
            InputError: the forcing does not hold the maps and numbers said.
        """
        parts = [jax.vmap(self.maps)(states).reshape(-1, *self.grid), self.land]
        if not self.forcing_maps and not self.forcing_numbers:
            return jnp.concatenate(parts), None
        maps, numbers = self._split(forcing)
        phases = []
        if self.cycles:
            angle = 2 * jnp.pi * (numbers[0] / jnp.asarray(self.cycles, numbers.dtype))
            phases = [
                jnp.sin(angle).astype(self.dtype),
                jnp.cos(angle).astype(self.dtype),
            ]
            numbers = numbers[1:]
        numbers = numbers.astype(self.dtype)
        if self.forcing is not None:
            mean, std = self.forcing.mean.value, self.forcing.std.value
            n = self.forcing_maps
            maps = (maps - mean[:n, None, None]) / std[:n, None, None]
            numbers = (numbers - mean[n:]) / std[n:]
        x = jnp.concatenate([*parts, jnp.where(self.land > 0, maps, 0)])
        return x, jnp.concatenate([*phases, numbers]) if self.forcing_numbers else None

    def after(
        self, state: Float[Array, "*state"], y: Maps, increments: bool
    ) -> Float[Array, "*state"]:
        """The next state, in the type of `state`, from what a network gives.

        It is state + output_std ⊙ y for an increment, mean + std ⊙ y for a value, and
        where there is no point what it was.
        """
        y = self.values(y.astype(self.dtype))
        if increments:
            new = state + (self.output_std.value * y).astype(state.dtype)
        else:
            new = self.state.invert(y).astype(state.dtype)
        if self.points is not None:
            return new
        return jnp.where(self.mask.value > 0, new, state)

    def window(self, corner: tuple[int | Array, int | Array], size: tuple[int, int]):
        """The frame of a part of the grid, of so many rows and columns, for a patch.

        `corner` may be drawn at random, within a compiled function.

        Raises:
            InputError: the states are vectors, or the part is larger than the grid.
        """
        self.check_part(size)
        return jax.tree.map(lambda a: part_of(a, self.grid, corner, size), self)

    def check_part(self, size: tuple[int, int]) -> None:
        """Whether a part of so many rows and columns can be cut.

        Raises:
            InputError: the states are vectors, or the part is larger than the grid.
        """
        if self.points is not None:
            raise InputError(
                "a part of the grid was asked for and the states are vectors of its "
                "points: build the frame with a mask, for states that are maps"
            )
        if size[0] > self.grid[0] or size[1] > self.grid[1]:
            raise InputError(
                f"a patch of {size[0]} x {size[1]} points was asked for and the map "
                f"has {self.grid[0]} x {self.grid[1]}: take a smaller one"
            )

    def _split(self, forcing: PyTree) -> tuple[Maps, Float[Array, " numbers"]]:
        """The maps among the leaves of a forcing, and its numbers."""
        leaves = [jnp.asarray(a) for a in jax.tree.leaves(forcing_at(forcing, 0.0))]
        fields = [a for a in leaves if a.ndim >= 2 and a.shape[-2:] == self.grid]
        others = [a for a in leaves if not (a.ndim >= 2 and a.shape[-2:] == self.grid)]
        found = (
            sum(math.prod(a.shape[:-2]) for a in fields),
            sum(a.size for a in others),
        )
        if found != (self.forcing_maps, self.forcing_numbers):
            raise InputError(
                f"the forcing of a step holds {found[0]} maps of {self.grid[0]} x "
                f"{self.grid[1]} points and {found[1]} numbers beside, and the model "
                f"reads {self.forcing_maps} and {self.forcing_numbers}: give the "
                "forcing that it was built for"
            )
        maps = [a.reshape(-1, *self.grid).astype(self.dtype) for a in fields]
        kind = jnp.result_type(*others) if others else self.dtype
        nothing = jnp.zeros((0, *self.grid), self.dtype)
        return (
            jnp.concatenate([nothing, *maps]),
            jnp.concatenate([jnp.ravel(a).astype(kind) for a in others])
            if others
            else jnp.zeros(0, kind),
        )


def part_of(
    array: Array,
    grid: tuple[int, int],
    corner: tuple[int | Array, int | Array],
    size: tuple[int, int],
) -> Array:
    """The part of an array on the grid; an array with other last axes is left whole."""
    if array.ndim < 2 or array.shape[-2:] != grid:
        return array
    start = (*(0,) * (array.ndim - 2), *corner)
    return jax.lax.dynamic_slice(array, start, (*array.shape[:-2], *size))


def _fitting(
    statistics: Standardisation, shape: tuple[int, ...], name: str, dtype: DTypeLike
) -> Standardisation:
    """In `dtype`, broadcast against `shape`."""
    for leaf in jax.tree.leaves(statistics):
        try:
            fits = np.broadcast_shapes(leaf.shape, shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise InputError(
                f"the statistics of the {name} have shape {leaf.shape} and {shape} was "
                "expected: give one number each, or one a channel"
            )
    return jax.tree.map(lambda leaf: leaf.astype(dtype), statistics)
