"""The data, the sizes, and the published numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from tendency.studies._fields import simulated
from tendency.studies._fields.fields import (
    Fields,
    Wanted,
    read_fields,
    simulated_fields,
)

LEVEL = Wanted(
    ("adt", "sla", "zos", "ssh", "sea_surface_height_above_geoid",
     "sea_surface_height_above_sea_level"),
    "m",
)  # fmt: skip
HOW = (
    "`--data FILE` gives it a file: daily maps of `adt`, `sla` or another sea level in "
    "metres, two years at least, as NetCDF or Zarr. The gridded altimetry of the "
    "Copernicus Marine Service (https://marine.copernicus.eu, "
    "SEALEVEL_GLO_PHY_L4_MY_008_047) has them since 1993."
)
ENOUGH = 730  # daily maps: fewer hold too few independent states to learn from
STEPS = 5  # days
LEARNED = 0.75  # the share of the days that is learned from
# Song et al. (2020), accuracy of the merged LSTM [%] after 24, 48, ... 120 hours.
PUBLISHED = {1.0: 90.99, 2.0: 85.49, 3.0: 79.99, 4.0: 74.23, 5.0: 68.15}


class Size(NamedTuple):
    """How much of everything."""

    days: int = 1_460  # of the simulation
    points: int = 64  # of the simulation, along a side
    spin_up: int = 500  # [days]
    centres: int = 25
    history: int = 12  # [days] that recurrent networks read
    width: int = 32
    epochs: int = 30
    stride: int = 3  # days between windows
    modes: int = 60  # EOFs of the baseline on the map
    widths: tuple[int, ...] = (8, 16, 32)  # of the UNet on the map
    units: int = 16  # of the ConvLSTM on the map
    map_epochs: int = 3


FULL = Size()
SMALL = Size(
    days=150, points=32, spin_up=60, centres=4, history=5, width=8, epochs=1,
    stride=5, modes=10,
)  # fmt: skip


class Sea(NamedTuple):
    """What is learned from, and of a file that was too short, what it was."""

    fields: Fields
    short: Fields | None


def open_sea(
    data: Path | None, size: Size, seed: int, say: Callable[[str], None]
) -> Sea:
    """The user's file, or the stand-in where there is none or it is too short.

    Raises:
        InputError: whatever is wrong with the file.
    """
    short = None
    if data is not None:
        given = read_fields(data, [LEVEL])
        if len(given.times) >= ENOUGH:
            return Sea(given, None)
        short = given
        say(too_short(given))
    dataset = simulation(size, seed)
    return Sea(simulated_fields(dataset, simulated.SOURCES["sea level"]), short)


def simulation(size: Size, seed: int) -> xr.Dataset:
    """The stand-in: eddies of a periodic box."""
    return simulated.ocean(
        "sea level", days=size.days, points=size.points, spin_up=size.spin_up, seed=seed
    )


def too_short(given: Fields) -> str:
    """Why a file is not learned from, a sentence."""
    return (
        f"{given.source} has {len(given.times)} maps, and as eddies live for weeks a "
        f"forecast cannot be learned from so few: at least {ENOUGH} daily maps were "
        f"expected, and the networks learn from {simulated.SOURCES['sea level']} "
        "instead"
    )


def anomalies(fields: Fields, stop: int) -> np.ndarray:
    """(time, row, column): from the mean of the times before `stop` [m]."""
    maps = fields.on_grid(fields.series.states)[:, 0].astype(np.float64)
    with np.errstate(invalid="ignore"):
        return maps - maps[:stop].mean(0)
