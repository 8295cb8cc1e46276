"""The order in time of every scheme, on manufactured problems of ready systems.

The solutions are polynomials of x between walls, or waves on periodic axes, that the
discretisation represents exactly: all that is left is the error of the steps. What is
added to the equations and what holds at the walls vary with time, and are asked for at
the stages.
"""

import diffrax
import jax.numpy as jnp
import pytest
import sympy
from manufactured import manufactured, order_of, state_of, walls

from tendency.cell import Carry
from tendency.forecasting import forecast
from tendency.grid import Axis, Grid
from tendency.integrate import (
    Diffrax,
    Integrated,
    adams_bashforth3,
    dormand_prince5,
    euler,
    rk4,
    ssprk3,
)
from tendency.physics import nonlinear_waves as waves
from tendency.physics.shallow_water import shallow_water, wave
from tendency.stiff import ETDRK4, IMEXRungeKutta, ars222
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import generate
from tendency.symbolic.spectral import Spectral, linear_part
from tendency.symbolic.system import TIME

END = 0.5
X, Y = sympy.symbols("x y", real=True)
PI = sympy.pi
PULSE = 1 + sympy.sin(3 * TIME) / 2


def burgers_between_walls():
    """Dirichlet and Robin, at order 4, which is exact for u = (8 + 4 x + x²) g(t)."""
    system, grid = waves.burgers(0.05), Grid.of(Axis("x", 8, periodic=False))
    exact = {"u": (2 + X + X**2 / 4) * PULSE / 2}
    forced = manufactured(system, exact)
    ends = walls(system, grid, exact, ((1.0, 0.0), (2.0, 3.0)))
    return system, grid, exact, generate(forced, grid, Differences(4), boundaries=ends)


def waves_between_walls():
    """Of second order in time, Neumann and Dirichlet conditions."""
    system, grid = wave(), Grid.of(Axis("x", 8, periodic=False))
    exact = {"u": (2 - X + X**3 / 4) * PULSE}
    forced = manufactured(system, exact)
    ends = walls(system, grid, exact, ((0.0, 1.0), (1.0, 0.0)))
    return system, grid, exact, generate(forced, grid, Differences(4), boundaries=ends)


def water_by_transforms():
    system = shallow_water(3.0, 1.5, 0.0, 0.01)
    grid = Grid.of(Axis("x", 8), Axis("y", 8))
    exact = {
        name: 2 + sympy.sin(2 * PI * (X + k * Y) + 3 * TIME + k) / 2
        for k, name in enumerate("huv")
    }
    forced = manufactured(system, exact)
    return system, grid, exact, generate(forced, grid, Spectral())


def burgers_by_transforms():
    system, grid = waves.burgers(0.02), Grid.of(Axis("x", 12))
    exact = {"u": 1 + sympy.sin(2 * PI * X - 3 * TIME) / 2}
    return system, grid, exact, generate(manufactured(system, exact), grid, Spectral())


def stiff(make):
    return lambda system, grid, h: make(linear_part(system, grid), h)


def plain(scheme):
    return lambda system, grid, h: scheme


SCHEMES = {  # and its order
    "euler": (plain(euler), 1),
    "ssprk3": (plain(ssprk3), 3),
    "rk4": (plain(rk4), 4),
    "dormand_prince5": (plain(dormand_prince5), 5),
    "adams_bashforth3": (plain(adams_bashforth3), 3),
    "diffrax": (plain(Diffrax(diffrax.Bosh3())), 3),
    "ars343": (stiff(IMEXRungeKutta.of), 3),
    "ars222": (stiff(lambda part, h: IMEXRungeKutta.of(part, h, ars222)), 2),
    "etdrk4": (stiff(ETDRK4.of), 4),
}


def error(problem, make, steps):
    system, grid, exact, tendency = problem
    h = END / steps
    scheme = make(system, grid, h)
    cell = Integrated(tendency, h, scheme)
    carry = cell.init(state_of(system, grid, exact))
    if scheme is adams_bashforth3:  # it would start at a lower order, once
        past = [state_of(system, grid, slopes(exact), t=-k * h) for k in (1, 2)]
        carry = Carry(carry.state, (*past, jnp.asarray(2, jnp.int32)))
    times = {"t": jnp.linspace(0.0, END, steps + 1)}
    carry, _ = forecast(cell, carry, steps, times, save=nothing)
    truth = state_of(system, grid, exact, t=END)
    return max(float(abs(carry.state[n] - x).max()) for n, x in truth.items())


def slopes(exact):
    return {name: sympy.diff(e, TIME) for name, e in exact.items()}


def nothing(carry):
    return None


CASES = [
    *[(burgers_between_walls, name) for name in list(SCHEMES)[:6]],
    *[(burgers_by_transforms, name) for name in list(SCHEMES)[6:]],
    (waves_between_walls, "ssprk3"),
    (water_by_transforms, "rk4"),
]


STEPS = {
    1: (200, 400),
    2: (100, 200),
    3: (40, 80),
    4: (40, 80),
    5: (80, 160),
    # where the error of the next order still shows
    (burgers_between_walls, "rk4"): (160, 320),
    (waves_between_walls, "ssprk3"): (160, 320),
    (water_by_transforms, "rk4"): (80, 160),
}


@pytest.mark.parametrize(("make_problem", "name"), CASES)
def test_order_in_time(make_problem, name):
    make, order = SCHEMES[name]
    problem = make_problem()
    steps = STEPS.get((make_problem, name), STEPS[order])
    errors = [error(problem, make, n) for n in steps]
    assert order_of(errors, steps) == pytest.approx(order, abs=0.1)
