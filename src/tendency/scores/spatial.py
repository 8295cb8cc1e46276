"""Floor 4: the fractions skill score, which forgives rain a little off its place."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from tendency.errors import InputError
from tendency.scores.comparing import LEAD, START, compared


def fractions(
    forecast: xr.DataArray,
    truth: xr.DataArray,
    thresholds: Sequence[float],
    windows: Sequence[int],
) -> xr.Dataset:
    """Σ (P_f - P_o)² and Σ (P_f² + P_o²), along `threshold` and `window` besides.

    P is the fraction of the points of a square window where the value is at least the
    threshold. What is unknown in either is no event in both before fractions are taken,
    nor is what lies beyond the edge. Points count alike, whatever their area. Of an
    ensemble the mean over `member` is taken.

    Arguments:
        thresholds: [units of the variable].
        windows: the sides of the squares [grid points].

    Raises:
        InputError: the variable is no map, or a window exceeds it.
    """
    from scipy.ndimage import uniform_filter

    pair = compared(forecast, truth)
    space = pair.space
    if len(space) != 2:
        raise InputError(
            f"the fractions skill score of {truth.name} was asked for, whose points "
            f"have the dimensions {', '.join(space) or 'none'}: it needs a map of 2: "
            "leave fss out"
        )
    shape = [pair.known.sizes[d] for d in space]
    for window in windows:
        if not 1 <= window <= min(shape):
            raise InputError(
                f"a window of {window} points was asked for on a map of {shape[0]} x "
                f"{shape[1]}: choose windows from 1 to {min(shape)} points"
            )
    dims = (START, LEAD, *space)
    f, o, known = (
        a.transpose(*dims).values for a in (pair.forecast, pair.truth, pair.known)
    )
    lost = pair.lost.transpose(START, LEAD).values
    sums = np.empty((2, len(thresholds), len(windows), *lost.shape))
    for i, threshold in enumerate(thresholds):
        events = [np.where((x >= threshold) & known, 1.0, 0.0) for x in (f, o)]
        for j, window in enumerate(windows):
            box = {"size": window, "axes": (2, 3), "mode": "constant"}
            p, q = (uniform_filter(e, **box) for e in events)
            sums[0, i, j] = ((p - q) ** 2).sum((2, 3))
            sums[1, i, j] = (p**2 + q**2).sum((2, 3))
    sums = np.where(lost, np.nan, sums)
    axes = ("threshold", "window", START, LEAD)
    coords = {
        "threshold": [float(t) for t in thresholds],
        "window": list(windows),
        **{d: pair.known[d] for d in (START, LEAD) if d in pair.known.coords},
    }
    return xr.Dataset(
        {"difference": (axes, sums[0]), "reference": (axes, sums[1])}, coords
    )


def fractions_scores(sums: xr.Dataset) -> xr.Dataset:
    """`fss`, 1 - Σ (P_f - P_o)² / Σ (P_f² + P_o²): 1 is perfect; NaN without events.

    Source: Roberts & Lean (2008, Mon. Wea. Rev. 136, 78), eqs. 5 to 7, the sums taken
    over starts.
    """
    return xr.Dataset({"fss": 1 - sums["difference"] / sums["reference"]})
