"""Floor 5: the TOML of an assimilation, read, checked and written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import tomlkit

from tendency.configuration import Table, read_toml, validated
from tendency.errors import InputError
from tendency.jobs.assimilation.settings import Assimilation


def is_assimilation(path: str | Path) -> bool:
    """Whether a file is TOML of an assimilation: it has an `[observations]` table."""
    try:
        return "observations" in read_toml(path)
    except InputError:
        return False  # told by who reads it


def load_assimilation(path: str | Path, overrides: Sequence[str] = ()) -> Assimilation:
    """Read the TOML; its relative paths start from the folder that holds it.

    Raises:
        InputError: no such file, not TOML, unknown keys, wrong types, bad values.
    """
    path = Path(path)
    content = read_toml(path, overrides)
    return parse_assimilation(content, source=str(path), folder=path.parent)


def parse_assimilation(
    content: Mapping[str, Any],
    *,
    source: str = "the configuration",
    folder: Path = Path(),
) -> Assimilation:
    """Check the content of a file and make its paths absolute, `folder` their start.

    Raises:
        InputError: unknown keys, wrong types, bad values.
    """
    asked = validated(Assimilation, content, source, _known)
    folder = folder.absolute()
    changed: dict[str, Any] = {"out": str(folder / asked.out)}
    for name in ("model", "observations", "truth", "record"):
        table = getattr(asked, name)
        if table is not None and "://" not in table.path:
            path = str(folder / table.path)
            changed[name] = table.model_copy(update={"path": path})
    return asked.model_copy(update=changed)


def dump_assimilation(asked: Assimilation) -> str:
    """As TOML, every default spelled out; `parse_assimilation` reads it back."""
    return tomlkit.dumps(asked.model_dump(mode="json", exclude_none=True))


def _known(path: tuple) -> list[str]:
    """The keys that the table at `path` may have."""
    if not path:
        return list(Assimilation.model_fields)
    kind: Any = Assimilation.model_fields[path[0]].annotation
    options = [a for a in (kind, *get_args(kind)) if isinstance(a, type)]
    found = next((a for a in options if issubclass(a, Table)), None)
    return [] if found is None or len(path) > 1 else list(found.model_fields)
