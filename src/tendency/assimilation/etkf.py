"""The ensemble transform Kalman filter."""

import equinox as eqx
from jaxtyping import PRNGKeyArray

from tendency.assimilation.ensemble import AbstractEnsembleFilter
from tendency.assimilation.inflation import AbstractInflation, NoInflation
from tendency.assimilation.transform import (
    Departures,
    Transform,
    rotated_symmetric_transform,
    symmetric_transform,
)
from tendency.cell import Carry


class ETKF(AbstractEnsembleFilter):
    """Ensemble transform Kalman filter, symmetric: T = (I + S Sᵀ)^-1/2.

    Bishop, Etherton & Majumdar (2001, Mon. Wea. Rev. 129, 420); Hunt, Kostelich &
    Szunyogh (2007, Physica D 230, 112), equations 20 to 24. Of a linear model with
    Gaussian errors, mean and covariance are the Kalman filter's within the span of the
    ensemble.

    Arguments:
        rotated: rotate the anomalies at random after each analysis, which keeps mean
            and covariance and makes the members Gaussian: Sakov & Oke (2008, Mon. Wea.
            Rev. 136, 1042).
    """

    inflation: AbstractInflation = NoInflation()
    rotated: bool = eqx.field(static=True, default=False)
    resample: bool = eqx.field(static=True, default=False)

    def update(
        self, ensemble: Carry, departures: Departures, key: PRNGKeyArray
    ) -> tuple[Carry, Transform]:
        if self.rotated:
            transform = rotated_symmetric_transform(departures, key)
        else:
            transform = symmetric_transform(departures)
        return transform.apply(ensemble), transform
