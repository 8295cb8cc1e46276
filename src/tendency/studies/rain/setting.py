"""The data, the sizes, and what others have reached."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from tendency.errors import InputError
from tendency.studies._fields import simulated
from tendency.studies._fields.fields import (
    Fields,
    Wanted,
    read_fields,
    simulated_fields,
)

RATE = Wanted(
    ("rainfall_rate", "precipitation_rate", "lwe_precipitation_rate", "rain_rate"),
    "mm h-1",
)
HOW = (
    "`--data FILE` gives it a file: a NetCDF or Zarr of rain rates (`rainfall_rate`, "
    "in units such as mm h-1) on one grid, every few minutes for some hours. Many "
    "weather services open the data of their radars; the samples of pysteps "
    "(https://github.com/pySTEPS/pysteps-data) hold KNMI's and NOAA's."
)
THRESHOLDS = (1.0, 5.0)  # [mm / h], of the scores
LEVELS = (0.1, 0.3, 1.0, 2.0, 5.0)  # [mm / h], whose probabilities are learned
WINDOW = 10  # points across the squares of the FSS
MINUTES = (5, 10, 15, 20, 30, 45, 60, 90, 120, 150, 180)  # lead times
HISTORY = 6  # fields before the last that a nowcast reads

# CSI at 1 mm/h of KNMI's radar on 26 August 2010, all starts, by lead [min].
MEASURED = {
    "Persistence": {5.0: 0.52, 30: 0.22, 60: 0.10, 180: 0.05},
    "pysteps Lucas-Kanade": {5.0: 0.77, 30: 0.44, 60: 0.33, 180: 0.17},
}
# Akbari Asanjan et al. (2018), CSI in % read from a figure, by lead [min].
PERSIANN = {
    "LSTM of the paper": (62, 49, 39, 35, 30, 25),
    "Farnebäck optical flow of the paper": (62, 44, 38, 31, 19, 17),
    "Persistence of the paper": (62, 32, 24, 20, 18, 15),
    "RAP of the paper": (None, 26, 29, 28, 27, 28),
}
PERSIANN_MINUTES = (0, 60, 120, 180, 240, 360)


class Size(NamedTuple):
    """How much of everything."""

    pixels: int = 2_000  # learned from, of a field
    pairs: int = 420  # of a start and a lead that are learned from
    width: int = 24  # of the merged model's layers
    epochs: int = 8
    members: int = 3  # networks whose probabilities are averaged
    units: int = 8  # channels of the ConvLSTM, and of the UNet at its finest
    networks: tuple[str, ...] = ("ConvLSTM", "UNet")
    passes: int = 6  # epochs of both
    horizon: int = 6  # steps of the roll-outs that they are fitted through
    widest: int = 72  # points along a side of their maps, at most
    longest: int = 180  # [min]
    times: int = 92  # of the simulation
    points: int = 160  # of the simulation, along a side


FULL = Size()
SMALL = Size(
    pixels=300,
    pairs=40,
    width=8,
    epochs=4,
    members=1,
    units=4,
    networks=("UNet",),
    passes=1,
    horizon=2,
    widest=16,
    longest=30,
    times=40,
    points=48,
)


class Radar(NamedTuple):
    """The radar's fields, cut to what it sees."""

    rate: Float[np.ndarray, "time row column"]  # [mm / h], zero where it sees nothing
    seen: Bool[np.ndarray, "row column"]
    fields: Fields  # uncut, for its axes and times
    cut: tuple[slice, slice]
    minutes: float  # a step
    split: int  # the first time that is held out

    @property
    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """The coordinates of the rows and columns that are left."""
        rows, columns = self.fields.axes
        return rows[self.cut[0]], columns[self.cut[1]]


def open_radar(data: Path | None, size: Size, seed: int) -> Radar:
    """The user's file, or the stand-in.

    Raises:
        InputError: whatever is wrong with the file; steps that are not minutes; times
            that are missing between others; too few of them.
    """
    if data is None:
        dataset = simulated.rain(times=size.times, points=size.points, seed=seed)
        fields = simulated_fields(dataset, simulated.SOURCES["rain"])
    else:
        fields = read_fields(data, [RATE])
    return radar_of(fields, size)


def radar_of(fields: Fields, size: Size) -> Radar:
    """The fields of a radar: what it never sees is cut away, or marked as unseen.

    Of the times the last are held out, so many that forecasts of the longest lead have
    as many starts as half that lead; the earlier ones are learned from.

    Raises:
        InputError: steps that are not minutes, gaps, or too few times.
    """
    clock = fields.layout.clock
    per = {"minute": 1.0, "second": 1 / 60, "hour": 60.0}.get(clock.unit)
    if per is None or clock.step * per > 60:
        raise InputError(
            f"{fields.source} has a step of {clock.label} and a nowcast of rain needs "
            "minutes: give a radar's rain rates, every hour at least"
        )
    if not fields.series.follows[1:].all():
        after = fields.times[1 + int(np.argmin(fields.series.follows[1:]))]
        raise InputError(
            f"{fields.source} has a gap before {after}, an unbroken record was "
            "expected: give the stretch before or after it"
        )
    maps = fields.on_grid(fields.series.states)[:, 0]
    seen = np.asarray(np.isfinite(maps).all(0))
    if not seen.any():
        raise InputError(
            f"no point of {fields.source} is known at all of its times: give a record "
            "in which the radar's view does not change"
        )
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    cut = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    minutes = clock.step * per
    rate = np.where(seen, np.maximum(maps, 0), 0)[:, cut[0], cut[1]]
    count = len(rate)
    longest = min(int(size.longest / minutes), round(0.4 * count))
    split = count - longest - max(2, longest // 2) + 1
    if split < 2 * HISTORY + 4:
        raise InputError(
            f"{fields.source} has {count} times, of which {split} would be left to "
            f"learn from, at least {2 * HISTORY + 4} were expected: give a longer one"
        )
    return Radar(rate.astype(np.float32), seen[cut], fields, cut, minutes, int(split))


def leads_of(radar: Radar, size: Size) -> tuple[int, ...]:
    """The lead times of `MINUTES` that the record has, in steps."""
    longest = min(size.longest / radar.minutes, round(0.4 * len(radar.rate)))
    steps = [round(m / radar.minutes) for m in MINUTES]
    exact = [s for s, m in zip(steps, MINUTES, strict=True) if s * radar.minutes == m]
    return tuple(sorted({s for s in exact if 1 <= s <= longest}))


def starts_of(radar: Radar, leads: Sequence[int]) -> np.ndarray:
    """The held-out starts whose forecasts of every lead can be scored."""
    return np.arange(radar.split, len(radar.rate) - max(leads))
