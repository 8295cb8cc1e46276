"""Floor 4: power spectra of forecast, truth and error, and the scales they resolve.

`row_spectra` works along one dimension, `isotropic_spectra` on the plane of two;
`spectral_means` are their means over starts, `effective_resolution` the wavelength at
which a forecast stops being like the truth. Of an ensemble the mean over `member` is
taken, which is smoother than its members.
"""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import xarray as xr
from jaxtyping import Float

from tendency.errors import InputError
from tendency.scores.comparing import LEAD, START, Compared, compared, latitude_of

KILOMETRES = math.pi / 180 * 6371.0  # a degree of latitude
Taper = Literal["hann", "boxcar"]
Criterion = Literal["ratio", "error"]


def row_spectra(
    forecast: xr.DataArray, truth: xr.DataArray, along: str, *, taper: Taper = "hann"
) -> xr.Dataset:
    """Power along one dimension, summed over rows, by start, lead and `wavenumber`.

    Each row loses its mean and is tapered; a row with an unknown value is left out. The
    density is one-sided, so that its integral over the wavenumber [1 / km, where the
    coordinate tells lengths] is the variance of the row [units of the variable²].

    Raises:
        InputError: the points are not evenly spaced.
    """
    pair = compared(forecast, truth)
    step, units = spacing(truth, along)
    across = [d for d in pair.space if d != along]
    dims = (START, LEAD, *across, along)
    whole = pair.known.transpose(*dims).all(along).values

    size = truth.sizes[along]
    window = _taper(taper, size)
    wavenumber = np.fft.rfftfreq(size, step)[1:]
    sides = np.full(len(wavenumber), 2.0)  # of a wave and its mirror image
    if size % 2 == 0:
        sides[-1] = 1.0  # the shortest is its own

    def power(values: xr.DataArray) -> np.ndarray:
        rows = values.transpose(*dims).values
        rows = rows - rows.mean(-1, keepdims=True)
        modes = np.abs(np.fft.rfft(rows * window)[..., 1:]) ** 2
        density = np.where(whole[..., None], modes * sides * step / size, 0.0)
        return density.sum(axis=tuple(range(2, 2 + len(across))))

    count = whole.sum(axis=tuple(range(2, 2 + len(across))))
    return _tally(pair, power, count, wavenumber, units, 1 / (2 * step))


def isotropic_spectra(
    forecast: xr.DataArray, truth: xr.DataArray, *, taper: Taper = "hann"
) -> xr.Dataset:
    """Power on the plane, summed around circles of wavenumbers, by start and lead.

    Each map loses its mean and is tapered; a map with an unknown value is left out. The
    integral of the density over the wavenumber is the variance of the map, that of the
    corners of the plane of wavenumbers included.

    Raises:
        InputError: the variable is no map, or its points are not evenly spaced.
    """
    pair = compared(forecast, truth)
    if len(pair.space) != 2:
        raise InputError(
            f"the isotropic spectrum of {truth.name} was asked for, whose points have "
            f"the dimensions {', '.join(pair.space) or 'none'}: it needs a map of 2"
        )
    dims = (START, LEAD, *pair.space)
    steps, units = zip(*(spacing(truth, d) for d in pair.space), strict=True)
    shape = [truth.sizes[d] for d in pair.space]
    window = np.multiply.outer(_taper(taper, shape[0]), _taper(taper, shape[1]))
    waves = [np.fft.fftfreq(n, d) for n, d in zip(shape, steps, strict=True)]
    radius = np.hypot(waves[0][:, None], waves[1][None])
    width = max(1 / (n * d) for n, d in zip(shape, steps, strict=True))
    ring = np.rint(radius / width).astype(int).ravel()
    ring[0] = 0  # the mean
    whole = pair.known.transpose(*dims).all(pair.space).values

    def power(values: xr.DataArray) -> np.ndarray:
        maps = values.transpose(*dims).values
        maps = maps - maps.mean((-2, -1), keepdims=True)
        modes = np.abs(np.fft.fft2(maps * window)) ** 2 / np.prod(shape) ** 2
        modes = modes.reshape(-1, ring.size)
        rings = np.stack([np.bincount(ring, m, ring.max() + 1) for m in modes])
        rings = rings.reshape(*whole.shape, -1)[..., 1:] / width
        return np.where(whole[..., None], rings, 0.0)

    wavenumber = width * np.arange(1, ring.max() + 1)
    unit = units[0] if units[0] == units[1] else "points"
    finest = 1 / (2 * max(steps))
    return _tally(pair, power, whole.astype(int), wavenumber, unit, finest)


def spectral_means(sums: xr.Dataset) -> xr.Dataset:
    """`forecast`, `truth` and `error`: mean spectral densities."""
    names = ("forecast", "truth", "error")
    return xr.Dataset({name: sums[name] / sums["count"] for name in names})


def effective_resolution(
    sums: xr.Dataset, *, criterion: Criterion = "ratio", threshold: float = 0.5
) -> xr.DataArray:
    """The wavelength down to which a forecast resolves the truth [that of the spectra].

    From long to short waves, the first at which the criterion falls below the
    threshold: `ratio`, PSD(forecast) / PSD(truth), tells what is smoothed away,
    whether the rest is in its place or not; `error`, 1 - PSD(error) / PSD(truth), what
    is right wave by wave (Ballarotta et al. 2019, Ocean Sci. 15, 1091). The shortest
    wave that the grid holds in all directions where it never falls, infinite where it
    starts below.
    """
    shortest = sums.attrs.get("finest", np.inf) * (1 + 1e-9)
    sums = sums.isel(wavenumber=sums["wavenumber"].values <= shortest)
    if criterion == "ratio":
        quality = sums["forecast"] / sums["truth"]
    else:
        quality = 1 - sums["error"] / sums["truth"]
    wavenumber = sums["wavenumber"].values
    found = xr.apply_ufunc(
        lambda q: _crossing(q, wavenumber, threshold),
        quality,
        input_core_dims=[["wavenumber"]],
    )
    units = sums.attrs.get("length", "points")
    return found.rename("effective_resolution").assign_attrs(units=units)


def spacing(array: xr.DataArray, dim: str) -> tuple[float, str]:
    """The distance of neighbouring points along a dimension, and its unit.

    In `km` where the coordinate is in degrees or in units of length, at the mean
    latitude of the map; without a coordinate a `points` is 1.

    Raises:
        InputError: the distances differ by more than 2 %.
    """
    if dim not in array.coords or array[dim].dtype.kind not in "fiu":
        return 1.0, "points"
    values = array[dim].values.astype(np.float64)
    steps = np.diff(values)
    if not steps.size or np.ptp(steps) > 0.02 * np.abs(steps.mean()):
        raise InputError(
            f"the spectrum along {dim} was asked for and its points are not evenly "
            "spaced: interpolate to a regular grid first, or leave the spectrum out"
        )
    step = float(np.abs(steps.mean()))
    units = str(array[dim].attrs.get("units", ""))
    if units in ("km", "m"):
        return step * (1.0 if units == "km" else 1e-3), "km"
    latitude = latitude_of(array)
    if latitude is not None and latitude.name == dim:
        return step * KILOMETRES, "km"
    if units.startswith(("degrees_e", "degree_e")) or dim.lower()[:3] == "lon":
        middle = 0.0 if latitude is None else float(latitude.mean())
        return step * KILOMETRES * math.cos(math.radians(middle)), "km"
    return step, units or "points"


def _taper(kind: Taper, size: int) -> Float[np.ndarray, " size"]:
    """Of mean square 1, so that noise keeps its variance."""
    if kind == "boxcar":
        return np.ones(size)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    return hann / np.sqrt((hann**2).mean())


def _crossing(
    quality: Float[np.ndarray, "*batch wave"],
    wavenumber: Float[np.ndarray, " wave"],
    threshold: float,
) -> Float[np.ndarray, "*batch"]:
    """1 / wavenumber where quality first falls below, linear between two waves."""
    below = ~(quality >= threshold)
    first = np.argmax(below, axis=-1)
    before = np.maximum(first - 1, 0)
    here, there = (
        np.take_along_axis(quality, i[..., None], -1)[..., 0] for i in (before, first)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(here > there, (here - threshold) / (here - there), 0.0)
        wave = wavenumber[before] + share * (wavenumber[first] - wavenumber[before])
    length = np.where(below.any(-1), 1 / wave, 1 / wavenumber[-1])
    length = np.where(below[..., 0], np.inf, length)
    return np.where(np.isfinite(quality).any(-1), length, np.nan)


def _tally(
    pair: Compared,
    power: Callable[[xr.DataArray], np.ndarray],
    count: np.ndarray,
    wavenumber: Float[np.ndarray, " wave"],
    units: str,
    finest: float,
) -> xr.Dataset:
    """Sums of power of forecast, truth and error, and how many were added."""
    axes = (START, LEAD, "wavenumber")
    f, o = pair.forecast, pair.truth
    sums = {n: power(v) for n, v in (("forecast", f), ("truth", o), ("error", f - o))}
    lost = pair.lost.transpose(START, LEAD).values
    sums = {n: np.where(lost[..., None], np.nan, v) for n, v in sums.items()}
    known = {d: pair.known[d] for d in (START, LEAD) if d in pair.known.coords}
    return xr.Dataset(
        {
            **{name: (axes, values) for name, values in sums.items()},
            "count": ((START, LEAD), np.where(lost, np.nan, count)),
        },
        {"wavenumber": ("wavenumber", wavenumber, {"units": f"1/{units}"}), **known},
        {"length": units, "finest": finest},
    )
