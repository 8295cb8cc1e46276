"""Floor 5: the unknowns of a file, as the equations take them."""

import math
from typing import Any

import jax
import numpy as np

from tendency.equations.expressions import expression
from tendency.equations.given import field_from_file
from tendency.equations.settings import Equations
from tendency.equations.tables import Given, UnknownTable
from tendency.equations.values import positions, values_on_cells
from tendency.errors import InputError
from tendency.grid import Grid
from tendency.networks import ScalarMLP
from tendency.symbolic.bounds import Interval
from tendency.symbolic.evaluation import evaluate
from tendency.symbolic.modes import Modes
from tendency.symbolic.system import System
from tendency.symbolic.unknowns import (
    Combination,
    Field,
    Pointwise,
    Scalar,
    Stencil,
    Unknown,
)


def unknowns_of(asked: Equations) -> dict[str, Unknown]:
    """As declared; fields start from one, until `with_fields`.

    Raises:
        InputError: a first guess that is none.
    """
    dim = len(asked.system.coordinates)
    return {
        name: _unknown(table, f"unknowns.{name}", dim)
        for name, table in asked.unknowns.items()
    }


def with_fields(asked: Equations, system: System, grid: Grid) -> System:
    """The system, its unknown fields starting from the values of the file.

    Raises:
        InputError: an expression or a file that gives none.
    """
    found = dict(system.unknowns)
    for name, one in found.items():
        if not isinstance(one, Field):
            continue
        table, where = asked.unknowns[name], f"unknowns.{name}.initial"
        along = list(one.along or asked.system.coordinates)
        if not isinstance(table.initial, Given):
            raise InputError(f"{where} is a list, an expression or a file was expected")
        if table.initial.expression is None:
            values = field_from_file(table.initial, positions(grid, along), where)
        else:
            values = values_on_cells(table.initial, grid, along, system, where)
        found[name] = Field(values, _bounds(table), one.along)
    return system._replace(unknowns=found)


def said_of(name: str, table: UnknownTable) -> str:
    """What is unknown, for a reader."""
    told = table.kind
    if table.of:
        told += f" of {', '.join(table.of)}"
    bounds = _bounds(table)
    if math.isfinite(bounds.lower) or math.isfinite(bounds.upper):
        told += f", {bounds.said(name)}"
    return told


def _bounds(table: UnknownTable) -> Interval:
    lower = -math.inf if table.lower is None else table.lower
    return Interval(lower, math.inf if table.upper is None else table.upper)


def _unknown(table: UnknownTable, where: str, dim: int) -> Unknown:
    bounds, of = _bounds(table), table.of or []
    try:
        if table.modes:
            return Modes(table.modes, _numbers(table), bounds, table.along)
        if table.kind == "field":
            return Field(along=table.along)
        if table.kind == "scalar":
            return Scalar(_numbers(table), bounds)
        if table.kind == "combination":
            return Combination(of, _numbers(table), bounds)
        reach, width, depth = (n or 0 for n in (table.reach, table.width, table.depth))
        assert table.seed is not None
        seen = (2 * reach + 1) ** dim
        scales = table.scales or [1.0] * len(of)
        network = ScalarMLP(
            len(of) * seen,
            width,
            depth,
            scales=[s for s in scales for _ in range(seen)],
            key=jax.random.key(table.seed),
        )
        if reach:
            return Stencil(of, network, reach, bounds, table.scale or 1.0)
        return Pointwise(of, network, bounds, table.scale or 1.0)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _numbers(table: UnknownTable) -> Any:
    given = table.initial
    if not isinstance(given, Given):
        if table.kind != "combination":
            raise InputError(f"initial is {given}, one number was expected")
        return np.asarray(given)
    if given.expression is None:
        raise InputError("initial is a file, numbers were expected")
    return float(evaluate(expression(given.expression, {}, "initial"), {}))
