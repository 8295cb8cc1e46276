"""Equations as SymPy objects, as one writes them in a notebook."""

from typing import Any

import pytest
import sympy

from tendency.errors import InputError
from tendency.grid import Axis, Grid
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import generate
from tendency.symbolic.spectral import Spectral
from tendency.symbolic.system import TIME, System

X = sympy.Symbol("x", real=True)
U = sympy.Function("u", real=True)(TIME, X)
GRID = Grid.of(Axis("x", 8))
EQ: Any = sympy.Eq  # which may come to true or false, and to another type
FINITE = "hold the number .*and a finite real number"


@pytest.mark.parametrize("method", [Differences(), Spectral()], ids=["points", "waves"])
@pytest.mark.parametrize(
    ("right", "message"),
    [
        ("exp(exp(exp(1000)))*u", FINITE),
        ("exp(1000)*u", FINITE),
        (10**400 * U, FINITE),
        (sympy.Rational(10**400, 3) * U, FINITE),
        (sympy.oo * U, FINITE),
        (sympy.I * U.diff(X), "equation of u holds the imaginary unit"),
        (sympy.erf(U), "cannot be discretised: use sin, cos, tan, asin, acos, atan, "),
    ],
)
def test_numbers_that_no_array_holds_are_refused(right, message, method):
    equation = f"d_t u = {right}"
    if not isinstance(right, str):
        equation = EQ(U.diff(TIME), right)
    with pytest.raises(InputError, match=message):
        generate(System.of([equation], coordinates=["x"]), GRID, method)


def test_symbols_and_functions_are_known_by_their_names():
    """Whatever they assume, and in whatever order a field has its arguments."""
    x, t, k = sympy.symbols("x t k")
    h, f = sympy.Function("h")(x), sympy.Function("f")(t)
    written = "d_t u = k*d_xx u - d_x(u**2/2) + h*u + f"
    declared = {"coordinates": ["x"], "parameters": {"k": 1.0}}
    declared |= {"constants": ["h"], "forcings": ["f"]}
    expected = System.of([written], **declared)
    for u in (sympy.Function("u")(t, x), sympy.Function("u", positive=True)(x, t)):
        flux = sympy.Derivative(u**2 / 2, x)
        right = k * u.diff(x, 2) - flux + h * u + f
        found = System.of([EQ(u.diff(t), right)], **declared)
        assert found._replace(written=()) == expected._replace(written=())


def test_a_field_at_another_place_is_none_of_the_equations():
    x, t = sympy.symbols("x t")
    u = sympy.Function("u")
    with pytest.raises(InputError, match=r"equation of u holds u\(t, x \+ 1\), which"):
        System.of([EQ(u(t, x).diff(t), u(t, x + 1))], coordinates=["x"])
