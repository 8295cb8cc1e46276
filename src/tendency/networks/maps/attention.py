"""A network of attention among the patches of a map."""

import math
from collections.abc import Callable
from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, DTypeLike, Float, PRNGKeyArray, Shaped

from tendency.errors import InputError
from tendency.networks.attention.blocks import Block, Norm
from tendency.networks.attention.positions import sinusoidal
from tendency.networks.dense import Activation, Dense, at_least
from tendency.networks.maps.layers import (
    Edges,
    Mask,
    Modulation,
    channels_first,
    channels_last,
    maybe_modulation,
    modulated,
)
from tendency.networks.maps.network import AbstractMapNetwork, read_by

Reach = Literal["global", "axial", "window"]
Tokens = Float[Array, "down across size"]
Seen = Bool[Array, "down across"]


class MapTransformer(AbstractMapNetwork):
    """Blocks of attention among patches, each a token, which know where they stand.

    A patch reads all others (`global`), those of its row and then of its column
    (`axial`, block by block), or those of its `window` of patches and, in every other
    block, of windows shifted by half of one. A patch with no point of the mask is read
    by none. Sines and cosines of its row and column are added to each patch, whole
    waves around a periodic edge; within windows the heads learn a bias by distance too.

    Of the edges only whether they are periodic counts: shifted windows go around them.

    Source: Dosovitskiy et al. (2021, arXiv:2010.11929), Ho et al. (2019,
    arXiv:1912.12180), Liu et al. (2021, arXiv:2103.14030), the last with padding in
    place of a cyclic shift where the map is no circle.
    """

    embedding: Dense
    blocks: tuple[Block, ...]
    norm: Norm
    head: Dense
    modulation: Modulation | None
    bias: Float[Array, "depth heads rows_apart columns_apart"] | None
    edges: Edges
    patch: int = eqx.field(static=True)
    reach: Reach = eqx.field(static=True)
    window: int = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int = 64,
        depth: int = 4,
        *,
        patch: int = 4,
        heads: int = 4,
        hidden: int | None = None,
        reach: Reach = "global",
        window: int = 8,
        edges: Edges = Edges(),  # noqa: B008
        conditions: int = 0,
        activation: Activation = jax.nn.gelu,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """The head begins at zero.

        Arguments:
            size: numbers of a token.
            patch: points along a side of one.
            reach: which patches each reads.
            window: patches along a side of a window, an even number.

        Raises:
            InputError: a size that is impossible, an odd window, a size that cannot be
                shared by the heads or told by waves, or an unknown reach.
        """
        at_least(1, inputs=inputs, outputs=outputs, patch=patch, depth=depth)
        at_least(0, conditions=conditions)
        if reach not in get_args(Reach):
            raise InputError(
                f"reach is {reach!r}, one of {', '.join(get_args(Reach))} was expected"
            )
        if reach == "window" and (window < 2 or window % 2):
            raise InputError(
                f"window is {window}, an even number was expected, so that it can be "
                "shifted by a half"
            )
        if size % 4:
            raise InputError(
                f"size is {size}, a multiple of 4 was expected: rows and columns are "
                "told by pairs of waves"
            )
        first, last, *keys = jax.random.split(key, depth + 3)
        area = patch**2
        self.embedding = Dense(area * inputs, size, dtype=dtype, key=first)
        self.blocks = tuple(
            Block(
                size,
                heads,
                hidden=4 * size if hidden is None else hidden,
                activation=activation,
                dtype=dtype,
                key=k,
            )
            for k in keys[:depth]
        )
        self.norm = Norm(size, dtype=dtype)
        head = Dense(size, area * outputs, dtype=dtype, key=last)
        self.head = eqx.tree_at(lambda d: d.weight, head, replace_fn=jnp.zeros_like)
        self.modulation = maybe_modulation(conditions, size, dtype, keys[depth])
        apart = 2 * window - 1
        self.bias = None
        if reach == "window":
            shape = (depth, heads, apart, apart)
            self.bias = jnp.zeros(shape, self.head.bias.dtype)
        self.edges, self.patch, self.reach, self.window = edges, patch, reach, window

    @property
    def sizes(self) -> tuple[int, int]:
        area = self.patch**2
        reads, gives = self.embedding.weight.shape[0], self.head.bias.shape[0]
        return reads // area, gives // area

    @property
    def conditions(self) -> int:
        return read_by(self.modulation)

    def __call__(self, x, mask=None, condition=None):
        tokens, seen = self._tokens(x, mask, condition)
        for i, block in enumerate(self.blocks):
            tokens = self._read(i, block, tokens, seen)
        return self._map(tokens, x.shape[1:])

    def attention(
        self,
        x: Float[Array, "in row column"],
        mask: Mask | None = None,
        condition: Float[Array, " conditions"] | None = None,
    ) -> Float[Array, "depth down across down across"]:
        """How much each patch reads of each, block by block, the mean over the heads.

        For each patch that holds a point the sum is one; zero of what is out of reach.
        """
        tokens, seen = self._tokens(x, mask, condition)
        shape, weights = seen.shape, []
        each = jnp.eye(seen.size, dtype=tokens.dtype).reshape(*shape, -1)
        for i, block in enumerate(self.blocks):

            def read(part, there, of, block=block, i=i):
                normed = jax.vmap(block.own_norm)(part)
                held = block.own.remember(normed)
                bias = self._bias(i)
                return block.own.weights(normed, held, there, bias=bias).mean(0) @ of

            weights.append(self._among(i, read, tokens, seen, each))
            tokens = self._read(i, block, tokens, seen)
        return jnp.stack(weights).reshape(len(weights), *shape, *shape)

    def _tokens(self, x, mask: Mask | None, condition) -> tuple[Tokens, Seen]:
        """The patches of a map as tokens, and which of them hold a point."""
        n, dtype = self.patch, self.embedding.bias.dtype
        at_least(1, rows=x.shape[1], columns=x.shape[2])
        here = jnp.ones((1, *x.shape[1:]), dtype) if mask is None else mask
        for edge, points, name in zip(
            (self.edges.rows, self.edges.columns),
            x.shape[1:],
            ("rows", "columns"),
            strict=True,
        ):
            if edge == "periodic" and points % n:
                raise InputError(
                    f"the map has {points} {name} in a circle and patches of {n}, a "
                    f"multiple of {n} was expected: choose another patch"
                )
        parts = _patches(x.astype(dtype), n)
        seen = (_patches(here.astype(dtype), n) > 0).any(-1)
        tokens = jax.vmap(jax.vmap(self.embedding))(parts)
        rows, columns = tokens.shape[:2]
        half = tokens.shape[2] // 2
        down = _waves(rows, half, self.edges.rows == "periodic", dtype)
        across = _waves(columns, half, self.edges.columns == "periodic", dtype)
        place = jnp.concatenate(
            [
                jnp.broadcast_to(down[:, None], (rows, columns, half)),
                jnp.broadcast_to(across[None], (rows, columns, half)),
            ],
            axis=-1,
        )
        maps = channels_first(tokens + place)
        return channels_last(modulated(self.modulation, maps, condition)), seen

    def _map(self, tokens: Tokens, shape) -> Float[Array, "out row column"]:
        n, (rows, columns) = self.patch, tokens.shape[:2]
        parts = jax.vmap(jax.vmap(lambda t: self.head(self.norm(t))))(tokens)
        parts = parts.reshape(rows, columns, n, n, -1).transpose(4, 0, 2, 1, 3)
        return parts.reshape(-1, rows * n, columns * n)[:, : shape[0], : shape[1]]

    def _read(self, i: int, block: Block, tokens: Tokens, seen: Seen) -> Tokens:
        def read(part, there):
            return block(part, there, bias=self._bias(i))

        return self._among(i, read, tokens, seen)

    def _among(
        self, i: int, function: Callable[..., Array], *maps: Shaped[Array, "..."]
    ) -> Shaped[Array, "down across numbers"]:
        """A function of patches that see each other in block i: (patch, ...) of each.

        The maps are (down, across, ...), the tokens first, and then whether they are.
        """
        if self.reach == "global":
            flat = [m.reshape(-1, *m.shape[2:]) for m in maps]
            return function(*flat).reshape(*maps[0].shape[:2], -1)
        if self.reach == "axial":
            across = 0 if i % 2 else 1
            return jax.vmap(function, 1 - across, 1 - across)(*maps)
        return self._in_windows(i, function, *maps)

    def _in_windows(
        self, i: int, function: Callable[..., Array], *maps: Shaped[Array, "..."]
    ) -> Shaped[Array, "down across numbers"]:
        n, (rows, columns) = self.window, maps[0].shape[:2]
        shift = n // 2 if i % 2 else 0
        around, turned = [], []
        for edge, length in zip(
            (self.edges.rows, self.edges.columns), (rows, columns), strict=True
        ):
            if edge == "periodic":
                if length % n:
                    raise InputError(
                        f"{length} patches lie in a circle and windows hold {n}, a "
                        f"multiple of {n} was expected: choose another window or patch"
                    )
                around.append((0, 0))
                turned.append(shift)
            else:  # what is added is no patch
                around.append((shift, -(length + shift) % n))
                turned.append(0)

        def cut(m):
            m = jnp.roll(m, [-s for s in turned], (0, 1))
            m = jnp.pad(m, (*around, *((0, 0),) * (m.ndim - 2)))
            down, across = m.shape[0] // n, m.shape[1] // n
            parts = m.reshape(down, n, across, n, *m.shape[2:])
            return jnp.moveaxis(parts, 2, 1).reshape(-1, n * n, *m.shape[2:])

        parts = jax.vmap(function)(*map(cut, maps))
        down, across = (
            (a + size + b) // n
            for (a, b), size in zip(around, (rows, columns), strict=True)
        )
        whole = jnp.moveaxis(parts.reshape(down, across, n, n, -1), 2, 1)
        whole = whole.reshape(down * n, across * n, -1)
        first = [a for a, _ in around]
        kept = whole[first[0] : first[0] + rows, first[1] : first[1] + columns]
        return jnp.roll(kept, turned, (0, 1))

    def _bias(self, i: int) -> Float[Array, "heads time source"] | None:
        """By the distance along rows and along columns, within windows."""
        if self.bias is None:
            return None
        n = self.window
        row, column = jnp.divmod(jnp.arange(n * n), n)
        down = row[:, None] - row[None] + n - 1
        across = column[:, None] - column[None] + n - 1
        return self.bias[i][:, down, across]


def _patches(
    x: Float[Array, "channel row column"], n: int
) -> Float[Array, "down across numbers"]:
    """Squares of n x n points, zero beyond the last row and column."""
    x = jnp.pad(x, ((0, 0), (0, -x.shape[1] % n), (0, -x.shape[2] % n)))
    channels, rows, columns = x.shape
    parts = x.reshape(channels, rows // n, n, columns // n, n)
    return parts.transpose(1, 3, 2, 4, 0).reshape(rows // n, columns // n, -1)


def _waves(
    length: int, size: int, periodic: bool, dtype: DTypeLike
) -> Float[Array, "length size"]:
    """Where each of `length` places stands, around a circle or along a line."""
    places = jnp.arange(length)
    if not periodic:
        return sinusoidal(places, size, dtype)
    turns = places[:, None] * jnp.arange(1, size // 2 + 1)[None] % length
    angles = turns.astype(dtype) * (2 * math.pi / length)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)
