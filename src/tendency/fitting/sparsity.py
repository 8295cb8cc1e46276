"""How many of the candidate terms of a combination the data ask for.

Backward elimination: the least significant term leaves, the others are found again, and
so on to none. Cross-validation tells how well each of these models foretells tendencies
that it has not seen.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Int

from tendency.cell import AbstractCell
from tendency.errors import InputError
from tendency.fitting.identification import identify
from tendency.fitting.pruning import Pruning
from tendency.fitting.triangles import Triangles
from tendency.fitting.unknown_numbers import (
    Fields,
    equations_in,
    numbered,
    problem_of,
    with_equations,
)
from tendency.symbolic.generated import Generated
from tendency.symbolic.unknowns import Combination

_NEXT = Pruning(threshold=np.inf, at_once=1)


class Candidate(NamedTuple):
    """One model of the path."""

    terms: tuple[str, ...]  # those that are left
    values: Float[np.ndarray, " term"]
    errors: Float[np.ndarray, " term"]  # standard ones, given that these are the terms
    score: float  # mean squared residual of unseen tendencies, by σ²
    score_error: float  # the standard error of that, over the folds


class SparsityPath(NamedTuple):
    """The models from all terms to none, and the one to take."""

    candidates: tuple[Candidate, ...]
    chosen: int
    model: Any  # with the coefficients of the chosen one

    @property
    def best(self) -> Candidate:
        """The chosen one."""
        return self.candidates[self.chosen]


def sparsity_path(
    model: Generated | AbstractCell,
    states: Fields,
    tendencies: Fields | None = None,
    *,
    unknown: str,
    folds: int = 5,
    forcing: Fields | None = None,
    segments: Sequence[int] | None = None,
    fields: Sequence[str] | None = None,
    groups: Int[np.ndarray, " time"] | Sequence[int] | None = None,
) -> SparsityPath:
    """Leave out terms of a combination one by one, and choose by cross-validation.

    The sparsest model is chosen whose score is within a standard error of the best one
    (Hastie, Tibshirani & Friedman, 2009, section 7.10). Bounds of the combination are
    not heeded, and other unknowns are found with it, linearised where they are not
    linear. Which term leaves is decided by all data, so that scores of long paths are
    somewhat too good.

    Arguments:
        unknown: the name of the combination.
        folds: contiguous parts of the times, or of the groups, each left out once.
        groups: the group of each time, such as the run that it comes from.

    The others are those of `identify`.

    Raises:
        InputError: as `identify`; no combination of this name; too few times or groups
            for the folds.
    """
    equations = equations_in(model)
    one = equations.unknowns.get(unknown)
    if not isinstance(one, Combination):
        raise InputError(
            f"{unknown} is no combination of terms among the unknowns "
            f"({', '.join(equations.unknowns) or 'none'}): name one"
        )
    free = {**equations.unknowns, unknown: Combination(one.of, np.asarray(one.value))}
    start = with_equations(model, eqx.tree_at(_unknowns, equations, free))
    data = states, tendencies
    more: dict[str, Any] = {"forcing": forcing, "segments": segments, "fields": fields}
    found = identify(start, *data, **more)
    problem = problem_of(found.model, *data, forcing, segments, fields)
    count = len(next(iter(states.values())))
    group = numbered(np.arange(count) if groups is None else groups, count)
    several = int(group.max()) + 1
    if not 2 <= folds <= several:
        raise InputError(
            f"{folds} folds were asked for and there are {several} times or groups: 2 "
            "or more, and no more than these, were expected"
        )
    fold = (group * folds // several)[problem.rows]
    theta = problem.free
    triangles = problem.triangles(theta, fold)
    size = {name: max(s, 1e-300) for name, s in triangles.sigma().items()}
    system = _System(triangles, size, theta, np.unique(fold))
    slopes = problem.slopes(theta)
    ours = np.array([n in _coefficients(unknown, one) for n in problem.names])
    left, path, numbers = np.ones(len(theta), bool), [], []
    while True:
        solution, covariance = system.solved(left)
        here = left & ours
        errors = np.abs(slopes) * np.sqrt(np.diag(covariance))
        score, spread = system.score(left)
        terms = tuple(t for t, k in zip(one.of, here[ours], strict=True) if k)
        values = (slopes * solution)[here]
        path.append(Candidate(terms, values, errors[here], score, spread))
        numbers.append(solution)
        if not here.any():
            break
        left[_NEXT.chosen(solution, covariance, here.astype(float))] = False
    scores = np.array([c.score for c in path])
    best = int(scores.argmin())
    within = scores <= scores[best] + path[best].score_error
    chosen = int(np.flatnonzero(within).max())
    return SparsityPath(tuple(path), chosen, problem.with_free(numbers[chosen]))


class _System(NamedTuple):
    """A θ ≈ b, in triangles by fold."""

    triangles: Triangles
    sigma: dict[str, float]
    theta: Float[np.ndarray, " unknown"]  # where it was linearised
    folds: Int[np.ndarray, " fold"]

    def rows(self, folds: Bool[np.ndarray, " fold"] | None = None):
        """A and b of some folds: J (θ - θ₀) + r = 0."""
        r = self.triangles.total(self.sigma, folds)
        return r[:, :-1], r[:, :-1] @ self.theta - r[:, -1]

    def solved(self, left, folds=None):
        """The least squares over the unknowns that are left, and their covariance."""
        a, b = self.rows(folds)
        solution = np.zeros_like(self.theta)
        covariance = np.zeros((len(solution), len(solution)))
        if left.any():
            inverse = np.linalg.pinv(a[:, left])
            solution[left] = inverse @ b
            covariance[np.ix_(left, left)] = inverse @ inverse.T
        return solution, covariance

    def score(self, left) -> tuple[float, float]:
        """Of what is unseen, and its standard error."""
        scores = []
        for fold in self.folds:
            out = self.folds == fold
            solution, _ = self.solved(left, ~out)
            a, b = self.rows(out)
            rows = sum(n for (_, g), n in self.triangles.rows.items() if g == fold)
            scores.append(float(((a @ solution - b) ** 2).sum()) / max(rows, 1))
        return float(np.mean(scores)), float(np.std(scores) / (len(scores) - 1) ** 0.5)


def _coefficients(name: str, one: Combination) -> list[str]:
    return [f"{name}_{i}" for i in range(1, len(one.of) + 1)]


def _unknowns(equations: Generated) -> Any:
    return equations.unknowns
