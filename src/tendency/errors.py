"""Floor 0: what the user is told when something they gave cannot be used."""


class InputError(ValueError):
    """Bad input at the border: a file, a variable, a configuration, a date.

    Its message is one sentence that names the thing, what was found, what was expected
    and what to do. The command line prints it and exits with code 2.
    """
