"""Real data with most of it withheld: analyses beside what needs no model.

    python validation/real_assimilation.py FOLDER [--out OUT] [NAME ...]

FOLDER holds the data files named in rmm.toml and globcurrent.toml, which stand beside
this file as the TOMLs of the two assimilations do; NAME picks one of `rmm` and
`globcurrent`. Models, covariances and lengths are of the training part; observations of
the test part are withheld at random and estimated. Every error is against the same
withheld values.

Baselines: the climatology; the last value seen of each component; for the index a
straight line between the days seen; for the currents optimal interpolation of
anomalies from the climatology: of each component and day by itself with a Gaussian
covariance in space; of both components together, with the covariance of the training
months; and of three days together, times the correlation in time.
"""

import argparse
import re
import tomllib
from pathlib import Path
from typing import Any

from tendency.cli import configure, say

configure()

import numpy as np  # noqa: E402
import tomlkit  # noqa: E402
import xarray as xr  # noqa: E402
from jaxtyping import Float  # noqa: E402

from tendency.jobs import stages as jobs  # noqa: E402
from tendency.jobs.assimilation import stages  # noqa: E402
from tendency.jobs.assimilation.config import load_assimilation  # noqa: E402
from tendency.jobs.assimilation.parts import KINDS  # noqa: E402
from tendency.jobs.assimilation.places import localisation_of  # noqa: E402
from tendency.jobs.assimilation.problem import (  # noqa: E402
    Problem,
    climatology_at,
    load_problem,
)
from tendency.jobs.assimilation.record import (  # noqa: E402
    learned_from,
    static_covariance,
)
from tendency.jobs.assimilation.scores import last_observation  # noqa: E402

ETKF = {"method": {"name": "etkf", "members": 80, "smoother": True, "lag": 8}}
LETKF = {
    "method": {
        "name": "letkf",
        "members": 100,
        "localisation": 80.0,
    },
    "record": {"homogeneous": 0.0},
}
HERE = Path(__file__).resolve().parent
METHODS: dict[str, dict[str, dict[str, Any]]] = {
    "rmm": {"kalman": {}, "etkf": ETKF},
    "globcurrent": {"oi": {}, "letkf": LETKF},
}
States = Float[np.ndarray, "time state"]
EVERY = 4  # days between those on which optimal interpolation is tried
REACH = 0.4  # of the Gaussian, best of 0.3 to 0.8 in August and September [degree]
NOISE = 0.05**2  # variance of an observed current [m2 s-2]
LENGTH, SHARE = 90.0, 0.6  # of the taper [km]; of the covariance, what is homogeneous


def states_of(problem: Problem, name: str) -> States:
    """The `used` or the `withheld` values where they lie in the state."""
    seen = getattr(problem, name)
    states = np.full((len(problem.t), problem.modelled.layout.size), np.nan)
    states[:, seen.index] = seen.values
    return states


def states_found(problem: Problem, folder: Path) -> dict[str, States]:
    """By kind, what an assimilation has written."""
    layout, found = problem.modelled.layout, {}
    with xr.open_dataset(folder / "analyses.nc") as dataset:
        for kind in KINDS:
            named = {f"{v.name}_{kind}": v.name for v in layout.variables}
            if set(named) <= set(dataset):
                found[kind] = layout.pack(dataset[list(named)].rename(named))
    return found


def lines_between(seen: States) -> States:
    """Linear interpolation in time, component by component."""
    days = np.arange(len(seen))
    columns = []
    for column in seen.T:
        there = np.isfinite(column)
        columns.append(np.interp(days, days[there], column[there]))
    return np.stack(columns, 1)


def interpolated(problem: Problem, first: States, seen: States) -> States:
    """Optimal interpolation of y - H first, each variable and day by itself."""
    layout = problem.modelled.layout
    axes = {c.name: np.asarray(c.values, float) for c in layout.coordinates}
    found = np.full_like(first, np.nan)
    for v in layout.variables:
        north, east = (axes[d] for d in v.dims if d != layout.time)
        row, column = np.nonzero(v.valid)
        shrink = np.cos(np.deg2rad(north.mean()))
        place = np.stack([north[row], shrink * east[column]], 1)
        square = np.sum((place[:, None] - place[None]) ** 2, -1)
        correlation = np.exp(-square / (2 * REACH**2))
        part = layout.parts[v.name]
        for day in range(0, len(first), EVERY):
            departure = seen[day, part] - first[day, part]
            there = np.flatnonzero(np.isfinite(departure))
            departure = departure[there]
            variance = max(float(np.mean(departure**2)) - NOISE, NOISE)
            matrix = variance * correlation[np.ix_(there, there)]
            matrix[np.diag_indices(len(there))] += NOISE
            weights = np.linalg.solve(matrix, departure)
            move = variance * correlation[:, there] @ weights
            found[day, part] = first[day, part] + move
    return found


def together(
    problem: Problem, states: States, seen: States, before: int = 0, after: int = 0
) -> States:
    """Optimal interpolation of both components, and of days before and after."""
    modelled = problem.modelled
    scale = np.asarray(modelled.preparation.scale.value, float)
    near = localisation_of(modelled, LENGTH)
    rows = states / scale
    covariance = static_covariance(rows, modelled, near, SHARE)
    noise = NOISE / scale**2
    lags = range(before + after + 1)
    products = [float(np.mean(rows[k:] * rows[: len(rows) - k])) for k in lags]
    normal = np.array(climatology_at(problem))
    departures = (seen - normal) / scale
    found = np.full_like(seen, np.nan)
    for day in range(0, len(seen), EVERY):
        days = np.arange(max(0, day - before), min(len(seen), day + after + 1))
        when, where = np.nonzero(np.isfinite(departures[days]))
        when = days[when]
        apart = np.abs(when[:, None] - when[None])
        in_time = np.array(products) / products[0]
        matrix = in_time[apart] * covariance[np.ix_(where, where)]
        matrix[np.diag_indices(len(where))] += noise[where]
        weights = np.linalg.solve(matrix, departures[when, where])
        weights = in_time[np.abs(when - day)] * weights
        found[day] = normal[day] + scale * (covariance[:, where] @ weights)
    return found


def through_eofs(problem: Problem, past: States, whole: States) -> States:
    """What all EOFs of the training months hold of states that are fully seen."""
    patterns = np.linalg.svd(past, full_matrices=False)[2]
    normal = np.array(climatology_at(problem))
    return normal + (whole - normal) @ patterns.T @ patterns


def measured(name: str, problem: Problem, found: dict[str, dict[str, States]]) -> None:
    """Print errors against the withheld values."""
    seen, kept = states_of(problem, "used"), states_of(problem, "withheld")
    normal = np.array(climatology_at(problem))
    estimates = {
        "climatology": normal,
        "last observation": last_observation(problem.used, normal),
    }
    if name == "rmm":
        estimates["lines between days"] = lines_between(seen)
    else:
        assert problem.asked.record is not None
        past = learned_from(problem.asked.record, problem.modelled).states
        past = past * np.asarray(problem.modelled.preparation.scale.value, float)
        whole = np.where(np.isfinite(seen), seen, kept)
        estimates["all EOFs of all points"] = through_eofs(problem, past, whole)
        estimates["OI, day by day, each alone"] = interpolated(problem, normal, seen)
        estimates["OI, day by day, together"] = together(problem, past, seen)
        estimates["OI, and two days before"] = together(problem, past, seen, 2)
        estimates["OI, a day before, after"] = together(problem, past, seen, 1, 1)
        kept = kept[::EVERY]
    for method, told in found.items():
        for kind, states in told.items():
            estimates[f"{method}, {kind}"] = states
    layout = problem.modelled.layout
    print(f"{name}: {int(np.isfinite(kept).sum())} values withheld")
    print(f"{'':28}" + "".join(f"{v.name:>8}" for v in layout.variables))
    for told, states in estimates.items():
        line = f"{told:28}"
        states = states if name == "rmm" else states[::EVERY]
        for v in layout.variables:
            error = (states - kept)[:, layout.parts[v.name]]
            line += f"{np.sqrt(np.nanmean(error**2)):8.3f}"
        print(line, flush=True)


def located(text: str, folder: Path) -> str:
    """The TOML with its data file in `folder`, models and results where it lies."""
    return re.sub(r'path = "([^"/]+\.nc)"', rf'path = "{folder}/\1"', text)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("runs/real-assimilation"))
    asked = parser.parse_args()
    folder = asked.folder.absolute()
    asked.out.mkdir(parents=True, exist_ok=True)
    for name, methods in METHODS.items():
        if asked.names and name not in asked.names:
            continue
        job = asked.out / f"{name}.toml"
        text = located((HERE / f"{name}.toml").read_text(), folder)
        # The one model that is assimilated with; damped persistence comes by itself.
        # Of the index three lags: a member carries its past, and forty of them would
        # want more members than that.
        others = r"\[models\.(?!var\])\w+\]\n(?:[^\[\n].*\n)*\n"
        text = re.sub(others, "", text)
        job.write_text(re.sub(r"lags = \[1, 3, .*\]", "lags = 3", text))
        jobs.fit(str(job), say=say)
        text = located((HERE / f"{name}_assimilation.toml").read_text(), folder)
        found = {}
        for method, changes in methods.items():
            content: dict[str, Any] = tomllib.loads(text) | {"out": f"{name}-{method}"}
            content |= {"method": changes.get("method", content["method"])}
            content.get("record", {}).update(changes.get("record", {}))
            config = asked.out / f"{name}_{method}.toml"
            config.write_text(tomlkit.dumps(content))
            stages.run(str(config), say=say)
            problem = load_problem(load_assimilation(config), say=say)
            found[method] = states_found(problem, asked.out / f"{name}-{method}")
        measured(name, problem, found)


if __name__ == "__main__":
    main()
