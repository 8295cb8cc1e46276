"""What the studies of fields share: files onto a grid, splits, baselines, scores."""

import os
import sys

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from tendency import cli
from tendency.errors import InputError
from tendency.report.blocks import Frames
from tendency.statistical.persistence import Persistence
from tendency.studies import names
from tendency.studies._fields import simulated
from tendency.studies._fields.baselines import NAMES, baselines
from tendency.studies._fields.evaluate import (
    Model,
    forecasts,
    rmse_by_lead,
    rmse_scores,
    states_of,
    truth_of,
)
from tendency.studies._fields.fields import Wanted, read_fields, simulated_fields
from tendency.studies._fields.page import forecast_maps, skill_section, where_from
from tendency.studies._fields.split import held_out_starts, split_at

TEMPERATURE = [Wanted(("t2m", "air_temperature"), "K")]


def stored(tmp_path, units="degC", standard="air_temperature"):
    """Four rows southwards, three columns, one of land, one value missing."""
    values = np.arange(10 * 4 * 3, dtype=float).reshape(10, 4, 3) / 10
    values[:, 1, 2] = np.nan
    values[4, 0, 0] = np.nan
    times = np.datetime64("2001-01-01") + np.arange(10)
    dataset = xr.Dataset(
        {"temp": (("lon", "time", "lat"), values.transpose(2, 0, 1))},
        {"time": times, "lat": [3.0, 2.0, 1.0, 0.0], "lon": [5.0, 6.0, 7.0]},
    )
    dataset["temp"].attrs = {"units": units, "standard_name": standard}
    dataset["lat"].attrs = {"units": "degrees_north"}
    encoding = {"temp": {"dtype": "i2", "scale_factor": 0.1, "_FillValue": -99}}
    dataset.to_netcdf(tmp_path / "file.nc", encoding=encoding)
    return values


def test_a_file_is_put_on_rising_coordinates_in_the_units_wanted(tmp_path):
    values = stored(tmp_path)
    fields = read_fields(tmp_path / "file.nc", TEMPERATURE)
    assert fields.shape == (1, 4, 3)
    assert fields.layout.size == 11  # a point of land is left out
    assert fields.on_sphere
    np.testing.assert_array_equal(fields.axes[0], [0, 1, 2, 3])
    maps = fields.on_grid(fields.series.states)
    expected = (values[:, ::-1] + 273.15).astype(np.float32)[:, None]
    np.testing.assert_allclose(maps, expected, rtol=1e-6)
    np.testing.assert_array_equal(fields.off_grid(maps), fields.series.states)
    assert np.isnan(fields.series.states).sum() == 1


@pytest.mark.parametrize(
    ("units", "standard", "reason"),
    [("m", "air_temperature", "do not convert"), ("K", "depth", "no variable t2m")],
)
def test_files_of_something_else_are_refused(tmp_path, units, standard, reason):
    stored(tmp_path, units, standard)
    with pytest.raises(InputError, match=reason):
        read_fields(tmp_path / "file.nc", TEMPERATURE)


@pytest.fixture(scope="module")
def fields():
    return simulated_fields(simulated.temperature(times=150, shape=(6, 7)), "made up")


def test_a_split_by_date_keeps_the_test_out_of_the_training(fields):
    split = split_at(fields, "2001-01-06")
    assert split.train[1] == split.test[0] == 120
    starts = held_out_starts(fields, split, 5, history=30, stride=4)
    assert starts[0] == 120
    assert starts[-1] + 5 < 150
    assert set(np.diff(starts)) == {4}
    with pytest.raises(InputError, match="held out and a forecast of 40"):
        held_out_starts(fields, split, 40)
    with pytest.raises(InputError, match="leaves 0 to learn"):
        split_at(fields, "2000")


def test_the_root_is_taken_after_the_mean_over_starts_and_areas():
    truth = np.zeros((2, 1, 3), np.float32)
    truth[1, 0, 2] = np.nan
    told = np.array([[[1.0, 2.0, 3.0]], [[4.0, 5.0, 9.0]]], np.float32)
    weights = np.array([1.0, 0.5, 0.25])
    expected = (1 + 16 + 0.5 * (4 + 25) + 0.25 * 9) / (2 + 1 + 0.25)
    found = rmse_by_lead(told, truth, weights)
    np.testing.assert_allclose(found, [np.sqrt(expected)], rtol=1e-6)
    told[0, 0, 0] = np.nan
    assert np.isnan(rmse_by_lead(told, truth, weights)).all()


def test_baselines_are_in_order_and_see_nothing_of_the_test(fields):
    split = split_at(fields, 0.8)
    starts = held_out_starts(fields, split, 6, history=2)
    truth = truth_of(fields, starts, 6)
    few = {"cycles": ("day",), "modes": 8, "lags": (1, 2), "ridges": (0.03,)}
    models = baselines(fields, split, 6, **few)
    assert tuple(models) == NAMES
    told = {name: forecasts(m, fields, starts, 6) for name, m in models.items()}
    np.testing.assert_array_equal(
        told["Persistence"], np.repeat(fields.series.states[starts][:, None], 6, 1)
    )
    errors = {n: rmse_by_lead(f, truth, fields.areas).mean() for n, f in told.items()}
    assert errors["EOF-ridge"] < errors["Damped persistence"] < errors["Persistence"]
    spoilt = simulated.temperature(times=150, shape=(6, 7))
    spoilt["t2m"][split.test[0] :] = 0
    again = baselines(simulated_fields(spoilt, "spoilt"), split, 6, **few)
    for name in NAMES[1:]:
        for one, other in zip(
            *(np.asarray(x) for x in _leaves(models[name], again[name])), strict=True
        ):
            np.testing.assert_array_equal(one, other)


def _leaves(one: Model, other: Model):
    import jax

    flat = lambda m: jnp.concatenate(  # noqa: E731
        [jnp.ravel(a).astype(float) for a in jax.tree.leaves((m.cell, m.preparation))]
    )
    return flat(one), flat(other)


def test_cells_on_the_grid_see_maps(fields):
    model = Model(Persistence(1.0), on_grid=True)
    assert states_of(model, fields).shape == (150, 1, 6, 7)
    starts = np.array([10, 20])
    told = forecasts(model, fields, starts, 2)
    np.testing.assert_array_equal(told[:, 1], fields.series.states[starts])


def test_a_carried_field_moves_at_its_velocity():
    g = simulated.advected(
        9, (32, 40), velocity=(1.0, -2.0), lifetime=1e9, slope=2.0, seed=3
    )
    np.testing.assert_allclose(g[8], np.roll(g[0], (8, -16), (0, 1)), atol=2e-3)
    g = simulated.advected(
        400, (16, 16), velocity=(0, 0), lifetime=20.0, slope=2.0, seed=3
    )
    assert g.std() == pytest.approx(1)
    lag = [np.mean(g[:-n] * g[n:]) for n in (1, 40)]
    assert lag[0] > 0.85 > 0.3 > lag[1]


def test_currents_follow_the_slope_of_the_sea_without_divergence():
    x = 2 * np.pi * np.arange(24) / 24
    level = np.sin(2 * x)[:, None] + np.cos(x)[None] + np.sin(x[:, None] - x[None])
    u, v = (c[0] for c in simulated.geostrophic(level[None], 1.0))
    div = np.roll(u, -1, 1) - np.roll(u, 1, 1) + np.roll(v, -1, 0) - np.roll(v, 1, 0)
    assert abs(div).max() < 1e-14
    # Differences of waves of number n are those of their derivative by sin(n h) / n.
    one, two = np.sin(x[1]), np.sin(2 * x[1])
    both = one * np.cos(x[:, None] - x[None])
    np.testing.assert_allclose(u, -two * np.cos(2 * x)[:, None] - both, atol=1e-14)
    np.testing.assert_allclose(v, -one * np.sin(x)[None] - both, atol=1e-14)


def test_rain_is_seldom_and_never_negative():
    rate = simulated.rain(times=3, points=64)["rainfall_rate"].values
    assert rate.min() == 0
    assert 0.03 < (rate > 0.1).mean() < 0.4
    assert 3 < rate.max() < 300


def test_the_parts_of_a_page(fields):
    starts = np.array([120])
    truth = truth_of(fields, starts, 3)
    maps = fields.on_grid(truth)[0, :, 0]
    block = forecast_maps(
        fields, maps, {"A": maps + 1}, ["1 h", "2 h", "3 h"],
        quantity="temperature", units="K",
    )  # fmt: skip
    assert isinstance(block, Frames)
    assert [p.title for p in block.panels] == ["Truth", "A", "A - truth"]
    scores = rmse_scores("a", "A", truth + 1, truth, fields, published={2.0: 0.5})
    assert [s.value for s in scores] == pytest.approx([1, 1, 1], rel=1e-5)
    assert [s.published for s in scores] == [None, 0.5, None]
    section = skill_section("Skill", "", scores, "rmse", lead_units="hours")
    assert len(section.blocks) == 2
    assert "No file was given" in where_from(fields, "Give one.")


def test_data_go_to_the_studies_that_read_them(monkeypatch, tmp_path, capfd):
    assert not any(name.startswith(("-", "_")) for name in names())
    called = {}

    def reads(out, *, seed, small, say, data=None):
        called.update(data=data)

    def run(study, *more):
        monkeypatch.setattr("tendency.studies.find", lambda name: study)
        line = ["tendency", "run", "it", "--data", "x.nc", "--out", str(tmp_path / "o")]
        monkeypatch.setattr(sys, "argv", [*line, *more])
        monkeypatch.setattr(os, "environ", dict(os.environ))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capfd.readouterr().err

    assert run(reads)[0] == 0
    assert str(called["data"]) == "x.nc"
    code, told = run(lambda out, *, seed, small, say: None)
    assert code == 2
    assert "it makes its own data" in told
    assert not (tmp_path / "o" / "scores.json").exists()
