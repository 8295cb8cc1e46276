"""What test files share: small models with known answers, and child programs."""

import os
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency import Integrated, Observations, ensemble_of, forecast
from tendency.cell import AbstractCell, Carry, forcing_at
from tendency.networks.dense import drawn
from tendency.physics import Lorenz96
from tendency.windows import Windows

ROOT = Path(__file__).resolve().parents[1]


class Linear(eqx.Module):
    """dx/dt = A x, plus the forcing where there is one."""

    matrix: Float[Array, "n n"]

    def __call__(self, state, forcing=None):
        slope = self.matrix @ state
        return slope if forcing is None else slope + forcing


class Map(AbstractCell):
    """x' = A x + b, exactly: a cell whose forecasts and fits have closed forms."""

    matrix: Float[Array, "n n"]
    offset: Float[Array, " n"]
    dt: float = eqx.field(static=True, default=1.0)

    @property
    def spin_up_steps(self):
        return 0

    def init(self, state):
        return Carry(state)

    def step(self, carry, forcing=None, *, key=None):
        return Carry(self.matrix @ carry.state + self.offset)


class Lagged(AbstractCell):
    """x' = a₀ x + a₁ x₋₁ + a₂ x₋₂, plus the mean forcing of the step if any."""

    weights: Float[Array, "3"]
    dt: float = eqx.field(static=True, default=1.0)

    @property
    def spin_up_steps(self):
        return 2

    def init(self, state):
        return Carry(state, jnp.stack([state, state]))

    def step(self, carry, forcing=None, *, key=None):
        states = jnp.concatenate([carry.memory, carry.state[None]])
        new = self.weights[::-1] @ states
        if forcing is not None:
            new = new + forcing_at(forcing, 0.5)
        return Carry(new, states[1:])


def counted():
    """A tendency, dx/dt = u - x, and the list that grows whenever it is traced."""
    traces = []

    def tendency(state, forcing=None):
        traces.append(None)
        return -state if forcing is None else forcing - state

    return tendency, traces


def oscillator(frequency=1.0, damping=0.1) -> Linear:
    return Linear(jnp.array([[0.0, frequency], [-frequency, -damping]]))


def python_loop(cell, carry, steps, forcings=None, key=None):
    """The states after each step, stepped one by one outside any scan."""
    step = eqx.filter_jit(lambda c, u, k: cell.step(c, u, key=k))
    states = []
    for i in range(steps):
        step_key = None if key is None else jax.random.fold_in(key, i)
        carry = step(carry, None if forcings is None else forcings[i], step_key)
        states.append(carry.state)
    return carry, jnp.stack(states)


def lorenz63_taylor(state, dt, steps, order=24):
    """Lorenz-63 by a Taylor series in extended precision, time first.

    The coefficients of the series follow from the equations, product by product:
    (k + 1) xₖ₊₁ = σ (yₖ - xₖ), and so on, with Cauchy's product for xz and xy.
    """
    real = np.longdouble
    sigma, rho, beta = real(10), real(28), real(8) / real(3)
    now = np.asarray(state, real)
    states = [now]
    for _ in range(steps):
        c = np.zeros((order + 1, 3), real)
        c[0] = now
        for k in range(order):
            x, y, z = c[: k + 1].T
            xz, xy = (x * z[::-1]).sum(), (x * y[::-1]).sum()
            slope = sigma * (y[k] - x[k]), rho * x[k] - y[k] - xz, xy - beta * z[k]
            c[k + 1] = np.array(slope, real) / (k + 1)
        now = c[order]
        for k in reversed(range(order)):
            now = now * real(dt) + c[k]
        states.append(now)
    return np.stack(states)


def child(code: str, *arguments: str, **environment: str) -> subprocess.Popen:
    """A Python program of its own, in float64, that can import these helpers."""
    flags = os.environ.get("XLA_FLAGS", "")
    preamble = "import jax; jax.config.update('jax_enable_x64', True)\n"
    path = os.pathsep.join(
        filter(None, [str(ROOT / "tests"), os.environ.get("PYTHONPATH")])
    )
    return subprocess.Popen(
        [sys.executable, "-c", preamble + code, *arguments],
        env={**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lorenz96_twin(members: int, times: int):
    """A cell, an ensemble about the truth, and observations of all components."""
    cell = Integrated(Lorenz96(), 0.05)
    start, _ = forecast(cell, cell.init(jnp.zeros(40).at[0].set(1.0)), 400)
    _, truth = forecast(cell, start, times)
    errors = jax.random.normal(jax.random.key(1), truth.shape)
    observations = Observations.of(truth + errors, np.arange(1, times + 1), error=1.0)
    prior = ensemble_of(cell, start.state, 1.0, size=members, key=jax.random.key(2))
    return cell, prior, observations


def noisy_series(times: int, noise: float = 0.1) -> np.ndarray:
    """A damped rotation about (1, -1), observed with noise."""
    rng = np.random.default_rng(0)
    rotation = 0.99 * np.array(
        [[np.cos(0.4), np.sin(0.4)], [-np.sin(0.4), np.cos(0.4)]]
    )
    states = [np.array([3.0, 0.0])]
    for _ in range(times - 1):
        states.append(rotation @ (states[-1] - [1, -1]) + [1, -1])
    return np.array(states) + noise * rng.normal(size=(times, 2))


def fitting_problem() -> tuple[Map, Windows, Windows]:
    """A linear map to learn, twelve windows of five times, and nine to choose by."""
    series = noisy_series(40)
    cell = Map(0.5 * jnp.eye(2), jnp.zeros(2))
    return cell, Windows.of(series[:27], 5, stride=2), Windows.of(series[27:], 5)


def normal(key, shape, dtype=jnp.float64):
    """`jax.random.normal` without a program to compile for each shape."""
    return drawn(jax.random.normal, key, tuple(shape), dtype)
