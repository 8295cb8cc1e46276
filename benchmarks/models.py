"""The generated models that are timed: cell, start, and how many steps at once."""

from typing import Any, NamedTuple

import numpy as np

import tendency
from tendency.grid import Axis, Grid
from tendency.physics.quasigeostrophic import two_layer_quasigeostrophic
from tendency.physics.shallow_water import shallow_water
from tendency.symbolic.fourier import InFourierSpace, small_scale_filter
from tendency.symbolic.generated import generate
from tendency.symbolic.spectral import Spectral
from tendency.symbolic.system import System

_KAPPA = {"kappa": 0.0025}
MOMENTS = (
    "d_t u = kappa*d_xx u - u*d_x u - d_x V/2",
    "d_t V = -kappa*V/nu + kappa*d_xx V - kappa*(d_x V)**2/(2*V) - u*d_x V - 2*V*d_x u",
    "d_t nu = 4*kappa*nu**2*(d_xx nu/nu**2 + 3/(4*nu**2) - 2*(d_x nu)**2/nu**3)"
    " - 3*kappa*d_xx nu - kappa + 6*kappa*(d_x nu)**2/nu - 2*kappa*nu*d_xx V/V"
    " + kappa*d_x V*d_x nu/V + 2*kappa*nu*(d_x V)**2/V**2 - u*d_x nu + 2*nu*d_x u",
)


class Timed(NamedTuple):
    """A model as it is timed."""

    cell: Any
    start: dict[str, np.ndarray]
    steps: int


def burgers(points: int) -> Timed:
    """Burgers' equation on a periodic line."""
    equation = "d_t u = kappa*d_xx u - u*d_x u"
    system = System.of([equation], coordinates="x", parameters=_KAPPA)
    cell = tendency.Integrated(generate(system, _line(points)), dt=1e-4)
    return Timed(cell, {"u": _wave(points)}, 2_000)


def moments(points: int) -> Timed:
    """Mean, variance and aspect of Burgers' uncertain flow."""
    system = System.of(MOMENTS, coordinates="x", parameters=_KAPPA)
    cell = tendency.Integrated(generate(system, _line(points)), dt=1e-4)
    u = _wave(points)
    return Timed(cell, {"u": u, "V": 0 * u + 2.5e-5, "nu": 0 * u + 2e-4}, 2_000)


def diffusion(points: int) -> Timed:
    """Diffusion on a periodic square, explicit at any number of points."""
    plane = Grid.of(Axis("x", points), Axis("y", points))
    equation = "d_t u = kappa*(d_xx u + d_yy u)"
    system = System.of([equation], coordinates="xy", parameters=_KAPPA)
    dt = min(1e-4, 0.1 / points**2 / _KAPPA["kappa"])
    cell = tendency.Integrated(generate(system, plane), dt=dt)
    return Timed(cell, {"u": np.random.default_rng(0).random((points, points))}, 200)


def shallow(points: int) -> Timed:
    """Nonlinear shallow water, all fields at the same points, as py-pde has them."""
    length = 1e6
    plane = Grid.of(*(Axis(c, points, 0.0, length) for c in "xy"))
    system = shallow_water(beta=0.0, viscosity=50.0)
    cell = tendency.Integrated(generate(system, plane), dt=30.0)
    angle = 2 * np.pi * np.arange(points) / points
    x, y = np.meshgrid(angle, angle, indexing="ij")
    start = {
        "h": 100 + np.cos(x + 2 * y) + np.sin(3 * x),
        "u": 0.3 * np.sin(y) + 0.1 * np.cos(2 * x + y),
        "v": 0.2 * np.sin(2 * x) - 0.1 * np.cos(x - y),
    }
    return Timed(cell, start, 50)


def layers(points: int) -> Timed:
    """Two quasi-geostrophic layers; on the grid again after ten steps of 2,400 s."""
    plane = Grid.of(*(Axis(c, points, 0.0, 1.28e6) for c in "yx"))
    tendencies = generate(two_layer_quasigeostrophic(), plane, Spectral(dealias=False))
    smoothing = tendency.Constant(small_scale_filter(plane))
    scheme, several = tendency.adams_bashforth3, 10
    cell = InFourierSpace(tendencies, 24e3, scheme, smoothing, several)
    rng = np.random.default_rng(0)
    k = np.fft.fftfreq(points, 1 / points)
    low = np.hypot(k[:, None], k[None, : points // 2 + 1]) < points / 8
    hats = np.fft.rfft2(rng.standard_normal((2, points, points))) * low
    hats[:, 0, 0] = 0
    fields = 1e-6 * np.fft.irfft2(hats)
    return Timed(cell, dict(zip(("q1", "q2"), fields, strict=True)), 100)


MODELS = {f.__name__: f for f in (burgers, moments, diffusion, shallow, layers)}


def _line(points: int) -> Grid:
    return Grid.of(Axis("x", points))


def _wave(points: int) -> np.ndarray:
    return (1 + np.cos(2 * np.pi * (np.arange(points) / points - 1 / 4))) / 4
