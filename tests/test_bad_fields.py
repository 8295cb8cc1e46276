"""What is wrong with maps that people bring, and what they are told of it.

Each case is a file as people have them, and the sentence that comes of it; what is only
written otherwise must give the numbers of the plain file.
"""

import itertools
import os
import re
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray as xr

from tendency import Descent, RolloutLoss, cli, fit, forecast, spin_up
from tendency.cell import Constant
from tendency.errors import InputError
from tendency.fitting import AutoEncoding, Patches
from tendency.jobs.config import load_job
from tendency.jobs.load import load_material
from tendency.lazy_windows import LazyWindows
from tendency.networks.maps import (
    ConvNet,
    DenseAutoEncoder,
    Frame,
    MapStepper,
    Patchwork,
)
from tendency.windows import Windows

COUNT, ROWS, COLUMNS = 120, 6, 8
RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(COUNT, ROWS, COLUMNS)).astype("f4")
VALUES[:, 2:4, 3:5] = np.nan  # an island
DAYS = np.datetime64("2000-01-01", "ns") + np.arange(COUNT).astype("m8[D]")
NAMES = ("u", "v")


def ocean(values: np.ndarray = VALUES, **coordinates: Any) -> xr.Dataset:
    coords = {
        "time": DAYS[: len(values)],
        "lat": ("lat", np.linspace(30.0, 40.0, ROWS), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(COLUMNS) * 45.0, {"units": "degrees_east"}),
    }
    data = {n: (("time", "lat", "lon"), values, {"units": "m s-1"}) for n in NAMES}
    return xr.Dataset(data, coords | coordinates)


def changed(change: Callable[[np.ndarray], Any]) -> xr.Dataset:
    values = VALUES.copy()
    change(values)
    return ocean(values)


def halves(second: Callable[[xr.Dataset], xr.Dataset]) -> list[xr.Dataset]:
    """A record in two files, the second of them as `second` makes it."""
    whole = ocean()
    middle = COUNT // 2
    return [
        whole.isel(time=slice(middle)),
        second(whole.isel(time=slice(middle, None))),
    ]


def in_units(dataset: xr.Dataset, units: str, factor: float) -> xr.Dataset:
    u = (dataset["u"] * factor).assign_attrs(units=units)
    return dataset.assign(u=u)


def west_to_east(dataset: xr.Dataset) -> xr.Dataset:
    """Longitudes of -180 to 180, latitudes from the north."""
    lon = (dataset["lon"].values + 180) % 360 - 180
    moved = dataset.assign_coords(lon=("lon", lon, dataset["lon"].attrs))
    return moved.sortby("lon").isel(lat=slice(None, None, -1))


def put(index: Any, value: float) -> xr.Dataset:
    return changed(lambda x: x.__setitem__(index, value))


JOB = """
out = "runs"
[data]
path = "*.nc"
variables = ["u", "v"]
{data}
[split]
train = ["2000-01-01", "2000-03-15"]
test = ["2000-03-16", "2000-04-29"]
[forecast]
steps = 2
{models}
"""
LAND = 'mask = "land"'
NET = '[models.net]\nkind = "{}"\n'


@pytest.fixture
def told(tmp_path, monkeypatch, capfd):
    """What the command line says of some files and a job, its code and its results."""
    monkeypatch.setattr(os, "environ", dict(os.environ))

    number = itertools.count()  # a file that is still open cannot be written anew

    def call(files: Any, data: str = LAND, models: str = "", verb: str = "check"):
        folder = tmp_path / str(next(number))
        folder.mkdir()
        files = files if isinstance(files, list) else [files]
        for i, dataset in enumerate(files):
            dataset.to_netcdf(folder / f"{i}.nc")
        job = folder / "job.toml"
        job.write_text(JOB.format(data=data, models=models))
        arguments = [verb, str(job)]
        if verb == "init":
            arguments = [verb, str(folder / "0.nc"), "-o", str(folder / "new.toml")]
        monkeypatch.setattr(sys, "argv", ["tendency", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capfd.readouterr().err.strip(), folder

    return call


NAN, INF = np.nan, np.inf
DATA, MODELS = "data", "models"
REFUSED: dict[str, tuple[Any, dict[str, str], str]] = {
    # Grids that differ between files.
    "another grid": (
        halves(lambda x: x.assign_coords(lat=x["lat"] + 0.5)),
        {},
        r"differ along lat: 6 points from 30.5 to 40.5 in \S*1.nc, 6 points from 30 to "
        r"40 in \S*0.nc",
    ),
    "fewer rows": (halves(lambda x: x.isel(lat=slice(4))), {}, "along lat: 4 points"),
    "other names": (
        halves(lambda x: x.rename(lat="y")),
        {},
        r"u has the dimensions time, y, lon in \S*1.nc and time, lat, lon",
    ),
    "a variable less": (
        halves(lambda x: x.drop_vars("v")),
        {},
        r"1.nc has no variable v, as \S*0.nc has \(it has u\)",
    ),
    "an overlap": (
        [ocean(), ocean()],
        {},
        r"0.nc runs to 2000-04-29 and \S*1.nc from 2000-01-01 on",
    ),
    # Units that do not convert.
    "units of files": (
        halves(lambda x: in_units(x, "degC", 1.0)),
        {},
        r"u is in 'degC' in \S*1.nc and in 'm s-1' in \S*0.nc, units that do not",
    ),
    "units asked for": (
        ocean(),
        {DATA: f'units = {{ v = "K" }}\n{LAND}'},
        "asks for v in 'K' and the file gives 'm s-1', units that do not convert",
    ),
    # Fill values, missing and infinite values, masks that change.
    "a fill value": (
        changed(lambda x: np.nan_to_num(x, copy=False, nan=-999.0)),
        {},
        "u holds -999, 480 times, which looks like a fill value that the file does not",
    ),
    "a huge number": (
        put((3, 0, 0), 1e20),
        {},
        "u holds 1e[+]20, 1 times, which looks",
    ),
    "land unsaid": (ocean(), {DATA: ""}, 'set data.mask to "land" .8 points have no'),
    "a hole": (put((30, 0, 0), NAN), {}, "holds 2 missing values .* at 2000-01-31"),
    "infinite": (put((30, 0, 0), INF), {}, "u holds 1 infinite values in the training"),
    "a new island": (
        put((slice(100, None), 5, slice(5, 7)), NAN),
        {},
        'the test part holds 80 missing .* or data.mask to "incomplete"',
    ),
    "nothing": (put(slice(None), NAN), {}, "every point of the variable u is missing"),
    # Times.
    "few times": (ocean(VALUES[:3]), {}, "run from 2000-01-01 to 2000-01-03"),
    "one time": (ocean(VALUES[:1]), {}, "has 1 time, at least 2 were expected"),
    "twice": (ocean().isel(time=[*range(60), 59, *range(60, 119)]), {}, "is twice at"),
    "backwards": (ocean().isel(time=slice(None, None, -1)), {}, "not strictly increas"),
    "irregular": (
        ocean(time=DAYS + np.cumsum(RNG.integers(0, 20, COUNT)).astype("m8[D]")),
        {},
        "is irregular, its steps run from",
    ),
    "no dates": (ocean(time=np.arange(COUNT)), {}, "give data.start and data.step"),
    # Networks that do not suit the map, told before anything is written.
    "half a circle": (
        ocean().isel(lon=slice(7)),
        {MODELS: NET.format("unet") + 'columns = "periodic"', DATA: LAND},
        "models.net: the map has 7 columns in a circle",
    ),
    "many modes": (
        ocean(),
        {MODELS: NET.format("fno")},
        "models.net: 8 x 8 modes of a map of 6 x 8 points were asked for, it has 3 x 4",
    ),
    "a wide edge": (
        ocean(),
        {MODELS: NET.format("unet") + 'rows = "reflect"\nkernel = 9\nwidths = [2, 2]'},
        "models.net: a map of 3 x 4 points was given and its reflect edge needs 5",
    ),
    "an edge unread": (
        ocean(),
        {MODELS: NET.format("fno") + 'rows = "reflect"'},
        "models.net.rows is not a key that is read",
    ),
    "both losses": (
        ocean(),
        {MODELS: NET.format("fno") + "members = 3\nspectral = 0.1"},
        "models.net: members fits the score of an ensemble, which takes no gradient",
    ),
    "a long memory": (
        ocean(),
        {MODELS: NET.format("conv_lstm") + "history = 90"},
        "models.net trains on windows of 95 times and the longest stretch",
    ),
    "grids apart": (
        xr.merge([ocean()[["u"]], ocean()[["v"]].isel(lat=slice(3)).rename(lat="y")]),
        {MODELS: NET.format("resnet"), DATA: LAND},
        r"the variables lie on u \(lat: 6, lon: 8\), v \(y: 3, lon: 8\); one grid",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_one_sentence_and_nothing_written(told, case):
    files, options, reason = REFUSED[case]
    code, said, folder = told(files, **options, verb="fit")
    assert code == 2, said
    assert re.search(reason, said), said
    assert said.startswith("tendency: "), said
    assert "\n" not in said, said
    assert not (folder / "runs").exists()


def cut(dataset: xr.Dataset, path: Any, damage: Callable[[bytes], bytes]) -> None:
    """A file whose content was damaged on its way."""
    dataset.to_netcdf(path, encoding={n: {"zlib": True} for n in NAMES})
    path.write_bytes(damage(path.read_bytes()))


@pytest.mark.parametrize("verb", ["init", "check"])
@pytest.mark.parametrize("whole", [False, True])
def test_files_that_were_cut_or_damaged(tmp_path, monkeypatch, capfd, verb, whole):
    monkeypatch.setattr(os, "environ", dict(os.environ))

    def damage(content: bytes) -> bytes:
        half = len(content) // 2
        tail = bytes(3000) + content[half + 3000 :] if whole else b""
        return content[:half] + tail

    cut(ocean(), tmp_path / "0.nc", damage)
    job = tmp_path / "job.toml"
    job.write_text(JOB.format(data=LAND, models=""))
    arguments = [str(job)]
    if verb == "init":
        arguments = [str(tmp_path / "0.nc"), "-o", str(tmp_path / "new.toml")]
    monkeypatch.setattr(sys, "argv", ["tendency", verb, *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "truncated or damaged, so get or write it anew" in capfd.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.nc", "job.toml"]


def test_init_of_what_is_odd(told):
    filled = changed(lambda x: np.nan_to_num(x, copy=False, nan=-999.0))
    code, said, folder = told(filled, verb="init")
    assert code == 0, said
    text = (folder / "new.toml").read_text()
    assert "missing_value = -999.0" in text
    assert LAND in text
    code, said, folder = told(ocean(VALUES[:5]), verb="init")
    assert code == 2
    assert "holds 5 times, too few to learn from" in said
    assert not (folder / "new.toml").exists()


# What is only written otherwise.

PLAIN = ocean()
PACKED = {"dtype": "i2", "scale_factor": 2e-4, "add_offset": 0.1, "_FillValue": -32768}
SAME: dict[str, tuple[list[xr.Dataset], str, dict[str, Any], float]] = {
    "turned in the second file": (halves(west_to_east), "", {}, 0),
    "files out of order": (halves(lambda x: x)[::-1], "", {}, 0),
    "other units in the second file": (
        halves(lambda x: in_units(x, "cm s-1", 100.0)), "", {}, 1e-6
    ),
    "coordinates in single precision": (
        halves(lambda x: x.assign_coords(lat=x["lat"].astype("f4"))), "", {}, 0
    ),
    "axes in another order": (halves(lambda x: x.transpose("time", "lon", "lat")),
                              "", {}, 0),
    "packed": ([PLAIN], "", PACKED, 1.1e-4),
    "an undeclared fill": (
        [changed(lambda x: np.nan_to_num(x, copy=False, nan=-999.0))],
        "missing_value = -999.0", {}, 0,
    ),
    "units asked for": (
        [in_units(PLAIN, "km day-1", 86.4)], 'units = {u = "m s-1"}', {}, 1e-6
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SAME)
def test_the_same_numbers_written_otherwise(tmp_path, case):
    files, data, encoding, near = SAME[case]
    for i, dataset in enumerate(files):
        kept = {n: dict(encoding) for n in NAMES} if encoding else None
        dataset.to_netcdf(tmp_path / f"{i}.nc", encoding=kept)
    path = tmp_path / "job.toml"
    path.write_text(JOB.format(data=f"{data}\n{LAND}", models=""))
    found = load_material(load_job(path))
    assert len(found.series.segments) == 1
    states = found.layout.unpack(found.series.states, found.series.times)
    for name in NAMES:
        values = states[name].transpose("time", "lat", "lon").values
        np.testing.assert_allclose(values, VALUES, rtol=0, atol=near)


def test_longitudes_cut_at_zero(tmp_path):
    """A range across the edge of the map, in either convention."""
    for i, (lon, wanted) in enumerate((("[-90, 90]", -90), ("[270, 450]", 270))):
        PLAIN.to_netcdf(tmp_path / f"{i}.nc")
        path = tmp_path / "job.toml"
        text = JOB.format(data=f"subset = {{ lon = {lon} }}\n{LAND}", models="")
        path.write_text(text.replace("*.nc", f"{i}.nc"))
        found = load_material(load_job(path))
        (axis,) = (c for c in found.layout.coordinates if c.name == "lon")
        np.testing.assert_array_equal(axis.values, wanted + 45.0 * np.arange(5))


@pytest.mark.parametrize("calendar", ["noleap", "360_day"])
def test_calendars_of_models(tmp_path, calendar):
    dates = xr.date_range("2000-01-01", periods=COUNT, calendar=calendar,
                          use_cftime=True)  # fmt: skip
    ocean(time=dates).to_netcdf(tmp_path / "0.nc")
    path = tmp_path / "job.toml"
    path.write_text(JOB.format(data=LAND, models=""))
    found = load_material(load_job(path))
    assert found.layout.clock.calendar == calendar
    days = {"noleap": 59 + 15, "360_day": 60 + 15}[calendar]
    assert found.learn == (0, days)


# From Python.

SEA = np.ones((1, ROWS, COLUMNS), bool)
SEA[:, 2:4, 3:5] = False
FIELDS = np.where(SEA, VALUES[:12, None], np.nan)
WEIGHTS = np.broadcast_to(SEA, FIELDS.shape).astype("f4")
KEY = jax.random.key(0)
METHOD = Descent(optax.sgd(1e-2), epochs=1, batch=4)


def stepper(frame: Frame, width: int = 2) -> MapStepper:
    network = ConvNet(
        frame.reads(), 1, width, 2, conditions=frame.conditions, dtype=jnp.float32,
        key=KEY,
    )  # fmt: skip
    return MapStepper(network, frame, 1.0)


SHAPE = (1, ROWS, COLUMNS)
CELL = stepper(Frame(SHAPE, mask=SEA, dtype=jnp.float32))
FORCED = stepper(
    Frame(SHAPE, mask=SEA, forcing_maps=1, forcing_numbers=1, dtype=jnp.float32)
)
START = FORCED.init(jnp.asarray(FIELDS[0]))
FORCING = (jnp.zeros((5, *SHAPE), jnp.float32), jnp.arange(5, dtype=jnp.float32))
WINDOWS = Windows.of(FIELDS, 2, weights=WEIGHTS)
LARGE = np.broadcast_to(np.zeros((1, 1, 1, 1), "f4"), (40, 1, 512, 512))


def fitted(loss: Any = RolloutLoss(), windows: Any = WINDOWS, cell: Any = CELL) -> Any:  # noqa: B008
    return fit(cell, windows, METHOD, loss=loss, key=KEY)


def ahead(*forcing: Any) -> Any:
    return forecast(FORCED, START, 4, forcing or None)


def large() -> Any:
    wide = stepper(Frame((1, 512, 512), dtype=jnp.float32), 4096)
    return fitted(windows=LazyWindows(LARGE, 31, block=31), cell=wide)


def lost(array: jax.Array, index: int) -> jax.Array:
    return array.at[index].set(jnp.nan)


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "no forcing": (ahead, "holds 0 maps of 6 x 8 points and 0 numbers beside, and the"),
    "a short forcing": (
        lambda: ahead(*(a[:3] for a in FORCING)),
        "the forcing has 3 times for 4 steps: give 4 values",
    ),
    "a forcing with a hole": (
        lambda: ahead(lost(FORCING[0], 2), FORCING[1]),
        "forcing is missing .NaN. at 1 of its 5 times, the first at index 2",
    ),
    "a forcing of another grid": (
        lambda: ahead(FORCING[0][..., 1:], FORCING[1]),
        "holds 0 maps of 6 x 8 points and 43 numbers beside, and the model reads 1",
    ),
    "a state of another grid": (
        lambda: forecast(CELL, spin_up(CELL, jnp.zeros((1, 1, 6, 9), jnp.float32)), 1),
        r"state of shape \(1, 6, 9\) was given and the model has \(1, 6, 8\)",
    ),
    "members without vmap": (
        lambda: forecast(CELL, spin_up(CELL, jnp.zeros((1, 3, 1, 6, 8))), 1),
        "one at a time, and batch with jax.vmap",
    ),
    "an auto-encoder under a loss of forecasts": (
        lambda: fitted(cell=DenseAutoEncoder(SHAPE, 2, key=KEY)),
        "DenseAutoEncoder is no cell and the loss is of forecasts: give loss=AutoEnc",
    ),
    "a cell under the loss of auto-encoders": (
        lambda: fitted(AutoEncoding()), "MapStepper is no auto-encoder: give a Rollout",
    ),
    "windows of vectors": (
        lambda: fitted(windows=Windows.of(np.zeros((12, 48), "f4"), 2)),
        r"state of shape \(48,\) was given",
    ),
    "a mask of another grid": (
        lambda: Frame(SHAPE, mask=SEA[..., 1:]),
        r"the mask has shape \(1, 6, 7\) and the grid \(1, 6, 8\)",
    ),
    "weights of another grid": (
        lambda: Windows.of(FIELDS, 2, weights=WEIGHTS[..., 1:]),
        r"weights have shape \(12, 1, 6, 7\) and the states \(12, 1, 6, 8\)",
    ),
    "areas of the rows, laid along the columns": (
        lambda: fitted(RolloutLoss(areas=Constant(jnp.ones(8, jnp.float32)))),
        r"areas have shape \(8,\) and a state \(1, 6, 8\).*\(row, 1\) of maps",
    ),
    "an island without weights": (
        lambda: Windows.of(FIELDS, 2),
        "training data hold 48 NaN .* or give weights that are zero there",
    ),
    "a mask that changes": (
        lambda: Windows.of(np.where(np.arange(8) == 1, np.nan, FIELDS), 2,
                           weights=WEIGHTS),
        "a state is NaN or infinite at time index 0 where its weight is not zero",
    ),
    "few times": (lambda: Windows.of(FIELDS[:1], 2, weights=WEIGHTS[:1]), "window nee"),
    "a patch larger than the map": (
        lambda: fitted(Patches(RolloutLoss(), size=(7, 7))),
        "a patch of 7 x 7 points was asked for and the map has 6 x 8",
    ),
    "parts larger than the map": (
        lambda: Patchwork(CELL, (7, 7), overlap=4),
        "a patch of 7 x 7 points was asked for and the map has 6 x 8",
    ),
    "out of memory": (
        large,
        r"needs about \d+ GB of memory, .* GB are free: lower the batch .4., the "
        "horizon or the width, give the loss checkpoint=True, or train on Patches",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_told_in_python(case):
    call, reason = WRONG[case]
    with pytest.raises(InputError, match=reason):
        call()


def test_states_in_double_precision_train_a_cell_in_single():
    """Files are often of float64, networks on maps of float32."""
    states = Windows.of(FIELDS.astype("f8"), 2, weights=WEIGHTS.astype("f8"))
    found = fitted(windows=states)
    kernel = found.cell.network.layers[-1].kernel
    assert kernel.dtype == jnp.float32
    assert float(jnp.abs(kernel).max()) > 0  # which begins at zero
    assert np.isfinite(found.history["train_loss"]).all()
