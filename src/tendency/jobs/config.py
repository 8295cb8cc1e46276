"""Floor 5: the TOML of a job, read, checked and written.

`load_job` gives a `Job` or says in one sentence what is wrong with the file; `dump_job`
writes one back, every default spelled out, as it is kept with the results.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pydantic
import tomlkit

from tendency.errors import InputError, nearest
from tendency.jobs.models import BASELINES, Model
from tendency.jobs.settings import Job


def load_job(path: str | Path, overrides: Sequence[str] = ()) -> Job:
    """Read the TOML of a job; its relative paths start from the folder that holds it.

    Arguments:
        overrides: `table.key=value` pairs that take the place of what the file says,
            values as in TOML; text may go without quotes.

    Raises:
        InputError: no such file, not TOML, unknown keys, wrong types, bad values.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"the configuration {path} could not be read ({error.strerror}), a TOML "
            "file was expected: `tendency init` writes one from a data file"
        ) from error
    except ValueError as error:  # TOML and Unicode errors alike
        raise InputError(
            f"the configuration {path} is not valid TOML ({error}): mend that place"
        ) from error
    for override in overrides:
        _merge(content, _parse_override(override), override)
    return parse_job(content, source=str(path), folder=path.parent)


def parse_job(
    content: Mapping[str, Any],
    *,
    source: str = "the configuration",
    folder: Path = Path(),
) -> Job:
    """Check the content of a job and make its paths absolute, `folder` their start.

    Raises:
        InputError: unknown keys, wrong types, bad values.
    """
    try:
        job = Job.model_validate(dict(content))
    except pydantic.ValidationError as error:
        raise InputError(f"{source}: {_explain(error, content)}") from None
    for name in job.models:
        if name in BASELINES:
            raise InputError(
                f"{source}: models.{name} has the name of a baseline, which is always "
                "there, and a name of its own was expected: rename the table"
            )
    folder = folder.absolute()
    data = job.data
    if "://" not in data.path:
        data = data.model_copy(update={"path": str(folder / data.path)})
    return job.model_copy(update={"data": data, "out": str(folder / job.out)})


def dump_job(job: Job) -> str:
    """The job as TOML, every default spelled out; `parse_job` reads it back."""
    return tomlkit.dumps(job.model_dump(mode="json", exclude_none=True))


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


def _merge(content: dict[str, Any], change: Mapping[str, Any], text: str) -> None:
    for key, value in change.items():
        inner = content.get(key)
        if isinstance(value, dict) and key in content:
            if not isinstance(inner, dict):
                raise InputError(
                    f'the override "{text}" goes into {key}, which is not a table: '
                    "shorten the key"
                )
            _merge(inner, value, text)
        else:
            content[key] = value


def _explain(error: pydantic.ValidationError, content: Mapping[str, Any]) -> str:
    """The first problem, in one sentence, and how many there are."""
    problems: dict[tuple, list] = {}
    for item in error.errors(include_url=False):
        problems.setdefault(_path_in(content, item["loc"]), []).append(item)
    path, items = next(iter(problems.items()))
    more = len(problems) - 1
    rest = f" ({more} more problem{'s' * (more > 1)} after this one)" if more else ""
    return _sentence(path, items, content) + rest


def _sentence(path: tuple, items: list, content: Mapping[str, Any]) -> str:
    key = ".".join(str(p) for p in path)
    item = items[0]
    kind = item["type"]
    if kind == "extra_forbidden":
        known = _keys_of(path[:-1], content)
        return f"{key} is not a key that is read: {nearest(str(path[-1]), known)}"
    if kind == "missing":
        return f"{key} is missing and has no default: add it"
    if kind == "union_tag_not_found":
        return (
            f"{key}.kind is missing, the kind of the model was expected: choose from "
            f"{', '.join(_KINDS)}"
        )
    if kind == "union_tag_invalid":
        tag = item["ctx"]["tag"]
        return (
            f"{key}.kind is {_shown(tag)}, a kind of model was expected: "
            f"{nearest(tag, list(_KINDS))}"
        )
    if kind == "value_error":
        return f"{key}: {item['ctx']['error']}"
    expected = " or ".join(dict.fromkeys(_expected(i) for i in items))
    return f"{key} is {_shown(item['input'])}, {expected} was expected: change it"


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


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _path_in(content: Any, location: Sequence[Any]) -> tuple:
    """The keys of a location that the file itself has, without those of a union."""
    path = []
    for i, part in enumerate(location):
        here = isinstance(content, Mapping) and part in content
        here |= isinstance(content, list) and isinstance(part, int)
        if here:
            content = content[part]
            path.append(part)
        elif isinstance(content, Mapping) and i == len(location) - 1:
            path.append(part)  # the missing key itself
    return tuple(path)


def _model_classes() -> dict[str, type[pydantic.BaseModel]]:
    union = get_args(Model)[0]
    return {
        kind: cls
        for cls in get_args(union)
        for kind in get_args(cls.model_fields["kind"].annotation)
    }


_KINDS = _model_classes()


def _keys_of(path: tuple, content: Mapping[str, Any]) -> list[str]:
    """The keys that the table at `path` may have."""
    if not path:
        return list(Job.model_fields)
    if path[0] == "models":
        return list(_KINDS[content["models"][path[1]]["kind"]].model_fields)
    return list(Job.model_fields[path[0]].annotation.model_fields)  # pyright: ignore
