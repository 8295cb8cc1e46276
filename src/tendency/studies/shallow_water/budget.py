"""What the equations keep, from the states of a run."""

import numpy as np
from jaxtyping import Bool, Float

from tendency.grid import HALF, Grid
from tendency.studies.shallow_water.setting import (
    BETA,
    CORIOLIS,
    DEPTH,
    GRAVITY,
    Series,
)
from tendency.symbolic.coasts import open_at

Corners = Float[np.ndarray, "time x corner"]


def vorticity(states: Series, grid: Grid, water: Bool[np.ndarray, "x y"]) -> Corners:
    """∂v/∂x - ∂u/∂y at the corners within the water, 0 at the coast [1/s]."""
    u, v = states["u"], states["v"]
    dx, dy = (axis.spacing for axis in grid.axes)
    turning = (np.roll(v, -1, 1) - v) / dx - np.diff(u, axis=2) / dy
    return np.where(open_at(water, grid, (HALF, HALF)), turning, 0.0)


def means(
    states: Series, grid: Grid, water: Bool[np.ndarray, "x y"]
) -> dict[str, Float[np.ndarray, " time"]]:
    """Over the water: depth [m], energies [m³/s²], potential enstrophy [1/(m s²)].

    Kinetic h (u² + v²)/2 and available potential g (h - H)²/2; half of
    (ζ + f)²/h, at the corners.
    """
    h = states["h"]
    count = water.sum()
    on_x = (h + np.roll(h, -1, 1)) / 2
    on_y = (h[:, :, 1:] + h[:, :, :-1]) / 2
    along = (on_x * states["u"] ** 2).sum((1, 2))
    across = (on_y * states["v"] ** 2).sum((1, 2))
    away = np.where(water, h - DEPTH, 0.0)
    inside = open_at(water, grid, (HALF, HALF))
    corners = (on_x[:, :, 1:] + on_x[:, :, :-1]) / 2
    spin = CORIOLIS + BETA * grid.axes[1].positions(HALF)
    total = vorticity(states, grid, water) + spin
    squares = np.where(inside, total**2 / np.where(inside, corners, 1.0), 0.0)
    return {
        "depth": np.where(water, h, 0.0).sum((1, 2)) / count,
        "kinetic": (along + across) / (2 * count),
        "potential": GRAVITY * (away**2).sum((1, 2)) / (2 * count),
        "enstrophy": squares.sum((1, 2)) / (2 * inside.sum()),
    }
