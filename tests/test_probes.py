"""What breaks PDE-NetGen 1.0.2, the tool that this generator grew from, gives the right
answer here: one test for each of its failures, of what it lacks, and of its wrong
numbers without an error.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from test_symbolic_source import module_of

from tendency import Integrated, forecast
from tendency.equations.build import build
from tendency.equations.config import parse_equations
from tendency.equations.integration import dataset_of, integrate
from tendency.grid import Axis, Grid
from tendency.stiff import ETDRK4
from tendency.store import load, save
from tendency.symbolic.boundary import dirichlet, neumann
from tendency.symbolic.coasts import Coast
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import generate
from tendency.symbolic.spectral import Spectral, linear_part
from tendency.symbolic.system import System

TURN = 2 * np.pi


def of(*equations, axes="x", **declared):
    return System.of(equations, coordinates=[*axes], **declared)


def line(points=16, **how):
    return Grid.of(Axis("x", points, **how))


def stepped(cell, state, steps, forcing=None):
    """The last state, by the compiled scan of `forecast`."""
    carry, _ = forecast(cell, cell.init(state), steps, forcing, every=steps)
    return carry.state


def times(dt, steps):
    return {"t": dt * jnp.arange(steps + 1.0)}


def close(found, expected, scale=1.0):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * scale)


# What fails there.


def test_three_dimensions():
    grid = Grid.of(Axis("x", 6), Axis("y", 8), Axis("z", 10))
    heat = of("d_t u = d_xx u + d_yy u + d_zz u", axes="xyz")
    x, y, z = (TURN * c for c in grid.coordinates().values())
    u = np.sin(x) * np.cos(y) * np.sin(2 * z)
    decay = sum(
        (2 - 2 * np.cos(TURN * k / n)) * n**2 for k, n in ((1, 6), (1, 8), (2, 10))
    )
    close(generate(heat, grid)({"u": jnp.asarray(u)})["u"], -decay * u, 1e3)


def test_elementary_functions():
    equation = of("d_t u = sin(u) + exp(-u)*abs(u) - cos(2*u)/(1 + u^2)")
    u = np.linspace(-2.0, 2.0, 16)
    expected = np.sin(u) + np.exp(-u) * np.abs(u) - np.cos(2 * u) / (1 + u**2)
    close(generate(equation, line())({"u": jnp.asarray(u)})["u"], expected)


def test_explicit_coordinate_and_time():
    cell = Integrated(generate(of("d_t u = x*t^3"), line()), 0.25)
    end = stepped(cell, {"u": jnp.ones(16)}, 4, times(0.25, 4))
    close(end["u"], 1 + np.arange(16) / 16 / 4)  # RK4 is exact on a cubic


def test_a_flux_that_is_not_carried_out():
    grid = line()
    x = grid.coordinates()["x"]
    u, faces = np.sin(TURN * x), 2 + np.cos(TURN * (x + 1 / 32))
    flux = faces * (np.roll(u, -1) - u) * 16
    found = generate(of("d_t u = d_x((2 + cos(2*pi*x))*d_x u)"), grid)
    slope = found({"u": jnp.asarray(u)})["u"]
    close(slope, (flux - np.roll(flux, 1)) * 16, 1e3)
    assert abs(slope.sum()) < 1e-12 * abs(slope).sum()


def test_a_second_time_derivative():
    cell = Integrated(generate(of("d_tt u = -4*u"), line()), 0.01)
    start = {"u": jnp.ones(16), "u_t": jnp.full(16, 2.0)}
    end = stepped(cell, start, 100)
    np.testing.assert_allclose(end["u"], np.cos(2) + np.sin(2), rtol=1e-8)
    np.testing.assert_allclose(end["u_t"], 2 * np.cos(2) - 2 * np.sin(2), rtol=1e-8)


def test_a_diagnostic_equation():
    cell = Integrated(generate(of("d_t u = -w*u", "w = u*v", "v = u/2"), line()), 0.01)
    end = stepped(cell, {"u": jnp.ones(16)}, 100)
    np.testing.assert_allclose(end["u"], 1 / np.sqrt(2), rtol=1e-9)  # d_t u = -u³/2


def test_an_elliptic_equation():
    rossby = of(
        "d_t q = -d_x psi", "d_xx psi + d_yy psi = q", axes="xy", unknown=["psi"]
    )
    grid = Grid.of(Axis("x", 8, 0, TURN), Axis("y", 6, 0, TURN))
    x, y = grid.coordinates().values()
    cell = Integrated(generate(rossby, grid, Spectral()), 0.05)
    end = stepped(cell, {"q": jnp.asarray(np.cos(x + 2 * y))}, 20)
    np.testing.assert_allclose(
        end["q"], np.cos(x + 2 * y + 1 / 5), atol=1e-9
    )  # -β k/k²


def test_stepping_in_a_compiled_scan_with_a_constant_and_a_forcing():
    system = of("d_t u = c*F + G", constants=["c"], forcings={"F": [], "G": ["x"]})
    c = np.arange(16.0)
    cell = Integrated(generate(system, line(), constants={"c": c}), 0.5)
    t = 0.5 * jnp.arange(5.0)
    spread = t[:, None] * jnp.ones((1, 16))
    end = jax.jit(lambda u: stepped(cell, {"u": u}, 4, {"F": 2 * t, "G": spread}))(
        jnp.zeros(16)
    )
    close(end["u"], 4 * c + 2)  # ∫ 2 t dt and ∫ t dt to t = 2


def test_save_and_load(tmp_path):
    system = of("d_t u = k*d_xx u + c*u", parameters={"k": 0.1}, constants=["c"])
    cell = Integrated(generate(system, line(), constants={"c": np.arange(16.0)}), 1e-3)
    save(tmp_path / "cell.safetensors", cell)
    again, _ = load(tmp_path / "cell.safetensors")
    u = {"u": jnp.cos(jnp.arange(16.0))}
    expected = eqx.filter_jit(cell.step)(cell.init(u)).state["u"]
    found = eqx.filter_jit(again.step)(again.init(u)).state["u"]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_is_that_of_the_state(dtype):
    tendency = generate(of("d_t u = u/3"), line())
    found = tendency({"u": jnp.ones(16, dtype)})["u"]
    assert found.dtype == dtype
    assert float(found[0]) == float(dtype(1) / dtype(3))


# What gives wrong numbers there without an error.


def test_a_constant_changed_after_building_takes_effect():
    system = of("d_t u = -a*u + c", parameters={"a": 1.0}, constants=["c"])
    cell = Integrated(generate(system, line(), constants={"c": np.zeros(16)}), 0.01)
    start = {"u": jnp.ones(16)}
    close(stepped(cell, start, 100)["u"], np.exp(-1.0), 1e4)
    other = eqx.tree_at(lambda c: c.tendency.parameters["a"], cell, jnp.asarray(2.0))
    close(stepped(other, start, 100)["u"], np.exp(-2.0), 1e4)
    field = jnp.full((16,), 3.0)
    other = eqx.tree_at(lambda c: c.tendency.constants.value["c"], cell, field)
    close(stepped(other, start, 100)["u"], 3 - 2 * np.exp(-1.0), 1e4)


def test_coordinates_of_a_rectangle_are_not_transposed(tmp_path):
    grid = Grid.of(Axis("x", 6, 0.0, 6.0), Axis("y", 4, 0.0, 40.0))
    expected = np.arange(6.0)[:, None] + 10 * np.arange(4.0)
    tendency = generate(of("d_t u = x + y", axes="xy"), grid)
    start = {"u": jnp.zeros((6, 4))}
    close(tendency(start)["u"], expected)
    module = module_of(tendency.source(dt=1.0), tmp_path / "rectangle.py")
    close(module.tendency(start)["u"], expected)
    asked = {
        "system": {"coordinates": ["x", "y"], "equations": ["d_t u = x + y"]},
        "fields": {"u": {"initial": "x - y"}},
        "axes": {
            "x": {"points": 6, "upper": 6.0},
            "y": {"points": 4, "upper": 40.0},
        },
        "time": {"dt": 0.5, "steps": 2},
    }
    built = build(parse_equations(asked))
    dataset_of(built, integrate(built)).to_netcdf(tmp_path / "out.nc")
    with xr.open_dataset(tmp_path / "out.nc") as out:
        u = out.u.isel(time=-1)
        xr.testing.assert_allclose(
            u.drop_vars("time"), (2 * out.x + 0 * out.y).rename("u")
        )
        assert u.sel(x=5, y=10) == 10


def test_diffusion_in_flux_form_keeps_its_mass():
    heat = of("d_t u = d_x(k*d_x u) + d_y(k*d_y u)", axes="xy", constants=["k"])
    rng = np.random.default_rng(0)
    k, u = rng.uniform(0.5, 1.5, (12, 9)), rng.uniform(0.0, 1.0, (12, 9))
    tendency = generate(heat, Grid.of(Axis("x", 12), Axis("y", 9)), constants={"k": k})
    end = stepped(Integrated(tendency, 1e-3), {"u": jnp.asarray(u)}, 200)["u"]
    assert np.ptp(end) < 0.1 * np.ptp(u)
    assert abs(float(end.sum()) / u.sum() - 1) < 1e-13


# What is absent there.


def test_boundary_conditions():
    walls = {"u": {"x": (dirichlet(1.0), neumann(2.0))}}
    tendency = generate(of("d_t u = d_xx u"), line(periodic=False), boundaries=walls)
    x = (np.arange(16) + 0.5) / 16
    close(tendency({"u": jnp.asarray(1 + 2 * x)})["u"], 0.0, 1e3)  # at rest


def test_masks():
    water = np.arange(16) < 5
    model = generate(of("d_t u = d_xx u"), line(), coast=Coast(water))
    u = np.where(water, np.cos(np.pi * (np.arange(16) + 0.5) / 5), np.nan)
    decay = (2 - 2 * np.cos(np.pi / 5)) * 256  # of a basin of 5 cells without flux
    close(model({"u": jnp.asarray(u)})["u"], np.where(water, -decay * u, 0.0), 1e3)


def test_staggering():
    system = of("d_t h = -d_x u", "d_t u = -d_x h")
    tendency = generate(system, line(), staggered={"u": ["x"]})
    h, u = np.random.default_rng(0).normal(size=(2, 16))
    slope = tendency({"h": jnp.asarray(h), "u": jnp.asarray(u)})
    close(slope["h"], -(u - np.roll(u, 1)) * 16, 1e2)  # over one step, not two
    close(slope["u"], -(np.roll(h, -1) - h) * 16, 1e2)


@pytest.mark.parametrize("speed", [1.0, -1.0])
def test_upwind(speed):
    system = of("d_t u = -a*d_x u", parameters={"a": speed})
    tendency = generate(system, line(), Differences(2, upwind=True))
    u = np.random.default_rng(0).normal(size=16)
    back = int(speed)  # where the flow comes from
    one, two = np.roll(u, back), np.roll(u, 2 * back)
    close(tendency({"u": jnp.asarray(u)})["u"], -(3 * u - 4 * one + two) / 2 * 16, 1e2)


@pytest.mark.parametrize("order", [4, 6, 8])
def test_higher_order(order):
    u = jnp.sin(TURN * jnp.arange(16.0) / 16)
    slope = generate(of("d_t u = d_x u"), line(), Differences(order))({"u": u})["u"]
    error = abs(np.asarray(slope) - TURN * np.cos(TURN * np.arange(16) / 16)).max()
    a = TURN / 16
    first = {4: 1 / 30, 6: 1 / 140, 8: 1 / 630}[order]  # of the error of its symbol
    assert error == pytest.approx(TURN * first * a**order, rel=0.2)


def test_implicit_steps():
    heat, grid = of("d_t u = d_xx u"), line()
    scheme = ETDRK4.of(linear_part(heat, grid), 0.05)  # 60 times what RK4 holds stable
    cell = Integrated(generate(heat, grid, Spectral()), 0.05, scheme)
    u = jnp.cos(TURN * jnp.arange(16.0) / 16)
    close(stepped(cell, {"u": u}, 4)["u"], np.exp(-(TURN**2) * 0.2) * u)
