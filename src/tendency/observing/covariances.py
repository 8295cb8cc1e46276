"""Covariances of errors: diagonal, dense, or given by functions.

What assimilation asks of a covariance R is to apply R^-1/2, which makes errors
independent and of variance one, and R^1/2, which draws them. Where an observation is
missing, R is that of the others.
"""

import abc
from collections.abc import Callable
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from tendency.errors import InputError

Row = Float[Array, " obs"]
Seen = Bool[Array, " obs"]


class AbstractCovariance(eqx.Module):
    """A covariance R of the errors of observations at one time."""

    @abc.abstractmethod
    def whiten(self, departures: Row, seen: Seen) -> Row:
        """W d with Wᵀ W = R⁻¹ among the `seen`, zero elsewhere; linear in d."""

    @abc.abstractmethod
    def colour(self, white: Row) -> Row:
        """C z with C Cᵀ = R: errors, from independent numbers of variance one."""

    @abc.abstractmethod
    def log_determinant(self, seen: Seen) -> Float[Array, ""]:
        """Of the part of R that belongs to the `seen`."""

    @abc.abstractmethod
    def variances(self) -> Float[Array, "..."]:
        """The diagonal of R [square of the units of the observations].

        (obs,), or (time, obs) where it varies; one number until it is `checked`.
        """

    @abc.abstractmethod
    def at(self, index: int | Array) -> Self:
        """The covariance at one time, where it varies."""

    @abc.abstractmethod
    def checked(self, values: Float[np.ndarray, "time obs"]) -> Self:
        """Ready for such observations (NaN is missing), or refused.

        Raises:
            InputError: a shape that does not fit, a variance that is not positive.
        """

    def sample(self, key: PRNGKeyArray) -> Row:
        """Draw errors from N(0, R)."""
        shape = self.variances().shape
        return self.colour(jax.random.normal(key, shape, self.variances().dtype))


class DiagonalCovariance(AbstractCovariance):
    """Independent errors of the given variances, the same at all times or not."""

    variance: Float[Array, "..."] = eqx.field(converter=jnp.asarray)

    def whiten(self, departures: Row, seen: Seen) -> Row:
        clean = jnp.where(seen, departures, jnp.zeros_like(departures))
        return clean / jnp.sqrt(self.variance).astype(departures.dtype)

    def colour(self, white: Row) -> Row:
        return white * jnp.sqrt(self.variance).astype(white.dtype)

    def log_determinant(self, seen: Seen) -> Float[Array, ""]:
        return jnp.sum(jnp.where(seen, jnp.log(self.variance), 0.0))

    def variances(self) -> Float[Array, "..."]:
        return self.variance

    def at(self, index: int | Array) -> Self:
        return self if self.variance.ndim < 2 else type(self)(self.variance[index])

    def checked(self, values: Float[np.ndarray, "time obs"]) -> Self:
        times, size = values.shape
        expected = ((), (size,), (times, size))
        if self.variance.shape not in expected:
            raise InputError(
                f"the variances have the shape {self.variance.shape} and the "
                f"observations {values.shape}, time first: give one variance, one a "
                "component, or one a value"
            )
        wide = self.variance.ndim == 2
        shape = values.shape if wide else (size,)
        variance = jnp.broadcast_to(self.variance, shape)
        if not isinstance(variance, Tracer):
            needed = ~np.isnan(values) if wide else np.ones(size, bool)
            wrong = np.asarray(variance)[needed]
            _refuse_negative(wrong[~(np.isfinite(wrong) & (wrong > 0))])
            variance = jnp.where(needed, variance, jnp.ones_like(variance))
        return type(self)(variance)


class DenseCovariance(AbstractCovariance):
    """Correlated errors, the same at all times.

    W is the inverse of the Cholesky factor of R, or of its part where observations are
    missing.
    """

    covariance: Float[Array, "obs obs"]
    factor: Float[Array, "obs obs"]  # lower triangular

    def __init__(self, covariance: Float[Array | np.ndarray, "obs obs"]):
        self.covariance = jnp.asarray(covariance)
        self.factor = jnp.linalg.cholesky(self.covariance)

    def whiten(self, departures: Row, seen: Seen) -> Row:
        clean = jnp.where(seen, departures, jnp.zeros_like(departures))
        factor = self._factor(seen).astype(departures.dtype)
        return solve_triangular(factor, clean, lower=True)

    def colour(self, white: Row) -> Row:
        return self.factor.astype(white.dtype) @ white

    def log_determinant(self, seen: Seen) -> Float[Array, ""]:
        return 2 * jnp.sum(jnp.log(jnp.diagonal(self._factor(seen))))

    def variances(self) -> Float[Array, "*time obs"]:
        return jnp.diagonal(self.covariance)

    def at(self, index: int | Array) -> Self:
        return self

    def checked(self, values: Float[np.ndarray, "time obs"]) -> Self:
        size = values.shape[1]
        if self.covariance.shape != (size, size):
            raise InputError(
                f"the error covariance is {self.covariance.shape} and a time holds "
                f"{size} observations: give a matrix {size} by {size}"
            )
        if isinstance(self.covariance, Tracer):
            return self
        matrix = np.asarray(self.covariance)
        _refuse_negative(np.diagonal(matrix)[~(np.diagonal(matrix) > 0)])
        if not np.allclose(matrix, matrix.T, rtol=1e-6, atol=0):
            raise InputError(
                "the error covariance is not symmetric: give (R + R.T) / 2 if that is "
                "what is meant"
            )
        if not np.isfinite(np.asarray(self.factor)).all():
            smallest = np.linalg.eigvalsh(matrix)[0]
            raise InputError(
                f"the error covariance has the eigenvalue {smallest:.3g}, a positive "
                "definite matrix was expected: remove what is observed twice, or add "
                "to its diagonal"
            )
        return self

    def _factor(self, seen: Seen) -> Float[Array, "obs obs"]:
        def of_the_seen():
            both = seen[:, None] & seen[None, :]
            kept = jnp.where(both, self.covariance, jnp.zeros_like(self.covariance))
            missing = jnp.diag(~seen).astype(kept.dtype)
            return jnp.linalg.cholesky(kept + missing)

        return jax.lax.cond(jnp.all(seen), lambda: self.factor, of_the_seen)


class CovarianceFunction(AbstractCovariance):
    """A covariance too large for a matrix, by functions that apply R^-1/2 and R^1/2.

    Observations with such errors must be complete: the functions cannot tell the
    covariance of a part.
    """

    inverse_root: Callable[[Row], Row]
    root: Callable[[Row], Row]
    variance: Row = eqx.field(converter=jnp.asarray)
    log_det: Float[Array, ""] = eqx.field(converter=jnp.asarray)

    def whiten(self, departures: Row, seen: Seen) -> Row:
        return self.inverse_root(jnp.where(seen, departures, 0.0))

    def colour(self, white: Row) -> Row:
        return self.root(white)

    def log_determinant(self, seen: Seen) -> Float[Array, ""]:
        return jnp.where(jnp.any(seen), self.log_det, jnp.zeros_like(self.log_det))

    def variances(self) -> Float[Array, "*time obs"]:
        return self.variance

    def at(self, index: int | Array) -> Self:
        return self

    def checked(self, values: Float[np.ndarray, "time obs"]) -> Self:
        _refuse_negative(np.asarray(self.variance)[~(np.asarray(self.variance) > 0)])
        missing = np.isnan(values)
        partly = missing.any(1) & ~missing.all(1)
        if partly.any():
            raise InputError(
                f"the observations of time {int(np.argmax(partly))} are partly missing "
                "and their error covariance is given by functions, which cannot tell "
                "that of the others: give a diagonal or a dense covariance"
            )
        if self.variance.shape != values.shape[1:]:
            raise InputError(
                f"the error covariance has the variances {self.variance.shape} and a "
                f"time holds {values.shape[1]} observations: give one a component"
            )
        return self


def _refuse_negative(wrong: np.ndarray) -> None:
    if wrong.size:
        raise InputError(
            f"an observation has the error variance {float(wrong.flat[0]):g}, a "
            "positive number was expected: mark what was not observed as NaN instead"
        )
