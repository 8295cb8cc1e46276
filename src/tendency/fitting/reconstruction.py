"""States of a known model from noisy and partial observations."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.cell import AbstractCell
from tendency.errors import InputError
from tendency.fitting.first_guess import joint_problem
from tendency.fitting.joint import JointFit, descend, errors_at, first_search
from tendency.fitting.normal_equations import JointProblem, Unknowns
from tendency.fitting.posterior import Posterior
from tendency.observing import Observations


def reconstruct(
    cell: AbstractCell,
    observations: Observations | Sequence[Observations],
    method: JointFit | None = None,
    *,
    first_guess: Any = None,
    forcing: Any = None,
) -> Posterior:
    """States by weak-constraint 4DVar, the model held as it is.

    It is `JointFit` without parameters: for a linear model the last stage gives the
    Kalman smoother from a flat prior. The last state of a window of past observations
    is where a forecast starts.

    Arguments:
        observations: one series, or several with observations at the same steps, each
            of which goes its own way to its minimum, all at once.
        method: ratios, scale, iterations and tolerance; warm-up and pruning have no
            meaning here.
        first_guess: of the states, as for `fit`.
        forcing: as for `fit`.

    Raises:
        InputError: what `fit` raises; series whose steps differ.
    """
    method = JointFit() if method is None else method
    if isinstance(observations, Observations):
        guess = None if first_guess is None else [first_guess]
        forcing = None if forcing is None else [forcing]
        series = [observations]
    else:
        series, guess = list(observations), first_guess
    steps = [np.asarray(s.steps) for s in series]
    for i, other in enumerate(steps):
        if not np.array_equal(other - other[0], steps[0] - steps[0][0]):
            raise InputError(
                f"series {i} has observations at other steps than series 0, the same "
                "were expected: reconstruct it by itself"
            )
    nothing = jax.tree.map(lambda _: None, cell)
    if guess is not None and len(guess) != len(series):
        raise InputError(
            f"there are {len(guess)} first guesses and {len(series)} series of "
            "observations: give one a series"
        )
    made = [
        joint_problem(
            cell,
            nothing,
            [one],
            None if guess is None else [guess[i]],
            None if forcing is None else [forcing[i]],
            method.scale,
        )
        for i, one in enumerate(series)
    ]
    problem, states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *made)
    tolerance = jnp.asarray(method.tolerance)
    for ratio in method.ratios:
        states = _each(problem, states, jnp.asarray(ratio), tolerance, method.max_steps)
    variance = _variances(problem, states, jnp.asarray(method.ratios[-1]))
    first = made[0][0]
    unravelled = [
        [jax.vmap(first.to_state)(one) for one in rows]
        for rows in (states, jnp.sqrt(variance))
    ]
    if isinstance(observations, Observations):
        unravelled = [u[0] for u in unravelled]
    return Posterior(*unravelled, problem.scale[0], np.zeros((0, 0)), nothing)


@eqx.filter_jit
def _each(
    problem: JointProblem,
    states: Float[Array, "series N n"],
    ratio: Array,
    tolerance: Array,
    max_steps: int,
) -> Float[Array, "series N n"]:
    free, limit = jnp.zeros(0), jnp.asarray(max_steps)

    def one(problem, rows):
        settings = (ratio, free, limit, jnp.asarray(False))
        now = first_search(Unknowns(rows, free))
        return descend(problem, now, settings, tolerance, max_steps)[0].at.states

    return eqx.filter_vmap(one)(problem, states)


@eqx.filter_jit
def _variances(
    problem: JointProblem, states: Float[Array, "series N n"], ratio: Array
) -> Float[Array, "series N n"]:
    def one(problem, rows):
        at = Unknowns(rows, jnp.zeros(0))
        _, covariances = errors_at(problem, at, ratio, at.theta)
        return jnp.diagonal(covariances, axis1=1, axis2=2)

    return eqx.filter_vmap(one)(problem, states)
