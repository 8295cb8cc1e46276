"""Floor 0: training samples of several lengths, each length with those near it."""

from collections.abc import Sequence
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from tendency.errors import InputError
from tendency.windows import Window


class Buckets(eqx.Module):
    """Samples in groups, those of a group filled up to one length.

    A batch holds samples of one group, so that short ones do not pay for long ones; an
    epoch permutes the samples of each group, cuts batches, and permutes these. What
    does not fill a last batch of its group is left out of that epoch.
    """

    groups: tuple[Window, ...]  # each (sample, time, ...)

    @classmethod
    def of(cls, groups: Sequence[Window]) -> Self:
        """Groups of samples that are stacked along a leading axis.

        Raises:
            InputError: no group, an empty one, or one whose arrays hold different
                numbers of samples.
        """
        if not groups:
            raise InputError("no bucket of samples was given, at least 1 was expected")
        for i, group in enumerate(groups):
            sizes = {np.shape(a)[0] for a in jax.tree.leaves(group)}
            if len(sizes) != 1 or 0 in sizes:
                raise InputError(
                    f"the arrays of bucket {i} hold {sorted(sizes)} samples, one number"
                    " above 0 was expected: give each sample all its arrays, and leave "
                    "out a bucket without samples"
                )
        return cls(tuple(jax.tree.map(jnp.asarray, g) for g in groups))

    def __len__(self) -> int:
        return sum(self.sizes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many samples each group holds."""
        return tuple(jax.tree.leaves(g)[0].shape[0] for g in self.groups)

    @property
    def length(self) -> int:
        """Times of the shortest samples."""
        return min(a.shape[1] for g in self.groups for a in jax.tree.leaves(g.states))

    @property
    def bytes_of_window(self) -> int:
        """Of the largest sample."""
        pairs = zip(self.groups, self.sizes, strict=True)
        return max(sum(a.nbytes for a in jax.tree.leaves(g)) // n for g, n in pairs)

    def steps(self, batch: int) -> int:
        """How many batches an epoch has."""
        return sum(n // batch for n in self.sizes)

    def batches(self, key: PRNGKeyArray, batch: int) -> Int[Array, "step column"]:
        """The group of each batch of an epoch, then its samples' places there."""
        rows = []
        for i, n in enumerate(self.sizes):
            drawn = jax.random.permutation(jax.random.fold_in(key, i), n)
            drawn = drawn[: n // batch * batch].reshape(-1, batch).astype(jnp.int32)
            group = jnp.full((drawn.shape[0], 1), i, jnp.int32)
            rows.append(jnp.concatenate([group, drawn], axis=1))
        order = jnp.concatenate(rows)
        last = jax.random.fold_in(key, len(self.groups))
        return jax.random.permutation(last, order)

    def take(self, group: int, index: Int[Array, "*batch"]) -> Window:
        """The samples at `index` of a group."""
        return jax.tree.map(lambda a: a[index], self.groups[group])

    def longest(self, count: int) -> Window:
        """So many samples of the group of the largest, repeated if need be."""
        pairs = zip(self.groups, self.sizes, strict=True)
        sized = [sum(a.nbytes for a in jax.tree.leaves(g)) / n for g, n in pairs]
        group = int(np.argmax(sized))
        return self.take(group, jnp.arange(count) % self.sizes[group])
