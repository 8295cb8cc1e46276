"""Elliptic equations against dense solves of the same differences, and exact ones."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from tendency.errors import InputError
from tendency.grid import Axis, Grid
from tendency.symbolic.boundary import dirichlet, neumann, robin
from tendency.symbolic.coasts import Coast
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import generate
from tendency.symbolic.grammar import Names, parse_expression
from tendency.symbolic.spectral import Spectral
from tendency.symbolic.system import System

POISSON = "d_xx psi + d_yy psi"
HELMHOLTZ = f"{POISSON} - F*psi"
FLUX = "d_x(k*d_x psi) + d_y(k*d_y psi)"
ALL = "d_xx psi + d_yy psi + d_zz psi - psi"
D, N = dirichlet(), neumann()
ISLAND = np.ones((9, 7), bool)
ISLAND[3:5, 2:5] = False


def axes(**periodic):
    sizes = {"x": 9, "y": 7, "z": 6}
    return [Axis(n, sizes[n], 0.0, 2.0, yes) for n, yes in periodic.items()]


# name: left side, axes, boundaries, method, coast, whether it goes by waves
CASES = {
    "a line": ("d_xx psi", axes(x=False), {"x": D}, 2, None, True),
    "a box": (POISSON, axes(x=False, y=False), {"x": D, "y": D}, 2, None, True),
    "a channel": (HELMHOLTZ, axes(x=True, y=False), {"y": D}, 2, None, True),
    "without walls": (HELMHOLTZ, axes(x=True, y=True), {}, 6, None, True),
    "fluxes": (
        "d_x(2*d_x psi) + d_y(3*d_y psi) - psi",
        *(axes(x=True, y=True), {}, 4, None, True),
    ),
    "slopes at walls": (HELMHOLTZ, axes(x=False, y=True), {"x": N}, 2, None, True),
    "in three dimensions": (
        *(ALL, axes(x=False, y=True, z=False), {"x": D, "z": N}, 2, None, True),
    ),
    "values at walls": (
        POISSON,
        axes(x=False, y=False),
        {"x": (dirichlet(1.0), dirichlet("1 + sin(y)")), "y": dirichlet(2.0)},
        *(2, None, True),
    ),
    "given slopes": (HELMHOLTZ, axes(x=False), {"x": neumann(0.7)}, 2, None, True),
    "unlike walls": (
        *(POISSON, axes(x=False, y=False), {"x": (D, N), "y": D}, 2, None, False),
    ),
    "robin": (
        HELMHOLTZ,
        *(axes(x=False, y=True), {"x": robin(1.0, 0.3, 0.2)}, 2, None, False),
    ),
    "coefficients": (FLUX, axes(x=False, y=False), {"x": D, "y": D}, 2, None, False),
    "order 4": (HELMHOLTZ, axes(x=False, y=False), {"x": D, "y": N}, 4, None, False),
    "advection too": (
        f"{HELMHOLTZ} - d_x psi",
        *(axes(x=True, y=False), {"y": D}, 2, None, False),
    ),
    "an island": (*(FLUX, axes(x=True, y=False), {"y": D}, 2, Coast(ISLAND), False),),
}


def both(left, given_axes, boundary, order, coast):
    """What solves left = q, and the tendency that left is."""
    names = [axis.name for axis in given_axes]
    for missing in {"x", "y", "z"} - set(names):
        left = left.replace(f" + d_{missing}{missing} psi", "")
    more = {
        "coordinates": names,
        "parameters": {"F": 3.0},
        "constants": ["k"] if "k*" in left else [],
    }
    grid = Grid.of(*given_axes)
    rng = np.random.default_rng(0)
    constants = {"k": 1 + rng.random(grid.shape)} if "k*" in left else {}
    how = {"constants": constants, "coast": coast}
    elliptic = System.of(["d_t q = 0", f"{left} = q"], unknown=["psi"], **more)
    operator = System.of([f"d_t psi = {left}"], **more)
    solve = generate(
        elliptic,
        grid,
        Differences(order),
        boundaries={"psi": boundary},
        diagnostics=True,
        **how,
    )
    apply = generate(
        operator, grid, Differences(order), boundaries={"psi": boundary}, **how
    )
    return solve, apply, grid


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_dense_solution_of_the_same_differences(case):
    *setting, by_waves = CASES[case]
    solve, apply, grid = both(*setting)
    assert by_waves == (not any(v[0] == "solved" for _, v in solve.assignments))
    size = int(np.prod(grid.shape))

    def flat(x):
        return apply({"psi": x.reshape(grid.shape)})["psi"].ravel()

    nothing = jnp.zeros(size)
    matrix, offset = jax.jit(jax.jacfwd(flat))(nothing), flat(nothing)
    q = jnp.asarray(np.random.default_rng(1).normal(size=grid.shape))
    water = np.ones(grid.shape, bool) if setting[-1] is None else setting[-1].water
    wet = water.ravel()
    dense = np.linalg.solve(matrix[wet][:, wet], q.ravel()[wet] - offset[wet])
    found = eqx.filter_jit(solve)({"q": q})["psi"].ravel()[wet]
    np.testing.assert_allclose(found, dense, rtol=0, atol=1e-10 * abs(dense).max())


@pytest.mark.parametrize(
    ("boundary", "coast"), [({}, None), ({"y": N}, None), ({"y": N}, Coast(ISLAND))]
)
def test_what_leaves_a_constant_open_has_no_mean(boundary, coast):
    given = axes(x=True, y="y" not in boundary)
    solve, apply, grid = both(POISSON, given, boundary, 2, coast)
    water = np.ones(grid.shape, bool) if coast is None else coast.water
    q = jnp.asarray(np.where(water, np.random.default_rng(1).normal(size=(9, 7)), 0))
    psi = eqx.filter_jit(solve)({"q": q})["psi"]
    back = eqx.filter_jit(apply)({"psi": psi})["psi"]
    expected = q - q[water].mean()
    assert abs(psi[water].mean()) < 1e-12
    np.testing.assert_allclose(back[water], expected[water], rtol=0, atol=1e-11)


def exact_error(left, n, order, boundary, exact, periodic):
    """The largest error of psi where the right side is that of `exact`."""
    system = System.of(
        ["d_t q = 0", f"{left} = q"],
        coordinates=["x", "y"],
        parameters={"F": 3.0},
        unknown=["psi"],
    )
    x, y = system.coordinates
    value = parse_expression(exact, Names({"x": x, "y": y}, ()), "exact")
    values = {system.unknown[0]: value, **{k: v for k, v in system.parameters.items()}}
    (q,) = sympy.solve(system.implicit[0].subs(values).doit(), *system.prognostic)
    grid = Grid.of(
        *(Axis(c, n, periodic=p) for c, p in zip("xy", periodic, strict=True))
    )
    places = grid.coordinates()
    at = [
        np.broadcast_to(sympy.lambdify((x, y), e)(places["x"], places["y"]), (n, n))
        for e in (q, value)
    ]
    solve = generate(
        system, grid, Differences(order), boundaries={"psi": boundary}, diagnostics=True
    )
    found = eqx.filter_jit(solve)({"q": jnp.asarray(at[0])})["psi"]
    return float(abs(found - at[1]).max())


@pytest.mark.parametrize(
    ("left", "order", "boundary", "exact", "periodic"),
    [
        (HELMHOLTZ, 2, {"x": D, "y": D}, "sin(pi*x)*y*(1 - y)*exp(x)", (False, False)),
        (HELMHOLTZ, 6, {}, "cos(2*pi*x)*exp(sin(2*pi*y))", (True, True)),
        (HELMHOLTZ, 4, {"x": D}, "sin(pi*x)*exp(sin(2*pi*y))", (False, True)),
        (
            "d_x((2 + sin(x*y))*d_x psi) + d_y((2 + sin(x*y))*d_y psi)",
            *(2, {"x": D, "y": D}, "sin(pi*x)*sin(pi*y)*exp(x)", (False, False)),
        ),
    ],
)
def test_its_order_is_that_of_the_differences(left, order, boundary, exact, periodic):
    points = (24, 36) if order < 6 else (48, 64)
    errors = [exact_error(left, n, order, boundary, exact, periodic) for n in points]
    found = np.log(errors[0] / errors[1]) / np.log(points[1] / points[0])
    assert found == pytest.approx(order, abs=0.1)


def layers(method, boundaries):
    system = System.of(
        [
            "d_t q1 = -J_xy(p1, q1)",
            "d_t q2 = -J_xy(p2, q2)",
            "d_xx p1 + d_yy p1 + 4*(p2 - p1) = q1",
            "d_xx p2 + d_yy p2 + (p1 - p2) = q2",
        ],
        coordinates=["x", "y"],
        unknown=["p1", "p2"],
    )
    grid = Grid.of(Axis("x", 12), Axis("y", 10, periodic="y" not in boundaries))
    ends = {name: boundaries for name in ("p1", "p2", "q1", "q2")}
    ends = ends if boundaries else {}

    def make(diagnostics):
        return generate(system, grid, method, boundaries=ends, diagnostics=diagnostics)

    rng = np.random.default_rng(0)
    state = {n: jnp.asarray(rng.normal(size=(12, 10))) for n in ("q1", "q2")}
    return grid, make, state


def test_water_in_pieces_is_refused_where_a_level_is_open():
    """A lake in a basin whose walls hold a value, and two basins that nothing holds."""
    given = axes(x=True, y=False)
    lake = np.ones((9, 7), bool)
    lake[2:7, 1:6] = False
    lake[4, 3] = True
    with pytest.raises(InputError, match=r"2 pieces.* psi in the one of 1 cells at"):
        both(POISSON, given, {"y": D}, 2, Coast(lake))
    both(HELMHOLTZ, given, {"y": D}, 2, Coast(lake))  # which holds its level itself
    basins = np.ones((9, 7), bool)
    basins[:, 3] = False
    with pytest.raises(InputError, match="2 pieces"):
        both(POISSON, given, {"y": N}, 2, Coast(basins))
    both(POISSON, given, {"y": D}, 2, Coast(basins))  # both are held
    ring = np.ones((9, 7), bool)
    ring[4] = False  # joined across the periodic end
    both(POISSON, given, {"y": N}, 2, Coast(ring))


def test_two_coupled_fields_obey_their_equations():
    _, make, state = layers(Differences(), {"y": D})
    found = eqx.filter_jit(make(diagnostics=True))(state)
    apply = generate(
        System.of(["d_t p = d_xx p + d_yy p"], coordinates=["x", "y"]),
        Grid.of(Axis("x", 12), Axis("y", 10, periodic=False)),
        boundaries={"p": {"y": D}},
    )
    one, two = (apply({"p": found[n]})["p"] for n in ("p1", "p2"))
    between = found["p2"] - found["p1"]
    np.testing.assert_allclose(one + 4 * between, state["q1"], atol=1e-11)
    np.testing.assert_allclose(two - between, state["q2"], atol=1e-11)


def test_layers_keep_their_energy_between_walls():
    """Sum of h ψ q, which Arakawa's Jacobian and a symmetric inversion conserve."""
    _, make, state = layers(Differences(), {"y": D})
    found, slopes = (eqx.filter_jit(make(d))(state) for d in (True, False))
    parts = [w * found[f"p{i}"] * slopes[f"q{i}"] for i, w in ((1, 1), (2, 4))]
    total, scale = sum(p.sum() for p in parts), sum(abs(p).sum() for p in parts)
    assert abs(total) < 1e-12 * scale


def test_by_differences_and_by_transforms_they_are_the_same_in_the_limit():
    _, by_waves, _ = layers(Differences(8), {})
    grid, by_spectra, _ = layers(Spectral(dealias=False), {})
    x, y = grid.coordinates().values()
    turn = 2 * np.pi
    q1 = np.sin(turn * x) * np.cos(turn * y)
    state = {"q1": jnp.asarray(q1), "q2": jnp.asarray(np.cos(turn * x) + 0 * y)}
    ours, theirs = (eqx.filter_jit(m(True))(state) for m in (by_waves, by_spectra))
    for name in ("p1", "p2"):
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-5)


def test_derivatives_go_through_the_iterations():
    solve, _, _ = both(*CASES["coefficients"][:-1])
    q = jnp.asarray(np.random.default_rng(1).normal(size=(9, 7)))

    def cost(k, q):
        constants = type(solve.constants)({**solve.constants.value, "k": k})
        model = eqx.tree_at(lambda m: m.constants, solve, constants)
        return jnp.sum(model({"q": q})["psi"] ** 2)

    k = solve.constants.value["k"]
    slopes = jax.jit(jax.grad(cost, (0, 1)))(k, q)
    rng = np.random.default_rng(2)
    ways = [jnp.asarray(rng.normal(size=(9, 7))) for _ in range(2)]
    far = jax.jit(lambda e: cost(k + e * ways[0], q + e * ways[1]))
    ahead, behind = far(1e-4), far(-1e-4)
    expected = sum(jnp.sum(s * w) for s, w in zip(slopes, ways, strict=True))
    assert float(ahead - behind) / 2e-4 == pytest.approx(float(expected), rel=1e-6)


def test_what_the_iterations_do_not_solve_is_no_number():
    """A Helmholtz equation whose waves resonate with the box."""
    step = 2.0 / 9
    wave = float(2 - 2 * np.cos(2 * np.pi / 9)) / step**2
    left = f"d_x(k*d_x psi) + {wave!r}*psi"
    solve, _, _ = both(left, axes(x=True), {}, 2, None)
    ones = {**solve.constants.value, "k": jnp.ones(9)}
    constants = type(solve.constants)(ones)
    model = eqx.tree_at(lambda m: m.constants, solve, constants)
    resonant = jnp.asarray(np.cos(2 * np.pi * np.arange(9) / 9))
    assert np.isnan(eqx.filter_jit(model)({"q": resonant})["psi"]).all()
    tangent = jax.jvp(lambda q: model({"q": q})["psi"], (resonant,), (resonant,))[1]
    assert np.isnan(tangent).all()


@pytest.mark.parametrize(
    ("equations", "boundaries", "method", "said"),
    [
        (["psi*d_xx psi = q"], {"psi": {"x": D}}, Differences(), "not linear in psi"),
        (["d_xx psi = q"], {}, Differences(), "psi has no boundary condition"),
        (
            *(["d_xx psi = q"], {"psi": {"x": N}}, Differences(4)),
            "leaves a constant open and its differences are not symmetric: take order",
        ),
        (
            ["d_x(q*d_x psi) + chi = q", "d_xx chi - psi = q"],
            *({"psi": {"x": D}, "chi": {"x": D}, "q": {"x": D}}, Differences()),
            "couple psi, chi",
        ),
        (
            ["d_xx psi - d_xx chi = q", "2*d_xx psi - 2*d_xx chi = q"],
            *({"psi": {"x": D}, "chi": {"x": D}}, Differences()),
            "do not determine psi, chi",
        ),
    ],
)
def test_what_cannot_be_solved_is_refused(equations, boundaries, method, said):
    unknown = ["psi", "chi"][: len(equations)]
    first = f"d_t q = {' + '.join(unknown)}"
    system = System.of([first, *equations], coordinates=["x"], unknown=unknown)
    grid = Grid.of(Axis("x", 12, periodic=False))
    with pytest.raises(InputError, match=said):
        generate(system, grid, method, boundaries=boundaries)


def test_a_right_side_that_is_a_number():
    """k constant: p = x (x - 1) / 2, which differences of order 2 have but for h²/8."""
    system = System.of(
        ["d_t q = p", "d_x(k*d_x p) = 1"],
        coordinates=["x"],
        constants=["k"],
        unknown=["p"],
    )
    grid = Grid.of(Axis("x", 8, periodic=False))
    given = {"boundaries": {"p": {"x": D}}, "constants": {"k": np.ones(8)}}
    x = grid.coordinates()["x"]
    found = eqx.filter_jit(generate(system, grid, **given))({"q": jnp.zeros(8)})
    np.testing.assert_allclose(found["q"], x * (x - 1) / 2 - 1 / 8**3, atol=3e-3)
    assert found["q"].shape == (8,)


def test_a_diagnostic_field_with_walls_of_its_own():
    """Friction of fourth order: the vorticity and its Laplacian vanish at the walls."""
    system = System.of(
        ["d_t q = -d_xx lap", "lap = d_xx q"], coordinates=["x"], parameters={"k": 1.0}
    )
    grid = Grid.of(Axis("x", 32, periodic=False))
    ends = {"q": {"x": D}, "lap": {"x": D}}
    tendency = generate(system, grid, boundaries=ends)
    x = grid.coordinates()["x"]
    wave = np.sin(3 * np.pi * x)
    rate = (2 * np.cos(3 * np.pi / 32) - 2) * 32**2
    found = eqx.filter_jit(tendency)({"q": jnp.asarray(wave)})["q"]
    np.testing.assert_allclose(found, -(rate**2) * wave, rtol=1e-10)
    with pytest.raises(InputError, match="derivative of order 4"):
        generate(system, grid, boundaries={"q": {"x": D}})


@pytest.mark.parametrize("coast", [None, Coast(ISLAND)])
def test_a_mean_is_that_of_the_water(coast):
    system = System.of(["d_t u = u*mean(u**2) - mean(2)"], coordinates=["x", "y"])
    grid = Grid.of(Axis("x", 9), Axis("y", 7))
    u = np.random.default_rng(0).normal(size=(9, 7))
    water = np.ones((9, 7), bool) if coast is None else ISLAND
    tendency = generate(system, grid, coast=coast)
    found = eqx.filter_jit(tendency)({"u": jnp.asarray(u)})["u"]
    expected = np.where(water, u * np.mean(u[water] ** 2) - 2, 0.0)
    np.testing.assert_allclose(found, expected, atol=1e-13)
