"""Libraries of the extra `text`, imported where they are used."""

import importlib
from typing import Any

from tendency.errors import InputError


def needed(name: str, what: str) -> Any:
    """The module `name`, which `what` is done with.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"{what} needs the package {name}, which is not installed: pip install "
            "'tendency[text]'"
        ) from error
