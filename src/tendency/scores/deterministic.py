"""Floor 4: deterministic scores of forecasts against the truth, by lead time.

`errors` tallies a variable by start, `error_scores` makes scores of the sums. The other
functions do both for Datasets of the same variables along `init_time`, `lead_time` and
space. Every score is taken over starts and space, weighted by cos(latitude) where there
is one; missing values of the truth are left out of it. Of an ensemble the mean over
`member` is scored.

A forecast that is not finite where the truth is known gives a score that is not finite
either: a model that diverged does not gain by it.
"""

import numpy as np
import xarray as xr

from tendency.scores.comparing import compared, over_starts


def errors(
    forecast: xr.DataArray, truth: xr.DataArray, climatology: xr.DataArray | None = None
) -> xr.Dataset:
    """Sums over space of the error f - o, its size and square, by start and lead.

    With a `climatology`, a forecast too, also its square error and the products of the
    anomalies from it.
    """
    pair = compared(forecast, truth)
    f, o = pair.forecast, pair.truth
    tally = {
        "weight": pair.weight(),
        "error": pair.total(f - o),
        "absolute": pair.total(abs(f - o)),
        "square": pair.total((f - o) ** 2),
    }
    if climatology is not None:
        reference = compared(climatology, truth)
        c = reference.forecast
        anomalies = {
            "climatology_square": pair.total((c - o) ** 2),
            "product": pair.total((f - c) * (o - c)),
            "forecast_anomaly": pair.total((f - c) ** 2),
            "truth_anomaly": pair.total((o - c) ** 2),
        }
        # A climatology that is unknown where the truth is known tells of no anomaly.
        unknown = (pair.known & ~reference.known).any(pair.space) | reference.lost
        tally |= {name: sums.where(~unknown) for name, sums in anomalies.items()}
    return xr.Dataset(tally)


def error_scores(sums: xr.Dataset) -> xr.Dataset:
    """`rmse`, `mae` and `bias`; with a climatology also `correlation` and `skill`."""
    found = {
        "rmse": np.sqrt(sums["square"] / sums["weight"]),
        "mae": sums["absolute"] / sums["weight"],
        "bias": sums["error"] / sums["weight"],
    }
    if "product" in sums:
        size = np.sqrt(sums["forecast_anomaly"] * sums["truth_anomaly"])
        found["correlation"] = sums["product"] / size
        found["skill"] = 1 - sums["square"] / sums["climatology_square"]
    return xr.Dataset(found)


def rmse(forecast: xr.Dataset, truth: xr.Dataset) -> xr.Dataset:
    """√(mean of (f - o)²): the root is taken after the mean over starts."""
    return _by_variable("rmse", forecast, truth)


def mae(forecast: xr.Dataset, truth: xr.Dataset) -> xr.Dataset:
    """The mean of |f - o|."""
    return _by_variable("mae", forecast, truth)


def bias(forecast: xr.Dataset, truth: xr.Dataset) -> xr.Dataset:
    """The mean of f - o."""
    return _by_variable("bias", forecast, truth)


def correlation(
    forecast: xr.Dataset, truth: xr.Dataset, climatology: xr.Dataset
) -> xr.Dataset:
    """The anomaly correlation Σ f'o' / √(Σ f'² Σ o'²), not centred again.

    f' and o' are anomalies from `climatology`, a forecast too, which must come from
    outside the test period. Where the forecast is the climatology it is not defined.
    """
    return _by_variable("correlation", forecast, truth, climatology)


def skill(
    forecast: xr.Dataset, truth: xr.Dataset, climatology: xr.Dataset
) -> xr.Dataset:
    """1 - MSE / MSE of the climatology: 1 is perfect, 0 no better than it."""
    return _by_variable("skill", forecast, truth, climatology)


def bivariate_correlation(forecast: xr.Dataset, truth: xr.Dataset) -> xr.DataArray:
    """Σ (f₁o₁ + f₂o₂) / √(Σ (f₁² + f₂²) Σ (o₁² + o₂²)) of an index of two components.

    Of the values as they are, which for an index such as RMM are anomalies already.

    Source: Lin, Brunet & Derome (2008, Mon. Wea. Rev. 136, 4130), eq. 1.

    Raises:
        ValueError: there are not two variables.
    """
    tally = over_starts(pair_errors(forecast, truth))
    return error_scores(tally)["correlation"].rename("bivariate_correlation")


def pair_errors(forecast: xr.Dataset, truth: xr.Dataset) -> xr.Dataset:
    """`errors` of two variables at once, about zero.

    Raises:
        ValueError: there are not two variables.
    """
    if len(forecast.data_vars) != 2:
        raise ValueError(f"two variables were expected, got {list(forecast.data_vars)}")
    told = forecast.to_dataarray("component")
    known = truth.to_dataarray("component")
    return errors(told, known, xr.zeros_like(told))


def _by_variable(metric: str, forecast: xr.Dataset, *others: xr.Dataset) -> xr.Dataset:
    found = {
        name: error_scores(over_starts(errors(told, *(o[name] for o in others))))
        for name, told in forecast.data_vars.items()
    }
    return xr.Dataset({name: scores[metric] for name, scores in found.items()})
