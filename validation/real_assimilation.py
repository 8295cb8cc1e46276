"""Real data with most of it withheld: analyses beside what needs no model.

    python validation/real_assimilation.py FOLDER [--out OUT] [NAME ...]

FOLDER holds the data files named in rmm.toml and globcurrent.toml, which stand beside
this file as the TOMLs of the two assimilations do; NAME picks one of `rmm` and
`globcurrent`. Models learn from the training part; observations of the test part are
withheld at random and estimated. Every error is against the same withheld values.

Baselines: the climatology; the last value seen of each component; for the index a
straight line between the days seen; for the currents optimal interpolation of the
day's anomalies with a Gaussian covariance in space, about the climatology, and of what
the analysis leaves, about the analysis.
"""

import argparse
import re
from pathlib import Path

from tendency.cli import configure, say

configure()

import numpy as np  # noqa: E402
from jaxtyping import Float  # noqa: E402

from tendency.jobs import stages as jobs  # noqa: E402
from tendency.jobs.assimilation import stages  # noqa: E402
from tendency.jobs.assimilation.config import load_assimilation  # noqa: E402
from tendency.jobs.assimilation.parts import Found, run_parts  # noqa: E402
from tendency.jobs.assimilation.problem import (  # noqa: E402
    Problem,
    climatology_at,
    load_problem,
)
from tendency.jobs.assimilation.scores import last_observation  # noqa: E402

HERE = Path(__file__).resolve().parent
States = Float[np.ndarray, "time state"]
EVERY = 4  # days between those on which optimal interpolation is tried
REACH = 0.4  # of its covariance: the standard deviation of the Gaussian [degree]
NOISE = 0.05**2  # variance of an observed current [m2 s-2]


def states_of(problem: Problem, name: str) -> States:
    """The `used` or the `withheld` values where they lie in the state."""
    seen = getattr(problem, name)
    states = np.full((len(problem.t), problem.modelled.layout.size), np.nan)
    states[:, seen.index] = seen.values
    return states


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


def measured(name: str, problem: Problem, found: Found) -> None:
    """Print errors against the withheld values."""
    seen, kept = states_of(problem, "used"), states_of(problem, "withheld")
    normal = np.array(climatology_at(problem))
    estimates = {
        "climatology": normal,
        "last observation": last_observation(problem.used, normal),
        **{f"model, {kind}": states for kind, states in found.states.items()},
    }
    if name == "rmm":
        estimates["lines between days"] = lines_between(seen)
    else:
        analysis = found.states["analysis"]
        estimates["optimal interpolation"] = interpolated(problem, normal, seen)
        told = interpolated(problem, analysis, seen)
        estimates["analysis and interpolation"] = told
        kept = kept[::EVERY]
        estimates = {k: s[::EVERY] for k, s in estimates.items()}
    layout = problem.modelled.layout
    print(f"{name}: {int(np.isfinite(kept).sum())} values withheld")
    print(f"{'':28}" + "".join(f"{v.name:>8}" for v in layout.variables))
    for told, states in estimates.items():
        line = f"{told:28}"
        for v in layout.variables:
            error = (states - kept)[:, layout.parts[v.name]]
            line += f"{np.sqrt(np.nanmean(error**2)):8.3f}"
        print(line, flush=True)


def located(text: str, folder: Path) -> str:
    """The TOML with its data file in `folder`, models and results where it lies."""
    name = re.search(r'path = "([^"/]+\.nc)"', text)
    assert name is not None
    return text.replace(f'"{name[1]}"', f'"{folder / name[1]}"')


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("runs/real-assimilation"))
    asked = parser.parse_args()
    folder = asked.folder.absolute()
    asked.out.mkdir(parents=True, exist_ok=True)
    for name, model in (("rmm", "var"), ("globcurrent", "ridge")):
        if asked.names and name not in asked.names:
            continue
        job = asked.out / f"{name}.toml"
        text = located((HERE / f"{name}.toml").read_text(), folder)
        # The one model that is assimilated with. Of the index three lags: a member
        # carries its past, and forty of them would want more members than that.
        others = rf"\[models\.(?!{model}\])\w+\]\n(?:[^\[\n].*\n)*\n"
        text = re.sub(others, "", text)
        job.write_text(re.sub(r"lags = \[1, 3, .*\]", "lags = 3", text))
        jobs.fit(str(job), say=say)
        config = asked.out / f"{name}_assimilation.toml"
        config.write_text(located((HERE / config.name).read_text(), folder))
        stages.run(str(config), say=say)
        problem = load_problem(load_assimilation(config), say=say)
        measured(name, problem, run_parts(problem, asked.out / f"{name}-parts", say))


if __name__ == "__main__":
    main()
