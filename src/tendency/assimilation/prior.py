"""What is believed before the first observation: a Gaussian, or an ensemble."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Carry
from tendency.errors import InputError


class Gaussian(eqx.Module):
    """A mean carry and the covariance of all its inexact arrays, leaf after leaf."""

    mean: Carry
    covariance: Float[Array, "n n"]


def ensemble_of(
    cell: AbstractCell,
    mean: PyTree[Array] | Carry,
    spread: Any = None,
    *,
    size: int,
    key: PRNGKeyArray,
    covariance: Float[Array | np.ndarray, "n n"] | None = None,
) -> Carry:
    """Draw an ensemble around a state, or around a carry that has been spun up.

    The states are perturbed; the memory starts cold from each of them, or is that of
    the carry.

    Arguments:
        spread: the standard deviation of the perturbations, a number or a pytree like
            the state [units of the state].
        size: the number of members.
        covariance: of the flattened state, in place of `spread`.

    Returns:
        A carry whose arrays have the members first.

    Raises:
        InputError: fewer than two members, neither or both of spread and covariance, a
            shape that does not fit.
    """
    if size < 2:
        raise InputError(
            f"an ensemble of {size} was asked for, and a spread needs 2 members or more"
        )
    if (spread is None) == (covariance is None):
        raise InputError(
            "give the ensemble a spread (standard deviation) or a covariance, one of "
            "them"
        )
    state = mean.state if isinstance(mean, Carry) else mean
    state = jax.tree.map(jnp.asarray, state)
    row, unravel = ravel_pytree(state)
    white = jax.random.normal(key, (size, row.size), row.dtype)
    if covariance is not None:
        if np.shape(covariance) != (row.size, row.size):
            raise InputError(
                f"the covariance is {np.shape(covariance)} and the state has "
                f"{row.size} components: give a matrix {row.size} by {row.size}"
            )
        values, vectors = jnp.linalg.eigh(jnp.asarray(covariance, row.dtype))
        noise = white @ (vectors * jnp.sqrt(jnp.maximum(values, 0.0))[None]).T
    else:
        noise = white * _like(spread, state)[None]
    states = jax.vmap(unravel)(row[None] + noise)
    if not isinstance(mean, Carry):
        return jax.vmap(cell.init)(states)
    wide = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * size), mean.memory)
    return Carry(states, wide)


def _like(spread: Any, state: PyTree[Array]) -> Float[Array, " n"]:
    if jax.tree.structure(spread) != jax.tree.structure(state):
        spread = jax.tree.map(lambda _: spread, state)
    try:
        wide = jax.tree.map(
            lambda s, x: jnp.broadcast_to(jnp.asarray(s, x.dtype), x.shape),
            spread,
            state,
        )
    except ValueError as error:
        raise InputError(
            f"the spread does not fit the state: {error}; give a number, or a pytree "
            "like the state"
        ) from error
    return ravel_pytree(wide)[0]
