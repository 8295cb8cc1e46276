"""What is measured of every model of the study."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.cell import AbstractCell, Carry
from tendency.forecasting import forecast, spin_up
from tendency.scores.chaos import (
    lyapunov_exponent,
    quantile_distance,
    valid_prediction_time,
)
from tendency.studies.lorenz63.truth import DT, LYAPUNOV, Size, Truth

_LYAPUNOV_STARTS = 40  # side by side, which costs little more than one
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
    """Forecast the test starts with `cell`, briefly and long.

    A study of many models spends its time compiling: both kinds of forecast are made of
    calls of one program, for as many starts and steps as the smaller of each.
    """
    batch, leads = len(truth.long_histories), truth.targets.shape[1]
    short = [
        _ahead(cell, _spun_up(cell, truth.histories[i : i + batch]), leads)[1]
        for i in range(0, len(truth.histories), batch)
    ]
    carries, long = _spun_up(cell, truth.long_histories), []
    first = jax.tree.map(lambda a: a[:_LYAPUNOV_STARTS], carries)
    for _ in range(0, size.long_steps, leads):
        carries, states = _ahead(cell, carries, leads)
        long.append(states)
    rmse, vpt, climate = _figures(
        jnp.concatenate(short), jnp.concatenate(long, axis=1), truth
    )
    exponent = None
    if tangent:
        exponent = float(_exponent(cell, first, size.lyapunov_steps))
    free = np.concatenate([np.asarray(states[0]) for states in long])
    return Measured(np.asarray(rmse), float(vpt), exponent, float(climate), free)


@eqx.filter_jit
def _spun_up(cell: AbstractCell, histories: Float[Array, "start time 3"]) -> Carry:
    return jax.vmap(lambda h: spin_up(cell, h))(histories)


@eqx.filter_jit
def _ahead(
    cell: AbstractCell, carries: Carry, steps: int
) -> tuple[Carry, Float[Array, "start lead 3"]]:
    return jax.vmap(lambda c: forecast(cell, c, steps))(carries)


@eqx.filter_jit
def _exponent(cell: AbstractCell, carries: Carry, steps: int) -> Float[Array, ""]:
    one = lambda c: lyapunov_exponent(cell, c, steps, _DISCARD)  # noqa: E731
    return jax.vmap(one)(carries).mean()


@jax.jit
def _figures(
    short: Float[Array, "start lead 3"],
    long: Float[Array, "few time 3"],
    truth: Truth,
) -> tuple[Float[Array, " lead"], Float[Array, ""], Float[Array, ""]]:
    rmse = jnp.sqrt(jnp.mean((short - truth.targets) ** 2, axis=(0, 2)))
    spread = jnp.sqrt(jnp.sum(truth.std**2))
    errors = jnp.linalg.norm(long - truth.long_targets, axis=-1) / spread
    vpt = valid_prediction_time(errors.T, DT).mean() * LYAPUNOV
    settled = long[:, long.shape[1] // 2 :: 10].reshape(-1, 3)
    distance = quantile_distance(settled, truth.long_targets[:, ::10].reshape(-1, 3))
    return rmse, vpt, (distance / truth.std).mean()
