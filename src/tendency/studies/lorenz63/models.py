"""How each model of the study's two tables is made, from clean or noisy states."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from tendency.cell import AbstractCell, Constant, Standardisation
from tendency.fitting import Descent, LeastSquares, RolloutLoss, fit
from tendency.integrate import (
    AbstractScheme,
    Integrated,
    dormand_prince5,
    rk4,
)
from tendency.networks import GRU, LSTM, MLP, RNN, Bilinear, Recurrent, RecurrentCell
from tendency.physics import Lorenz63
from tendency.statistical import (
    STLSQ,
    FiniteDifferences,
    Persistence,
    ReweightedWeakForm,
    WeakForm,
    analog,
    linear_ar,
    sparse_regression,
)
from tendency.statistical.analog import AdaptiveGaussian, Method
from tendency.studies.lorenz63.truth import DT, Size
from tendency.windows import Windows

States = Float[Array, "time 3"]
Make = Callable[[States, Size, PRNGKeyArray], AbstractCell]
Published = tuple[float | None, float | None, float | None]  # at h, 4h, 8h


class Row(NamedTuple):
    """A line of a table: its name, what was published, and how to make the model."""

    name: str
    make: Make
    published: Published = (None, None, None)
    tangent: bool = True  # whether a Lyapunov exponent is computed
    quick: bool = False  # whether a quick look includes it


PRODUCTS = 3  # of the bilinear network; two would do


def least_squares(
    cell: AbstractCell,
    states: States,
    horizon: int,
    stride: int,
    key: PRNGKeyArray,
    steps: int = 50,
    tolerance: float = 1e-8,
) -> AbstractCell:
    """Fit by Levenberg-Marquardt over roll-outs of `horizon` steps."""
    windows = Windows.of(states, cell.spin_up_steps + 1 + horizon, stride=stride)
    loss = RolloutLoss(scale=Constant(states.std(0)))
    method = LeastSquares(max_steps=steps, tolerance=tolerance)
    return fit(cell, windows, method, key=key, loss=loss).cell


@functools.cache  # the same functions again, so that what is compiled is used again
def falling_adam(steps: int) -> optax.GradientTransformation:
    """Adam with clipped gradients and a learning rate that falls to zero."""
    rate = optax.cosine_decay_schedule(5e-3, steps)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))


def descent(
    cell: AbstractCell, states: States, epochs: int, stride: int, key: PRNGKeyArray
) -> AbstractCell:
    """Fit by Adam over roll-outs of 8 steps, with a falling learning rate."""
    windows = Windows.of(states, cell.spin_up_steps + 1 + 8, stride=stride)
    optimiser = falling_adam(epochs * (len(windows) // 64))
    method = Descent(optimiser, epochs=epochs, batch=64)
    loss = RolloutLoss(scale=Constant(states.std(0)))
    return fit(cell, windows, method, key=key, loss=loss).cell


def bilinear(scheme: AbstractScheme = rk4, substeps: int = 1) -> Make:
    """The bilinear network from one-step errors, as clean states allow."""

    def make(states, size, key):
        tendency = Bilinear.of(states, PRODUCTS, key=key)
        cell = Integrated(tendency, DT, scheme, substeps)
        return least_squares(cell, states, 1, 4, key)

    return make


def bilinear_rollout(states: States, size: Size, key: PRNGKeyArray) -> AbstractCell:
    """Longer and longer roll-outs from noisy states: 5, then 20 steps."""
    cell = Integrated(Bilinear.of(states, PRODUCTS, key=key), DT)
    cell = least_squares(cell, states, 5, 5, key, tolerance=1e-4)
    return least_squares(cell, states, 20, 4, key, tolerance=1e-5)


def bilinear_shooting(states: States, size: Size, key: PRNGKeyArray) -> AbstractCell:
    """Multiple shooting over windows of 50, 100, then 200 states.

    Each fit starts from the weights and states of the one before; the first from
    roll-outs of 5 steps and the noisy states. A quick look leaves out the second.
    """
    cell = Integrated(Bilinear.of(states, PRODUCTS, key=key), DT)
    cell = least_squares(cell, states, 5, 5, key, tolerance=1e-4)
    starts, last = True, 1
    for length in (50, 200) if size.small else (50, 100, 200):
        windows = Windows.of(states, length, stride=length)
        if starts is not True:
            starts = starts[:: length // last][: len(windows)]
        last = length
        method = LeastSquares(max_steps=30, tolerance=1e-6)
        fitted = fit(cell, windows, method, key=key, free_initial_states=starts)
        cell, starts = fitted.cell, fitted.initial_states
    return cell


def mlp(states: States, size: Size, key: PRNGKeyArray) -> AbstractCell:
    """A tendency of one hidden layer, under RK4."""
    tendency = MLP.of(states, 24, 1, jax.nn.silu, dt=DT, key=key)
    steps = 150 * size.epochs // 100
    return least_squares(Integrated(tendency, DT), states, 1, 10, key, steps)


def mlp_rollout(states: States, size: Size, key: PRNGKeyArray) -> AbstractCell:
    """The same from noisy states, by descent over roll-outs."""
    cell = Integrated(MLP.of(states, 24, 1, jax.nn.silu, dt=DT, key=key), DT)
    return descent(cell, states, max(2, size.epochs * 30 // 100), 2, key)


def recurrent_cell(
    layer: str, units: int, spin_up_steps: int, states: States, key: PRNGKeyArray
) -> RecurrentCell:
    """One recurrent layer that gives increments of the state."""
    layer_key, readout_key = jax.random.split(key)
    kind = {"rnn": RNN, "lstm": LSTM, "gru": GRU}[layer]
    network = Recurrent(kind(3, units, key=layer_key), 3, key=readout_key)
    return RecurrentCell(
        network,
        DT,
        spin_up_steps=spin_up_steps,
        standardisation=Standardisation.of(states),
        increment_std=jnp.diff(states, axis=0).std(0),
    )


def recurrent(layer: str) -> Make:
    """A recurrent network of 32 units that reads 20 steps before it forecasts."""

    def make(states, size, key):
        cell = recurrent_cell(layer, 32, 20, states, key)
        return descent(cell, states, max(2, size.epochs * 30 // 100), 2, key)

    return make


def analogs(method: Method, width: float = 1.0) -> Make:
    """What followed the 50 nearest states, weighted over `width` median distances."""
    kernel = AdaptiveGaussian(width)
    return lambda states, size, key: analog(
        Windows.of(states, 2), k=50, method=method, kernel=kernel, dt=DT
    )


def true_equations(states: States, size: Size, key: PRNGKeyArray) -> AbstractCell:
    """The equations themselves, under the RK4 of the bilinear network."""
    return Integrated(Lorenz63(), DT)


def persistence(states: States, size: Size, key: PRNGKeyArray) -> AbstractCell:
    """No change."""
    return Persistence(DT)


def autoregression(lags: int) -> Make:
    """A linear autoregression."""
    return lambda states, size, key: linear_ar(Windows.of(states, lags + 1), dt=DT)


def finite_differences(order: int) -> Make:
    """Sparse regression on differences."""

    def make(states, size, key):
        tendency = sparse_regression(states, DT, formulation=FiniteDifferences(order))
        return Integrated(tendency, DT, dormand_prince5)

    return make


def weak_form(states: States, size: Size, key: PRNGKeyArray) -> AbstractCell:
    """Sparse regression on integrals, of clean states."""
    tendency = sparse_regression(states, DT, formulation=WeakForm(0.5))
    return Integrated(tendency, DT, dormand_prince5, 2)


def reweighted_weak_form(states: States, size: Size, key: PRNGKeyArray) -> AbstractCell:
    """Sparse regression on integrals weighed by the noise that is in them."""
    tendency = sparse_regression(
        states, DT, formulation=ReweightedWeakForm(0.25), regression=STLSQ(0.3)
    )
    return Integrated(tendency, DT, dormand_prince5)
