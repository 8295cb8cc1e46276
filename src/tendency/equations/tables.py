"""Floor 5: tables that stand in several places of the TOML, and `[unknowns]`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from tendency.configuration import Table, shown


def _as_expression(value: Any) -> Any:
    """A number is an expression too."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    raise ValueError(
        f"a number or an expression in quotes was expected, and it is {shown(value)}"
    )


Expression = Annotated[str, BeforeValidator(_as_expression), Field(min_length=1)]
Name = Annotated[str, Field(min_length=1)]


class Measured(Table):
    """A table that may say its units."""

    units: str | None = None  # such as "m2 s-1"; those given must agree

    @property
    def unit(self) -> str:
        """For a reader."""
        return self.units or "1"


class Given(Table):
    """Values: an expression, or a variable of a file.

    A file is NetCDF, Zarr or CSV, and has the values on the grid, axes by their names,
    in any order; of a field it may hold several times, the last of which is read. A
    forcing is along `time` (in CSV: `t` or `time`), in the units of the run.
    """

    expression: Expression | None = None
    file: Annotated[str, Field(min_length=1)] | None = None
    variable: Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, given: Any) -> Any:
        if isinstance(given, dict):
            return given
        if isinstance(given, str | int | float) and not isinstance(given, bool):
            return {"expression": given}
        raise ValueError(
            f"{shown(given)} was found: give a number, an expression in quotes, or "
            '{ file = "...", variable = "..." }'
        )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.expression is None) == (self.file is None):
            raise ValueError("give an expression, or a file and its variable")
        if self.file is None and self.variable is not None:
            raise ValueError("variable is of a file, and no file is given")
        return self


_KEYS = {  # of `[unknowns.NAME]`, by kind; units for all
    "scalar": ("initial", "lower", "upper"),
    "combination": ("of", "initial", "lower", "upper"),
    "field": ("initial", "lower", "upper", "along", "modes"),
    "network": (
        *("of", "reach", "width", "depth", "scales", "scale", "seed"),
        *("lower", "upper"),
    ),
}


_DEFAULTS: Mapping[Any, dict[str, Any]] = {
    "scalar": {"initial": 1.0},
    "combination": {"initial": 0.0},
    "field": {"initial": 1.0},
    "network": {"reach": 0, "width": 16, "depth": 2, "scale": 1.0},
}


class UnknownTable(Measured):
    """`[unknowns.a]`: what is to be learned inside the equations.

    A number, `a = 1.0`, is a scalar and its first guess.
    """

    kind: Literal["scalar", "combination", "field", "network"]
    initial: Given | list[float] | None = None  # the first guess
    lower: float | None = None
    upper: float | None = None
    of: list[Name] | None = None  # terms, or arguments of a network
    along: list[str] | None = None  # of a field; default: all coordinates
    modes: list[PositiveInt] | None = None  # of a smooth field, along each axis
    reach: NonNegativeInt | None = None  # points that a network sees to each side
    width: PositiveInt | None = None  # of its hidden layers
    depth: NonNegativeInt | None = None  # how many there are
    scales: list[PositiveFloat] | None = None  # typical sizes of its arguments
    scale: PositiveFloat | None = None  # typical size of its values
    seed: int | None = None  # of its first weights

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        if isinstance(given, int | float) and not isinstance(given, bool):
            return {"kind": "scalar", "initial": given}
        if not isinstance(given, dict):
            return given
        return {**_DEFAULTS.get(given.get("kind"), {}), **given}

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        allowed = {"kind", "units", *_KEYS[self.kind]}
        for key in sorted(self.model_fields_set - allowed):
            raise ValueError(
                f"{key} is given, and a {self.kind} has {', '.join(_KEYS[self.kind])}"
            )
        if self.kind in ("combination", "network") and not self.of:
            raise ValueError(f"of is missing, the expressions that a {self.kind} is of")
        if self.kind == "network" and self.seed is None:
            raise ValueError("seed is missing, from which its first weights are drawn")
        return self


class DataTable(Table):
    """`[data]`: what `identify` finds the unknowns from, fields on the grid over time.

    A NetCDF or Zarr file with the fields by their names, times a whole number of steps
    apart, in the units of the run; NaN is missing.
    """

    file: Annotated[str, Field(min_length=1)]
    variables: dict[str, Name] = Field(default={})  # field -> its name in the file
    tendencies: bool = True  # least squares on tendencies
    rollouts: NonNegativeInt = 0  # then through roll-outs over so many times; 0: none
    free_starts: bool = False  # what roll-outs start from is found too

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.tendencies and not self.rollouts:
            raise ValueError(
                "tendencies is false and rollouts is 0: nothing would be found"
            )
        if self.free_starts and not self.rollouts:
            raise ValueError("free_starts is of roll-outs, and rollouts is 0")
        return self
