"""Serial square-root filters: one observation after the other."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from tendency.assimilation.ensemble import AbstractEnsembleFilter
from tendency.assimilation.inflation import AbstractInflation, NoInflation
from tendency.assimilation.localisation import Localisation
from tendency.assimilation.transform import (
    Departures,
    Transform,
    centred,
    mean_preserving_rotation,
    recombined,
)
from tendency.cell import Carry


class SerialEnSRF(AbstractEnsembleFilter):
    """Ensemble square-root filter, one whitened observation after the other.

    Whitaker & Hamill (2002, Mon. Wea. Rev. 130, 1913), equation 13. For a scalar
    observation the ensemble adjustment filter (EAKF) of Anderson (2001, Mon. Wea. Rev.
    129, 2884) shifts and scales the observed variable, and regresses the others, by
    the same numbers. Correlated errors are whitened first, so that any covariance will
    do.

    With a `localisation` the gain is tapered, which is a localisation of the
    covariance; the order of the observations then matters a little. The cost grows as
    points times observations.
    """

    inflation: AbstractInflation = NoInflation()
    localisation: Localisation | None = None
    rotated: bool = eqx.field(static=True, default=False)
    resample: bool = eqx.field(static=True, default=False)

    def update(
        self, ensemble: Carry, departures: Departures, key: PRNGKeyArray
    ) -> tuple[Carry, Transform | None]:
        if self.localisation is not None:
            ensemble = _tapered(ensemble, departures, self.localisation)
            if self.rotated:
                size = len(departures.anomalies)
                turn = mean_preserving_rotation(key, size)
                ensemble = recombined(ensemble, turn)
            return ensemble, None
        N, m = departures.anomalies.shape

        def assimilate_one(now, j):
            S, d, w, T = now
            s = S[:, j]
            variance = 1 + s @ s
            reduced = s / (variance + jnp.sqrt(variance))  # α K, of the anomalies
            along, across = s @ T, s @ S
            w = w + d[j] / variance * along
            d = d - d[j] / variance * across
            T = T - jnp.outer(reduced, along)
            S = S - jnp.outer(reduced, across)
            return (S, d, w, T), None

        S, d = departures.anomalies, departures.innovation
        start = (S, d, jnp.zeros((N,), S.dtype), jnp.eye(N, dtype=S.dtype))
        (_, _, w, T), _ = jax.lax.scan(assimilate_one, start, jnp.arange(m))
        transform = Transform(w * (N - 1) ** -0.5, T)
        if self.rotated:
            transform = transform.rotated(key)
        return transform.apply(ensemble), transform


def _tapered(
    ensemble: Carry, departures: Departures, localisation: Localisation
) -> Carry:
    """The analysis with a localised gain, of states and of their equivalents alike."""
    where = departures.observation.positions
    assert where is not None  # `Localisation.seen_from` has refused it
    moving, fixed = eqx.partition(ensemble, eqx.is_inexact_array)
    parts = [centred(x) for x in jax.tree.leaves(moving)]
    S, d = departures.anomalies, departures.innovation
    N, m = S.shape
    grids = [localisation.grid_of(mean.shape[1:]) for mean, _ in parts]

    def assimilate_one(now, j):
        S, d, parts = now
        s = S[:, j]
        variance = 1 + s @ s
        reduced = s / (variance + jnp.sqrt(variance))
        pull = d[j] / variance
        near = [
            localisation.taper(place.astype(where.dtype), _wide(where[j], place))
            for place in localisation.positions
        ]
        new = []
        for (mean, anomalies), grid in zip(parts, grids, strict=True):
            along = jnp.tensordot(s.astype(anomalies.dtype), anomalies, 1)
            if grid is not None:
                lead = (1,) * (along.ndim - near[grid].ndim)
                along = along * near[grid].reshape(lead + near[grid].shape).astype(
                    along.dtype
                )
            moved = pull.astype(along.dtype) * (N - 1) ** -0.5 * along[None]
            lost = jnp.tensordot(reduced.astype(along.dtype), along, 0)
            new.append((mean + moved, anomalies - lost))
        across = s @ S * localisation.taper(where, where[j][None]).astype(S.dtype)
        d = d - pull * across
        S = S - jnp.outer(reduced, across)
        return (S, d, new), None

    (_, _, parts), _ = jax.lax.scan(assimilate_one, (S, d, parts), jnp.arange(m))
    leaves = [mean + anomalies for mean, anomalies in parts]
    moving = jax.tree.unflatten(jax.tree.structure(moving), leaves)
    return eqx.combine(moving, fixed)


def _wide(row: Array, like: Array) -> Array:
    return row.reshape((1,) * (like.ndim - 1) + row.shape)
