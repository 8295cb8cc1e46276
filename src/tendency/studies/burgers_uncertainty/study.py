"""The study from ensembles to report."""

import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from tendency.integrate import Integrated
from tendency.report.provenance import Provenance
from tendency.report.results import write_results
from tendency.scores.records import Score
from tendency.studies.burgers.setting import CLOSURE, END, POINTS, start
from tendency.studies.burgers.uncertainty import by_ensemble
from tendency.studies.burgers_uncertainty.cost import Cost, gradient, measured
from tendency.studies.burgers_uncertainty.ensembles import (
    about,
    full_covariance,
    some_starts,
)
from tendency.studies.burgers_uncertainty.networks import trained
from tendency.studies.burgers_uncertainty.page import make_page
from tendency.studies.burgers_uncertainty.results import PUBLISHED, Found
from tendency.studies.burgers_uncertainty.rollouts import fitted, forecast_of
from tendency.studies.burgers_uncertainty.setting import (
    AUTHORS,
    EVERY,
    FULL,
    LAW,
    SMALL,
    WIDER,
    Size,
    cell_of,
    closed_by,
    unknown,
)
from tendency.studies.burgers_uncertainty.tendencies import closure_of

LAWS = {"roll-outs": LAW, "roll-outs, wider": WIDER}


def run(out: Path, *, seed: int, small: bool, say: Callable[[str], None]) -> None:
    """Write `scores.json` and `report.html` into `out`.

    Raises:
        InputError: something cannot be written.
    """
    began = time.perf_counter()
    found = compute(SMALL if small else FULL, seed, say)
    provenance = Provenance.here(
        seed=seed,
        wall_seconds=time.perf_counter() - began,
        more={"precision": "float64", "members": str(found.size.members)},
    )
    settings = {"seed": seed, "small": small, **found.size._asdict()}
    page = make_page(found, provenance)
    report = write_results(out, "burgers-uncertainty", settings, _scores(found), page)
    say(f"{report} after {time.perf_counter() - began:.0f} s")


def compute(size: Size, seed: int, say: Callable[[str], None]) -> Found:
    """Ensembles, closures and networks, and how far apart they are."""
    key = jax.random.split(jax.random.key(seed), 5)
    costs: dict[str, Cost] = {}
    say(f"{size.members} members about the wave")
    ensemble, costs["ensemble"] = measured(
        lambda: by_ensemble(size.members, key[0], every=EVERY)
    )
    say(f"the closure by single steps of {size.sets} x {size.set_members} members")
    by_steps, costs["single steps"] = measured(
        lambda: closure_of(size.sets, size.set_members, key[1])
    )
    for name, (value, error) in by_steps.known.items():
        say(f"{name} = {value:.4f} +- {error:.4f}")
    count = size.training + size.calibration + size.held_out
    say(f"{count} other initial states, {size.state_members} members each")
    starts = some_starts(count, key[2])
    runs, costs["ensembles of other states"] = measured(
        lambda: about(starts, size.state_members, key[3])
    )
    pairs = list(zip(starts, runs, strict=True))
    ends = np.cumsum([size.training, size.calibration])
    training, calibration, held_out = (
        pairs[: ends[0]],
        pairs[ends[0] : ends[1]],
        pairs[ends[1] :],
    )
    say("closures through roll-outs")
    cells = {
        "theory": closed_by(CLOSURE),
        "authors": closed_by(AUTHORS),
        "single steps": closed_by(tuple(by_steps.values)),
    }
    closures = {}
    for name, law in LAWS.items():
        cells[name], costs[name] = measured(
            lambda law=law: fitted(cell_of(unknown(law)), training, size.iterations)[0]
        )
        closures[name] = _numbers(cells[name])
        say(f"{name}: " + ", ".join(f"{n} {v:.3f}" for n, v in closures[name].items()))
    say(f"{size.networks} networks")
    networks, costs["networks"] = measured(
        lambda: trained(training, calibration, size, key[4])
    )
    tell: dict[str, Callable] = {
        name: lambda u, cell=cell: forecast_of(cell, u) for name, cell in cells.items()
    }
    tell["networks"] = lambda u: networks.predict(u).run
    tell["full covariance"] = lambda u: full_covariance(u, size.modes)
    ways = {}
    for name, way in tell.items():
        ways[name], costs[f"forecast: {name}"] = measured(
            lambda w=way: w(start(POINTS))
        )
    apart = {name: one.distance(ensemble) for name, one in ways.items()}
    for name, one in apart.items():
        say(f"{name:17} " + " ".join(f"{n} {v:.2e}" for n, v in one.items()))
    others = {
        name: [way(u).distance(run) for u, run in held_out]
        for name, way in tell.items()
    }
    return Found(
        size, ensemble, ways, apart, by_steps, closures, networks, held_out, others,
        [networks.covered(run, u) for u, run in held_out], costs, gradient(),
    )  # fmt: skip


def _numbers(cell: Integrated) -> dict[str, float]:
    """What was unknown."""
    values = cell.tendency.values  # pyright: ignore
    return {n: float(values[n]) for n in "abcde" if n in values}


def _scores(found: Found) -> list[Score]:
    scores = []
    for way, one in found.apart.items():
        for name, value in one.items():
            known = PUBLISHED.get(way, {}).get(name)
            metric = f"{name}, relative distance"
            scores.append(Score("wave", way, metric, END, value, "1", known))
    for way, each in found.others.items():
        for name in each[0]:
            value = float(np.sqrt(np.mean([one[name] ** 2 for one in each])))
            metric = f"{name}, relative distance"
            scores.append(Score("held-out states", way, metric, END, value))
    pairs = zip(found.by_steps.known.items(), AUTHORS, strict=True)
    for (name, (value, error)), known in pairs:
        case = "single steps"
        scores.append(Score(case, "closure", name, None, value, "1", known))
        scores.append(Score(case, "closure", f"{name}, standard error", None, error))
    for way, numbers in found.closures.items():
        for name, value in numbers.items():
            scores.append(Score(way, "closure", name, None, value))
    for name in found.covered[0]:
        value = float(np.mean([one[name] for one in found.covered]))
        scores.append(
            Score("held-out states", "networks", f"{name}, covered", None, value)
        )
    for name, cost in found.costs.items():
        scores.append(Score("cost", name, "CPU time", None, cost.cpu, "s"))
    scores.append(
        Score("cost", "ensemble", "memory", None, found.costs["ensemble"].memory, "MB")
    )
    scores.append(Score("cost", "gradient", "CPU time", None, found.gradient, "s"))
    return scores
