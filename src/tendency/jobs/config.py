"""Floor 5: the TOML of a job, read, checked and written.

`load_job` gives a `Job` or says in one sentence what is wrong with the file; `dump_job`
writes one back, every default spelled out, as it is kept with the results.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pydantic
import tomlkit

from tendency.configuration import read_toml, shown, validated
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
    advice = "`tendency init` writes one from a data file"
    content = read_toml(path, overrides, otherwise=advice)
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
    job = validated(
        Job, content, source, lambda path: _keys_of(path, content), _about_kinds
    )
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


def _about_kinds(key: str, item: Mapping[str, Any]) -> str | None:
    if item["type"] == "union_tag_not_found":
        return (
            f"{key}.kind is missing, the kind of the model was expected: choose from "
            f"{', '.join(_KINDS)}"
        )
    if item["type"] == "union_tag_invalid":
        tag = item["ctx"]["tag"]
        return (
            f"{key}.kind is {shown(tag)}, a kind of model was expected: "
            f"{nearest(tag, list(_KINDS))}"
        )
    return None


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
