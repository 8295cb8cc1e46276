"""The course's comparison: seven networks and the equations, fitted the same way.

Windows of 30 states, batches of 32, Adam at 1e-2, a loss over 5 steps; explained
variance at steps 1 to 29, parameters recovered from (5, 20, 2), a free run of 1,000
steps.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from tendency.cell import AbstractCell, Constant
from tendency.fitting import Descent, RolloutLoss, fit
from tendency.forecasting import forecast, spin_up
from tendency.integrate import Integrated, euler
from tendency.networks import MLP, Bilinear
from tendency.physics import Lorenz63
from tendency.scores.chaos import quantile_distance
from tendency.statistical import LinearAR
from tendency.studies.lorenz63.models import recurrent_cell
from tendency.studies.lorenz63.truth import DT, Size, Truth
from tendency.windows import Windows

STEPS = 29  # forecast from the first state of a window of 30
HORIZON = 5  # of the loss
FIRST_GUESS = (5.0, 20.0, 2.0)  # of σ, ρ, β
HISTORY = 9  # steps that inform a recurrent network before the window
_FREE = 1_000  # steps of the free run
_QUICK = ("Linear AR", "Bilinear, RK4", "Lorenz-63, RK4")  # in a quick look


@dataclass(frozen=True)
class Compared:
    """The figures of one model of the comparison."""

    explained: Float[np.ndarray, " step"]  # variance explained at steps 1 to 29
    climate: float  # quantile distance of the free run [standard deviations]
    free_run: Float[np.ndarray, "time 3"]
    parameters: dict[str, float] | None  # of the equations, where they were fitted


def cells(states: Array, key: PRNGKeyArray) -> dict[str, AbstractCell]:
    """The models before they are fitted."""
    keys = jax.random.split(key, 5)
    relu = jax.nn.relu
    mlp = MLP.of(states, 20, 1, relu, dt=DT, key=keys[0])
    bilinear = Bilinear.of(states, 5, key=keys[1])
    no_change = jnp.eye(3)[None]
    guess = Lorenz63(*(jnp.asarray(p) for p in FIRST_GUESS))  # pyright: ignore
    recurrent = {
        layer: recurrent_cell(layer, 20, HISTORY, states, k)
        for layer, k in (("lstm", keys[2]), ("gru", keys[3]))
    }
    return {
        "Linear AR": LinearAR(no_change, jnp.zeros(3), DT),
        "MLP, Euler": Integrated(mlp, DT, euler),
        "MLP, RK4": Integrated(mlp, DT),
        "Bilinear, Euler": Integrated(bilinear, DT, euler),
        "Bilinear, RK4": Integrated(bilinear, DT),
        "Lorenz-63, RK4": Integrated(guess, DT),
        "LSTM": recurrent["lstm"],
        "GRU": recurrent["gru"],
    }


def compare(truth: Truth, size: Size, key: PRNGKeyArray) -> dict[str, Compared]:
    """Fit each model and forecast the test windows."""
    first = 10 * (size.windows * 5 // 8)  # 7,500 of 12,000 windows to train on,
    second = 10 * (size.windows * 5 // 6)  # 2,500 to validate, 2,000 to test
    train, test = truth.series[:first], truth.series[second:]
    data_key, model_key = jax.random.split(key)
    found = {}
    for name, cell in cells(train, model_key).items():
        if size.small and name not in _QUICK:
            continue
        length = cell.spin_up_steps + 30
        spans = (train, truth.series[first:second])
        data, chosen = (Windows.of(span, length, stride=10) for span in spans)
        epochs = max(2, 30 * size.windows // 12_000)
        method = Descent(optax.adam(1e-2), epochs=epochs, batch=32)
        loss = RolloutLoss(HORIZON, scale=Constant(train.std(0)))
        fitted = fit(cell, data, method, key=data_key, loss=loss, validation=chosen)
        windows = Windows.of(test, length, stride=10)
        explained, climate, free = _score(fitted.cell, windows, test)
        tendency = getattr(fitted.cell, "tendency", None)
        found[name] = Compared(
            np.asarray(explained),
            float(climate),
            np.asarray(free),
            {n: float(getattr(tendency, n)) for n in ("sigma", "rho", "beta")}
            if isinstance(tendency, Lorenz63)
            else None,
        )
    return found


@eqx.filter_jit
def _score(cell: AbstractCell, windows: Windows, test: Array):
    start = cell.spin_up_steps + 1

    def run(states):
        return forecast(cell, spin_up(cell, states[:start]), STEPS)[1]

    states = windows.all().states
    errors = jax.vmap(run)(states) - states[:, start:]
    anomalies = states[:, start:] - test.mean(0)[None, None]
    explained = 1 - jnp.sum(errors**2, (0, 2)) / jnp.sum(anomalies**2, (0, 2))
    _, free = forecast(cell, spin_up(cell, states[0, :start]), _FREE)
    climate = (quantile_distance(free, test) / test.std(0)).mean()
    return explained, climate, free
