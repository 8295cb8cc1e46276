"""Floor 1: the smallest of many numbers without a sort, and sums that XLA vectorises.

`smallest` says where they are. It counts: `threshold` is the number that so many of the
values do not exceed, `first` where the first of the flagged values stand. On a CPU this
is many times quicker than XLA's sort and its selection, and exact.

`gathered` vectors are `Columns`; these, and the sums, are shaped as measured to be
quickest there.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

FEW = 16  # a number of components up to which loops over them are unrolled
Columns = tuple[Float[Array, " c"], ...] | Float[Array, "d c"]
"""Vectors, component first: FEW components apart, which is quicker, or one array."""

_WORD = 32  # flags kept in one integer
_DIGIT = 10  # bits of a count that shares an integer with two others


def take(rows: Array, *index: int | Int[Array, "*m"]) -> Array:
    """`rows[index]` for an index known to be within bounds, which is not checked."""
    return rows.at[index].get(mode="promise_in_bounds")


def gathered(rows: Float[Array, "n d"], index: Int[Array, " c"]) -> Columns:
    """The components of the rows at `index`."""
    d = rows.shape[1]
    if d > FEW:
        return take(rows, index).T
    return tuple(take(rows, index, j) for j in range(d))


def matrix(columns: Columns) -> Float[Array, "d c"]:
    """The components as one array."""
    return jnp.stack(columns) if isinstance(columns, tuple) else columns


def less(columns: Columns, point: Float[Array, " d"]) -> Columns:
    """The difference of each component from that of one point."""
    if isinstance(columns, tuple):
        return tuple(c - point[j] for j, c in enumerate(columns))
    return columns - point[:, None]


def combined(columns: Columns, weights: Float[Array, " c"]) -> Float[Array, " d"]:
    """The weighted sum of each component."""
    if isinstance(columns, tuple):
        return jnp.stack([total(column * weights) for column in columns])
    return exactly(columns, weights)


def squared_norms(columns: Columns) -> Float[Array, " c"]:
    """The sum of the squares of all components."""
    if not isinstance(columns, tuple):
        return jnp.sum(jnp.square(columns), 0)
    result = jnp.square(columns[0])
    for column in columns[1:]:
        result = result + jnp.square(column)
    return result


def squared_distances(
    rows: Float[Array, "n d"], index: Int[Array, "m c"], queries: Float[Array, "m d"]
) -> Float[Array, "m c"]:
    """|rows[index] - query|² of each query: differences first, so nothing cancels."""
    d = rows.shape[1]
    if d > FEW:
        squares = jnp.square(take(rows, index) - queries[:, None])
        return total(squares)
    result = jnp.zeros(index.shape, rows.dtype)
    for j in range(d):
        result = result + jnp.square(take(rows, index, j) - queries[:, j : j + 1])
    return result


def total(values: Float[Array, "*m c"]) -> Float[Array, "*m"]:
    """The sum over the last axis; as a product, which XLA vectorises."""
    return exactly(values, jnp.ones(values.shape[-1], values.dtype))


def exactly(a: Array, b: Array) -> Array:
    """The product of two matrices in their own precision, on a GPU too."""
    return jnp.matmul(a, b, precision="highest")


def _counts(
    values: Float[Array, "*m c"], limits: Sequence[Float[Array, "*m"]]
) -> list[Int[Array, "*m"]]:
    """How many of the values do not exceed each of three limits.

    The three counts are digits of one number as long as they fit, so that one sum does.
    """
    digits = jnp.zeros(values.shape, jnp.int32)
    for i, limit in enumerate(limits):
        digits += (values <= limit[..., None]).astype(jnp.int32) << (_DIGIT * i)
    digits = _folded(digits, (1 << _DIGIT) - 1)
    return [
        jnp.sum((digits >> (_DIGIT * i)) & ((1 << _DIGIT) - 1), -1, dtype=jnp.int32)
        for i in range(len(limits))
    ]


def _folded(numbers: Int[Array, "*m c"], most: int) -> Int[Array, "*m lane"]:
    """Sums of at most `most` of the numbers, few; XLA vectorises the sum of halves."""
    size = numbers.shape[-1]
    while numbers.shape[-1] > _WORD and numbers.shape[-1] % 2 == 0:
        if 2 * size > most * numbers.shape[-1]:
            break
        half = numbers.shape[-1] // 2
        numbers = numbers[..., :half] + numbers[..., half:]
    return numbers


def smallest(
    values: Float[Array, "*m c"], k: int, most: Float[Array, "*m"] | None = None
) -> tuple[Int[Array, "*m k"], Float[Array, "*m"]]:
    """Where the `k` smallest numbers along the last axis are, and their `threshold`.

    They come in the order of their places. Of those that tie for the last place the
    first are taken. No value may be negative; infinite ones count as absent. Where
    fewer than `k` are present, or one is NaN, some places are arbitrary. `most` is a
    number that `k` of the values are known not to exceed.
    """
    values = jax.lax.optimization_barrier(values)  # computed once, not at each use
    limit = threshold(values, k, most)
    within = values <= limit[..., None]

    def trimmed():
        tied = values == limit[..., None]
        under = within & ~tied
        room = k - jnp.sum(under, -1, keepdims=True, dtype=jnp.int32)
        return under | (tied & (jnp.cumsum(tied, -1, dtype=jnp.int32) <= room))

    ones = _folded(within.astype(jnp.int32), values.shape[-1])
    many = jnp.any(jnp.sum(ones, -1, dtype=jnp.int32) > k)
    return first(jax.lax.cond(many, trimmed, lambda: within), k), limit


def threshold(
    values: Float[Array, "*m c"], rank: int, most: Float[Array, "*m"] | None = None
) -> Float[Array, "*m"]:
    """A number that `rank` of the `values` do not exceed, and more only where they tie.

    By cutting an interval in four, from zero to `most`. No value may be negative;
    infinite ones count as absent.
    """
    if most is None:
        most = jnp.max(jnp.where(jnp.isfinite(values), values, -1), -1)

    def unfinished(now):
        low, high = now
        middle = low + (high - low) / 2
        return jnp.any((low < middle) & (middle < high))

    def narrowed(now):
        low, high = now
        cuts = [low + (high - low) * part for part in (0.25, 0.5, 0.75)]
        counts = _counts(values, cuts)
        for cut, n in reversed(list(zip(cuts, counts, strict=True))):
            high = jnp.where(n >= rank, cut, high)
        for cut, n in zip(cuts, counts, strict=True):
            low = jnp.where(n <= rank, cut, low)
            high = jnp.where(n == rank, cut, high)
        return low, high

    start = jnp.full_like(most, -float(jnp.finfo(most.dtype).tiny)), most
    return jax.lax.while_loop(unfinished, narrowed, start)[1]


def first(flags: Bool[Array, "*m c"], k: int) -> Int[Array, "*m k"]:
    """Where the first `k` flags that are set stand; arbitrary where fewer are."""
    size = flags.shape[-1]
    words = -(-size // _WORD)
    missing = ((0, 0),) * (flags.ndim - 1) + ((0, words * _WORD - size),)
    bits = jnp.pad(flags, missing).reshape(*flags.shape[:-1], words, _WORD)
    shifts = jnp.arange(_WORD, dtype=jnp.uint32).reshape(*(1 for _ in flags.shape), -1)
    word = jnp.sum(bits.astype(jnp.uint32) << shifts, -1, dtype=jnp.uint32)
    held = jax.lax.population_count(word).astype(jnp.int32)

    nth = jnp.arange(k, dtype=jnp.int32).reshape(*(1 for _ in flags.shape[:-1]), k)
    nth = jnp.broadcast_to(nth, (*flags.shape[:-1], k))
    at, nth, here = (_by_steps if words <= _WORD else _by_bisection)(word, held, nth)

    # Where it stands in that word, by bisection on the bits.
    place = jnp.zeros_like(nth)
    for step in (16, 8, 4, 2, 1):
        low = here & ((1 << step) - 1)
        passed = jax.lax.population_count(low).astype(jnp.int32)
        skip = passed <= nth
        nth = jnp.where(skip, nth - passed, nth)
        here = jnp.where(skip, here >> step, low)
        place = jnp.where(skip, place + step, place)
    return jnp.minimum(at * _WORD + place, size - 1)


def _by_steps(word, held, nth):
    """The word of the nth flag, the place of the flag in it, and the word itself."""
    at, here = jnp.zeros_like(nth), word[..., :1]
    for i in range(word.shape[-1] - 1):
        skip = (at == i) & (held[..., i : i + 1] <= nth)
        nth = jnp.where(skip, nth - held[..., i : i + 1], nth)
        here = jnp.where(skip, word[..., i + 1 : i + 2], here)
        at = jnp.where(skip, i + 1, at)
    return at, nth, jnp.broadcast_to(here, nth.shape)


def _by_bisection(word, held, nth):
    """The same, for many words."""
    ends = jnp.cumsum(held, -1)
    at = jnp.zeros_like(nth)
    step = 1 << (word.shape[-1] - 1).bit_length()
    while step := step // 2:
        probe = jnp.minimum(at + step, word.shape[-1] - 1)
        passed = jnp.take_along_axis(ends, probe - 1, -1, mode="promise_in_bounds")
        at = jnp.where(passed <= nth, probe, at)
    starts = jnp.take_along_axis(ends - held, at, -1, mode="promise_in_bounds")
    here = jnp.take_along_axis(word, at, -1, mode="promise_in_bounds")
    return at, nth - starts, here
