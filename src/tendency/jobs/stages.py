"""Floor 5: the steps of a job, as the command line calls them.

`everything` runs them all. Each reads the TOML, then the data, and stops with one
sentence before it writes if either will not do.
"""

from collections.abc import Sequence
from pathlib import Path

from tendency.files import prepare_folder, write_atomically
from tendency.jobs.config import dump_job, load_job
from tendency.jobs.init import init as write_template
from tendency.jobs.load import Material, load_material
from tendency.jobs.progress import Say
from tendency.jobs.settings import Job
from tendency.jobs.starts import forecast_starts, training_samples

CONFIG = "config.toml"


def init(data: str, output: Path, *, say: Say) -> None:
    """Write a TOML to start from.

    Raises:
        InputError: the data cannot be used, or the TOML is there already.
    """
    path = write_template(data, output)
    say(f"{path} is written: read it, correct it, then `tendency run {path}`")


def check(config: str, overrides: Sequence[str] = ()) -> None:
    """Print what the job will do.

    Raises:
        InputError: whatever would stop the job later.
    """
    from rich.console import Console
    from rich.table import Table

    from tendency.jobs.check import check as found
    from tendency.jobs.score import check_metrics

    job = load_job(config, overrides)
    tables = found(job)
    check_metrics(job, load_material(job).layout)
    console = Console(markup=False)  # [m] is a unit
    for heading, rows in tables.items():
        table = Table(title=heading, title_justify="left", show_header=False, box=None)
        table.add_column(min_width=14)
        table.add_column(overflow="fold")
        for what, how in rows:
            table.add_row(what, how)
        console.print(table)


def fit(
    config: str,
    overrides: Sequence[str] = (),
    *,
    small: bool = False,
    overwrite: bool = False,
    say: Say,
) -> None:
    """Fit the models of the job that are not there yet.

    Raises:
        InputError: the job or its data will not do, or the folder is not the job's.
        Diverged: the loss of a model stopped being finite.
    """
    job, material = _opened(config, overrides, small=small)
    _check_grids(job, material)
    _claim(job, overwrite)
    _fit(job, material, say)


def forecast(
    config: str,
    overrides: Sequence[str] = (),
    *,
    dates: Sequence[str] = (),
    small: bool = False,
    say: Say,
) -> None:
    """Forecast with the models that are fitted.

    Raises:
        InputError: the job or its data will not do, or a model is not fitted.
    """
    from tendency.jobs.forecast import forecast_all

    job, material = _opened(config, overrides, small=small)
    forecast_all(job, material, dates=dates, say=say)


def score(
    config: str, overrides: Sequence[str] = (), *, small: bool = False, say: Say
) -> None:
    """Score the forecasts that are there.

    Raises:
        InputError: the job or its data will not do, or forecasts are missing.
    """
    job, material = _opened(config, overrides, small=small)
    _score(job, material, say)


def report(
    config: str, overrides: Sequence[str] = (), *, small: bool = False, say: Say
) -> None:
    """Write the page.

    Raises:
        InputError: the job or its data will not do, or scores are missing.
    """
    from tendency.jobs.report import report as write

    job, material = _opened(config, overrides, small=small)
    write(job, material, say=say)


def everything(
    config: str,
    overrides: Sequence[str] = (),
    *,
    small: bool = False,
    overwrite: bool = False,
    say: Say,
) -> None:
    """Fit, forecast, score and report; what is fitted already is not fitted again.

    Raises:
        InputError: as the steps.
        Diverged: the loss of a model stopped being finite.
    """
    from tendency.jobs.forecast import forecast_all
    from tendency.jobs.report import report as write

    job, material = _opened(config, overrides, small=small)
    _check_grids(job, material)
    _claim(job, overwrite)
    _fit(job, material, say)
    forecast_all(job, material, say=say)
    _score(job, material, say)
    write(job, material, say=say)


def _opened(
    config: str, overrides: Sequence[str], *, small: bool
) -> tuple[Job, Material]:
    """The job and its data, once all that can be checked is."""
    from tendency.jobs.score import check_metrics

    job = load_job(config, overrides)
    if small:
        job = _quick(job)
    material = load_material(job)
    check_metrics(job, material.layout)
    training_samples(job, material)
    forecast_starts(job, material)
    return job, material


def _quick(job: Job) -> Job:
    """A tenth of the epochs, for a first look."""
    models = dict(job.models)
    for name, model in models.items():
        epochs = getattr(model, "epochs", None)
        if epochs is not None:
            fewer = {"epochs": max(1, epochs // 10)}
            models[name] = model.model_copy(update=fewer)
    return job.model_copy(update={"models": models})


def _check_grids(job: Job, material: Material) -> None:
    from tendency.jobs.maps import check_grids

    check_grids(job, material.layout)


def _claim(job: Job, overwrite: bool) -> None:
    """Take the folder of the results, and keep the configuration in it.

    Raises:
        InputError: it holds something else, or cannot be written to.
    """
    out = Path(job.out)
    ours = (out / CONFIG).is_file()
    prepare_folder(out, overwrite=overwrite or ours)
    write_atomically(out / CONFIG, dump_job(job).encode())


def _fit(job: Job, material: Material, say: Say) -> None:
    from tendency.jobs.fit import fit_models

    fit_models(job, material, say=say)


def _score(job: Job, material: Material, say: Say) -> None:
    from tendency.jobs.printed import print_scores
    from tendency.jobs.score import score_all

    scores = score_all(job, material, say=say)
    print_scores(scores, material.layout.clock.unit)
    say(f"{len(scores)} scores are in {Path(job.out) / 'scores.json'}")
