"""What the sea surface of a run looks like, in a few numbers and two curves."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Heights = Float[np.ndarray, "day y x"]
SLOPE_RANGE = (70e3, 250e3)  # [m] of wavelength
_EVERY = 5  # days between the fields that a spectrum is averaged over


class Spectrum(NamedTuple):
    """A power density by wavenumber, summed over directions."""

    wavenumber: Float[np.ndarray, " ring"]  # [1 / m], cycles
    density: Float[np.ndarray, " ring"]  # [m² m]


def spectrum(heights: Heights, length: float) -> Spectrum:
    """Of the sea surface: its integral over the wavenumber is the variance."""
    points = heights.shape[-1]
    power = (np.abs(np.fft.fft2(heights[::_EVERY])) ** 2).mean(0) / points**4
    waves = np.fft.fftfreq(points, 1 / points)
    ring = np.rint(np.hypot(waves[:, None], waves[None])).astype(int)
    total = np.bincount(ring.ravel(), power.ravel())[1 : points // 2]
    return Spectrum(np.arange(1, points // 2) / length, total * length)


def slope(one: Spectrum, wavelengths: tuple[float, float] = SLOPE_RANGE) -> float:
    """Of the logarithms, by least squares over the rings between two wavelengths."""
    shortest, longest = wavelengths
    inside = (one.wavenumber >= 1 / longest) & (one.wavenumber <= 1 / shortest)
    x, y = np.log(one.wavenumber[inside]), np.log(one.density[inside])
    return float(np.polyfit(x, y, 1)[0])


def autocorrelation(heights: Heights, lags: int) -> Float[np.ndarray, " lag"]:
    """At a point, after 0 to `lags` days: over the variance of the whole run."""
    days = len(heights)
    products = [
        np.mean(heights[: days - lag] * heights[lag:]) for lag in range(lags + 1)
    ]
    return np.asarray(products) / np.mean(heights**2)


def e_folding_distance(heights: Heights, length: float) -> float:
    """Where the correlation of two points, over all directions, is 1 / e [m]."""
    points = heights.shape[-1]
    power = (np.abs(np.fft.fft2(heights[::_EVERY])) ** 2).mean(0)
    correlation = np.fft.ifft2(power).real
    steps = np.fft.fftfreq(points, 1 / points)
    apart = np.hypot(steps[:, None], steps[None])
    ring = np.rint(apart).astype(int)
    near = ring <= points // 2
    count = np.bincount(ring[near])
    mean = np.bincount(ring[near], correlation[near]) / count / correlation[0, 0]
    distance = np.bincount(ring[near], apart[near]) / count
    first = int(np.argmax(mean < np.exp(-1)))
    around = slice(first - 1, first + 1)
    steps_apart = np.interp(-np.exp(-1), -mean[around], distance[around])
    return float(steps_apart * length / points)
