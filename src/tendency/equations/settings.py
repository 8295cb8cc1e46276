"""Floor 5: what a user may write in the TOML of a system of equations.

`Equations` is the file; each of its tables is a class here. Every key is read
somewhere: an unknown one is refused. Where values are given, a number and the text of
an expression are as good as each other.
"""

import datetime
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from tendency.configuration import Table
from tendency.equations.tables import (
    DataTable,
    Expression,
    Given,
    Measured,
    Name,
    UnknownTable,
)

Explicit = Literal["euler", "ssprk3", "rk4", "dormand_prince5", "adams_bashforth3"]
Stiff = Literal["etdrk4", "ars343"]  # for the spectral method
STIFF = get_args(Stiff)
_KINDS = ("dirichlet", "neumann", "robin", "slip")
Slip = Literal["free-slip", "no-slip"]
Order = Literal[2, 4, 6, 8]
Flux = Literal["central", "minmod", "weno5"]
DATED = ("seconds", "minutes", "hours", "days")


def _as_date(value: Any) -> Any:
    """A bare TOML date is as good as a quoted one."""
    dates = datetime.date | datetime.datetime
    return str(value) if isinstance(value, dates) else value


class System(Table):
    """`[system]`: the equations, each as text or in LaTeX."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")] = "system"
    about: str = ""  # what it is, for the page and the source
    coordinates: list[Name] = Field(default=[], max_length=3)  # of space
    equations: list[str] = Field(min_length=1)
    unknown: list[Name] = Field(default=[])  # fields given by elliptic equations
    moments: bool = False  # of the errors: variance and aspect are fields too
    closures: list[str] = Field(default=[])  # equations for what moments leave open

    @model_validator(mode="after")
    def _closes_moments(self) -> Self:
        if self.closures and not self.moments:
            raise ValueError(
                "closures are of moments: set moments = true, or drop them"
            )
        return self


class Parameter(Measured):
    """`[parameters]`: `kappa = 0.1`, or `kappa = { value = 0.1, units = "m2 s-1" }`."""

    value: float

    @model_validator(mode="before")
    @classmethod
    def _number(cls, given: Any) -> Any:
        return given if isinstance(given, dict) else {"value": given}


class Robin(Table):
    """`value` u + `slope` ∂u/∂n = `equals`."""

    value: float
    slope: float
    equals: Expression = "0"


def _as_slip(value: Any) -> Any:
    """`boundary.y = "free-slip"`."""
    return {"slip": value} if isinstance(value, str) else value


class Condition(Table):
    """One of the four; the normal points out of the domain."""

    dirichlet: Expression | None = None  # u
    neumann: Expression | None = None  # ∂u/∂n
    robin: Robin | None = None
    slip: Slip | None = None  # of a velocity at a solid wall

    _slip = model_validator(mode="before")(_as_slip)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(getattr(self, kind) is not None for kind in _KINDS) != 1:
            raise ValueError(f"give one of {', '.join(_KINDS)}")
        return self


class Boundary(Table):
    """`boundary.x`: one condition for both ends, or `lower` and `upper`."""

    dirichlet: Expression | None = None
    neumann: Expression | None = None
    robin: Robin | None = None
    slip: Slip | None = None
    lower: Condition | None = None
    upper: Condition | None = None

    _slip = model_validator(mode="before")(_as_slip)

    @model_validator(mode="after")
    def _one_or_two(self) -> Self:
        kinds = sum(getattr(self, kind) is not None for kind in _KINDS)
        ends = (self.lower is not None) + (self.upper is not None)
        if (kinds, ends) not in ((1, 0), (0, 2)):
            raise ValueError(
                f"give one of {', '.join(_KINDS)} for both ends, or lower and upper"
            )
        return self

    @property
    def ends(self) -> tuple[Condition, Condition]:
        """At the lower and the upper end."""
        if self.lower is not None and self.upper is not None:
            return self.lower, self.upper
        both = Condition(**{kind: getattr(self, kind) for kind in _KINDS})
        return both, both


class FieldMethod(Table):
    """`[fields.u.method]`: what the equation of one field has otherwise."""

    differences: Order | None = None
    upwind: bool | None = None
    flux: Flux | None = None


class FieldTable(Measured):
    """`[fields.u]`: what a prognostic field is at the start, and at its boundaries."""

    initial: Given
    boundary: dict[str, Boundary] = Field(default={})  # by bounded axis
    staggered: list[str] = Field(default=[])  # axes along which it stands on the faces
    velocity: Name | None = None  # the axis along which it is the velocity
    method: FieldMethod | None = None  # of its equation; default: [method]


class DiagnosticTable(Measured):
    """`[diagnostics.psi]`: a field that equations give, or determine (`unknown`).

    It is written beside the states. With boundary conditions of its own it is computed
    on the cells and continued beyond the walls; an unknown field needs them there.
    """

    boundary: dict[str, Boundary] = Field(default={})  # by bounded axis
    velocity: Name | None = None  # the axis along which it is the velocity
    saved: bool = True


class ConstantTable(Measured):
    """`[constants.k]`: a field that does not change."""

    values: Given
    along: list[str] | None = None  # coordinates that it depends on; default: all


class ForcingTable(Measured):
    """`[forcings.F]`: a function of the time, and of the coordinates in `along`."""

    values: Given
    along: list[str] = Field(default=[])


class AxisTable(Measured):
    """`[axes.x]`: a coordinate of the grid."""

    points: PositiveInt
    lower: float = 0.0
    upper: float = 1.0
    periodic: bool = True
    stretch: Name | None = None  # where the points stand, a function of s from 0 to 1


class CoastTable(Table):
    """`[coast]`: land within the domain, whose coasts nothing crosses."""

    water: Given  # there is some where this is above 0
    slip: Slip = "free-slip"  # of velocities on the faces


class Method(Table):
    """`[method]`: how derivatives in space are taken."""

    differences: Order = 2  # the order of finite differences
    upwind: bool = False  # for the terms -a d_x u
    flux: Flux = "central"  # of the terms d_x(f(u)), or of finite volumes
    spectral: bool = False  # Fourier series instead, on periodic axes

    @model_validator(mode="after")
    def _one(self) -> Self:
        others = {"differences", "upwind", "flux"}
        if self.spectral and others & self.model_fields_set:
            raise ValueError(
                "spectral stands instead of differences, upwind and flux: leave them "
                "out"
            )
        return self


class Time(Measured):
    """`[time]`: the steps.

    `dt` with `steps` and `every`; or `dt = "auto"` with `end` and `save_every`, and the
    numbers are found.
    """

    dt: PositiveFloat | Literal["auto"]
    steps: PositiveInt = 1  # needed, but for "auto"
    every: PositiveInt = 1  # saved, in steps
    end: float | None = None  # the t of the last state
    save_every: PositiveFloat | None = None  # saved, in units of time
    scheme: Explicit | Stiff = "rk4"
    start: float = 0.0  # the t of the initial state
    # The date of t = 0, where units are seconds, minutes, hours or days.
    since: Annotated[str, BeforeValidator(_as_date), Field(min_length=4)] | None = None

    @property
    def step(self) -> float:
        """Its length, once found."""
        assert isinstance(self.dt, float)
        return self.dt

    @property
    def intervals(self) -> int:
        """How often a run with "auto" saves."""
        assert self.end is not None
        assert self.save_every is not None
        return round((self.end - self.start) / self.save_every)

    @model_validator(mode="after")
    def _numbers_or_auto(self) -> Self:
        in_time = self.end, self.save_every
        if self.dt != "auto":
            if in_time != (None, None):
                raise ValueError(
                    'end and save_every are for dt = "auto": give steps and every'
                )
            if "steps" not in self.model_fields_set:
                raise ValueError("steps is missing and has no default: add it")
            return self
        if None in in_time or {"steps", "every"} & self.model_fields_set:
            raise ValueError(
                'dt = "auto" needs end and save_every, in units of time, instead of '
                "steps and every"
            )
        if self.scheme in STIFF:
            raise ValueError(
                f'dt is "auto", and how long a step {self.scheme} holds is not judged: '
                "give a number"
            )
        count = (float(in_time[0] or 0) - self.start) / float(in_time[1] or 1)
        if count < 1 - 1e-9 or abs(count - round(count)) > 1e-9 * count:
            raise ValueError(
                f"from start = {self.start:g} to end = {self.end:g} there are "
                f"{count:g} times save_every = {self.save_every:g}, a whole number "
                "above 0 was expected"
            )
        return self

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.steps % self.every:
            raise ValueError(
                f"every is {self.every} and steps is {self.steps}: a divisor of it was "
                "expected"
            )
        if self.since is not None and self.units not in DATED:
            raise ValueError(
                f"since needs units of {', '.join(DATED)}, and they are {self.unit}"
            )
        return self


class Output(Table):
    """`[output]`: the file of the states."""

    format: Literal["netcdf", "zarr"] = "netcdf"


class Uncertainty(Table):
    """`[uncertainty]`: errors of the initial state, and how they are followed."""

    methods: list[Literal["members", "tangent", "moments"]] = Field(
        default=["members"], min_length=1
    )
    spread: dict[Name, Given] = Field(min_length=1)  # standard deviations, by field
    length: dict[Name, PositiveFloat] = Field(default={})  # of their correlation
    members: Annotated[int, Field(ge=2)] = 1000
    batch: PositiveInt = 100  # members at a time
    modes: PositiveInt | None = None  # of the tangent, the largest; default: all
    closures: list[str] = Field(default=[])  # of the moments; default: theory
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _read_by_a_method(self) -> Self:
        for key, method in (("closures", "moments"), ("modes", "tangent")):
            if getattr(self, key) and method not in self.methods:
                raise ValueError(
                    f'{key} are read by the method "{method}" alone: add it to '
                    "methods, or leave them out"
                )
        return self


class Equations(Table):
    """The whole file."""

    out: Annotated[str, Field(min_length=1)] | None = None  # default: runs/NAME
    system: System
    parameters: dict[str, Parameter] = Field(default={})
    fields: dict[str, FieldTable]
    diagnostics: dict[str, DiagnosticTable] = Field(default={})
    unknowns: dict[str, UnknownTable] = Field(default={})
    constants: dict[str, ConstantTable] = Field(default={})
    forcings: dict[str, ForcingTable] = Field(default={})
    axes: dict[str, AxisTable] = Field(default={})
    coast: CoastTable | None = None
    method: Method = Method()
    time: Time
    uncertainty: Uncertainty | None = None  # for `tendency propagate`
    output: Output = Output()
    data: DataTable | None = None  # for `identify`
