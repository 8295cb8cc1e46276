"""Floor 1: linear autoregression of a vector on its own past, VAR(p).

`linear_ar` fits it by least squares or ridge regression and answers with `LinearAR`.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Carry, Constant
from tendency.errors import InputError
from tendency.windows import Windows


class LinearAR(AbstractCell):
    """x' = c + Σⱼ Aⱼ xₜ₋ₚ₊ⱼ + S ε with j = 1, ..., p, the newest state last.

    The memory is the p - 1 states before the current one, newest last (`None` for
    p = 1); a cold start repeats the current state. With a key ε ~ N(0, I) is drawn and
    S Sᵀ is the covariance of the residuals of the fit; without one, or where `noise` is
    `None`, the step is the mean.

    Source: Lütkepohl (2005), New Introduction to Multiple Time Series Analysis, 2.1.1.
    """

    coefficients: Float[Array, "lag state state"]  # [1]
    intercept: Float[Array, " state"]  # [units of the state]
    dt: float = eqx.field(static=True)  # [time unit of the data]
    noise: Constant | None = None  # S, (state, state) [units of the state]

    @property
    def spin_up_steps(self) -> int:
        return self.coefficients.shape[0] - 1

    def init(self, state: Float[Array, " state"]) -> Carry:
        past = self.spin_up_steps
        return Carry(state, jnp.tile(state, (past, 1)) if past else None)

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        states = carry.state[None]
        if carry.memory is not None:
            states = jnp.concatenate([carry.memory, states])
        new = self.intercept + jnp.einsum("pij,pj->i", self.coefficients, states)
        if key is not None and self.noise is not None:
            draw = jax.random.normal(key, new.shape, new.dtype)
            new = new + self.noise.value @ draw
        return Carry(new, None if carry.memory is None else states[1:])

    def companion(self) -> Float[Array, "size size"]:
        """The matrix that advances the stacked states; stable if |eigenvalues| < 1."""
        p, d, _ = self.coefficients.shape
        shift = jnp.eye((p - 1) * d, p * d, d, dtype=self.coefficients.dtype)
        newest = jnp.concatenate(list(self.coefficients), axis=1)
        return jnp.concatenate([shift, newest])


def linear_ar(
    windows: Windows, *, ridge: float = 0.0, dt: float, increments: bool = False
) -> LinearAR:
    """Fit a VAR(p) with p = `windows.length - 1`.

    Minimises mean |x' - c - B z|² + ridge |B|², where z are the p past states in units
    of their standard deviation over the samples; the intercept c is not penalised. So
    `ridge` is a number without units, little below 0.01 and much above 1, which does
    not depend on the number of samples. With `ridge=0` and fewer samples than
    predictors the solution of least norm is taken.

    Args:
        windows: samples of p past states and their successor. One with a zero weight
            anywhere is left out; other weights make no difference.
        ridge: the penalty.
        dt: the sampling interval [time unit of the data].
        increments: predict x' - x, so that the ridge draws the model toward persistence
            and not toward the mean; without a ridge it makes no difference.

    Raises:
        InputError: windows of one time; `ridge` negative; a state that is not one
            vector; every sample masked.
    """
    if windows.length < 2:
        raise InputError(
            "the windows of the linear autoregression hold 1 time, at least 2 were "
            "expected: ask for windows of p + 1 times to fit p lags"
        )
    if not ridge >= 0:
        raise InputError(f"ridge is {ridge}, expected zero or more: change its sign")
    leaves = jax.tree.leaves(windows.states)
    if len(leaves) != 1 or leaves[0].ndim != 2:
        raise InputError(
            "a linear autoregression needs states that are one vector per time, got "
            f"arrays of shape {[leaf.shape for leaf in leaves]}: pack the variables "
            "into one axis first"
        )
    series = np.asarray(leaves[0], np.float64)
    rows = np.asarray(windows.starts)[:, None] + np.arange(windows.length)
    rows = rows[_complete(windows)[rows].all(axis=1)]
    if rows.shape[0] == 0:
        raise InputError(
            f"every window of {windows.length} times holds a masked value, at least "
            "one without was expected: use fewer lags or fill the gaps"
        )
    samples = series[rows]
    count, size = samples.shape[0], samples.shape[2]
    past, target = samples[:, :-1].reshape(count, -1), samples[:, -1]
    if increments:
        target = target - samples[:, -2]

    mean, std = past.mean(0), past.std(0)
    std = np.where(std > 0, std, 1.0)
    z, target_mean = (past - mean) / std, target.mean(0)
    y = target - target_mean
    if ridge > 0:
        penalty = np.sqrt(count * ridge) * np.eye(z.shape[1])
        solution = np.linalg.lstsq(
            np.concatenate([z, penalty]),
            np.concatenate([y, np.zeros((z.shape[1], size))]),
        )[0]
    else:
        solution = np.linalg.lstsq(z, y)[0]
    residual = y - z @ solution
    freedom = max(count - z.shape[1] - 1, 1)
    slopes = (solution / std[:, None]).T  # (state, lag * state)
    intercept = target_mean - slopes @ mean
    if increments:
        slopes[:, -size:] += np.eye(size)
    dtype = leaves[0].dtype
    return LinearAR(  # pyright: ignore[reportCallIssue]
        coefficients=jnp.asarray(slopes.reshape(size, -1, size).swapaxes(0, 1), dtype),
        intercept=jnp.asarray(intercept, dtype),
        dt=dt,
        noise=Constant(jnp.asarray(_root(residual.T @ residual / freedom), dtype)),
    )


def _complete(windows: Windows) -> Bool[np.ndarray, " time"]:
    """The times at which no weight is zero."""
    size = jax.tree.leaves(windows.states)[0].shape[0]
    seen = np.ones(size, bool)
    for weights in jax.tree.leaves(windows.weights):
        seen &= np.asarray(weights > 0).reshape(size, -1).all(axis=1)
    return seen


def _root(
    covariance: Float[np.ndarray, "state state"],
) -> Float[np.ndarray, "state state"]:
    """The symmetric square root, which a singular covariance has too."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
