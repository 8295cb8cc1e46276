"""Frequencies of linear waves, measured in a run and known from theory.

On the f plane ω² = f² + c² (k² + l²). On the equatorial beta plane, f = β y, a mode of
v = Hermite function n has ω² / c² - k² - β k / ω = (2 n + 1) β / c (Matsuno, 1966,
J. Meteorol. Soc. Jpn 44, 25, eq. 8): the root of least size is its Rossby wave, the
others are inertia-gravity waves. Nothing is approximated but space and time.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex, Float

from tendency.errors import InputError
from tendency.forecasting import forecast
from tendency.grid import HALF, Axis, Grid
from tendency.integrate import Integrated
from tendency.physics.shallow_water import C_GRID, linear_shallow_water
from tendency.symbolic.boundary import neumann, walls
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import Generated, generate
from tendency.symbolic.system import System

F_PLANE = linear_shallow_water(1.0, 1.0, 1.0)
EQUATOR = System.of(
    [
        "d_t eta = -(d_x u + d_y v)",
        "d_t u = y*v - d_x eta",
        "d_t v = -y*u - d_y eta",
    ],
    coordinates=["x", "y"],
    name="equator",
    doc="Linear shallow water on the equatorial beta plane, c = β = 1.",
)
ZERO = 0 * HALF
OFFSETS = {"eta": (ZERO, ZERO), "u": (HALF, ZERO), "v": (ZERO, HALF)}
STEPS, SAVED = 1000, 10
METHOD = Differences(4)
Waves = Mapping[str, Complex[np.ndarray, "x _"]]


class Wave(NamedTuple):
    """A frequency by theory, and as found."""

    theory: float  # [1 / time unit]
    found: float  # [1 / time unit]

    @property
    def relative(self) -> float:
        """The error over the frequency."""
        return abs(self.found / self.theory - 1)


def poincare(k: int, l: int, points: int = 64) -> Wave:  # noqa: E741
    """An inertia-gravity wave of k and l wavelengths on a square of 2 π."""
    grid = Grid.of(*(Axis(name, points, 0.0, 2 * np.pi) for name in "xy"))
    omega = float(np.sqrt(1.0 + k**2 + l**2))
    amplitudes = {
        "eta": 1.0,
        "u": (k * omega + 1j * l) / (omega**2 - 1),
        "v": (l * omega - 1j * k) / (omega**2 - 1),
    }
    waves = {}
    for name, amplitude in amplitudes.items():
        at = grid.coordinates(OFFSETS[name])
        waves[name] = amplitude * np.exp(1j * (k * at["x"] + l * at["y"]))
    model = generate(F_PLANE, grid, METHOD, staggered=C_GRID)
    return Wave(omega, _frequency(model, waves, omega))


def equatorial(n: int, k: int, points: int = 128, *, root: int = 1) -> Wave:
    """A wave of k wavelengths on 2 π, v being Hermite function n across the equator.

    Arguments:
        root: of the three frequencies in rising order: 1 is the Rossby wave's, 0 and 2
            those of inertia-gravity waves.

    Raises:
        InputError: n is less than 1.
    """
    if n < 1:
        raise InputError(f"n is {n}, 1 or more was expected: 0 has a mixed wave")
    grid = Grid.of(
        Axis("x", points // 2, 0.0, 2 * np.pi),
        Axis("y", points, -7.0, 7.0, periodic=False),
    )
    roots = np.sort(np.roots([1.0, 0.0, -(k**2 + 2 * n + 1.0), -float(k)]).real)
    omega = float(roots[root])

    def shape(y):
        """Of v, and its slope."""
        one = np.polynomial.hermite.Hermite.basis(n)
        bell = np.exp(-(y**2) / 2)
        return bell * one(y), bell * (one.deriv()(y) - y * one(y))

    waves = {}
    for name, offsets in OFFSETS.items():
        at = grid.coordinates(offsets)
        v, slope = shape(at["y"])
        u = 1j * (omega * at["y"] * v - k * slope) / (omega**2 - k**2)
        across = {"v": v, "u": u, "eta": (k * u - 1j * slope) / omega}[name]
        waves[name] = across * np.exp(1j * k * at["x"])
    ends = walls(grid, {"x": "u", "y": "v"}, others={"eta": neumann()})
    model = generate(EQUATOR, grid, METHOD, boundaries=ends, staggered=C_GRID)
    return Wave(omega, _frequency(model, waves, omega))


def _frequency(model: Generated, waves: Waves, omega: float) -> float:
    """How fast the phase of the amplitude goes, over about one period."""
    end = 2 * np.pi / abs(omega)
    cell = Integrated(model, end / STEPS)
    first = {name: jnp.asarray(np.real(values)) for name, values in waves.items()}
    every = STEPS // SAVED
    _, saved = forecast(cell, cell.init(first), STEPS, every=every)
    times = end / SAVED * np.arange(SAVED + 1)
    eta = np.concatenate([first["eta"][None], np.asarray(saved["eta"])])
    along = np.conj(waves["eta"])
    phase = np.unwrap(np.angle((eta * along).sum(axis=(1, 2))))
    return -_slope(times, phase)


def _slope(times: Float[np.ndarray, " time"], phase: Float[np.ndarray, " time"]):
    return float(np.polyfit(times, phase, 1)[0])
