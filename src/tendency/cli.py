"""Floor 5: the command line.

Bad input ends with one sentence on standard error and exit code 2; an interrupt with
130. What is heavy is imported by the command that needs it.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

from cyclopts import App, Group, Parameter

from tendency import __version__
from tendency.errors import InputError

app = App(
    name="tendency",
    help="Learn, forecast and score geophysical dynamics.",
    version=__version__,
    help_format="plaintext",
)
_JOB = Group("Your own file", sort_key=1)
_STUDY = Group("Studies", sort_key=2)
Set = Annotated[
    list[str] | None,
    Parameter(name="--set", negative="", help="table.key=value, over the file's own"),
]


@app.command(group=_STUDY)
def run(
    study: str,
    *,
    out: Path | None = None,
    seed: int = 0,
    small: bool = False,
    overwrite: bool = False,
    set_: Set = None,
) -> None:
    """Run a study, or a job from its TOML file, from data to report.

    Parameters
    ----------
    study
        The name of a study (lorenz63), or the path of a job's TOML file.
    out
        Folder for what is written; runs/STUDY by default, for a job the file's own.
    seed
        Of everything random; the same seed gives the same numbers.
    small
        A quick look: less data, shorter training.
    overwrite
        Write into a folder that is not empty.
    """
    if study.endswith(".toml"):
        from tendency.jobs import stages

        stages.everything(study, set_ or [], small=small, overwrite=overwrite, say=say)
        return
    from tendency.files import prepare_folder
    from tendency.studies import find

    job = find(study)
    folder = out or Path("runs") / study
    prepare_folder(folder, overwrite=overwrite)
    job(folder, seed=seed, small=small, say=say)


@app.command(group=_JOB)
def init(data: str, *, output: Annotated[Path, Parameter(("--output", "-o"))]) -> None:
    """Look at a NetCDF, Zarr or CSV file and write a commented TOML to start from.

    Parameters
    ----------
    data
        The file, or a pattern for many.
    output
        The TOML to write; it must not be there yet.
    """
    from tendency.jobs import stages

    stages.init(data, output, say=say)


def main() -> NoReturn:
    """The `tendency` command."""
    configure()
    try:
        app()
    except InputError as error:
        print(f"tendency: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("tendency: interrupted; what was written is whole", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)


def configure() -> None:
    """Numbers in float64, compiled programs kept between runs.

    Set through the environment, which JAX reads when it is first imported; what the
    user has set stays.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    folder = Path(cache).expanduser() / "tendency" / "compiled"
    os.environ.setdefault("JAX_ENABLE_X64", "true")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    # Many small linear systems: threads that wait for each other cost more than they do.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA's notes on its own cache


def say(message: str) -> None:
    """A line of progress, on standard error."""
    from rich.console import Console

    Console(stderr=True, highlight=False).print(message)


Say = Callable[[str], None]
