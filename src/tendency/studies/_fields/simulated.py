"""Stand-ins for the data of a study, for when no file is at hand.

`ocean` is the upper layer of the two-layer quasi-geostrophic model, as currents or as
sea level; `rain` and `temperature` are made of `advected`, a random field that is
carried along while it changes.
"""

from collections.abc import Sequence

import jax
import numpy as np
import xarray as xr
from jaxtyping import Float

from tendency.forecasting import forecast

_KILOMETRES = 111.2  # of a degree of latitude
_MIDDLE = 39.6  # degrees north, where f₀ is that of `MIDLAT`

SOURCES = {
    "currents": "a simulation: geostrophic currents of a two-layer quasi-geostrophic "
    "ocean",
    "sea level": "a simulation: sea surface height of a two-layer quasi-geostrophic "
    "ocean",
    "rain": "a simulation: a lognormal field of rain that moves, grows and decays",
    "temperature": "a simulation: air temperature of carried anomalies and a daily "
    "cycle over land and sea",
    "sea surface temperature": "a simulation: sea surface temperature, slow anomalies "
    "on an annual cycle, two continents",
}


def ocean(
    what: str, *, days: int, points: int = 64, spin_up: int = 500, seed: int = 0
) -> xr.Dataset:
    """Daily `currents` (uo, vo) or `sea level` (adt) of eddies in a periodic box.

    Arguments:
        points: along each side of the box, of 1,280 km.
        spin_up: days from noise to eddies.
    """
    from tendency.studies.quasigeostrophic.setting import GRAVITY, MIDLAT, model, noise
    from tendency.studies.quasigeostrophic.skill import heights

    cell, daily = model(points), MIDLAT.steps_a_day
    carry = cell.init(noise(points, jax.random.key(seed)))
    carry, _ = forecast(cell, carry, spin_up * daily, every=spin_up * daily)
    _, states = forecast(cell, carry, days * daily, every=daily)
    surface = heights(jax.tree.map(np.asarray, states)).astype(np.float32)
    side = MIDLAT.length / 1e3 / _KILOMETRES
    along = (np.arange(points) / points - 0.5) * side
    axes = {
        "latitude": _MIDDLE + along,
        "longitude": along / np.cos(np.deg2rad(_MIDDLE)),
    }
    if what == "sea level":
        return _dataset({"adt": (surface, "m")}, axes, "D")
    scale = GRAVITY / MIDLAT.coriolis / (MIDLAT.length / points)
    u, v = geostrophic(surface, scale)
    return _dataset({"uo": (u, "m s-1"), "vo": (v, "m s-1")}, axes, "D")


def geostrophic(
    surface: Float[np.ndarray, "time row column"], scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """Of a periodic sea surface η, by differences: u = -g/f ∂η/∂y and v = g/f ∂η/∂x.

    Arguments:
        scale: g / f over the distance of two points [1 / s].
    """
    slope = lambda axis: np.roll(surface, -1, axis) - np.roll(surface, 1, axis)  # noqa: E731
    return -scale / 2 * slope(1), scale / 2 * slope(2)


def rain(
    *, times: int = 92, points: int = 128, minutes: int = 5, seed: int = 0
) -> xr.Dataset:
    """Rain every few minutes over a square of 2-km cells, a tenth of it wet [mm / h].

    R = exp(a + b g) - R₀ where that is positive, with g a carried Gaussian field whose
    smaller scales change sooner: Seed (2003, J. Appl. Meteorol. 42, 381).
    """
    g = advected(
        times,
        (points, points),
        velocity=(1.3, 2.1),
        lifetime=1.8 * points / minutes,  # 2 km live 2 minutes, 80 km an hour
        slope=2.6,
        flat=points / 40,
        seed=seed,
    )
    rate = np.maximum(np.exp(1.1 * g - 0.6) - 2.0, 0)
    along = 2.0 * np.arange(points)
    return _dataset({"rainfall_rate": (rate, "mm h-1")}, {"y": along, "x": along},
                    "m", minutes)  # fmt: skip


def temperature(
    *, times: int = 744, shape: tuple[int, int] = (33, 49), seed: int = 0
) -> xr.Dataset:
    """Hourly air temperature about an island: anomalies, days of land and sea [K]."""
    rows, columns = shape
    g = advected(
        times, shape, velocity=(0.15, 0.6), lifetime=60.0, slope=3.0, seed=seed
    )
    latitude, longitude = 50 + 0.25 * np.arange(rows), -10 + 0.25 * np.arange(columns)
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns),
                       indexing="ij")  # fmt: skip
    land = 1 / (1 + np.exp(8 * (np.hypot(1.4 * (x - 0.2), y) - 0.7)))
    day = np.cos(2 * np.pi * (np.arange(times) - 14) / 24)[:, None, None]
    values = 281 - 2 * y + (0.3 + 2.5 * land) * day + 2.0 * g
    axes = {"latitude": latitude, "longitude": longitude}
    return _dataset({"t2m": (values, "K")}, axes, "h")


def surface_temperature(
    *, months: int = 144, shape: tuple[int, int] = (36, 72), seed: int = 0
) -> xr.Dataset:
    """Months of sea surface temperature round the earth, two continents [degC]."""
    rows, columns = shape
    g = advected(
        months, shape, velocity=(0.0, -0.4), lifetime=40.0, slope=2.0, seed=seed
    )
    latitude = np.linspace(-70, 70, rows)
    longitude = 360 / columns * np.arange(columns)
    season = np.cos(2 * np.pi * (np.arange(months) - 7) / 12)[:, None]
    year = season * np.sin(np.deg2rad(latitude))
    mean = 28 * np.cos(np.deg2rad(latitude)) ** 2
    values = (mean + 4 * year)[:, :, None] + 0.6 * g
    east, north = np.meshgrid(longitude, latitude)
    land = (abs(east - 70) < 25) & (abs(north) < 50) | (abs(east - 250) < 20)
    values = np.where(land, np.nan, values)
    axes = {"latitude": latitude, "longitude": longitude}
    return _dataset({"sst": (values, "degC")}, axes, "M")


def advected(
    times: int,
    shape: tuple[int, int],
    *,
    velocity: tuple[float, float],
    lifetime: float,
    slope: float,
    flat: float = 1.0,
    seed: int,
) -> Float[np.ndarray, "time row column"]:
    """A Gaussian field of mean 0 and deviation 1, periodic, carried and renewed.

    Every Fourier coefficient is turned by the velocity, exactly, and is a red noise
    whose memory is proportional to its wavelength.

    Arguments:
        velocity: of rows and columns [cells a step].
        lifetime: of waves as long as the longer side [steps].
        slope: of the amplitude by wavenumber.
        flat: wavenumber of the longer side below which the amplitude is the same.
    """
    rng = np.random.default_rng(seed)
    ky, kx = np.meshgrid(np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1]),
                         indexing="ij")  # fmt: skip
    k = np.hypot(ky, kx) * max(shape)
    k[0, 0] = np.inf
    amplitude = np.where(np.isfinite(k), np.maximum(k, flat) ** -slope, 0)
    kept = np.exp(-k / lifetime)
    turn = np.exp(-2j * np.pi * (ky * velocity[0] + kx * velocity[1]))

    def white() -> np.ndarray:
        return np.fft.rfft2(rng.normal(size=shape)) * amplitude

    now, fields = white(), []
    for _ in range(times):
        fields.append(np.fft.irfft2(now, s=shape))
        now = turn * (kept * now + np.sqrt(1 - kept**2) * white())
    found = np.stack(fields)
    return ((found - found.mean()) / found.std()).astype(np.float32)


def _dataset(
    variables: dict[str, tuple[np.ndarray, str]],
    axes: dict[str, np.ndarray],
    unit: str,
    step: int = 1,
) -> xr.Dataset:
    count = len(next(iter(variables.values()))[0])
    first = np.datetime64("2001-01", unit if unit == "M" else "us")
    times = first + step * np.arange(count).astype(f"m8[{unit}]")
    times = times.astype("M8[us]")
    dims: Sequence[str] = ("time", *axes)
    names = {"latitude": "degrees_north", "longitude": "degrees_east"}
    coordinates = {
        d: (d, v, {"standard_name": d, "units": names[d]} if d in names else
            {"standard_name": f"projection_{d}_coordinate", "units": "km"})
        for d, v in axes.items()
    }  # fmt: skip
    data = {
        name: (dims, values.astype(np.float32), {"units": units})
        for name, (values, units) in variables.items()
    }
    return xr.Dataset(data, {"time": times, **coordinates})
