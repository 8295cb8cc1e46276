"""Held-out forecasts of a cell in the units of the data, and their error by lead."""

from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from tendency.cell import AbstractCell
from tendency.data.prepare import Preparation
from tendency.forecasting import forecast, spin_up
from tendency.scores.records import Score
from tendency.studies._fields.fields import Fields

Forecasts = Float[np.ndarray, "start lead state"]
_BATCH_BYTES = 2**28


@dataclass(frozen=True, eq=False)
class Model:
    """A cell, and what stands between it and the data.

    Without a `preparation` its states are those of the data; `on_grid` says that they
    are maps (channel, row, column), zero where there is no point.
    """

    cell: AbstractCell
    preparation: Preparation | None = None
    outside: float = 0.0  # of what EOFs leave out, the part that lasts a step
    on_grid: bool = False


def states_of(model: Model, fields: Fields) -> Array:
    """All times as the cell of `model` sees them; the climate where one is missing."""
    if model.preparation is not None:
        return encoded(model.preparation, fields)
    values = fields.series.states
    mean = np.nanmean(values, axis=0)
    values = np.where(np.isfinite(values), values, mean)
    return jnp.asarray(fields.on_grid(values, 0.0) if model.on_grid else values)


def encoded(preparation: Preparation, fields: Fields) -> Array:
    """All times in the space of a preparation; the climate where one is missing."""
    encode = eqx.filter_jit(preparation.encode)
    return encode(jnp.asarray(fields.series.states), jnp.asarray(fields.series.t))


def forecasts(
    model: Model, fields: Fields, starts: Int[np.ndarray, " start"], steps: int
) -> Forecasts:
    """Forecasts from each start [units of the data], in batches of starts."""
    encoded = states_of(model, fields)
    size = 4 * steps * fields.layout.size
    batch = int(np.clip(_BATCH_BYTES // size, 1, len(starts)))
    index = jnp.asarray(starts, jnp.int32)
    latent = np.asarray(_latent(model.cell, encoded, index, steps, batch))
    if model.preparation is None:
        return fields.off_grid(latent) if model.on_grid else latent
    t = fields.series.t[starts][:, None] + fields.dt * np.arange(1, steps + 1)
    told = np.asarray(model.preparation.decode(jnp.asarray(latent), jnp.asarray(t)))
    if model.preparation.patterns is None:
        return told
    # What the EOFs cannot hold of the first state fades as its own regression says.
    now = jnp.asarray(fields.series.t[starts])
    held = model.preparation.decode(encoded[index], now)
    left = np.nan_to_num(fields.series.states[starts] - np.asarray(held))
    fading = model.outside ** np.arange(1, steps + 1)
    return told + (fading[:, None] * left[:, None]).astype(told.dtype)


@eqx.filter_jit
def _latent(cell: AbstractCell, encoded: Array, index: Array, steps: int, batch: int):
    past = cell.spin_up_steps

    def one(i: Array) -> Array:
        history = jax.lax.dynamic_slice_in_dim(encoded, i - past, past + 1)
        return forecast(cell, spin_up(cell, history), steps)[1]

    return jax.lax.map(one, index, batch_size=batch)


def truth_of(
    fields: Fields, starts: Int[np.ndarray, " start"], steps: int
) -> Forecasts:
    """What came after each start; NaN is missing."""
    return fields.series.states[starts[:, None] + np.arange(1, steps + 1)]


def rmse_by_lead(
    told: Forecasts, truth: Forecasts, weights: Float[np.ndarray, " state"]
) -> Float[np.ndarray, " lead"]:
    """√(Σ w (f - o)² / Σ w) over starts and components: the root after the mean.

    A missing truth has no weight; a forecast that is not finite makes the score so.
    """
    seen = np.isfinite(truth)
    square = (
        np.where(seen, (told - np.where(seen, truth, 0)).astype(np.float64), 0) ** 2
    )
    total = np.einsum("sln,n->l", seen, weights)
    return np.sqrt(np.einsum("sln,n->l", square, weights) / total)


def rmse_scores(
    case: str,
    model: str,
    told: Forecasts,
    truth: Forecasts,
    fields: Fields,
    *,
    published: dict[float, float] | None = None,
    leads: Sequence[int] | None = None,
) -> list[Score]:
    """The RMSE of one model as records, all variables as one, weighted by area.

    Arguments:
        published: by lead time [unit of the clock].
        leads: steps to keep; all by default.
    """
    values = rmse_by_lead(told, truth, fields.areas)
    units = str(fields.layout.variables[0].attributes.get("units", "1"))
    found = []
    for step in range(1, len(values) + 1) if leads is None else leads:
        lead = step * fields.dt
        theirs = (published or {}).get(lead)
        value = float(values[step - 1])
        found.append(Score(case, model, "rmse", lead, value, units, theirs))
    return found
