"""Where a joint fit starts: observations smoothed in time, at every step.

A polynomial is fitted to the observations around each step (Savitzky & Golay 1964,
Anal. Chem. 36, 1627), gaps and all; how wide around, cross-validation says.
"""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree
from scipy.ndimage import correlate1d

from tendency.cell import AbstractCell
from tendency.errors import InputError
from tendency.fitting.chain import chain_of
from tendency.fitting.normal_equations import JointProblem
from tendency.observing import Linear, Observations, Select

_DEGREE = 4
_HALF_WIDTHS = (3, 5, 7, 10, 15, 22, 33, 50)  # [steps]
_FEWEST = _DEGREE + 3  # values in a window


def smoothed(
    values: Float[np.ndarray, " time"], half_widths: Sequence[int] = _HALF_WIDTHS
) -> tuple[Float[np.ndarray, " time"], Float[np.ndarray, " time"]]:
    """A series and its change per step, by local polynomials of degree 4.

    Arguments:
        values: at each step; NaN is missing.
        half_widths: [steps] to choose from, by the error of each value's prediction
            from the others.

    Where a window holds too few values, straight lines fill the gap.
    """
    seen = ~np.isnan(values)
    where = np.flatnonzero(seen)
    line = np.interp(np.arange(len(values)), where, values[where])
    rough = np.gradient(line) if len(line) > 1 else np.zeros_like(line)
    best = (np.inf, line, rough)
    clean = np.where(seen, values, 0.0)
    for half in half_widths:
        fit, slope, leverage, enough = _local(clean, seen.astype(float), half)
        judged = seen & enough
        if judged.sum() < max(_FEWEST, 0.5 * seen.sum()):
            continue
        error = np.mean(((values - fit) / np.maximum(1 - leverage, 1e-6))[judged] ** 2)
        if error < best[0]:
            best = (
                error,
                np.where(enough, fit, line),
                np.where(enough, slope, rough),
            )
    return best[1], best[2]


def _local(values, seen, half: int):
    """The fit in the middle of each window, its slope, and how much it owes itself."""
    t = np.arange(-half, half + 1) / half

    def summed(series, power):
        return correlate1d(series, t**power, mode="constant")

    moments = np.stack([summed(seen, a) for a in range(2 * _DEGREE + 1)], axis=-1)
    powers = np.arange(_DEGREE + 1)
    matrix = moments[:, powers[:, None] + powers]
    right = np.stack([summed(values * seen, a) for a in powers], axis=-1)
    count = moments[:, 0]
    beside = np.minimum(  # to either side, lest the polynomial be extrapolated
        correlate1d(seen, (t <= 0).astype(float), mode="constant"),
        correlate1d(seen, (t >= 0).astype(float), mode="constant"),
    )
    enough = (count >= _FEWEST) & (beside >= 1)
    ridge = 1e-12 * np.maximum(count, 1)[:, None, None] * np.eye(_DEGREE + 1)
    matrix = np.where(enough[:, None, None], matrix + ridge, np.eye(_DEGREE + 1))
    columns = np.stack(
        [right, np.broadcast_to(np.eye(_DEGREE + 1)[0], right.shape)], -1
    )
    solved = np.linalg.solve(matrix, columns)
    return solved[:, 0, 0], solved[:, 1, 0] / half, solved[:, 0, 1], enough


def joint_problem(
    fixed: PyTree,
    weights: PyTree[Array],
    series: Sequence[Observations],
    guesses: Any,
    forcings: Any,
    scale: Float[Array | np.ndarray, " n"] | None,
) -> tuple[JointProblem, Float[Array, "N n"]]:
    """The problem, and the states it starts from.

    Arguments:
        guesses: of the states of each series, or `None`.

    Raises:
        InputError: the cell has a memory; a first guess is needed, or of another
            length; the data are not float64; what `chain_of` raises.
    """
    chain = chain_of(series, forcings)
    if guesses is None:
        guesses = [None] * len(series)
    if len(guesses) != len(series):
        raise InputError(
            f"there are {len(guesses)} first guesses and {len(series)} series of "
            "observations: give one a series"
        )
    states = []
    for i, (guess, one, length) in enumerate(
        zip(guesses, series, chain.lengths, strict=True)
    ):
        if guess is None:
            state = jnp.zeros(_size(one, i), one.values.dtype)
            guess = jnp.asarray(states_from(one, state))
        found = {a.shape[0] for a in jax.tree.leaves(guess)}
        if found != {length}:
            raise InputError(
                f"the first guess of series {i} holds {sorted(found)} states, {length} "
                "were expected, one a step from the first observation to the last"
            )
        states.append(jax.tree.map(jnp.asarray, guess))
    state = jax.tree.map(lambda a: a[0], states[0])
    rows = [jax.vmap(lambda s: ravel_pytree(s)[0])(s) for s in states]
    flat = jnp.concatenate(rows)
    _check(eqx.combine(weights, fixed), flat, state)
    series[0].check(state)
    problem = JointProblem(fixed, weights, state, chain, jnp.ones(flat.shape[1]))
    if scale is None:
        scale = error_scale(problem, flat)
    scale = jnp.broadcast_to(jnp.asarray(scale, flat.dtype), flat.shape[1:])
    return eqx.tree_at(lambda p: p.scale, problem, scale), flat


def error_scale(
    problem: JointProblem, states: Float[Array, "N n"]
) -> Float[Array, " n"]:
    """The standard error of an observation of each component, as far as it is seen.

    Of others the same part of the standard deviation as of those that are seen.
    """
    information, count = (np.asarray(a) for a in _information(problem, states))
    seen = count > 0
    if not seen.any():
        raise InputError("no component of the state is observed: check the operator")
    scale = np.sqrt(count / np.where(seen, information, 1.0))
    std = np.asarray(states).std(0)
    known = seen & (std > 0)
    part = np.exp(np.mean(np.log(scale[known] / std[known]))) if known.any() else 1.0
    other = np.where(std > 0, part * std, scale[seen].mean())
    return jnp.asarray(np.where(seen, scale, other))


@eqx.filter_jit
def _information(problem: JointProblem, states):
    """The diagonal of Hᵀ R⁻¹ H, summed over all times, and where it is not zero."""
    places = problem.chain.places

    def one(row, index):
        slope = jax.jacfwd(problem.departure)(row, index)
        return jnp.sum(slope**2, axis=0)

    each = jax.vmap(one)(states[places], jnp.arange(len(places)))
    return each.sum(0), jnp.sum(each > 0, axis=0)


def _check(cell: AbstractCell, rows: Float[Array, "N n"], state: PyTree[Array]) -> None:
    if rows.dtype != jnp.float64:
        raise InputError(
            f"the states are {rows.dtype} and a joint fit needs float64, for the model "
            "error falls below single precision: set jax_enable_x64"
        )
    memory = eqx.filter(cell.init(state).memory, eqx.is_array)
    if jax.tree.leaves(memory) or cell.spin_up_steps:
        raise InputError(
            f"{type(cell).__name__} has a memory besides its state, which a joint fit "
            "does not estimate: give a cell without, say a tendency under rk4"
        )


def _size(observations: Observations, index: int) -> int:
    """Components of the state, of which the operator must tell."""
    operator = observations.operator
    if isinstance(operator, Linear):
        return operator.matrix.shape[1]
    if isinstance(operator, Select) and operator.indices is None:
        return observations.values.shape[1]
    raise InputError(
        f"series {index} does not observe every component of the state: give "
        "first_guess, the states to start from (DelayEmbedding makes some)"
    )


def states_from(
    observations: Observations, state: PyTree[Array]
) -> Float[np.ndarray, "time n"]:
    """A first guess of all states of a series, from its first observation to its last.

    Raises:
        InputError: the operator is not linear, or leaves a component unobserved, or it
            has arguments; a component has fewer than two values.
    """
    steps = np.asarray(observations.steps)
    matrix, offset = _linear(observations, state)
    rows = np.full((steps[-1] - steps[0] + 1, matrix.shape[0]), np.nan)
    seen = np.asarray(observations.seen)
    values = np.asarray(observations.values)
    rows[steps - steps[0]] = np.where(seen, values, np.nan)
    counts = (~np.isnan(rows)).sum(0)
    if (counts < 2).any():
        raise InputError(
            f"value {int(np.argmin(counts))} of a series is seen {int(counts.min())} "
            "times, at least 2 were expected: give first_guess, the states to start "
            "from"
        )
    smooth = np.stack([smoothed(column)[0] for column in rows.T], axis=1)
    return (smooth - offset) @ np.linalg.pinv(matrix).T


def _linear(observations: Observations, state: PyTree[Array]):
    """H and H(0) of an operator that is linear and sees the whole state."""
    row, to_state = ravel_pytree(state)
    n = row.size
    ask = "give first_guess, the states to start from"
    if observations.arguments is not None:
        raise InputError(f"the observation operator has arguments: {ask}")
    operator = lambda row: observations.operator(to_state(row))  # noqa: E731
    zero = jnp.zeros(n, row.dtype)
    matrix, offset = jax.jacfwd(operator)(zero), operator(zero)
    probe = jnp.asarray(np.random.default_rng(0).standard_normal(n), zero.dtype)
    if not np.allclose(operator(probe), matrix @ probe + offset, rtol=1e-8, atol=1e-8):
        raise InputError(f"the observation operator is not linear: {ask}")
    unseen = n - np.linalg.matrix_rank(np.asarray(matrix))
    if unseen:
        raise InputError(
            f"{unseen} of the {n} components of the state are never observed: {ask} "
            "(DelayEmbedding makes some)"
        )
    return np.asarray(matrix), np.asarray(offset)
