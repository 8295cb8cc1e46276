"""Floor 4: deterministic scores of forecasts against the truth, by lead time.

Forecast and truth are Datasets of the same variables along `init_time`, `lead_time`
and space. Every score is taken over starts and space, weighted by cos(latitude) where
there is one; missing values of the truth are left out of it. Of an ensemble the mean
over `member` is scored.

A forecast that is not finite where the truth is known gives a score that is not finite
either: a model that diverged does not gain by it.
"""

import numpy as np
import xarray as xr

LEAD = "lead_time"
HIGHEST_IS_BEST = ("correlation", "bivariate_correlation", "skill")
WITHOUT_UNITS = HIGHEST_IS_BEST


def rmse(forecast: xr.Dataset, truth: xr.Dataset) -> xr.Dataset:
    """√(mean of (f - o)²): the root is taken after the mean over starts."""
    from scores.continuous import rmse as by_variable

    return _by_variable(by_variable, forecast, truth)


def mae(forecast: xr.Dataset, truth: xr.Dataset) -> xr.Dataset:
    """The mean of |f - o|."""
    from scores.continuous import mae as by_variable

    return _by_variable(by_variable, forecast, truth)


def bias(forecast: xr.Dataset, truth: xr.Dataset) -> xr.Dataset:
    """The mean of f - o."""
    from scores.continuous import additive_bias as by_variable

    return _by_variable(by_variable, forecast, truth)


def correlation(
    forecast: xr.Dataset, truth: xr.Dataset, climatology: xr.Dataset
) -> xr.Dataset:
    """The anomaly correlation Σ f'o' / √(Σ f'² Σ o'²), not centred again.

    f' and o' are anomalies from `climatology`, a forecast too, which must come from
    outside the test period. Where the forecast is the climatology it is not defined.
    """
    forecast, truth = _aligned(forecast, truth)
    climatology, _ = _aligned(climatology, truth)
    return _cosine(forecast - climatology, truth - climatology)


def bivariate_correlation(forecast: xr.Dataset, truth: xr.Dataset) -> xr.DataArray:
    """Σ (f₁o₁ + f₂o₂) / √(Σ (f₁² + f₂²) Σ (o₁² + o₂²)) of an index of two components.

    Of the values as they are, which for an index such as RMM are anomalies already.

    Source: Lin, Brunet & Derome (2008, Mon. Wea. Rev. 136, 4130), eq. 1.

    Raises:
        ValueError: there are not two variables.
    """
    if len(forecast.data_vars) != 2:
        raise ValueError(f"two variables were expected, got {list(forecast.data_vars)}")
    forecast, truth = _aligned(forecast, truth)
    one, two = (
        d.to_dataarray("component").to_dataset(name="c") for d in (forecast, truth)
    )
    return _cosine(one, two)["c"]


def skill(
    forecast: xr.Dataset, truth: xr.Dataset, climatology: xr.Dataset
) -> xr.Dataset:
    """1 - MSE / MSE of the climatology: 1 is perfect, 0 no better than it."""
    return 1 - rmse(forecast, truth) ** 2 / rmse(climatology, truth) ** 2


def area_weights(dataset: xr.Dataset) -> xr.DataArray | None:
    """cos(latitude), or `None` where the data have no latitude."""
    for name, array in dataset.coords.items():
        units = str(array.attrs.get("units", ""))
        if array.ndim and (
            array.attrs.get("standard_name") == "latitude"
            or units.startswith(("degrees_n", "degree_n"))
            or str(name).lower() in ("lat", "latitude")
        ):
            return np.cos(np.deg2rad(array)).clip(0).drop_vars(name, errors="ignore")
    return None


def _by_variable(score, forecast: xr.Dataset, truth: xr.Dataset) -> xr.Dataset:
    forecast, truth = _aligned(forecast, truth)
    with np.errstate(invalid="ignore", over="ignore"):
        return score(forecast, truth, preserve_dims=[LEAD], weights=area_weights(truth))


def _aligned(forecast: xr.Dataset, truth: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """The mean over members, in float64, infinite where the forecast was lost."""
    if "member" in forecast.dims:
        forecast = forecast.mean("member", skipna=False)
    forecast = forecast.drop_vars("valid_time", errors="ignore").astype(np.float64)
    truth = truth.drop_vars("valid_time", errors="ignore").astype(np.float64)
    finite = np.isfinite(forecast)
    outside = ~finite.any([d for d in ("init_time", LEAD) if d in forecast.dims])
    forecast = forecast.where(finite | outside, np.inf)
    return forecast.where(np.isfinite(truth)), truth


def _cosine(one: xr.Dataset, two: xr.Dataset) -> xr.Dataset:
    from scores.processing import aggregate

    dims = [d for d in one.dims if d != LEAD]
    weights = area_weights(two)

    def mean(values: xr.Dataset) -> xr.Dataset:
        return aggregate(values, reduce_dims=dims, weights=weights)  # pyright: ignore

    both = np.isfinite(one * two) | ~np.isfinite(one)
    one, two = one.where(both), two.where(both)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return mean(one * two) / np.sqrt(mean(one**2) * mean(two**2))
