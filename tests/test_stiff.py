"""Schemes for a stiff linear part: orders, exact solutions, limits."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.special
from numpy.testing import assert_allclose
from support import counted

from tendency.cell import Ramp, trainable
from tendency.errors import InputError
from tendency.forecasting import forecast
from tendency.integrate import Integrated, RungeKutta, rk4
from tendency.stiff import (
    ETDRK4,
    IMEXRungeKutta,
    SpectralLinear,
    ars222,
    ars343,
    wavenumbers,
)
from tendency.stiff.exponential import _matrix_phi, _phi
from tendency.store import load, save

SCHEMES = {
    "ETDRK4": (ETDRK4.of, 4),
    "ars343": (lambda linear, h: IMEXRungeKutta.of(linear, h, ars343), 3),
    "ars222": (lambda linear, h: IMEXRungeKutta.of(linear, h, ars222), 2),
}
every_scheme = pytest.mark.parametrize("name", SCHEMES)


def difference(a, b):
    return max(float(jnp.abs(a[name] - b[name]).max()) for name in b)


def nothing(carry):
    return None


def samples(shape, *names, dtype="float64"):
    rng = np.random.default_rng(0)
    return {name: jnp.asarray(rng.normal(size=shape), dtype) for name in names}


def derivative(k):
    """The symbol of ∂/∂x, zero at half the points, where it has no sign."""
    return jnp.asarray(np.where(k == k.max(), 0, 1j * k))


class KuramotoSivashinsky(eqx.Module):
    """∂u/∂t = g(t) - c u ∂u/∂x - ∂²u/∂x² - ∂⁴u/∂x⁴, g being the forcing or nothing."""

    ik: jax.Array
    linear: jax.Array
    c: jax.Array

    def __call__(self, state, forcing=None):
        u = state["u"]
        advection = -self.ik * jnp.fft.rfft(self.c * u**2 / 2)
        slope = jnp.fft.irfft(advection + self.linear * jnp.fft.rfft(u), u.size)
        return {"u": slope if forcing is None else slope + forcing}


def kuramoto_sivashinsky(n=32, length=50.0):
    """The tendency, its linear part and a start."""
    (k,) = wavenumbers((n,), (length,))
    x = 2 * np.pi * np.arange(n) / n
    start = {"u": jnp.asarray(np.cos(x) * (1 + np.sin(x)))}
    linear = k**2 - k**4
    tendency = KuramotoSivashinsky(
        derivative(k), jnp.asarray(linear.astype(complex)), jnp.asarray(1.0)
    )
    return tendency, SpectralLinear.of({"u": linear}, (n,)), start


def solved(make, steps, end=20.0):
    tendency, linear, start = kuramoto_sivashinsky()
    cell = Integrated(tendency, end / steps, make(linear, end / steps))
    return forecast(cell, cell.init(start), steps, save=nothing)[0].state


@every_scheme
def test_a_scheme_converges_at_its_order_on_kuramoto_sivashinsky(name):
    """Once the step resolves what it excites: the order comes late for ∂⁴/∂x⁴."""
    make, order = SCHEMES[name]
    reference = solved(ETDRK4.of, 6400)
    coarse, fine = (difference(solved(make, n), reference) for n in (800, 1600))
    assert abs(np.log2(coarse / fine) - order) < 0.1
    assert fine < 1e-4


def burgers_errors(make, steps, viscosity=0.5, n=64, end=2.0):
    """Of ∂u/∂t = -u ∂u/∂x + ν ∂²u/∂x² + s(x, t), s made for u = sin(x - t)."""
    (k,) = wavenumbers((n,), (2 * np.pi,))
    linear = SpectralLinear.of({"u": -viscosity * k**2}, (n,))
    ik, x = derivative(k), jnp.asarray(2 * np.pi * np.arange(n) / n)

    def tendency(state, t):
        u, exact = state["u"], jnp.sin(x - t)
        source = jnp.cos(x - t) * (exact - 1) + viscosity * exact
        flux = jnp.fft.irfft(-ik * jnp.fft.rfft(u**2 / 2), n)
        return {"u": flux + linear.apply(state)["u"] + source}

    scheme = make(linear, end / steps)
    cell = Integrated(tendency, end / steps, scheme)
    times = jnp.linspace(0, end, steps + 1)
    carry, _ = forecast(cell, cell.init({"u": jnp.sin(x)}), steps, times, save=nothing)
    return difference(carry.state, {"u": jnp.sin(x - end)})


@every_scheme
def test_a_scheme_converges_at_its_order_where_rk4_blows_up(name):
    """h |L| is 26 and 13; time is a forcing, seen where the stages are."""
    make, order = SCHEMES[name]
    coarse, fine = (burgers_errors(make, steps) for steps in (40, 80))
    assert abs(np.log2(coarse / fine) - order) < 0.1
    assert fine < 1e-3
    assert not burgers_errors(lambda linear, h: rk4, 80) < 1


def test_a_wave_of_two_coupled_fields_is_exact():
    """∂u/∂t = v, ∂v/∂t = c² ∇²u, by one long step against its analytic solution."""
    shape, c, h = (16, 12), 7.0, 1.3
    ky, kx = wavenumbers(shape, (2 * np.pi, 4 * np.pi))
    square = kx**2 + ky**2
    linear = SpectralLinear.of({("u", "v"): 1.0, ("v", "u"): -(c**2) * square}, shape)
    start = samples(shape, "u", "v")
    u, v = (np.fft.rfft2(start[name]) for name in "uv")
    w = c * np.sqrt(square)
    sinc = np.where(w > 0, np.sin(w * h) / np.where(w > 0, w, 1), h)
    exact = {
        "u": np.fft.irfft2(np.cos(w * h) * u + sinc * v, shape),
        "v": np.fft.irfft2(-w * np.sin(w * h) * u + np.cos(w * h) * v, shape),
    }
    scale = max(np.abs(x).max() for x in exact.values())
    scheme = ETDRK4.of(linear, h)
    new, _ = scheme.step(lambda c, x: linear.apply(x), start, None, h)
    assert difference(new, exact) < 1e-12 * scale


@pytest.mark.parametrize("shape", [(16,), (9, 8), (6, 5, 4)])
def test_diffusion_is_exact_in_any_number_of_dimensions(shape):
    k = wavenumbers(shape, [2 * np.pi] * len(shape))
    square = sum(x**2 for x in k)
    start, h = samples(shape, "a", "b"), 0.4
    linear = SpectralLinear.of({"a": -0.3 * square, "b": 0 * square}, shape)
    cell = Integrated(lambda x, _: linear.apply(x), h, ETDRK4.of(linear, h))
    new = cell.step(cell.init(start)).state
    decay = np.exp(-0.3 * square * h)
    exact = np.fft.irfftn(decay * np.fft.rfftn(start["a"]), shape, range(len(shape)))
    assert difference(new, {"a": exact, "b": start["b"]}) < 1e-13


def test_a_channel_is_periodic_along_one_axis_and_varies_along_the_other():
    shape = (5, 16)
    (k,) = wavenumbers(shape, (2 * np.pi,), axes=(1,))
    assert k.shape == (1, 9)
    wind = np.linspace(1, 2, 5)[:, None]
    linear = SpectralLinear.of({"q": -1j * k * wind}, shape, axes=(1,))
    x = 2 * np.pi * np.arange(16) / 16
    start = {"q": jnp.asarray(np.sin(x + np.zeros((5, 1))))}
    scheme = ETDRK4.of(linear, 3.0)
    new, _ = scheme.step(lambda c, q: linear.apply(q), start, None, 3.0)
    assert difference(new, {"q": np.sin(x - 3 * wind)}) < 1e-13


@every_scheme
def test_without_a_linear_part_a_scheme_is_its_explicit_tableau(name):
    make, order = SCHEMES[name]
    explicit = rk4
    if name != "ETDRK4":
        table = {"ars343": ars343, "ars222": ars222}[name]
        explicit = RungeKutta(table.explicit, table.b, order)

    def tendency(state, forcing):
        return {"u": forcing * jnp.sin(state["v"]), "v": state["u"] * state["v"]}

    zero = SpectralLinear.of({"u": 0.0, "v": 0.0}, (8,))
    start, forcing = samples((8,), "u", "v"), Ramp(jnp.asarray(1.0), jnp.asarray(2.0))
    ours, theirs = (Integrated(tendency, 0.1, s) for s in (make(zero, 0.1), explicit))
    a, b = (c.step(c.init(start), forcing).state for c in (ours, theirs))
    assert difference(a, b) < 1e-14


def test_an_implicit_scheme_damps_what_is_too_fast():
    linear = SpectralLinear.of({"u": -1e9}, (8,))
    start = samples((8,), "u")
    for table in (ars222, ars343):
        scheme = IMEXRungeKutta.of(linear, 1.0, table)
        new, _ = scheme.step(lambda c, x: linear.apply(x), start, None, 1.0)
        assert jnp.abs(new["u"]).max() < 1e-5


def damped_waves():
    """Two fields and a third by itself: a matrix and its limit."""
    (k,) = wavenumbers((12,), (2 * np.pi,))
    symbols = {("u", "h"): -3j * k, ("h", "u"): -3j * k, ("u", "u"): -(k**2), "q": -k}
    return SpectralLinear.of(symbols, (12,))


@every_scheme
def test_a_matrix_that_couples_nothing_is_the_numbers_on_its_diagonal(name):
    make, _ = SCHEMES[name]
    (k,) = wavenumbers((12,), (2 * np.pi,))
    alone = {"u": -(k**2), "v": 1j * k**3}
    numbers = SpectralLinear.of(alone, (12,))
    matrices = SpectralLinear.of({**alone, ("u", "v"): 0.0}, (12,))
    assert matrices.symbol.numpy().ndim == numbers.symbol.numpy().ndim + 1
    start = samples((12,), "u", "v")

    def f(c, x):
        return {"u": x["u"] * x["v"], "v": x["u"] ** 2}

    a, b = (make(x, 0.1).step(f, start, None, 0.1)[0] for x in (numbers, matrices))
    assert difference(a, b) < 1e-13


def test_solve_inverts_and_apply_is_real():
    (k,) = wavenumbers((12,), (2 * np.pi,))
    alone = SpectralLinear.of(dict.fromkeys("uhq", 1j * k**3 - k**2), (12,))
    state = samples((12,), "u", "h", "q")
    for linear in (alone, damped_waves()):
        slope = linear.apply(state)
        moved = {name: state[name] - 0.7 * slope[name] for name in state}
        assert difference(linear.solve(moved, 0.7), state) < 1e-13


def test_the_functions_of_a_matrix_are_those_of_its_exponential():
    rng = np.random.default_rng(0)
    for size in (0.0, 1e-3, 0.8, 5.0, 200.0):
        A = rng.normal(size=(3, 3))
        A = size * (A - A.T - np.diag([0.0, 0.1, 1.0])).astype(complex)
        whole = np.zeros((12, 12), complex)  # A above identities: φ₁, φ₂, φ₃ in its row
        whole[:3, :3] = A
        whole[:9, 3:] += np.eye(9)
        row = scipy.linalg.expm(whole)[:3].reshape(3, 4, 3).swapaxes(0, 1)
        for ours, theirs in zip(_matrix_phi(A[:, :, None]), row, strict=True):
            assert_allclose(ours[:, :, 0], theirs, atol=1e-12)


def test_the_functions_of_a_number_hold_near_zero_and_far_away():
    """Against the series, against those of matrices, and their limits."""
    small = np.array([0, 1e-12, -1e-6, 1e-3j, 0.3 - 0.4j, 0.99j, -1.01, 1.5j])
    for j, ours in enumerate(_phi(small)):
        series = sum(
            small**n / float(scipy.special.factorial(n + j)) for n in range(30)
        )
        assert_allclose(ours, series, rtol=1e-13)
    large = np.array([-1e6, -30, 1e3j, -5 + 7j, 3.0])
    matrices = np.zeros((2, 2, 5), complex)
    matrices[0, 0] = matrices[1, 1] = large
    for ours, theirs in zip(_phi(large), _matrix_phi(matrices), strict=True):
        assert_allclose(ours, theirs[0, 0], rtol=1e-11, atol=1e-300)
    assert_allclose(_phi(large)[1][0], 1e-6)
    assert not np.iscomplexobj(_phi(np.array([0.5, -3.0]))[3])


@every_scheme
def test_float32_stays_float32(name):
    make, _ = SCHEMES[name]
    start = samples((12,), "u", "h", "q", dtype="float32")
    linear = damped_waves()

    def f(c, x):
        return {k: v * x["q"] for k, v in x.items()}

    scheme = make(linear, 0.1)
    new, _ = scheme.step(f, start, None, 0.1)
    assert {x.dtype for x in new.values()} == {jnp.dtype("float32")}
    double = {k: v.astype(jnp.float64) for k, v in start.items()}
    assert (
        difference(
            scheme.step(f, double, None, 0.1)[0],
            {k: v.astype(jnp.float64) for k, v in new.items()},
        )
        < 1e-5
    )


@every_scheme
def test_derivatives_are_those_of_differences_and_of_each_other(name):
    make, _ = SCHEMES[name]
    tendency, linear, start = kuramoto_sivashinsky()
    h, eps = 0.1, 1e-5
    cell = Integrated(tendency, h, make(linear, h))

    def run(c, u):
        here = eqx.tree_at(lambda x: x.tendency.c, cell, c)
        return forecast(here, here.init({"u": u}), 5)[0].state["u"]

    at = jnp.asarray(1.2), start["u"]
    direction = jnp.asarray(0.7), samples((32,), "u")["u"]
    _, tangent = jax.jvp(run, at, direction)
    plus, minus = (
        run(*(a + s * eps * d for a, d in zip(at, direction, strict=True)))
        for s in (1, -1)
    )
    assert_allclose(tangent, (plus - minus) / (2 * eps), atol=1e-8)
    weight = samples((32,), "w")["w"]
    adjoint = jax.vjp(run, *at)[1](weight)
    inner = sum(jnp.sum(a * d) for a, d in zip(adjoint, direction, strict=True))
    assert_allclose(inner, jnp.sum(tangent * weight), rtol=1e-12)


@every_scheme
def test_members_go_together_as_each_alone(name):
    make, _ = SCHEMES[name]
    tendency, linear, start = kuramoto_sivashinsky()
    cell = Integrated(tendency, 0.1, make(linear, 0.1))
    members = {"u": start["u"][None] * jnp.asarray([[0.5], [1.0], [2.0]])}
    run = lambda x: forecast(cell, cell.init(x), 5)[1]["u"]  # noqa: E731
    together = jax.vmap(run)(members)
    assert together.shape == (3, 5, 32)
    for i in range(3):
        assert_allclose(together[i], run({"u": members["u"][i]}), atol=1e-13)


@pytest.mark.parametrize(
    ("name", "count"), [("ETDRK4", 4), ("ars343", 4), ("ars222", 2)]
)
def test_the_tendency_is_evaluated_once_a_stage(name, count):
    tendency, traces = counted()
    linear = SpectralLinear.of({"u": -1.0}, (8,))
    scheme = SCHEMES[name][0](linear, 0.1)
    cell = Integrated(lambda x, _: {"u": tendency(x["u"])}, 0.1, scheme)
    jax.eval_shape(cell.step, cell.init({"u": jnp.ones(8)}))
    assert len(traces) == count


@every_scheme
def test_a_saved_cell_comes_back_and_holds_nothing_to_learn(name, tmp_path):
    scheme = SCHEMES[name][0](damped_waves(), 0.1)
    assert not any(jax.tree.leaves(trainable(scheme)))
    save(tmp_path / "scheme.safetensors", scheme)
    again, _ = load(tmp_path / "scheme.safetensors")
    start = samples((12,), "u", "h", "q")
    a, b = (s.step(lambda c, x: x, start, None, 0.1)[0] for s in (scheme, again))
    assert difference(a, b) == 0


@every_scheme
def test_substeps_ask_for_a_scheme_of_their_length(name):
    make, _ = SCHEMES[name]
    tendency, linear, start = kuramoto_sivashinsky()
    wrong = Integrated(tendency, 0.1, make(linear, 0.1), substeps=2)
    with pytest.raises(InputError, match=r"made for steps of 0\.1 and is stepped by 0"):
        wrong.step(wrong.init(start))
    long = Integrated(tendency, 0.1, make(linear, 0.05), substeps=2)
    short = Integrated(tendency, 0.05, make(linear, 0.05))
    twice = forecast(short, short.init(start), 2)[0].state
    assert difference(long.step(long.init(start)).state, twice) < 1e-14


def test_what_cannot_be_used_is_refused():
    (k,) = wavenumbers((8,), (1.0,))
    linear = SpectralLinear.of({"u": -(k**2)}, (8,))
    with pytest.raises(InputError, match=r"has the shape \(8,\) and \(5,\) was exp"):
        SpectralLinear.of({"u": np.ones(8)}, (8,))
    with np.errstate(divide="ignore"), pytest.raises(InputError, match="not finite at"):
        SpectralLinear.of({("u", "v"): -1 / k}, (8,))
    with pytest.raises(InputError, match="the periodic axes are"):
        SpectralLinear.of({"u": 0.0}, (8,), axes=(1,))
    with pytest.raises(InputError, match="give one length for each"):
        wavenumbers((8, 8), (1.0,))
    for state in ({"v": jnp.ones(8)}, {"u": jnp.ones(9)}, samples((8,), "u", "v")):
        with pytest.raises(InputError, match="name every field"):
            linear.apply(state)
    for h in (0.0, -1.0, np.nan):
        with pytest.raises(InputError, match="a positive one was expected"):
            ETDRK4.of(linear, h)
    growing = SpectralLinear.of({"u": k**2}, (8,))
    with pytest.raises(InputError, match="overflows"):
        ETDRK4.of(growing, 10.0)
    for symbols in ({"u": 1.0}, {("u", "u"): 1.0, ("u", "v"): 0.0}):
        unsolvable = SpectralLinear.of(symbols, (8,))
        with pytest.raises(InputError, match="no implicit step"):
            IMEXRungeKutta.of(unsolvable, 1 / ars343.gamma)
