"""The stochastic ensemble Kalman filter."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from tendency.assimilation.ensemble import AbstractEnsembleFilter
from tendency.assimilation.inflation import AbstractInflation, NoInflation
from tendency.assimilation.transform import (
    Departures,
    ThinTransform,
    centred,
    gain_of,
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
    ) -> tuple[Carry, ThinTransform]:
        S, d = departures.anomalies, departures.innovation
        N = len(S)
        noise = jax.random.normal(key, S.shape, S.dtype)
        seen = departures.observation.seen[None]
        noise = jnp.where(seen, noise, jnp.zeros_like(noise))
        noise = centred(noise)[1] * (N / (N - 1)) ** 0.5
        # With G = Sᵀ (I + S Sᵀ)⁻¹ member i moves by (d - √(N-1) sᵢ - εᵢ)ᵀ G A / √(N-1).
        gain, root = gain_of(S), (N - 1) ** -0.5
        transform = ThinTransform(d @ gain * root, -(S + root * noise), gain)
        return transform.apply(ensemble), transform
