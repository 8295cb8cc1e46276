"""Coasts: what stays in the water, mirror images, the same as walls of the domain."""

import re
from fractions import Fraction

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from tendency.equations.stages import check, run
from tendency.errors import InputError
from tendency.forecasting import forecast
from tendency.grid import HALF, Axis, Grid
from tendency.integrate import Integrated
from tendency.physics.shallow_water import C_GRID, linear_shallow_water, shallow_water
from tendency.symbolic.boundary import dirichlet, neumann, walls
from tendency.symbolic.coasts import Coast, open_at
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import generate
from tendency.symbolic.spectral import Spectral
from tendency.symbolic.system import System

SHAPE = (14, 12)
ZERO = Fraction(0)
GRID = Grid.of(Axis("x", 14), Axis("y", 12, periodic=False))
WATER = np.random.default_rng(3).random(SHAPE) > 0.25
RAGGED = Coast(WATER)
CLOSED = walls(GRID, {"x": "u", "y": "v"}, others={"T": neumann(), "h": neumann()})
DIFFUSION = System.of(
    ["d_t T = d_x(k*d_x T) + d_y(k*d_y T)"], coordinates="xy", constants={"k": "xy"}
)
TENSOR = System.of(
    ["d_t T = d_x(a*d_x T + b*d_y T) + d_y(b*d_x T + a*d_y T)"],
    coordinates="xy",
    constants={"a": "xy", "b": "xy"},
)
CARRIED = System.of(
    ["d_t T = -d_x(u*T) - d_y(v*T)", "d_t u = 0*u", "d_t v = 0*v"], coordinates="xy"
)


def rough(shape, seed):
    return jnp.asarray(1 + np.random.default_rng(seed).random(shape))


def only(model, *names):
    """Boundaries of the fields that a system has."""
    return {name: model[name] for name in names}


def rates(model, seed=0):
    state = {
        name: rough(shape, seed + i) for i, (name, shape) in enumerate(model.shapes)
    }
    return state, {k: np.asarray(v) for k, v in eqx.filter_jit(model)(state).items()}


def diffusion(coast: Coast | None = RAGGED, grid=GRID):
    k = rough(grid.shape, 9)
    ends = only(CLOSED, "T") if not grid.axes[1].periodic else None
    return generate(DIFFUSION, grid, boundaries=ends, constants={"k": k}, coast=coast)


MASS = {
    "diffusion": lambda: diffusion(),
    "tensor": lambda: generate(
        TENSOR,
        Grid.of(Axis("x", 14), Axis("y", 12)),
        constants={"a": rough(SHAPE, 4), "b": rough(SHAPE, 5) / 4},
        coast=RAGGED,
    ),
    "carried": lambda: generate(
        CARRIED, GRID, boundaries=only(CLOSED, "T", "u", "v"), coast=RAGGED
    ),
    "carried on the C grid": lambda: generate(
        CARRIED,
        GRID,
        boundaries=only(CLOSED, "T", "u", "v"),
        staggered=C_GRID,
        coast=RAGGED,
    ),
}


@pytest.mark.parametrize("case", MASS)
def test_mass_stays_in_the_water(case):
    _, found = rates(MASS[case]())
    change = found["T"]
    assert np.abs(change[WATER]).max() > 0.1
    assert (change[~WATER] == 0).all()
    assert abs(change.sum()) < 1e-13 * np.abs(change).sum()


@pytest.mark.parametrize("slip", ["free", "no"])
def test_shallow_water_keeps_its_mass_and_rest_within_a_ragged_coast(slip):
    model = generate(
        shallow_water(1.0, 0.5, 0.3, 0.01),
        GRID,
        boundaries=only(CLOSED, "h", "u", "v"),
        staggered=C_GRID,
        coast=Coast(WATER, slip),
    )
    state, found = rates(model)
    assert abs(found["h"].sum()) < 1e-13 * np.abs(found["h"]).sum()
    for name, offsets in {"u": (HALF, ZERO), "v": (ZERO, HALF)}.items():
        closed = ~open_at(WATER, GRID, offsets)
        assert (found[name][closed] == 0).all()
        assert np.abs(found[name][~closed]).max() > 0.1
    rest = {k: jnp.zeros_like(x) for k, x in state.items()} | {"h": 3 + 0 * state["h"]}
    assert all(np.abs(x).max() == 0 for x in model(rest).values())


def test_linear_shallow_water_keeps_its_energy():
    model = generate(
        linear_shallow_water(2.0, 3.0, 1.5),
        GRID,
        boundaries=only(CLOSED | {"eta": CLOSED["h"]}, "eta", "u", "v"),
        staggered=C_GRID,
        coast=RAGGED,
    )
    state, found = rates(model)
    weights = {"eta": 3.0, "u": 2.0, "v": 2.0}  # g and H
    seas = {
        "eta": WATER,
        "u": open_at(WATER, GRID, (HALF, ZERO)),
        "v": open_at(WATER, GRID, (ZERO, HALF)),
    }
    terms = [weights[k] * np.where(seas[k], state[k], 0) * found[k] for k in weights]
    total = sum(t.sum() for t in terms)
    assert abs(total) < 1e-13 * sum(np.abs(t).sum() for t in terms)


@pytest.mark.parametrize("slip", ["free", "no"])
@pytest.mark.parametrize("staggered", [None, C_GRID], ids=["cells", "faces"])
@pytest.mark.parametrize("side", ["x", "y"])
def test_a_straight_coast_is_a_wall(side, staggered, slip):
    """Land along two edges, or a bounded axis of the water alone."""
    i, (n, m) = "xy".index(side), (12, 10)
    land = [(0, 0), (0, 0)]
    land[i] = (2, 3)
    water = np.pad(np.ones((n, m), bool), land)
    lower, upper = [0.0, 0.0], [n * 0.1, m * 0.1]
    axes = [
        Axis(name, points, 0.0, points * 0.1, periodic=name != side)
        for name, points in zip("xy", (n, m), strict=True)
    ]
    inner = Grid.of(*axes)
    lower[i], upper[i] = -0.2, upper[i] + 0.3
    outer = Grid.of(
        *(
            Axis(name, points, lo, hi)
            for name, points, lo, hi in zip(
                "xy", water.shape, lower, upper, strict=True
            )
        )
    )
    system = System.of(
        [
            "d_t u = (d_x v - d_y u)*v - d_x h + d_x(h*d_x u) + d_y(h*d_y u)",
            "d_t v = -(d_x v - d_y u)*u - d_y h + d_xx v + d_yy v",
            "d_t h = -d_x(h*u) - d_y(h*v) + d_xx h + d_yy h + d_x h*d_y h",
        ],
        coordinates="xy",
    )
    ends = walls(inner, {"x": "u", "y": "v"}, slip, others={"h": neumann()})
    if staggered is None:  # the wall is a coast for what stands on the cells
        ends |= {"u": {side: neumann()}, "v": {side: neumann()}}
        if slip == "no":
            pytest.skip("no-slip is of velocities on the faces")
        system = System.of(
            ["d_t h = d_xx h + d_yy h + d_x h*d_y h + h*d_x(h*d_x h)"],
            coordinates="xy",
        )
        ends = {"h": ends["h"]}
    within = generate(system, inner, boundaries=ends, staggered=staggered)
    masked = generate(system, outer, staggered=staggered, coast=Coast(water, slip))
    state, expected = rates(within)
    full = {}
    for name, values in state.items():
        rows = [(0, 0), (0, 0)]
        rows[i] = (2, water.shape[i] - 2 - values.shape[i])
        full[name] = jnp.pad(values, rows, constant_values=jnp.nan)
    found = eqx.filter_jit(masked)(full)
    for name, values in expected.items():
        cut = [slice(None), slice(None)]
        cut[i] = slice(2, 2 + values.shape[i])
        scale = np.abs(values).max()
        np.testing.assert_allclose(
            found[name][tuple(cut)], values, rtol=0, atol=1e-13 * scale, err_msg=name
        )


def test_diffusion_is_symmetric_and_makes_no_extremes():
    model = diffusion()

    def change(T):
        return model({"T": T})["T"]

    matrix = jax.jacobian(change)(jnp.zeros(SHAPE)).reshape(168, 168)
    scale = np.abs(matrix).max()
    np.testing.assert_allclose(matrix, matrix.T, rtol=0, atol=1e-14 * scale)
    assert (matrix - jnp.diag(jnp.diag(matrix)) >= 0).all()
    assert np.abs(matrix.sum(axis=1)).max() < 1e-13 * scale
    cell = Integrated(model, 0.2 / float(scale))
    start = rough(SHAPE, 1)
    carry, _ = forecast(cell, cell.init({"T": start}), 200, every=200)
    end = np.asarray(carry.state["T"])
    assert start[WATER].min() <= end[WATER].min()
    assert end[WATER].max() <= start[WATER].max()
    np.testing.assert_array_equal(end[~WATER], start[~WATER])


def test_land_holds_nothing_that_matters():
    """Not even by a gradient, and not though it holds no numbers."""
    model = generate(
        System.of(["d_t T = d_x(d_x T/T) + d_y(log(T)*d_y T)"], coordinates="xy"),
        GRID,
        boundaries=only(CLOSED, "T"),
        coast=RAGGED,
    )

    def energy(T):
        return jnp.sum(jnp.where(WATER, model({"T": T})["T"], 0.0) ** 2)

    start = rough(SHAPE, 2)
    empty = jnp.where(WATER, start, jnp.nan)
    assert energy(empty) == energy(start)
    slope = np.asarray(jax.grad(energy)(empty))
    assert np.isfinite(slope).all()
    assert (slope[~WATER] == 0).all()


def test_adjoint_of_a_step():
    model = generate(
        shallow_water(1.0, 0.5, 0.3, 0.01),
        GRID,
        boundaries=only(CLOSED, "h", "u", "v"),
        staggered=C_GRID,
        coast=Coast(WATER, "no"),
    )
    state, _ = rates(model)
    _, direction = rates(model, 5)
    _, weights = rates(model, 8)
    direction, weights = (jax.tree.map(jnp.asarray, d) for d in (direction, weights))
    forward = jax.jvp(model, (state,), (direction,))[1]
    (back,) = jax.vjp(model, state)[1](weights)
    dot = lambda a, b: sum(float(jnp.vdot(a[k], b[k])) for k in a)  # noqa: E731
    assert dot(forward, weights) == pytest.approx(dot(direction, back), rel=1e-12)


def test_order_two_in_a_box_within_land():
    """T = cos(pi X) cos(2 pi Y) has no slope on the coast of the box."""
    errors = []
    for n in (16, 32):
        h, edge = 1 / n, n // 4
        size = n + 2 * edge
        grid = Grid.of(
            *(Axis(a, size, -edge * h, 1 + edge * h, periodic=False) for a in "xy")
        )
        x, y = (grid.coordinates()[a] for a in "xy")
        water = np.asarray((abs(x - 0.5) < 0.5) & (abs(y - 0.5) < 0.5))
        k = 2 + np.sin(x) * y
        exact = np.cos(np.pi * x) * np.cos(2 * np.pi * y)
        t_x = -np.pi * np.sin(np.pi * x) * np.cos(2 * np.pi * y)
        t_y = -2 * np.pi * np.cos(np.pi * x) * np.sin(2 * np.pi * y)
        expected = -5 * np.pi**2 * k * exact + np.cos(x) * y * t_x + np.sin(x) * t_y
        model = generate(
            DIFFUSION,
            grid,
            boundaries={"T": {"x": neumann(), "y": neumann()}},
            constants={"k": k},
            coast=Coast(water),
        )
        found = np.asarray(model({"T": jnp.asarray(exact)})["T"])
        errors.append(np.abs(found - expected)[water].mean())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


def test_a_sea_of_one_cell_and_a_domain_without_land():
    alone = np.zeros(SHAPE, bool)
    alone[3, 4] = True
    _, found = rates(diffusion(Coast(alone)))
    assert np.abs(found["T"]).max() == 0
    _, whole = rates(diffusion(Coast(np.ones(SHAPE, bool))))
    _, plain = rates(diffusion(None))
    np.testing.assert_allclose(whole["T"], plain["T"], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("coast", "method", "said"),
    [
        (Coast(np.zeros(SHAPE, bool)), Differences(), "no water"),
        (Coast(WATER[1:]), Differences(), r"shape \(13, 12\), \(14, 12\) was"),
        (Coast(WATER * 1.0), Differences(), "float64: truth values"),
        (Coast(WATER, "half"), Differences(), "slip is 'half', free or no"),  # pyright: ignore
        (RAGGED, Differences(4), "of order 2, and another is asked for"),
        (RAGGED, Differences(upwind=True), "of order 2, and another is asked for"),
        (RAGGED, Spectral(), "spectral method knows no coasts"),
    ],
)
def test_what_a_coast_cannot_be(coast, method, said):
    with pytest.raises(InputError, match=said):
        generate(
            DIFFUSION,
            GRID,
            method,
            boundaries=only(CLOSED, "T"),
            constants={"k": np.ones(SHAPE)},
            coast=coast,
        )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("d_xxx T", "order 3 of T"),
        ("J_xy(T, T**2)", "Jacobian, which knows no coasts"),
    ],
)
def test_terms_that_know_no_coasts(text, said):
    grid = Grid.of(Axis("x", 14), Axis("y", 12))
    with pytest.raises(InputError, match=said):
        generate(System.of([f"d_t T = {text}"], coordinates="xy"), grid, coast=RAGGED)


def test_walls():
    assert CLOSED["u"] == {"y": neumann()}
    assert CLOSED["v"] == {"y": dirichlet()}
    assert walls(GRID, {"x": "u"}, "no") == {"u": {"y": dirichlet()}}
    with pytest.raises(InputError, match="slip is 'some', free or no"):
        walls(GRID, {"x": "u"}, "some")  # pyright: ignore
    with pytest.raises(InputError, match="along z, and the axes are x, y"):
        walls(GRID, {"z": "w"})


LAKE = """
out = "out"
[system]
name = "lake"
coordinates = ["x", "y"]
equations = [
    "d_t h = -d_x(h*u) - d_y(h*v)",
    "d_t u = f*v - g*d_x h",
    "d_t v = -f*u - g*d_y h",
]
[parameters]
g = 1.0
f = 1.0
[fields.h]
initial = "1 + 0.1*exp(-20*(x - 0.5)^2 - 20*(y - 0.3)^2)"
boundary.y = { neumann = 0 }
[fields.u]
initial = 0
staggered = ["x"]
velocity = "x"
boundary.y = "free-slip"
[fields.v]
initial = "0/(y - 0.75)"
staggered = ["y"]
velocity = "y"
boundary.y = { lower = "no-slip", upper = "free-slip" }
[axes.x]
points = 12
[axes.y]
points = 8
periodic = false
[coast]
water = "0.7 - y + 0.1*sin(2*pi*x)"
slip = "no-slip"
[time]
dt = 0.02
steps = 20
every = 10
"""


def test_coasts_and_slip_in_a_file(tmp_path, capsys):
    path = tmp_path / "lake.toml"
    path.write_text(LAKE)
    check(str(path))
    told = capsys.readouterr().out
    assert "no-slip" in told
    assert "v along y" in told
    assert "no-slip below, free-slip above" in told
    run(str(path), say=print)
    with xr.open_dataset(tmp_path / "out" / "lake.nc") as opened:
        saved = opened.load()
    y, x = saved.y.values, saved.x.values[:, None]
    water = 0.7 - y + 0.1 * np.sin(2 * np.pi * x) > 0
    h = saved.h.values
    np.testing.assert_array_equal(np.isfinite(h), np.broadcast_to(water, h.shape))
    total = np.nansum(h, axis=(1, 2))
    np.testing.assert_allclose(total, total[0], rtol=1e-13)
    assert np.nanmax(np.abs(saved.u.values[-1])) > 1e-3
    assert (
        "the integral of h stays level"
        in (tmp_path / "out/report.html").read_text().lower()
    )
    # A file of the same, land where values are missing, and from where the run ended.
    mask = xr.Dataset({"depth": (("x", "y"), np.where(water, 5.0, np.nan))})
    mask.to_netcdf(tmp_path / "mask.nc")
    text = LAKE.replace(
        'water = "0.7 - y + 0.1*sin(2*pi*x)"',
        'water = { file = "mask.nc", variable = "depth" }',
    )
    for name in "huv":
        text = re.sub(
            rf"(\[fields.{name}\]\ninitial = ).*",
            rf'\1{{ file = "out/lake.nc", variable = "{name}" }}',
            text,
        )
    path.write_text(text.replace('out = "out"', 'out = "again"'))
    run(str(path), say=print)
    with xr.open_dataset(tmp_path / "again" / "lake.nc") as opened:
        np.testing.assert_array_equal(opened.h.values[0], h[-1])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('velocity = "x"\n', "", "which axis this is the velocity"),
        ('velocity = "x"\n', 'velocity = "z"\n', "fields.u.velocity holds z"),
        ('"free-slip"\n[fields.v]', '"slippery"\n[fields.v]', "free-slip"),
        ('"0.7 - y + 0.1*sin(2*pi*x)"', "-1", "no water"),
        ('"0.7 - y + 0.1*sin(2*pi*x)"', '"w"', "coast.water"),
    ],
)
def test_a_file_whose_coasts_will_not_do(tmp_path, old, new, said):
    assert old in LAKE
    path = tmp_path / "lake.toml"
    path.write_text(LAKE.replace(old, new))
    with pytest.raises(InputError, match=said):
        check(str(path))
