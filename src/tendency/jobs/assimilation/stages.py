"""Floor 5: what the command line does with an assimilation."""

import json
import shlex
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tendency import __version__
from tendency.data.clock import show
from tendency.data.write import write_dataset
from tendency.errors import InputError
from tendency.files import prepare_folder, write_atomically, writing
from tendency.jobs.assimilation.check import told
from tendency.jobs.assimilation.config import dump_assimilation, load_assimilation
from tendency.jobs.assimilation.parts import Found, run_parts
from tendency.jobs.assimilation.problem import Problem, load_problem
from tendency.scores.records import scores_document

CONFIG = "config.toml"
ANALYSES = "analyses.nc"
Say = Callable[[str], None]


def check(config: str, overrides: Sequence[str] = (), *, say: Say) -> None:
    """Print what the assimilation will do.

    Raises:
        InputError: whatever would stop it later.
    """
    from rich.console import Console
    from rich.table import Table

    problem = load_problem(load_assimilation(config, overrides), say=say)
    console = Console(markup=False)  # [m] is a unit
    for heading, rows in told(problem).items():
        table = Table(title=heading, title_justify="left", show_header=False, box=None)
        table.add_column(min_width=14)
        table.add_column(overflow="fold")
        for what, how in rows:
            table.add_row(what, how)
        console.print(table)


def run(
    config: str, overrides: Sequence[str] = (), *, overwrite: bool = False, say: Say
) -> None:
    """Assimilate, and write the analyses, the scores and the page.

    Raises:
        InputError: the file or what it names will not do, the folder holds something
            else, or the filter was lost; the analyses before that are written.
    """
    from tendency.jobs.assimilation.page import make_page
    from tendency.jobs.assimilation.results import dataset_of
    from tendency.jobs.assimilation.scores import scores_of
    from tendency.report.page import write_page

    began = time.perf_counter()
    problem = load_problem(load_assimilation(config, overrides), say=say)
    asked = problem.asked
    out = Path(asked.out)
    ours = (out / CONFIG).is_file()
    prepare_folder(out, overwrite=overwrite or ours)
    write_atomically(out / CONFIG, dump_assimilation(asked).encode())
    found = run_parts(problem, out / "parts", say)
    for warning in found.warnings:
        say(f"warning: {warning}")
    write_dataset(dataset_of(problem, found), out / ANALYSES)
    if found.lost is not None:
        raise InputError(_lost(problem, found, out))
    scores = scores_of(problem, found)
    settings = {"job": asked.model_dump(mode="json"), "times": len(problem.t)}
    document = scores_document(out.name, __version__, settings, scores)
    text = json.dumps(document, indent=1, allow_nan=False)
    write_atomically(out / "scores.json", text.encode())
    seconds = time.perf_counter() - began
    command = f"tendency assimilate {shlex.quote(str(out / CONFIG))}"
    page = make_page(problem, found, scores, seconds=seconds, command=command)
    with writing(out / "report.html"):
        write_page(page, out / "report.html")
    shutil.rmtree(out / "parts", ignore_errors=True)
    say(f"{len(problem.t)} times are assimilated in {seconds:.1f} s: {out / ANALYSES}")
    say(f"the report is {out / 'report.html'}")


def _lost(problem: Problem, found: Found, out: Path) -> str:
    broken = ~np.isfinite(found.states["analysis"]).all(axis=1, keepdims=True)
    until = int(np.argmax(np.append(broken, True)))
    kept = f"those until {show(problem.dates[until - 1])}" if until else "none"
    reason = found.lost or ""
    advice = reason.replace("resample=True", "method.resample")
    return f"{advice}; of the analyses {kept} are in {out / ANALYSES}"
