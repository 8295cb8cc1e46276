"""Floor 5: what a job says while it works, on standard error."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping

Say = Callable[[str], None]


@contextlib.contextmanager
def epochs_shown(name: str) -> Iterator[Callable[[Mapping[str, float]], None] | None]:
    """A bar that moves with the epochs, where somebody is there to see it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} epochs, {task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(name, total=None, loss="compiling", visible=False)

        def report(figures: Mapping[str, float]) -> None:
            loss = figures.get("validation_loss", figures["train_loss"])
            progress.update(
                task,
                completed=figures["epoch"] + 1,
                total=figures["epochs"],
                loss=f"loss {loss:.4g}",
                visible=True,
            )

        yield report
