"""Symmetric positive definite block-tridiagonal systems, in time linear in length.

A chain of small blocks is cut into about √N segments. Within all of them at once the
blocks are eliminated one after the other (block Cholesky, or Thomas' algorithm) down to
the last block of each, the separator; the separators form a chain of their own, which
is solved the same way; and what lies between them follows. That takes N operations on
blocks as one elimination from end to end does, but in √N batches. Larger blocks are
eliminated from end to end.

Source: the method of substructures, as in Polizzi & Sameh (2006, Parallel Computing 32,
177) for bands.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

_SMALL = 5  # a block of more is worth an operation of its own

Blocks = Float[Array, "N n n"]
Links = Float[Array, "N-1 n n"]
Columns = Float[Array, "N n m"]


def solve_tridiagonal(diagonal: Blocks, below: Links, right: Columns) -> Columns:
    """A⁻¹ R of a symmetric positive definite block-tridiagonal A, for m columns.

    Arguments:
        diagonal: the blocks A_kk.
        below: the blocks A_k+1,k.
        right: R.
    """
    count, segment = len(diagonal), _segment(*diagonal.shape[:2])
    if segment < 2:
        return _solved(diagonal, below, right)
    cut = _cut(diagonal, below, segment)
    right = _padded(right, segment)
    r_inner, r_separators = right[:, :-1], right[:, -1]
    own = jax.vmap(_solved)(cut.inner, cut.inner_below, r_inner)
    to_left, to_right = cut.influences()
    r_separators = r_separators - cut.after @ own[:, -1]
    r_separators = r_separators.at[:-1].add(-_T(cut.before[1:]) @ own[1:, 0])
    x = _solved(*cut.reduced(to_left, to_right), r_separators)
    before = jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]])
    inner = own - to_left @ before[:, None] - to_right @ x[:, None]
    both = jnp.concatenate([inner, x[:, None]], axis=1)
    return _joined(both)[:count]


def inverse_blocks(diagonal: Blocks, below: Links) -> Blocks:
    """The blocks of A⁻¹ on its diagonal: variances, where A is a precision."""
    count, segment = len(diagonal), _segment(*diagonal.shape[:2])
    if segment < 2:
        return _inverted(diagonal, below)[0]
    cut = _cut(diagonal, below, segment)
    own, _ = jax.vmap(_inverted)(cut.inner, cut.inner_below)
    to_left, to_right = cut.influences()
    x, cross = _inverted(*cut.reduced(to_left, to_right))
    nothing = jnp.zeros_like(x[:1])
    before = jnp.concatenate([nothing, x[:-1]])[:, None]
    cross = jnp.concatenate([nothing, cross])[:, None]
    mixed = to_right @ cross @ _T(to_left)
    inner = (
        own
        + to_left @ before @ _T(to_left)
        + to_right @ x[:, None] @ _T(to_right)
        + mixed
        + _T(mixed)
    )
    both = jnp.concatenate([inner, x[:, None]], axis=1)
    return _joined(both)[:count]


class _Cut(NamedTuple):
    """The chain in segments: (segment, block, n, n), the separator of each apart."""

    inner: Array
    inner_below: Array
    separators: Array
    before: Array  # A of the first inner block and the separator before it
    after: Array  # A of the separator and the last inner block

    def influences(self) -> tuple[Array, Array]:
        """A⁻¹ of the inner blocks times their couplings to the two separators."""
        n = self.before.shape[-1]
        first = jnp.zeros((*self.inner.shape[:2], 2 * n, n), self.before.dtype)
        first = _T(first).at[:, 0, :, :n].set(self.before)
        both = first.at[:, -1, :, n:].set(_T(self.after))
        found = jax.vmap(_solved)(self.inner, self.inner_below, both)
        return found[..., :n], found[..., n:]

    def reduced(self, to_left: Array, to_right: Array) -> tuple[Blocks, Links]:
        """The chain of the separators, once the inner blocks are eliminated."""
        diagonal = self.separators - self.after @ to_right[:, -1]
        diagonal = diagonal.at[:-1].add(-_T(self.before[1:]) @ to_left[1:, 0])
        return diagonal, -(self.after @ to_left[:, -1])[1:]


def _segment(count: int, n: int) -> int:
    """Blocks in a segment; short chains stay whole, and those of larger blocks.

    Segments cost 2n columns more. For blocks of 3 they are twice as fast all the same,
    for blocks of 40 four times slower.
    """
    return math.isqrt(count) if count >= 64 and n <= _SMALL else 1


def _cut(diagonal: Blocks, below: Links, segment: int) -> _Cut:
    n = diagonal.shape[-1]
    extra = -len(diagonal) % segment
    ones = jnp.broadcast_to(jnp.eye(n, dtype=diagonal.dtype), (extra, n, n))
    blocks = _padded(jnp.concatenate([diagonal, ones]), segment)
    nothing = jnp.zeros_like(diagonal[:1])
    links = _padded(jnp.concatenate([nothing, below]), segment)  # A_k,k-1
    return _Cut(
        blocks[:, :-1], links[:, 1:-1], blocks[:, -1], links[:, 0], links[:, -1]
    )


def _padded(blocks: Array, segment: int) -> Array:
    """In segments, with zeros at the end where the last is not full."""
    extra = -len(blocks) % segment
    blocks = jnp.pad(blocks, ((0, extra), (0, 0), (0, 0)))
    return blocks.reshape(len(blocks) // segment, segment, *blocks.shape[1:])


def _joined(segments: Array) -> Array:
    many, segment, *shape = segments.shape
    return segments.reshape(many * segment, *shape)


def _pivots(diagonal: Blocks, below: Links, right: Columns) -> tuple[Array, Array]:
    """The inverses of the pivots, and the right side after forward elimination."""
    links = jnp.concatenate([jnp.zeros_like(diagonal[:1]), below])

    def forward(last, now):
        inverse, r_last = last
        block, link, r = now
        gain = link @ inverse
        new = _inverse(block - gain @ link.T), r - gain @ r_last
        return new, new

    start = jnp.eye(diagonal.shape[-1], dtype=diagonal.dtype), jnp.zeros_like(right[0])
    return jax.lax.scan(forward, start, (diagonal, links, right))[1]


def _solved(diagonal: Blocks, below: Links, right: Columns) -> Columns:
    inverses, r = _pivots(diagonal, below, right)
    links = jnp.concatenate([below, jnp.zeros_like(diagonal[:1])])

    def backward(x, now):
        inverse, r, link = now
        x = inverse @ (r - link.T @ x)
        return x, x

    start = jnp.zeros_like(right[0])
    return jax.lax.scan(backward, start, (inverses, r, links), reverse=True)[1]


def _inverted(diagonal: Blocks, below: Links) -> tuple[Blocks, Links]:
    """The blocks of the inverse, on its diagonal and below."""
    inverses, _ = _pivots(diagonal, below, jnp.zeros_like(diagonal[..., :0]))
    links = jnp.concatenate([below, jnp.zeros_like(diagonal[:1])])

    def backward(later, now):
        inverse, link = now
        cross = -later @ link @ inverse
        mine = inverse - inverse @ link.T @ cross
        return mine, (mine, cross)

    start = jnp.zeros_like(diagonal[0])
    _, found = jax.lax.scan(backward, start, (inverses, links), reverse=True)
    return found[0], found[1][:-1]


def _inverse(block: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """Of a symmetric positive definite block; NaN where it is not."""
    root = jnp.linalg.cholesky(block)
    eye = jnp.eye(len(block), dtype=block.dtype)
    inverse_root = solve_triangular(root, eye, lower=True)
    return inverse_root.T @ inverse_root


def _T(blocks: Array) -> Array:  # noqa: N802
    return jnp.swapaxes(blocks, -1, -2)
