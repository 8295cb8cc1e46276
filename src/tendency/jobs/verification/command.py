"""Floor 5: `tendency score`, of a job or of two files."""

from collections.abc import Sequence
from pathlib import Path

from tendency.errors import InputError
from tendency.jobs.progress import Say
from tendency.jobs.verification.options import Options


def score(
    config: str,
    truth: str | None,
    options: Options | None,
    overrides: Sequence[str],
    *,
    out: Path | None,
    report: bool,
    overwrite: bool,
    small: bool,
    say: Say,
) -> None:
    """Score a job, where `config` is a TOML, else a file of forecasts.

    Raises:
        InputError: options of one were given to the other, or the truth is missing;
            whatever keeps the job or the files from being scored.
    """
    given = options or Options()
    if config.endswith(".toml"):
        from tendency.jobs import stages

        if truth or out or report or overwrite or given != Options():
            raise InputError(
                f"{config} is the TOML of a job, which says itself what to score: give "
                "no other file, and no option but --small and --set"
            )
        stages.score(config, overrides, small=small, say=say)
        return
    if truth is None:
        raise InputError(
            f"{config} is no TOML, so a second file, the truth, was expected: give "
            f"`tendency score {config} TRUTH`"
        )
    if small or overrides:
        raise InputError(
            f"--small and --set change the TOML of a job and {config} is none: leave "
            "them out"
        )
    from tendency.jobs.verification.run import verify

    verify(config, truth, given, out=out, report=report, overwrite=overwrite, say=say)
