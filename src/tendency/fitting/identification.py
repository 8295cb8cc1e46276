"""The numbers that are unknown in equations, by least squares on tendencies.

Where the tendencies are linear in them one step of Gauss and Newton's method finds
them, elsewhere a few. Without a roll-out nothing can blow up, which makes it the way to
start; `fit` refines by roll-outs, with `LeastSquares` or `Descent`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from tendency.cell import AbstractCell
from tendency.errors import InputError
from tendency.fitting.triangles import require_rank
from tendency.fitting.unknown_numbers import Fields, numbered, problem_of
from tendency.symbolic.generated import Generated

_DONE = 1e-6  # of σ, by which a step changes the root mean square of the residuals
_LEAST = 1e-10  # of the tendencies: less is rounding


class Identified(NamedTuple):
    """Unknown numbers, and how well they are known."""

    model: Any  # the tendency or the cell, with the numbers in place
    names: tuple[str, ...]  # of the numbers: a, C_1, C_2, k[0], k[1], ...
    values: Float[np.ndarray, " unknown"]
    covariance: Float[np.ndarray, "unknown unknown"]
    noise: Mapping[str, float]  # rms of what is not explained [units of a tendency]
    iterations: int

    @property
    def errors(self) -> Float[np.ndarray, " unknown"]:
        """The standard errors of the values."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def known(self) -> dict[str, tuple[float, float]]:
        """By name: the value and its standard error."""
        found = zip(self.names, self.values, self.errors, strict=True)
        return {name: (float(v), float(e)) for name, v, e in found}


def identify(
    model: Generated | AbstractCell,
    states: Fields,
    tendencies: Fields | None = None,
    *,
    forcing: Fields | None = None,
    segments: Sequence[int] | None = None,
    fields: Sequence[str] | None = None,
    groups: Int[np.ndarray, " time"] | Sequence[int] | None = None,
    iterations: int = 30,
) -> Identified:
    """Find the scalars, combinations and fields that are unknown in equations.

    Of a tendency f(x; θ) with given tendencies, or of a cell whose states are a step
    apart, by the least

        Σ_k |(f(x_k; θ) - ẋ_k) / σ|²    or    Σ_k |(M(x_k; θ) - x_{k+1}) / (σ dt)|²,

    where σ, of each field, is the root mean square of what is left over in the end.
    Learned functions stay as they are.

    Standard errors are those of independent residuals with the standard deviation σ;
    with `groups` they are robust to any dependence within a group (the sandwich of
    Liang & Zeger, 1986, Biometrika 73, 13), for which there should be many groups.
    Neither knows of errors in the states themselves, which bias what is found.

    Arguments:
        model: equations with unknowns, or `Integrated` ones.
        states: name -> values, time first. NaN is missing: what depends on it is left
            out.
        tendencies: of the same names, those of some fields alone if you like.
        forcing: at the times of the states, the time `t` among it.
        segments: for a cell: the lengths of the contiguous stretches.
        fields: whose residuals count; default: all. What an unknown does to other
            fields within a step alone tells little of it, and may bias it where their
            equations are not exact.
        groups: the group of each time, such as the run that it comes from.
        iterations: at most.

    Raises:
        InputError: no unknown numbers, other fields or sizes; unknowns that the data
            cannot tell, by name; no minimum in so many iterations.
    """
    problem = problem_of(model, states, tendencies, forcing, segments, fields)
    group = numbered(groups, len(next(iter(states.values()))))[problem.rows]
    free = problem.free
    now = problem.triangles(free, group)
    sigma, damping, count, step = problem.sizes, 0.0, 0, np.zeros_like(free)
    least = {name: _LEAST * size for name, size in sigma.items()}
    require_rank(now.total(sigma), problem.names)
    for count in range(1, iterations + 1):  # noqa: B007
        step = now.step(sigma, damping)
        moved = problem.stepped(free, step)
        new = problem.triangles(moved, group)
        fewer = new.count - now.count  # rows that are no longer finite: a worse model
        if fewer < 0 or (not fewer and not new.cost(sigma) <= now.cost(sigma)):
            if not fewer and now.length(sigma, step) <= _DONE:
                break  # rounding
            damping = max(10 * damping, 1e-4)
            continue
        before, old = sigma, now
        free, now, damping = moved, new, damping / 10
        sigma = {name: max(s, least[name]) for name, s in now.sigma().items()}
        settled = all(abs(sigma[k] - s) <= _DONE * s for k, s in before.items())
        rounding = all(sigma[k] <= least[k] for k in least)
        if rounding or (settled and old.length(before, step) <= _DONE):
            break
        problem.require_inside(free)
    else:
        raise InputError(
            f"the unknowns do not settle in {iterations} iterations (the last step "
            f"changes the residuals by {now.length(sigma, step):.2g} of their size): "
            "start nearer to them, or bound them"
        )
    require_rank(now.total(sigma), problem.names)
    covariance = now.covariance(sigma, robust=groups is not None)
    slopes = problem.slopes(free)
    return Identified(
        problem.with_free(free),
        problem.names,
        problem.values(free),
        slopes[:, None] * covariance * slopes[None],
        now.sigma(),
        count,
    )
