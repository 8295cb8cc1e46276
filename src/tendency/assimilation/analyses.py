"""What an assimilation gives back."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from tendency.assimilation.method import Progress


class Analyses(eqx.Module):
    """The times of the observations, before and after each analysis.

    Means and spreads (standard deviations) are states, time first; a component that was
    not observed is NaN in `innovation`, `expected_variance` and `residual`.
    """

    steps: Int[np.ndarray, " time"]  # of the model, from the first prior
    times: Float[np.ndarray, " time"]  # [time unit of the model]
    background_mean: PyTree[Array]
    background_spread: PyTree[Array]
    analysis_mean: PyTree[Array]
    analysis_spread: PyTree[Array]
    innovation: Float[Array, "time obs"]  # y - H(xᵇ)
    expected_variance: Float[Array, "time obs"]  # diag(H Pᵇ Hᵀ + R)
    residual: Float[Array, "time obs"]  # y - H(xᵃ), before inflation
    log_likelihood: Float[Array, " time"]  # of each time, given those before
    failed: Bool[Array, "time member"]  # members that were not finite
    final: Progress  # give it as the prior of the next assimilation to go on
    saved: Any = None  # what `save` kept, time first
    smoothed_mean: PyTree[Array] | None = None
    smoothed_spread: PyTree[Array] | None = None
