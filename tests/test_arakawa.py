"""The Jacobian J_xy(a, b): what it keeps, its order, and how it is read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from manufactured import order_of, residual

from tendency.errors import InputError
from tendency.grid import Axis, Grid
from tendency.symbolic.boundary import dirichlet, neumann
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import generate
from tendency.symbolic.spectral import Spectral
from tendency.symbolic.system import System

CARRIED = System.of(
    ["d_t q = -J_xy(psi, q)", "d_t psi = 0*psi"], coordinates=["x", "y"]
)


def _box(periodic: tuple[bool, bool], n: int = 12) -> Grid:
    bounds = ((0.0, 1.0), (0.0, 2.0))
    return Grid.of(
        *(
            Axis(name, n + 3 * i, *bounds[i], periodic=periodic[i])
            for i, name in enumerate("xy")
        )
    )


def _fields(grid: Grid) -> dict:
    keys = jax.random.split(jax.random.key(0))
    both = zip(("q", "psi"), keys, strict=True)
    return {name: jax.random.normal(k, grid.shape) for name, k in both}


@pytest.mark.parametrize(
    ("periodic", "wall", "kept"),
    [
        ((True, True), dirichlet(0.0), ("one", "q", "psi")),
        ((True, False), dirichlet(0.0), ("q", "psi")),
        ((False, False), dirichlet(0.0), ("q", "psi")),
        ((False, True), neumann(0.0), ("one", "q")),
        ((False, False), neumann(0.0), ("one", "q")),
    ],
)
def test_what_is_kept(periodic, wall, kept):
    """Mean, enstrophy and energy to rounding; `wall` is that of q."""
    grid = _box(periodic)
    ends = {"q": wall, "psi": dirichlet(0.0)}
    walls = {
        name: {a.name: end for a in grid.axes if not a.periodic}
        for name, end in ends.items()
    }
    state = _fields(grid)
    rate = generate(CARRIED, grid, boundaries=walls)(state)["q"]
    scale = float(abs(rate).sum())
    for name in kept:
        weight = state.get(name, jnp.ones_like(rate))
        assert abs(float((weight * rate).sum())) < 1e-12 * scale


def test_its_order_is_two():
    x, y = sympy.symbols("x y", real=True)
    wave = lambda k: sympy.sin(2 * sympy.pi * (x + k) + sympy.pi * y)  # noqa: E731
    exact = {"q": wave(0.1) + sympy.cos(sympy.pi * y), "psi": sympy.cos(wave(0.3))}
    points = (24, 48)
    errors = [
        residual(CARRIED, _box((True, True), n), Differences(), exact)["q"]
        for n in points
    ]
    sizes = [n + 3 for n in points]
    assert order_of(errors, sizes) == pytest.approx(2, abs=0.1)


def test_by_transforms_it_is_the_products_of_derivatives():
    grid = _box((True, True), 16)
    at = grid.coordinates()
    x, y = 2 * np.pi * at["x"], np.pi * at["y"]
    state = {"q": jnp.asarray(np.sin(x + y)), "psi": jnp.asarray(np.cos(x - 2 * y))}
    found = generate(CARRIED, grid, Spectral())(state)["q"]
    by_x = -2 * np.pi * np.sin(x - 2 * y)
    by_y = 2 * np.pi * np.sin(x - 2 * y)
    exact = -(by_x * np.pi * np.cos(x + y) - by_y * 2 * np.pi * np.cos(x + y))
    np.testing.assert_allclose(found, exact, atol=1e-12 * abs(exact).max())


def test_the_other_order_of_coordinates_turns_its_sign():
    other = System.of(
        ["d_t q = -J_yx(psi, q)", "d_t psi = 0*psi"], coordinates=["x", "y"]
    )
    grid = _box((True, True))
    state = _fields(grid)
    one, two = (generate(s, grid)(state)["q"] for s in (CARRIED, other))
    np.testing.assert_allclose(one, -two, atol=1e-13)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("J_x(psi, q)", "two of the coordinates t, x, y"),
        ("J_xx(psi, q)", "two of the coordinates"),
        ("J_xy(psi)", "second argument"),
        ("J_xy psi", r"'\(' was expected"),
    ],
)
def test_what_is_no_jacobian_is_refused(text, said):
    with pytest.raises(InputError, match=said):
        System.of([f"d_t q = {text}", "d_t psi = q"], coordinates=["x", "y"])


def test_other_orders_are_refused():
    with pytest.raises(InputError, match="order 2"):
        generate(CARRIED, _box((True, True)), Differences(4))
