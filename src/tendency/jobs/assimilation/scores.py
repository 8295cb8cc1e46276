"""Floor 5: how good an assimilation is, by innovations and by what it did not see."""

import numpy as np
from jaxtyping import Bool, Float

from tendency.jobs.assimilation.observed import Seen
from tendency.jobs.assimilation.parts import Found
from tendency.jobs.assimilation.problem import Problem, climatology_at
from tendency.scores.records import Score

BASELINES = ("climatology", "last observation")
ALL = "all variables"


def scores_of(problem: Problem, found: Found) -> list[Score]:
    """Scores by variable; those of innovations are of the model `background`."""
    scores = _of_innovations(problem, found)
    if np.isfinite(problem.withheld.values).any():
        scores += _of_withheld(problem, found)
    if problem.truth is not None:
        scores += _of_truth(problem, found)
    if found.factor is not None:
        scores.append(Score(ALL, "background", "error_factor", None, found.factor))
    return [s for s in scores if np.isfinite(s.value)]


def _of_innovations(problem: Problem, found: Found) -> list[Score]:
    scores = []
    for number, v in enumerate(problem.modelled.layout.variables):
        mine = (problem.used.variable == number) & np.isfinite(found.innovation)
        if not mine.any():
            continue
        d, expected = found.innovation[mine], found.expected_variance[mine]
        for metric, value in (
            ("innovation_mean", d.mean()),
            ("innovation_std", np.sqrt(np.mean(d**2))),
            ("innovation_expected_std", np.sqrt(expected.mean())),
        ):
            scores.append(
                Score(v.name, "background", metric, None, float(value), v.units)
            )
    count = np.isfinite(found.innovation).sum(1)
    seen = (count > 0) & np.isfinite(found.misfit)
    if seen.any():
        chi = float(found.misfit[seen].sum() / count[seen].sum())
        total = float(found.log_likelihood[seen].sum())
        scores.append(Score(ALL, "background", "chi_square", None, chi))
        scores.append(Score(ALL, "background", "log_likelihood", None, total))
    return scores


def _of_withheld(problem: Problem, found: Found) -> list[Score]:
    """Against observations that were kept back, which have errors of their own."""
    withheld, scores = problem.withheld, []
    told = {kind: withheld.of(states) for kind, states in found.states.items()}
    told["climatology"] = withheld.of(climatology_at(problem))
    if withheld.index is not None:
        told["last observation"] = last_observation(problem.used, told["climatology"])
    spreads = {
        kind: np.sqrt(withheld.of(spread**2) + problem.variance)
        for kind, spread in found.spreads.items()
    }
    if problem.asked.observations.representativeness:
        # The variance holds what the EOFs leave out, as the spread does.
        outside = np.broadcast_to(problem.out_of_sight, found.states["analysis"].shape)
        spreads = {k: np.sqrt(s**2 - withheld.of(outside)) for k, s in spreads.items()}
    for number, v in enumerate(problem.modelled.layout.variables):
        mine = (withheld.variable == number) & np.isfinite(withheld.values)
        for name, values in told.items():
            common = mine & np.isfinite(values)
            if not common.any():
                continue
            error = values[common] - withheld.values[common]
            rmse = float(np.sqrt(np.mean(error**2)))
            scores.append(Score(v.name, name, "rmse_withheld", None, rmse, v.units))
            if name in spreads:
                spread = float(np.sqrt(np.mean(spreads[name][common] ** 2)))
                scores.append(
                    Score(v.name, name, "spread_withheld", None, spread, v.units)
                )
    return scores


def _of_truth(problem: Problem, found: Found) -> list[Score]:
    truth, layout, scores = problem.truth, problem.modelled.layout, []
    assert truth is not None
    told = dict(found.states) | {"climatology": climatology_at(problem)}
    for v in layout.variables:
        part = layout.parts[v.name]
        for name, states in told.items():
            rmse = _rmse(states[:, part], truth[:, part])
            scores.append(Score(v.name, name, "rmse_truth", None, rmse, v.units))
            if name in found.spreads:
                known = np.isfinite(truth[:, part])
                spread = found.spreads[name][:, part][known]
                value = float(np.sqrt(np.nanmean(spread**2)))
                scores.append(Score(v.name, name, "spread_truth", None, value, v.units))
    return scores


def last_observation(
    used: Seen, otherwise: Float[np.ndarray, "time obs"]
) -> Float[np.ndarray, "time obs"]:
    """The last value that was seen of each component; before any, `otherwise`."""
    seen: Bool[np.ndarray, "time obs"] = np.isfinite(used.values)
    rows = np.arange(len(seen))[:, None]
    last = np.maximum.accumulate(np.where(seen, rows, -1), 0)
    held = np.take_along_axis(used.values, np.maximum(last, 0), 0)
    return np.where(last >= 0, held, otherwise)


def _rmse(states: np.ndarray, truth: np.ndarray) -> float:
    square = (states - truth) ** 2
    there = np.isfinite(square)
    return float(np.sqrt(square[there].mean())) if there.any() else float("nan")
