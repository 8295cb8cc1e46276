"""Exact solutions for any system: what is left over is added to its equations."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import scipy.sparse.linalg
import sympy

from tendency.grid import HALF, Axis, Grid
from tendency.symbolic.boundary import Condition, Ends
from tendency.symbolic.generated import Generated, generate
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


def tendencies(system: System, exact: Exact, given: Exact | None = None) -> Exact:
    """What the right sides of the equations are where `exact` is put into them.

    `given` holds the expressions of constants, forcings and the fields of `unknown`.
    """
    names = solution(system, exact) | dict(given or {})
    known = (*system.prognostic, *system.constants, *system.forcings, *system.unknown)
    values = {f: names[f.func.__name__] for f in known}
    found = {}
    for field, full in system.prognostic.items():
        for _ in system.diagnostic:
            full = full.xreplace(dict(system.diagnostic))
        found[field.func.__name__] = full.subs(values).doit()
    return found


def manufactured(system: System, exact: Exact, given: Exact | None = None) -> System:
    """The system with forcing expressions that make `exact` its solution."""
    values, slopes = solution(system, exact), tendencies(system, exact, given)
    equations = {}
    for field, tendency in system.prognostic.items():
        name = field.func.__name__
        equations[field] = tendency + sympy.diff(values[name], TIME) - slopes[name]
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
    whole = sympy.sympify(expression).xreplace(dict(system.parameters))
    function = sympy.lambdify((TIME, *system.coordinates), whole, "numpy", cse=True)
    shape = np.broadcast_shapes(*(p.shape for p in places.values()))
    values = np.asarray(function(t, *places.values()), float)
    return jnp.asarray(np.broadcast_to(values, shape))


def state_of(system: System, grid: Grid, exact: Exact, staggered=None, t: float = 0.0):
    """The state that `exact` is at a time."""
    places = offsets_of(system, grid, staggered)
    values = solution(system, exact)
    return {n: sampled(e, system, grid, places[n], t) for n, e in values.items()}


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
    """Field by field the largest error of the tendency of the solution, at t = 0.

    What `manufactured` adds cancels, and is left out.
    """
    tendency = generate(system, grid, method, **how)
    places = offsets_of(system, grid, how.get("staggered"))
    state = state_of(system, grid, exact, how.get("staggered"))
    found = jax.jit(lambda x: tendency(x, at_rest(tendency)))(state)
    slopes = tendencies(system, exact, given)
    return {
        n: float(abs(found[n] - sampled(e, system, grid, places[n])).max())
        for n, e in slopes.items()
    }


def at_rest(tendency: Generated, t: float = 0.0) -> dict[str, jax.Array]:
    """A forcing of zeros, but for the time."""
    zeros = {n: jnp.zeros(()) for n in tendency.forcings}
    return zeros | {"t": jnp.asarray(t)}


def order_of(errors: Sequence[float], points: Sequence[int]) -> float:
    """How the error falls between the last two."""
    return float(np.log(errors[-2] / errors[-1]) / np.log(points[-1] / points[-2]))


def left_in_the_solution(
    system: System, grid: Grid, method, exact: Exact, *, given=None, rate=1.0, **how
) -> dict[str, float]:
    """The error of a solution, field by field in the mean square.

    What the tendency J is in error by at t = 0, τ, forces an error e that grows at
    `rate`: (rate - J') e = τ, which GMRES solves. Beside a boundary τ is of a lower
    order than e, so that `residual` would not do.
    """
    tendency = generate(system, grid, method, **how)
    staggered = how.get("staggered")
    places, forcing = offsets_of(system, grid, staggered), at_rest(tendency)
    state, back = jax.flatten_util.ravel_pytree(
        state_of(system, grid, exact, staggered)
    )
    slopes = {
        n: sampled(e, system, grid, places[n])
        for n, e in tendencies(system, exact, given).items()
    }
    flat = jax.flatten_util.ravel_pytree

    @jax.jit
    def slope(x, change):
        """And that of a change of x."""
        return jax.jvp(lambda x: flat(tendency(back(x), forcing))[0], (x,), (change,))

    operator = scipy.sparse.linalg.LinearOperator(
        (state.size, state.size),
        lambda e: rate * e - np.asarray(slope(state, jnp.asarray(e, float))[1]),
    )
    off = np.asarray(slope(state, state)[0] - flat(slopes)[0])
    found, unsolved = scipy.sparse.linalg.gmres(
        operator, off, rtol=1e-6, restart=400, maxiter=2
    )
    assert not unsolved
    errors = back(jnp.asarray(found))
    return {n: float(jnp.sqrt((e**2).mean())) for n, e in errors.items()}
