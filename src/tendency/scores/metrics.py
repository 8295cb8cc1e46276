"""Floor 4: the names of scores, what is good of each, and in which units it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Metric:
    """A score by the name that `scores.json` gives it."""

    family: str  # of scores that are made of one tally
    best: Literal["lowest", "highest", "zero", "one"] | None = "lowest"
    units: Literal["variable", "length", "1"] = "1"

    def distance(self, value: float) -> float:
        """Less is better: 0 at best for an error, a ratio or a bias."""
        if self.best == "highest":
            return -value
        if self.best == "zero":
            return abs(value)
        if self.best == "one":
            return abs(np.log(value)) if value > 0 else np.inf
        return value


METRICS = {
    "rmse": Metric("errors", units="variable"),
    "mae": Metric("errors", units="variable"),
    "bias": Metric("errors", "zero", "variable"),
    "correlation": Metric("errors", "highest"),
    "skill": Metric("errors", "highest"),
    "bivariate_correlation": Metric("pair", "highest"),
    "pod": Metric("events", "highest"),
    "far": Metric("events"),
    "csi": Metric("events", "highest"),
    "hss": Metric("events", "highest"),
    "frequency_bias": Metric("events", "one"),
    "fss": Metric("fractions", "highest"),
    "crps_fair": Metric("ensemble", units="variable"),
    "crps_empirical": Metric("ensemble", units="variable"),
    "spread": Metric("ensemble", None, "variable"),
    "spread_skill": Metric("ensemble", "one"),
    "rank_frequency": Metric("ranks", None),
    "effective_resolution": Metric("spectra", units="length"),
    "error_resolution": Metric("spectra", units="length"),
    "variance_ratio": Metric("moments", "one"),
    "energy_ratio": Metric("energy", "one"),
}
"""Those that a job or `tendency score` can be asked for."""


def best_of(values: Sequence[float], metric: str) -> float | None:
    """The best of some scores, or `None` where none is better than another."""
    known = METRICS.get(metric, Metric(""))
    if not values or known.best is None:
        return None
    return min(values, key=known.distance)


def best_in_tables() -> dict[str, Literal["lowest", "highest"] | None]:
    """For tables, that know of the lowest and the highest alone."""
    known: dict[str, Literal["lowest", "highest"] | None] = {}
    for name, metric in METRICS.items():
        known[name] = metric.best if metric.best in ("lowest", "highest") else None
    return known
