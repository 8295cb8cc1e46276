"""Floor 1: the forecasts that every model must beat, `Persistence` and its damped kin.

`Persistence` repeats the state, `DampedPersistence` lets its anomaly decay at the rate
that `damped_persistence` reads off the autocorrelation of a series.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Carry, Constant
from tendency.errors import InputError
from tendency.windows import Windows


class Persistence(AbstractCell):
    """Tomorrow as today: x' = x, for a state of any structure."""

    dt: float = eqx.field(static=True)  # [time unit of the data]

    @property
    def spin_up_steps(self) -> int:
        return 0

    def init(self, state: PyTree[Array]) -> Carry:
        return Carry(state)

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        return carry


class DampedPersistence(AbstractCell):
    """An anomaly that decays: x' = m + a (x - m), component by component.

    `mean` [units of the state] and `factor` [1 per step] have the structure of the
    state. After n steps the anomaly is aⁿ of what it was, the best linear forecast of
    a red-noise process from its own component: Lorenz (1973, J. Appl. Meteorol. 12,
    543).
    """

    mean: Constant  # [units of the state]
    factor: PyTree[Array]  # [1], per step
    dt: float = eqx.field(static=True)  # [time unit of the data]

    @property
    def spin_up_steps(self) -> int:
        return 0

    def init(self, state: PyTree[Array]) -> Carry:
        return Carry(state)

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        def leaf(x, m, a):
            return m + a * (x - m)

        return Carry(jax.tree.map(leaf, carry.state, self.mean.value, self.factor))


def damped_persistence(
    windows: Windows, dt: float, *, lag: int = 1
) -> DampedPersistence:
    """Fit the damping to the lagged autoregression of each component.

    a = r^(1/lag), where r = Σ xₜ xₜ₊ₗₐ₉ / Σ xₜ² over anomalies from the mean of the
    windows is the least-squares slope at `lag` steps, kept between 0 (the mean) and 1
    (persistence). A pair counts where neither weight is zero.

    Args:
        windows: samples of at least `lag + 1` times.
        dt: the sampling interval [time unit of the data].
        lag: steps between predictor and predictand; a lag near the horizon of interest
            damps as the data do there.

    Raises:
        InputError: `lag` is less than one step, or longer than the windows.
    """
    if not 1 <= lag < windows.length:
        raise InputError(
            f"damped persistence was asked for a lag of {lag} steps from windows of "
            f"{windows.length} times, between 1 and {windows.length - 1} was expected: "
            "change the lag or lengthen the windows"
        )
    starts = np.asarray(windows.starts)
    times = np.unique(starts[:, None] + np.arange(windows.length - lag))
    weights = windows.weights
    if len(jax.tree.leaves(weights)) <= 1:
        weight = weights if weights is None else jax.tree.leaves(weights)[0]
        fitted = jax.tree.map(
            lambda x: _mean_and_factor(x, weight, times, lag), windows.states
        )
    else:
        fitted = jax.tree.map(
            lambda x, w: _mean_and_factor(x, w, times, lag), windows.states, weights
        )
    structure = jax.tree.structure(windows.states)
    mean, factor = jax.tree.transpose(structure, jax.tree.structure((0, 0)), fitted)
    return DampedPersistence(mean=Constant(mean), factor=factor, dt=dt)  # pyright: ignore[reportCallIssue]


def _mean_and_factor(
    states: Float[Array, "time *state"], weights: Array | None, times, lag: int
) -> tuple[Float[Array, "*state"], Float[Array, "*state"]]:
    x = np.asarray(states, np.float64)
    seen = np.ones_like(x)
    if weights is not None:
        w = np.asarray(weights)
        w = w.reshape(w.shape + (1,) * (x.ndim - w.ndim))
        seen = np.broadcast_to(w > 0, x.shape).astype(np.float64)
    both = seen[times] * seen[times + lag]
    count = np.maximum(2 * both.sum(0), 1)
    mean = (both * (x[times] + x[times + lag])).sum(0) / count
    now, later = x[times] - mean, x[times + lag] - mean
    variance = (both * now * now).sum(0)
    varies = variance > 0
    slope = (both * now * later).sum(0) / np.where(varies, variance, 1.0)
    factor = np.clip(np.where(varies, slope, 0.0), 0.0, 1.0) ** (1 / lag)
    return jnp.asarray(mean, states.dtype), jnp.asarray(factor, states.dtype)
