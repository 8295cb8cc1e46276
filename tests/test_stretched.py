"""Stretched axes: the nominal orders, sums that stay, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from manufactured import manufactured, order_of, residual, sampled, walls

from tendency.errors import InputError
from tendency.grid import HALF, Axis, Grid
from tendency.symbolic.boundary import dirichlet, neumann
from tendency.symbolic.boundary import walls as solid
from tendency.symbolic.coasts import Coast
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import generate
from tendency.symbolic.spectral import Spectral, linear_part
from tendency.symbolic.stretching import stretch
from tendency.symbolic.system import TIME, System

X, Y = sympy.symbols("x y", real=True)
PI = sympy.pi
ORDERS = (2, 4, 6, 8)
DIRICHLET, NEUMANN, ROBIN = (1.0, 0.0), (0.0, 1.0), (2.0, 3.0)
ROUND = stretch("s + sin(2*pi*s)/20")  # cells from 0.69 to 1.31 of the mean one
WALLS = stretch("tanh(3*s/2 - 3/4)")  # short ones at both ends, half of those between
LOWER = stretch("exp(2*s)")  # seven times longer at the upper end


def line(points, how=WALLS, *, periodic=False, name="x", upper=1.0):
    return Axis(name, points, 0.0, upper, periodic, how)


def change(tendency, state):
    """At t = 0."""
    forcing = {name: jnp.zeros(()) for name in tendency.forcings}
    found = jax.jit(lambda x: tendency(x, forcing))(state)
    return {name: np.asarray(x) for name, x in found.items()}


# Where the points stand


def test_positions_and_lengths_are_those_of_the_mapping():
    axis = Axis("z", 4, -100.0, 0.0, False, stretch("s**2 + s"))
    s = np.arange(1, 8, 2) / 8
    np.testing.assert_allclose(axis.positions(), -100 + 50 * (s**2 + s), rtol=1e-14)
    faces = np.arange(5) / 4
    found = axis.positions(HALF, 1, 1)  # those within, and on the two ends
    np.testing.assert_allclose(found, -100 + 50 * (faces**2 + faces), atol=1e-12)
    np.testing.assert_allclose(axis.lengths(), 25 * (s + 0.5), rtol=1e-14)
    np.testing.assert_allclose(axis.lengths().sum(), 100.0, rtol=1e-14)
    assert axis.spacing_at(upper=False) == 12.5
    assert axis.spacing_at(upper=True) == 37.5
    falling = Axis("z", 4, -100.0, 0.0, False, stretch("5 - 3*(s**2 + s)"))
    np.testing.assert_allclose(falling.positions(), axis.positions(), rtol=1e-13)


def test_sizes_are_the_products_of_lengths():
    grid = Grid.of(line(6), line(5, ROUND, periodic=True, name="y"), Axis("z", 3))
    sizes = grid.sizes()
    assert sizes.shape == (6, 5, 3)
    by_hand = np.multiply.outer(grid.axes[0].lengths(), grid.axes[1].lengths()) / 3
    np.testing.assert_allclose(sizes[..., 2], by_hand, rtol=1e-14)
    assert grid.sizes((HALF, 0 * HALF, 0 * HALF)).shape == (5, 5, 3)


def test_an_even_stretch_changes_nothing():
    """Of the differences whose stencils are the same, between walls and on faces."""
    system = System.of(
        ["d_t u = d_x((1 + x)*d_x u) - h*d_x u", "d_t h = -d_x(h*v)", "d_t v = -d_x h"],
        coordinates="x",
    )
    ends = {"u": (dirichlet("sin(t)"), neumann(2.0)), "h": neumann(), "v": dirichlet()}
    rng = np.random.default_rng(0)
    state = {n: rng.normal(size=20 - (n == "v")) for n in ("u", "h", "v")}
    state = {name: jnp.asarray(values) for name, values in state.items()}
    plain, stretched = (
        change(
            generate(
                system,
                Grid.of(Axis("x", 20, 0.0, 3.0, False, how)),
                Differences(6),
                boundaries={name: {"x": end} for name, end in ends.items()},
                staggered={"v": ["x"]},
            ),
            state,
        )
        for how in (None, stretch("7*s - 2"))
    )
    for name in state:
        np.testing.assert_allclose(stretched[name], plain[name], rtol=1e-11)


# Orders

WAVE = 2 + sympy.sin(2 * PI * X + TIME) + sympy.cos(4 * PI * X) / 5


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("upwind", [False, True])
def test_order_on_a_periodic_axis(upwind, order):
    """Of derivatives, of fluxes and of transport."""
    system = System.of(
        [
            "d_t u = d_xx u + d_xxx u/100 + d_xxxx u/100000",
            "d_t v = d_x(v**2/2) + d_x((2 + sin(2*pi*x))*d_x v)",
            "d_t w = cos(2*pi*x)*d_x w",
        ][2 * upwind :],
        coordinates=["x"],
    )
    points = (128, 192) if upwind else (96, 144)
    exact = dict.fromkeys(system.fields, WAVE)
    found = [
        residual(
            system,
            Grid.of(line(n, ROUND, periodic=True)),
            Differences(order, upwind),
            exact,
        )
        for n in points
    ]
    for name in exact:
        errors = [f[name] for f in found]
        assert order_of(errors, points) == pytest.approx(order, abs=0.1), name


BOUNDED = {2: (32, 64), 4: (32, 64), 6: (40, 64), 8: (32, 48)}
SMOOTH = sympy.sin(3 * X + sympy.Rational(1, 2)) + sympy.exp(-X)


def steady_errors(system, methods, points, kinds):
    """Of steady solutions, by Newton's steps from the exact one, and eigenvalues.

    Each field by itself; `kinds` are the conditions of each at both ends.
    """
    exact = dict.fromkeys(system.fields, SMOOTH)
    forced = manufactured(system, exact)
    errors, growth = [], []
    for n in points:
        grid = Grid.of(line(n))
        ends = {
            name: walls(system, grid, exact, kind)[name] for name, kind in kinds.items()
        }
        f = generate(forced, grid, methods, boundaries=ends)
        u = sampled(SMOOTH, system, grid)

        def rest(shift, f=f, u=u):
            """All fields by the same shift: they know nothing of each other."""
            found = f({name: u + shift for name in exact}, {"t": jnp.zeros(())})
            return jnp.stack([found[name] for name in exact])

        nothing = jnp.zeros(n)
        both = jax.jit(lambda s, r=rest: (r(s), jax.jacfwd(r)(s)))(nothing)
        values, matrices = map(np.asarray, both)
        steps = np.linalg.solve(matrices, values[..., None])
        errors.append(abs(steps).max(axis=(1, 2)))
        growth.append(np.linalg.eigvals(matrices).real.max())
    return np.transpose(errors), growth


@pytest.mark.parametrize("order", ORDERS)
def test_order_and_stability_of_diffusion_between_walls(order):
    kinds = {"u": DIRICHLET, "v": NEUMANN, "w": ROBIN}
    system = System.of(
        [f"d_t {name} = d_x((1 + x)*d_x {name}) - {name}" for name in kinds],
        coordinates=["x"],
    )
    both = {name: (kind, kind) for name, kind in kinds.items()}
    errors, growth = steady_errors(system, Differences(order), BOUNDED[order], both)
    assert max(growth) < 0
    for some in errors:
        # The nominal order at least: some constants of the walls fall faster still.
        assert order_of(some, BOUNDED[order]) > order - 0.1


@pytest.mark.parametrize("order", ORDERS)
def test_order_and_stability_of_advection_between_walls(order):
    """Central, and upwind."""
    methods = {"u": Differences(order), "v": Differences(order, upwind=True)}
    system = System.of(
        [f"d_t {name} = d_xx {name}/20 - d_x {name} - {name}" for name in methods],
        coordinates=["x"],
    )
    kinds = dict.fromkeys(methods, (DIRICHLET, NEUMANN))
    errors, growth = steady_errors(system, methods, BOUNDED[order], kinds)
    assert max(growth) < 0
    for some in errors:
        assert order_of(some, BOUNDED[order]) > order - 0.1


@pytest.mark.parametrize("order", [2, 6])
def test_order_of_staggered_fields_in_two_dimensions(order):
    """Linear shallow water on a C grid, both axes stretched, and an explicit x."""
    system = System.of(
        [
            "d_t h = -d_x((2 + h)*u) - d_y((2 + h)*v)",
            "d_t u = (1 + y*0 + cos(2*pi*x))*v - d_x h + d_xx u",
            "d_t v = -u - d_y h",
        ],
        coordinates=["x", "y"],
    )
    exact = {
        "h": sympy.sin(2 * PI * X + TIME) * sympy.cos(2 * PI * Y),
        "u": sympy.cos(2 * PI * (X + Y) - TIME),
        "v": sympy.sin(2 * PI * Y) + sympy.cos(2 * PI * X + TIME),
    }
    points, found = (48, 72), []
    for n in points:
        grid = Grid.of(
            line(n, ROUND, periodic=True),
            line(n, stretch("s - cos(2*pi*s)/25"), periodic=True, name="y"),
        )
        how = {"staggered": {"u": ["x"], "v": ["y"]}}
        found.append(residual(system, grid, Differences(order), exact, **how))
    for name in exact:
        assert order_of([f[name] for f in found], points) > order - 0.1, name


def test_order_of_limited_fluxes():
    """Away from extrema: there `minmod` is of first order."""
    system = System.of(["d_t u = -d_x u", "d_t v = d_x(1*v)"], coordinates="x")
    exact = {"u": WAVE, "v": WAVE}
    forced = manufactured(system, exact)
    points, errors = (160, 320), []
    for n in points:
        grid = Grid.of(line(n, ROUND, periodic=True))
        state = {name: sampled(WAVE, system, grid) for name in exact}
        found = change(generate(forced, grid, Differences(flux="minmod")), state)
        slope = sampled(sympy.diff(WAVE, TIME), system, grid)
        errors.append([float(np.median(np.abs(found[k] - slope))) for k in exact])
    for some in zip(*errors, strict=True):
        assert order_of(some, points) == pytest.approx(2, abs=0.15)


# What is conserved


def random_state(grid, names, rng=np.random.default_rng(0)):  # noqa: B008
    return {name: jnp.asarray(1 + rng.random(grid.shape)) for name in names}


@pytest.mark.parametrize(
    "method",
    [Differences(2), Differences(8), Differences(flux="minmod")],
    ids=str,
)
def test_fluxes_keep_mass_in_a_periodic_domain(method):
    system = System.of(
        ["d_t c = -d_x(sin(2*pi*y)*c) - d_y(c**2/2) + d_x(c*d_x c) + d_yy c"],
        coordinates=["x", "y"],
    )
    grid = Grid.of(
        line(14, ROUND, periodic=True), line(12, ROUND, periodic=True, name="y")
    )
    moved = change(generate(system, grid, method), random_state(grid, "c"))["c"]
    moved = moved * grid.sizes()
    assert np.abs(moved).sum() > 1
    assert abs(moved.sum()) < 1e-13 * np.abs(moved).sum()


@pytest.mark.parametrize("flux", ["central", "minmod"])
def test_walls_and_coasts_let_nothing_through(flux):
    carried = {"central": "u", "minmod": "sin(pi*x)"}[flux]
    system = System.of(
        [
            f"d_t c = d_x((1 + x*y)*d_x c) + d_yy c - d_x({carried}*c)",
            "d_t u = d_yy u",
        ],
        coordinates=["x", "y"],
    )
    grid = Grid.of(line(12, LOWER), line(11, name="y"))
    state = {"c": random_state(grid, "c")["c"], "u": jnp.ones((11, 11))}
    water = np.ones(grid.shape, bool)
    water[4:7, 3:8] = False
    for coast in (None, Coast(water)) if flux == "central" else (None,):
        f = generate(
            system,
            grid,
            Differences(flux=flux),
            boundaries=solid(grid, {"x": "u"}, others={"c": neumann()}),
            staggered={"u": ["x"]},
            coast=coast,
        )
        moved = change(f, state)["c"] * grid.sizes()
        assert np.abs(moved).sum() > 1
        assert abs(moved.sum()) < 1e-13 * np.abs(moved).sum()
        if coast is not None:
            assert np.all(moved[~water] == 0)


def test_what_enters_through_a_wall_is_the_flux_given_there():
    system = System.of(["d_t c = d_xx c"], coordinates="x")
    grid = Grid.of(Axis("x", 20, 0.0, 50.0, False, LOWER))
    ends = {"c": {"x": (neumann(0.25), neumann(-1.5))}}
    f = generate(system, grid, boundaries=ends)
    gained = change(f, random_state(grid, "c"))["c"] * grid.sizes()
    assert gained.sum() == pytest.approx(-1.25, rel=1e-12)


def test_arakawas_jacobian_keeps_energy_and_enstrophy():
    system = System.of(["d_t q = -J_xy(p, q)", "d_t p = 0*q"], coordinates=["x", "y"])
    grid = Grid.of(line(14, ROUND, periodic=True), line(12, WALLS, name="y"))
    ends = {name: {"y": dirichlet()} for name in "qp"}
    state = random_state(grid, "qp")
    moved = change(generate(system, grid, boundaries=ends), state)["q"] * grid.sizes()
    assert np.abs(moved).sum() > 1
    for name in "qp":
        assert abs((moved * np.asarray(state[name])).sum()) < 1e-12


# Refusals


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s + 3*sin(2*pi*s)", "is not rising at s = "),
        ("s**2", "is not rising at s = 0:"),
        ("1 - cos(pi*s)", "is not rising at s = 0:"),
        ("s/(s - 1/3)", "is not (finite|rising) at s = "),
        ("s**(1/2)", "is not finite at s = 0:"),
    ],
)
def test_a_mapping_that_does_not_rise_is_refused(text, message):
    with pytest.raises(InputError, match=f"stretch of axis x, .*{message}"):
        Grid.of(line(12, stretch(text)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2", "is 2 at s = 0 and 2 at s = 1: a function that rises"),
        ("log(s)", "is -inf at s = 0 and 0 at s = 1"),
        ("s + abs(s - 1/2)", "holds abs, which has a kink"),
        ("max(s, 2*s)", "holds max, which has a kink"),
        ("s + x", "x"),
        ("__import__('os')", "the stretch"),
    ],
)
def test_a_text_that_is_no_mapping_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        stretch(text)


def test_a_periodic_axis_needs_a_periodic_mapping():
    with pytest.raises(InputError, match="axis x is periodic and its stretch exp"):
        Grid.of(line(12, LOWER, periodic=True))


def test_stencils_that_look_where_the_mapping_falls_are_refused():
    """s + 9 s² turns at s = -1/18, and order 4 asks for the face at -1/12."""
    system = System.of(["d_t u = d_xx u"], coordinates="x")
    grid = Grid.of(line(12, stretch("s + 9*s**2")))
    ends = {"u": {"x": neumann()}}
    generate(system, grid, Differences(2), boundaries=ends)
    with pytest.raises(InputError, match=r"not rise at s = -0\.08333, beyond an end"):
        generate(system, grid, Differences(4), boundaries=ends)


def test_the_spectral_method_refuses_them():
    system = System.of(["d_t u = d_xx u"], coordinates="x")
    grid = Grid.of(line(12, ROUND, periodic=True))
    for refused in (
        lambda: generate(system, grid, Spectral()),
        lambda: linear_part(system, grid),
    ):
        with pytest.raises(InputError, match="evenly spaced, and x is stretched: use"):
            refused()


# Fields that equations determine


def test_means_and_elliptic_equations_weigh_cells_by_their_sizes():
    """By iterations, to the second order; where a constant is open, without mean."""
    system = System.of(
        [
            "d_t q = psi + mean(q)",
            "d_x((2 + x)*d_x psi) + d_yy psi = q",
        ],
        coordinates=["x", "y"],
        unknown=["psi"],
    )
    exact = sympy.cos(PI * X) * sympy.cos(PI * Y) + sympy.cos(2 * PI * Y)
    right = sympy.diff((2 + X) * sympy.diff(exact, X), X) + sympy.diff(exact, Y, 2)
    points, errors = (16, 32), []
    for n in points:
        grid = Grid.of(line(n), line(n, name="y"))
        ends = {name: {"x": neumann(), "y": neumann()} for name in ("q", "psi")}
        f = generate(system, grid, boundaries=ends)
        q = sampled(right, system, grid)
        weights = grid.sizes() / grid.sizes().sum()
        psi = change(f, {"q": q})["q"] - (np.asarray(q) * weights).sum()
        assert abs((psi * weights).sum()) < 1e-12
        error = psi - np.asarray(sampled(exact, system, grid))
        errors.append(float(np.abs(error - (error * weights).sum()).max()))
    assert order_of(errors, points) == pytest.approx(2, abs=0.1)
