"""Units: those given in a file agree, or a sentence says where they do not."""

import tomllib

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from test_symbolic_grammar import LEAVES, branches, printed, text

from tendency.equations.build import build
from tendency.equations.check import check
from tendency.equations.config import dump_equations, parse_equations
from tendency.equations.stability import stability
from tendency.errors import InputError
from tendency.symbolic.dimensions import require_same_units
from tendency.symbolic.system import System
from tendency.symbolic.units import unit_of
from tendency.symbolic.written import written

UNITS = {
    "u": "m s-1",
    "v": "m s-1",
    "T": "K",
    "S": "degC",
    "x": "m",
    "y": "km",
    "t": "s",
    "kappa": "m2 s-1",
    "days": "days",
    "L": "m",
    "one": "1",
    "angle": "degrees",
    "beta": "m-1 s-1",
}


def agree(equation, unknown=(), more=(), **units):
    """Whether the units of an equation agree."""
    equations = [equation, *more]
    names = [
        n for n in ("kappa", "days", "L", "one", "angle", "beta") if n in str(equations)
    ]
    system = System.of(
        equations,
        coordinates=["x", "y"],
        parameters=dict.fromkeys(names, 1.0),
        constants=[n for n in ("v", "T0", "S0") if n in str(equations)],
        unknown=unknown,
    )
    require_same_units(system, UNITS | units)


GOOD = [
    "d_t u = kappa*d_xx u - u*d_x u",
    "d_t u = -d_x(u^2/2) + d_x(kappa*d_x u)",
    "d_t u = -v*d_y(u)*0 + abs(v)*d_x u",
    "d_t u = sqrt(kappa)*d_x(sqrt(u*L))*u/L - u^3/kappa",
    "d_t u = max(u, 0)*d_x u + min(u, v)*d_x v + sign(u)*u*v/L",
    "d_t u = u*sin(2*pi*x/L)*d_x u*exp(-t*u/L)",
    "d_t u = sin(one)^one*kappa*d_xx u + one^2*u^2/L",
    "d_tt u = u^2*d_xx u/one",
    "d_t S = kappa*d_xx S - v*(d_x S + S/L)",
    "d_t u = (T0 + kappa)*d_xx u",  # T0 has no units
    "d_t u = J_xy(u*L, v)*one/1*0 + kappa*d_xx u",
    "d_t u = (u - mean(u))*u/L",
    "d_t u = 0",
]


@pytest.mark.parametrize("equation", GOOD)
def test_units_that_agree(equation):
    agree(equation)


BAD = {
    "d_t u = kappa*d_x u": r"the equation of u holds kappa\*d_x u, in m2 s-2, beside "
    "d_t u, in m s-2: correct the terms or the units",
    "d_t u = -d_x u": r"holds -d_x u, in s-1, beside d_t u, in m s-2.*a number has no",
    "d_t u = v*d_y u": "m2 km-1 s-2, beside d_t u, in m s-2: they differ by a factor "
    "of 0.001, and numbers are not converted, so give both in the same units",
    "d_t u = v/days": "m d-1 s-1.*a factor of 1.15741e-05",
    "d_t u = u*sin(x)": r"holds x, an argument of sin, in m, and one without units was "
    "expected: divide it by a parameter",
    "d_t u = u^2/L*cos(angle)": "angle, an argument of cos, in .*a factor of 0.0174533",
    "d_t u = u^2/L*2^x": "holds x, an exponent, in m",
    "d_t u = u^one": r"raises u, in m s-1, to the power one, which is no number",
    "d_t u = kappa*d_xx u + max(u, x)": r"the equation of u holds .*, beside",
    "d_t u = max(u, 1)*d_x u": "beside",
    "d_t u = mean(u)": r"holds mean\(u\), in m s-1",
    "d_t u = 1": "holds 1, in 1, beside d_t u",
    "d_t u = (kappa + L)*d_xx u": "the equation of u holds",
    "d_tt u = d_xx u": "the equation of u_t holds d_xx u, in m-1 s-1, beside d_t u_t",
    "d_t T = kappa*d_xx T*(S - T)/T": "the equation of T holds.*their zeros differ",
}


@pytest.mark.parametrize("equation", BAD)
def test_units_that_do_not(equation):
    more = ["d_t S = 0"] if "S" in equation else []
    with pytest.raises(InputError, match=BAD[equation]):
        agree(equation, more=more)


def test_what_is_defined_by_equations_has_units_too():
    vorticity = "d_t q = -J_xy(psi, q) - beta*d_x psi"
    inversion = "d_xx psi + d_yy psi = q"
    units = {"q": "s-1", "y": "m"}
    agree(inversion, ["psi"], [vorticity], **units)
    wrong = vorticity.replace("d_x psi", "psi")
    with pytest.raises(InputError, match=r"the equation of q holds -?beta\*psi"):
        agree(inversion, ["psi"], [wrong], **units)
    agree("d_t u = w/L", more=["w = u*v"])  # w follows: m2 s-2
    with pytest.raises(InputError, match="the equation of u holds w, in m2 s-2"):
        agree("d_t u = w", more=["w = u*v"])


@pytest.mark.parametrize(
    "unit",
    [
        "m2 s-1",
        "m s-1",
        "K",
        "degC",
        "W m-2",
        "1/s",
        "m/s**2",
        "hPa",
        "days",
        "m^2/s",
        "",
        "degrees_north",
        "psu",
        "kg m-3",
        "%",
    ],
)
def test_units_that_are_read(unit):
    assert unit_of(unit, "u") == unit_of(f" {unit} ".strip(), "u")


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        (
            "meterz",
            "u has the units 'meterz', and meterz is no known unit: did you mean meter",
        ),
        ("K s-1 foo", 'foo is no known unit: write it like "m2 s-1"'),
        ("1e-3", "which are no units"),
        ("(m", "which are no units"),
        ("__import__('os')", "has the units"),
        ("m" * 500, "has the units"),
        ("m**m**m**m", "has the units"),
        ("seconds since 2000-01-01", "has the units"),
    ],
)
def test_units_that_are_not(unit, said):
    with pytest.raises(InputError, match=said):
        unit_of(unit, "u")


HEAT = """
[system]
name = "heat"
coordinates = ["x"]
equations = ["d_t T = d_x(k*d_x T) + Q"]
[parameters]
width = { value = 0.1, units = "m" }
warm = { value = 280, units = "K" }
[fields.T]
initial = "warm + exp(-((x - 0.5)/width)^2)"
units = "K"
boundary.x = { lower.dirichlet = "warm + 5*sin(t)", upper.neumann = "warm/width" }
[constants.k]
values = "0.1 + 0.05*x"
units = "m2 s-1"
[forcings.Q]
values = "cos(t)"
units = "K s-1"
[axes.x]
points = 8
periodic = false
units = "m"
[time]
dt = 0.001
steps = 2
units = "s"
"""


def test_a_file_whose_units_agree():
    found = build(parse_equations(tomllib.loads(HEAT)))
    assert ("units", "agree") in check(found, stability(found))["equations"]
    bare = HEAT.replace('units = "K s-1"', "")
    found = build(parse_equations(tomllib.loads(bare)))
    said = dict(check(found, stability(found))["equations"])["units"]
    assert said == "agree where they are given (not for Q)"
    again = parse_equations(tomllib.loads(dump_equations(found.asked)))
    assert again.forcings["Q"].units is None  # the default is not "1"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"K s-1"', '"K"', "the equation of T holds Q, in K, beside"),
        ('"K s-1"', '"1"', "holds Q, in 1, beside"),
        ('units = "s"', 'units = "days"', "a factor of 86400|a factor of 1.157"),
        (
            '280, units = "K"',
            '280, units = "m"',
            "fields.T.initial is .* in m, and K was",
        ),
        (
            '280, units = "K"',
            '280, units = "degC"',
            "T.initial is .*their zeros differ",
        ),
        ("warm/width", "warm*width", "boundary.x is warm.width, in K m, and K m-1 was"),
        ("(x - 0.5)", "(x - warm)", "fields.T.initial holds .* beside"),
        ('units = "m2 s-1"', 'units = "m2 sec s"', "k|beside"),
        ('units = "m2 s-1"', 'units = "meterz2"', "k has the units"),
    ],
)
def test_a_file_whose_units_do_not(old, new, said):
    assert old in HEAT
    with pytest.raises(InputError, match=said):
        build(parse_equations(tomllib.loads(HEAT.replace(old, new))))


def test_without_units_all_goes():
    bare = "\n".join(line for line in HEAT.splitlines() if "units" not in line)
    bare = bare.replace(
        "[fields.T]", "[parameters]\nwidth = 1\nwarm = 280\n[fields.T]", 1
    )
    bare = bare.replace("[parameters]\n", "", 1)
    found = build(parse_equations(tomllib.loads(bare)))
    assert "units" not in dict(check(found, stability(found))["equations"])


@given(st.recursive(LEAVES, branches, max_leaves=8))
def test_what_is_written_is_read_as_the_same(tree):
    try:
        found = text(printed(tree))
    except InputError:
        return
    if found.has(sympy.Derivative) and "d_t" in written(found, 10_000):
        return  # no grammar of expressions holds it
    assert text(written(found, 10_000)) == found
