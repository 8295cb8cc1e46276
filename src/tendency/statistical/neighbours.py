"""Floor 1: the exact nearest neighbours of a state in a catalogue of states.

`Neighbours` answers one query; under `jax.vmap` the queries are searched together, so
that the catalogue is read once for all. `nearest` sorts the answer. There are two
searches, both exact, neither holding the (query, state) matrix of distances:

- over blocks, for any dimension: one pass takes the least distance to each block of the
  catalogue; the k nearest states lie in the k blocks where it is smallest;
- over the lists of `neighbour_lists`, where the states fill few dimensions.
"""

import math
from collections.abc import Callable
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float, Int

from tendency.cell import Constant
from tendency.errors import InputError
from tendency.statistical.neighbour_lists import Lists
from tendency.statistical.selection import first, smallest, squared_distances, take

_QUERIES = 128  # searched together: their minima over one slab stay in the cache
_LANES = 256  # blocks whose minima are computed side by side
_GATHERED = 2**22  # numbers gathered at once
_RESCUED = 8  # queries that leave the short lists together


class Neighbours(eqx.Module):
    """The k nearest states of a catalogue in the Euclidean distance, exactly.

    Of the states that tie for the last place some are taken. A query that is not finite
    has no neighbours, and is answered with any.
    """

    points: Constant  # (n, d)
    slabs: Constant  # (chunk, slab, part, component, lane): a lane is a block
    lists: Lists | None
    k: int = eqx.field(static=True)

    @classmethod
    def of(cls, points: Float[Array, "n d"], k: int) -> Self:
        """The search for `k` neighbours among `points`.

        Raises:
            InputError: `k` is not between 1 and the number of points; a point is not
                finite.
        """
        points = jnp.asarray(points)
        host = np.asarray(points)
        size = host.shape[0]
        if not 1 <= k <= size:
            raise InputError(
                f"{k} neighbours were asked for in a catalogue of {size} states: give "
                f"a number between 1 and {size}, or a longer catalogue"
            )
        if not np.isfinite(host).all():
            raise InputError(
                f"the catalogue holds {np.sum(~np.isfinite(host))} NaN or infinite "
                "values: leave out the states that hold them"
            )
        return cls(Constant(points), Constant(_slabs(host, k)), Lists.of(host, k), k)

    def __call__(self, query: Float[Array, " d"]) -> Int[Array, " k"]:
        """The indices of the k nearest states, in no order that is meant."""
        search, query = jax.lax.stop_gradient((self, query))
        return _find(search, query[None])[0]


def nearest(
    neighbours: Neighbours, query: Float[Array, " d"]
) -> tuple[Float[Array, " k"], Int[Array, " k"]]:
    """Distances and indices of the k nearest states, nearest first."""
    index = neighbours(query)
    points = neighbours.points.value
    squares = squared_distances(points, index[None], query[None])[0]
    order = jnp.argsort(squares)
    return jnp.sqrt(squares[order]), index[order]


@custom_vmap
def _find(search: Neighbours, queries: Float[Array, "m d"]) -> Int[Array, "m k"]:
    """The neighbours of every query, some queries at a time."""
    by = _by_blocks if search.lists is None else _by_lists
    return _grouped(lambda some: by(search, some), _QUERIES, queries)


@_find.def_vmap
def _find_together(size: int, batched: Any, search: Neighbours, queries: Array):
    """Batches of queries become one; catalogues in a batch are searched in turn."""
    if any(jax.tree.leaves(batched[0])):

        def one(i):
            def cut(array, is_batched):
                return array[i] if is_batched else array

            return _find(*jax.tree.map(cut, (search, queries), tuple(batched)))

        return jax.lax.map(one, jnp.arange(size)), True
    index = _find(search, queries.reshape(-1, queries.shape[-1]))
    return index.reshape(size, -1, search.k), True


def _grouped(function: Callable, most: int, queries: Array, *more: Array) -> Any:
    """`function` of at most `most` rows at a time of arrays that have a row a query."""
    size = queries.shape[0]
    if size <= most:
        return function(queries, *more)
    groups = -(-size // most)
    each = -(-size // groups)

    def cut(rows, fill):
        missing = ((0, groups * each - size), *((0, 0) for _ in rows.shape[1:]))
        padded = jnp.pad(rows, missing, constant_values=fill)
        return padded.reshape(groups, each, *rows.shape[1:])

    cuts = cut(queries, jnp.nan), *(cut(rows, 0) for rows in more)
    answers = jax.lax.map(lambda some: function(*some), cuts)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:size], answers)


def _shape(d: int) -> tuple[int, int, int]:
    """Parts, components of a part, and slabs whose minimum is taken at once.

    Their product is the length of the sum that XLA compiles; with others it was found
    not to vectorise. Components are padded with zeros to fill the parts.
    """
    for most, slabs in ((2, 8), (3, 4), (5, 4), (9, 2), (10, 2), (18, 1)):
        if d <= most:
            return 1, most, slabs
    components = 11 if d <= 22 else 15 if d <= 30 else 20
    return -(-d // components), components, 1


def _slabs(
    points: Float[np.ndarray, "n d"], k: int
) -> Float[Array, "chunk b part component lane"]:
    """The catalogue dealt to blocks, padded with states at infinity."""
    size, d = points.shape
    # About the optimum between the reading of minima and that of the k best blocks.
    ideal = 0.5 * math.sqrt(size / k / max(1.0, d / 8))
    b = 2 ** max(3, round(math.log2(ideal)))
    chunks = -(-size // (b * _LANES))
    lanes = 32 * -(-size // (b * chunks * 32))
    parts, components, _ = _shape(d)
    dealt = np.zeros((chunks * b * lanes, parts * components), points.dtype)
    dealt[:size, :d] = points
    dealt[size:] = np.inf
    dealt = dealt.reshape(chunks, b, lanes, parts, components)
    return jnp.asarray(dealt.transpose(0, 1, 3, 4, 2))


def _minima(
    slabs: Float[Array, "chunk b part component lane"], queries: Float[Array, "m d"]
) -> Float[Array, "m block"]:
    """The least squared distance to each block, chunk after chunk."""
    b, parts, components, lanes = slabs.shape[1:]
    size, d = queries.shape
    together = _shape(d)[2]
    padded = jnp.pad(queries, ((0, 0), (0, parts * components - d)))
    columns = padded.T.reshape(parts, components, size, 1)

    def with_part(squares, part):
        for x, q in zip(*part, strict=True):
            squares = squares + jnp.square(x[None] - q)
        return squares, None

    def with_slabs(best, some):
        for slab in some:
            start = jnp.zeros_like(best)
            squares, _ = jax.lax.scan(with_part, start, (slab, columns))
            best = jnp.minimum(best, squares)
        return best, None

    def least(chunk):
        start = jnp.full((size, lanes), jnp.inf, queries.dtype)
        some = chunk.reshape(b // together, together, parts, components, lanes)
        return jax.lax.scan(with_slabs, start, some)[0]

    return jnp.moveaxis(jax.lax.map(least, slabs), 0, 1).reshape(size, -1)


def _by_blocks(search: Neighbours, queries: Float[Array, "m d"]) -> Int[Array, "m k"]:
    """All of the blocks' minima, then the states of the k best blocks."""
    points = search.points.value
    b, *_, lanes = search.slabs.value.shape[1:]
    minima = _minima(search.slabs.value, queries)
    full, rest = divmod(points.shape[0], b * lanes)
    occupied = full * lanes + min(rest, lanes)
    blocks, _ = smallest(minima, min(search.k, occupied))
    start = blocks // lanes * (b * lanes) + blocks % lanes

    def refined(queries, start):
        index = start[:, :, None] + lanes * jnp.arange(b, dtype=jnp.int32)[None, None]
        index = index.reshape(start.shape[0], -1)
        inside = jnp.minimum(index, points.shape[0] - 1)
        squares = squared_distances(points, inside, queries)
        squares = jnp.where(index == inside, squares, jnp.inf)
        return _picked(inside, smallest(squares, search.k)[0])

    together = max(1, _GATHERED // (start.shape[1] * b * points.shape[1]))
    return _grouped(refined, together, queries, start)


def _by_lists(search: Neighbours, queries: Float[Array, "m d"]) -> Int[Array, "m k"]:
    """The short lists; for the few queries they do not settle the long, then all."""
    lists, points, k = search.lists, search.points.value, search.k
    assert lists is not None
    leaf = lists.leaf(queries)
    away = jnp.sqrt(squared_distances(lists.centre.value, leaf[:, None], queries)[:, 0])

    rounding = 1 + 16 * float(jnp.finfo(queries.dtype).eps)

    def within(which, queries, leaf, away, most):
        listed = take(lists.index.value, leaf)[:, : lists.lengths[which]]
        squares = squared_distances(points, listed, queries)
        best, limit = smallest(squares, k, most)
        radius = take(lists.radius.value, leaf, which)
        sure = (jnp.sqrt(limit) + away) * rounding <= radius
        return _picked(listed, best), limit, sure

    index, limit, sure = within(0, queries, leaf, away, None)
    unsure = ~sure & jnp.isfinite(queries).all(1)
    few = min(_RESCUED, queries.shape[0])

    def rescued(now):
        index, unsure = now
        which = first(unsure, few)  # some others too, where fewer are unsure
        query, most = queries[which], limit[which] * rounding
        found, _, sure = within(1, query, leaf[which], away[which], most)
        found = jax.lax.cond(
            jnp.all(sure | ~unsure[which]),
            lambda: found,
            lambda: _by_blocks(search, query),
        )
        found = jnp.where(unsure[which][:, None], found, index[which])
        return index.at[which].set(found), unsure.at[which].set(False)

    return jax.lax.while_loop(lambda now: jnp.any(now[1]), rescued, (index, unsure))[0]


def _picked(values: Array, places: Int[Array, "m k"]) -> Array:
    return jnp.take_along_axis(values, places, 1, mode="promise_in_bounds")
