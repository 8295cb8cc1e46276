"""Floor 5, report: the two files of a study."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tendency import __version__
from tendency.files import write_atomically
from tendency.report.page import Page, write_page
from tendency.scores.records import Score, scores_document


def write_results(
    out: Path,
    study: str,
    settings: Mapping[str, Any],
    scores: Iterable[Score],
    page: Page,
) -> Path:
    """Write `scores.json` and `report.html` into `out`; the path of the report.

    Raises:
        InputError: a block of the page contradicts itself.
        OSError: something cannot be written.
    """
    document = scores_document(study, __version__, settings, scores)
    text = json.dumps(document, indent=1, allow_nan=False)
    write_atomically(out / "scores.json", text.encode())
    return write_page(page, out / "report.html")
