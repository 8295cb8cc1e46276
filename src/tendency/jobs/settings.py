"""Floor 5: what a user may write in the TOML of a job, and nothing else.

`Job` is the file; each of its tables is a class here, but for the models, which are in
`models.py`. Every key is read somewhere: an unknown one is refused.
"""

import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from tendency.configuration import Table
from tendency.jobs.models import Model


def _as_text(value: Any) -> Any:
    """A bare TOML date is as good as a quoted one."""
    dates = datetime.date | datetime.datetime
    return value.isoformat() if isinstance(value, dates) else value


Date = Annotated[str, BeforeValidator(_as_text), Field(min_length=4)]
Span = Annotated[list[Date], Field(min_length=2, max_length=2)]
Metric = Literal[
    "rmse", "mae", "bias", "correlation", "bivariate_correlation", "skill",
    "pod", "far", "csi", "hss", "frequency_bias", "fss",
    "crps_fair", "crps_empirical", "spread", "spread_skill", "rank_frequency",
    "effective_resolution", "error_resolution", "variance_ratio", "energy_ratio",
]  # fmt: skip


class Data(Table):
    """`[data]`: which numbers, from which file."""

    path: str = Field(min_length=1)  # NetCDF, Zarr or CSV; may hold * for many files
    variables: list[str] = Field(min_length=1)  # names or CF standard names
    time: str | None = None  # the time axis, where it is not found by itself
    start: Date | None = None  # the first date of a file without dates
    step: str | None = None  # the step of a file without dates: "1 day"
    subset: dict[str, float | Date | list[float | Date]] = Field(default={})
    mask: Literal["none", "land", "incomplete"] = "none"
    missing: Literal["refuse", "cut", "weight"] = "refuse"
    # A number that stands for missing; nan: none does, however it looks.
    missing_value: Annotated[float, Field(allow_inf_nan=True)] | None = None
    units: dict[str, str] = Field(default={})  # where the file has none, or others

    @model_validator(mode="after")
    def _both_or_neither(self) -> "Data":
        if (self.start is None) != (self.step is None):
            raise ValueError(
                "start and step make a time axis together: give both or neither"
            )
        return self


class Split(Table):
    """`[split]`: what is learned from, what chooses, and what is held out."""

    train: Span
    test: Span
    # The last share of `train`, or dates of its own.
    validation: Annotated[float, Field(ge=0, lt=1)] | Span = 0.15


class Prepare(Table):
    """`[prepare]`: what stands between the data and the models."""

    deseasonalise: list[Literal["year", "day"]] = Field(default=[])
    harmonics: PositiveInt = 2  # of each cycle
    standardise: bool = True
    area_weights: bool = True  # sqrt(cos(latitude)), where there is one
    # Modes kept, or the share of the variance that they must hold.
    eofs: Annotated[int, Field(gt=0)] | Annotated[float, Field(gt=0, lt=1)] | None = (
        None
    )


class Forecast(Table):
    """`[forecast]`: how far, from when."""

    steps: PositiveInt  # [time steps of the data]
    starts: list[Date] | None = None  # default: all through the test part
    stride: PositiveInt = 1  # between starts [time steps of the data]
    members: PositiveInt = 1  # more than one draws from stochastic models
    format: Literal["netcdf", "zarr"] = "netcdf"


class Scoring(Table):
    """`[score]`: how forecasts are judged against what was held out."""

    metrics: list[Metric] = Field(default=["rmse", "correlation"], min_length=1)
    # Of events, by variable, which pod to fss count [units of the variable].
    thresholds: dict[str, Annotated[list[float], Field(min_length=1)]] = Field(
        default={}
    )
    windows: list[PositiveInt] = Field(default=[])  # sides of those of fss [points]
    rows: str | None = None  # spectra along this dimension, else around circles
    # 95 % intervals, drawn in blocks of as many consecutive starts; none without.
    block: PositiveInt | None = None


class Report(Table):
    """`[report]`: the page."""

    title: str = "Forecasts"


class Job(Table):
    """The whole file."""

    out: str = Field(min_length=1)  # folder of the results
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    data: Data
    split: Split
    prepare: Prepare = Prepare()
    models: dict[str, Model] = Field(default={})  # the baselines are always added
    forecast: Forecast
    score: Scoring = Scoring()
    report: Report = Report()
