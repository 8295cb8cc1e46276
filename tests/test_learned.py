"""Unknown functions in equations: of values at a point, around it, of whole fields."""

import importlib.util
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tendency import store
from tendency.cell import trainable
from tendency.errors import InputError
from tendency.fitting import Descent, RolloutLoss, fit
from tendency.forecasting import forecast
from tendency.grid import Axis, Grid
from tendency.integrate import Integrated
from tendency.networks import ScalarMLP
from tendency.symbolic.boundary import dirichlet, neumann
from tendency.symbolic.bounds import positive
from tendency.symbolic.coasts import Coast
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import generate
from tendency.symbolic.spectral import Spectral
from tendency.symbolic.system import System
from tendency.symbolic.unknowns import Field, Pointwise, Scalar, Stencil, Whole
from tendency.windows import Windows

LINE = Grid.of(Axis("x", 16))
WALLS = Grid.of(Axis("x", 16, periodic=False))
PLANE = Grid.of(Axis("y", 6), Axis("x", 8))


class Known(eqx.Module):
    """A function with a weight, whose values are known."""

    weight: jax.Array
    kind: str = eqx.field(static=True)

    def __call__(self, v):
        if self.kind == "product":
            return self.weight * v[0] * v[1]
        if self.kind == "laplacian":  # of the 3 x 3 points around
            return self.weight * (v[1] + v[3] + v[5] + v[7] - 4 * v[4])
        if self.kind == "curvature":
            return self.weight * (v[0] + v[2] - 2 * v[1])
        return self.weight * jnp.roll(v[0], 1, -1) * v[1]  # of whole fields


class Line(eqx.Module):
    """Twice its first argument."""

    def __call__(self, v):
        return 2 * v[0]


def known(kind, weight=0.5):
    return Known(jnp.asarray(weight), kind)


def made(text, grid=LINE, unknowns: Any = None, method: Any = None, **how):
    system = System.of(
        [f"d_t u = {text}"],
        coordinates=[a.name for a in grid.axes],
        unknowns=unknowns,
    )
    return generate(system, grid, *([] if method is None else [method]), **how)


def wave(grid=LINE):
    phases = sum(2 * np.pi * c for c in grid.coordinates().values())
    return {"u": jnp.asarray(1.2 + np.sin(phases))}


@eqx.filter_jit
def values(model):
    return model(wave())["u"]


def close(a, b, tolerance=1e-13):
    scale = float(jnp.abs(b).max())
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("grid", [LINE, WALLS], ids=["periodic", "walls"])
@pytest.mark.parametrize("text", ["{}", "d_x({})", "d_x(u*{})", "2*{}^2 - u*d_x({})"])
def test_a_pointwise_function_is_what_it_computes(text, grid):
    """At the cells, on the faces and beyond the ends; nothing leaves between cells."""
    ends = {"u": {"x": (dirichlet(0.3), neumann(0.1))}}
    how = {} if grid is LINE else {"boundaries": ends}
    unknowns = {"S": Pointwise(["u", "d_x u"], known("product"))}
    learned = made(text.replace("{}", "S"), grid, unknowns, **how)
    written = made(text.replace("{}", "(u*d_x u/2)"), grid, **how)
    close(learned(wave(grid))["u"], written(wave(grid))["u"])


def test_a_pointwise_function_of_products_in_fourier_space():
    unknowns = {"S": Pointwise(["u", "d_x u"], known("product"))}
    learned = made("d_xx u - d_x S", LINE, unknowns, Spectral())
    written = made("d_xx u - d_x(u*d_x u/2)", LINE, None, Spectral())
    close(learned(wave())["u"], written(wave())["u"], 1e-12)


def test_a_stencil_sees_the_points_around_and_the_boundaries():
    learned = made("S", PLANE, {"S": Stencil(["u"], known("laplacian", 1.0))})
    u = wave(PLANE)["u"]
    around = sum(jnp.roll(u, s, a) for s in (1, -1) for a in (0, 1))
    close(learned({"u": u})["u"], around - 4 * u)
    ends = {"u": {"x": (dirichlet(0.3), neumann(0.1))}}
    h = WALLS.axes[0].spacing
    curved = {"S": Stencil(["u"], known("curvature", h**-2))}
    learned = made("S", WALLS, curved, boundaries=ends)
    written = made("d_xx u", WALLS, boundaries=ends)
    close(learned(wave(WALLS))["u"], written(wave(WALLS))["u"], 1e-12)


def test_whole_fields_pass_through_any_module():
    learned = made("d_x W", PLANE, {"W": Whole(["u", "u*x"], known("whole"))})
    u, x = wave(PLANE)["u"], jnp.asarray(PLANE.coordinates()["x"])
    w = 0.5 * jnp.roll(u, 1, -1) * u * x
    h = PLANE.axes[1].spacing
    close(learned({"u": u})["u"], (jnp.roll(w, -1, -1) - jnp.roll(w, 1, -1)) / (2 * h))
    fixed = made("W", PLANE, {"W": Whole(["x", "t"], known("whole"))})
    assert fixed({"u": u}, {"t": jnp.asarray(2.0)})["u"].shape == u.shape


def test_whole_fields_are_extrapolated_beyond_walls_and_maps_may_vary_along_one_axis():
    walls = {"u": {"x": (dirichlet(0.0), dirichlet(0.0))}}
    unknowns: Any = {"W": Whole(["x", "u"], Line())}
    learned = made("d_x W + 0*d_xx u", WALLS, unknowns, boundaries=walls)
    close(learned(wave(WALLS))["u"], 2 * jnp.ones(16), 1e-12)
    unknowns = {"k": Field(np.arange(1.0, 7.0), along=["y"])}
    by_y = made("k*u", PLANE, unknowns)(wave(PLANE))["u"]
    close(by_y, jnp.arange(1.0, 7.0)[:, None] * wave(PLANE)["u"])


def test_a_learned_flux_stays_central_beside_finite_volumes():
    unknowns = {"S": Pointwise(["u"], Line())}
    both = made("-d_x(u^2/2) + d_x S", LINE, unknowns, Differences(flux="minmod"))
    own = made("-d_x(u^2/2)", LINE, None, Differences(flux="minmod"))
    central = made("d_x(2*u)", LINE)
    expected = own(wave())["u"] + central(wave())["u"]
    close(both(wave())["u"], expected)


def test_a_function_within_bounds_and_among_the_diagnostic_fields():
    unknowns = {"K": Pointwise(["u", "u^2"], known("product", -3.0), positive)}
    learned = made("d_x(K*d_x u)", LINE, unknowns)
    diagnosed = made("d_x(K*d_x u)", LINE, unknowns, diagnostics=True)(wave())["K"]
    close(diagnosed, jnp.log1p(jnp.exp(-3 * wave()["u"] ** 3)))
    assert diagnosed.min() > 0
    assert abs(float(learned(wave())["u"].sum())) < 1e-12


def test_a_network_is_absent_before_a_fit_saved_and_of_its_own_precision(tmp_path, key):
    network = ScalarMLP(2, width=4, scales=[1.0, 6.0], dtype=jnp.float32, key=key)
    unknowns = {"S": Pointwise(["u", "d_x u"], network, scale=3.0)}
    learned = made("d_xx u + S", LINE, unknowns)
    close(values(learned), values(made("d_xx u")))
    leaves = jax.tree.leaves(eqx.filter(learned, trainable(learned)))
    assert sum(leaf.size for leaf in leaves) == 2 * 4 + 4 + 4 * 4 + 4 + 4 + 1
    bias = lambda t: t.unknowns["S"].function.layers[-1].bias  # noqa: E731
    learned = eqx.tree_at(bias, learned, jnp.ones(1, jnp.float32))
    close(values(learned), values(made("d_xx u + 3")))
    store.save(tmp_path / "model.safetensors", learned)
    again, _ = store.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(values(again), values(learned))


def test_source_calls_the_function_that_it_is_given(tmp_path):
    unknowns = {"S": Pointwise(["u", "d_x u"], known("product")), "a": Scalar(0.1)}
    learned = made("a*d_xx u + d_x S", LINE, unknowns)
    path = tmp_path / "generated.py"
    path.write_text(learned.source("jax", dt=1e-3))
    spec = importlib.util.spec_from_file_location("generated", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    state = module.forecast(wave(), 3, functions=learned.functions)
    cell = Integrated(learned, 1e-3)
    carry, _ = forecast(cell, cell.init(wave()), 3)
    np.testing.assert_array_equal(state["u"], carry.state["u"])
    for target in ("torch", "keras"):
        with pytest.raises(InputError, match=f"source for {target} cannot call"):
            learned.source(target)


def test_a_stencil_is_refused_where_points_are_not_alike():
    unknowns = {"S": Stencil(["u"], known("curvature"))}
    with pytest.raises(InputError, match="spectral method knows no neighbours"):
        made("S", LINE, unknowns, Spectral())
    water = np.arange(16) > 3
    with pytest.raises(InputError, match="there are coasts or stretched axes"):
        made("S", LINE, unknowns, coast=Coast(water))
    with pytest.raises(InputError, match="reach of a stencil is 0, at least 1"):
        Stencil(["u"], known("curvature"), reach=0)
    with pytest.raises(InputError, match=r"scales of a network of 2 .*\[1.0, 0.0\]"):
        ScalarMLP(2, scales=[1.0, 0.0], key=jax.random.key(0))


def test_a_fit_through_the_solver_finds_them_from_noisy_masked_fields(key):
    """A scalar inside a square and a flux law K(u), half the points missing."""
    text = "d_x(K*d_x u) - a^2*u"
    truth = made("d_x((0.02 + 0.03*u)*d_x u) - 0.64*u")
    cell = Integrated(truth, 0.01)
    start = {"u": jnp.asarray(1 + np.sin(2 * np.pi * LINE.axes[0].positions()))}
    _, states = forecast(cell, cell.init(start), 60)
    rng = np.random.default_rng(1)
    seen = rng.random((60, 16)) < 0.5
    noisy = np.where(seen, states["u"] + 1e-4 * rng.normal(size=seen.shape), np.nan)
    noisy[::15] = states["u"][::15]  # where roll-outs start
    windows = Windows.of(
        {"u": noisy}, 15, weights={"u": np.isfinite(noisy).astype(float)}, stride=15
    )
    unknowns = {
        "a": Scalar(0.4, positive),
        "K": Pointwise(["u"], ScalarMLP(1, 4, 1, key=key), positive, scale=0.05),
    }
    guess = Integrated(made(text, LINE, unknowns), 0.01)
    method = Descent(optax.adam(3e-2), epochs=300, batch=4)
    fitted = fit(guess, windows, method, key=key, loss=RolloutLoss()).cell.tendency
    assert abs(float(fitted.values["a"]) - 0.8) < 0.02
    u = jnp.linspace(0.3, 1.5, 5)
    found = fitted.functions["K"](u)
    np.testing.assert_allclose(found, 0.02 + 0.03 * u, atol=0.005)
