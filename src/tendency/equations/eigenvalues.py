"""Floor 5: the eigenvalues that a scheme meets at a state, and the step that it holds.

The largest eigenvalues λ of the derivative of the tendency, by Arnoldi iterations, must
not grow under the scheme where exp(λ dt) does not.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import ArrayLike, Complex

from tendency.errors import InputError
from tendency.integrate import AdamsBashforth3, Integrated, RungeKutta

_ITERATIONS = 40
_SLACK = 1e-3  # of the growth a step, beyond that of the equations
_HALVINGS = 24
SAFETY = 0.8  # of the longest step, since the state changes


def stable_step(
    cell: Integrated,
    state: Mapping[str, ArrayLike],
    forcing: Mapping[str, Any] | None = None,
    *,
    safety: float = SAFETY,
) -> float:
    """A step that the scheme of a cell holds stable at a state, up to its own.

    `safety` times the longest one, rounded down to two digits, which later states may
    need shorter.

    Arguments:
        cell: a tendency and a Runge-Kutta or Adams-Bashforth scheme; its `dt` is the
            longest step that is wanted.
        forcing: what the tendency is given at this state.

    Raises:
        InputError: a scheme that is not judged, such as those with a linear part of
            their own, or no stable step.
    """
    if _growth(cell.scheme) is None:
        raise InputError(
            f"how long a step {type(cell.scheme).__name__} holds is not judged: give dt"
        )
    longest = longest_step(cell, state, forcing, at_most=cell.dt / safety)
    if longest is None:
        raise InputError(
            f"no step of {cell.dt:g} or less is found stable at the initial state: "
            "see that the tendency is finite there, and take another scheme, such as "
            "rk4"
        )
    dt = safety * longest
    return cell.dt if dt >= cell.dt * (1 - 1e-12) else floored(dt)


def floored(dt: float) -> float:
    """To two digits, downwards."""
    unit = 10.0 ** (math.floor(math.log10(dt)) - 1)
    return math.floor(dt / unit * (1 + 1e-12)) * unit


def longest_step(
    cell: Integrated,
    state: Mapping[str, ArrayLike],
    forcing: Mapping[str, Any] | None,
    *,
    at_most: float | None = None,
) -> float | None:
    """The longest stable step up to `at_most`; `None` where none is found.

    Schemes with a linear part of their own are not judged.

    Arguments:
        at_most: the step of the cell, if it is not said.
    """
    growth = _growth(cell.scheme)
    if growth is None:
        return None
    eigenvalues = _eigenvalues(cell.tendency, state, forcing)
    if not len(eigenvalues):
        return None

    def stable(dt: float) -> bool:
        z = dt * eigenvalues
        allowed = np.maximum(1.0, np.exp(np.minimum(z.real, 50.0)))
        return bool((growth(z) <= allowed * (1 + _SLACK)).all())

    high = cell.dt if at_most is None else at_most
    if stable(high):
        return high
    low = high
    for _ in range(_HALVINGS):
        low /= 2
        if stable(low):
            break
    else:
        return None
    high = 2 * low
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if stable(middle) else (low, middle)
    return low


def _growth(scheme: Any) -> Callable[[np.ndarray], np.ndarray] | None:
    """|u'/u| of a step of u' = λu, for z = λ dt."""
    if isinstance(scheme, RungeKutta):

        def one_step(z):
            slopes: list[Any] = []
            for row in scheme.a:
                x = 1.0 + sum(w * k for w, k in zip(row, slopes, strict=False))
                slopes.append(z * x)
            return np.abs(
                1.0 + sum(w * k for w, k in zip(scheme.b, slopes, strict=True))
            )

        return one_step
    if isinstance(scheme, AdamsBashforth3):

        def largest_root(z):
            rows = np.zeros((len(z), 3, 3), complex)
            rows[:, 0] = np.stack([1 + 23 * z / 12, -16 * z / 12, 5 * z / 12], -1)
            rows[:, 1, 0] = rows[:, 2, 1] = 1
            return np.abs(np.linalg.eigvals(rows)).max(-1)

        return largest_root
    return None


def _eigenvalues(tendency, state, forcing) -> Complex[np.ndarray, " some"]:
    """Ritz values of the derivative of the tendency, the outer ones nearly exact."""
    flat, restore = ravel_pytree({k: jnp.asarray(v) for k, v in state.items()})

    def slope(x):
        return ravel_pytree(tendency(restore(x), forcing))[0]

    @jax.jit
    def push(x, direction):
        return jax.jvp(slope, (x,), (direction,))[1]

    start = np.random.default_rng(0).normal(size=flat.size)
    basis = [start / np.linalg.norm(start)]
    steps = min(_ITERATIONS, flat.size)
    projected = np.zeros((steps + 1, steps))
    for k in range(steps):
        new = np.asarray(push(flat, jnp.asarray(basis[k], flat.dtype)), float)
        if not np.isfinite(new).all():
            return np.zeros(0, complex)
        size = np.linalg.norm(new)
        for _ in range(2):  # twice is enough
            for j, vector in enumerate(basis):
                share = vector @ new
                projected[j, k] += share
                new = new - share * vector
        projected[k + 1, k] = np.linalg.norm(new)
        if projected[k + 1, k] <= 1e-10 * size:
            return np.linalg.eigvals(projected[: k + 1, : k + 1]).astype(complex)
        basis.append(new / projected[k + 1, k])
    return np.linalg.eigvals(projected[:steps]).astype(complex)
