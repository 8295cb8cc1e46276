"""Steps in Fourier space are those on the grid."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tendency import Constant, InputError, Integrated, adams_bashforth3, forecast, rk4
from tendency.grid import Axis, Grid
from tendency.physics.nonlinear_waves import burgers
from tendency.symbolic.fourier import InFourierSpace, small_scale_filter
from tendency.symbolic.generated import generate
from tendency.symbolic.spectral import Spectral
from tendency.symbolic.system import System

GRID = Grid.of(Axis("x", 24))


@pytest.fixture(scope="module")
def tendency():
    return generate(burgers(0.01), GRID, Spectral())


def start():
    x = GRID.coordinates()["x"]
    return {"u": jnp.asarray(np.sin(2 * np.pi * x) + np.cos(4 * np.pi * x))}


@pytest.mark.parametrize("scheme", [rk4, adams_bashforth3])
def test_the_same_scheme_on_the_grid_and_on_transforms(tendency, scheme):
    cells = Integrated(tendency, 1e-3, scheme), InFourierSpace(tendency, 1e-3, scheme)
    ends = [forecast(cell, cell.init(start()), 10)[0].state["u"] for cell in cells]
    np.testing.assert_allclose(*ends, atol=1e-13)
    assert abs(ends[0] - start()["u"]).max() > 1e-2


def test_a_filter_acts_once_a_step(tendency):
    factor = small_scale_filter(GRID, cutoff=0.5, strength=1.0)
    assert factor[0] == 1
    assert (np.diff(factor) <= 0).all()
    bare = InFourierSpace(tendency, 1e-3)
    smooth = InFourierSpace(tendency, 1e-3, rk4, Constant(factor))
    one, two = (
        eqx.filter_jit(cell.step)(cell.init(start())).state["u"]
        for cell in (bare, smooth)
    )
    ratio = jnp.fft.rfft(two) / jnp.fft.rfft(one)
    kept = abs(jnp.fft.rfft(one)) > 1e-8
    np.testing.assert_allclose(ratio[kept], factor[kept], atol=1e-6)


@pytest.mark.parametrize("scheme", [rk4, adams_bashforth3])
def test_substeps_are_steps_that_stay_in_fourier_space(tendency, scheme):
    smoothing = Constant(small_scale_filter(GRID, cutoff=0.5, strength=1.0))
    single = InFourierSpace(tendency, 1e-3, scheme, smoothing)
    triple = InFourierSpace(tendency, 3e-3, scheme, smoothing, substeps=3)
    expected = forecast(single, single.init(start()), 6)[1]["u"][2::3]
    found = forecast(triple, triple.init(start()), 2)[1]["u"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


def test_substeps_see_a_ramp_of_the_forcing_where_they_are():
    """dq/dt = F(t), F from 1 to 4 in one step, squared: its integral is 7."""
    system = System.of(["d_t q = F**2"], coordinates="x", forcings=["F"])
    cell = InFourierSpace(generate(system, GRID, Spectral()), 1.0, rk4, substeps=4)
    ramp = {"F": jnp.array([1.0, 4.0])}
    carry, _ = forecast(cell, cell.init({"q": jnp.zeros(24)}), 1, ramp)
    np.testing.assert_allclose(carry.state["q"], 7.0, rtol=1e-13)


def test_derivatives_go_through_substeps(tendency):
    cell = InFourierSpace(tendency, 3e-3, adams_bashforth3, substeps=3)

    def energy(size):
        state = {"u": size * start()["u"]}
        return jnp.sum(forecast(cell, cell.init(state), 2)[0].state["u"] ** 2)

    h = 1e-4
    slope = (energy(1 + h) - energy(1 - h)) / (2 * h)
    assert jax.grad(energy)(1.0) == pytest.approx(float(slope), rel=1e-6)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda t: InFourierSpace(generate(burgers(), GRID), 1e-3), "Spectral()"),
        (lambda t: InFourierSpace(t, 0.0), "a positive step"),
        (lambda t: InFourierSpace(t, 1e-3, substeps=0), "substeps is 0, at least 1"),
        (lambda t: InFourierSpace(t, 1e-3, rk4, Constant(jnp.ones(3))), "shape"),
    ],
)
def test_what_cannot_be_stepped_is_refused(tendency, make, said):
    with pytest.raises(InputError, match=said.replace("(", r"\(").replace(")", r"\)")):
        make(tendency)
