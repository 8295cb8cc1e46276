"""Fluxes of finite volumes: orders on cell means, shocks at the right speed, mass."""

import jax.numpy as jnp
import numpy as np
import pytest

from tendency.errors import InputError
from tendency.forecasting import forecast
from tendency.grid import Axis, Grid
from tendency.integrate import Integrated, dormand_prince5, ssprk3
from tendency.symbolic.boundary import dirichlet, neumann
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import generate
from tendency.symbolic.system import System

BURGERS = System.of(["d_t u = -d_x(u**2/2)"], coordinates="x")


def after(cell, state, steps):
    carry, _ = forecast(cell, cell.init(state), steps, every=steps)
    return {name: np.asarray(x) for name, x in carry.state.items()}


@pytest.mark.parametrize("speed", [1.0, -1.0])
@pytest.mark.parametrize(("flux", "order"), [("minmod", 2), ("weno5", 5)])
def test_order_on_cell_means(flux, order, speed):
    """In the mean over cells: `minmod` is of first order at extrema alone."""
    system = System.of(["d_t c = -d_x(V*c)"], coordinates="x", parameters={"V": speed})
    errors = []
    for points in (160, 320):
        grid = Grid.of(Axis("x", points))
        cell = Integrated(
            generate(system, grid, Differences(flux=flux)),
            0.1 / points,
            dormand_prince5,
        )
        edges = np.arange(points + 1) / points - 0.5 / points

        def means(time, edges=edges, points=points):
            angle = 2 * np.pi * (edges - speed * time)
            whole = -np.cos(angle) / (2 * np.pi) + np.sin(2 * angle) / (20 * np.pi)
            return np.diff(whole) * points

        found = after(cell, {"c": jnp.asarray(means(0.0))}, 2 * points)
        errors.append(np.abs(found["c"] - means(0.2)).mean())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("flux", ["minmod", "weno5"])
def test_a_shock_moves_at_the_speed_of_its_jump(flux):
    grid = Grid.of(Axis("x", 200))
    x = grid.axes[0].positions()
    start = np.where((x > 0.2) & (x < 0.5), 1.0, 0.0)
    cell = Integrated(generate(BURGERS, grid, Differences(flux=flux)), 0.002, ssprk3)
    found = after(cell, {"u": jnp.asarray(start)}, 150)["u"]
    assert abs(found.sum() - start.sum()) < 1e-12
    assert x[np.argmin(np.diff(found))] == pytest.approx(0.5 + 0.5 * 0.3, abs=0.01)
    overshoot = 1e-12 if flux == "minmod" else 1e-3
    assert -overshoot < found.min()
    assert found.max() < 1 + overshoot


def test_walls_let_nothing_through():
    """Two dimensions, a tracer in a flow that is zero at the walls."""
    system = System.of(
        ["d_t c = -d_x(sin(pi*x)*y*c) + d_y(k*d_y c)"],
        coordinates="xy",
        parameters={"k": 0.01},
    )
    grid = Grid.of(Axis("x", 16, periodic=False), Axis("y", 12, periodic=False))
    model = generate(
        system,
        grid,
        Differences(flux="minmod"),
        boundaries={"c": {"x": neumann(), "y": neumann()}},
    )
    state = {"c": jnp.asarray(np.random.default_rng(0).random((16, 12)))}
    change = np.asarray(model(state)["c"])
    assert np.abs(change).max() > 0.1
    assert abs(change.sum()) < 1e-11


def test_inflow_enters_through_the_boundary():
    """c = 1 comes in from the left and fills the axis without a ripple."""
    system = System.of(["d_t c = -d_x c"], coordinates="x")
    system_of_flux = System.of(["d_t c = -d_x(1*c)"], coordinates="x")
    assert system.prognostic == system_of_flux.prognostic
    grid = Grid.of(Axis("x", 50, periodic=False))
    ends = {"c": {"x": (dirichlet(1.0), neumann())}}
    model = generate(system, grid, Differences(flux="minmod"), boundaries=ends)
    cell = Integrated(model, 0.005, ssprk3)
    found = after(cell, {"c": jnp.zeros(50)}, 600)["c"]
    np.testing.assert_allclose(found, 1.0, atol=1e-6)
    half = after(cell, {"c": jnp.zeros(50)}, 100)["c"]
    assert half.max() < 1 + 1e-9
    assert half.sum() / 50 == pytest.approx(0.5, abs=0.02)


def test_an_unknown_flux_is_refused():
    with pytest.raises(InputError, match="flux of the differences is 'superbee', one"):
        generate(BURGERS, Grid.of(Axis("x", 20)), Differences(flux="superbee"))  # pyright: ignore
