"""Floor 5: pieces of the pages of jobs and of scores of two files."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tendency.report.blocks import Block, Chart, Section
from tendency.report.from_scores import rank_chart
from tendency.scores.records import Score


def rank_sections(
    scores: Sequence[Score], lead_units: str, models: Iterable[str]
) -> Iterator[Section]:
    """The rank histograms of each variable, those of `models`."""
    for variable in dict.fromkeys(s.case.rpartition(",")[0] for s in scores):
        blocks: list[Block] = []
        for model in models:
            chosen = [
                s
                for s in scores
                if (s.model, s.case.rpartition(",")[0]) == (model, variable)
            ]
            if chosen:
                chart = rank_chart(chosen, lead_units=lead_units)
                caption = f"{model}: {chart.caption}"
                blocks.append(Chart(chart.spec, caption, f"{model}: {chart.alt}"))
        yield Section(f"Ranks: {variable}", "", tuple(blocks))


def files_of(path: str) -> dict[str, str]:
    """The name and the SHA-256 of each data file, a few of many."""
    import glob

    found = [Path(p) for p in sorted(glob.glob(path))] or [Path(path)]
    facts = {}
    for file in found[:5]:
        if file.is_file():
            with file.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            facts[file.name] = f"sha256 {digest}"
    if len(found) > 5:
        facts["and"] = f"{len(found) - 5} more files"
    return facts or {"Data": path}
