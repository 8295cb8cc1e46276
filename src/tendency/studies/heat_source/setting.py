"""The plate, what is true of it, and what is measured."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.forecasting import forecast
from tendency.grid import Axis, Grid
from tendency.integrate import Integrated
from tendency.symbolic.bounds import positive
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import generate
from tendency.symbolic.modes import Modes
from tendency.symbolic.spectral import Spectral
from tendency.symbolic.system import System

_AXES = ("x", "y")
EQUATION = "d_t T = d_x(k*d_x T) + d_y(k*d_y T) + S"
GUESS = 0.02  # of the diffusivity, the same everywhere
END = 0.25  # of a run
SPREAD = 2.0  # of the temperature that runs start from, in root mean square

Maps = dict[str, Float[np.ndarray, "x y"]]


class Size(NamedTuple):
    """How fine the plate is, and how much is measured."""

    points: int  # along each axis
    runs: int  # each from a temperature of its own
    times: int  # of a run, one a step
    modes: tuple[int, int]  # of the maps, along each axis


FULL = Size(20, 6, 20, (7, 7))
SMALL = Size(12, 3, 10, (5, 5))


class Measured(NamedTuple):
    """Temperatures of all runs, one after the other; NaN is missing."""

    seen: Float[np.ndarray, "time x y"]
    truth: Float[np.ndarray, "time x y"]
    noise: float  # standard deviation, of that of the temperature


def plate(points: int) -> Grid:
    """The doubly periodic unit square."""
    return Grid.of(*(Axis(name, points) for name in _AXES))


def true_maps(grid: Grid) -> Maps:
    """A ridge that leads heat well around a core that does not; a source and a sink.

    None of them is a sum of a few waves.
    """
    at = grid.coordinates()
    x, y = at["x"], at["y"]

    def bump(x0, y0, width):
        far = sum(np.sin(np.pi * (a - a0)) ** 2 for a, a0 in ((x, x0), (y, y0)))
        return np.exp(-far / (np.pi * width) ** 2)

    k = 0.02 * np.exp(0.8 * bump(0.3, 0.6, 0.22) - 0.9 * bump(0.75, 0.3, 0.2))
    return {"k": k, "S": 4 * (bump(0.65, 0.7, 0.16) - bump(0.25, 0.2, 0.2))}


def unknown(size: Size) -> Integrated:
    """The equation on the grid, its two maps to be found; centred differences."""
    system = System.of(
        [EQUATION],
        coordinates=_AXES,
        unknowns={
            "k": Modes(size.modes, GUESS, positive),
            "S": Modes(size.modes, 0.0),
        },
        name="heat",
        doc="Heat with an unknown diffusivity and an unknown source.",
    )
    return Integrated(generate(system, plate(size.points), Differences(4)), step(size))


def step(size: Size) -> float:
    """From one time to the next."""
    return END / (size.times - 1)


def truth(size: Size, seed: int) -> Float[np.ndarray, "time x y"]:
    """What runs do, by Fourier series and steps of a quarter.

    They start from a few waves at random, of the same size whatever the grid.
    """
    grid = plate(size.points)
    system = System.of(
        [EQUATION], coordinates=_AXES, constants={"k": _AXES, "S": _AXES}
    )
    maps = {name: jnp.asarray(values) for name, values in true_maps(grid).items()}
    tendency = generate(system, grid, Spectral(), constants=maps)
    cell = Integrated(tendency, step(size) / 4)
    first = jnp.stack([_start(grid, [seed, i]) for i in range(size.runs)])

    def one(first):
        steps = 4 * (size.times - 1)
        return forecast(cell, cell.init({"T": first}), steps, every=4)[1]["T"]

    later = np.asarray(jax.vmap(one)(first))
    return np.concatenate([np.asarray(first)[:, None], later], axis=1).reshape(
        -1, *grid.shape
    )


def measured(
    temperature: Float[np.ndarray, "time x y"], noise: float, gaps: float, seed: int
) -> Measured:
    """With noise, a share of the points missing: others at every time."""
    rng = np.random.default_rng([seed, 99])
    size = noise * temperature.std()
    seen = temperature + size * rng.normal(size=temperature.shape)
    lost = rng.random(temperature.shape) < gaps
    return Measured(np.where(lost, np.nan, seen), temperature, noise)


def _start(grid: Grid, seed: list[int]) -> Float[Array, "x y"]:
    rng = np.random.default_rng(seed)
    at = grid.coordinates()
    waves = [
        rng.normal()
        * np.cos(2 * np.pi * (p * at["x"] + q * at["y"] + rng.random()))
        / np.hypot(p, q)
        for p in range(-3, 4)
        for q in range(4)
        if (p, q) > (0, 0) or q
    ]
    total = np.asarray(sum(waves))
    return jnp.asarray(SPREAD * total / total.std())
