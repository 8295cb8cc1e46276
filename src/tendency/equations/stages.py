"""Floor 5: what the command line does with a system of equations."""

import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tendency.equations.build import Built, build
from tendency.equations.check import check as told
from tendency.equations.config import dump_equations, load_equations
from tendency.equations.integration import dataset_of, integrate, require_finite
from tendency.equations.settings import Equations
from tendency.equations.stability import stability
from tendency.errors import InputError
from tendency.files import prepare_folder, write_atomically, writing

CONFIG = "config.toml"
REPORT = "report.html"
MODEL = "model.safetensors"
_SUFFIX = {"netcdf": "nc", "zarr": "zarr"}
Say = Callable[[str], None]


def run(
    config: str,
    overrides: Sequence[str] = (),
    *,
    small: bool = False,
    overwrite: bool = False,
    say: Say,
) -> None:
    """Integrate the equations and write the states and the page.

    Raises:
        InputError: the file will not do, the folder holds something else, or a field
            stops being finite; what came before that is written.
    """
    from tendency.data.write import write_dataset
    from tendency.equations.page import make_page
    from tendency.report.page import write_page

    asked = load_equations(config, overrides)
    if small:
        asked = _quick(asked)
    built = build(asked)
    found = stability(built)
    out = Path(str(asked.out))
    ours = (out / CONFIG).is_file()
    prepare_folder(out, overwrite=overwrite or ours)
    write_atomically(out / CONFIG, dump_equations(built.asked).encode())
    if found.said():
        say(f"at the start: {'; '.join(found.said())}")
    warnings = found.warnings(built)
    for warning in warnings:
        say(f"warning: {warning}")
    began = time.perf_counter()
    ran = integrate(built)
    seconds = time.perf_counter() - began
    if not len(ran.times):
        require_finite(ran, str(out), next(iter(warnings), None))
    format = asked.output.format
    path = out / f"{asked.system.name}.{_SUFFIX[format]}"
    write_dataset(dataset_of(built, ran), path, format)
    say(f"{path} holds {', '.join(ran.states)} at {len(ran.times)} times")
    report = out / REPORT
    config = shlex.quote(str(out / CONFIG))
    page = make_page(built, ran, found, seconds=seconds, config=config)
    with writing(report):
        write_page(page, report)
    say(f"the report is {report}")
    require_finite(ran, str(out), next(iter(warnings), None))


def propagate(
    config: str,
    overrides: Sequence[str] = (),
    *,
    small: bool = False,
    overwrite: bool = False,
    say: Say,
) -> None:
    """Follow errors of the initial state, and write their moments and the page.

    Raises:
        InputError: the file will not do, the folder holds something else, or a
            variance is none.
    """
    from tendency.data.write import write_dataset
    from tendency.equations.uncertain import follow
    from tendency.equations.uncertain_page import dataset_of, make_page
    from tendency.report.page import write_page

    asked = load_equations(config, overrides)
    if small:
        asked = _quick(asked)
    built = build(asked)
    out = Path(str(asked.out))
    ours = (out / CONFIG).is_file()
    prepare_folder(out, overwrite=overwrite or ours)
    write_atomically(out / CONFIG, dump_equations(built.asked).encode())
    began = time.perf_counter()
    found, failed = follow(asked, built)
    if not found:
        raise InputError("; ".join(failed.values()))
    seconds = time.perf_counter() - began
    format = asked.output.format
    path = out / f"{asked.system.name}-uncertainty.{_SUFFIX[format]}"
    write_dataset(dataset_of(built, found), path, format)
    say(f"{path} holds means and spreads by {', '.join(found)}")
    first, *others = found
    for method in others:
        apart = found[method].distance(found[first])
        told = ", ".join(f"{name} {value:.2g}" for name, value in apart.items())
        say(f"{method} beside {first} at the end, relative: {told}")
    report = out / "uncertainty.html"
    page = make_page(
        built, found, seconds=seconds, config=shlex.quote(str(out / CONFIG))
    )
    with writing(report):
        write_page(page, report)
    say(f"the report is {report}")
    if failed:
        raise InputError("; ".join(failed.values()))


def identify(
    config: str, overrides: Sequence[str] = (), *, overwrite: bool = False, say: Say
) -> None:
    """Find what is unknown from data, print the equations, write model and page.

    Raises:
        InputError: the file or its data will not do, the folder holds something else,
            or unknowns cannot be told, by name.
    """
    from tendency.equations.identified import found as find
    from tendency.equations.identified_page import equations_found, make_page
    from tendency.report.page import write_page
    from tendency.store import save

    asked = load_equations(config, overrides)
    out = Path(str(asked.out))
    prepare_folder(out, overwrite=overwrite or (out / CONFIG).is_file())
    began = time.perf_counter()
    found = find(asked)
    write_atomically(out / CONFIG, dump_equations(asked).encode())
    print(equations_found(found))
    print(equations_found(found, latex=True))
    for name, (values, error) in found.maps.items():
        say(
            f"{name} goes from {values.min():.4g} to {values.max():.4g}, standard "
            f"error {error.mean():.2g} in the mean"
        )
    save(out / MODEL, found.cell, {"equations": equations_found(found)})
    say(f"the model is {out / MODEL}")
    page = make_page(
        found,
        seconds=time.perf_counter() - began,
        config=shlex.quote(str(out / CONFIG)),
    )
    with writing(out / REPORT):
        write_page(page, out / REPORT)
    say(f"the report is {out / REPORT}")


def check(config: str, overrides: Sequence[str] = ()) -> None:
    """Print what a run will do.

    Raises:
        InputError: whatever would stop it later.
    """
    from rich.console import Console
    from rich.table import Table

    built = build(load_equations(config, overrides))
    console = Console(markup=False)  # [m] is a unit
    for heading, rows in told(built, stability(built)).items():
        table = Table(title=heading, title_justify="left", show_header=False, box=None)
        table.add_column(min_width=14)
        table.add_column(overflow="fold")
        for what, how in rows:
            table.add_row(what, how)
        console.print(table)


def generate(
    config: str,
    output: Path,
    overrides: Sequence[str] = (),
    *,
    target: str = "jax",
    overwrite: bool = False,
    say: Say,
) -> None:
    """Write the equations as a Python module that needs nothing of tendency.

    Raises:
        InputError: the file will not do, the module is there already, or the target
            or the scheme cannot be written.
    """
    if output.exists() and not overwrite:
        raise InputError(
            f"{output} is there already and is not overwritten: remove it, name "
            "another with --output, or allow --overwrite"
        )
    asked = load_equations(config, overrides)
    built = build(asked)
    for warning in stability(built).warnings(built):
        say(f"warning: {warning}")
    text = _source(built, target)
    write_atomically(output, text.encode())
    say(f"{output} is written: it needs {target} and nothing of tendency")


def _source(built: Built, target: str) -> str:
    return built.generated.source(
        target,  # pyright: ignore[reportArgumentType] (it checks)
        dt=built.asked.time.step,
        scheme=built.cell.scheme,
    )


def _quick(asked: Equations) -> Equations:
    """A tenth of the saved times, for a first look."""
    times = asked.time
    if times.save_every is not None:
        end = times.start + max(1, times.intervals // 10) * times.save_every
        sooner = times.model_copy(update={"end": end})
        return asked.model_copy(update={"time": sooner})
    saves = max(1, times.steps // times.every // 10)
    fewer = times.model_copy(update={"steps": saves * times.every})
    return asked.model_copy(update={"time": fewer})
