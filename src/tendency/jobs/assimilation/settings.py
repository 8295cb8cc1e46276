"""Floor 5: what a user may write in the TOML of an assimilation, and nothing else.

`Assimilation` is the file, which has an `[observations]` table; each of its tables is a
class here. Every key is read somewhere: an unknown one is refused.
"""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, PositiveInt, model_validator

from tendency.configuration import Table
from tendency.jobs.settings import Date

Filter = Literal["etkf", "stochastic", "denkf", "ensrf", "enkf-n"]
ROTATED = ("etkf", "ensrf", "enkf-n")
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
# A number in the units of the variable (squared, of a variance), or "0.05 m s-1".
Amount = Annotated[float, Field(gt=0)] | Annotated[str, Field(min_length=1)]
FILTERS = get_args(Filter)


class Model(Table):
    """`[model]`: a file that `tendency fit` wrote, or any cell that was saved."""

    path: str = Field(min_length=1)  # models/NAME.safetensors of a job
    # What a step gets wrong, as a share of the spread of the climate; beside the noise
    # that a linear autoregression or an analog draws by itself.
    error: NotNegative = 0.0
    unit: str | None = None  # of the time of a cell saved without a job: "day"


class Source(Table):
    """A file of values along time."""

    path: str = Field(min_length=1)  # NetCDF, Zarr or CSV; may hold * for many files
    time: str | None = None  # the time axis, where it is not found by itself
    start: Date | None = None  # the first date of a file without dates
    step: str | None = None  # the step of a file without dates: "1 day"
    missing_value: float | None = None  # a number that stands for missing

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.start is None) != (self.step is None):
            raise ValueError(
                "start and step make a time axis together: give both or neither"
            )
        return self


class Observed(Source):
    """`[observations]`: what was seen, NaN where it was not, and how well."""

    variables: list[str] | None = Field(default=None, min_length=1)  # default: all
    variance: dict[str, Amount] = Field(default={})  # of the errors
    std: dict[str, Amount] = Field(default={})  # its root, instead
    # Errors are larger by the variance that the EOFs of the model leave out.
    representativeness: bool = True
    # Columns of a table of points, an observation a row: ["lat", "lon"].
    positions: list[str] | None = Field(default=None, min_length=1, max_length=2)
    withhold: Annotated[float, Field(ge=0, lt=1)] = 0.0  # a share, kept to score by
    withhold_by: Literal["value", "time"] = "value"  # single values, or whole times


class Method(Table):
    """`[method]`: the filter, its ensemble, and whether the past is smoothed."""

    name: Filter = "etkf"
    members: Annotated[int, Field(ge=2)] = 40
    inflation: Annotated[float, Field(ge=0.5)] = 1.0  # factor on the anomalies
    rtps: Share = 0.0  # relaxation to the spread of the background
    rtpp: Share = 0.0  # relaxation to its anomalies
    adaptive: bool = False  # inflation estimated from the innovations
    rotated: bool = False  # random rotations after each analysis
    resample: bool = False  # replace members that are no longer finite
    smoother: bool = False  # correct the past too
    lag: PositiveInt | None = None  # by so many later times; default: all

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.rotated and self.name not in ROTATED:
            raise ValueError(
                f"rotated is of {', '.join(ROTATED)}, and the name is {self.name}: "
                "leave it out"
            )
        if self.lag is not None and not self.smoother:
            raise ValueError("lag is of the smoother: set smoother to true")
        return self


class Times(Table):
    """`[time]`: from when to when; by default all that the observations have."""

    start: Date | None = None
    stop: Date | None = None
    ahead: Annotated[int, Field(ge=0)] = 0  # steps forecast after the last time


class Prior(Table):
    """`[prior]`: what is believed at the start, by default the climatology."""

    spread: Annotated[float, Field(gt=0)] = 1.0  # in spreads of the climate
    mean: dict[str, float] = Field(default={})  # of a variable [its units]
    std: dict[str, Annotated[float, Field(gt=0)]] = Field(default={})


class Report(Table):
    """`[report]`: the page."""

    title: str = "Assimilation"


class Assimilation(Table):
    """The whole file."""

    out: str = Field(min_length=1)  # folder of the results
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    model: Model
    observations: Observed
    truth: Source | None = None  # `[truth]`: the same variables, to score by
    method: Method = Method()
    time: Times = Times()
    prior: Prior = Prior()
    report: Report = Report()
