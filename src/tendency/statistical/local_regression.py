"""Floor 1: weighted regression on a polynomial around one point.

The polynomial in the offsets from the point is fitted to outcomes by weighted least
squares. `fit_weights` are the weights with which the outcomes sum to its value at the
point, `residuals` what it leaves.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from tendency.statistical.selection import (
    FEW,
    Columns,
    exactly,
    matrix,
    squared_norms,
    total,
)

_ELIMINATED = 6  # coefficients up to which an elimination is written out


def coefficients(p: int, degree: int) -> int:
    """How many coefficients a polynomial of `degree` in `p` variables has."""
    return math.comb(p + degree, degree)


def fit_weights(
    offsets: Columns, weights: Float[Array, " k"], degree: int, ridge: float
) -> Float[Array, " k"]:
    """Numbers aₙ with Σ aₙ yₙ = b₀, the value at the point, whatever the outcomes yₙ.

    Here b minimises Σ wₙ (yₙ - f(zₙ)·b)² + ridge (b₁² + ...), where f is 1, zᵢ, zᵢ zⱼ
    up to `degree` and the zₙ are the `offsets` over their root mean square, so that
    the ridge has no units. The `weights` wₙ sum to one, and so do the aₙ. A ridge near
    rounding is always added: neighbours on a line or a plane fit like any others.
    """
    if degree == 0:
        return weights
    f = _features(offsets, degree)
    if len(f) > _ELIMINATED:
        f = matrix(f)
        unit = (jnp.arange(f.shape[0]) == 0).astype(f.dtype)
        return weights * exactly(jnp.linalg.solve(_gram(f, weights, ridge), unit), f)
    size = len(f)
    gram = {
        (i, j): total(weights * f[i] * f[j])
        + (_at_least(ridge, weights) if 0 < i == j else 0.0)
        for i in range(size)
        for j in range(i, size)
    }
    first = _first_of_inverse(gram, size)
    value = first[0]
    for number, column in zip(first[1:], f[1:], strict=True):
        value = value + number * column
    return weights * value


def residuals(
    offsets: Columns,
    outcomes: Columns,
    weights: Float[Array, " k"],
    degree: int,
    ridge: float,
) -> tuple[Float[Array, "state k"], Float[Array, ""]]:
    """What the fit leaves of each outcome, and the share of the variance it leaves.

    Outcomes with independent errors of variance s² leave residuals r with the
    expectation E Σ wₙ rₙ² = s² (1 - Σ wₙ hₙₙ), h being the matrix that maps outcomes to
    fitted values. The second result is 1 - Σ wₙ hₙₙ.
    """
    f, y = matrix(_features(offsets, degree)), matrix(outcomes)
    inverse = jnp.linalg.inv(_gram(f, weights, ridge))
    slopes = exactly(inverse, f)
    fitted = exactly(exactly(y * weights[None], f.T), slopes)
    leverage = weights * jnp.sum(f * slopes, 0)
    return y - fitted, 1 - jnp.sum(weights * leverage)


def _features(offsets: Columns, degree: int) -> Columns:
    mean = total(squared_norms(offsets)) / offsets[0].shape[0]
    mean = jnp.maximum(mean, float(jnp.finfo(mean.dtype).tiny))
    if coefficients(len(offsets), degree) <= FEW:
        z = tuple(column / jnp.sqrt(mean) for column in offsets)
        products = tuple(a * b for i, a in enumerate(z) for b in z[i:])
        one = jnp.ones_like(z[0])
        return ((one,), (one, *z), (one, *z, *products))[degree]
    z = matrix(offsets) / jnp.sqrt(mean)
    terms = [jnp.ones_like(z[:1]), z]
    terms += [z[i:] * z[i : i + 1] for i in range(len(offsets))] if degree == 2 else []
    return jnp.concatenate(terms)


def _gram(
    f: Float[Array, "f k"], weights: Float[Array, " k"], ridge: float
) -> Float[Array, "f f"]:
    penalised = (jnp.arange(f.shape[0]) > 0).astype(f.dtype)
    gram = exactly(f * weights[None], f.T)
    return gram + _at_least(ridge, f) * jnp.diag(penalised)


def _at_least(ridge: float, like: Array) -> float:
    return max(ridge, 100 * float(jnp.finfo(like.dtype).eps))


def _first_of_inverse(upper: dict[tuple[int, int], Array], size: int) -> list[Array]:
    """The first column of the inverse of a symmetric matrix, by elimination.

    Of the matrix the upper triangle is given. LAPACK is slow with batches of small
    ones.
    """
    one = jnp.ones_like(upper[0, 0])
    right = [one] + [jnp.zeros_like(one)] * (size - 1)
    for pivot in range(size):
        for i in range(pivot + 1, size):
            factor = upper[pivot, i] / upper[pivot, pivot]
            right[i] = right[i] - factor * right[pivot]
            for j in range(i, size):
                upper[i, j] = upper[i, j] - factor * upper[pivot, j]
    for i in reversed(range(size)):
        for j in range(i + 1, size):
            right[i] = right[i] - upper[i, j] * right[j]
        right[i] = right[i] / upper[i, i]
    return right
