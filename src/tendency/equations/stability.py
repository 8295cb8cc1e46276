"""Floor 5: how long a step may be, estimated at the initial state.

The advective CFL number |a| dt/h and the diffusion number D dt/h² are read off the
equations: a and D are the spectral radii of the matrices in front of the first and of
the second derivatives of the fields. Whether the scheme is stable is asked of the
discretised tendency itself (`eigenvalues`).
"""

import contextlib
import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Float
from sympy.core.function import AppliedUndef

from tendency.equations.build import Built
from tendency.equations.eigenvalues import longest_step
from tendency.equations.expressions import Expr, evaluate
from tendency.errors import InputError
from tendency.symbolic.lowering import defined
from tendency.symbolic.system import TIME


class Stability(NamedTuple):
    """What is known of the step; `None` where it cannot be said."""

    advective: dict[str, float] | None  # |a| dt/h by axis
    diffusive: dict[str, float] | None  # D dt/h² by axis
    largest: float | None  # dt of the longest stable step found [time.units]

    def warning(self, built: Built) -> str | None:
        """A sentence, if the step is too long."""
        time = built.asked.time
        if self.largest is None or time.dt <= self.largest:
            return None
        numbers = "; ".join(self.said())
        return (
            f"dt = {time.dt:g} is beyond what {time.scheme} holds stable at the "
            f"initial state{f' ({numbers})' if numbers else ''}: take dt = "
            f"{_floored(self.largest):.2g} or less"
        )

    def said(self) -> list[str]:
        """The numbers, in words."""
        both = (("CFL number", self.advective), ("diffusion number", self.diffusive))
        return [
            f"{what} {', '.join(f'{v:.2g} along {axis}' for axis, v in found.items())}"
            for what, found in both
            if found
        ]


def _floored(dt: float) -> float:
    """To two digits, downwards."""
    unit = 10.0 ** (math.floor(math.log10(dt)) - 1)
    return math.floor(dt / unit * (1 + 1e-12)) * unit


def stability(built: Built) -> Stability:
    """Estimate the numbers of the step."""
    advective = diffusive = None
    if not built.system.implicit:  # their fields are not known yet
        with contextlib.suppress(InputError):  # a function without a derivative
            advective, diffusive = (_number(built, order) for order in (1, 2))
    forcing = built.forcing or {}
    first = {name: jnp.asarray(values[0]) for name, values in forcing.items()}
    return Stability(
        advective, diffusive, longest_step(built.cell, built.state, first or None)
    )


def _number(built: Built, order: int) -> dict[str, float]:
    """The largest ρ(∂G/∂(∂ⁿu)) dt / hⁿ, by axis."""
    known = defined(built.system)
    fields = list(built.system.prognostic)
    tendencies = [
        sympy.expand(built.system.prognostic[f].xreplace(known).doit()) for f in fields
    ]
    found = {}
    for symbol, axis in zip(built.system.coordinates, built.grid.axes, strict=True):
        matrix = [
            [_slope(g, sympy.Derivative(f, (symbol, order))) for f in fields]
            for g in tendencies
        ]
        if all(entry == 0 for row in matrix for entry in row):
            continue
        with np.errstate(all="ignore"):
            values = [[_values(entry, built) for entry in row] for row in matrix]
        shape = np.broadcast_shapes(*(v.shape for row in values for v in row))
        full = [[np.broadcast_to(v, shape).ravel() for v in row] for row in values]
        matrices = np.moveaxis(np.array(full), -1, 0)
        finite = np.isfinite(matrices).all(axis=(1, 2))
        if finite.any():
            radius = np.abs(np.linalg.eigvals(matrices[finite])).max()
            found[axis.name] = float(radius * built.cell.dt / axis.spacing**order)
    return {axis: value for axis, value in found.items() if value > 0}


def _slope(tendency: Expr, derivative: Expr) -> Expr:
    mark = sympy.Dummy("slope", real=True)
    return sympy.diff(tendency.xreplace({derivative: mark}), mark).xreplace(
        {mark: derivative}
    )


def _values(node: Expr, built: Built) -> Float[np.ndarray, "..."]:
    """On the cells, at the initial state."""
    names: dict[Expr, Any] = {TIME: built.asked.time.start}
    names |= dict(built.system.parameters)
    coordinates = built.grid.coordinates()
    names |= {s: coordinates[str(s)] for s in built.system.coordinates}
    for field in node.atoms(AppliedUndef):
        names[field] = _on_cells(field, built)
    for slope in node.atoms(sympy.Derivative):
        if not isinstance(slope.expr, AppliedUndef):
            raise InputError(f"{slope} has no estimate")
        values = _on_cells(slope.expr, built)
        for by in slope.variables:
            values = _derivative(values, built.system.coordinates.index(by), built)
        names[slope] = values
    return np.asarray(evaluate(node, names), float)


def _on_cells(field: Expr, built: Built) -> Any:
    name = field.func.__name__
    constants = built.generated.constants.value
    if name in constants:
        return np.asarray(constants[name])
    if built.forcing is not None and name in built.forcing:
        return built.forcing[name][0]
    if name not in built.state:
        raise InputError(f"{name} is not known at the start")
    values = np.asarray(built.state[name])
    for i, (axis, offset) in enumerate(
        zip(built.grid.axes, built.offsets[name], strict=True)
    ):
        if offset == 0:
            continue
        if not axis.periodic:
            pad = [(int(j == i), int(j == i)) for j in range(values.ndim)]
            values = np.pad(values, pad, mode="edge")
            low, high = np.arange(axis.points), np.arange(1, axis.points + 1)
            values = (values.take(low, i) + values.take(high, i)) / 2
        else:
            values = (values + np.roll(values, 1, i)) / 2
    return values


def _derivative(values: Any, i: int, built: Built) -> Any:
    axis = built.grid.axes[i]
    if np.shape(values)[i] == 1:
        return np.zeros_like(values)
    if axis.periodic:
        return (np.roll(values, -1, i) - np.roll(values, 1, i)) / (2 * axis.spacing)
    return np.gradient(values, axis.spacing, axis=i)
