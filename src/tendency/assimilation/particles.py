"""The particle filter, bootstrap or regularised."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from tendency.assimilation.ensemble import advanced, check_ensemble
from tendency.assimilation.method import AbstractFilter, Diagnostics
from tendency.assimilation.transform import Departures, failed_members, members
from tendency.cell import AbstractCell, Carry
from tendency.errors import InputError
from tendency.observing import Observation

Weights = Float[Array, " member"]


class WeightedBelief(eqx.Module):
    """Particles and the logarithms of their weights, whose exponentials add up to 1."""

    ensemble: Carry  # members first
    log_weights: Weights


class ParticleFilter(AbstractFilter):
    """Bootstrap particle filter: weights from the likelihood, then resampling.

    The only filter here that is exact for any model, observation and distribution as
    the number of particles grows: Gordon, Salmond & Smith (1993, IEE Proc. F 140, 107).
    The number that it needs grows exponentially with what is observed: Snyder,
    Bengtsson, Bickel & Anderson (2008, Mon. Wea. Rev. 136, 4629).

    Where the effective size 1 / Σ w² falls to a part of the particles they are drawn
    anew by systematic resampling: Kitagawa (1996, J. Comput. Graph. Stat. 5, 1). Copies
    of a particle part by the noise of the model; of a model without noise they must be
    moved. With `jitter` all copies but one get Gaussian noise of the covariance of the
    particles, `jitter` times the bandwidth N^(-1/(n+4)): Musso, Oudjane & Le Gland
    (2001, Sequential Monte Carlo Methods in Practice, ch. 12). Particles that are not
    finite get no weight.

    Arguments:
        threshold: resample where the effective size is below this part of the
            particles; 1 for always.
        jitter: 0 for the bootstrap filter.

    Raises:
        InputError: a threshold that is no part, a jitter below zero.
    """

    threshold: float = eqx.field(static=True, default=0.5)
    jitter: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        if not 0 < self.threshold <= 1:
            raise InputError(
                f"the threshold of resampling is {self.threshold}, a part of the "
                "particles above 0 and up to 1 was expected: 0.5 is usual"
            )
        if not self.jitter >= 0:
            raise InputError(
                f"the jitter is {self.jitter}, 0 or more bandwidths were expected"
            )

    def begin(self, cell: AbstractCell, prior: Any) -> WeightedBelief:
        check_ensemble(prior, type(self).__name__)
        N, real = members(prior), jnp.result_type(*_inexact(prior))
        return WeightedBelief(prior, jnp.full((N,), -jnp.log(N), real))

    def state(self, belief: WeightedBelief) -> PyTree[Array]:
        return jax.tree.map(lambda x: x[0], belief.ensemble.state)

    def advance(
        self,
        cell: AbstractCell,
        belief: WeightedBelief,
        forcing: PyTree,
        key: PRNGKeyArray,
    ) -> WeightedBelief:
        ensemble = advanced(cell, belief.ensemble, forcing, key)
        return WeightedBelief(ensemble, belief.log_weights)

    def analyse(
        self, belief: WeightedBelief, observation: Observation, key: PRNGKeyArray
    ) -> tuple[WeightedBelief, Diagnostics]:
        failed = failed_members(belief.ensemble)
        before = _normalised(jnp.where(failed, -jnp.inf, belief.log_weights))[0]
        # What failed becomes a copy of the best, with no weight of its own.
        source = jnp.where(failed, jnp.argmax(before), jnp.arange(failed.size))
        ensemble = jax.tree.map(lambda x: x[source], belief.ensemble)

        equivalents = jax.vmap(observation.observe)(ensemble.state)
        away = jax.vmap(observation.departures)(equivalents)
        white = jax.vmap(observation.whiten)(away)
        after, evidence = _normalised(before - 0.5 * jnp.sum(white**2, 1))
        size = 1 / jnp.sum(jnp.exp(2 * after))
        told = _told(observation, equivalents, before, after, evidence, failed, size)

        def drawn_anew(_):
            return _resampled(ensemble, after, self.jitter, key)

        poor = size <= self.threshold * failed.size
        belief = jax.lax.cond(
            poor, drawn_anew, lambda _: WeightedBelief(ensemble, after), None
        )
        return belief, told

    def unseen(self, belief: WeightedBelief) -> WeightedBelief:
        return belief

    def summary(self, belief: WeightedBelief) -> tuple[PyTree[Array], PyTree[Array]]:
        weights = jnp.exp(belief.log_weights)

        def mean_and_spread(x):
            w = weights.astype(x.dtype)
            held = (w > 0).reshape((-1,) + (1,) * (x.ndim - 1))
            x = jnp.where(held, x, jnp.zeros_like(x))
            mean = jnp.tensordot(w, x, 1)
            square = jnp.tensordot(w, (x - mean[None]) ** 2, 1)
            return mean, jnp.sqrt(square / _freedom(w))

        found = jax.tree.map(mean_and_spread, belief.ensemble.state)
        return jax.tree.transpose(
            jax.tree.structure(belief.ensemble.state), jax.tree.structure((0, 0)), found
        )


def systematic(key: PRNGKeyArray, log_weights: Weights) -> Int[Array, " member"]:
    """Which particle each new one is a copy of: N w of each, rounded up or down.

    One random number places a comb of N even teeth over the sums of the weights.
    """
    N = log_weights.shape[0]
    ends = jnp.cumsum(jnp.exp(log_weights))
    first = jax.random.uniform(key, (), ends.dtype)
    teeth = (jnp.arange(N).astype(ends.dtype) + first) / N * ends[-1]
    found = jnp.searchsorted(ends, teeth, side="right").astype(jnp.int32)
    last = jnp.argmax(ends >= ends[-1]).astype(jnp.int32)  # that has a weight
    return jnp.minimum(found, last)


def _resampled(
    ensemble: Carry, log_weights: Weights, jitter: float, key: PRNGKeyArray
) -> WeightedBelief:
    draw_key, noise_key = jax.random.split(key)
    source = systematic(draw_key, log_weights)
    N = source.shape[0]
    even = jnp.full_like(log_weights, -jnp.log(N))
    if not jitter:
        new = jax.tree.map(lambda x: x[source], ensemble)
        return WeightedBelief(new, even)
    copies = jnp.concatenate([jnp.zeros(1, bool), source[1:] == source[:-1]])
    moving, fixed = eqx.partition(ensemble, eqx.is_inexact_array)
    row, unravel = ravel_pytree(jax.tree.map(lambda x: x[0], moving))
    rows = jax.vmap(lambda member: ravel_pytree(member)[0])(moving)
    weights = jnp.exp(log_weights).astype(row.dtype)
    width = jitter * N ** (-1 / (row.size + 4))
    noise = width * _noise(rows, weights, noise_key)
    rows = rows[source] + jnp.where(copies[:, None], noise, jnp.zeros_like(noise))
    fixed = jax.tree.map(lambda x: x[source], fixed)
    return WeightedBelief(eqx.combine(jax.vmap(unravel)(rows), fixed), even)


def _noise(
    rows: Float[Array, "member n"], weights: Weights, key: PRNGKeyArray
) -> Float[Array, "member n"]:
    """Gaussian, of the covariance of weighted particles."""
    N, n = rows.shape
    anomalies = rows - (weights @ rows)[None]
    anomalies = jnp.sqrt(weights / _freedom(weights))[:, None] * anomalies
    if n >= N:  # combinations of the anomalies have it, without forming it
        return jax.random.normal(key, (N, N), rows.dtype) @ anomalies
    values, vectors = jnp.linalg.eigh(anomalies.T @ anomalies, symmetrize_input=False)
    root = vectors * jnp.sqrt(jnp.maximum(values, 0.0))[None]
    return jax.random.normal(key, (N, n), rows.dtype) @ root.T


def _told(
    observation: Observation,
    equivalents: Float[Array, "member obs"],
    before: Weights,
    after: Weights,
    evidence: Float[Array, ""],
    failed: Array,
    size: Float[Array, ""],
) -> Diagnostics:
    """As of a Gaussian filter with the mean and the covariance of the particles."""
    real = equivalents.dtype
    weights = jnp.exp(before).astype(real)
    mean = weights @ equivalents
    anomalies = jnp.sqrt(weights / _freedom(weights))[:, None] * (
        equivalents - mean[None]
    )
    innovation = observation.departures(mean)
    whiten = observation.whiten
    seen = Departures(
        equivalents, jax.vmap(whiten)(anomalies), whiten(innovation), observation
    )
    error = observation.error
    log_det = error.log_determinant(observation.seen).astype(evidence.dtype)
    count = jnp.sum(observation.seen).astype(evidence.dtype)
    return Diagnostics(
        innovation,
        jnp.sum(anomalies**2, 0) + error.variances().astype(real),
        observation.departures(jnp.exp(after).astype(real) @ equivalents),
        seen.misfit_and_log_likelihood()[0],
        evidence - 0.5 * (log_det + count * jnp.log(2 * jnp.pi).astype(count.dtype)),
        failed,
        effective_size=size,
    )


def _normalised(log_weights: Weights) -> tuple[Weights, Float[Array, ""]]:
    total = jax.nn.logsumexp(log_weights)
    return log_weights - total, total


def _freedom(weights: Weights) -> Float[Array, ""]:
    """What a weighted sum of squares is divided by: (N - 1) / N of equal weights."""
    left = 1 - jnp.sum(weights**2)
    return jnp.maximum(left, jnp.finfo(weights.dtype).eps)


def _inexact(tree: PyTree[Array]) -> list[Array]:
    return [x for x in jax.tree.leaves(tree) if eqx.is_inexact_array(x)]
