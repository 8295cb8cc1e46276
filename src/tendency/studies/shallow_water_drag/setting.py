"""The shelf sea, what is true of it, and what is measured."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.forecasting import forecast
from tendency.grid import HALF, Axis, Grid
from tendency.integrate import Integrated, ssprk3
from tendency.networks import ScalarMLP
from tendency.symbolic.bounds import positive
from tendency.symbolic.generated import generate
from tendency.symbolic.system import System
from tendency.symbolic.unknowns import Pointwise, Scalar, Unknown

HOUR = 3_600.0  # [s]
LENGTH = 1.0e5  # of the sea, along both axes [m]
UPPER, LOWER = 10.0, 15.0  # thickness of the layers at rest [m]
SPEED = 0.4  # of the currents at the start, in root mean square [m/s]
DRAG = 2.5e-3  # true drag coefficient of the bottom
SCHEME = ssprk3
GUESS = 1.0e-3  # of it
SCALE = 5.0e-4  # typical exchange velocity, guessed [m/s]
_AXES = ("x", "y")
EQUATIONS = [
    "d_t h1 = -d_x(h1*u1) - d_y(h1*v1)",
    "d_t h2 = -d_x(h2*u2) - d_y(h2*v2)",
    "d_t u1 = (f + zeta1)*v1 - d_x B1 - K*(u1 - u2)/h1",
    "d_t v1 = -(f + zeta1)*u1 - d_y B1 - K*(v1 - v2)/h1",
    "d_t u2 = (f + zeta2)*v2 - d_x B2 + K*(u1 - u2)/h2 - c*sqrt(u2^2 + v2^2)*u2/h2",
    "d_t v2 = -(f + zeta2)*u2 - d_y B2 + K*(v1 - v2)/h2 - c*sqrt(u2^2 + v2^2)*v2/h2",
    "zeta1 = d_x v1 - d_y u1",
    "zeta2 = d_x v2 - d_y u2",
    "B1 = g*(h1 + h2) + (u1^2 + v1^2)/2",
    "B2 = g*(h1 + h2) + r*h2 + (u2^2 + v2^2)/2",
]
SHEAR = "(u1 - u2)^2 + (v1 - v2)^2"  # squared difference of the velocities [m²/s²]
KNOWN = {"f": 1e-4, "g": 9.81, "r": 0.2}  # r: reduced gravity [m/s²]
STAGGERED = {"u1": "x", "u2": "x", "v1": "y", "v2": "y"}
FIELDS = ("h1", "h2", "u1", "u2", "v1", "v2")

State = dict[str, Float[Array, "x y"]]
Series = dict[str, Float[np.ndarray, "time x y"]]


class Size(NamedTuple):
    """How fine the sea is, and how much is measured."""

    points: int  # along each axis
    runs: int  # each from currents of its own
    hours: float  # of a run
    dt: float  # [s]
    horizon: int  # of roll-outs, in steps
    windows: int  # of each run


FULL = Size(32, 3, 6.0, 100.0, 27, 2)
SMALL = Size(16, 2, 2.0, 200.0, 6, 2)


def exchange(speed: Any) -> Any:
    """K(s), the true stress between the layers over the difference s of velocities.

    Little as long as they slide past each other; from 0.2 m/s on they mix [m/s].
    """
    return 1e-4 + 6e-4 * speed**2 / (speed**2 + 0.2**2)


def sea(points: int) -> Grid:
    """Doubly periodic."""
    return Grid.of(*(Axis(name, points, 0.0, LENGTH) for name in _AXES))


def system(unknowns: Mapping[str, Unknown]) -> System:
    """Two layers of shallow water, what is unknown of them as given."""
    return System.of(
        EQUATIONS,
        coordinates=_AXES,
        parameters=KNOWN,
        unknowns=unknowns,
        name="shelf_sea",
        doc="Two rotating layers that rub against each other and the bottom.",
    )


def true_cell(size: Size) -> Integrated:
    """As the sea is."""
    law = Pointwise([SHEAR], lambda x: exchange(jnp.sqrt(x[0])))
    return _cell(system({"c": Scalar(DRAG), "K": law}), size)


def unknown(seed: int) -> System:
    """Drag and stress to be found: a number, and a network of the squared shear."""
    network = ScalarMLP(1, width=8, depth=1, scales=[0.1], key=jax.random.key(seed))
    return system(
        {
            "c": Scalar(GUESS, positive),
            "K": Pointwise([SHEAR], network, positive, SCALE),
        }
    )


def unknown_cell(size: Size, seed: int) -> Integrated:
    """As it is before the fit."""
    return _cell(unknown(seed), size)


def steps(size: Size) -> int:
    """Of a run."""
    return round(size.hours * HOUR / size.dt)


def truth(size: Size, seed: int) -> Series:
    """All steps of all runs, one after the other, the starts among them."""
    cell = true_cell(size)
    starts = [_start(size.points, [seed, i]) for i in range(size.runs)]
    first = {name: jnp.stack([s[name] for s in starts]) for name in FIELDS}

    def one(first: State):
        return forecast(cell, cell.init(first), steps(size))[1]

    later = jax.vmap(one)(first)
    whole = {
        name: np.concatenate([np.asarray(first[name])[:, None], later[name]], axis=1)
        for name in FIELDS
    }
    return {name: a.reshape(-1, *a.shape[2:]) for name, a in whole.items()}


def measured(series: Series, noise: float, seed: int) -> Series:
    """With independent noise, of the size of each field's variations."""
    rng = np.random.default_rng([seed, 99])
    return {
        name: values + noise * values.std() * rng.normal(size=values.shape)
        for name, values in series.items()
    }


def shear(series: Series) -> Float[np.ndarray, " _"]:
    """The difference of velocities on the cells, at all times [m/s]."""

    def on_cells(u, axis):
        return (u + np.roll(u, 1, axis)) / 2

    u = on_cells(series["u1"] - series["u2"], 1)
    v = on_cells(series["v1"] - series["v2"], 2)
    return np.hypot(u, v).ravel()


def _cell(of: System, size: Size) -> Integrated:
    tendency = generate(of, sea(size.points), staggered=STAGGERED)
    return Integrated(tendency, size.dt, SCHEME)


def _start(points: int, seed: list[int]) -> State:
    """Currents in balance with the pressure, different ones in the layers.

    f u = -∂M/∂y and f v = ∂M/∂x, with M₁ = g (h₁ + h₂), M₂ = M₁ + r h₂.
    """
    rng = np.random.default_rng(seed)
    grid = sea(points)
    waves = [
        (p, q, rng.normal() / np.hypot(p, q), rng.random(), layer)
        for layer in range(2)
        for p in range(-3, 4)
        for q in range(4)
        if q or p > 0
    ]

    def stream(layer: int, offset_x: Any, offset_y: Any) -> Float[np.ndarray, "x y"]:
        x, y = (
            axis.positions(offset) / LENGTH
            for axis, offset in zip(grid.axes, (offset_x, offset_y), strict=True)
        )
        x, y = np.meshgrid(x, y, indexing="ij")
        parts = [
            a * np.cos(2 * np.pi * (p * x + q * y + phase))
            for p, q, a, phase, own in waves
            if own == layer
        ]
        return np.asarray(sum(parts))

    d = grid.axes[0].spacing
    corner = [stream(layer, HALF, HALF) for layer in range(2)]
    u = [-(c - np.roll(c, 1, 1)) / d for c in corner]
    v = [(c - np.roll(c, 1, 0)) / d for c in corner]
    size = [SPEED / np.sqrt((a**2 + b**2).mean()) for a, b in zip(u, v, strict=True)]
    psi = [s * stream(layer, 0 * HALF, 0 * HALF) for layer, s in enumerate(size)]
    lower = KNOWN["f"] * (psi[1] - psi[0]) / KNOWN["r"]
    both = KNOWN["f"] * psi[0] / KNOWN["g"]
    found = {
        "h1": UPPER + both - lower,
        "h2": LOWER + lower,
        "u1": size[0] * u[0],
        "u2": size[1] * u[1],
        "v1": size[0] * v[0],
        "v2": size[1] * v[1],
    }
    return {name: jnp.asarray(values) for name, values in found.items()}
