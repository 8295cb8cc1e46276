"""Exact solutions for any system: what is left over is added to its equations."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import sympy

from tendency.grid import HALF, Axis, Grid
from tendency.symbolic.boundary import Condition, Ends
from tendency.symbolic.generated import generate
from tendency.symbolic.system import TIME, System

Exact = Mapping[str, Any]  # name -> expression of SymPy


def solution(system: System, exact: Exact) -> dict[str, Any]:
    """With the rates of the fields of second order, u_t = ∂u/∂t."""
    found = {}
    for name in system.fields:
        base, _, rate = name.rpartition("_")
        found[name] = exact.get(name)
        if found[name] is None:
            found[name] = sympy.diff(exact[base], TIME, len(rate))
    return found


def manufactured(system: System, exact: Exact, given: Exact | None = None) -> System:
    """The system with forcing expressions that make `exact` its solution.

    `given` holds the expressions of its constants and forcings.
    """
    names = solution(system, exact) | dict(given or {})
    known = (*system.prognostic, *system.constants, *system.forcings)
    values = {f: names[f.func.__name__] for f in known}
    equations = {}
    for field, tendency in system.prognostic.items():
        full = tendency
        for _ in system.diagnostic:
            full = full.xreplace(dict(system.diagnostic))
        rest = sympy.diff(values[field], TIME) - full.subs(values).doit()
        equations[field] = tendency + rest
    return system._replace(prognostic=equations)


def offsets_of(system: System, grid: Grid, staggered=None) -> dict[str, list[Fraction]]:
    """Where each field stands in its cell."""
    along = {name: (staggered or {}).get(name, ()) for name in system.fields}
    return {
        name: [HALF if a.name in axes else Fraction(0) for a in grid.axes]
        for name, axes in along.items()
    }


def sampled(expression, system: System, grid: Grid, offsets=None, t: float = 0.0):
    """Its values where a field stands."""
    places = grid.coordinates(offsets)
    function = sympy.lambdify((TIME, *system.coordinates), expression, "numpy")
    shape = np.broadcast_shapes(*(p.shape for p in places.values()))
    values = np.asarray(function(t, *places.values()), float)
    return jnp.asarray(np.broadcast_to(values, shape))


def conditions(
    kinds: Sequence[tuple[float, float]], exact, axis: Axis, symbol: sympy.Symbol
) -> Ends:
    """Those that `exact` obeys; each kind is a value and a slope."""
    ends = []
    for (a, b), sign, edge in zip(
        kinds, (-1, 1), (axis.lower, axis.upper), strict=True
    ):
        along = a * exact + b * sign * sympy.diff(exact, symbol)
        ends.append(Condition(a, b, along.subs(symbol, sympy.nsimplify(edge))))
    return Ends(*ends)


def walls(system: System, grid: Grid, exact: Exact, kinds=((1.0, 0.0), (1.0, 0.0))):
    """The same kinds of conditions for all fields on all bounded axes."""
    return {
        name: {
            axis.name: conditions(kinds, value, axis, symbol)
            for axis, symbol in zip(grid.axes, system.coordinates, strict=True)
            if not axis.periodic
        }
        for name, value in solution(system, exact).items()
    }


def residual(system: System, grid: Grid, method, exact: Exact, *, given=None, **how):
    """Field by field the largest error of the tendency of the solution, at t = 0."""
    exact = solution(system, exact)
    tendency = generate(manufactured(system, exact, given), grid, method, **how)
    places = offsets_of(system, grid, how.get("staggered"))
    state = {n: sampled(e, system, grid, places[n]) for n, e in exact.items()}
    forcing = {n: jnp.asarray(0.0) for n in tendency.forcings}
    found = jax.jit(lambda x: tendency(x, forcing))(state)
    slopes = {n: sympy.diff(e, TIME) for n, e in exact.items()}
    return {
        n: float(abs(found[n] - sampled(e, system, grid, places[n])).max())
        for n, e in slopes.items()
    }


def order_of(errors: Sequence[float], points: Sequence[int]) -> float:
    """How the error falls between the last two."""
    return float(np.log(errors[-2] / errors[-1]) / np.log(points[-1] / points[-2]))
