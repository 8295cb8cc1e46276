"""Floor 4: whether long roll-outs keep the variance and the energy of the truth."""

import xarray as xr

from tendency.scores.comparing import MEMBER, Compared, compared


def moments(forecast: xr.DataArray, truth: xr.DataArray) -> xr.Dataset:
    """Sums over space of both and of their squares, by start and lead time.

    Of an ensemble the mean over `member` of each sum is taken, for the mean of members
    has less variance than any of them. Two components of a velocity, stacked along a
    dimension of their own, give its energy.
    """
    pair = compared(forecast, truth, members=True)
    f, o = pair.forecast, pair.truth
    return xr.Dataset(
        {
            "weight": pair.weight(),
            "forecast": _over_members(pair, f),
            "forecast_square": _over_members(pair, f**2),
            "truth": pair.total(o),
            "truth_square": pair.total(o**2),
        }
    )


def drift_scores(sums: xr.Dataset) -> xr.Dataset:
    """`variance_ratio` and `energy_ratio`, 1 where forecasts neither die nor grow.

    The variance is that over starts and space at one lead time, about the mean at that
    lead time; the energy the mean square. Each is divided by that of the truth at the
    same times and points.
    """
    weight = sums["weight"]

    def variance(name: str) -> xr.DataArray:
        return sums[f"{name}_square"] / weight - (sums[name] / weight) ** 2

    return xr.Dataset(
        {
            "variance_ratio": variance("forecast") / variance("truth"),
            "energy_ratio": sums["forecast_square"] / sums["truth_square"],
        }
    )


def _over_members(pair: Compared, values: xr.DataArray) -> xr.DataArray:
    return pair.total(values.mean(MEMBER) if MEMBER in values.dims else values)
