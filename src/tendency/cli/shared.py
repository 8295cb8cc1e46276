"""What the commands share."""

from typing import Annotated

from cyclopts import Parameter

Set = Annotated[
    list[str] | None,
    Parameter(name="--set", negative="", help="table.key=value, over the file's own"),
]


def is_equations(path: str) -> bool:
    """Whether a TOML file holds equations."""
    from tendency.equations.config import is_equations

    return is_equations(path)


def is_assimilation(path: str) -> bool:
    """Whether a TOML file holds an assimilation."""
    from tendency.jobs.assimilation.config import is_assimilation

    return is_assimilation(path)


def say(message: str) -> None:
    """A line of progress, on standard error."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False)
    console.print(message, soft_wrap=True)
