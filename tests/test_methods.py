"""A method for each equation: its own stencils and ghosts, told truly."""

import tomllib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from manufactured import order_of, residual

from tendency.equations.build import build, methods
from tendency.equations.check import check
from tendency.equations.config import dump_equations, parse_equations
from tendency.equations.integration import dataset_of, integrals, integrate
from tendency.equations.stability import stability
from tendency.errors import InputError
from tendency.grid import Axis, Grid
from tendency.symbolic.boundary import dirichlet, neumann, robin
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import generate
from tendency.symbolic.methods import methods_of, said
from tendency.symbolic.spectral import Spectral
from tendency.symbolic.system import TIME, System

X = sympy.Symbol("x", real=True)
WAVES = System.of(
    [
        "d_t u = -c*d_x(v) + w*d_xx u",
        "d_t v = -c*d_x(u)",
        "d_t w = -u*d_x w - d_x(u*w)",
    ],
    coordinates=["x"],
    parameters={"c": 2.0},
)
METHODS = {
    "u": Differences(6),
    "w": Differences(4, upwind=True, flux="minmod"),
}


@pytest.mark.parametrize("periodic", [True, False])
def test_each_equation_is_as_if_all_had_its_method(periodic):
    """They share sub-expressions and fields, whose ghosts differ with the order."""
    grid = Grid.of(Axis("x", 24, periodic=periodic))
    ends = {} if periodic else {"x": (robin(1.0, 2.0, 0.5), dirichlet("sin(t)"))}
    boundaries = {} if periodic else {"u": ends, "v": ends, "w": {"x": neumann()}}

    def change(method):
        f = generate(WAVES, grid, method, boundaries=boundaries)
        forcing = {name: jnp.asarray(0.3) for name in f.forcings}
        rng = np.random.default_rng(0)
        state = {name: jnp.asarray(rng.normal(size=24)) for name in "uvw"}
        return jax.jit(lambda x: f(x, forcing))(state)

    found = change(METHODS)
    for name, method in (METHODS | {"v": Differences()}).items():
        alone = change(method)[name]
        np.testing.assert_allclose(found[name], alone, rtol=1e-12, atol=1e-12)
    assert np.abs(found["u"] - change(Differences())["u"]).max() > 0.1


def test_every_equation_has_the_order_that_it_asks_for():
    wave = 2 + sympy.sin(2 * sympy.pi * X + TIME)
    system = System.of(
        ["d_t u = -u*d_x v + d_xx u", "d_t v = -d_x(u*v)", "d_t w = -v*d_x w"],
        coordinates=["x"],
    )
    methods = {"u": Differences(4), "v": Differences(8), "w": Differences(2, True)}
    points = (40, 60)
    errors = [
        residual(
            system, Grid.of(Axis("x", n)), methods, dict.fromkeys(system.fields, wave)
        )
        for n in points
    ]
    for name, method in methods.items():
        found = order_of([e[name] for e in errors], points)
        assert found == pytest.approx(method.order, abs=0.1), name


def test_the_source_says_the_method_of_each_equation():
    text = generate(WAVES, Grid.of(Axis("x", 24)), METHODS).source()
    assert (
        "By equation,\n"
        "    u: central differences of order 6\n"
        "    v: central differences of order 2\n"
        "    w: differences of order 4, upwind for transport, finite-volume fluxes by "
        "minmod\n"
        "on\n    x: 24 points"
    ) in text
    one = generate(WAVES, Grid.of(Axis("x", 24)), Differences(4, flux="minmod"))
    central = "central differences of order 4"
    assert one.methods == (
        ("u, v", central),
        ("w", f"{central}, finite-volume fluxes by minmod"),
    )
    plain = System.of(["d_t u = d_xx u"], coordinates=["x"])
    for asked in (Differences(4, upwind=True), Differences(4, flux="weno5")):
        one = generate(plain, Grid.of(Axis("x", 24)), asked)
        assert "\nCentral differences of order 4 on\n" in one.source()
    assert said(Differences(8, True)) == "differences of order 8, upwind for transport"


@pytest.mark.parametrize(
    ("right", "asked", "message"),
    [
        (
            "-u*d_x u",
            Differences(flux="weno5"),
            r"flux = weno5 is asked for.*holds -u\*d_x u, write it so, as -d_x\(u\*\*2",
        ),
        (
            "-d_x(u**2/2)",
            Differences(upwind=True),
            r"upwind = true is asked for.*holds -d_x\(u\*\*2/2\), write.*as -u\*d_x u",
        ),
    ],
)
def test_what_is_asked_for_and_of_no_use_is_refused(right, asked, message):
    """Unless another equation has a use for it."""
    grid, equation = Grid.of(Axis("x", 24)), f"d_t u = {right}"
    with pytest.raises(InputError, match=message):
        generate(System.of([equation], coordinates=["x"]), grid, asked)
    other = "d_t c = -u*d_x c" if asked.upwind else "d_t c = -d_x(u*c)"
    both = generate(System.of([equation, other], coordinates=["x"]), grid, asked)
    assert both.methods == (("u", said(Differences())), ("c", said(asked)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"q": Differences()},
            "method is given for q, and the prognostic fields are u",
        ),
        ({"u": Spectral()}, "method of u is Spectral.*the spectral method takes the"),
        ({"u": Differences(3)}, "order of the differences is 3, one of 2, 4, 6, 8 was"),
        (Differences(flux="van Leer"), "flux of the differences is 'van Leer', one of"),  # pyright: ignore
    ],
)
def test_what_is_no_method_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        methods_of(WAVES, Grid.of(Axis("x", 24)), given)


# In a file

TRACERS = """
[system]
name = "tracers"
coordinates = ["z"]
equations = ["d_t T = d_z(k*d_z T)", "d_t c = -d_z(w*c)"]
[parameters]
k = 0.01
w = 0.5
[fields.T]
initial = "exp(2*z)"
boundary.z = { neumann = 0 }
method = { differences = 2 }
[fields.c]
initial = "1 + tanh(20*(z + 0.5))"
boundary.z = { lower = { dirichlet = 0 }, upper = { neumann = 0 } }
method = { flux = "minmod" }
[axes.z]
points = 40
lower = -1
upper = 0
periodic = false
units = "m"
stretch = "1 - exp(-3*s)"
[method]
differences = 4
[time]
dt = 0.0005
steps = 100
every = 50
"""


def tracers(**changes):
    content = tomllib.loads(TRACERS)
    for key, value in changes.items():
        *tables, last = key.split("__")
        here = content
        for table in tables:
            here = here.setdefault(table, {})
        here[last] = value
    return parse_equations(content)


def test_a_file_asks_for_methods_and_a_stretch():
    asked = tracers()
    assert methods(asked) == {
        "T": Differences(2),
        "c": Differences(4, flux="minmod"),
    }
    assert parse_equations(tomllib.loads(dump_equations(asked))) == asked
    built = build(asked)
    rows = {
        what: how
        for rows in check(built, stability(built)).values()
        for what, how in rows
    }
    lengths = built.grid.axes[0].lengths()
    assert f"spacing {lengths.min():.4g} to {lengths.max():.4g} as 1 - exp" in rows["z"]
    both = (
        "T: central differences of order 2; c: central differences of order 4, "
        "finite-volume fluxes by minmod"
    )
    assert rows["method"] == f"{both}, rk4"
    ran = integrate(built)
    dataset = dataset_of(built, ran)
    assert dataset.attrs["method"].startswith(both)
    np.testing.assert_array_equal(dataset["z"], built.grid.axes[0].positions())
    sums = integrals(built, ran)
    np.testing.assert_allclose(sums["T"][0], (1 - np.exp(-2)) / 2, rtol=1e-3)
    assert sums["T"][-1] == pytest.approx(sums["T"][0], rel=1e-13)
    assert ran.states["c"].max() < 2 + 1e-9


def test_the_step_is_judged_by_the_shortest_cell():
    built = build(tracers())
    found = stability(built)
    shortest = built.grid.axes[0].lengths().min()
    assert found.diffusive is not None
    assert found.diffusive["z"] == pytest.approx(0.01 * 0.0005 / shortest**2)
    assert found.advective is not None
    assert found.advective["z"] == pytest.approx(0.5 * 0.0005 / shortest)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"method": {"spectral": True}},
            "fields.T.method is given, and method.spectral",
        ),
        ({"method__flux": "superbee"}, "method.flux is .superbee., one of .*minmod"),
        ({"fields__T__method": {"order": 2}}, "fields.T.method.order"),
        (
            {"method": {"spectral": True, "flux": "weno5"}},
            "upwind and flux: leave them",
        ),
        ({"fields__c__method": {"flux": "weno5"}}, "weno5 and axis z is stretched"),
        ({"axes__z__stretch": "z + s"}, "axes.z.stretch.*z"),
        ({"axes__z__stretch": "sin(pi*s)"}, "axes.z.stretch, sin"),
        ({"axes__z__periodic": True}, "axis z is periodic and its stretch"),
    ],
)
def test_what_a_file_may_not_ask_for(changes, message):
    with pytest.raises(InputError, match=message):
        build(tracers(**changes))
