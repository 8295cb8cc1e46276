"""Floor 5: the command line.

Bad input, and a fit whose loss stops being finite, end with one sentence on standard
error and exit code 2; an interrupt with 130. What is heavy is imported by the command
that needs it.
"""

import errno
import os
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

from cyclopts import App, Group, Parameter

from tendency import __version__
from tendency.cli.shared import Set, is_assimilation, is_equations, say
from tendency.cli.studies import run, translate
from tendency.errors import InputError
from tendency.jobs.verification.options import Options

app = App(
    name="tendency",
    help="Learn, forecast and score geophysical dynamics.",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # `main` tells of it
)
_JOB = Group("Your own file", sort_key=1)
_EQUATIONS = Group("Your own equations", sort_key=2)
_STUDY = Group("Studies", sort_key=3)
Start = Annotated[
    list[str] | None,
    Parameter(
        name="--start", negative="", help="a date to start from; may be repeated"
    ),
]

app.command(run, group=_STUDY)
app.command(translate, group=_STUDY)


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


@app.command(group=_JOB)
def check(config: str, *, set_: Set = None) -> None:
    """Check a TOML file and the data that it names, and say what the job will do.

    Parameters
    ----------
    config
        The TOML of a job, of equations, or of an assimilation.
    """
    if is_assimilation(config):
        from tendency.jobs.assimilation import stages as assimilation

        assimilation.check(config, set_ or [], say=say)
        return
    if is_equations(config):
        from tendency.equations import stages as equations

        equations.check(config, set_ or [])
        return
    from tendency.jobs import stages

    stages.check(config, set_ or [])


@app.command(group=_JOB)
def assimilate(config: str, *, overwrite: bool = False, set_: Set = None) -> None:
    """Correct a saved model by observations; an interrupted assimilation goes on.

    Parameters
    ----------
    config
        The TOML of the assimilation.
    overwrite
        Write into a folder that holds something else.
    """
    from tendency.jobs.assimilation import stages as assimilation

    assimilation.run(config, set_ or [], overwrite=overwrite, say=say)


@app.command(group=_EQUATIONS)
def propagate(
    config: str, *, small: bool = False, overwrite: bool = False, set_: Set = None
) -> None:
    """Follow errors of the initial state of equations: members, tangent, moments.

    Parameters
    ----------
    config
        The TOML of the equations, with a table [uncertainty].
    small
        A quick look: a tenth of the steps.
    overwrite
        Write into a folder that is not empty.
    """
    from tendency.equations import stages as equations

    equations.propagate(config, set_ or [], small=small, overwrite=overwrite, say=say)


@app.command(group=_EQUATIONS)
def generate(
    config: str,
    *,
    output: Annotated[Path, Parameter(("--output", "-o"))],
    target: Literal["jax", "torch", "keras"] = "jax",
    overwrite: bool = False,
    set_: Set = None,
) -> None:
    """Write equations as a Python module: tendency, step and forecast.

    Parameters
    ----------
    config
        The TOML of the equations.
    output
        The module to write; it needs the target and nothing of tendency.
    target
        The library that the module computes with.
    overwrite
        Write over a module that is there already.
    """
    from tendency.equations import stages as equations

    equations.generate(
        config, output, set_ or [], target=target, overwrite=overwrite, say=say
    )


@app.command(group=_EQUATIONS)
def identify(config: str, *, overwrite: bool = False, set_: Set = None) -> None:
    """Find what is unknown in equations from data, and print them with the numbers.

    Parameters
    ----------
    config
        The TOML of the equations, with [unknowns] and [data].
    overwrite
        Write into a folder that holds something else.
    """
    from tendency.equations import stages as equations

    equations.identify(config, set_ or [], overwrite=overwrite, say=say)


@app.command(group=_JOB)
def fit(
    config: str, *, small: bool = False, overwrite: bool = False, set_: Set = None
) -> None:
    """Fit the models that are not fitted yet; an interrupted fit goes on.

    Parameters
    ----------
    config
        The TOML of the job.
    small
        A tenth of the epochs, for a first look.
    overwrite
        Write into a folder that holds something else.
    """
    from tendency.jobs import stages

    stages.fit(config, set_ or [], small=small, overwrite=overwrite, say=say)


@app.command(group=_JOB)
def forecast(
    config: str, *, start: Start = None, small: bool = False, set_: Set = None
) -> None:
    """Forecast with the fitted models and the baselines, to CF NetCDF or Zarr.

    Parameters
    ----------
    config
        The TOML of the job.
    start
        A date to start from, the end of the record for a true forecast; by default
        all through the test part.
    small
        As for fit.
    """
    from tendency.jobs import stages

    stages.forecast(config, set_ or [], dates=start or [], small=small, say=say)


@app.command(group=_JOB)
def score(
    config: str,
    truth: str | None = None,
    *,
    options: Annotated[Options | None, Parameter(name="*")] = None,
    out: Path | None = None,
    report: Annotated[bool, Parameter(negative="")] = False,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    small: bool = False,
    set_: Set = None,
) -> None:
    """Score the forecasts of a job, or a file of forecasts against a truth.

    Parameters
    ----------
    config
        The TOML of the job, or a NetCDF or Zarr file of forecasts.
    truth
        What was observed: a NetCDF or Zarr file along time.
    out
        Folder for scores.json; without it two files' scores are printed only.
    report
        Write a page, report.html, beside it.
    overwrite
        Write into a folder that is not empty.
    small
        Of a job: as for fit.
    """
    from tendency.jobs.verification.command import score as command

    command(
        config, truth, options, set_ or [],
        out=out, report=report, overwrite=overwrite, small=small, say=say,
    )  # fmt: skip


@app.command(group=_JOB)
def report(config: str, *, small: bool = False, set_: Set = None) -> None:
    """Write the page: scores, examples, models, how to make it again.

    Parameters
    ----------
    config
        The TOML of the job.
    small
        As for fit.
    """
    from tendency.jobs import stages

    stages.report(config, set_ or [], small=small, say=say)


def main() -> NoReturn:
    """The `tendency` command."""
    configure()
    try:
        app(sys.argv[1:])
    except InputError as error:
        _stop(error)
    except ArithmeticError as error:  # `Diverged`, whose module is slow to import
        if type(error).__name__ != "Diverged":
            raise
        _stop(error)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        where = f" {error.filename}" if error.filename else ""
        _stop(f"{error.strerror}{where}: make room, or write elsewhere")
    except KeyboardInterrupt:
        print("tendency: interrupted; what was written is whole", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)


def _stop(reason: object) -> NoReturn:
    print(f"tendency: {reason}", file=sys.stderr)
    sys.exit(2)


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
    # Of many small linear systems: threads that wait cost more than they compute.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA's notes on its own cache
