"""Equations as SymPy objects, as one writes them in a notebook."""

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
        equation = sympy.Eq(U.diff(TIME), right)
    with pytest.raises(InputError, match=message):
        generate(System.of([equation], coordinates=["x"]), GRID, method)
