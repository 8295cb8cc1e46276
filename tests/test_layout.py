"""The layout: packed and unpacked, whatever the shape of the data."""

import json
from typing import Any

import cftime
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from tendency.data.clock import infer_clock
from tendency.data.layout import Layout
from tendency.errors import InputError

SPACES = ((), ("lat", "lon"), ("station",), ("level", "lat", "lon"), ("y", "x"))
SIZES = {"lat": 3, "lon": 4, "station": 5, "level": 1, "y": 2, "x": 2}


def times_of(calendar: str, count: int) -> np.ndarray:
    if calendar == "standard":
        return np.datetime64("1999-12-30", "us") + np.arange(count).astype("m8[D]")
    return cftime.num2date(np.arange(count), "days since 1999-02-27", calendar)


@st.composite
def datasets(draw, count=4) -> xr.Dataset:
    """One to three variables, on one or several grids, with masks of their own."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    calendar = draw(st.sampled_from(["standard", "noleap", "360_day"]))
    data = {}
    for i in range(draw(st.integers(1, 3))):
        space = draw(st.sampled_from(SPACES))
        dtype = draw(st.sampled_from(["float32", "float64"]))
        shape = [SIZES[d] for d in space]
        values = rng.normal(size=(count, *shape)).astype(dtype)
        if draw(st.booleans()):
            land = np.asarray(rng.random(shape) < 0.4)
            land.reshape(-1)[:1] = False
            values[:, land] = np.nan
        order = draw(st.permutations(("time", *space)))
        array = xr.DataArray(values, dims=("time", *space)).transpose(*order)
        data[f"v{i}"] = array.assign_attrs(units="m", standard_name=f"name_{i}")
    dataset = xr.Dataset(data).assign_coords(time=times_of(calendar, count))
    coordinates = {
        "lat": ("lat", np.array([60.0, 30.0, 0.0]), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(4, dtype="float32"), {"units": "degrees_east"}),
        "station": ("station", np.array(["a", "bc", "d", "e", "f"])),
        "height": ((), 2.0, {"units": "m"}),
        "area": (("y", "x"), np.arange(4.0).reshape(2, 2)),
    }
    used = set(dataset.dims)
    kept = {k: v for k, v in coordinates.items() if {*np.atleast_1d(v[0])} <= used}
    return dataset.assign_coords(kept | {"height": coordinates["height"]})


def layout_of(dataset: xr.Dataset, mask: Any = "land", time="time") -> Layout:
    clock, _ = infer_clock(dataset[time].values, time)
    return Layout.of(dataset, clock, time=time, mask=mask)


@given(datasets())
def test_unpack_undoes_pack(dataset):
    layout = layout_of(dataset)
    states = layout.pack(dataset)
    assert states.shape == (4, layout.size)
    assert np.isfinite(states).all()
    back = layout.unpack(states, dataset["time"].values)
    assert back.equals(dataset)
    for name, array in dataset.data_vars.items():
        assert back[name].dims == array.dims
        assert back[name].dtype == array.dtype
        assert back[name].attrs == array.attrs


@given(datasets(), st.randoms(use_true_random=False))
def test_pack_does_not_depend_on_the_order_of_dimensions(dataset, random):
    layout = layout_of(dataset)
    dims = list(map(str, dataset.dims))
    random.shuffle(dims)
    turned = dataset.transpose(*dims)
    for name in ("lat", "lon", "station"):
        if name in turned.dims and random.random() < 0.5:
            turned = turned.isel({name: slice(None, None, -1)})
    np.testing.assert_array_equal(layout.pack(turned), layout.pack(dataset))


@given(datasets())
def test_a_layout_goes_through_json(dataset):
    layout = layout_of(dataset)
    back = Layout.from_dict(json.loads(json.dumps(layout.to_dict())))
    assert back == layout
    assert hash(back) == hash(layout)
    states = layout.pack(dataset)
    times = dataset["time"].values
    assert back.unpack(states, times).identical(layout.unpack(states, times))


@given(datasets(), st.booleans())
def test_forecasts_carry_their_start_and_lead(dataset, members):
    layout = layout_of(dataset)
    start = dataset["time"].values[1:3]
    states = np.arange(2.0 * 5 * 3 * layout.size).reshape(2, 5, 3, layout.size)
    states = states if members else states[:, :, 0]
    forecast = layout.unpack_forecast(states, start, np.arange(1, 6))
    leading = ("init_time", "lead_time") + ("member",) * members
    for variable in layout.variables:
        array = forecast[variable.name]
        assert array.dims[: len(leading)] == leading
        values = array.values.reshape(*states.shape[:-1], -1)
        values = values[..., variable.valid.reshape(-1)]
        part = layout.parts[variable.name]
        np.testing.assert_array_equal(values, states[..., part].astype(values.dtype))
    assert forecast["valid_time"].values[0, 1] == dataset["time"].values[3]
    assert forecast["lead_time"].attrs["units"] == "days"
    assert forecast["init_time"].attrs["standard_name"] == "forecast_reference_time"


def test_lazy_data_are_packed_the_same():
    dask = pytest.importorskip("dask", reason="dask is not installed")
    assert dask
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 3, 4))
    values[:, 0, 1] = np.nan
    dataset = xr.Dataset({"v": (("time", "lat", "lon"), values)})
    dataset = dataset.assign_coords(time=times_of("standard", 6))
    lazy = dataset.chunk(time=2)
    layout = layout_of(lazy)
    assert layout == layout_of(dataset)
    np.testing.assert_array_equal(layout.pack(lazy), layout.pack(dataset))


def test_masks_and_grid():
    values = np.ones((4, 2, 3))
    values[:, 0, 0] = np.nan
    values[2, 1, 1] = np.nan
    dataset = xr.Dataset(
        {"u": (("time", "y", "x"), values), "v": (("time", "y", "x"), values)}
    ).assign_coords(time=times_of("standard", 4))
    assert layout_of(dataset, "none").size == 12
    assert layout_of(dataset, "land").size == 10
    layout = layout_of(dataset, "incomplete")
    assert layout.size == 8
    shape, points = layout.grid()
    assert shape == (2, 2, 3)
    full = np.full(12, np.nan)
    full[points] = layout.pack(dataset)[0]
    np.testing.assert_array_equal(full[:6], full[6:])
    assert np.flatnonzero(np.isnan(full)).tolist() == [0, 4, 6, 10]


def test_levels_are_channels_of_the_grid():
    values = np.arange(4.0 * 3 * 2 * 5).reshape(4, 3, 2, 5)
    values[:, 1, 0, 2] = np.nan
    dims = ("time", "depth", "lat", "lon")
    dataset = xr.Dataset(
        {"t": (dims, values), "ssh": (("time", "lat", "lon"), values[:, 0] - 7)},
        {"lat": [10.0, 20.0], "depth": [0.0, 10.0, 50.0]},
    ).assign_coords(time=times_of("standard", 4))
    layout = layout_of(dataset, "land")
    shape, points = layout.grid()
    assert shape == (4, 2, 5)
    full = np.full(40, np.nan)
    full[points] = layout.pack(dataset)[2]
    expected = np.concatenate([values[2], values[2, :1] - 7])
    np.testing.assert_array_equal(full.reshape(shape), expected)
    turned = dataset.transpose("time", "lat", "lon", "depth")
    with pytest.raises(InputError, match=r"t \(lat: 2, lon: 5, depth: 3\), ssh"):
        layout_of(turned, "land").grid()


def test_latitude_of_each_component():
    dataset = xr.Dataset(
        {"a": (("time", "lon", "phi"), np.ones((3, 2, 3))), "b": ("time", np.ones(3))},
        {"phi": ("phi", [-30.0, 0.0, 30.0], {"standard_name": "latitude"})},
    ).assign_coords(time=times_of("standard", 3))
    latitude = layout_of(dataset).latitude
    assert latitude.tolist() == [-30, 0, 30, -30, 0, 30, 0]


def test_what_does_not_fit_is_refused():
    dataset = xr.Dataset(
        {"v": (("time", "lat"), np.ones((3, 2)))}, {"lat": [10.0, 20.0]}
    ).assign_coords(time=times_of("standard", 3))
    layout = layout_of(dataset)
    with pytest.raises(InputError, match="no variable v, only w"):
        layout.pack(dataset.rename(v="w"))
    with pytest.raises(InputError, match="lat of v has 2 values that are not the 2"):
        layout.pack(dataset.assign_coords(lat=[10.0, 21.0]))
    with pytest.raises(InputError, match="dimensions"):
        layout.pack(dataset.rename(lat="y"))
    with pytest.raises(InputError, match="every point of the variable v is missing"):
        layout_of(dataset * np.nan)
    with pytest.raises(InputError, match=r"v \(lat: 2\); one grid of rows and"):
        layout.grid()
    with pytest.raises(InputError, match="no time axis"):
        layout_of(dataset.assign(w=("lat", [1.0, 2.0])))
    with pytest.raises(InputError, match="numbers were expected"):
        layout_of(dataset.assign(w=("time", np.array(["a", "b", "c"]))))


def test_coordinates_of_float32_and_float64_are_the_same_grid():
    lat = np.linspace(-60.1, 60.3, 7)
    dataset = xr.Dataset(
        {"v": (("time", "lat"), np.arange(21.0).reshape(3, 7))}, {"lat": lat}
    ).assign_coords(time=times_of("standard", 3))
    rounded = dataset.assign_coords(lat=lat.astype("float32"))
    layout = layout_of(dataset)
    np.testing.assert_array_equal(layout.pack(rounded), layout.pack(dataset))


def test_files_of_another_shape_are_not_confused_by_time_dependent_coordinates():
    dataset = xr.Dataset({"v": ("time", np.arange(3.0))}).assign_coords(
        time=times_of("standard", 3),
        month=("time", [1, 2, 3]),
        when=((), cftime.DatetimeNoLeap(2000, 1, 1)),
        code=((), np.bytes_(b"ab")),
    )
    layout = layout_of(dataset)
    assert {c.name for c in layout.coordinates} == {"code"}
