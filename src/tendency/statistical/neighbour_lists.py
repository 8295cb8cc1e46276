"""Floor 1: nearest neighbours from lists, for states that fill few dimensions.

A k-d tree leads to a leaf, and the leaf to the states nearest its centre, listed once
for all. By the triangle inequality the list holds the k nearest states of a query if
their largest distance and that from the query to the centre do not exceed, together,
the distance from the centre to the last state of the list.
"""

import math
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from tendency.cell import Constant
from tendency.statistical.selection import take

_DIMENSIONS = 12  # beyond, no list of useful length would do
_ENTRIES = 2**24  # in all the lists of a catalogue
_LENGTHS = ((2.5, 16), (5, 8))  # short and long, in units of k, in order of preference
_TRIALS = 128
_SETTLED = (0.7, 0.97)  # shares of the trials that short and long lists must settle


class Lists(eqx.Module):
    """The states nearest the centre of each leaf of a balanced k-d tree."""

    axis: Constant  # (node) the component that a node compares
    level: Constant  # (node) the value it compares with
    centre: Constant  # (leaf, d)
    index: Constant  # (leaf, entry), nearest first
    radius: Constant  # (leaf, 2), distance of the last entry of the short and the long
    lengths: tuple[int, int] = eqx.field(static=True)

    @classmethod
    def of(cls, points: Float[np.ndarray, "n d"], k: int) -> Self | None:
        """Lists that settle most queries like the `points`, else `None`."""
        from scipy.spatial import KDTree  # a tenth of a second that few need

        size, d = points.shape
        if d > _DIMENSIONS or size < 32 * k:
            return None
        tree: Any = KDTree(points)  # whose hints know no lists of neighbours
        for short, long in _LENGTHS:
            few = 16 * math.ceil(short * k / 16)
            lengths = few, max(few, long * k)
            share = max(2, k // 16, size * lengths[1] // _ENTRIES)
            axis, level, leaves = _divided(points, math.ceil(math.log2(size / share)))
            centre = np.stack(
                [(points[i].min(0) + points[i].max(0)) / 2 for i in leaves]
            )

            # Each trial is the state next to a leaf, which stands for a new one in it.
            trials = np.arange(0, len(leaves), max(1, len(leaves) // _TRIALS))
            outside = tree.query(centre[trials], [max(map(len, leaves)) + 1])[1][:, 0]
            some = points[outside]
            reach = np.linalg.norm(some - centre[trials], axis=1)
            reach += tree.query(some, [k])[0][:, 0]
            settled = reach[:, None] <= tree.query(centre[trials], lengths)[0]
            if np.any(settled.mean(0) < _SETTLED):
                continue
            distance, index = tree.query(centre, lengths[1])
            radius = distance[:, [length - 1 for length in lengths]]
            return cls(
                axis=Constant(jnp.asarray(axis, jnp.int32)),
                level=Constant(jnp.asarray(level, points.dtype)),
                centre=Constant(jnp.asarray(centre)),
                index=Constant(jnp.asarray(index, jnp.int32)),
                radius=Constant(jnp.asarray(radius, points.dtype)),
                lengths=lengths,
            )
        return None

    def leaf(self, queries: Float[Array, "m d"]) -> Int[Array, " m"]:
        """The leaf that each query falls in."""
        nodes = self.axis.value.shape[0]

        def down(_, node):
            axis = take(self.axis.value, node)[:, None]
            here = jnp.take_along_axis(queries, axis, 1)[:, 0]
            right = here >= take(self.level.value, node)
            return 2 * node + 1 + right.astype(jnp.int32)

        root = jnp.zeros(queries.shape[0], jnp.int32)
        return jax.lax.fori_loop(0, int(math.log2(nodes + 1)), down, root) - nodes


def _divided(points: Float[np.ndarray, "n d"], depth: int):
    """Axis and level of each node, level by level, and the indices in each leaf."""
    axes, levels, groups = [], [], [np.arange(len(points))]
    for _ in range(depth):
        halves = []
        for group in groups:
            here = points[group]
            axis = int(np.argmax(np.ptp(here, axis=0)))
            middle = len(group) // 2
            order = np.argpartition(here[:, axis], middle)
            axes.append(axis)
            levels.append(here[order[middle], axis])
            halves += [group[order[:middle]], group[order[middle:]]]
        groups = halves
    return axes, levels, groups
