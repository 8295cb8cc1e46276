"""The background of a variational method: its covariance B, and where it stands.

A method of this kind minimises over v with x = xᵇ + B^1/2 v, so that the background
term is |v|²/2 and no inverse of B is ever needed (control-variable transform). B is
that of the flattened state, of which the memory of the cell is then no part, or of all
inexact arrays of the carry, leaf after leaf.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree

from tendency.assimilation.kalman import row_of
from tendency.cell import Carry
from tendency.errors import InputError
from tendency.observing import (
    AbstractCovariance,
    DenseCovariance,
    DiagonalCovariance,
    flat,
)


class Estimate(eqx.Module):
    """A carry, and the standard deviation of its state."""

    mean: Carry
    spread: PyTree[Array]


def climatology(
    states: PyTree[Array | np.ndarray], scale: float = 1.0, *, diagonal: bool = False
) -> AbstractCovariance:
    """The covariance of states, time first, times a `scale`: a static B.

    Arguments:
        scale: how much smaller the errors of a background are: a background that is a
            short forecast errs far less than the climate varies.
        diagonal: leave the correlations out.

    Raises:
        InputError: too few states for a covariance of so many components, or states
            that are not finite.
    """
    rows = np.asarray(jax.vmap(flat)(states))
    times, size = rows.shape
    if not np.isfinite(rows).all():
        raise InputError(
            "the states of the climatology are not finite: leave out the times at "
            "which something is missing"
        )
    if times < 2 or (times <= size and not diagonal):
        raise InputError(
            f"a covariance of {size} components was asked of {times} states, more than "
            f"{max(size, 1)} were expected: give more states, or diagonal=True"
        )
    if diagonal:
        return covariance_of(scale * rows.var(0, ddof=1))
    return covariance_of(scale * np.atleast_2d(np.cov(rows.T)))


def covariance_of(given: Any) -> AbstractCovariance:
    """A covariance of model errors or of a background, from what the user gives.

    A number is the variance of all components, a row one variance a component, a matrix
    the covariance; a covariance is left as it is.

    Raises:
        InputError: a variance that is not positive, a matrix that is not a covariance.
    """
    if isinstance(given, AbstractCovariance):
        found = given
    elif np.ndim(given) == 2:
        if np.shape(given)[0] != np.shape(given)[1]:
            raise InputError(
                f"the covariance has the shape {np.shape(given)}, a square matrix was "
                "expected: give a matrix, one variance a component, or one number"
            )
        found = DenseCovariance(given)
    else:
        found = DiagonalCovariance(given)
    variances = found.variances()
    if variances.ndim > 1:
        raise InputError(
            f"the variances of the background have the shape {variances.shape}: give "
            "one a component, or one number"
        )
    # While a tree is rebuilt the leaves may be anything.
    if isinstance(variances, Tracer) or not eqx.is_array(variances):
        return found
    wrong = np.asarray(variances)
    wrong = wrong[~(np.isfinite(wrong) & (wrong > 0))]
    if wrong.size:
        raise InputError(
            f"the background has the error variance {float(wrong.flat[0]):g}, a "
            "positive number was expected: give a small one to what is well known"
        )
    if isinstance(found, DenseCovariance) and not np.isfinite(found.factor).all():
        smallest = np.linalg.eigvalsh(np.asarray(found.covariance))[0]
        raise InputError(
            f"the covariance of the background has the eigenvalue {smallest:.3g}, a "
            "positive definite matrix was expected: add to its diagonal"
        )
    return found


def check_size(covariance: AbstractCovariance, carry: Carry, what: str) -> None:
    """Refuse a covariance that is neither of the state nor of the whole carry.

    Raises:
        InputError: it has another size than both.
    """
    variances = covariance.variances()
    whole, state = row_of(carry)[0].size, flat(carry.state).size
    if variances.ndim and variances.size not in (whole, state):
        raise InputError(
            f"the covariance of {what} has {variances.size} components and the state "
            f"has {state}"
            + (f" (with the memory of the cell {whole})" if whole > state else "")
            + ": give one variance a component, a matrix, or one number"
        )


def check_carry(prior: Any, method: str) -> None:
    """Refuse what is no carry.

    Raises:
        InputError: a prior of another type.
    """
    if not isinstance(prior, Carry):
        raise InputError(
            f"{method} was given a prior of the type {type(prior).__name__}, a carry "
            "was expected, as its background covariance is static: give "
            "cell.init(state), or a carry that was spun up"
        )


def size_of(covariance: AbstractCovariance, carry: Carry) -> int:
    """How many numbers of the carry it is of; the state comes first among them."""
    variances = covariance.variances()
    return variances.size if variances.ndim else flat(carry.state).size


def moved(carry: Carry, increment: Float[Array, " m"]) -> Carry:
    """The first so many numbers of a carry plus an increment."""
    row, carry_of = row_of(carry)
    return carry_of(row.at[: increment.size].add(increment.astype(row.dtype)))


def spread_like(carry: Carry, variance: Float[Array, " m"]) -> PyTree[Array]:
    """The standard deviations of its state, in the shape of that."""
    row, carry_of = row_of(carry)
    n = flat(carry.state).size
    deviation = jnp.sqrt(jnp.maximum(variance[:n], 0.0)).astype(row.dtype)
    return carry_of(row.at[:n].set(deviation)).state


def static_spread(covariance: AbstractCovariance, carry: Carry) -> PyTree[Array]:
    """The standard deviations of the state that a static covariance has."""
    size = size_of(covariance, carry)
    return spread_like(carry, jnp.broadcast_to(covariance.variances(), (size,)))
