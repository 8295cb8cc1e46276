"""Schemes: their order measured, exact solutions, and the physics they step."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from support import counted, lorenz63_taylor, oscillator

from tendency.cell import Carry, Ramp
from tendency.forecasting import forecast
from tendency.integrate import (
    Diffrax,
    Integrated,
    adams_bashforth3,
    dormand_prince5,
    euler,
    rk4,
    ssprk3,
)
from tendency.physics import Lorenz63, Lorenz96

END = 2.0
FIXED = {
    # scheme, its order, steps over the time span of the coarser of two runs
    "euler": (euler, 1, 40),
    "ssprk3": (ssprk3, 3, 40),
    "rk4": (rk4, 4, 20),
    "dormand_prince5": (dormand_prince5, 5, 20),
    "adams_bashforth3": (adams_bashforth3, 2, 80),  # by its Euler start, see below
    "diffrax.Tsit5": (Diffrax(diffrax.Tsit5()), 5, 20),
    "diffrax.Dopri8": (Diffrax(diffrax.Dopri8()), 8, 6),
}


def growth(state, forcing):
    """Logistic growth, alone and at a rate that is the forcing; both are nonlinear."""
    return {
        "free": state["free"] * (1 - state["free"]),
        "forced": forcing * state["forced"] * (1 - state["forced"]),
    }


def rate(t):
    return 1 + t / 2


def exact(t):
    """Of both from 0.1: a variable rate only stretches the time, τ = ∫ rate dt."""
    curve = lambda tau: 1 / (1 + 9 * np.exp(-tau))  # noqa: E731
    return {"free": curve(t), "forced": curve(t + t**2 / 4)}


START = {"free": jnp.asarray(0.1), "forced": jnp.asarray(0.1)}


def errors(scheme, steps, held=False, substeps=1):
    """Errors at END, the forcing given at the ends of the steps, or held over them."""
    times = np.linspace(0, END, steps + 1)
    cell = Integrated(growth, END / steps, scheme, substeps)
    forcing = jnp.asarray(rate(times[:-1] if held else times))
    carry, _ = forecast(cell, cell.init(START), steps, forcing)
    return {k: abs(float(carry.state[k]) - v) for k, v in exact(END).items()}


def orders(coarse, fine):
    return {k: np.log2(coarse[k] / fine[k]) for k in coarse}


@pytest.mark.parametrize("name", FIXED)
def test_a_scheme_converges_at_its_order_forced_or_not(name):
    scheme, order, steps = FIXED[name]
    measured = orders(errors(scheme, steps), errors(scheme, 2 * steps))
    tolerance = 0.2 if order < 8 else 0.6  # the coarse steps of order 8 are coarse
    assert abs(measured["free"] - order) < tolerance
    assert measured["forced"] > order - 0.15
    assert errors(scheme, 2 * steps)["forced"] < 0.02


@pytest.mark.parametrize("name", ["rk4", "diffrax.Tsit5"])
def test_a_forcing_held_over_the_step_makes_any_scheme_first_order(name):
    scheme, *_ = FIXED[name]
    measured = orders(errors(scheme, 40, held=True), errors(scheme, 80, held=True))
    assert abs(measured["forced"] - 1) < 0.05


def test_adams_bashforth_is_third_order_once_its_memory_is_right():
    """Its own start is an Euler step, whose error of order h² stays."""

    def error(steps):
        h = END / steps
        cell = Integrated(growth, h, adams_bashforth3)
        state = jax.tree.map(jnp.asarray, exact(2 * h))
        past = [
            jax.tree.map(jnp.asarray, growth(exact(i * h), rate(i * h))) for i in (1, 0)
        ]
        carry = Carry(state, (*past, jnp.asarray(2, jnp.int32)))
        forcing = jnp.asarray(rate(np.linspace(2 * h, END, steps - 1)))
        carry, _ = forecast(cell, carry, steps - 2, forcing)
        return {k: abs(float(carry.state[k]) - v) for k, v in exact(END).items()}

    for order in orders(error(80), error(160)).values():
        assert abs(order - 3) < 0.1


def test_adams_bashforth_evaluates_the_tendency_once_a_step():
    tendency, traces = counted()
    cell = Integrated(tendency, 0.1, adams_bashforth3)
    jax.eval_shape(cell.step, cell.init(jnp.ones(2)))
    assert len(traces) == 1


@pytest.mark.parametrize("name", ["rk4", "adams_bashforth3"])
def test_substeps_are_shorter_steps(name):
    """Eight steps of four substeps are 32 steps, forcing and memory included."""
    scheme, *_ = FIXED[name]
    coarse = Integrated(growth, END / 8, scheme, substeps=4)
    fine = Integrated(growth, END / 32, scheme)
    at = lambda n: jnp.asarray(rate(np.linspace(0, END, n + 1)))  # noqa: E731
    a, _ = forecast(coarse, coarse.init(START), 8, at(8))
    b, _ = forecast(fine, fine.init(START), 32, at(32))
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert_allclose(x, y, rtol=1e-13)


def test_an_adaptive_solver_meets_its_tolerance_whatever_the_step():
    controller = diffrax.PIDController(rtol=1e-9, atol=1e-10)
    found = errors(Diffrax(diffrax.Tsit5(), controller), 2)
    assert max(found.values()) < 1e-8


class Stiff(eqx.Module):
    """dx/dt = -λ (x - cos t) - sin t with dt/dt = 1: x → cos t at the rate λ = 10⁵."""

    def __call__(self, state, forcing=None):
        x, t = state
        return jnp.stack([-1e5 * (x - jnp.cos(t)) - jnp.sin(t), jnp.ones_like(t)])


def test_an_implicit_solver_takes_long_steps_through_a_stiff_problem():
    root_finder = diffrax.VeryChord(rtol=1e-10, atol=1e-10)
    scheme = Diffrax(diffrax.Kvaerno5(root_finder=root_finder))
    cell = Integrated(Stiff(), 0.1, scheme)
    carry, _ = forecast(cell, cell.init(jnp.array([1.0, 0.0])), 10)
    assert_allclose(carry.state, [np.cos(1.0), 1.0], rtol=1e-7)


def test_an_implicit_stage_that_cannot_be_solved_is_an_error():
    solver = diffrax.Kvaerno3(root_finder=diffrax.VeryChord(rtol=1e-9, atol=1e-9))
    cell = Integrated(lambda x, u: jnp.exp(50 * x), 1.0, Diffrax(solver))
    with pytest.raises(eqx.EquinoxRuntimeError, match="solve"):
        forecast(cell, cell.init(jnp.asarray(1.0)), 1)


def test_lorenz63_follows_the_taylor_series():
    cell = Integrated(Lorenz63(), 0.01, Diffrax(diffrax.Dopri8()), substeps=4)
    start = lorenz63_taylor([8.0, 0.0, 30.0], 0.01, 300)[-1]
    truth = lorenz63_taylor(start, 0.01, 20)
    _, states = forecast(cell, cell.init(jnp.asarray(start, float)), 20)
    assert_allclose(states, truth[1:].astype(float), rtol=0, atol=1e-12)


def test_lorenz63_has_its_three_fixed_points():
    model = Lorenz63()
    x = np.sqrt(8 / 3 * 27)
    for point in ([0.0, 0.0, 0.0], [x, x, 27.0], [-x, -x, 27.0]):
        assert_allclose(model(jnp.array(point)), np.zeros(3), atol=1e-12)


def test_lorenz96_is_its_formula_and_adds_a_forcing():
    x = np.random.default_rng(0).normal(size=7)
    n = len(x)
    formula = [(x[(i + 1) % n] - x[i - 2]) * x[i - 1] - x[i] + 8 for i in range(n)]
    assert_allclose(Lorenz96()(jnp.asarray(x)), formula, rtol=1e-14)
    extra = np.arange(7.0)
    forced = Lorenz96()(jnp.asarray(x), jnp.asarray(extra))
    assert_allclose(forced, formula + extra, rtol=1e-13)


def test_lorenz96_advection_conserves_energy_and_rest_is_an_equilibrium():
    x = jnp.asarray(np.random.default_rng(1).normal(size=40))
    advection = Lorenz96(0.0)(x) + x
    assert abs(float(x @ advection)) < 1e-13
    assert_allclose(Lorenz96(5.0)(jnp.full(40, 5.0)), np.zeros(40), atol=0)
    # without advection's work the energy relaxes: d(x²/2)/dt = -x² + F Σx
    assert_allclose(x @ Lorenz96()(x), -x @ x + 8 * x.sum(), rtol=1e-12)


@pytest.mark.parametrize("scheme", [rk4, adams_bashforth3, FIXED["diffrax.Tsit5"][0]])
def test_a_float32_state_stays_float32(scheme):
    cell = Integrated(growth, 0.1, scheme, substeps=2)
    start = jax.tree.map(lambda a: a.astype(jnp.float32), START)
    ramp = Ramp(jnp.float32(1.0), jnp.float32(1.05))
    new = jax.eval_shape(cell.step, cell.init(start), ramp)
    assert {a.dtype for a in jax.tree.leaves(new.state)} == {jnp.dtype("float32")}


def test_a_scheme_adds_no_weights():
    count = lambda tree: len(jax.tree.leaves(eqx.filter(tree, eqx.is_array)))  # noqa: E731
    for scheme, *_ in FIXED.values():
        assert count(Integrated(oscillator(), 0.1, scheme)) == 1


@pytest.mark.parametrize("dt", [0.0, -0.1, float("nan"), float("inf")])
def test_a_step_that_is_not_positive_is_refused(dt):
    with pytest.raises(ValueError, match="a positive step was expected"):
        Integrated(oscillator(), dt)


def test_no_substeps_are_refused():
    with pytest.raises(ValueError, match="substeps is 0"):
        Integrated(oscillator(), 0.1, substeps=0)
