"""The channel, its coast, and the jet that starts in balance."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from tendency.forecasting import forecast
from tendency.grid import HALF, Axis, Grid
from tendency.integrate import Integrated
from tendency.physics.shallow_water import C_GRID, shallow_water
from tendency.symbolic.boundary import neumann, walls
from tendency.symbolic.coasts import Coast, open_at
from tendency.symbolic.generated import Generated, generate

DAY = 86_400.0  # [s]
LENGTH, WIDTH = 2.0e6, 1.0e6  # of the channel [m]
DEPTH = 500.0  # of the layer at rest [m]
GRAVITY = 0.2  # reduced: light water over heavy [m/s²]
CORIOLIS = 1.0e-4  # at the southern wall [1/s]
BETA = 2.0e-11  # [1/(m s)]
VISCOSITY = 80.0  # [m²/s]
SPEED, HALF_WIDTH, MIDDLE = 1.0, 3.0e4, 4.6e5  # of the jet [m/s], [m], [m]
OFFSETS = {"h": (0 * HALF, 0 * HALF), "u": (HALF, 0 * HALF), "v": (0 * HALF, HALF)}
SYSTEM = shallow_water(GRAVITY, CORIOLIS, BETA, VISCOSITY)

State = dict[str, Float[Array, "x _"]]
Series = dict[str, Float[np.ndarray, "time x _"]]


class Size(NamedTuple):
    """How fine and how long a run is."""

    points: int  # along the channel; half as many across
    days: int
    dt: float  # [s]


FULL = Size(200, 80, 400.0)
SMALL = Size(100, 60, 800.0)


def channel(points: int) -> Grid:
    """Periodic eastwards, walls in the south and in the north."""
    return Grid.of(
        Axis("x", points, 0.0, LENGTH),
        Axis("y", points // 2, 0.0, WIDTH, periodic=False),
    )


def water_on(grid: Grid, seed: int) -> Bool[np.ndarray, "x y"]:
    """A coast some 150 km off the southern wall, ragged, with a cape of 380 km."""
    rng = np.random.default_rng(seed)
    at = grid.coordinates()
    turn = 2 * np.pi * at["x"] / LENGTH
    ragged = sum(
        rng.normal() / k * np.cos(k * turn + rng.uniform(0, 2 * np.pi))
        for k in range(2, 24)
    )
    cape = 2.3e5 * np.exp(-(((at["x"] - 0.3 * LENGTH) / 8.0e4) ** 2))
    return at["y"] > 1.5e5 + cape + 2.5e4 * np.clip(ragged, -2, 2)


def model(grid: Grid, water: Bool[np.ndarray, "x y"]) -> Generated:
    """The tendency: free-slip at the walls and at the coast."""
    return generate(
        SYSTEM,
        grid,
        boundaries=walls(grid, {"x": "u", "y": "v"}, "free", others={"h": neumann()}),
        staggered=C_GRID,
        coast=Coast(water, "free"),
    )


def start(grid: Grid, water: Bool[np.ndarray, "x y"], seed: int) -> State:
    """A jet to the east in balance with the height, which is uneven by 1 m.

    u = U sech²((y - y₀) / L), f u = -g ∂h/∂y, integrated from cell to cell.
    """
    across, step = grid.axes[1].positions(), grid.axes[1].spacing
    edges = grid.axes[1].positions(HALF)

    def jet(y):
        return SPEED / np.cosh((y - MIDDLE) / HALF_WIDTH) ** 2

    slope = -(CORIOLIS + BETA * edges) * jet(edges) / GRAVITY
    height = np.concatenate([[0.0], np.cumsum(slope) * step])
    height += DEPTH - height.mean()
    uneven = jax.random.normal(jax.random.key(seed), grid.shape)
    state = {
        "h": height + np.asarray(uneven),
        "u": np.broadcast_to(jet(across), grid.shape),
        "v": np.zeros((grid.shape[0], len(edges))),
    }
    seas = {name: open_at(water, grid, offsets) for name, offsets in OFFSETS.items()}
    return {k: jnp.asarray(np.where(seas[k], x, 0.0)) for k, x in state.items()}


def integrate(size: Size, seed: int) -> tuple[Grid, Bool[np.ndarray, "x y"], Series]:
    """The states, one a day, the first one the start."""
    grid = channel(size.points)
    water = water_on(grid, seed)
    cell = Integrated(model(grid, water), size.dt)
    first = start(grid, water, seed)
    every = round(DAY / size.dt)
    _, saved = forecast(cell, cell.init(first), size.days * every, every=every)
    return (
        grid,
        water,
        {k: np.concatenate([first[k][None], np.asarray(saved[k])]) for k in first},
    )
