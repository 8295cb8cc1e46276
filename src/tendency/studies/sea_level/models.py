"""The networks of the paper, and two baselines, for the series of neighbourhoods."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from tendency.cell import AbstractCell, Standardisation
from tendency.fitting import Descent, RolloutLoss, fit
from tendency.forecasting import forecast, spin_up
from tendency.integrate import Integrated, euler
from tendency.networks import (
    GRU,
    LSTM,
    MLP,
    CausalConvolutions,
    Recurrent,
    RecurrentCell,
    TemporalCNN,
    merged_lstm,
    stacked,
)
from tendency.statistical.linear_ar import linear_ar
from tendency.statistical.persistence import Persistence, damped_persistence
from tendency.studies.sea_level.points import PARTS, Points
from tendency.studies.sea_level.setting import STEPS, Size

BASELINES = ("Persistence", "Damped persistence", "Linear regression")
_LAGS, _RIDGE = 3, 1e-3  # of the regression
_RATE, _BATCH = 5e-3, 64


def all_models(
    points: Points, size: Size, seed: int, say: Callable[[str], None]
) -> dict[str, AbstractCell]:
    """Baselines and networks, fitted to the days before the split.

    Raises:
        InputError: too few days for the windows.
    """
    short = points.windows(_LAGS + 1, 1)
    cells: dict[str, AbstractCell] = {
        "Persistence": Persistence(1.0),  # pyright: ignore[reportCallIssue]
        "Damped persistence": damped_persistence(short, 1.0),
        "Linear regression": linear_ar(short, ridge=_RIDGE, dt=1.0, increments=True),
    }
    for name, cell in networks(points, size, seed).items():
        say(f"fitting {name}")
        cells[name] = fitted(cell, points, size, seed)
    return cells


def networks(points: Points, size: Size, seed: int) -> dict[str, AbstractCell]:
    """Before their fit: they give increments, and begin near persistence."""
    learn = points.series[:, : points.split].reshape(-1, sum(PARTS))
    steps = np.diff(points.series[:, : points.split], axis=1).reshape(-1, sum(PARTS))
    states = Standardisation.of(jnp.asarray(learn))
    increment = jnp.asarray(steps.std(0))
    scaled = {"standardisation": states, "increment_std": increment}
    keys = jax.random.split(jax.random.key(seed), 8)
    total, width = sum(PARTS), size.width
    like = {"dtype": jnp.float32}

    def calm(network):
        weight = lambda n: n.readout.weight  # noqa: E731
        return eqx.tree_at(weight, network, replace_fn=lambda w: 0.1 * w)

    def recurrent(layers, key) -> AbstractCell:
        network = calm(Recurrent(layers, total, key=key))
        return RecurrentCell(network, 1.0, spin_up_steps=size.history - 1, **scaled)

    convolutions = CausalConvolutions(
        total, total, width, dilations=(1, 2), **like, key=keys[0]
    )
    dense = MLP(
        total,
        width,
        standardisation=states,
        tendency_std=increment,
        **like,
        key=keys[1],
    )
    branch = max(1, width // 2)
    return {
        "ANN": Integrated(dense, 1.0, euler),
        "TCN": TemporalCNN(calm(convolutions), 1.0, **scaled),
        "GRU": recurrent(stacked(GRU, total, (width,), **like, key=keys[2]), keys[3]),
        "LSTM": recurrent(stacked(LSTM, total, (width,), **like, key=keys[4]), keys[5]),
        "Merged LSTM": recurrent(
            merged_lstm(PARTS, branch, width, **like, key=keys[6]), keys[7]
        ),
    }


def fitted(cell: AbstractCell, points: Points, size: Size, seed: int) -> AbstractCell:
    """Through roll-outs of five days."""
    windows = points.windows(cell.spin_up_steps + 1 + STEPS, size.stride)
    updates = size.epochs * max(1, len(windows) // _BATCH)
    method = Descent(
        optax.chain(
            optax.clip_by_global_norm(1.0),
            optax.adam(optax.cosine_decay_schedule(_RATE, updates)),
        ),
        epochs=size.epochs,
        batch=min(_BATCH, len(windows)),
    )
    return fit(
        cell, windows, method, key=jax.random.key(seed), loss=RolloutLoss(STEPS)
    ).cell


def forecasts(
    cell: AbstractCell, points: Points, starts: np.ndarray
) -> Float[np.ndarray, "centre start lead"]:
    """The sea level at the points [m], from each held-out day."""
    return np.asarray(_told(cell, jnp.asarray(points.series), jnp.asarray(starts)))


@eqx.filter_jit
def _told(cell: AbstractCell, series: Array, starts: Array) -> Array:
    past = cell.spin_up_steps

    def one(states: Array, i: Array) -> Array:
        history = jax.lax.dynamic_slice_in_dim(states, i - past, past + 1)
        return forecast(cell, spin_up(cell, history), STEPS)[1][:, 0]

    return jax.lax.map(lambda s: jax.vmap(lambda i: one(s, i))(starts), series)
