"""Recurrent layers side by side, each reading its own part, merged by a dense layer."""

import itertools
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, PRNGKeyArray, PyTree

from tendency.errors import InputError
from tendency.networks.dense import Activation, Dense, at_least
from tendency.networks.layers import LSTM, AbstractLayer


class MergedLayers(AbstractLayer):
    """y = f([h₁, ..., hₘ] W + b), with hⱼ' = Fⱼ(hⱼ, xⱼ) and x = [x₁, ..., xₘ].

    The branches see different parts of the input (neighbours at different distances,
    fields of different scales) and forget at their own pace. With `LSTM` branches it is
    the merged LSTM of Song et al. (2020, IEEE J. Sel. Top. Appl. Earth Obs. Remote
    Sens. 13, 2853), for which how many branches there are and what each reads is free.
    """

    branches: tuple[AbstractLayer, ...]
    merge: Dense
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        branches: Sequence[AbstractLayer],
        units: int,
        activation: Activation = jnp.tanh,
        *,
        key: PRNGKeyArray,
    ):
        """Glorot weights of the dense layer, which gives `units` numbers.

        Raises:
            InputError: there is no branch, or `units` is below 1.
        """
        self.branches = tuple(branches)
        if not self.branches:
            raise InputError("layers of no branches were asked for: give at least one")
        dtype = jax.tree.leaves(self.branches[0].init())[-1].dtype
        gives = sum(branch.sizes[1] for branch in self.branches)
        self.merge = Dense(gives, units, dtype=dtype, key=key)
        self.activation = activation

    @property
    def sizes(self) -> tuple[int, int]:
        reads = sum(branch.sizes[0] for branch in self.branches)
        return reads, self.merge.bias.shape[0]

    def init(self) -> tuple[PyTree[Array], ...]:
        return tuple(branch.init() for branch in self.branches)

    def step(self, hidden, x):
        ends = [0, *itertools.accumulate(branch.sizes[0] for branch in self.branches)]
        after, told = [], []
        for branch, held, (first, stop) in zip(
            self.branches, hidden, itertools.pairwise(ends), strict=True
        ):
            new, y = branch.step(held, x[first:stop])
            after.append(new)
            told.append(y)
        return tuple(after), self.activation(self.merge(jnp.concatenate(told)))


def merged_lstm(
    parts: Sequence[int],
    width: int,
    units: int,
    *,
    kind: Any = LSTM,
    dtype: DTypeLike | None = None,
    key: PRNGKeyArray,
) -> MergedLayers:
    """A branch of `width` for each of `parts`, the numbers of the input that it reads.

    Raises:
        InputError: a size is below 1, or there are no parts.
    """
    at_least(1, width=width, units=units)
    *keys, last = jax.random.split(key, len(parts) + 1)
    branches = [
        kind(n, width, dtype=dtype, key=k) for n, k in zip(parts, keys, strict=True)
    ]
    return MergedLayers(branches, units, key=last)
