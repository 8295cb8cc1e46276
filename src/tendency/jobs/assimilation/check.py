"""Floor 5: what an assimilation will do, told before it does it."""

import numpy as np

from tendency.data.clock import show
from tendency.jobs.assimilation.problem import Problem
from tendency.jobs.assimilation.settings import READS

_MEMBERS = {"particle": "particles"}
Rows = list[tuple[str, str]]


def told(problem: Problem) -> dict[str, Rows]:
    """A table of (what, how) rows under each heading."""
    return {
        "model": _model(problem),
        "observations": _observations(problem),
        "method": _method(problem),
    }


def _model(problem: Problem) -> Rows:
    asked, modelled = problem.asked, problem.modelled
    names = ", ".join(
        f"{v.name} [{v.units}], {int(v.valid.sum())} points"
        if v.valid.size > 1
        else f"{v.name} [{v.units}]"
        for v in modelled.layout.variables
    )
    rows = [
        ("file", asked.model.path),
        ("kind", modelled.kind),
        ("variables", names),
        ("step", modelled.layout.clock.label),
        ("components", str(modelled.preparation.size)),
    ]
    if modelled.left_out:
        explained = np.asarray(modelled.preparation.explained.value)  # pyright: ignore
        rows.append(("EOFs", f"hold {explained.sum():.1%} of the variance"))
    if asked.model.error:
        rows.append(("error", f"{asked.model.error:g} of the climate's spread a step"))
    return rows


def _observations(problem: Problem) -> Rows:
    asked, used, withheld = problem.asked, problem.used, problem.withheld
    dates, steps = problem.dates, used.steps
    gaps = np.unique(np.diff(steps)) if len(steps) > 1 else np.array([0])
    every = f"{gaps[0]}" if len(gaps) == 1 else f"{gaps.min()} to {gaps.max()}"
    seen = np.isfinite(used.values)
    rows = [
        ("file", asked.observations.path),
        ("times", f"{len(dates)}, {show(dates[0])} to {show(dates[-1])}"),
        ("steps", f"{every} of the model between them"),
        ("values", f"{int(seen.sum())}, at most {int(seen.sum(1).max())} at a time"),
        ("empty times", f"{int((~seen.any(1)).sum())}"),
    ]
    kept = int(np.isfinite(withheld.values).sum())
    if kept:
        rows.append(("withheld", f"{kept}, to score by"))
    for number, v in enumerate(problem.modelled.layout.variables):
        mine = seen & (used.variable == number)
        if mine.any():
            std = np.sqrt(problem.variance[mine].mean())
            rows.append((f"error of {v.name}", f"{std:.4g} [{v.units}] in the mean"))
    return rows


def _method(problem: Problem) -> Rows:
    method = problem.asked.method
    reads = READS[method.name]
    told = f"{method.name}, {method.members} {_MEMBERS.get(method.name, 'members')}"
    rows = [("method", told if "members" in reads else method.name)]
    if "inflation" in reads:
        terms = [
            f"{key} {getattr(method, key):g}"
            for key, none in (("inflation", 1.0), ("rtps", 0.0), ("rtpp", 0.0))
            if getattr(method, key) != none
        ]
        terms += ["adaptive inflation"] * method.adaptive
        terms += ["rotated"] * method.rotated
        rows.append(("inflation", ", ".join(terms) or "none"))
    if method.localisation is not None:
        rows.append(("localisation", f"a length of {method.localisation:g}"))
    if problem.asked.record is not None:
        rows.append(("model errors", f"learned from {problem.asked.record.path}"))
    if method.estimate_errors:
        rows.append(("errors", "scaled by the innovations"))
    if method.smoother:
        lag = "all later times" if method.lag is None else f"{method.lag} later times"
        rows.append(("smoother", f"corrected by {lag}"))
    size = len(problem.t) * problem.modelled.layout.size * 8
    kept = 0
    if method.smoother and "members" in reads:
        kept = method.members * problem.modelled.preparation.size * len(problem.t) * 8
    rows.append(("memory", f"{(4 * size + kept) / 1e6:.0f} MB of results"))
    return rows
