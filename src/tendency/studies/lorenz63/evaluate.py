"""What is measured of every model of the study, in one compiled program a model."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.cell import AbstractCell
from tendency.forecasting import forecast, spin_up
from tendency.scores.chaos import (
    lyapunov_exponent,
    quantile_distance,
    valid_prediction_time,
)
from tendency.studies.lorenz63.truth import DT, LYAPUNOV, Size, Truth

_LYAPUNOV_STARTS = 8
_DISCARD = 1_000  # steps until the tangent vector has turned to the fastest direction


@dataclass(frozen=True)
class Measured:
    """The figures of one model."""

    rmse: Float[np.ndarray, " lead"]  # over starts and components, leads 1 to 8
    vpt: float  # mean valid prediction time [Lyapunov times]
    exponent: float | None  # leading Lyapunov exponent [1 / time]
    climate: float  # quantile distance of a free run [standard deviations]
    free_run: Float[np.ndarray, "time 3"]


def evaluate(
    cell: AbstractCell, truth: Truth, size: Size, tangent: bool = True
) -> Measured:
    """Forecast the test starts with `cell`, briefly and long."""
    steps = size.lyapunov_steps if tangent else 0
    rmse, vpt, exponent, climate, free = _evaluate(cell, truth, steps)
    return Measured(
        np.asarray(rmse),
        float(vpt),
        float(exponent) if tangent else None,
        float(climate),
        np.asarray(free),
    )


@eqx.filter_jit
def _evaluate(cell: AbstractCell, truth: Truth, lyapunov_steps: int):
    def run(history: Array, steps: int):
        return forecast(cell, spin_up(cell, history), steps)[1]

    leads = truth.targets.shape[1]
    short = jax.vmap(lambda h: run(h, leads))(truth.histories)
    rmse = jnp.sqrt(jnp.mean((short - truth.targets) ** 2, axis=(0, 2)))

    long_steps = truth.long_targets.shape[1]
    long = jax.vmap(lambda h: run(h, long_steps))(truth.long_histories)
    spread = jnp.sqrt(jnp.sum(truth.std**2))
    errors = jnp.linalg.norm(long - truth.long_targets, axis=-1) / spread
    vpt = valid_prediction_time(errors.T, DT).mean() * LYAPUNOV

    settled = long[:, long_steps // 2 :: 10].reshape(-1, 3)
    distance = quantile_distance(settled, truth.long_targets[:, ::10].reshape(-1, 3))
    climate = (distance / truth.std).mean()

    exponent = jnp.nan
    if lyapunov_steps:
        carries = jax.vmap(lambda h: spin_up(cell, h))(
            truth.long_histories[:_LYAPUNOV_STARTS]
        )
        each = jax.vmap(lambda c: lyapunov_exponent(cell, c, lyapunov_steps, _DISCARD))(
            carries
        )
        exponent = each.mean()
    return rmse, vpt, exponent, climate, long[0]
