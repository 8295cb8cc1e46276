"""Cases with known answers: Burgers, the heat equation, covariances, shallow water."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from manufactured import manufactured, order_of, sampled

from tendency.forecasting import forecast
from tendency.grid import Axis, Grid
from tendency.integrate import AbstractScheme, Integrated, dormand_prince5, rk4
from tendency.physics.nonlinear_waves import korteweg_de_vries
from tendency.stiff import ETDRK4
from tendency.symbolic.boundary import dirichlet, neumann
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import generate
from tendency.symbolic.spectral import Spectral, linear_part
from tendency.symbolic.system import System

KAPPA = 0.0025
BURGERS = System.of(
    ["d_t u = kappa*d_xx u - u*d_x u"], coordinates=["x"], parameters={"kappa": KAPPA}
)
# Pannekoucke & Fablet (2020, Geosci. Model Dev. 13, 3373): mean, variance and the
# diffusion tensor of the error, closed by its leading terms.
PKF = System.of(
    [
        "d_t u = kappa*d_xx u - u*d_x u - d_x V/2",
        "d_t V = -kappa*V/nu + kappa*d_xx V - kappa*(d_x V)**2/(2*V) - u*d_x V"
        " - 2*V*d_x u",
        "d_t nu = 4*kappa*nu**2*C - 3*kappa*d_xx nu - kappa + 6*kappa*(d_x nu)**2/nu"
        " - 2*kappa*nu*d_xx V/V + kappa*d_x V*d_x nu/V"
        " + 2*kappa*nu*(d_x V)**2/V**2 - u*d_x nu + 2*nu*d_x u",
        "C = a*d_xx nu/nu**2 + b/nu**2 + c*(d_x nu)**2/nu**3",
    ],
    coordinates=["x"],
    parameters={"kappa": KAPPA, "a": 1.0, "b": 0.75, "c": -2.0},
)


def periodic(n):
    return Grid.of(Axis("x", n))


def run(tendency, state, dt, steps, forcing=None, scheme: AbstractScheme = rk4):
    cell = Integrated(tendency, dt, scheme)
    carry, _ = forecast(cell, cell.init(state), steps, forcing, every=steps)
    return carry.state


def on(n):
    return np.arange(n) / n


def start(n):
    return {"u": jnp.asarray((1 + np.cos(2 * np.pi * (on(n) - 0.25))) / 4)}


def cole_hopf(n, t, fine=512):
    """Burgers from `start` at a time: the heat equation by Fourier series."""
    x = on(fine)
    phi = np.fft.fft(np.exp(np.cos(2 * np.pi * x) / (16 * np.pi * KAPPA)))
    k = 2 * np.pi * np.fft.fftfreq(fine, 1 / fine)
    phi = phi * np.exp(-KAPPA * k**2 * t)
    waves = np.exp(1j * np.outer(on(n) - t / 4, k))
    return 0.25 - 2 * KAPPA * ((waves @ (1j * k * phi)) / (waves @ phi)).real


def test_a_heat_mode_decays_as_the_discrete_symbol_says():
    n, kappa, steps = 64, 0.01, 500
    h = 1 / n
    dt = 0.2 * h**2 / kappa
    system = System.of(["d_t u = k*d_xx u"], coordinates=["x"], parameters={"k": kappa})
    mode = np.sin(6 * np.pi * on(n))
    found = run(generate(system, periodic(n)), {"u": jnp.asarray(mode)}, dt, steps)
    z = -4 * kappa / h**2 * np.sin(3 * np.pi * h) ** 2 * dt
    factor = (1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24) ** steps
    assert abs(found["u"] / factor - mode).max() < 1e-11


def test_burgers_is_the_cole_hopf_solution():
    points, errors = (241, 482, 964), []
    for n, dt in zip(points, (2e-3, 1e-3, 2.5e-4), strict=True):
        found = run(generate(BURGERS, periodic(n)), start(n), dt, round(1 / dt))["u"]
        exact = cole_hopf(n, 1.0)
        errors.append(np.sqrt(np.mean((found - exact) ** 2) / np.var(exact)))
        assert abs(found.mean() - 0.25) < 1e-14
    assert errors == pytest.approx([2.42e-3, 6.00e-4, 1.50e-4], rel=0.01)
    assert order_of(errors, points) == pytest.approx(2, abs=0.05)


def test_order_in_time():
    tendency = generate(BURGERS, periodic(241))
    reference = run(tendency, start(241), 2.5e-4, 2000, scheme=dormand_prince5)["u"]
    steps = (125, 250, 500, 1000)
    errors = [
        float(abs(run(tendency, start(241), 0.5 / n, n)["u"] - reference).max())
        for n in steps
    ]
    for k in (2, 3, 4):
        assert order_of(errors[:k], steps[:k]) == pytest.approx(4, abs=0.05)


def test_a_manufactured_solution():
    x = sympy.Symbol("x", real=True)
    t = sympy.Symbol("t", real=True)
    exact = sympy.Rational(3, 2) + sympy.sin(2 * sympy.pi * (x - t))
    system = BURGERS._replace(parameters={k: 0.01 for k in BURGERS.parameters})
    forced = manufactured(system, {"u": exact})
    points, errors = (128, 256), []
    for n in points:
        grid = periodic(n)
        steps = 8 * n
        times = {"t": jnp.linspace(0.0, 1.0, steps + 1)}
        state = {"u": sampled(exact, system, grid)}
        cell = Integrated(generate(forced, grid), 1 / steps)
        carry, _ = forecast(cell, cell.init(state), steps, times, every=steps)
        errors.append(float(abs(carry.state["u"] - state["u"]).max()))
    assert errors[-1] == pytest.approx(1.04e-3, rel=0.02)
    assert order_of(errors, points) == pytest.approx(2, abs=0.05)


def pkf_start(n, length=0.02):
    u = start(n)["u"]
    variance = (0.01 * float(u.max())) ** 2
    return {
        "u": u,
        "V": jnp.full(n, variance),
        "nu": jnp.full(n, length**2 / 2),
    }


def test_adjoint_and_tangent_of_the_covariance_forecast():
    tendency = generate(PKF, periodic(241))
    state = pkf_start(241)
    scale = jax.tree.map(lambda x: abs(x).mean(), state)
    rng = np.random.default_rng(0)

    def noise():
        return jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), state)

    def steps(x):
        return run(tendency, x, 0.002, 500)

    move = jax.tree.map(jnp.multiply, noise(), scale)
    weight = jax.tree.map(jnp.divide, noise(), scale)
    end, tangent = jax.jit(lambda x, dx: jax.jvp(steps, (x,), (dx,)))(state, move)
    (back,) = jax.jit(lambda x, w: jax.vjp(steps, x)[1](w))(state, weight)

    def dot(a, b):
        return sum(float((a[k] * b[k]).sum()) for k in a)

    left, right = dot(weight, tangent), dot(back, move)
    assert left == pytest.approx(right, rel=1e-12)

    def rest(e):
        moved = steps(jax.tree.map(lambda x, dx: x + e * dx, state, move))
        parts = {
            k: abs((moved[k] - end[k] - e * tangent[k]) / scale[k]).max() for k in end
        }
        return float(max(parts.values()))

    assert rest(1e-3) / rest(5e-4) == pytest.approx(4, abs=0.05)


def test_covariance_of_the_heat_equation():
    """V and ν without gradients: ν = ν₀ + 2κt, V = V₀ √(ν₀/ν)."""
    n, steps = 32, 2000
    state = {
        "u": jnp.zeros(n),
        "V": jnp.full(n, 2.5e-5),
        "nu": jnp.full(n, 2e-4),
    }
    found = run(generate(PKF, periodic(n)), state, 1 / steps, steps)
    nu = 2e-4 + 2 * KAPPA
    np.testing.assert_allclose(found["nu"], nu, rtol=1e-12)
    np.testing.assert_allclose(found["V"], 2.5e-5 * np.sqrt(2e-4 / nu), rtol=1e-8)


def test_covariance_of_an_advection_that_comes_back():
    """Du/Dt = 0: V is carried, ν by the square of the gradient of the flow."""
    system = System.of(
        ["d_t V = -c*d_x V", "d_t nu = -c*d_x nu + 2*nu*d_x c"],
        coordinates=["x"],
        constants=["c"],
    )
    points, errors = (241, 482), []
    for n in points:
        x = on(n)
        c = jnp.asarray(1 + 0.3 * np.sin(2 * np.pi * x))
        state = {
            "V": jnp.asarray(1 + 0.2 * np.cos(2 * np.pi * x)),
            "nu": jnp.full(n, 2e-4),
        }
        steps = 2 * n
        tendency = generate(system, periodic(n), constants={"c": c})
        found = run(tendency, state, float(1 / np.sqrt(0.91)) / steps, steps)
        errors.append(
            [
                float(np.sqrt(np.mean((found[k] / state[k] - 1) ** 2)))
                for k in ("V", "nu")
            ]
        )
    for which, known in enumerate((4.3e-4, 3.2e-4)):
        assert errors[0][which] < known
        pair = [e[which] for e in errors]
        assert order_of(pair, points) == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("order", [2, 4, 6, 8])
def test_flux_form_keeps_mass_on_periodic_axes(order):
    equation = "d_t u = d_x(k*d_x u + m*d_y u) + d_y(m*d_x u + k*d_y u) - d_x(u**2/2)"
    system = System.of([equation], coordinates=["x", "y"], constants=["k", "m"])
    grid = Grid.of(Axis("x", 12), Axis("y", 10, 0.0, 2.0))
    rng = np.random.default_rng(0)
    u, k, m = (jnp.asarray(rng.uniform(1, 2, grid.shape)) for _ in range(3))
    tendency = generate(system, grid, Differences(order), constants={"k": k, "m": m})
    found = eqx.filter_jit(tendency)({"u": u})["u"]
    assert abs(found.sum()) < 1e-13 * abs(found).sum()


def test_walls_without_flux_keep_mass():
    """Order 2, whose ghosts are mirror images; diffusion, and a closed channel."""
    grid = Grid.of(
        Axis("x", 12, 0.0, 1.0, periodic=False), Axis("y", 9, 0.0, 1.0, periodic=False)
    )
    system = System.of(
        [
            "d_t u = d_x(k*d_x u - u*v) + d_y(k*d_y u)",
            "d_t v = d_xx v + d_yy v",
        ],
        coordinates=["x", "y"],
        constants=["k"],
    )
    rng = np.random.default_rng(0)
    tendency = generate(
        system,
        grid,
        boundaries={
            "u": {"x": neumann(), "y": neumann()},
            "v": {"x": dirichlet(), "y": neumann()},
        },
        staggered={"v": ["x"]},
        constants={"k": jnp.asarray(rng.uniform(1, 2, grid.shape))},
    )
    start = {
        "u": jnp.asarray(rng.uniform(1, 2, grid.shape)),
        "v": jnp.asarray(rng.normal(size=(11, 9))),
    }
    mass = start["u"].sum()
    end = run(tendency, start, 5e-4, 200)
    assert abs(end["u"] - start["u"]).max() > 0.05
    assert abs(end["u"].sum() / mass - 1) < 1e-13


def test_a_soliton_is_back_at_its_place_after_ten_lengths_of_the_domain():
    """KdV has u = c/2 sech²(√c/2 (x - c t)); here c = 1."""
    n, length, steps = 80, 40.0, 60_000
    system, grid = korteweg_de_vries(), Grid.of(Axis("x", n, 0.0, length))
    dt = 10 * length / steps
    tendency = generate(system, grid, Spectral(dealias=False))
    scheme = ETDRK4.of(linear_part(system, grid), dt)
    begin = {"u": jnp.asarray(0.5 / np.cosh(length * (on(n) - 0.5) / 2) ** 2)}
    end = run(tendency, begin, dt, steps, scheme=scheme)
    assert abs(end["u"] - begin["u"]).max() < 1e-6 * 0.5
    # of 60,000 roundings
    assert abs(end["u"].sum() / begin["u"].sum() - 1) < 1e-11


SHALLOW = System.of(
    [
        "d_t h = -H*(d_x u + d_y v)",
        "d_t u = f*v - g*d_x h",
        "d_t v = -f*u - g*d_y h",
    ],
    coordinates=["x", "y"],
    parameters={"H": 2.0, "f": 3.0, "g": 5.0},
)
C_GRID = {"u": ["x"], "v": ["y"]}


@pytest.mark.parametrize("periodic_y", [True, False])
def test_staggered_shallow_water_keeps_energy(periodic_y):
    grid = Grid.of(Axis("x", 10), Axis("y", 8, 0.0, 1.0, periodic=periodic_y))
    walls = {name: {"y": dirichlet() if name == "v" else neumann()} for name in "huv"}
    tendency = generate(
        SHALLOW, grid, staggered=C_GRID, boundaries={} if periodic_y else walls
    )
    rng = np.random.default_rng(0)
    state = {k: jnp.asarray(rng.normal(size=s)) for k, s in tendency.shapes}
    slope = eqx.filter_jit(tendency)(state)
    weight = {"h": 5.0, "u": 2.0, "v": 2.0}
    parts = [weight[k] * float((state[k] * slope[k]).sum()) for k in state]
    assert abs(sum(parts)) < 1e-13 * sum(map(abs, parts)) * 10


@pytest.mark.parametrize("order", [2, 4])
def test_staggered_waves_have_the_discrete_dispersion(order):
    nx, ny, kx, ky = 12, 10, 2, 1
    grid = Grid.of(Axis("x", nx), Axis("y", ny))
    tendency = generate(SHALLOW, grid, Differences(order), staggered=C_GRID)
    a, b = 2 * np.pi * kx / nx, 2 * np.pi * ky / ny  # phases of a step

    def slope(phase, n):
        if order == 2:
            return 2 * np.sin(phase / 2) * n
        return (27 * np.sin(phase / 2) - np.sin(3 * phase / 2)) / 12 * n

    def mean(phase):
        if order == 2:
            return np.cos(phase / 2)
        return (9 * np.cos(phase / 2) - np.cos(3 * phase / 2)) / 8

    sx, sy, f = slope(a, nx), slope(b, ny), 3.0 * mean(a) * mean(b)
    matrix = np.array([[0, -2j * sx, -2j * sy], [-5j * sx, 0, f], [-5j * sy, -f, 0]])
    shapes = {"h": (0, 0), "u": (0.5, 0), "v": (0, 0.5)}
    phases = {
        k: a * (np.arange(nx)[:, None] + p) + b * (np.arange(ny)[None] + q)
        for k, (p, q) in shapes.items()
    }
    amplitudes = np.array([1.0, 0.3 + 0.2j, -0.5j])
    parts = [
        eqx.filter_jit(tendency)(
            {
                k: jnp.asarray(part(c * np.exp(1j * phases[k])))
                for k, c in zip("huv", amplitudes, strict=True)
            }
        )
        for part in (np.real, np.imag)
    ]
    for k, expected in zip("huv", matrix @ amplitudes, strict=True):
        found = (np.asarray(parts[0][k]) + 1j * np.asarray(parts[1][k])) * np.exp(
            -1j * phases[k]
        )
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)
    omega = np.sort(np.linalg.eigvals(matrix).imag)
    expected = np.sqrt(f**2 + 10.0 * (sx**2 + sy**2))
    np.testing.assert_allclose(omega, [-expected, 0, expected], atol=1e-11)
