"""Floor 5: what came of setting forecasts beside the truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tendency.jobs.measures import Measures, Tallies
from tendency.scores.records import Score


@dataclass(frozen=True, eq=False)
class Found:
    """What came of it."""

    files: Mapping[str, str]  # of the models, by name
    truth: str
    measures: Measures
    tallies: Mapping[str, Tallies]  # by model
    scores: Sequence[Score]
    units: Mapping[str, str]
    lead_unit: str | None  # None: there are no lead times
    facts: Mapping[str, str]
    notes: Sequence[str]
