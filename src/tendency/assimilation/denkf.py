"""The deterministic ensemble Kalman filter."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from tendency.assimilation.ensemble import AbstractEnsembleFilter
from tendency.assimilation.inflation import AbstractInflation, NoInflation
from tendency.assimilation.transform import Departures, Transform, precision
from tendency.cell import Carry


class DEnKF(AbstractEnsembleFilter):
    """Deterministic ensemble Kalman filter: anomalies move by half the gain.

    A' = A - K H A / 2, to first order the Kalman filter's covariance and otherwise too
    large, which is an inflation of its own: Sakov & Oke (2008, Tellus 60A, 361).
    """

    inflation: AbstractInflation = NoInflation()
    resample: bool = eqx.field(static=True, default=False)

    def update(
        self, ensemble: Carry, departures: Departures, key: PRNGKeyArray
    ) -> tuple[Carry, Transform]:
        S, d = departures.anomalies, departures.innovation
        P = precision(S)  # and I - S Sᵀ P / 2 = (I + P) / 2
        half = (jnp.eye(len(S), dtype=S.dtype) + P) / 2
        transform = Transform(P @ (S @ d) * (len(S) - 1) ** -0.5, half)
        return transform.apply(ensemble), transform
