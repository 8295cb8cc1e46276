"""Files in: formats, time axes, oddities of NetCDF, and what is refused."""

# ruff: noqa: PD003, PD011  (they take xarray for pandas)

import datetime

import cftime
import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from tendency.data.clock import (
    Clock,
    as_dates,
    infer_clock,
    parse_step,
    period,
    show,
)
from tendency.data.files import load, open_file
from tendency.data.record import read_record, series_of
from tendency.errors import InputError

DAYS = pd.date_range("2000-01-01", periods=20, freq="D").values


def simple(count=20, name="sst") -> xr.Dataset:
    values = np.arange(count * 2 * 3, dtype=float).reshape(count, 2, 3)
    return xr.Dataset(
        {name: (("time", "lat", "lon"), values, {"units": "degC"})},
        {
            "time": DAYS[:count],
            "lat": ("lat", [30.0, 20.0], {"units": "degrees_north"}),
            "lon": ("lon", [0.0, 120.0, 240.0], {"units": "degrees_east"}),
        },
    )


def saved(dataset: xr.Dataset, folder, name="x.nc", **options):
    path = folder / name
    dataset.to_netcdf(path, **options)
    return path


# Clocks


@given(
    st.sampled_from(["standard", "noleap", "360_day", "julian"]),
    st.sampled_from(
        [
            (1, "day"),
            (6, "hour"),
            (5, "minute"),
            (30, "second"),
            (1, "month"),
            (1, "year"),
        ]
    ),
    st.dates(datetime.date(1850, 1, 1), datetime.date(2150, 1, 1)),
    st.sets(st.integers(1, 30), max_size=5),
)
def test_dates_and_numbers(calendar, step, first, lost):
    size, unit = step
    day = min(first.day, 28)
    text = f"{first.year:04d}-{first.month:02d}-{day:02d}"
    kind = "proleptic_gregorian" if calendar == "standard" else calendar
    clock = Clock(float(size), unit, text, kind)
    numbers = size * np.delete(np.arange(60), sorted(lost))
    dates = clock.date(numbers)
    np.testing.assert_allclose(clock.number(dates), numbers, atol=1e-9)
    found, gaps = infer_clock(dates)
    assert (found.step, found.unit, found.calendar) == (size, unit, kind)
    number = found.number(dates)
    np.testing.assert_array_equal(np.diff(number) > 1.5 * size, gaps)
    assert (found.date(number) == as_dates(dates)).all()
    assert Clock.from_dict(found.to_dict()) == found


def test_months_at_their_ends_and_middles():
    ends = pd.date_range("2001-01-31", periods=14, freq="ME").values
    clock, gaps = infer_clock(ends)
    assert (clock.label, clock.month_end, gaps.any()) == ("1 month", True, False)
    assert (clock.date(np.arange(14)) == ends).all()
    assert show(clock.date(np.array([13 + 12]))[0]) == "2003-02-28"
    middles = np.array(["2000-01-16T12", "2000-02-15", "2000-03-16T12"], "M8[ns]")
    clock, _ = infer_clock(middles)
    assert clock.label == "1 month"
    assert clock.number(middles).tolist() == [0, 1, 2]


def test_a_step_of_thirty_days_is_no_month():
    clock, _ = infer_clock(pd.date_range("2000-01-01", periods=30, freq="30D").values)
    assert clock.label == "30 days"


def test_the_length_of_cycles():
    assert Clock(1.0, "day", "2000-01-01").cycle("year") == 365.2425
    assert Clock(1.0, "day", "2000-01-01", "noleap").cycle("year") == 365
    assert Clock(6.0, "hour", "2000-01-01").cycle("day") == 24
    assert Clock(1.0, "month", "2000-01-01").cycle("year") == 12
    with pytest.raises(InputError, match="cycle of the day"):
        Clock(1.0, "month", "2000-01-01").cycle("day")


def test_steps_and_dates_as_people_write_them():
    assert parse_step("1 day") == (1, "day")
    assert parse_step("6 hours") == (6, "hour")
    assert parse_step("month") == (1, "month")
    for wrong in ("-1 day", "0 days", "fortnight", "1.5 months", "", "1e400 days"):
        with pytest.raises(InputError, match="not a step of time"):
            parse_step(wrong)
    assert [str(d)[:13] for d in period("2000-02")] == [
        "2000-02-01T00",
        "2000-03-01T00",
    ]
    assert [str(d)[:16] for d in period("2000-02-29 06")] == [
        "2000-02-29T06:00",
        "2000-02-29T07:00",
    ]
    assert period("2000-02-30", "360_day")[0].day == 30
    for wrong in ("2001-02-29", "yesterday", "20010101", "2001-13"):
        with pytest.raises(InputError, match="is not a date"):
            period(wrong)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (DAYS[::-1], "2000-01-19 comes after 2000-01-20 at index 1"),
        (DAYS[[0, 1, 1, 2]], "2000-01-02 is twice at index 2"),
        (DAYS[[0, 1]][:1], "has 1 time, at least 2"),
        (DAYS[[0, 5, 11, 18, 19]], "is irregular, its steps run from 86400 to 604800"),
        (
            np.array(
                [cftime.DatetimeNoLeap(2000, 1, 1), cftime.Datetime360Day(2000, 1, 2)]
            ),
            "mixes the calendars 360_day, noleap",
        ),
    ],
)
def test_times_that_are_refused(times, message):
    with pytest.raises(InputError, match=message):
        infer_clock(times)


# Formats


@pytest.mark.parametrize("format", ["NETCDF4", "NETCDF3_CLASSIC", "NETCDF3_64BIT"])
def test_netcdf(tmp_path, format):
    path = saved(simple(), tmp_path, format=format)
    record = read_record(path, ["sst"])
    assert record.clock.label == "1 day"
    assert record.dataset["sst"].attrs["units"] == "degC"
    assert load(record.dataset, "x").equals(simple())


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_stays_on_disk(tmp_path, version):
    path = tmp_path / "x.zarr"
    simple().to_zarr(path, zarr_format=version, consolidated=version == 2)
    record = read_record(path, ["sst"])
    assert load(record.dataset, "x").equals(simple())


def test_many_files(tmp_path):
    pytest.importorskip("dask", reason="dask is not installed")
    whole = simple()
    for i in range(0, 20, 5):
        saved(whole.isel(time=slice(i, i + 5)), tmp_path, f"part{i:02d}.nc")
    record = read_record(tmp_path / "part*.nc", ["sst"])
    assert load(record.dataset, "x").equals(whole)
    with pytest.raises(InputError, match="no file matches"):
        open_file(tmp_path / "nothing*.nc")
    first = whole.isel(time=slice(0, 5))
    for name, other, message in (
        ("a", first.convert_calendar("noleap"), "mix the calendars noleap, prolep"),
        ("b", first.isel(lat=[0]), "the grids differ along lat: 1 points from 30"),
        ("c", first.rename(time="when"), "different time axes"),
    ):
        saved(first, tmp_path, f"{name}0.nc")
        saved(other, tmp_path, f"{name}1.nc")
        with pytest.raises(InputError, match=message):
            open_file(tmp_path / f"{name}*.nc")
    (tmp_path / "a2.nc").write_text("no NetCDF")
    with pytest.raises(InputError, match="is not a NetCDF file: narrow the pattern"):
        open_file(tmp_path / "a*.nc")


def test_files_that_are_refused(tmp_path):
    good = saved(simple(), tmp_path, "good.nc")
    with pytest.raises(InputError, match=r"does not exist: did you mean good\.nc"):
        open_file(tmp_path / "god.nc")
    with pytest.raises(InputError, match="does not exist either"):
        open_file(tmp_path / "no" / "good.nc")
    (tmp_path / "short.nc").write_bytes(good.read_bytes()[:3000])
    with pytest.raises(InputError, match="truncated or damaged"):
        open_file(tmp_path / "short.nc")
    for name, content, message in (
        ("text.nc", b"hello world", "in an unknown format, and a NetCDF, Zarr or CSV"),
        ("empty.nc", b"", "is empty"),
        ("x.grib", b"GRIB\x00\x00", "a GRIB file"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            open_file(tmp_path / name)
    with pytest.raises(InputError, match="a folder without a Zarr store"):
        open_file(tmp_path)


@pytest.mark.parametrize("format", ["NETCDF3_CLASSIC", "NETCDF3_64BIT", "NETCDF4"])
@pytest.mark.parametrize("unlimited", [[], ["time"]])
@pytest.mark.parametrize("short", [False, True])
def test_files_cut_short(tmp_path, format, unlimited, short):
    """A classic file that is cut reads as zeros unless someone counts its bytes."""
    dataset = simple()
    dataset["n"] = ("time", np.arange(20, dtype="int16"))
    dataset.attrs["title"] = "odd length"
    if short:  # one record variable of two bytes is not padded
        dataset = dataset[["n"]].drop_vars("time")
    path = tmp_path / "x.nc"
    dataset.to_netcdf(path, format=format, unlimited_dims=unlimited)
    assert load(open_file(path), "x")["n"].values.tolist() == list(range(20))
    content = path.read_bytes()
    for share in (0.05, 0.5, 0.99):
        cut = tmp_path / f"{share}.nc"
        cut.write_bytes(content[: int(share * len(content))])
        with pytest.raises(InputError, match="truncated or damaged"):
            load(open_file(cut), "cut")


def test_the_fifth_version_of_the_classic_format(tmp_path):
    path = tmp_path / "x.nc"
    with netCDF4.Dataset(path, "w", format="NETCDF3_64BIT_DATA") as file:
        file.createDimension("time")
        file.createVariable("n", "i8", ("time",), fill_value=False)[:] = np.arange(9)
    assert open_file(path)["n"].values.tolist() == list(range(9))
    (tmp_path / "y.nc").write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"it has \d+ of \d+ bytes"):
        open_file(tmp_path / "y.nc")


def test_numbers_that_cannot_be_read(tmp_path):
    values = np.random.default_rng(0).normal(size=(20, 40, 50))
    dataset = xr.Dataset({"v": (("time", "y", "x"), values)}, {"time": DAYS})
    path = saved(dataset, tmp_path, encoding={"v": {"zlib": True}})
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(4000)
    path.write_bytes(content)
    record = read_record(path, ["v"])
    with pytest.raises(InputError, match="truncated or damaged"):
        load(record.dataset, str(path))


# Time axes


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("time", {}),
        ("T", {"axis": "T"}),
        ("when", {"standard_name": "time"}),
        ("S", {"standard_name": "forecast_reference_time"}),
        ("whatever", {}),
    ],
)
def test_the_time_axis_is_found(tmp_path, name, attributes):
    dataset = simple().rename(time=name)
    dataset[name].attrs = attributes
    record = read_record(saved(dataset, tmp_path), ["sst"])
    assert record.time == name
    assert (record.times == DAYS).all()


def test_dates_beside_their_dimension(tmp_path):
    dataset = (
        simple()
        .rename(time="step")
        .assign_coords(
            step=np.arange(20), valid=("step", DAYS, {"standard_name": "time"})
        )
    )
    record = read_record(saved(dataset, tmp_path), ["sst"])
    assert record.time == "valid"
    assert (record.times == DAYS).all()
    dataset["valid"].attrs["bounds"] = "valid_bnds"
    dataset["valid"].encoding["units"] = "days since 2000-01-01"
    both = dataset.assign(valid_bnds=(("step", "nv"), np.stack([DAYS, DAYS], 1)))
    both["other"] = ("step", DAYS)
    record = read_record(saved(both, tmp_path, "b.nc"), ["sst"])
    assert record.time == "valid"
    assert read_record(tmp_path / "b.nc", ["sst"], time="other").time == "other"
    with pytest.raises(InputError, match=r"data\.time is sst"):
        read_record(tmp_path / "b.nc", ["sst"], time="sst")


def test_two_time_axes_are_one_too_many(tmp_path):
    dataset = simple().rename(time="a")
    dataset["w"] = ("b", np.arange(5.0))
    dataset["b"] = DAYS[:5]
    path = saved(dataset, tmp_path)
    with pytest.raises(InputError, match=r"2 time axes \(a, b\)|2 time axes \(b, a\)"):
        read_record(path, ["sst"])
    with pytest.raises(InputError, match=r"w has the dimensions .*no time axis a"):
        read_record(path, ["w"], time="a")


@pytest.mark.parametrize(
    ("units", "calendar", "values", "expected"),
    [
        ("days since 1950-01-01", "standard", [0, 1, 2], "1950-01-02"),
        ("hours since 1900-01-01 00:00:0.0", "gregorian", [0, 24, 48], "1900-01-02"),
        ("days since 2000-02-28", "noleap", [0, 1, 2], "2000-03-01"),
        ("days since 2000-02-29", "360_day", [0, 1, 2], "2000-02-30"),
        ("months since 1960-01-01", "360", [0.5, 1.5, 2.5], "1960-02-01"),
        (
            "day as %Y%m%d.%f",
            "standard",
            [20000228.0, 20000229.0, 20000301.0],
            "2000-02-29",
        ),
        ("days since 1500-01-01", "standard", [0, 1, 2], "1500-01-02"),
    ],
)
def test_encodings_of_time(tmp_path, units, calendar, values, expected):
    dataset = xr.Dataset({"v": ("time", np.arange(3.0))})
    attributes = {"units": units, "calendar": calendar}
    dataset = dataset.assign_coords(time=("time", np.array(values), attributes))
    record = read_record(saved(dataset, tmp_path), ["v"])
    assert show(record.times[1]) == expected
    assert len(record.times) == 3


def test_dates_as_text(tmp_path):
    text = np.array(
        ["2000-01-01_00:00:00", "2000-01-01_06:00:00", "2000-01-01_12:00:00"]
    )
    dataset = xr.Dataset(
        {"v": ("Time", np.arange(3.0)), "Times": ("Time", text.astype("S"))}
    )
    record = read_record(saved(dataset, tmp_path), ["v"])
    assert record.clock.label == "6 hours"


def test_hours_as_fractions_of_days_are_whole(tmp_path):
    values = np.arange(48) / 24 + 18000.0
    attributes = {"units": "days since 1950-01-01"}
    dataset = xr.Dataset(
        {"v": ("time", np.arange(48.0))}, {"time": ("time", values, attributes)}
    )
    record = read_record(saved(dataset, tmp_path), ["v"])
    assert record.clock.label == "1 hour"
    assert show(record.times[1]) == "1999-04-14T01:00"


def test_times_that_are_missing_are_left_out(tmp_path):
    times = np.arange(10.0)
    times[[4, 5]] = np.nan
    dataset = xr.Dataset(
        {"v": ("time", np.arange(10.0))},
        {"time": ("time", times, {"units": "days since 2000-01-01"})},
    )
    record = read_record(saved(dataset, tmp_path), ["v"])
    assert record.undated == 2
    assert np.flatnonzero(record.gaps).tolist() == [3]


@pytest.mark.parametrize(
    ("values", "attributes"),
    [
        (np.arange(3), {}),
        (np.arange(3), {"units": "fortnights since breakfast"}),
        (np.arange(3), {"units": "days since 2000-01-01", "calendar": "mayan"}),
        (np.array(["a", "b", "c"]), {}),
    ],
)
def test_times_that_cannot_be_read(tmp_path, values, attributes):
    dataset = xr.Dataset(
        {"v": ("time", np.arange(3.0))}, {"time": ("time", values, attributes)}
    )
    path = saved(dataset, tmp_path)
    with pytest.raises(InputError, match=r"could not be read as dates|is not a date"):
        read_record(path, ["v"])
    record = read_record(path, ["v"], start="2001-01", step="1 month")
    assert [show(t) for t in record.times] == ["2001-01-01", "2001-02-01", "2001-03-01"]


def test_no_time_axis(tmp_path):
    path = saved(xr.Dataset({"v": (("y", "x"), np.ones((3, 4)))}), tmp_path)
    with pytest.raises(InputError, match=r"no time axis \(its dimensions are y: 3"):
        read_record(path, ["v"])


# Oddities of NetCDF


@given(
    dims=st.permutations(("time", "lat", "lon", "member")),
    packed=st.booleans(),
    lat_down=st.booleans(),
    calendar=st.sampled_from(["standard", "noleap", "360_day"]),
    missing=st.booleans(),
)
def test_oddities(tmp_path_factory, dims, packed, lat_down, calendar, missing):
    """Packed integers, fill values, time not first, size one, text beside numbers."""
    rng = np.random.default_rng(0)
    values = np.round(rng.uniform(-5, 5, (20, 4, 5, 1)), 2)
    if missing:
        values[3, 1] = np.nan
    lat = np.linspace(-30, 30, 4)
    dataset = xr.Dataset(
        {
            "v": (("time", "lat", "lon", "member"), values, {"units": "m"}),
            "name": ("lat", np.array(["a", "b", "c", "d"], "S")),
            "flag": ("time", np.zeros(20, "int8")),
        },
        {
            "lat": lat[::-1] if lat_down else lat,
            "lon": np.arange(0.0, 360.0, 72.0),
            "time": DAYS,
        },
    ).transpose(*dims, missing_dims="ignore")
    if calendar != "standard":
        dates = cftime.num2date(np.arange(20), "days since 2000-02-20", calendar)
        dataset = dataset.assign_coords(time=dates)
    encoding = {}
    if packed:
        encoding = {"v": {"dtype": "int16", "scale_factor": 0.01, "_FillValue": -32768}}
    path = saved(dataset, tmp_path_factory.mktemp("odd"), encoding=encoding)
    record = read_record(path, ["v"])
    back = load(record.dataset, "x")["v"]
    assert back.dims == tuple(dims)
    xr.testing.assert_allclose(back, dataset["v"], atol=1e-12)
    expected = "proleptic_gregorian" if calendar == "standard" else calendar
    assert record.clock.calendar == expected
    south = read_record(path, ["v"], select={"lat": [-40, 0]}).dataset
    assert sorted(south["lat"].values) == [-30, -10]
    west = read_record(path, ["v"], select={"lon": [-80, 80]}).dataset
    assert west["lon"].values.tolist() == [-72, 0, 72]
    np.testing.assert_allclose(
        west["v"].transpose("lon", ...).values,
        dataset["v"].transpose("lon", ...).values[[4, 0, 1]],
        atol=1e-12,
    )


# Selection


def test_variables_by_name_and_standard_name(tmp_path):
    dataset = simple().assign(
        u=("time", np.ones(20), {"standard_name": "eastward_wind"}),
        v=("time", np.ones(20), {"standard_name": "northward_wind"}),
        w=("time", np.ones(20), {"standard_name": "northward_wind"}),
        label=("time", np.full(20, "a")),
        depth=("lat", [1.0, 2.0]),
    )
    path = saved(dataset, tmp_path)
    record = read_record(path, ["eastward_wind", "SST", "u"])
    assert list(record.dataset.data_vars) == ["u", "sst"]
    for name, message in (
        ("ssh", "no variable ssh.*did you mean sst"),
        ("eastward_winds", "did you mean eastward_wind"),
        ("northward_wind", r"standard name of 2 variables \(v, w\)"),
        ("label", "numbers were expected"),
        ("depth", "no time axis time"),
    ):
        with pytest.raises(InputError, match=message):
            read_record(path, [name])
    assert "u, v" not in record.source


def test_subsets(tmp_path):
    path = saved(simple(), tmp_path)

    def part(**wanted):
        return read_record(path, ["sst"], select=wanted).dataset["sst"]

    assert part(lat=[15, 25]).lat.values.tolist() == [20]
    assert part(latitude=[25, 15]).lat.values.tolist() == [20]
    assert part(lat=22).dims == ("time", "lon")
    assert part(longitude=[-130, 10]).lon.values.tolist() == [-120, 0]
    assert part(lon=[100, 250]).lon.values.tolist() == [120, 240]
    assert part(lon=[0, 360]).lon.values.tolist() == [0, 120, 240]
    assert part(lon=[-180, 180]).lon.values.tolist() == [-120, 0, 120]
    assert part(time=["2000-01-03", "2000-01"]).sizes["time"] == 18
    for wanted, message in (
        ({"lat": [50, 60]}, r"lat is \[50, 60\] and the data run from 20 to 30"),
        ({"lat": 80}, "lat is 80 and the data run from 20 to 30"),
        ({"lon": [10, 20]}, r"lon is \[10, 20\]"),
        ({"latt": 1}, "not a coordinate of the file: did you mean lat"),
        ({"lat": "north"}, "a number or a range"),
        ({"lat": [1, 2, 3]}, "a number or a range"),
        ({"time": "2000"}, "a range of two dates"),
        ({"time": ["1990", "1991"]}, "the data run from 2000-01-01 to 2000-01-20"),
    ):
        with pytest.raises(InputError, match=message):
            part(**wanted)


def test_subsets_of_odd_coordinates(tmp_path):
    lat = np.array([[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]])
    dataset = simple().drop_vars(["lat", "lon"]).rename(lat="y", lon="x")
    dataset = dataset.assign_coords(
        lat=(("y", "x"), lat), name=("x", np.array(["a", "b", "c"]))
    )
    path = saved(dataset, tmp_path)

    def part(**wanted):
        return read_record(path, ["sst"], select=wanted).dataset["sst"]

    assert part(lat=[0.5, 5]).shape == (20, 1, 2)
    assert part(x=[1, 2]).shape == (20, 2, 2)
    with pytest.raises(InputError, match="has 2 dimensions: give a range"):
        part(lat=3)
    with pytest.raises(InputError, match="numbers were expected"):
        part(name=3)


def test_missing_values_and_units_of_the_users_own(tmp_path):
    dataset = simple()
    dataset["sst"].values[4] = -999
    del dataset["sst"].attrs["units"]
    path = saved(dataset, tmp_path)
    record = read_record(path, ["sst"], missing_value=-999, units={"sst": "K"})
    assert record.dataset["sst"].attrs["units"] == "K"
    assert int(record.dataset["sst"].isnull().sum()) == 6
    with pytest.raises(InputError, match="units names tos"):
        read_record(path, ["sst"], units={"tos": "K"})


# Series


def test_gaps_cut_the_series(tmp_path):
    path = saved(simple().isel(time=[*range(5), *range(8, 20)]), tmp_path)
    record = read_record(path, ["sst"])
    states = record.dataset["sst"].values.reshape(17, -1).copy()
    series = series_of(record, states)
    assert series.segments == (5, 12)
    assert series.weights is None
    assert series.t.tolist() == [*range(5), *range(8, 20)]
    assert series.part(3, 8).segments == (2, 3)
    assert series.part(3, 3).segments == ()
    states[10, 0] = np.nan
    series = series_of(record, states)
    assert series.weights is not None
    assert series.weights.sum() == states.size - 1
    cut = series.without_missing()
    assert cut.segments == (5, 5, 6)
    assert cut.weights is None
    # Starts: history before, steps after, nothing across a gap.
    assert series.starts(2, 1).tolist() == [2, 3, *range(7, 16)]
    assert series.starts(0, 3, first=5, stop=12).tolist() == [5, 6, 7, 8]
    assert cut.starts(4, 1).tolist() == [14]
    assert series.index("2000-01-09", "proleptic_gregorian") == 5
    with pytest.raises(InputError, match="the nearest is 2000-01-09"):
        series.index("2000-01-07", "proleptic_gregorian")


# Tables


@pytest.mark.parametrize(
    ("text", "names", "units"),
    [
        (
            "date,sst [degC],n\n2000-01-01,1.5,1\n2000-01-02,2.5,2\n",
            ["sst", "n"],
            "degC",
        ),
        ("Time;sst (degC)\n20000101;1,5\n20000102;2,5\n", ["sst"], "degC"),
        ("year month day sst\n2000 1 1 1.5\n2000 1 2 2.5\n", ["sst"], None),
        (
            "# a comment\nwhen\tsst\tplace\n"
            "2000-01-01T00Z\t1.5\ta\n2000-01-02T00Z\t2.5\tb\n",
            ["sst"],
            None,
        ),
        (",sst\n2000-01-01,1.5\n2000-01-02,2.5\n", ["sst"], None),
    ],
)
def test_tables(tmp_path, text, names, units):
    path = tmp_path / "x.csv"
    path.write_text(text)
    record = read_record(path, ["sst"])
    assert list(open_file(path).data_vars) == names
    assert record.dataset["sst"].values.tolist() == [1.5, 2.5]
    assert record.dataset["sst"].attrs.get("units") == units
    assert [show(t) for t in record.times] == ["2000-01-01", "2000-01-02"]


def test_a_table_without_dates(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1.5\n2.5\nNA\n")
    with pytest.raises(InputError, match=r"no time axis.*data\.start and data\.step"):
        read_record(path, ["value"])
    record = read_record(path, ["value"], start="1982-01-01", step="1 day")
    assert [show(t) for t in record.times] == ["1982-01-01", "1982-01-02", "1982-01-03"]
    np.testing.assert_array_equal(record.dataset["value"], [1.5, 2.5, np.nan])
    path.write_text("1 2\n3 4\n")
    assert list(open_file(path).data_vars) == ["column_1", "column_2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date,sst\n01/02/2000,1\n02/02/2000,2\n", "dates like 2001-02-28"),
        ("date,place\n2000-01-01,a\n2000-01-02,b\n", "no column of numbers"),
        ("a,b\n1,2\n1,2,3,4\n", "could not be read as a table"),
        ("# nothing\n", "it holds no line"),
    ],
)
def test_tables_that_are_refused(tmp_path, text, message):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        open_file(path)


# Real files


@pytest.mark.parametrize(
    ("name", "time", "step", "count", "gaps"),
    [
        ("duacs_adt_med_2005Q2.nc", "time", "1 day", 91, 0),
        ("era5_t2m_uk_201903.nc", "time", "1 hour", 744, 0),
        ("ersstv5_monthly_2010_2020.nc", "time", "1 month", 128, 0),
        ("geos_s2s_rmm1_reforecast_1999_2015.nc", "S", "5 days", 510, 17),
        ("globcurrent_agulhas_2002.nc", "time", "1 day", 366, 0),
        ("knmi_radar_20100826_2km.nc", "time", "5 minutes", 92, 0),
        ("mrms_conus_20190610_01deg.nc", "time", "2 minutes", 36, 0),
        ("rmm_observed_daily_1974_2017.nc", "time", "1 day", 15468, 1),
    ],
)
def test_real_files(shared_data, name, time, step, count, gaps):
    path = shared_data / name
    variable = next(str(n) for n, a in open_file(path).data_vars.items() if a.ndim > 0)
    record = read_record(path, [variable])
    assert (record.time, record.clock.label) == (time, step)
    assert (len(record.times), int(record.gaps.sum())) == (count, gaps)
