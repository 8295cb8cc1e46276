"""`tendency score FORECAST TRUTH`: what is brought together, and what is refused."""

import itertools
import json
import os
import sys

import numpy as np
import pytest
import xarray as xr

from tendency import cli
from tendency.errors import InputError
from tendency.jobs.verification import run as verification
from tendency.jobs.verification.options import Options
from tendency.jobs.verification.run import scored

RNG = np.random.default_rng(0)
DAYS = np.datetime64("2001-01-28", "ns") + np.arange(40).astype("m8[D]")
LAT, LON = np.array([50.0, 40.0, 30.0]), np.array([0.0, 90.0, 180.0, 270.0])
VALUES = RNG.normal(size=(40, 3, 4)) + 280
STARTS, LEADS = np.array([0, 5, 10, 20]), np.array([1, 2, 3])
TOLD = VALUES[STARTS[:, None] + LEADS] + RNG.normal(size=(4, 3, 3, 4))
WEIGHTS = np.cos(np.deg2rad(LAT))[:, None] * np.ones(4)


def truth(**changed) -> xr.Dataset:
    """Days in K, latitudes from the north, longitudes from 0 to 360."""
    values = changed.pop("values", VALUES)
    coords = {
        "time": DAYS,
        "lat": ("lat", LAT, {"units": "degrees_north"}),
        "lon": ("lon", LON, {"units": "degrees_east"}),
    }
    attributes = {"units": "K", "standard_name": "air_temperature"}
    data = {"t2m": (("time", "lat", "lon"), values, attributes)}
    return xr.Dataset(data, coords | changed)


def forecast(values=TOLD, **changed) -> xr.Dataset:
    """In degC, latitudes from the south, longitudes from -180 to 180."""
    west = np.argsort((LON + 180) % 360)
    coords = {
        "init_time": DAYS[STARTS],
        "lead_time": ("lead_time", LEADS * 24.0, {"units": "hours"}),
        "latitude": ("latitude", LAT[::-1], {"units": "degrees_north"}),
        "longitude": ("longitude", (LON[west] + 180) % 360 - 180),
    }
    attributes = {"units": "degC", "standard_name": "air_temperature"}
    dims = ("init_time", "lead_time", "latitude", "longitude")
    turned = values[..., ::-1, :][..., west] - 273.15
    data = {"temperature": (dims, turned, attributes)}
    return xr.Dataset(data, coords | changed)


@pytest.fixture
def score(tmp_path):
    """`score(told, seen, **options)`: what two datasets give, once they are files."""

    number = itertools.count()  # a file that is still open cannot be written anew

    def call(told: xr.Dataset, seen: xr.Dataset, **options):
        paths = [
            str(tmp_path / f"{name}{next(number)}.nc") for name in ("told", "seen")
        ]
        for dataset, path in zip((told, seen), paths, strict=True):
            dataset.to_netcdf(path)
        return scored(paths[0], paths[1], Options(**options))

    return call


def by_lead(found, metric="rmse") -> list[float]:
    return [s.value for s in found.scores if s.metric == metric]


def expected(errors, weights=WEIGHTS) -> np.ndarray:
    weights = np.where(np.isnan(errors), 0, np.broadcast_to(weights, errors.shape))
    square = np.nansum(weights * errors**2, (0, 2, 3))
    return np.sqrt(square / weights.sum((0, 2, 3)))


ERRORS = TOLD - VALUES[STARTS[:, None] + LEADS]


def test_grids_and_units_are_brought_together(score):
    found = score(forecast(), truth())
    np.testing.assert_allclose(by_lead(found), expected(ERRORS), rtol=1e-12)
    assert [s.lead for s in found.scores if s.metric == "bias"] == [24, 48, 72]
    assert {s.case for s in found.scores} == {"temperature"}
    assert found.units == {"temperature": "K"}
    notes = "; ".join(found.notes)
    for note in ("longitudes (4 points from 0 to 270 by 90) were wrapped",
                 "the truth's lat runs the other way and was turned",
                 "converted from degC to K"):  # fmt: skip
        assert note in notes


def test_a_region_of_the_truth(score):
    inner = {"latitude": slice(1, None), "longitude": slice(0, 2)}  # 40, 50; -180, -90
    found = score(forecast().isel(inner), truth())
    part = ERRORS[:, :, :2, 2:]
    np.testing.assert_allclose(by_lead(found), expected(part, WEIGHTS[:2, 2:]))
    assert any("cut to 2 points along latitude" in note for note in found.notes)


def test_parts_give_what_the_whole_gives(score, monkeypatch):
    options = {"metrics": "rmse,pod,fss", "thresholds": ["280"], "windows": "3"}
    whole = score(forecast(), truth(), block=2, **options).scores
    monkeypatch.setattr(verification, "_BYTES", 8 * TOLD[0].size)
    parts = score(forecast(), truth(), block=2, **options).scores
    assert {s.case for s in whole} == {
        "temperature",
        "temperature >= 280 K",
        "temperature >= 280 K, 3 x 3 points",
    }
    for one, other in zip(whole, parts, strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-13)
        assert one.interval == pytest.approx(other.interval, rel=1e-13)


def test_forecasts_along_valid_times_alone(score):
    values = VALUES + 2
    times = forecast(values[:, None], init_time=DAYS, lead_time=[0])
    alone = times.isel(lead_time=0, drop=True).rename(init_time="time")
    found = score(alone, truth())
    np.testing.assert_allclose(by_lead(found), [2])
    assert {s.lead for s in found.scores} == {None}
    one = forecast().isel(init_time=1).rename(lead_time="time")
    one = one.assign_coords(time=DAYS[STARTS[1] + LEADS])
    one["init_time"].attrs["standard_name"] = "forecast_reference_time"
    found = score(one, truth())
    np.testing.assert_allclose(by_lead(found), expected(ERRORS[1:2]))
    assert [s.lead for s in found.scores][:3] == [24, 48, 72]


def test_leads_of_months_and_members(score):
    months = np.array([f"20{y:02d}-{m:02d}-01" for y in (1, 2) for m in range(1, 13)],
                      "datetime64[ns]")  # fmt: skip
    values = RNG.normal(size=(24, 3, 4)) + 280
    members = np.stack([values[:6] + 1, values[:6] - 3], 1)[:, None]
    told = xr.Dataset(
        {"t2m": (("S", "L", "M", "lat", "lon"), members, {"units": "K"})},
        {
            "S": ("S", np.arange(12.0, 18.0), {"units": "months since 2000-01-01"}),
            "L": ("L", [0.5], {"units": "months", "standard_name": "forecast_period"}),
            "lat": LAT,
            "lon": LON,
        },
    )
    found = score(told, truth(values=values, time=months))
    np.testing.assert_allclose(by_lead(found), [1])
    np.testing.assert_allclose(by_lead(found, "crps_fair"), [2 - 4 / 2])
    np.testing.assert_allclose(by_lead(found, "spread_skill"), [np.sqrt(1.5 * 8)])
    assert {s.lead for s in found.scores} == {0.5}


def test_what_is_missing_is_left_out_and_counted(score):
    told, seen = TOLD.copy(), VALUES.copy()
    told[1, 0, 0, 0] = np.nan  # its mask changes
    seen[STARTS[2] + 2, 1, 1] = np.nan
    told[3] = np.nan  # a start without a forecast
    found = score(forecast(told), truth(values=seen))
    errors = told - seen[STARTS[:, None] + LEADS]
    np.testing.assert_allclose(by_lead(found), expected(errors), rtol=1e-12)
    notes = "; ".join(found.notes)
    assert "2 of 108 values (1.85%) are known in only one" in notes
    assert "1 start holds no forecast, left out" in notes
    told[1, 2] = np.nan  # a forecast that was lost on its way
    lost = np.isnan(by_lead(score(forecast(told), truth(values=seen))))
    assert lost.tolist() == [False, False, True]
    told[1, 2] = TOLD[1, 2]
    told[0, 1, 2, 2] = np.inf
    lost = np.isnan(by_lead(score(forecast(told), truth(values=seen))))
    assert lost.tolist() == [False, True, False]


def test_times_beyond_the_truth_and_an_offset(score):
    short = truth().isel(time=slice(0, STARTS[3] + 3))
    found = score(forecast(), short)
    errors = ERRORS.copy()
    errors[3, 2] = np.nan
    np.testing.assert_allclose(by_lead(found), expected(errors))
    assert any("1 of 12 valid times are not in the truth" in n for n in found.notes)
    noon = truth(time=DAYS - np.timedelta64(12, "h"))
    with pytest.raises(InputError, match=r'give --truth-offset "12 hours"'):
        score(forecast(), noon)
    moved = score(forecast(), noon, truth_offset="12 hours")
    np.testing.assert_allclose(by_lead(moved), expected(ERRORS))


@pytest.mark.parametrize("kind", ["mean", "month", "days"])
def test_anomalies_from_a_climatology(score, tmp_path, kind):
    base = VALUES.mean() + RNG.normal(size=(12, 3, 4))
    seen = truth().isel(lat=slice(None, None, -1))
    place = np.zeros((4, 3), int)
    valid = DAYS[STARTS[:, None] + LEADS]
    if kind == "mean":
        climate = seen.isel(time=0, drop=True).copy(data={"t2m": base[0][::-1]})
    elif kind == "month":
        place = valid.astype("M8[M]").astype(int) % 12
        climate = xr.Dataset(
            {"t2m": (("month", "lat", "lon"), base[:, ::-1])},
            {"month": np.arange(1, 13), "lat": LAT[::-1], "lon": LON},
        )
    else:
        base = VALUES.mean() + RNG.normal(size=(365, 3, 4))
        place = (valid - valid.astype("M8[Y]")).astype("m8[D]").astype(int)
        climate = xr.Dataset(
            {"t2m": (("time", "lat", "lon"), base[:, ::-1])},
            {"time": np.datetime64("1999-01-01", "ns") + np.arange(365).astype("m8[D]"),
             "lat": LAT[::-1], "lon": LON},
        )  # fmt: skip
    climate["t2m"].attrs["units"] = "K"
    climate.to_netcdf(tmp_path / "climate.nc")
    options = {"metrics": "correlation", "climatology": str(tmp_path / "climate.nc")}
    found = by_lead(score(forecast(), truth(), **options), "correlation")
    a, b = TOLD - base[place], VALUES[STARTS[:, None] + LEADS] - base[place]

    def mean(x):
        return (WEIGHTS * x).sum((0, 2, 3))

    np.testing.assert_allclose(found, mean(a * b) / np.sqrt(mean(a**2) * mean(b**2)))


FILLED = np.where(np.arange(4) == 2, -999.0, VALUES)
HALF = {"lat": ("lat", LAT - 5, {"units": "degrees_north"})}
REFUSED = [
    (
        forecast(),
        truth(**HALF),
        {},
        r"differ along latitude: 3 points from 30 to 50 by",
    ),
    (forecast(), truth(time=DAYS + np.timedelta64(900, "D")), {}, "of those dates"),
    (forecast(), truth().rename(t2m="x").drop_attrs(), {}, "name two with --variables"),
    (forecast(), truth(), {"variables": "wind"}, "has no variable wind: choose from"),
    (forecast(), truth(), {"variables": "temperature=wind"}, "has no variable wind"),
    (forecast(), truth(values=FILLED), {}, "give --missing-value -999"),
    (forecast(), truth().rename(time="lead", t2m="a"), {}, "lead times|no time axis"),
    (forecast(), truth().isel(lat=0, drop=True), {}, "the same dimensions were"),
    (forecast(), truth(), {"metrics": "rsme"}, "did you mean rmse"),
    (forecast(), truth(), {"metrics": "skill"}, "needs a climatology"),
    (forecast(), truth(), {"metrics": "crps_fair"}, "there is 1 member"),
    (forecast(), truth(), {"metrics": "csi"}, "--metrics asks for csi without"),
    (forecast(), truth(), {"thresholds": ["warm"]}, "numbers such as 1,5"),
    (forecast(), truth(), {"windows": "3"}, "asks for fss without a threshold"),
    (forecast(), truth(), {"windows": "3.5"}, "whole numbers such as 5,11"),
    (forecast(), truth(), {"block": 3}, "at least two blocks"),
    (
        forecast(),
        truth(),
        {"rows": "x", "metrics": "effective_resolution"},
        "rows is x",
    ),
]


@pytest.mark.parametrize(("told", "seen", "options", "reason"), REFUSED,
                         ids=[r[3][:24] for r in REFUSED])  # fmt: skip
def test_refused(score, told, seen, options, reason):
    with pytest.raises(InputError, match=reason):
        score(told, seen, **options)


def test_units_and_calendars_that_do_not_fit(score):
    told = forecast()
    told["temperature"].attrs["units"] = "m s-1"
    with pytest.raises(InputError, match="units that do not convert"):
        score(told, truth())
    noleap = xr.date_range("2001-01-28", periods=40, calendar="noleap", use_cftime=True)
    with pytest.raises(InputError, match="has the calendar proleptic_gregorian and"):
        score(forecast(), truth(time=noleap))
    bare = forecast()
    bare["lead_time"].attrs = {}
    with pytest.raises(InputError, match="name them with --lead-unit"):
        score(bare, truth())
    np.testing.assert_allclose(
        by_lead(score(bare, truth(), lead_unit="hours")), expected(ERRORS)
    )
    marked = truth(values=np.where(np.arange(4) == 2, -999.0, VALUES))
    found = score(forecast(), marked, missing_value=-999.0)
    part = np.delete(ERRORS, 2, 3)
    np.testing.assert_allclose(by_lead(found), expected(part, WEIGHTS[:, :3]))


def test_from_the_command_line(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    members = [forecast(TOLD + noise) for noise in (0.5, -0.5)]
    xr.concat(members, "member").to_zarr("ours.zarr", zarr_format=2)
    xr.concat([m + 1 for m in members], "number").to_netcdf("theirs.nc")
    truth().to_netcdf("seen.nc")

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["tendency", "score", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capfd.readouterr().err

    code, err = call(
        "ours.zarr", "seen.nc", "--reference", "theirs.nc", "--metrics",
        "rmse,csi,error_resolution,rank_frequency", "--thresholds", "280",
        "--rows", "longitude",
        "--block", "2", "--out", "out", "--report",
    )  # fmt: skip
    assert code == 0, err
    document = json.loads((tmp_path / "out" / "scores.json").read_text())
    at = {(s["model"], s["metric"], s["lead"]): s for s in document["scores"]}
    one, other, less = (
        at[m, "rmse", 24.0] for m in ("ours", "theirs", "ours - theirs")
    )
    assert less["value"] == pytest.approx(one["value"] - other["value"])
    assert less["interval"][0] <= less["value"] <= less["interval"][1]
    assert document["settings"]["thresholds"] == ["280"]
    page = (tmp_path / "out" / "report.html").read_text()
    for heading in ("ours and theirs against seen", "Difference: temperature",
                    "Spectra: temperature", "Ranks: temperature"):  # fmt: skip
        assert heading in page
    for arguments, reason in (
        (("ours.zarr",), "a second file, the truth"),
        (("job.toml", "seen.nc"), "is the TOML of a job"),
        (("ours.zarr", "seen.nc", "--small"), "change the TOML of a job"),
        (("ours.zarr", "seen.nc", "--report"), "give --out"),
        (("missing.nc", "seen.nc"), "missing.nc does not exist"),
    ):
        code, err = call(*arguments)
        assert code == 2
        assert reason in err
        assert err.count("\n") == 1


def curved(dataset: xr.Dataset, lat: str, lon: str, tilt: float = 5.0) -> xr.Dataset:
    """The same values on a tilted grid, its coordinates planes."""
    planes = np.meshgrid(dataset[lat].values, dataset[lon].values, indexing="ij")
    dataset = dataset.drop_vars([lat, lon]).rename({lat: "y", lon: "x"})
    tilted = planes[0] + tilt * np.arange(4) / 10
    units = {"units": "degrees_north"}
    coords = {"lat": (("y", "x"), tilted, units), "lon": (("y", "x"), planes[1])}
    return dataset.assign_coords(coords)


def test_grids_of_two_dimensions(score):
    told = forecast().sortby("latitude", ascending=False)
    told = told.assign_coords(longitude=told["longitude"] % 360).sortby("longitude")
    told = curved(told, "latitude", "longitude")
    found = score(told, curved(truth(), "lat", "lon"))
    weights = np.cos(np.deg2rad(told["lat"].values))
    np.testing.assert_allclose(by_lead(found), expected(ERRORS, weights))
    with pytest.raises(InputError, match="grids of temperature differ in lat"):
        score(told, curved(truth(), "lat", "lon", tilt=9.0))
    bare = truth().drop_vars(["lat", "lon"]).isel(lat=slice(2))
    with pytest.raises(InputError, match="one of them tells no coordinates"):
        score(forecast(), bare)


def test_units_that_one_file_lacks(score):
    bare = truth(values=VALUES - 273.15)
    del bare["t2m"].attrs["units"]
    found = score(forecast(), bare)
    np.testing.assert_allclose(by_lead(found), expected(ERRORS))
    assert "temperature: the truth gives no units, degC was taken" in found.notes


def test_energy_of_two_components(score):
    def winds(data: xr.Dataset, name: str) -> xr.Dataset:
        u = data[name].drop_attrs(deep=False)
        return xr.Dataset({"u": u, "v": 2 * u}).assign_coords(data.coords)

    told, seen = winds(forecast(), "temperature"), winds(truth(), "t2m")
    found = by_lead(score(told, seen, metrics="energy_ratio"), "energy_ratio")
    known = VALUES[STARTS[:, None] + LEADS]
    top, bottom = ((WEIGHTS * x**2).sum((0, 2, 3)) for x in (TOLD - 273.15, known))
    np.testing.assert_allclose(found, top / bottom)


def test_a_reference_and_a_climatology_that_do_not_fit(score, tmp_path):
    later = forecast().assign_coords(init_time=DAYS[STARTS + 1])
    later.to_netcdf(tmp_path / "later.nc")
    with pytest.raises(InputError, match="share 0 starts and 3 lead times"):
        score(forecast(), truth(), reference=str(tmp_path / "later.nc"))
    forecast().isel(latitude=[0, 1]).to_netcdf(tmp_path / "region.nc")
    with pytest.raises(InputError, match="on different grids"):
        score(forecast(), truth(), reference=str(tmp_path / "region.nc"))
    truth().isel(time=slice(5)).to_netcdf(tmp_path / "climate.nc")
    with pytest.raises(InputError, match="has 5 times, 12 months or 365 or 366 days"):
        score(forecast(), truth(), climatology=str(tmp_path / "climate.nc"))
