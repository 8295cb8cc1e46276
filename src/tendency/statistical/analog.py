"""Floor 1: analog forecasting, what followed the nearest states of the past.

`analog` makes the catalogue and `Analog` forecasts from it; the kernels
`AdaptiveGaussian`, `Gaussian` and `Uniform` weigh the neighbours by their distance.
"""

import abc
from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Carry, Constant
from tendency.errors import InputError
from tendency.statistical.local_regression import coefficients, fit_weights, residuals
from tendency.statistical.neighbours import Neighbours
from tendency.statistical.selection import (
    combined,
    gathered,
    less,
    squared_norms,
    threshold,
    total,
)
from tendency.windows import Windows

Method = Literal["constant", "increment", "linear", "quadratic"]
Draw = Literal["gaussian", "sample"]
_DEGREE = {"constant": 0, "increment": 0, "linear": 1, "quadratic": 2}


class AbstractKernel(eqx.Module):
    """How much each neighbour counts, by its distance."""

    @abc.abstractmethod
    def __call__(self, squares: Float[Array, " k"]) -> Float[Array, " k"]:
        """The logarithm of the weights, up to a constant, by the squared distances."""


class AdaptiveGaussian(AbstractKernel):
    """exp(-d² / (c λ)²), λ the median distance of the k neighbours, c the `factor`.

    Source: Lguensat et al. (2017, Mon. Wea. Rev. 145, 4093), with c = 1.
    """

    factor: float = eqx.field(static=True, default=1.0)

    def __call__(self, squares):
        width = self.factor**2 * _squared_median(squares)
        return -squares / jnp.maximum(width, float(jnp.finfo(squares.dtype).tiny))


class Gaussian(AbstractKernel):
    """exp(-d² / λ²)."""

    width: float = eqx.field(static=True)  # λ [units of the scaled state]

    def __call__(self, squares):
        return -squares / self.width**2


class Uniform(AbstractKernel):
    """The same weight for all k neighbours."""

    def __call__(self, squares):
        return jnp.zeros_like(squares)


class Analog(AbstractCell):
    """What followed the k nearest of the past states, weighted or regressed upon.

    With the neighbours aₙ of the state x, the states sₙ that followed them, and weights
    wₙ that sum to one, the step is

    - constant: x' = Σ wₙ sₙ,
    - increment: x' = x + Σ wₙ (sₙ - aₙ),
    - linear, quadratic: x' = x + b₀, the value at x of the polynomial in aₙ - x that
      fits sₙ - aₙ best in weighted least squares.

    Neighbours are sought, and polynomials fitted, in the space of the last few states,
    each component in units of its `scale`. The memory holds those before the current
    one, newest last (`None` where there are none); a cold start repeats the current.

    With a key a residual of the fit is added: a normal draw of their weighted
    covariance ("gaussian"), or the residual of one neighbour, drawn by weight
    ("sample"). A state that holds NaN is followed by NaN. A forcing is not looked at.

    Source: Lguensat et al. (2017, Mon. Wea. Rev. 145, 4093), section 2; the quadratic
    polynomial is their regression one degree further.
    """

    search: Neighbours  # among (n, window * state), scaled
    outcomes: Constant  # (n, state) increments, or successors [units of the state]
    scale: Constant  # (window * state) [units of the state]
    kernel: AbstractKernel
    dt: float = eqx.field(static=True)  # [time unit of the data]
    method: Method = eqx.field(static=True, default="linear")
    ridge: float = eqx.field(static=True, default=0.0)
    draw: Draw = eqx.field(static=True, default="gaussian")

    @property
    def spin_up_steps(self) -> int:
        return self.scale.value.shape[0] // self.outcomes.value.shape[1] - 1

    def init(self, state: PyTree[Array]) -> Carry:
        past = self.spin_up_steps
        return Carry(
            state, jnp.tile(ravel_pytree(state)[0], (past, 1)) if past else None
        )

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        now, unravel = ravel_pytree(carry.state)
        states = now[None]
        if carry.memory is not None:
            states = jnp.concatenate([carry.memory, states])
        query = states.reshape(-1) / self.scale.value

        index = self.search(query)
        offsets = less(gathered(self.search.points.value, index), query)
        outcomes = gathered(self.outcomes.value, index)
        logs = self.kernel(squared_norms(offsets))
        weights = jnp.exp(logs - jnp.max(logs))
        weights = weights / total(weights)
        degree = _DEGREE[self.method]
        fit = fit_weights(offsets, weights, degree, self.ridge)
        new = combined(outcomes, fit)
        if key is not None:
            left, share = residuals(offsets, outcomes, weights, degree, self.ridge)
            new = new + _drawn(left, share, weights, self.draw, key)
        new = new if self.method == "constant" else now + new
        return Carry(unravel(new), None if carry.memory is None else states[1:])


def _squared_median(squares: Float[Array, " k"]) -> Float[Array, ""]:
    """The square of the median of the distances."""
    half = (squares.shape[0] + 1) // 2
    fixed = jax.lax.stop_gradient(squares)
    below = fixed <= threshold(fixed, half)
    low = jnp.max(jnp.where(below, squares, 0))
    if squares.shape[0] % 2:
        return low
    # Where distances tie at the median, more than half of them are not above it.
    above = jnp.min(jnp.where(below, jnp.inf, squares))
    more = jnp.sum(below, dtype=jnp.int32) > half
    high = jnp.where(more, low, above)
    tiny = float(jnp.finfo(squares.dtype).tiny)
    low, high = jnp.maximum(low, tiny), jnp.maximum(high, tiny)
    return (low + high) / 4 + jnp.sqrt(low) * jnp.sqrt(high) / 2


def _drawn(
    residuals: Float[Array, "state k"],
    share: Float[Array, ""],
    weights: Float[Array, " k"],
    draw: Draw,
    key: PRNGKeyArray,
) -> Float[Array, " state"]:
    """One residual, or a normal combination that has their covariance, unbiased."""
    if draw == "sample":
        return residuals[:, jax.random.categorical(key, jnp.log(weights))]
    share = jnp.maximum(share, float(jnp.finfo(weights.dtype).eps))
    tiny = float(jnp.finfo(weights.dtype).tiny)
    scale = jnp.sqrt(jnp.maximum(weights, tiny) / share)
    noise = jax.random.normal(key, weights.shape, weights.dtype)
    return total(residuals * (scale * noise)[None])


def analog(
    windows: Windows,
    *,
    k: int,
    dt: float,
    method: Method = "linear",
    kernel: AbstractKernel | None = None,
    ridge: float = 0.0,
    scaled: bool = True,
    draw: Draw = "gaussian",
) -> Analog:
    """The catalogue of all windows: `windows.length - 1` past states, then the next.

    Args:
        windows: samples of past states and their successor. One with a zero weight
            anywhere is left out; other weights make no difference.
        k: the number of neighbours.
        dt: the sampling interval [time unit of the data].
        method: how the forecast is made of the neighbours.
        kernel: the weight of a neighbour, `AdaptiveGaussian()` if not given.
        ridge: penalty on all but the constant coefficient of a polynomial, without
            units: 0.001 is much for smooth data, and 0 little. The states of a window
            are nearly collinear, and want some.
        scaled: whether distances are in units of the standard deviation of each
            component, or in those of the state.
        draw: what a key adds.

    Raises:
        InputError: windows of one time; more neighbours than samples, or too few for
            the polynomial; `ridge` negative; an unknown `method` or `draw`; every
            sample masked.
    """
    for name, given, known in (("method", method, Method), ("draw", draw, Draw)):
        if given not in get_args(known):
            raise InputError(
                f"the {name} of the analogs is {given!r}, expected one of "
                f"{', '.join(get_args(known))}"
            )
    if windows.length < 2:
        raise InputError(
            "the windows of the analogs hold 1 time, at least 2 were expected: ask for "
            "windows of one time more than the past states that are compared"
        )
    if not ridge >= 0:
        raise InputError(f"ridge is {ridge}, expected zero or more: change its sign")
    samples = _samples(windows)
    size, length, d = samples.shape
    needed = coefficients((length - 1) * d, _DEGREE[method])
    if k < needed and ridge == 0:
        raise InputError(
            f"the {method} regression on {(length - 1) * d} numbers has {needed} "
            f"coefficients and {k} neighbours to fit: take {needed + 1} neighbours or "
            "more, give a ridge, or use increments"
        )
    past, last, outcomes = (
        samples[:, :-1].reshape(size, -1),
        samples[:, -2],
        samples[:, -1],
    )
    scale = np.ones(past.shape[1], samples.dtype)
    if scaled:
        std = past.std(0)
        scale = np.where(std > 0, std, scale)
    if method != "constant":
        outcomes = outcomes - last
    return Analog(  # pyright: ignore[reportCallIssue]
        search=Neighbours.of(jnp.asarray(past / scale), k),
        outcomes=Constant(jnp.asarray(outcomes)),
        scale=Constant(jnp.asarray(scale)),
        kernel=AdaptiveGaussian() if kernel is None else kernel,
        dt=dt,
        method=method,
        ridge=ridge,
        draw=draw,
    )


def _samples(windows: Windows) -> Float[np.ndarray, "n time state"]:
    """Every window that no zero weight touches, its states made vectors."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(windows.states)]
    times = leaves[0].shape[0]
    series = np.concatenate([leaf.reshape(times, -1) for leaf in leaves], axis=1)
    seen = np.ones(times, bool)
    for weights in jax.tree.leaves(windows.weights):
        seen &= np.asarray(weights > 0).reshape(times, -1).all(axis=1)
    rows = np.asarray(windows.starts)[:, None] + np.arange(windows.length)
    rows = rows[seen[rows].all(axis=1)]
    if rows.shape[0] == 0:
        raise InputError(
            f"every window of {windows.length} times holds a masked value, at least "
            "one without was expected: compare fewer past states or fill the gaps"
        )
    return series[rows]
