"""The commands of studies: `run`, which takes a TOML file too, and `translate`."""

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from tendency.cli.shared import Set, is_assimilation, is_equations, say
from tendency.errors import InputError


def run(
    study: str,
    *,
    data: Path | None = None,
    pairs: Annotated[
        list[Path] | None, Parameter(consume_multiple=True, negative="")
    ] = None,
    out: Path | None = None,
    seed: int | None = None,
    small: bool = False,
    overwrite: bool = False,
    set_: Set = None,
) -> None:
    """Run a study, a job or equations from a TOML file, from data to report.

    Parameters
    ----------
    study
        The name of a study (lorenz63), or the path of a TOML file: a job on data, or
        equations, which have a [system] table.
    data
        The file of fields that a study works on; without it the study simulates one.
    pairs
        The pairs of sentences that a study learns from: tables, gettext catalogues, or
        two files of a sentence a line.
    out
        Folder for what is written; runs/STUDY by default, for a TOML the file's own.
    seed
        Of everything random; the same seed gives the same numbers.
    small
        A quick look: less data, shorter training (a job: a tenth of the epochs,
        equations: a tenth of the steps).
    overwrite
        Write into a folder that is not empty.
    """
    if study.endswith(".toml"):
        for option, value in (("--data", data), ("--pairs", pairs)):
            if value is not None:
                raise InputError(
                    f"{option} gives a study its file and {study} names its own: leave "
                    "it out"
                )
        overrides = list(set_ or [])
        overrides += [] if out is None else [_out_override(out)]
        if is_assimilation(study):
            raise InputError(
                f"{study} has a table [observations], which is read by another "
                f"command: `tendency assimilate {study}`"
            )
        if is_equations(study):
            from tendency.equations import stages as equations

            if seed is not None:
                raise InputError(
                    f"--seed is of what is random, and {study} holds equations, which "
                    "are not: leave it out"
                )
            equations.run(study, overrides, small=small, overwrite=overwrite, say=say)
            return
        from tendency.jobs import stages

        overrides += [] if seed is None else [f"seed={seed}"]
        stages.everything(study, overrides, small=small, overwrite=overwrite, say=say)
        return
    from tendency.files import prepare_folder
    from tendency.studies import check_takes, find

    job = find(study)
    if set_:
        raise InputError(
            f"--set changes the TOML of a job and {study} is a study: leave it out"
        )
    given = {"data": data, "pairs": pairs}
    given = {name: value for name, value in given.items() if value is not None}
    check_takes(study, job, given)
    folder = out or Path("runs") / study
    prepare_folder(folder, overwrite=overwrite)
    job(folder, seed=seed or 0, small=small, say=say, **given)


def translate(
    run: Path,
    *texts: str,
    model: str | None = None,
    beam: int = 1,
    long: Literal["cut", "drop", "refuse"] = "cut",
) -> None:
    """Translate texts, or standard input line by line, by a run of `translation`.

    Parameters
    ----------
    run
        The folder of the run.
    texts
        What to translate; without any, each line of standard input.
    model
        Another network of the run: attention, single-vector.
    beam
        How many hypotheses are followed; 1 takes the likeliest token each time.
    long
        What becomes of a text that is longer than the network's window.
    """
    from tendency.studies.translation.command import translate as command

    command(run, texts, model=model, beam=beam, long=long, say=say)


def _out_override(out: Path) -> str:
    """`--out` as an override of the TOML; its path starts from the current folder."""
    return f"out={json.dumps(str(out.absolute()))}"
