"""Floor 0: what the user is told when something they gave cannot be used."""

import difflib
from collections.abc import Sequence


class InputError(ValueError):
    """Bad input at the border: a file, a variable, a configuration, a date.

    Its message is one sentence that names the thing, what was found, what was expected
    and what to do. The command line prints it and exits with code 2.
    """


def nearest(name: str, known: Sequence[str], otherwise: str | None = None) -> str:
    """`did you mean X?`; where no known name is near, `otherwise` or all of them."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    if otherwise is not None:
        return otherwise
    return f"choose from {', '.join(known)}" if known else "there is none"
