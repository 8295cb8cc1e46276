"""A cell that steps a large map part by part, and what cuts a map into parts."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Carry, Constant, is_constant
from tendency.errors import InputError


class Patchwork(AbstractCell):
    """x' = Σ wₚ ⊙ f(xₚ), Σ wₚ = 1: overlapping patches of a map, blended smoothly.

    A patch has the memory of its part of the map, and its statistics, mask and forcing.
    Its weight is zero in the `reach` outermost points, which would need what is beyond,
    and rises as sin² over the rest of the overlap; at a wall it is one. If a step of
    the cell sees no farther than `reach` points, the map is that of the whole cell.

    Each patch draws from a key of its own, so that where two are blended a stochastic
    cell has less noise.

    Arguments:
        cell: on maps, with its memory.
        size: rows and columns of a patch.
        overlap: of neighbours, at least [points].
        reach: by default a quarter of the overlap [points].
        periodic: whether the map is a circle along its rows, and its columns.

    Raises:
        InputError: a patch larger than the map, an overlap that is larger than the
            patch or too small for the reach; states that are vectors.
    """

    cell: Any
    size: tuple[int, int] = eqx.field(static=True)
    overlap: int = eqx.field(static=True)
    reach: int = eqx.field(static=True)
    periodic: tuple[bool, bool] = eqx.field(static=True)

    def __init__(
        self,
        cell: AbstractCell,
        size: tuple[int, int],
        overlap: int,
        *,
        reach: int | None = None,
        periodic: tuple[bool, bool] = (False, False),
    ):
        """All as said above."""
        self.cell, self.size, self.overlap = cell, size, overlap
        self.reach = overlap // 4 if reach is None else reach
        self.periodic = periodic
        frame_of(cell).check_part(size)
        if not 0 <= 2 * self.reach < overlap < min(size):
            raise InputError(
                f"patches of {size[0]} x {size[1]} points overlap by {overlap} and "
                f"leave out {self.reach} at each edge, an overlap of more than twice "
                "that and less than a patch was expected"
            )

    @property
    def frame(self) -> Any:
        """Of the whole map."""
        return frame_of(self.cell)

    @property
    def dt(self) -> float:
        return self.cell.dt

    @property
    def spin_up_steps(self) -> int:
        return self.cell.spin_up_steps

    def init(self, state: Float[Array, "*state"]) -> Carry:
        return self.cell.init(state)

    def patches(
        self,
    ) -> tuple[
        Int[np.ndarray, "patch row"],
        Int[np.ndarray, "patch column"],
        Float[np.ndarray, "patch row column"],
    ]:
        """The rows and the columns of each patch, and its weights, which sum to one."""
        axes = [
            _along(n, size, self.overlap, self.reach, around)
            for n, size, around in zip(
                self.frame.grid, self.size, self.periodic, strict=True
            )
        ]
        (rows, down), (columns, across) = axes
        i, j = (k.ravel() for k in np.indices((len(rows), len(columns))))
        return rows[i], columns[j], down[i][:, :, None] * across[j][:, None, :]

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        grid, (rows, columns, weights) = self.frame.grid, self.patches()
        axes = self._axes(carry.state)

        def one(total, inputs):
            index, rows, columns, weight = inputs

            def part(tree):
                return jax.tree.map(lambda a: taken(a, grid, rows, columns), tree)

            def cut(leaf, at):
                return jnp.take(jnp.take(leaf, rows, at[0]), columns, at[1])

            def add(whole, patch, at):
                whole = jnp.moveaxis(whole, at, (-2, -1))
                patch = jnp.moveaxis(patch, at, (-2, -1))
                share = jnp.broadcast_to(weight.astype(patch.dtype), patch.shape)
                whole = whole.at[..., rows[:, None], columns[None]].add(share * patch)
                return jnp.moveaxis(whole, (-2, -1), at)

            step_key = None if key is None else jax.random.fold_in(key, index)
            cell = with_constants(self.cell, part)
            new = cell.step(jax.tree.map(cut, carry, axes), part(forcing), key=step_key)
            return jax.tree.map(add, total, new, axes), None

        inputs = (np.arange(len(rows), dtype=np.int32), rows, columns, weights)
        inputs = jax.tree.map(jnp.asarray, inputs)
        return jax.lax.scan(one, jax.tree.map(jnp.zeros_like, carry), inputs)[0]

    def _axes(self, state: Float[Array, "*state"]) -> Carry:
        """Which axes of a carry are rows and columns: those that grow with the map."""
        (n, m), cell = self.frame.grid, self.cell
        more = jnp.arange(n + 1) % n, jnp.arange(m + 2) % m

        def part(tree):
            return jax.tree.map(lambda a: taken(a, (n, m), *more), tree)

        def grown(state):
            return with_constants(cell, part).init(part(state))

        here, there = jax.eval_shape(cell.init, state), jax.eval_shape(grown, state)

        def found(a, b):
            growth = np.subtract(b.shape, a.shape).tolist()
            if sorted(growth)[-2:] != [1, 2]:
                raise InputError(
                    f"the memory of {type(cell).__name__} holds {a.shape} numbers, "
                    "maps were expected: it cannot be cut into patches"
                )
            return growth.index(1), growth.index(2)

        return jax.tree.map(found, here, there)


def taken(
    array: Array,
    grid: tuple[int, int],
    rows: Int[Array, " row"],
    columns: Int[Array, " column"],
) -> Array:
    """The part of an array on the grid at these rows and columns.

    An axis of one is the same everywhere; an array that has no such axes is whole.
    """
    if array.ndim < 2:
        return array
    fits = [n in (1, size) for n, size in zip(array.shape[-2:], grid, strict=True)]
    if not all(fits):
        return array
    for axis, places in ((-2, rows), (-1, columns)):
        if array.shape[axis] == grid[axis] > 1:
            array = jnp.take(array, places, axis)
    return array


def with_constants(module: Any, part: Any) -> Any:
    """A module whose `Constant`s are cut, statistics and masks, and no weight."""

    def one(node: Any) -> Any:
        return Constant(part(node.value)) if is_constant(node) else node

    return jax.tree.map(one, module, is_leaf=is_constant)


def frame_of(cell: Any) -> Any:
    """The frame of a cell on maps, or of the cell that it wraps.

    Raises:
        InputError: it has none.
    """
    inner = cell
    while inner is not None:
        frame = getattr(inner, "frame", None)
        if frame is not None:
            return frame
        inner = getattr(inner, "cell", None)
    raise InputError(
        f"{type(cell).__name__} has no frame, which says where the maps of its state "
        "are: take a cell of tendency.networks.maps, or give the loss a frame"
    )


def _along(
    n: int, size: int, overlap: int, reach: int, around: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The places of patches along one axis, and their weights there."""
    if size == n:
        return np.arange(n, dtype=np.int32)[None], np.ones((1, n))
    stride = size - overlap
    if around:
        count = math.ceil(n / stride)
        starts = np.round(np.arange(count) * n / count).astype(int)
    else:
        starts = np.append(np.arange(0, n - size, stride), n - size)
    places = ((starts[:, None] + np.arange(size)) % n).astype(np.int32)
    rise = (np.arange(size) + 0.5 - reach) / (overlap - 2 * reach)
    edge = np.sin(np.pi / 2 * np.clip(rise, 0, 1)) ** 2
    weights = np.tile(edge * edge[::-1], (len(starts), 1))
    if not around:
        weights[0] = edge[::-1]
        weights[-1] = edge
    total = np.zeros(n)
    np.add.at(total, places, weights)
    return places, weights / total[places]
