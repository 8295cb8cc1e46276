"""Stencils against tables, and the order in space of what is made of them."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from manufactured import conditions, manufactured, order_of, residual, sampled, walls

from tendency.forecasting import forecast
from tendency.grid import Axis, Grid
from tendency.integrate import Integrated, dormand_prince5
from tendency.symbolic import stencils
from tendency.symbolic.boundary import neumann
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import generate
from tendency.symbolic.system import TIME, System

X, Y, Z = sympy.symbols("x y z", real=True)
PI = sympy.pi
ORDERS = (2, 4, 6, 8)
DIRICHLET, NEUMANN, ROBIN = (1.0, 0.0), (0.0, 1.0), (2.0, 3.0)


def fractions(*numbers, over=1):
    return [Fraction(n, over) for n in numbers]


@pytest.mark.parametrize(
    ("derivative", "order", "staggered", "expected"),
    [
        (1, 2, False, fractions(-1, 1, over=2)),
        (1, 4, False, fractions(1, -8, 8, -1, over=12)),
        (1, 6, False, fractions(-1, 9, -45, 45, -9, 1, over=60)),
        (
            1,
            8,
            False,
            fractions(3, -32, 168, -672, 672, -168, 32, -3, over=840),
        ),
        (2, 2, False, fractions(1, -2, 1)),
        (2, 4, False, fractions(-1, 16, -30, 16, -1, over=12)),
        (2, 6, False, fractions(2, -27, 270, -490, 270, -27, 2, over=180)),
        (3, 2, False, fractions(-1, 2, -2, 1, over=2)),
        (4, 2, False, fractions(1, -4, 6, -4, 1)),
        (1, 2, True, fractions(-1, 1)),
        (1, 4, True, fractions(1, -27, 27, -1, over=24)),
        (0, 2, True, fractions(1, 1, over=2)),
        (0, 4, True, fractions(-1, 9, 9, -1, over=16)),
        (3, 2, True, fractions(-1, 3, -3, 1)),
    ],
)
def test_central_differences_are_those_of_the_tables(
    derivative, order, staggered, expected
):
    """Fornberg (1988, Math. Comput. 51, 699), tables 1 and 2."""
    found = stencils.central(derivative, order, staggered=staggered)
    assert [found[p] for p in sorted(found)] == expected


def test_upwind_differences_are_those_of_the_tables():
    second, third = stencils.biased(2), stencils.biased(4)
    assert [second[p] for p in sorted(second)] == fractions(1, -4, 3, over=2)
    assert [third[p] for p in sorted(third)] == fractions(-1, 6, -18, 10, 3, over=12)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("staggered", [False, True])
def test_a_stencil_is_exact_on_polynomials_up_to_its_order(order, staggered):
    for derivative in range(5 if not staggered else 4):
        if derivative == 0 and not staggered:
            continue
        found = stencils.central(derivative, order, staggered=staggered)
        for power in range(order + derivative):
            expected = 0
            if power == derivative:
                expected = int(sympy.factorial(power))
            assert sum(w * p**power for p, w in found.items()) == expected


def test_ghosts_of_second_order_are_mirror_images():
    half, one, nought = Fraction(1, 2), Fraction(1), Fraction(0)
    weights, share = stencils.ghost(half, half, 1, one, nought)
    assert (dict(weights), share) == ({half: -1}, 2)
    weights, share = stencils.ghost(half, half, 1, nought, one)
    assert (dict(weights), share) == ({half: 1}, 1)
    weights, share = stencils.ghost(half, half, 1, Fraction(2), Fraction(3))
    assert (weights[half], share) == (Fraction(3 - 1, 3 + 1), Fraction(1, 4))


@pytest.mark.parametrize("count", [1, 3, 6])
@pytest.mark.parametrize("kind", [(1, 0), (0, 1), (2, 3)])
@pytest.mark.parametrize("first", [Fraction(1, 2), Fraction(1)])
def test_a_ghost_is_exact_on_polynomials(count, kind, first):
    value, slope = map(Fraction, kind)
    for distance in (first, first + 2):
        weights, share = stencils.ghost(distance, first, count, value, slope)
        for power in range(count + 1):
            at_wall = value * (power == 0) - slope * (power == 1)
            found = sum(w * s**power for s, w in weights.items()) + share * at_wall
            if kind == (0, 1) and power == 0:
                at_wall = 0
            assert found == (-distance) ** power


def test_extrapolation_is_exact_on_polynomials():
    found = stencils.outside(Fraction(2), 4)
    for power in range(4):
        assert sum(w * p**power for p, w in found.items()) == (-2) ** power


POINTS = {2: (64, 96), 4: (48, 72), 6: (40, 60), 8: (32, 48)}
WAVE = 2 + sympy.sin(2 * PI * X + TIME) + sympy.cos(4 * PI * X) / 5


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("equation", "upwind"),
    [
        ("d_t u = d_x u + d_xx u + d_xxx u/100 + d_xxxx u/1000", False),
        (
            "d_t u = d_x(u**2/2) + d_x((2 + sin(2*pi*x))*d_x u) - d_xx(u*d_xx u)/9",
            False,
        ),
        ("d_t u = cos(2*pi*x)*d_x u", True),
    ],
)
def test_order_on_a_periodic_axis(equation, upwind, order):
    system = System.of([equation], coordinates=["x"])
    points = POINTS[order] if not upwind else tuple(2 * n for n in POINTS[order])
    errors = [
        residual(
            system, Grid.of(Axis("x", n)), Differences(order, upwind), {"u": WAVE}
        )["u"]
        for n in points
    ]
    assert order_of(errors, points) == pytest.approx(
        order, abs=0.1 if order < 6 else 0.35
    )


def steady_errors(system, exact, order, points, kinds, upwind=False):
    """Of the steady solution, by Newton's step from the exact one, and eigenvalues."""
    forced = manufactured(system, {"u": exact})
    errors, growth = [], []
    for n in points:
        grid = Grid.of(Axis("x", n, 0.0, 1.0, periodic=False))
        boundaries = walls(system, grid, {"u": exact}, kinds)
        tendency = generate(
            forced, grid, Differences(order, upwind), boundaries=boundaries
        )
        u = sampled(exact, system, grid)
        rest = jax.jit(lambda u, f=tendency: f({"u": u}, {"t": jnp.zeros(())})["u"])
        matrix = np.asarray(jax.jit(jax.jacfwd(rest))(u))
        errors.append(abs(np.linalg.solve(matrix, np.asarray(rest(u)))).max())
        growth.append(np.linalg.eigvals(matrix).real.max())
    return errors, growth


BOUNDED = {2: (32, 64), 4: (32, 64), 6: (40, 64), 8: (22, 36)}
SMOOTH = sympy.sin(3 * X + sympy.Rational(1, 2)) + sympy.exp(-X)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", [DIRICHLET, NEUMANN, ROBIN], ids=["D", "N", "R"])
def test_order_and_stability_of_diffusion_between_walls(kind, order):
    system = System.of(["d_t u = d_x((1 + x)*d_x u) - u"], coordinates=["x"])
    points = BOUNDED[order]
    errors, growth = steady_errors(system, SMOOTH, order, points, (kind, kind))
    assert max(growth) < 0
    # The nominal order at least: some constants of the walls fall faster still.
    assert order_of(errors, points) > order - (0.1 if order < 6 else 0.35)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", [DIRICHLET, NEUMANN], ids=["D", "N"])
def test_plain_diffusion_between_walls_never_grows(kind, order):
    system = System.of(["d_t u = d_xx u"], coordinates=["x"])
    for n in (10, 31):
        grid = Grid.of(Axis("x", n, 0.0, 1.0, periodic=False))
        ends = walls(system, grid, {"u": sympy.S.Zero}, (kind, kind))
        f = generate(system, grid, Differences(order), boundaries=ends)
        matrix = jax.jit(jax.jacfwd(lambda u, f=f: f({"u": u})["u"]))(jnp.zeros(n))
        values = np.linalg.eigvals(np.asarray(matrix))
        assert values.real.max() < 1e-9 * abs(values).max()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("upwind", [False, True])
def test_order_and_stability_of_advection_between_walls(order, upwind):
    system = System.of(["d_t u = d_xx u/20 - d_x u - u"], coordinates=["x"])
    points = {2: (64, 128), 4: (64, 96), 6: (40, 60), 8: (40, 54)}[order]
    kinds = (DIRICHLET, NEUMANN)
    errors, growth = steady_errors(system, SMOOTH, order, points, kinds, upwind)
    assert max(growth) < 0
    assert order_of(errors, points) > order - (0.15 if order < 6 else 0.6)


@pytest.mark.parametrize("order", [2, 4])
def test_conditions_that_depend_on_time(order):
    exact = sympy.sin(2 * X + TIME) + 1
    system = System.of(["d_t u = d_xx u/5 - u*d_x u"], coordinates=["x"])
    forced = manufactured(system, {"u": exact})
    points, errors = (16, 24), []
    for n in points:
        axis = Axis("x", n, 0.0, 1.0, periodic=False)
        ends = conditions((DIRICHLET, ROBIN), exact, axis, X)
        grid = Grid.of(axis)
        f = generate(forced, grid, Differences(order), boundaries={"u": {"x": ends}})
        cell = Integrated(f, 0.002, dormand_prince5)
        times = {"t": jnp.linspace(0.0, 0.5, 251)}
        start = cell.init({"u": sampled(exact, system, grid)})
        carry, _ = forecast(cell, start, 250, times, every=250)
        error = carry.state["u"] - sampled(exact, system, grid, t=0.5)
        errors.append(float(abs(error).max()))
    assert order_of(errors, points) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize("order", ORDERS)
def test_order_in_two_dimensions(order):
    """The steady solution with a tensor, between walls along y."""
    equation = "d_t u = d_x(k*d_x u + d_y u/3) + d_y(d_x u/3 + k*d_y u) - u + x*y*0"
    system = System.of([equation], coordinates=["x", "y"], constants=["k"])
    exact = sympy.sin(2 * PI * X) * sympy.cos(Y + TIME) + sympy.sin(Y)
    k = 2 + sympy.cos(2 * PI * X) * Y / 3
    forced = manufactured(system, {"u": exact}, {"k": k})
    points, errors = {2: (8, 16), 4: (8, 16), 6: (10, 16), 8: (15, 22)}[order], []
    for n in points:
        grid = Grid.of(Axis("x", n), Axis("y", n, 0.0, 1.0, periodic=False))
        ends = walls(system, grid, {"u": exact}, (DIRICHLET, NEUMANN))
        tendency = generate(
            forced,
            grid,
            Differences(order),
            boundaries=ends,
            constants={"k": sampled(k, system, grid)},
        )
        u = sampled(exact, system, grid)
        slope = sampled(sympy.diff(exact, TIME), system, grid)
        rest = jax.jit(
            lambda u, f=tendency, s=slope: f({"u": u}, {"t": jnp.zeros(())})["u"] - s
        )
        matrix = np.asarray(jax.jit(jax.jacfwd(rest))(u)).reshape(u.size, u.size)
        assert np.linalg.eigvals(matrix).real.max() < 0
        step = np.linalg.solve(matrix, np.asarray(rest(u)).ravel())
        errors.append(abs(step).max())
    assert order_of(errors, points) > order - 0.4


@pytest.mark.parametrize("order", [2, 6])
def test_order_in_three_dimensions(order):
    names = ["x", "y", "z"]
    system = System.of(
        ["d_t u = d_x(u*d_x u) + d_xy u + d_zz u + sin(2*pi*z)*d_z u"],
        coordinates=names,
    )
    wave = sum(sympy.sin(2 * PI * s + i) for i, s in enumerate((X, Y, Z)))
    exact = {"u": wave + sympy.cos(TIME + 2 * PI * (X + Y)) / 2}
    points = (16, 24)
    errors = [
        residual(
            system,
            Grid.of(*(Axis(c, n + 2 * i) for i, c in enumerate(names))),
            Differences(order),
            exact,
        )["u"]
        for n in points
    ]
    assert order_of(errors, points) == pytest.approx(order, abs=0.3)


def test_given_fields_may_lack_an_axis():
    """k(x) and l(y) as such, and spread over the plane."""
    equation = "d_t u = d_x(k*d_x u) + d_y(k*d_y u) + d_y(l*d_y u) + d_x(k)*d_y(l)"
    grid = Grid.of(Axis("x", 8), Axis("y", 7, 0.0, 1.0, periodic=False))
    k, m = 1 + jnp.arange(8.0), 2 + jnp.arange(7.0) ** 2
    u = jnp.cos(jnp.arange(56.0)).reshape(8, 7)
    found = []
    for where, arrays in (
        ({"k": ["x"], "l": ["y"]}, {"k": k, "l": m}),
        (
            {"k": ["x", "y"], "l": ["x", "y"]},
            {
                "k": jnp.tile(k[:, None], (1, 7)),
                "l": jnp.tile(m[None], (8, 1)),
            },
        ),
    ):
        system = System.of([equation], coordinates=["x", "y"], constants=where)
        tendency = generate(
            system,
            grid,
            Differences(4),
            boundaries={"u": {"y": neumann()}},
            constants=arrays,
        )
        found.append(tendency({"u": u})["u"])
    np.testing.assert_allclose(*found, rtol=1e-12, atol=1e-10)
