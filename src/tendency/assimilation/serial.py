"""Serial square-root filters: one observation after the other."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from tendency.assimilation.ensemble import AbstractEnsembleFilter
from tendency.assimilation.inflation import AbstractInflation, NoInflation
from tendency.assimilation.transform import Departures, Transform
from tendency.cell import Carry


class SerialEnSRF(AbstractEnsembleFilter):
    """Ensemble square-root filter, one whitened observation after the other.

    Whitaker & Hamill (2002, Mon. Wea. Rev. 130, 1913), equation 13. For a scalar
    observation the ensemble adjustment filter (EAKF) of Anderson (2001, Mon. Wea. Rev.
    129, 2884) shifts and scales the observed variable, and regresses the others, by
    the same numbers. Correlated errors are whitened first, so that any covariance will
    do.
    """

    inflation: AbstractInflation = NoInflation()
    rotated: bool = eqx.field(static=True, default=False)
    resample: bool = eqx.field(static=True, default=False)

    def update(
        self, ensemble: Carry, departures: Departures, key: PRNGKeyArray
    ) -> tuple[Carry, Transform]:
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
