"""Windows that are read while a fit runs: the same fit, the order, bad numbers."""

import dask.array
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray as xr
from support import Map, noisy_series

from tendency.data.layout import Layout
from tendency.data.packed import Packed
from tendency.data.record import read_record
from tendency.errors import InputError
from tendency.fitting import Descent, Diverged, LeastSquares, RolloutLoss, fit
from tendency.lazy_windows import LazyWindows
from tendency.windows import Windows

KEY = jax.random.key(0)
ADAM = optax.adam(0.02)
SERIES, HELD_OUT = noisy_series(40), noisy_series(12)[::-1].copy()


class Counted:
    """A series that keeps which blocks were read."""

    def __init__(self, values):
        self.values, self.read = values, []
        self.shape, self.dtype = values.shape, values.dtype

    def __getitem__(self, times):
        self.read.append(times.start)
        return self.values[times]


def run(windows, validation, *, directory=None, report=None, **changes):
    options = {"batch": 4, "curriculum": ((0, 1), (2, 3)), "ema": 0.9, **changes}
    method = Descent(ADAM, 5, **options)
    cell = Map(0.5 * jnp.eye(2), jnp.zeros(2))
    return fit(
        cell, windows, method, key=KEY, validation=validation, directory=directory,
        report=report,
    )  # fmt: skip


def lazy(values, **options):
    return LazyWindows(values, 5, **{"block": 7, "mixed": None, **options})


@pytest.fixture(scope="module")
def whole():
    return run(Windows.of(SERIES, 5), Windows.of(HELD_OUT, 5))


def assert_same(found, expected):
    assert eqx.tree_equal(found.cell, expected.cell)
    assert found.best == expected.best
    for name, values in expected.history.items():
        np.testing.assert_allclose(found.history[name], values, rtol=1e-15)


@pytest.mark.parametrize("validation", ["memory", "lazy"])
def test_a_fit_to_what_is_read_is_the_fit_to_what_is_in_memory(whole, validation):
    """To the last bit: dask and xarray on one side, an array on the other."""
    series = dask.array.from_array(SERIES, chunks=(9, 2))  # pyright: ignore
    held_out = Windows.of(HELD_OUT, 5)
    if validation == "lazy":
        held_out = lazy(xr.DataArray(HELD_OUT))
    told = []
    found = run(lazy(series), held_out, report=told.append)
    assert_same(found, whole)
    assert [t["epoch"] for t in told] == [0, 1, 2, 3, 4]


def test_a_fit_that_was_stopped_goes_on_to_the_same_bits(whole, tmp_path):
    class Killed(BaseException):
        pass

    def stop(figures):
        if figures["epoch"] == 2:
            raise Killed

    windows, held_out = lazy(SERIES), Windows.of(HELD_OUT, 5)
    often = {"directory": tmp_path, "checkpoint_every": 4}
    with pytest.raises(Killed):
        run(windows, held_out, report=stop, **often)
    # The last checkpoint was in the middle of an epoch of nine steps.
    assert_same(run(lazy(SERIES), held_out, **often), whole)
    log = (tmp_path / "log.jsonl").read_text().splitlines()
    assert len(log) == 5
    assert_same(run(lazy(SERIES), held_out, **often), whole)  # nothing is left to do
    with pytest.raises(InputError, match="other data, settings or key"):
        run(lazy(SERIES + 1e-9), held_out, **often)


def test_an_epoch_goes_through_a_few_blocks_at_a_time():
    series = Counted(noisy_series(80))
    windows = LazyWindows(series, 5, block=8, mixed=2, workers=1)
    order = windows.order(KEY)
    np.testing.assert_array_equal(np.sort(order), np.arange(76))
    blocks = windows.starts[order] // 8
    pools = [set(blocks[i : i + 16]) for i in (0, 16, 32)]
    assert max(map(len, pools)) <= 3
    assert not np.array_equal(order, windows.order(jax.random.key(1)))
    batches = list(windows.batches(iter(order.reshape(19, 4))))
    expected = Windows.of(series.values, 5).all().states[order].reshape(19, 4, 5, 2)
    np.testing.assert_array_equal(np.stack([b.states for b in batches]), expected)
    # Each once or, where a window reaches into the next block, once more.
    assert len(series.read) <= 20
    assert set(series.read) == set(range(0, 80, 8))


def test_what_is_missing_is_filled_and_weighs_nothing():
    values = noisy_series(12).astype(np.float32)
    values[3, 1] = values[7, 0] = np.nan
    values[:, 0][[0, 5]] = np.nan
    windows = LazyWindows(
        values, 4, weights=np.array([0.5, 2.0], np.float32), missing="weight",
        fill=np.array([7.0, 8.0], np.float32), block=5,
    )  # fmt: skip
    taken = windows.take(np.arange(9))
    weights = np.where(np.isfinite(values), [0.5, 2.0], 0)
    expected = Windows.of(
        np.where(np.isfinite(values), values, [7, 8]), 4, weights=weights
    ).all()
    np.testing.assert_array_equal(taken.states, np.asarray(expected.states, np.float32))
    np.testing.assert_array_equal(taken.weights, np.asarray(expected.weights))
    assert taken.states.dtype == taken.weights.dtype == np.float32
    land = np.array([0.0, 1.0])
    half = np.where([True, False], np.nan, noisy_series(12))
    taken = LazyWindows(half, 4, weights=land).take(np.arange(9))
    assert np.isfinite(taken.states).all()
    np.testing.assert_array_equal(taken.weights[0], np.tile(land, (4, 1)))


def test_what_is_missing_is_the_mean_of_what_is_known():
    """Zero would be far from a temperature in K."""
    values = 280 + noisy_series(12)
    values[3, 1] = values[9, 0] = np.nan
    taken = LazyWindows(values, 4, missing="weight", block=5).take(np.arange(9))
    mean = np.nanmean(values[:5], 0)
    np.testing.assert_allclose(taken.states[0, 3, 1], mean[1])
    np.testing.assert_allclose(taken.states[8, 1, 0], mean[0])


def test_bad_numbers_end_a_fit_with_a_sentence():
    holed = SERIES.copy()
    holed[23, 1] = np.nan
    with pytest.raises(InputError, match=r"1 NaN or infinite values .* time index 23"):
        run(lazy(holed), None)
    forcing = np.ones(40)
    forcing[11] = np.inf
    with pytest.raises(InputError, match=r"forcing holds 1 NaN .* time index 11"):
        run(lazy(SERIES, forcing=forcing), None)
    method = Descent(optax.sgd(1e200), 3, batch=4)
    cell = Map(0.5 * jnp.eye(2), jnp.zeros(2))
    with pytest.raises(Diverged, match="finite at step"):
        fit(cell, lazy(SERIES), method, key=KEY)


def test_what_lazy_windows_cannot_do_is_told():
    cell, windows = Map(jnp.eye(2), jnp.zeros(2)), lazy(SERIES)
    with pytest.raises(InputError, match="LeastSquares needs all windows at once"):
        fit(cell, windows, LeastSquares(), key=KEY)
    with pytest.raises(InputError, match="a state for each window"):
        fit(cell, windows, Descent(ADAM, 1), key=KEY, free_initial_states=True)
    with pytest.raises(InputError, match="validation windows are lazy"):
        run(Windows.of(SERIES, 5), windows)
    with pytest.raises(InputError, match=r"training windows of 5 times .* 10 are"):
        fit(cell, windows, Descent(ADAM, 1), key=KEY, loss=RolloutLoss(9))
    with pytest.raises(InputError, match="has 40 times and a window needs 41"):
        LazyWindows(SERIES, 41)
    with pytest.raises(InputError, match=r"have \[39, 40\] times"):
        LazyWindows(SERIES, 5, forcing=np.ones(39))
    with pytest.raises(InputError, match="mixed is 0"):
        LazyWindows(SERIES, 5, mixed=0)


def test_the_states_of_a_record_are_packed_as_they_are_read(tmp_path):
    """A Zarr store with an island and a gap, chunked in time."""
    values = np.random.default_rng(0).normal(size=(20, 3, 4)).astype(np.float32)
    values[:, 1, 2] = np.nan
    days = np.delete(np.arange(21), 13)
    dataset = xr.Dataset(
        {"t": (("time", "lat", "lon"), values, {"units": "K"})},
        {"time": np.datetime64("2001-01-01", "ns") + days * np.timedelta64(1, "D"),
         "lat": [1.0, 2.0, 3.0], "lon": [0.0, 1.0, 2.0, 3.0]},
    )  # fmt: skip
    path = tmp_path / "t.zarr"
    dataset.chunk(time=6).to_zarr(path, zarr_format=2, consolidated=True)
    record = read_record(path, ["t"])
    layout = Layout.of(record.dataset, record.clock, mask="land")
    states = layout.pack(record.dataset)
    packed = Packed(record, layout)
    assert packed.shape == states.shape == (20, 11)
    assert packed.segments == (13, 7)
    windows = LazyWindows(packed, 3, segments=packed.segments)
    assert windows.block == 6
    expected = Windows.of(states, 3, segments=(13, 7)).all().states
    np.testing.assert_array_equal(
        windows.take(np.arange(len(windows))).states, expected
    )
    maps = Packed(record, layout, maps=True)
    np.testing.assert_array_equal(maps[4:9], values[4:9, None])
