"""From a state to what would be observed of it: `Select` components, or `Linear`.

An operator is any callable of the state of one member (and of its arguments at that
time, where the observations have some) that returns one number an observation.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PyTree

from tendency.errors import InputError


def flat(state: PyTree[Array]) -> Float[Array, " n"]:
    """The numbers of a state in one row, leaf after leaf."""
    leaves = [jnp.ravel(leaf) for leaf in jax.tree.leaves(state)]
    return leaves[0] if len(leaves) == 1 else jnp.concatenate(leaves)


def _whole(state: PyTree[Array]) -> PyTree[Array]:
    return state


class Select(eqx.Module):
    """Some components of the state: H is a choice of rows of the identity.

    `indices` count along the flattened state, leaf after leaf, and are all by default.
    `where` picks a leaf first, or several: `Select(where=lambda state: state["u"])`.
    Pass a function defined once: each new function compiles anew.
    """

    indices: Int[Array, " obs"] | None = None
    where: Callable[[Any], Any] = eqx.field(static=True, default=_whole)

    def __call__(self, state: PyTree[Array]) -> Float[Array, " obs"]:
        found = flat(self.where(state))
        return found if self.indices is None else found[self.indices]

    def check(self, state: PyTree[Array]) -> None:
        """Refuse indices that the state does not have, which an array would clamp.

        Raises:
            InputError: an index lies outside the state.
        """
        if self.indices is None or isinstance(self.indices, Tracer):
            return
        size = sum(leaf.size for leaf in jax.tree.leaves(self.where(state)))
        wrong = [int(i) for i in np.asarray(self.indices) if not 0 <= i < size]
        if wrong:
            raise InputError(
                f"component {wrong[0]} is observed and the state has {size}: give "
                f"indices from 0 to {size - 1}"
            )


class Linear(eqx.Module):
    """H x, x being the flattened state, leaf after leaf."""

    matrix: Float[Array, "obs n"]

    def __call__(self, state: PyTree[Array]) -> Float[Array, " obs"]:
        return self.matrix @ flat(state)
