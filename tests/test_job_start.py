"""The first half of a job: init, check, what is loaded, what is written."""

import errno
import os
import resource
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from tendency.data.inspect import inspect_file
from tendency.data.write import write_dataset
from tendency.errors import InputError
from tendency.jobs.check import check
from tendency.jobs.config import load_job, parse_job
from tendency.jobs.init import init, template
from tendency.jobs.load import fit_preparation, load_material
from tendency.jobs.settings import Job
from tendency.jobs.starts import forecast_starts, training_samples

START = np.datetime64("2001-01-01", "us")


def days(count: int) -> np.ndarray:
    return START + np.arange(count).astype("m8[D]")


def noise(count=400, shape=(), seed=0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(size=(count, *shape)), axis=0)


def pair(folder: Path, count=400, **changes: Any) -> Path:
    data = {"a": noise(count), "b": noise(count, seed=1), **changes}
    dataset = xr.Dataset({k: ("time", v) for k, v in data.items()})
    path = folder / "pair.nc"
    dataset.assign_coords(time=days(count)).to_netcdf(path)
    return path


def field(folder: Path, *, land=False, holes=False) -> Path:
    values = noise(300, (6, 7))
    if land:
        values[:, 0, 2] = np.nan
    if holes:
        values[5, 3, 3] = np.nan
    dataset = xr.Dataset(
        {"v": (("time", "lat", "lon"), values, {"units": "m"})},
        {"time": days(300), "lat": np.arange(6.0), "lon": np.arange(7.0)},
    )
    path = folder / "field.nc"
    dataset.to_netcdf(path)
    return path


def job_of(path: Path, **tables: Any) -> Job:
    content = {
        "out": "out",
        "data": {"path": path.name, "variables": ["a", "b"]},
        "split": {"train": ["2001", "2001-10"], "test": ["2001-11", "2001-12"]},
        "forecast": {"steps": 5},
        "models": {"ar": {"kind": "linear_ar"}},
    }
    for name, table in tables.items():
        content[name] = {**content.get(name, {}), **table}  # pyright: ignore
    return parse_job(content, folder=path.parent)


# init


def test_init_writes_a_job_that_checks(tmp_path):
    path = pair(tmp_path, 4000)
    config = init(path, tmp_path / "tendency.toml")
    text = config.read_text()
    assert "[models.gru]" in text
    assert '"bivariate_correlation"' in text
    assert 'path = "pair.nc"' in text
    assert 'deseasonalise = ["year"]' in text
    job = load_job(config)
    assert job.split.train == ["2001-01-01", "2009"]
    assert job.split.test == ["2010", "2011-12-14"]
    told = check(job)
    assert ("a", "1 points [1]") in told["data"]
    with pytest.raises(InputError, match="is there already and is not overwritten"):
        init(path, config)
    assert config.read_text() == text


@pytest.mark.parametrize(
    ("land", "holes"), [(True, False), (True, True), (False, False)]
)
def test_init_of_a_field(tmp_path, land, holes):
    path = field(tmp_path, land=land, holes=holes)
    dataset = xr.open_dataset(path)
    big = xr.concat([dataset, dataset], "lat").assign_coords(lat=np.arange(12.0))
    big.to_netcdf(tmp_path / "big.nc")
    text = template(inspect_file(tmp_path / "big.nc"), tmp_path)
    content = tomllib.loads(text)
    assert content["prepare"]["eofs"] == 22
    assert content["models"]["convolution"]["kind"] == "convolutional"
    assert content["data"].get("mask") == ("land" if land else None)
    assert content["data"].get("missing") == ("weight" if holes else None)
    check(parse_job(content, folder=tmp_path))


def test_init_of_levels_and_side_variables(tmp_path):
    dataset = xr.Dataset(
        {
            "t": (
                ("time", "level", "lat", "lon"),
                noise(50, (3, 2, 2)),
                {"units": "K"},
            ),
            "u": (("time", "level", "lat", "lon"), noise(50, (3, 2, 2))),
            "ps": (("time", "lat", "lon"), noise(50, (2, 2))),
            "t_error": (("time", "level", "lat", "lon"), noise(50, (3, 2, 2))),
            "crs": ((), 1),
        },
        {"level": [1000.0, 850.0, 500.0], "time": days(50)},
    )
    dataset.to_netcdf(tmp_path / "x.nc")
    found = inspect_file(tmp_path / "x.nc")
    assert [v.name for v in found.chosen] == ["t", "u"]
    assert (found.levels, found.chosen[0].points) == ({"level": 1000.0}, 4)
    text = template(found, tmp_path)
    assert "# also there: ps" in text
    assert 'units = { "u" = "1" }' in text
    job = parse_job(tomllib.loads(text), folder=tmp_path)
    assert load_material(job).series.states.shape == (50, 8)


def test_init_of_a_table_without_dates(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("\n".join(f"{v:.3f}" for v in noise(900)))
    text = template(inspect_file(path), tmp_path)
    assert "THE FILE HAS NO DATES" in text
    check(parse_job(tomllib.loads(text), folder=tmp_path))


def test_init_refuses_what_it_cannot_use(tmp_path):
    xr.Dataset({"v": ("time", np.array(["a", "b"]))}, {"time": days(2)}).to_netcdf(
        tmp_path / "x.nc"
    )
    with pytest.raises(InputError, match="holds no numbers along its time axis time"):
        init(tmp_path / "x.nc", tmp_path / "x.toml")
    xr.Dataset({"v": (("y", "x"), np.ones((2, 3)))}).to_netcdf(tmp_path / "y.nc")
    with pytest.raises(InputError, match="no time axis"):
        init(tmp_path / "y.nc", tmp_path / "x.toml")
    assert not (tmp_path / "x.toml").exists()


@pytest.mark.parametrize(
    "name", ["rmm_observed_daily_1974_2017.nc", "sst_wa_daily_1982_2017.csv"]
)
def test_init_of_real_data(shared_data, tmp_path, name):
    text = template(inspect_file(shared_data / name), tmp_path)
    told = check(parse_job(tomllib.loads(text), folder=tmp_path))
    assert ("verified", "yes") in told["forecast"]
    assert len(text.splitlines()) < 45


# load


def test_parts(tmp_path):
    job = job_of(pair(tmp_path))
    material = load_material(job)
    assert material.learn == (0, 304)
    assert material.train == (0, 258)
    assert material.validation == (258, 304)
    assert material.test == (304, 365)
    assert material.part("test").segments == (61,)
    assert fit_preparation(job, material).size == 2
    own = load_material(
        job_of(
            tmp_path / "pair.nc",
            split={"train": ["2001", "2001-06"], "validation": ["2001-08", "2001-09"]},
        )
    )
    assert (own.train, own.validation) == ((0, 181), (212, 273))
    assert own.learn == own.train
    none = load_material(job_of(tmp_path / "pair.nc", split={"validation": 0.0}))
    assert none.train == none.learn == (0, 304)
    assert len(none.part("validation").t) == 0


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"train": ["1999", "2001-10"]}, "split.train names 1999, outside the data"),
        ({"test": ["2001-11", "2009"]}, "split.test names 2009, outside the data"),
        (
            {"test": ["2001-10-05", "2001-12"]},
            "split.train and split.test overlap from",
        ),
        ({"train": ["2001-10", "2001-02"]}, "holds no time of the data"),
        ({"train": ["2001-10-40", "2001-11"]}, "is not a date"),
        ({"validation": ["2001-10", "2001-11"]}, "overlap"),
    ],
)
def test_splits_that_are_refused(tmp_path, split, message):
    with pytest.raises(InputError, match=message):
        load_material(job_of(pair(tmp_path), split=split))


def holed(where) -> np.ndarray:
    values = noise()
    values[where] = np.nan
    return values


def test_missing_values(tmp_path):
    path = pair(tmp_path, a=holed([10, 20]))
    with pytest.raises(
        InputError,
        match=r"training part holds 2 missing values .* of a at 2001-01-11: set "
        r'data.missing to "cut" or "weight"',
    ):
        load_material(job_of(path))
    cut = load_material(job_of(path, data={"missing": "cut"}))
    assert cut.part("learn").segments == (10, 9, 304 - 21)
    weighted = load_material(job_of(path, data={"missing": "weight"}))
    weights = weighted.part("train").weights
    assert weights is not None
    assert (weights == 0).sum() == 2
    told = dict(check(job_of(path, data={"missing": "weight"}))["data"])
    assert told["a"] == "1 points [1], 0.50% missing"


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (slice(None), "every point of the variable a is missing|a is missing .NaN. at"),
        (slice(0, 304), "a is missing .NaN. at every point and time of the training"),
        ([320], "the test part holds 1 missing values"),
    ],
)
def test_missing_values_that_are_refused(tmp_path, where, message):
    with pytest.raises(InputError, match=message):
        load_material(job_of(pair(tmp_path, a=holed(where))))


def test_infinite_values_are_refused(tmp_path):
    values = noise()
    values[7] = np.inf
    with pytest.raises(InputError, match=r"1 infinite values .* at 2001-01-08"):
        load_material(job_of(pair(tmp_path, b=values), data={"missing": "weight"}))


def test_masks(tmp_path):
    path = field(tmp_path, land=True, holes=True)
    tables: dict[str, Any] = {"variables": ["v"]}
    with pytest.raises(InputError, match=r'set data.mask to "land" \(1 points have no'):
        load_material(job_of(path, data=tables, split=SHORT))
    with pytest.raises(InputError, match=r"holds 1 missing values"):
        load_material(job_of(path, data={**tables, "mask": "land"}, split=SHORT))
    masked = load_material(
        job_of(path, data={**tables, "mask": "incomplete"}, split=SHORT)
    )
    assert masked.layout.size == 40
    assert np.isfinite(masked.series.states).all()


SHORT = {"train": ["2001-01", "2001-07"], "test": ["2001-08", "2001-10"]}


# starts


def test_starts(tmp_path):
    path = pair(tmp_path)
    models = {"gru": {"kind": "gru", "history": 30}}
    job = job_of(path, models=models, forecast={"steps": 5, "stride": 10})
    material = load_material(job)
    starts = forecast_starts(job, material)
    assert starts.index.tolist() == list(range(304, 360, 10))
    assert starts.verified
    job = job_of(path, forecast={"starts": ["2001-12-01", "2002-02-04"]})
    starts = forecast_starts(job, material)
    assert starts.index.tolist() == [334, 399]
    assert not starts.verified
    assert ("verified", "not to the last lead time") in check(job)["forecast"]
    for tables, message in (
        (
            {"forecast": {"steps": 61}},
            "no forecast of 61 steps with 2 steps of history",
        ),
        ({"forecast": {"starts": ["2002-03"]}}, "the data hold no time in 2002-03"),
        ({"forecast": {"starts": ["2001-01-02"]}}, "fewer than 2 unbroken steps"),
    ):
        with pytest.raises(InputError, match=message):
            forecast_starts(job_of(path, **tables), material)


def test_too_short_a_series_for_the_window(tmp_path):
    job = job_of(pair(tmp_path), models={"long": {"kind": "gru", "history": 300}})
    with pytest.raises(InputError, match=r"models.long trains on windows of 305 times"):
        training_samples(job, load_material(job))


# write


def forecast() -> xr.Dataset:
    return xr.Dataset(
        {"v": (("init_time", "x"), np.random.default_rng(0).normal(size=(50, 2000)))},
        {"init_time": days(50), "name": ("x", np.full(2000, "ab"))},
    )


@pytest.mark.parametrize("format", ["netcdf", "zarr"])
def test_written_whole_and_again(tmp_path, format):
    path = tmp_path / "forecast"
    write_dataset(forecast() + 1, path, format)
    write_dataset(forecast(), path, format)
    assert os.listdir(tmp_path) == ["forecast"]
    if format == "netcdf":
        back = xr.open_dataset(path)
        assert "_FillValue" not in back["init_time"].encoding
    else:
        back = xr.open_zarr(path)
    assert back.equals(forecast())
    back.close()


@pytest.mark.parametrize("format", ["netcdf", "zarr"])
def test_a_full_disk_leaves_nothing(tmp_path, format):
    path = tmp_path / "forecast"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(InputError, match="forecast could not be written"):
            write_dataset(forecast(), path, format)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == []


def test_threads_that_go_on_writing_leave_nothing(tmp_path, monkeypatch):
    """As those of Zarr do for a moment after the first of them has failed."""
    folders = []

    def failing(self, target, **_):
        folders.extend([target / "one", target / "two"])
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))

    def meanwhile(_):
        if folders:
            folders.pop().mkdir(parents=True)

    monkeypatch.setattr(xr.Dataset, "to_zarr", failing)
    monkeypatch.setattr("tendency.data.write.time.sleep", meanwhile)
    with pytest.raises(InputError, match="File too large"):
        write_dataset(forecast(), tmp_path / "forecast", "zarr")
    assert folders == []
    assert os.listdir(tmp_path) == []


def test_what_was_there_survives_a_failure(tmp_path, monkeypatch):
    path = tmp_path / "forecast.nc"
    write_dataset(forecast(), path)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    with pytest.raises(InputError, match=r"No space left.*has 1 MB to spare"):
        write_dataset(forecast() + 1, path)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["forecast.nc"]
    assert xr.open_dataset(path).equals(forecast())
    with pytest.raises(InputError, match="No such file"):
        write_dataset(forecast(), tmp_path / "no" / "forecast.nc")
