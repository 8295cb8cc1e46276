"""Floor 5: studies, each a module named as on the command line.

A study is a function `run(out, *, seed, small, say)` in a module of this package; it
writes `scores.json` and `report.html` into `out`.
"""

import importlib
import pkgutil
from collections.abc import Callable

from tendency.errors import InputError, nearest


def names() -> list[str]:
    """The studies there are, as the command line spells them."""
    return sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(__path__))


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
