"""The stochastic ensemble Kalman filter."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from tendency.assimilation.ensemble import AbstractEnsembleFilter
from tendency.assimilation.inflation import AbstractInflation, NoInflation
from tendency.assimilation.transform import (
    Departures,
    Transform,
    centred,
    precision,
)
from tendency.cell import Carry


class StochasticEnKF(AbstractEnsembleFilter):
    """Ensemble Kalman filter with perturbed observations.

    Burgers, van Leeuwen & Evensen (1998, Mon. Wea. Rev. 126, 1719).
    The perturbations have a mean of zero over the members, exactly, and are scaled by
    √(N / (N - 1)) so that their variance stays that of the errors.
    """

    inflation: AbstractInflation = NoInflation()
    resample: bool = eqx.field(static=True, default=False)

    def update(
        self, ensemble: Carry, departures: Departures, key: PRNGKeyArray
    ) -> tuple[Carry, Transform]:
        S, d = departures.anomalies, departures.innovation
        N = len(S)
        noise = jax.random.normal(key, S.shape, S.dtype)
        seen = departures.observation.seen[None]
        noise = jnp.where(seen, noise, jnp.zeros_like(noise))
        noise = centred(noise)[1] * (N / (N - 1)) ** 0.5
        # With P = (I + S Sᵀ)⁻¹, of which S Sᵀ P = I - P, member i moves by
        # (d - √(N-1) sᵢ - εᵢ)ᵀ Sᵀ P A / √(N-1).
        P = precision(S)
        gain = (P @ S) * (N - 1) ** -0.5
        transform = Transform(gain @ d, P - noise @ gain.T)
        return transform.apply(ensemble), transform
