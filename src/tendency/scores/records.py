"""`scores.json`: the machine-readable result of every study and of `tendency score`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Score:
    """One number. `lead` is in the model's time unit, `published` the paper's value.

    `interval` holds the ends of its 95 % interval, where one was drawn.
    """

    case: str
    model: str
    metric: str
    lead: float | None
    value: float
    units: str = "1"
    published: float | None = None
    interval: Sequence[float] | None = None


def scores_document(
    study: str, version: str, settings: Mapping[str, Any], scores: Iterable[Score]
) -> dict[str, Any]:
    """The content of `scores.json`."""
    return {
        "study": study,
        "version": version,
        "settings": dict(settings),
        "scores": [asdict(score) for score in scores],
    }


def read_scores(path: Path) -> tuple[dict[str, Any], list[Score]]:
    """The document and its scores."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return document, [Score(**score) for score in document["scores"]]
