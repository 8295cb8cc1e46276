"""Floor 5: the TOML of a system of equations, read, checked and written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import tomlkit

from tendency.configuration import Keys, Table, read_toml, validated
from tendency.equations.settings import Equations
from tendency.equations.tables import DataTable, Given
from tendency.errors import InputError


def is_equations(path: str | Path) -> bool:
    """Whether a file is TOML that holds a system of equations: a `[system]` table."""
    try:
        return "system" in read_toml(path)
    except InputError:
        return False  # told by who reads it


def load_equations(path: str | Path, overrides: Sequence[str] = ()) -> Equations:
    """Read the TOML; its relative paths start from the folder that holds it.

    Raises:
        InputError: no such file, not TOML, unknown keys, wrong types, bad values.
    """
    path = Path(path)
    content = read_toml(path, overrides)
    return parse_equations(content, source=str(path), folder=path.parent)


def parse_equations(
    content: Mapping[str, Any],
    *,
    source: str = "the configuration",
    folder: Path = Path(),
) -> Equations:
    """Check the content of a file and make its paths absolute, `folder` their start.

    Raises:
        InputError: unknown keys, wrong types, bad values.
    """
    asked = validated(Equations, content, source, _known)
    folder = folder.absolute()
    out = str(folder / (asked.out or f"runs/{asked.system.name}"))
    return _with_paths(asked.model_copy(update={"out": out}), folder)


def dump_equations(asked: Equations) -> str:
    """As TOML, every default spelled out; `parse_equations` reads it back."""
    content = asked.model_dump(mode="json", exclude_none=True)
    if asked.method.spectral:
        content["method"] = {"spectral": True}
    return tomlkit.dumps(content)


def _with_paths(table: Any, folder: Path) -> Any:
    """The same, each relative path of a `Given` or of data from `folder`."""
    if isinstance(table, Given | DataTable) and table.file and "://" not in table.file:
        return table.model_copy(update={"file": str(folder / table.file)})
    if isinstance(table, dict):
        return {key: _with_paths(value, folder) for key, value in table.items()}
    if isinstance(table, Table):
        fields = {name: getattr(table, name) for name in type(table).model_fields}
        changed = {name: _with_paths(value, folder) for name, value in fields.items()}
        changed = {n: v for n, v in changed.items() if v is not fields[n]}
        return table.model_copy(update=changed)
    return table


def _known(path: Keys) -> list[str]:
    """The keys that the table at `path` may have."""
    here: Any = Equations
    for key in path:
        if isinstance(here, type) and issubclass(here, Table):
            here = here.model_fields[key].annotation
        else:  # dict[str, Table]
            here = get_args(here)[1]
        tables = [a for a in get_args(here) if isinstance(a, type)]
        tables = [a for a in tables if issubclass(a, Table)]
        if tables and type(None) in get_args(here):
            here = tables[0]
    return list(here.model_fields)
