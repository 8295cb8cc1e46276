"""The algebra of ensembles: anomalies, departures, and transforms of the members.

With N members E, their mean x and anomalies A, and the departures of observations in
units of their errors,

    S = R^-1/2 (H(E) - mean H(E)) / √(N-1),    d = R^-1/2 (y - mean H(E)),

every global ensemble filter is a `Transform`: E' = x + (w + T) A, where w [member]
moves the mean and T [member, member] the anomalies. Rows are members throughout.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from tendency.cell import Carry
from tendency.observing import Observation

Square = Float[Array, "member member"]


class Departures(eqx.Module):
    """An ensemble seen in the space of its observations."""

    equivalents: Float[Array, "member obs"]  # H(E)
    anomalies: Float[Array, "member obs"]  # S
    innovation: Float[Array, " obs"]  # d
    observation: Observation

    @classmethod
    def of(cls, states: PyTree[Array], observation: Observation) -> "Departures":
        """Of the states of an ensemble, members first."""
        equivalents = jax.vmap(observation.observe)(states)
        mean, anomalies = centred(equivalents)
        whiten = observation.whiten
        anomalies = (len(anomalies) - 1) ** -0.5 * jax.vmap(whiten)(anomalies)
        innovation = whiten(observation.departures(mean[0]))
        return cls(equivalents, anomalies, innovation, observation)

    def misfit_and_log_likelihood(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Of what was seen: dᵀ (I + SᵀS)⁻¹ d, and log N(y; mean H(E), H Pᵇ Hᵀ + R)."""
        S, d = self.anomalies, self.innovation
        N, m = S.shape
        if m < N:
            factor = jnp.linalg.cholesky(_eye(m, S) + S.T @ S)
            half = solve_triangular(factor, d, lower=True)
            misfit = half @ half
        else:
            factor = jnp.linalg.cholesky(_eye(N, S) + S @ S.T)
            half = solve_triangular(factor, S @ d, lower=True)
            misfit = d @ d - half @ half
        seen = self.observation.seen
        log_det = self.observation.error.log_determinant(seen).astype(S.dtype)
        log_det += 2 * jnp.sum(jnp.log(jnp.diagonal(factor)))
        constant = jnp.sum(seen).astype(S.dtype) * jnp.log(2 * jnp.pi).astype(S.dtype)
        return misfit, -0.5 * (misfit + log_det + constant)


class Transform(eqx.Module):
    """E' = x + (w + T) A."""

    mean: Float[Array, " member"]  # w
    anomalies: Square  # T

    def apply(self, ensemble: PyTree[Array]) -> PyTree[Array]:
        """Recombine the members of every inexact array; counters are left as they are.

        The mean is added apart, so that small anomalies of large numbers keep their
        digits.
        """
        return recombined(ensemble, self.mean[None] + self.anomalies)

    def matrix(self) -> Square:
        """M with E' = M E."""
        N = self.mean.shape[0]
        weights = self.mean[None] + self.anomalies
        return 1 / N + weights - weights.mean(1, keepdims=True)

    def rotated(self, key: PRNGKeyArray) -> "Transform":
        """Followed by a random rotation that keeps mean and covariance."""
        N = self.mean.shape[0]
        rotation = mean_preserving_rotation(key, N).astype(self.anomalies.dtype)
        return Transform(self.mean, rotation @ self.anomalies)


class ThinTransform(eqx.Module):
    """E' = x + (w + I + L R) A: of many members and few observations.

    Nothing in it has the size of the members squared, but for its `matrix`.
    """

    mean: Float[Array, " member"]  # w
    left: Float[Array, "member obs"]  # L
    right: Float[Array, "obs member"]  # R

    def apply(self, ensemble: PyTree[Array]) -> PyTree[Array]:
        """Recombine the members of every inexact array; counters are left as they are.

        As `Transform.apply` does.
        """

        def leaf(x):
            if not eqx.is_inexact_array(x):
                return x
            row = centred(x)[1].reshape(len(x), -1)
            moved = self.left.astype(x.dtype) @ (self.right.astype(x.dtype) @ row)
            moved = moved + (self.mean.astype(x.dtype) @ row)[None]
            return x + moved.reshape(x.shape)

        return jax.tree.map(leaf, ensemble)

    def matrix(self) -> Square:
        """M with E' = M E."""
        eye = jnp.eye(len(self.mean), dtype=self.mean.dtype)
        return Transform(self.mean, eye + self.left @ self.right).matrix()


class Resampled(eqx.Module):
    """A transform of members of which some were copies of others: M[i] of `source`."""

    transform: Transform | ThinTransform
    source: Int[Array, " member"]

    @property
    def mean(self) -> Float[Array, " member"]:
        """Of the transform."""
        return self.transform.mean

    def matrix(self) -> Square:
        """M with E' = M E, E being the members before any was replaced."""
        matrix = self.transform.matrix()
        return matrix @ jnp.eye(len(matrix), dtype=matrix.dtype)[self.source]


def recombined(ensemble: PyTree[Array], weights: Square) -> PyTree[Array]:
    """Weigh the anomalies, x + `weights` A, of every inexact array of an ensemble."""

    def leaf(x):
        if not eqx.is_inexact_array(x):
            return x
        mean, anomalies = centred(x)
        moved = weights.astype(x.dtype) @ anomalies.reshape(len(x), -1)
        return mean + moved.reshape(x.shape)

    return jax.tree.map(leaf, ensemble)


def centred(x: Float[Array, "member *x"]) -> tuple[Array, Array]:
    """The mean, with an axis of one member, and the anomalies."""
    mean = x.mean(0, keepdims=True)
    return mean, x - mean


def members(ensemble: PyTree[Array]) -> int:
    """How many members an ensemble has."""
    return jax.tree.leaves(ensemble)[0].shape[0]


def mean_and_spread(states: PyTree[Array]) -> tuple[PyTree[Array], PyTree[Array]]:
    """Mean and standard deviation (of N - 1 degrees of freedom) over the members."""
    mean = jax.tree.map(lambda x: x.mean(0), states)
    return mean, jax.tree.map(lambda x: x.std(0, ddof=1), states)


def failed_members(ensemble: Carry) -> Array:
    """[member]: which have a number that is not finite."""
    N = members(ensemble)
    rows = [
        ~jnp.isfinite(x).reshape(N, -1).all(1)
        for x in jax.tree.leaves(ensemble)
        if eqx.is_inexact_array(x)
    ]
    return jnp.stack(rows).any(0)


def gain_of(S: Float[Array, "member obs"]) -> Float[Array, "obs member"]:
    """(I + SᵀS)⁻¹ Sᵀ = Sᵀ (I + S Sᵀ)⁻¹, by way of the smaller side."""
    N, m = S.shape
    if m < N:
        factor = jnp.linalg.cholesky(_eye(m, S) + S.T @ S)
        return cho_solve((factor, True), S.T)
    factor = jnp.linalg.cholesky(_eye(N, S) + S @ S.T)
    return cho_solve((factor, True), S).T


def symmetric_transform(departures: Departures) -> Transform:
    """T = (I + S Sᵀ)^-1/2, and the mean of the Kalman filter."""
    S, d = departures.anomalies, departures.innovation
    root, precision = root_and_precision(S)
    return Transform(precision @ (S @ d) * (len(S) - 1) ** -0.5, root)


def root_and_precision(S: Float[Array, "member obs"]) -> tuple[Square, Square]:
    """(I + S Sᵀ)^-1/2, symmetric, and its square, by way of the smaller side."""
    N, m = S.shape
    if 2 * m > N:
        root = inverse_root(_eye(N, S) + S @ S.T)
        return root, root @ root
    # With C = I + SᵀS: (I + SSᵀ)^-1/2 = I - S (C + C^1/2)⁻¹ Sᵀ.
    small = inverse_root(_eye(m, S) + S.T @ S)
    square = small @ small
    factor = jnp.linalg.cholesky(_eye(m, S) + small)
    root = _eye(N, S) - S @ cho_solve((factor, True), square) @ S.T
    return root, _eye(N, S) - S @ square @ S.T


@jax.custom_jvp
def inverse_root(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """A^-1/2 of a symmetric positive definite matrix, the symmetric one.

    Its derivative is exact where eigenvalues coincide too, as they do when fewer
    observations than members were seen: divided differences of λ^-1/2, by Daleckii and
    Krein's formula, in place of the derivatives of eigenvectors.
    """
    values, vectors = jnp.linalg.eigh(matrix, symmetrize_input=False)
    return (vectors / jnp.sqrt(values)[None]) @ vectors.T


@inverse_root.defjvp
def _inverse_root_jvp(primals, tangents):
    (matrix,), (change,) = primals, tangents
    values, vectors = jnp.linalg.eigh(matrix, symmetrize_input=False)
    root = jnp.sqrt(values)[None]
    divided = -1 / (root.T * root * (root.T + root))
    change = vectors.T @ ((change + change.T) / 2) @ vectors
    derivative = vectors @ (divided * change) @ vectors.T
    return (vectors / root) @ vectors.T, derivative


def mean_preserving_rotation(key: PRNGKeyArray, size: int) -> Square:
    """A random orthogonal matrix with Q 1 = 1, uniform over those.

    Sakov & Oke (2008, Mon. Wea. Rev. 136, 1042), section 3.
    """
    ones = jnp.ones(size)
    across = _across(ones)
    return 1 / size + across @ _rotation(key, size - 1, ones) @ across.T


def rotated_symmetric_transform(departures: Departures, key: PRNGKeyArray) -> Transform:
    """`symmetric_transform`, rotated at random: the same distribution for less.

    Every T with TᵀT = (I + S Sᵀ)⁻¹ and T 1 = 1 is a rotation of every other, and
    rotated at random all are as likely: none needs to be the symmetric root, with its
    eigenvectors.
    """
    S, d = departures.anomalies, departures.innovation
    N, m = S.shape
    perpendicular = _across(jnp.ones_like(S[:, 0]))
    rotation = perpendicular @ _rotation(key, N - 1, S)
    if 2 * m > N:
        # With L Lᵀ = I + S Sᵀ it is U L⁻¹, where the rotation U takes Lᵀ 1 to 1.
        factor = jnp.linalg.cholesky(_eye(N, S) + S @ S.T)
        inverse = solve_triangular(factor, _eye(N, S), lower=True)
        mean = inverse.T @ (inverse @ (S @ d))
        rest = _across(factor.sum(0)).T @ inverse
    else:
        # With L Lᵀ = I + SᵀS it is I - S (I + L)⁻ᵀ L⁻¹ Sᵀ: Andrews (1968, AIAA J. 6,
        # 1165), transposed.
        factor = jnp.linalg.cholesky(_eye(m, S) + S.T @ S)
        inner = solve_triangular(factor, S.T, lower=True)
        mean = inner.T @ solve_triangular(factor, d, lower=True)
        outside = _eye(m, S) + factor
        outer = solve_triangular(outside, (perpendicular.T @ S).T, lower=True)
        rest = perpendicular.T - outer.T @ inner
    return Transform(mean * (N - 1) ** -0.5, 1 / N + rotation @ rest)


def _across(v: Float[Array, " n"]) -> Float[Array, "n less"]:
    """An orthonormal basis of what is perpendicular to v, by Householder."""
    size = v.shape[0]
    v = v / jnp.linalg.norm(v)
    v = v.at[0].add(jnp.where(v[0] < 0, -1.0, 1.0))
    basis = _eye(size, v) - 2 / (v @ v) * jnp.outer(v, v)
    return basis[:, 1:]


def _rotation(key: PRNGKeyArray, size: int, like: Array) -> Square:
    """A random orthogonal matrix, uniform; directions need no more than 24 bits."""
    noise = jax.random.normal(key, (size, size), jnp.float32).astype(like.dtype)
    q, r = jnp.linalg.qr(noise)
    return q * jnp.sign(jnp.diagonal(r))[None]


def _eye(size: int, like: Array) -> Array:
    return jnp.eye(size, dtype=like.dtype)
