"""Floor 0: TOML that a user writes, read, overridden and checked.

`Table` is the base of what may stand in a file: unknown keys are refused, types are not
guessed. `read_toml` reads one with its overrides, `validated` checks it; what is wrong
is said in one sentence.
"""

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tendency.errors import InputError, nearest

Keys = tuple[Any, ...]
Known = Callable[[Keys], Sequence[str]]  # the keys that the table at a path may have
Problem = Callable[[str, Mapping[str, Any]], str | None]
_T = TypeVar("_T", bound="Table")


class Table(BaseModel):
    """A table of the TOML: no unknown keys, no guessed types, no change afterwards."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False
    )


def read_toml(
    path: str | Path, overrides: Sequence[str] = (), *, otherwise: str = ""
) -> dict[str, Any]:
    """The content of a TOML file, with `table.key=value` overrides in it.

    Values are written as in TOML; text may go without quotes. `otherwise` is advice
    for when there is no such file.

    Raises:
        InputError: no such file, not TOML, an override that cannot be read or placed.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"the configuration {path} could not be read ({error.strerror}), a TOML "
            f"file was expected{otherwise and ': ' + otherwise}"
        ) from error
    except (ValueError, RecursionError) as error:  # TOML and Unicode errors alike
        raise InputError(
            f"the configuration {path} is not valid TOML ({error}): mend that place"
        ) from error
    for override in overrides:
        depth = override.partition("=")[0].count(".")
        _merge(content, _parse_override(override), override, depth)
    return content


def validated(
    kind: type[_T],
    content: Mapping[str, Any],
    source: str,
    known: Known,
    special: Problem = lambda key, item: None,
) -> _T:
    """The content as a `kind`.

    Arguments:
        known: the keys of a table, to suggest the nearest.
        special: the sentence about a problem that only this kind of file has.

    Raises:
        InputError: unknown keys, wrong types, bad values; the first of them is told,
            and how many there are.
    """
    try:
        return kind.model_validate(dict(content))
    except ValidationError as error:
        problems: dict[Keys, list] = {}
        for item in error.errors(include_url=False):
            path = _path_in(content, item["loc"], item["type"] == "missing")
            problems.setdefault(path, []).append(item)
        path, items = _first(problems)
        more = len(problems) - 1
        rest = f" ({more} more problem{'s' * (more > 1)} after this one)" * (more > 0)
        told = _sentence(path, items, known, special)
        raise InputError(f"{source}: {told}{rest}") from None


def _first(problems: Mapping[Keys, list]) -> tuple[Keys, list]:
    """The first, unless a key is missing beside one that is not read: a slip."""
    path, items = next(iter(problems.items()))
    if items[0]["type"] == "missing":
        for other, found in problems.items():
            if found[0]["type"] == "extra_forbidden" and other[:-1] == path[:-1]:
                return other, found
    return path, items


def _sentence(path: Keys, items: list, known: Known, special: Problem) -> str:
    key = ".".join(str(p) for p in path)
    item = items[0]
    kind = item["type"]
    told = special(key, item)
    if told is not None:
        return told
    if kind == "extra_forbidden":
        near = nearest(str(path[-1]), known(path[:-1]))
        return f"{key} is not a key that is read: {near}"
    if kind == "missing":
        return f"{key} is missing and has no default: add it"
    if kind == "value_error":
        return f"{key}: {item['ctx']['error']}" if key else str(item["ctx"]["error"])
    expected = " or ".join(dict.fromkeys(_expected(i) for i in items))
    return f"{key} is {shown(item['input'])}, {expected} was expected: change it"


def _expected(item: Mapping[str, Any]) -> str:
    context = item.get("ctx", {})
    phrases = {
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "float_type": "a number",
        "finite_number": "a finite number",
        "string_type": "text in quotes",
        "bool_type": "true or false",
        "list_type": "a list",
        "dict_type": "a table",
        "model_type": "a table",
        "model_attributes_type": "a table",
        "greater_than": "a number above {gt}",
        "greater_than_equal": "a number of at least {ge}",
        "less_than": "a number below {lt}",
        "less_than_equal": "a number of at most {le}",
        "literal_error": "one of {expected}",
        "too_short": "a list of {min_length} or more",
        "too_long": "a list of no more than {max_length}",
        "string_too_short": "text that is not empty",
    }
    phrase = phrases.get(item["type"])
    return item["msg"] if phrase is None else phrase.format(**context)


def shown(value: Any) -> str:
    """A value as TOML writes it, cut where it is long."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _path_in(content: Any, location: Sequence[Any], missing: bool) -> Keys:
    """The keys of a location that the file itself has, without those of a union."""
    path = []
    for i, part in enumerate(location):
        here = isinstance(content, Mapping) and part in content
        here |= isinstance(content, list) and isinstance(part, int)
        if here:
            content = content[part]
            path.append(part)
        elif missing and isinstance(content, Mapping) and i == len(location) - 1:
            path.append(part)  # the missing key itself
    return tuple(path)


def _parse_override(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    for attempt in (f"{key}={value}", f"{key}={json.dumps(value.strip())}"):
        try:
            if equals and "\n" not in text:
                return tomllib.loads(attempt)
        except tomllib.TOMLDecodeError:
            continue
    raise InputError(
        f'the override "{text}" is not of the form table.key=value: write it like '
        "prepare.eofs=20"
    )


def _merge(
    content: dict[str, Any], change: Mapping[str, Any], text: str, depth: int
) -> None:
    """Put the change into the content, whose key is `depth` tables down."""
    for key, value in change.items():
        inner = content.get(key)
        replaced = depth <= 0 and not isinstance(inner, dict)
        if isinstance(value, dict) and key in content and not replaced:
            if not isinstance(inner, dict):
                raise InputError(
                    f'the override "{text}" goes into {key}, which is not a table: '
                    "shorten the key"
                )
            _merge(inner, value, text, depth - 1)
        else:
            content[key] = value
