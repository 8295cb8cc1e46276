"""Floor 5: hyper-parameters of the linear model, chosen on the validation part."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from tendency.cell import AbstractCell
from tendency.errors import InputError
from tendency.forecasting import forecast, spin_up
from tendency.jobs.models import LinearAR
from tendency.jobs.series import Encoded
from tendency.statistical.linear_ar import linear_ar

_STARTS = 2000


def choose_linear(
    model: LinearAR, encoded: Encoded, steps: int, name: str
) -> tuple[int, float, list[dict[str, Any]]]:
    """The lags and the ridge whose forecasts err least on the validation part.

    Each pair is fitted to the training part and forecasts from starts that all share.
    What is compared is the mean over lead times of the logarithm of the mean square
    error, in which a short lead counts as much as a long one.

    Raises:
        InputError: there is a choice and no validation part to make it on.
    """
    lags = model.lags if isinstance(model.lags, list) else [model.lags]
    ridges = model.ridge if isinstance(model.ridge, list) else [model.ridge]
    pairs = list(dict.fromkeys(itertools.product(lags, ridges)))
    if len(pairs) == 1:
        return *pairs[0], []
    starts = encoded.starts("validation", max(lags) - 1, steps)
    starts = starts[:: max(1, -(-len(starts) // _STARTS))]
    if len(starts) == 0:
        raise InputError(
            f"models.{name} lists several lags or ridges to choose from and the "
            f"validation part holds no forecast of {steps} steps: lengthen "
            "split.validation, or give one of each"
        )
    tried = []
    for p, ridge in pairs:
        cell = linear_ar(
            encoded.windows("train", p + 1),
            ridge=ridge,
            dt=encoded.dt,
            increments=model.increments,
        )
        errors = np.asarray(roll_out_errors(cell, encoded, starts, steps))
        with np.errstate(divide="ignore"):
            value = float(np.mean(np.log(errors)))
        tried.append(
            {"lags": p, "ridge": ridge, "error": value if np.isfinite(value) else None}
        )
    able = [t for t in tried if t["error"] is not None]
    best = min(able or tried, key=lambda t: t["error"] or 0.0)
    return best["lags"], best["ridge"], tried


def roll_out_errors(
    cell: AbstractCell, encoded: Encoded, starts: Int[np.ndarray, " start"], steps: int
) -> Float[Array, " lead"]:
    """The mean square error at each lead, over starts and latent components."""
    weights = encoded.weights
    weights = jnp.ones((len(encoded.states), 1)) if weights is None else weights
    index = jnp.asarray(starts, jnp.int32)
    return _errors(cell, encoded.states, jnp.asarray(weights), index, steps)


@eqx.filter_jit
def _errors(cell, states, weights, index, steps: int):
    past = cell.spin_up_steps

    def one(i):
        def cut(series, first, count):
            return jax.lax.dynamic_slice_in_dim(series, first, count)

        carry = spin_up(cell, cut(states, i - past, past + 1))
        told = forecast(cell, carry, steps)[1]
        square = (told - cut(states, i + 1, steps)) ** 2
        w = jnp.broadcast_to(cut(weights, i + 1, steps), square.shape)
        w = w.astype(square.dtype)
        return (w * square).sum(1), w.sum(1)

    squares, weight = jax.lax.map(one, index, batch_size=64)
    return squares.sum(0) / jnp.maximum(weight.sum(0), 1e-30)
