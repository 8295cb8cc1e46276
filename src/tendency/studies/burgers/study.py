"""The study from equations to report."""

import time
from collections.abc import Callable
from pathlib import Path

import jax

from tendency.report.provenance import Provenance
from tendency.report.results import write_results
from tendency.scores.records import Score
from tendency.studies.burgers.convergence import METHODS, PUBLISHED, Error, error
from tendency.studies.burgers.page import make_page
from tendency.studies.burgers.setting import END
from tendency.studies.burgers.uncertainty import (
    by_ensemble,
    by_equations,
    heat_errors,
)

_LARGEST_SPECTRAL = 482  # beyond it rounding is all that is left
MEMBERS, FEW = 6_400, 800


def run(out: Path, *, seed: int, small: bool, say: Callable[[str], None]) -> None:
    """Write `scores.json` and `report.html` into `out`.

    Raises:
        InputError: something cannot be written.
    """
    began = time.perf_counter()
    errors: dict[tuple[str, int], Error] = {}
    for name, method in METHODS.items():
        for points in (120, 241) if small else (241, 482, 964):
            if name != "spectral" or points <= _LARGEST_SPECTRAL:
                errors[name, points] = error(method, points)
                say(f"{name:8}  {points:4}  {errors[name, points].relative:.2e}")
    members = FEW if small else MEMBERS
    say(f"the uncertainty, by equations and by {members} members")
    equations = by_equations()
    ensemble = by_ensemble(members, jax.random.key(seed))
    apart, heat = equations.distance(ensemble), heat_errors()
    scores = [
        Score(f"{points} points", name, metric, END, value, "1", published)
        for (name, points), found in errors.items()
        for metric, value, published in (
            (
                "relative error",
                found.relative,
                PUBLISHED.get(points) if name == "order 2" else None,
            ),
            ("largest error", found.largest, None),
            ("drift of the mean", found.drift, None),
        )
    ]
    scores += [
        Score(f"{members} members", "equations", f"{name}, relative distance", END, v)
        for name, v in apart.items()
    ]
    scores += [
        Score("heat", "equations", f"{name}, relative error", END, v)
        for name, v in zip(("variance", "aspect"), heat, strict=True)
    ]
    provenance = Provenance.here(
        seed=seed,
        wall_seconds=time.perf_counter() - began,
        more={"precision": "float64", "members": str(members)},
    )
    page = make_page(errors, equations, ensemble, apart, heat, members, provenance)
    settings = {"seed": seed, "small": small, "members": members}
    report = write_results(out, "burgers", settings, scores, page)
    say(f"{report} after {time.perf_counter() - began:.0f} s")
