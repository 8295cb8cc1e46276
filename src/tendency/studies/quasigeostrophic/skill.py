"""Forecasts of the sea surface by models that could be better."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.cell import AbstractCell
from tendency.forecasting import forecast
from tendency.studies.quasigeostrophic.setting import Flow, coarser, model
from tendency.symbolic.generated import State

LEADS = 20  # days
Skill = Float[np.ndarray, " lead"]


def forecast_skill(
    states: dict[str, Float[np.ndarray, "day y x"]], points: int, starts: int
) -> dict[str, Skill]:
    """1 - RMSE / standard deviation after 0 to 20 days, of each model by name.

    The starts are spread over the run, exact but for what a coarser grid cannot hold;
    truth and forecast are compared on the coarser grid.
    """
    few = points // 2
    flow, cell = Flow(few), model(few)
    setting = flow.setting
    reduced = {k: jnp.asarray(coarser(v, few)) for k, v in states.items()}
    truth = _heights(flow, reduced)
    first = np.linspace(0, len(truth) - 1 - LEADS, starts).astype(int)
    targets = truth[first[:, None] + np.arange(LEADS + 1)]
    start = jax.tree.map(lambda a: a[first], reduced)
    found = _heights(flow, _ahead(cell, start, LEADS, setting.steps_a_day))
    deviation = np.sqrt(np.mean(truth**2))
    forecasts = {
        "Persistence": np.repeat(targets[:, :1], LEADS + 1, axis=1),
        f"Physics on {few} x {few}": np.concatenate([targets[:, :1], found], axis=1),
    }
    return {
        name: 1 - np.sqrt(np.mean((h - targets) ** 2, axis=(0, 2, 3))) / deviation
        for name, h in forecasts.items()
    }


def heights(states: dict[str, Float[np.ndarray, "day y x"]]) -> np.ndarray:
    """The sea surface of every state [m]."""
    flow = Flow(states["q1"].shape[-1])
    return _heights(flow, jax.tree.map(jnp.asarray, states))


def vorticities(states: dict[str, Float[np.ndarray, "day y x"]]) -> np.ndarray:
    """The relative vorticity of every state's upper layer, over f₀."""
    flow = Flow(states["q1"].shape[-1])
    mapped = jax.jit(lambda s: jax.lax.map(flow.vorticity, s))
    return np.asarray(mapped(jax.tree.map(jnp.asarray, states)))


def _heights(flow: Flow, states: State) -> np.ndarray:
    batch = states["q1"].shape[:-2]
    flat = jax.tree.map(lambda a: a.reshape(-1, *a.shape[-2:]), states)
    found = _mapped_heights(flow, flat)
    return np.asarray(found).reshape(*batch, *found.shape[-2:])


@eqx.filter_jit
def _mapped_heights(flow: Flow, states: State) -> Float[Array, "time y x"]:
    return jax.lax.map(flow.height, states)


@eqx.filter_jit
def _ahead(cell: AbstractCell, starts: State, days: int, steps: int) -> State:
    one = lambda s: forecast(cell, cell.init(s), days * steps, every=steps)[1]  # noqa: E731
    return jax.vmap(one)(starts)
