"""Scores against numbers worked out by hand."""

import numpy as np
import pytest
import xarray as xr

from tendency.errors import InputError
from tendency.scores import deterministic as d

RNG = np.random.default_rng(0)


def dataset(**arrays) -> xr.Dataset:
    """Arrays of (start, lead) or of (start, lead, latitude)."""
    variables = {
        name: (("init_time", "lead_time", "lat")[: np.ndim(a)], a, {"units": "m"})
        for name, a in arrays.items()
    }
    size = next(iter(arrays.values())).shape
    coords: dict = {"lead_time": np.arange(1.0, size[1] + 1)}
    if len(size) == 3:
        coords["lat"] = ("lat", np.linspace(0, 60, size[2]), {"units": "degrees_north"})
    return xr.Dataset(variables, coords)


def pairs(*shape):
    f, o, c = RNG.normal(size=(3, *shape))
    return f, o, c


def test_of_a_series():
    f, o, c = pairs(50, 3)
    forecast, truth, climate = dataset(x=f), dataset(x=o), dataset(x=c)
    np.testing.assert_allclose(
        d.rmse(forecast, truth).x, np.sqrt(((f - o) ** 2).mean(0)), rtol=1e-12
    )
    np.testing.assert_allclose(d.mae(forecast, truth).x, np.abs(f - o).mean(0))
    np.testing.assert_allclose(d.bias(forecast, truth).x, (f - o).mean(0))
    a, b = f - c, o - c
    np.testing.assert_allclose(
        d.correlation(forecast, truth, climate).x,
        (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0)),
    )
    np.testing.assert_allclose(
        d.skill(forecast, truth, climate).x,
        1 - ((f - o) ** 2).mean(0) / ((c - o) ** 2).mean(0),
    )


def test_of_a_pair():
    f, o, _ = pairs(40, 2)
    g, p, _ = pairs(40, 2)
    found = d.bivariate_correlation(dataset(x=f, y=g), dataset(x=o, y=p))
    top = (f * o + g * p).sum(0)
    bottom = (f**2 + g**2).sum(0) * (o**2 + p**2).sum(0)
    np.testing.assert_allclose(found, top / np.sqrt(bottom))
    same = d.bivariate_correlation(dataset(x=f, y=g), dataset(x=f, y=g))
    np.testing.assert_allclose(same, 1)
    with pytest.raises(ValueError, match="two variables"):
        d.bivariate_correlation(dataset(x=f), dataset(x=f))


def test_area_and_missing_values():
    f, o, c = pairs(20, 2, 4)
    o[3, 0, 1] = o[5, 1, 2] = np.nan
    f[..., 0] = o[..., 0] = np.nan  # land
    forecast, truth, climate = dataset(x=f), dataset(x=o), dataset(x=c)
    w = np.cos(np.deg2rad(np.linspace(0, 60, 4)))
    w = np.where(np.isnan(o), 0, w)
    square = np.where(w > 0, (f - o) ** 2, 0)
    expected = np.sqrt((w * square).sum((0, 2)) / w.sum((0, 2)))
    np.testing.assert_allclose(d.rmse(forecast, truth).x, expected)
    a, b = (np.where(w > 0, x - c, 0) for x in (f, o))
    expected = (w * a * b).sum((0, 2))
    expected /= np.sqrt((w * a**2).sum((0, 2)) * (w * b**2).sum((0, 2)))
    np.testing.assert_allclose(d.correlation(forecast, truth, climate).x, expected)


def test_points_that_the_truth_lacks_are_not_left_out_unsaid():
    """Coordinates that are rounded in one of them share some points by chance."""
    lat = np.array([30.0, 30.1, 30.2, 30.5])
    f, o, _ = pairs(5, 2, 4)
    forecast, truth = (
        dataset(x=v).assign_coords(lat=at)
        for v, at in ((f, lat.astype("f4")), (o, lat))
    )
    with pytest.raises(InputError, match="2 of 4 points of x along lat are not in the"):
        d.rmse(forecast, truth)
    part = d.rmse(forecast.isel(lat=[0, 3]), truth)
    np.testing.assert_allclose(
        part.x, d.rmse(forecast.isel(lat=[0, 3]), truth.isel(lat=[0, 3])).x
    )


def test_a_forecast_that_was_lost_does_not_gain():
    f, o, c = pairs(20, 3)
    f[4, 2] = np.nan
    f[5, 1] = np.inf
    forecast, truth, climate = dataset(x=f), dataset(x=o), dataset(x=c)
    for values in (
        d.rmse(forecast, truth).x,
        d.bias(forecast, truth).x,
        d.correlation(forecast, truth, climate).x,
        d.bivariate_correlation(dataset(x=f, y=f), dataset(x=o, y=o)),
    ):
        assert np.isfinite(values.values).tolist() == [True, False, False]


def test_of_an_ensemble_is_its_mean():
    f, o, _ = pairs(20, 3)
    members = xr.concat([dataset(x=f + 1), dataset(x=f - 1)], "member")
    np.testing.assert_allclose(
        d.rmse(members, dataset(x=o)).x, d.rmse(dataset(x=f), dataset(x=o)).x
    )
