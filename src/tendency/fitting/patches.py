"""A loss of random patches of a map in place of the whole."""

import dataclasses
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from tendency.errors import InputError
from tendency.fitting.loss import AbstractRolloutLoss
from tendency.networks.maps.patchwork import frame_of, taken, with_constants
from tendency.windows import Window


class Patches(AbstractRolloutLoss):
    """`loss` of one patch of each window, whose corner is drawn anew each time.

    States, forcing maps and weights are cut, and with them the statistics and masks of
    the cell and of the loss: a large map is learned from in the memory of a patch, and
    each epoch sees other parts of it. Validation, which has no key, sees whole maps.

    Arguments:
        loss: of the patch.
        size: rows and columns of a patch.
        margin: points at the edges of a patch that do not count, as what moves in from
            beyond cannot be known; at a wall of the map all do.
        periodic: whether the map is a circle along its rows, and its columns: a patch
            may lie across the ends.

    Raises:
        InputError: a margin that leaves nothing; in a fit, a patch larger than the map
            or states that are vectors.
    """

    loss: Any
    size: tuple[int, int] = eqx.field(static=True)
    margin: int = eqx.field(static=True, default=0)
    periodic: tuple[bool, bool] = eqx.field(static=True, default=(False, False))

    def __check_init__(self):
        if not 0 <= 2 * self.margin < min(self.size):
            raise InputError(
                f"a margin of {self.margin} points in patches of {self.size[0]} x "
                f"{self.size[1]} was asked for, one of 0 or more that leaves points "
                "inside was expected"
            )

    def __call__(
        self, cell: Any, window: Window, *, key: PRNGKeyArray | None = None
    ) -> Float[Array, ""]:
        """Of a patch where there is a key, of the whole map where there is none."""
        if key is None:
            return self.loss(cell, window, key=None)
        frame = frame_of(cell)
        frame.check_part(self.size)
        key, *keys = jax.random.split(key, 3)
        places, inside = [], []
        axes = zip(keys, frame.grid, self.size, self.periodic, strict=True)
        for axis_key, n, size, around in axes:
            last = n if around and size < n else n - size + 1
            start = jax.random.randint(axis_key, (), 0, last)
            i = jnp.arange(size)
            places.append((start + i) % n)
            low, high = i >= self.margin, i < size - self.margin
            wall = jnp.asarray(not around)
            low = low | (wall & (start == 0)) | (size == n)
            high = high | (wall & (start == n - size)) | (size == n)
            inside.append(low & high)

        def part(tree):
            return jax.tree.map(lambda a: taken(a, frame.grid, *places), tree)

        def part_in_time(tree):  # (time, ...): time is no row
            return jax.tree.map(jax.vmap(part), tree)

        weights = window.weights
        if weights is None:
            weights = jax.tree.map(jnp.ones_like, window.states)
        states, forcing, weights = map(
            part_in_time, (window.states, window.forcing, weights)
        )
        cut = Window(states, forcing, weights, part(window.initial))
        if self.margin:
            counted = inside[0][:, None] & inside[1][None]

            def within(w, x):
                w = jnp.broadcast_to(
                    w.reshape(w.shape + (1,) * (x.ndim - w.ndim)), x.shape
                )
                return w * jnp.broadcast_to(counted, x.shape).astype(w.dtype)

            cut = dataclasses.replace(
                cut, weights=jax.tree.map(within, cut.weights, cut.states)
            )
        loss = with_constants(self.loss, part)
        return loss(with_constants(cell, part), cut, key=key)

    def with_horizon(self, horizon: int) -> Self:
        return dataclasses.replace(self, loss=self.loss.with_horizon(horizon))

    def check(self, cell: Any, length: int, name: str) -> None:
        frame_of(cell).check_part(self.size)
        self.loss.check(cell, length, name)
