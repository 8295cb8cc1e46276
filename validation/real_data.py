"""Real data: what was to be beaten, measured again beside what the jobs here reach.

    python validation/real_data.py FOLDER [--out OUT] [NAME ...]

FOLDER holds the data files named in rmm.toml, sst.toml and globcurrent.toml, which
stand beside this file; NAME picks some of the three. Models are fitted, and chosen,
within the training part only. Every start in the test part counts at the lead times
for which the truth is known, and nothing is weighted by area, as in the numbers to
beat. The run ends with code 1 where no learned model beats one of them.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tendency.cli import configure, say

configure()

import numpy as np  # noqa: E402
from jaxtyping import Float  # noqa: E402

from tendency.jobs import stages  # noqa: E402
from tendency.jobs.config import load_job  # noqa: E402
from tendency.jobs.fit import load_model  # noqa: E402
from tendency.jobs.forecast import run_forecasts  # noqa: E402
from tendency.jobs.load import Material, load_material  # noqa: E402
from tendency.jobs.models import BASELINES, past_steps  # noqa: E402
from tendency.jobs.series import filled  # noqa: E402

Values = Float[np.ndarray, "start state"]


def rmse(told: Values, truth: Values) -> float:
    """Over starts and components alike."""
    return float(np.sqrt(np.nanmean((told - truth) ** 2)))


def bivariate(told: Values, truth: Values) -> float:
    """The correlation of two indices at once."""
    top = np.sum(told * truth)
    return float(top / np.sqrt(np.sum(told**2) * np.sum(truth**2)))


@dataclass(frozen=True)
class Mark:
    """A number to beat at each lead time, and whose it was."""

    name: str
    metric: Callable[[Values, Values], float]
    highest: bool
    units: str
    by_lead: dict[int, tuple[float, str]]  # of days


MARKS = (
    Mark(
        "rmm", bivariate, True, "1",
        {5: (0.82, "VAR(3)"), 10: (0.58, "VAR(3)"), 15: (0.40, "VAR(3)"),
         20: (0.26, "VAR(3)")},
    ),
    Mark(
        "sst", rmse, False, "degC",
        {1: (0.25, "AR(5)"), 5: (0.60, "AR(5)"), 10: (0.75, "AR(5)")},
    ),
    Mark(
        "globcurrent", rmse, False, "m/s",
        {1: (0.114, "EOF-ridge"), 5: (0.220, "damped persistence"),
         10: (0.306, "damped persistence")},
    ),
)  # fmt: skip


def measure(mark: Mark, data: Path, out: Path) -> bool:
    """Fit, forecast, print a table; whether every number was beaten."""
    began = time.perf_counter(), time.process_time()
    config = Path(__file__).with_name(f"{mark.name}.toml")
    path = data / load_job(config).data.path.rpartition("/")[2]
    overrides = [f"data.path={path.absolute()}", f"out={(out / mark.name).absolute()}"]
    stages.fit(str(config), overrides, say=say)
    job = load_job(config, overrides)
    material = load_material(job)
    past = max(past_steps(model) for model in job.models.values())
    first, stop = material.test
    starts = material.series.starts(past, 1, first=first, stop=stop)
    states = filled(job, material)
    reached: dict[str, dict[int, float]] = {}
    for name in (*BASELINES, *job.models):
        told = run_forecasts(
            load_model(job, name, material),
            states,
            material.series.t,
            starts,
            job.forecast.steps,
        )
        reached[name] = {
            lead: mark.metric(*_verified(material, told, starts, lead))
            for lead in mark.by_lead
        }
    say(
        f"{mark.name}: {len(starts)} starts, {time.perf_counter() - began[0]:.0f} s, "
        f"{time.process_time() - began[1]:.0f} s of processor time"
    )
    return _told(mark, reached)


def _verified(
    material: Material, told: np.ndarray, starts: np.ndarray, lead: int
) -> tuple[Values, Values]:
    there = starts + lead < material.test[1]
    return told[there, lead - 1], material.series.states[starts[there] + lead]


def _told(mark: Mark, reached: dict[str, dict[int, float]]) -> bool:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{mark.name}: {mark.metric.__name__} [{mark.units}]")
    table.add_column("model")
    for lead in mark.by_lead:
        table.add_column(f"{lead} d", justify="right")
    row = [f"{value:g} ({whose})" for value, whose in mark.by_lead.values()]
    table.add_row("to beat", *row)
    sign = -1 if mark.highest else 1
    beaten = dict.fromkeys(mark.by_lead, False)
    for name, values in reached.items():
        cells = []
        for lead, value in values.items():
            better = sign * value < sign * mark.by_lead[lead][0]
            beaten[lead] |= better and name not in BASELINES
            cells.append(Text(f"{value:.4f}", "bold green" if better else ""))
        table.add_row(name, *cells)
    Console(markup=False, width=100).print(table)
    return all(beaten.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path)
    names = [mark.name for mark in MARKS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument("--out", type=Path, default=Path("runs/validation"))
    given = parser.parse_intermixed_args()
    wanted = [m for m in MARKS if not given.names or m.name in given.names]
    results = [measure(mark, given.data, given.out) for mark in wanted]
    sys.exit(0 if results and all(results) else 1)


if __name__ == "__main__":
    main()
