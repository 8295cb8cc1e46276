"""Floor 5: what a user may write in the TOML of an assimilation, and nothing else.

`Assimilation` is the file, which has an `[observations]` table; each of its tables is a
class here. Every key is read somewhere: an unknown one is refused.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from tendency.configuration import Table
from tendency.jobs.settings import Date, Span

Name = Literal[
    "etkf", "stochastic", "denkf", "ensrf", "enkf-n", "letkf", "ienks",
    "particle", "kalman", "oi", "3dvar", "4dvar", "weak-4dvar",
]  # fmt: skip
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
# A number in the units of the variable (squared, of a variance), or "0.05 m s-1".
Amount = Annotated[float, Field(gt=0)] | Annotated[str, Field(min_length=1)]
_INFLATED = ("inflation", "rtps", "rtpp", "adaptive")
_ENSEMBLE = ("members", *_INFLATED, "resample", "estimate_errors")
_GLOBAL = (*_ENSEMBLE, "smoother", "lag")
_STATIC = ("background", "localisation", "estimate_errors")
READS: dict[str, tuple[str, ...]] = {
    "etkf": (*_GLOBAL, "rotated"),
    "stochastic": _GLOBAL,
    "denkf": _GLOBAL,
    "ensrf": (*_GLOBAL, "rotated", "localisation"),
    "enkf-n": (*_GLOBAL, "rotated"),
    "letkf": (*_ENSEMBLE, "rotated", "localisation"),
    "ienks": ("members", *_INFLATED, "rotated", "lag"),
    "particle": ("members", "jitter"),
    "kalman": ("smoother", "estimate_errors"),
    "oi": _STATIC,
    "3dvar": _STATIC,
    "4dvar": ("background", "localisation", "lag"),
    "weak-4dvar": ("localisation", "lag"),
}
"""The keys of `[method]` that each method reads; another is refused."""


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
    """`[method]`: how observations correct the model, and whether the past too."""

    name: Name = "etkf"
    members: Annotated[int, Field(ge=2)] = 40  # or particles
    inflation: Annotated[float, Field(ge=0.5)] = 1.0  # factor on the anomalies
    rtps: Share = 0.0  # relaxation to the spread of the background
    rtpp: Share = 0.0  # relaxation to its anomalies
    adaptive: bool = False  # inflation estimated from the innovations
    rotated: bool = False  # random rotations after each analysis
    resample: bool = False  # replace members that are no longer finite
    jitter: NotNegative = 0.0  # of copies of particles, in bandwidths
    # Of the taper: km where there are longitudes and latitudes, else as the axes.
    localisation: Annotated[float, Field(gt=0)] | None = None
    # The variance of a static B, as a share of the climate's; with a record, in
    # variances of the errors of a step.
    background: Annotated[float, Field(gt=0)] | None = None
    estimate_errors: bool = False  # scale the error variances by the innovations
    smoother: bool = False  # correct the past too
    lag: PositiveInt | None = None  # by so many later times; of windows, their length

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key, field in type(self).model_fields.items():
            if key == "name" or getattr(self, key) == field.default:
                continue
            if key not in READS[self.name]:
                others = ", ".join(n for n, keys in READS.items() if key in keys)
                raise ValueError(
                    f"{key} is of {others}, and the name is {self.name}: leave it out"
                )
        of_smoother = "smoother" in READS[self.name]
        if self.lag is not None and of_smoother and not self.smoother:
            raise ValueError("lag is of the smoother: set smoother to true")
        if self.name == "letkf" and self.localisation is None:
            raise ValueError(
                "localisation is missing, which letkf needs: give a length, in km "
                "between longitudes and latitudes, else in the units of the axes"
            )
        if self.localisation is not None and self.smoother:
            raise ValueError(
                "smoother needs one transform of all members and a localised filter "
                "has one at each point: leave out smoother or localisation"
            )
        return self


class Record(Source):
    """`[record]`: past states, from which errors of a step of the model are learned."""

    span: Span | None = None  # from when to when; default: all
    homogeneous: Share = 0.0  # of a static covariance, the same everywhere on a grid


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
    record: Record | None = None
    method: Method = Method()
    time: Times = Times()
    prior: Prior = Prior()
    report: Report = Report()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        method, record = self.method, self.record
        if record is not None and self.model.error:
            raise ValueError(
                "model.error and record both tell what a step of the model gets wrong: "
                "leave one out"
            )
        static = ("oi", "3dvar") + ("4dvar",) * (method.background is not None)
        covariance = method.name in (*static, "weak-4dvar")
        if record is not None and record.homogeneous and not covariance:
            raise ValueError(
                "record.homogeneous is of a static covariance (oi, 3dvar, weak-4dvar), "
                f"and method.name is {method.name}: leave it out"
            )
        if record is not None and method.name == "4dvar" and method.background is None:
            raise ValueError(
                "4dvar takes the model for perfect and reads record for a static B "
                "alone: give method.background, or leave record out"
            )
        local = method.localisation is not None
        if local and (covariance or method.name == "4dvar") and record is None:
            raise ValueError(
                f"method.localisation is of the covariance that {method.name} learns "
                "from a record: add [record], or leave it out"
            )
        return self
