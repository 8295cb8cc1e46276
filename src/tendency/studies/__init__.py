"""Floor 5: studies, each a module named as on the command line.

A study is a function `run(out, *, seed, small, say)` in a module of this package; it
writes `scores.json` and `report.html` into `out`. One that can work on a file of the
user's takes its path as `data` too, one of text those of `pairs`. What several studies
share has a name that begins with `_`.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable

from tendency.errors import InputError, nearest


def names() -> list[str]:
    """The studies there are, as the command line spells them."""
    found = [m.name for m in pkgutil.iter_modules(__path__)]
    return sorted(n.replace("_", "-") for n in found if not n.startswith("_"))


def find(name: str) -> Callable[..., None]:
    """The study of this name.

    Raises:
        InputError: there is none; the nearest name is suggested.
    """
    if name not in names():
        raise InputError(
            f"there is no study {name!r}, and no such file: {nearest(name, names())}"
        )
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    return module.run


def check_takes(name: str, study: Callable[..., None], given: Iterable[str]) -> None:
    """Whether a study reads what it is given: `data`, `pairs`.

    Raises:
        InputError: it makes its own data, or reads the other.
    """
    read = inspect.signature(study).parameters
    for option in given:
        if option not in read:
            others = [f"--{o}" for o in ("data", "pairs") if o in read]
            what = f"reads {others[0]}" if others else "makes its own data"
            advice = "give that" if others else "leave it out"
            raise InputError(
                f"--{option} gives a study its file and {name} {what}: {advice}"
            )
