"""`[unknowns]` of a file, and the doors that equations with unknowns come in by."""

import jax.numpy as jnp
import numpy as np
import pytest
import sympy
import tomlkit

from tendency.equations.build import build
from tendency.equations.check import check
from tendency.equations.config import dump_equations, parse_equations
from tendency.equations.stability import stability
from tendency.errors import InputError
from tendency.forecasting import forecast
from tendency.grid import Axis, Grid
from tendency.symbolic.bounds import Interval
from tendency.symbolic.generated import generate
from tendency.symbolic.modes import Modes
from tendency.symbolic.system import System
from tendency.symbolic.unknowns import Combination, Field, Pointwise, Scalar, Stencil

FILE = """
[system]
coordinates = ["x"]
equations = ["d_t u = k*d_xx u - a*u*d_x u + C + S + b*d_xx u"]

[parameters]
kappa = { value = 0.01, units = "m2 s-1" }

[fields.u]
initial = "sin(2*pi*x)"
units = "m s-1"

[unknowns]
a = 1.5
b = { kind = "scalar", initial = "1/50", units = "m2 s-1" }
k = { kind = "field", initial = "kappa*(2 + sin(2*pi*x))", lower = 0, units = "m2 s-1" }
C = { kind = "combination", of = ["u", "u^3"], initial = [0.5, -0.5] }
S = { kind = "network", of = ["u", "d_x u"], width = 4, seed = 1, scales = [1, 6] }

[axes.x]
points = 12
units = "m"

[time]
dt = 0.001
steps = 4
units = "s"
"""


NO_UNITS = {"fields__u__units": None, "axes__x__units": None, "time__units": None}
NO_UNITS |= {"parameters__kappa": 0.01}


def asked(**changes):
    content = tomlkit.parse(FILE).unwrap()
    for where, value in changes.items():
        *tables, key = where.split("__")
        here = content
        for table in tables:
            here = here[table]
        here[key] = value
        if value is None:
            del here[key]
    return parse_equations(content)


def test_unknowns_of_a_file():
    built = build(parse_equations(tomlkit.parse(dump_equations(asked())).unwrap()))
    kinds = {name: type(one) for name, one in built.generated.unknowns.items()}
    expected = {"a": Scalar, "b": Scalar, "k": Field, "C": Combination, "S": Pointwise}
    assert kinds == expected
    x = built.grid.coordinates()["x"]
    k = built.generated.unknowns["k"]
    assert isinstance(k, Field)
    np.testing.assert_allclose(k.value, 0.01 * (2 + np.sin(2 * np.pi * x)), rtol=1e-12)
    found = {name: float(v) for name, v in built.generated.values.items()}
    wanted = {"kappa": 0.01, "a": 1.5, "b": 0.02, "C_1": 0.5, "C_2": -0.5}
    assert found == pytest.approx(wanted, rel=1e-14)
    told = check(built, stability(built))
    assert dict(told["unknown"])["k"] == "field, k > 0 [m2 s-1]"
    assert dict(told["unknown"])["S"] == "network of u, d_x u [1]"
    carry, _ = forecast(built.cell, built.carry, 4)
    text = "0.01*(2 + sin(2*pi*x))*d_xx u - 1.5*u*d_x u + u/2 - u^3/2 + d_xx u/50"
    known = asked(system__equations=[f"d_t u = {text}"], unknowns={}, **NO_UNITS)
    expected, _ = forecast(build(known).cell, build(known).carry, 4)
    np.testing.assert_allclose(carry.state["u"], expected.state["u"], atol=1e-13)


def test_bounds_of_a_file_are_those_of_well_posed_equations():
    unknowns = {"b": {"kind": "scalar", "initial": 1.0}}
    text = ["d_t u = kappa*(4*b - 3)*d_xx u"]
    built = build(asked(system__equations=text, unknowns=unknowns))
    assert built.generated.unknowns["b"].bounds == Interval(0.75)
    told = check(built, stability(built))["unknown"]
    assert told[1][1].endswith("it is well-posed for b > 0.75 only")
    unknowns = {"b": 0.7}
    with pytest.raises(InputError, match=r"b > 0.75 only, and b starts at 0.7"):
        build(asked(system__equations=text, unknowns=unknowns))
    smooth = {"kind": "field", "modes": [3], "initial": 2, "lower": 1}
    built = build(asked(system__equations=["d_t u = k*u"], unknowns={"k": smooth}))
    one = built.generated.unknowns["k"]
    assert isinstance(one, Modes)
    np.testing.assert_allclose(one.on_cells, np.full(12, 2.0), rtol=1e-14)
    unknowns = {"S": {"kind": "network", "of": ["u"], "reach": 2, "seed": 1}}
    text = ["d_t u = d_x S"]
    built = build(asked(system__equations=text, unknowns=unknowns))
    one = built.generated.unknowns["S"]
    assert isinstance(one, Stencil)
    assert one.function.layers[0].weight.shape == (5, 16)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"kind": "scalar", "width": 3},
            "width is given, and a scalar has in",
        ),
        ({"kind": "combination"}, "of is missing"),
        ({"kind": "network", "of": ["u"]}, "seed is missing"),
        ({"kind": "nothing"}, "unknowns.a.kind"),
        ({"kind": "scalar", "initial": [1.0]}, "initial is .*one number was expected"),
        ({"kind": "scalar", "initial": "x"}, r"unknowns.a: initial \('x'\) has 'x'"),
        (
            {"kind": "scalar", "initial": -1.0, "lower": 0.0},
            r"a: .*starts at -1",
        ),
        ({"kind": "scalar", "initial": {"file": "a.nc"}}, "initial is a file, numbers"),
        ({"kind": "field", "initial": "1/(x - x)"}, "unknowns.a.initial"),
        ({"kind": "field", "initial": [1.0]}, "unknowns.a.initial is a list"),
        ({"kind": "scalar", "units": "m"}, r"the equation of u holds -a\*u"),
    ],
)
def test_bad_tables_are_refused(table, message):
    with pytest.raises(InputError, match=message):
        build(asked(unknowns__a=table))


OF = [r"u \partial_x u", "u^2"]


def test_every_door_of_equations():
    unknowns = {"kappa": Scalar(0.3), "q": Combination(OF, 2.0)}
    grid = Grid.of(Axis("x", 8))
    x, t, kappa = sympy.symbols("x t kappa")
    u, q = (sympy.Function(n)(t, x) for n in "uq")
    doors = [
        "d_t u = kappa*d_xx u + q",
        r"\partial_t u = \kappa \partial_x^2 u + q",
        sympy.Eq(u.diff(t), kappa * u.diff(x, 2) + q),
    ]
    state = {"u": jnp.sin(2 * np.pi * grid.coordinates()["x"]) + 1}
    found = [
        np.asarray(
            generate(System.of([d], coordinates=["x"], unknowns=unknowns), grid)(state)[
                "u"
            ]
        )
        for d in doors
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
