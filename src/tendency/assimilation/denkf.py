"""The deterministic ensemble Kalman filter."""

import equinox as eqx
from jaxtyping import PRNGKeyArray

from tendency.assimilation.ensemble import AbstractEnsembleFilter
from tendency.assimilation.inflation import AbstractInflation, NoInflation
from tendency.assimilation.transform import Departures, ThinTransform, gain_of
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
    ) -> tuple[Carry, ThinTransform]:
        S, d = departures.anomalies, departures.innovation
        gain = gain_of(S)
        mean = d @ gain * (len(S) - 1) ** -0.5
        transform = ThinTransform(mean, -S / 2, gain)
        return transform.apply(ensemble), transform
