"""Observations from datasets: against the states they were taken of, and refusals."""

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from tendency import InputError
from tendency.data.clock import infer_clock
from tendency.data.layout import Layout
from tendency.data.observed import observations_from

DAYS = np.datetime64("2020-01-01", "us") + 2 * np.arange(6).astype("m8[D]")
LAT, LON = np.array([60.0, 50.0, 40.0]), np.array([0.0, 90.0, 180.0, 270.0])
START = DAYS[0]


def _model():
    """Two variables on a grid with a point of land, and their layout."""
    values = np.random.default_rng(0).normal(size=(2, 6, 3, 4))
    values[:, :, 0, 0] = np.nan
    axes = ("time", "lat", "lon")
    data = xr.Dataset(
        {
            "sst": (axes, values[0], {"units": "degC"}),
            "ssh": (axes, values[1], {"units": "m"}),
        },
        {"time": DAYS, "lat": LAT, "lon": LON},
    )
    return data, Layout.of(data, infer_clock(DAYS)[0], mask="land")


def test_fields_on_the_grid_with_gaps():
    data, layout = _model()
    seen = data[["ssh"]].isel(time=[1, 2, 4]).copy(deep=True)
    seen["ssh"][0, 2, 3] = np.nan
    seen["ssh_error"] = seen["ssh"].isel(time=0) * 0 + 0.2
    seen["ssh_error"][1, 1] = 0.4
    seen["ssh_error"] = seen["ssh_error"].fillna(0.2).assign_attrs(units="m")
    shuffled = seen.isel(lat=[2, 0, 1]).transpose("lon", "time", "lat")
    obs = observations_from(shuffled, layout, start=START)
    assert np.array_equal(obs.steps, [1, 2, 4])
    states = jnp.asarray(layout.pack(data))
    obs.check(states[0])
    for i, time in enumerate((1, 2, 4)):
        here = obs.at(i)
        assert np.abs(here.departures(here.observe(states[time]))).max() < 1e-15
    assert np.asarray(obs.seen).sum() == 3 * 11 - 1
    assert np.array_equal(np.unique(obs.error.variances()), [0.2**2, 0.4**2, 1.0])
    assert obs.positions is not None
    assert np.array_equal(obs.positions[0], [60.0, 90.0])  # the first that is no land


def test_observations_anywhere_are_interpolated():
    """Of fields that are linear along each axis, across the seam of a period."""
    data, layout = _model()
    slope = 2 * data["lat"] + 1
    data = data.assign(sst=data["sst"] * 0 + slope, ssh=data["ssh"] * 0 - slope)
    state = jnp.asarray(layout.pack(data))[3]
    track = xr.Dataset(
        {
            "sst": (("time", "obs"), np.full((2, 3), 5.0)),
            "ssh": (("time", "obs"), np.array([[1.0, np.nan, 2.0]] * 2)),
        },
        {
            "time": DAYS[[1, 3]],
            "lat": (("time", "obs"), np.array([[45.0, 41.0, 48.0]] * 2)),
            "lon": (("obs",), np.array([315.0, -30.0, 100.0])),
        },
    )
    errors = {"sst": 0.5, "ssh": 0.1}
    obs = observations_from(
        track, layout, start=START, error=errors, periods={"lon": 360.0}
    )
    obs.check(state)
    found = obs.at(1).observe(state)
    expected = 2 * np.array([45.0, 41.0, 48.0]) + 1
    assert np.abs(found - np.append(expected, -expected)).max() < 1e-12
    assert np.array_equal(obs.seen[0], [1, 1, 1, 1, 0, 1])
    variances = np.asarray(obs.error.variances())[0]
    assert np.allclose(variances, [0.25, 0.25, 0.25, 0.01, 1, 0.01], rtol=1e-12)
    assert obs.positions is not None
    assert np.array_equal(obs.positions[3], [45.0, 315.0])  # for localisation


def _track(**change):
    given = {"lat": [45.0], "lon": [100.0], "time": DAYS[[1]], "units": "degC"} | change
    return xr.Dataset(
        {"sst": (("time", "obs"), [[5.0]], {"units": given["units"]})},
        {
            k: ("obs" if k != "time" else "time", given[k])
            for k in ("lat", "lon", "time")
        },
    )


@pytest.mark.parametrize(
    ("dataset", "asked", "said"),
    [
        (_track(units="K"), {}, "of sst are in K and the model in degC: convert"),
        (_track(lat=[39.0]), {}, "at 39 along axis 0, from 40 to 60"),
        (_track(lat=[58.0], lon=[10.0]), {}, r"at \(58.0, 10.0\) lies beside points"),
        (_track(time=DAYS[[0]] - 2), {"start": DAYS[1]}, "is before 2020-01-03"),
        (
            _track(time=DAYS[[1]] + np.timedelta64(20, "h")),
            {},
            "between steps of the m",
        ),
        (_track(), {"end": DAYS[0]}, "of 2020-01-03.* is after the end of the period"),
        (_track(), {"error": None}, "errors of sst are unknown: give error"),
        (_track().rename(sst="t2m"), {}, "hold t2m and the model sst, ssh: rename"),
        (_track().drop_vars("lat"), {}, "one dimension of observations, with lat, lon"),
        (_track().rename(time="date"), {}, "no coordinate time, dates were expected"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(dataset, asked, said):
    _, layout = _model()
    with pytest.raises(InputError, match=said):
        observations_from(dataset, layout, **({"start": START, "error": 0.5} | asked))


def test_a_dataset_is_either_on_the_grid_or_off_it():
    data, layout = _model()
    mixed = _track().assign(ssh=data["ssh"].isel(time=[1]).rename(lat="la", lon="lo"))
    mixed = mixed.drop_vars(["lat", "lon"]).rename(la="lat", lo="lon")
    with pytest.raises(InputError, match="of ssh are on the grid and others are not"):
        observations_from(mixed, layout, start=START, error=0.5)
