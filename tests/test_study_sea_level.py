"""The study of sea level: its neighbourhoods, short files, what it writes."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from tendency.errors import InputError
from tendency.scores.records import read_scores
from tendency.statistical.persistence import Persistence
from tendency.studies._fields import emulation, simulated
from tendency.studies._fields.evaluate import Model
from tendency.studies._fields.fields import simulated_fields
from tendency.studies.sea_level import study
from tendency.studies.sea_level.models import forecasts, networks
from tendency.studies.sea_level.page import verdict
from tendency.studies.sea_level.points import PARTS, points_of
from tendency.studies.sea_level.setting import SMALL, STEPS

TINY = SMALL._replace(days=60, points=16, centres=2, width=3, modes=3)


def drifting(days, *, seed=0, points=24):
    """Sea level that is carried eastwards, on steps of 0.2 degrees."""
    g = simulated.advected(
        days, (points, points), velocity=(0, 1), lifetime=1e9, slope=2.0, seed=seed
    )
    axis = 0.2 * np.arange(points)
    times = np.datetime64("2001-01-01", "us") + np.arange(days).astype("m8[D]")
    return xr.Dataset(
        {"adt": (("time", "latitude", "longitude"), 0.1 * g, {"units": "m"})},
        {
            "time": times,
            "latitude": ("latitude", axis, {"units": "degrees_north"}),
            "longitude": ("longitude", axis, {"units": "degrees_east"}),
        },
    )


def test_a_neighbourhood_is_the_point_its_near_and_its_far_ring():
    dataset = drifting(22)
    dataset["adt"][:, :4] = np.nan
    fields = simulated_fields(dataset, "made up")
    points = points_of(fields, 15, TINY, 0)
    assert points.series.shape == (2, 22, sum(PARTS))
    level = dataset["adt"].values
    level = level - level[:15].mean(0)
    for (r, c), series in zip(points.places, points.series, strict=True):
        assert r >= 4 + 4  # all of it is sea
        np.testing.assert_allclose(series[:, 0], level[:, r, c], atol=1e-6)
        np.testing.assert_allclose(series[:, 1], level[:, r - 2, c - 2], atol=1e-6)
        np.testing.assert_allclose(series[:, 16], level[:, r + 4, c + 4], atol=1e-6)
    windows = points.windows(6, 1)
    assert len(windows) == 2 * (15 - 5)
    starts = points.starts(3)
    assert starts[0] == 15
    assert starts[-1] + STEPS == 21
    land = drifting(20)
    land["adt"][:, :, 8:16] = np.nan
    land["adt"][:, 8:16] = np.nan
    with pytest.raises(InputError, match="no point of made up has sea 4 points"):
        points_of(simulated_fields(land, "made up"), 15, TINY, 0)


def test_every_network_forecasts_its_neighbourhood():
    points = points_of(simulated_fields(drifting(40), "made up"), 30, TINY, 0)
    cells = networks(points, TINY, 0)
    assert list(cells) == ["ANN", "TCN", "GRU", "LSTM", "Merged LSTM"]
    state = jnp.asarray(points.series[0, 0])
    for cell in cells.values():  # traced, not compiled
        after = eqx.filter_eval_shape(lambda c, x: c.step(c.init(x)).state, cell, state)
        assert (after.shape, after.dtype) == (state.shape, state.dtype)
    starts = points.starts(20)
    told = forecasts(Persistence(1.0), points, starts)  # pyright: ignore
    np.testing.assert_array_equal(told[..., 2], points.series[:, starts, 0])
    scores = study.point_scores(
        {"Merged LSTM": told, "Persistence": told}, points, starts
    )
    at = {(s.metric, s.lead): s for s in scores if s.model == "Merged LSTM"}
    assert at["accuracy", 1.0].published == 90.99
    truth = points.series[:, starts + 2, 0]
    error = np.sqrt(np.mean((told[..., 1] - truth) ** 2))
    assert at["rmse", 2.0].value == pytest.approx(100 * error, rel=1e-5)


def test_a_short_file_is_said_so_and_a_simulation_is_learned_from(
    tmp_path, monkeypatch
):
    drifting(12).to_netcdf(tmp_path / "short.nc")
    monkeypatch.setattr(simulated, "ocean", lambda *_, **__: drifting(60))
    monkeypatch.setattr(study, "SMALL", TINY)
    cells = {
        name: Persistence(1.0)  # pyright: ignore[reportCallIssue]
        for name in ("Persistence", "Damped persistence", "Linear regression", "LSTM",
                     "Merged LSTM")
    }  # fmt: skip
    monkeypatch.setattr(study, "all_models", lambda *_: cells)
    maps = {name: Model(cell) for name, cell in list(cells.items())[:2]}
    monkeypatch.setattr(emulation, "baselines", lambda *_, **__: maps)
    said = []
    study.run(tmp_path, seed=0, small=True, say=said.append, data=tmp_path / "short.nc")
    assert any("short.nc has 12 maps" in line for line in said)
    document, scores = read_scores(tmp_path / "scores.json")
    assert document["study"] == "sea-level"
    assert {s.case for s in scores} == {"points", "maps", "the file given"}
    at = {s.model: s for s in scores if (s.case, s.lead) == ("maps", 1.0)}
    assert at["Stencil"].units == "cm"
    assert at["Stencil"].value < at["Persistence"].value
    page = (tmp_path / "report.html").read_text()
    assert "cannot be learned from so few" in page
    assert "two-layer quasi-geostrophic ocean" in page
    assert "0 % above the best of the others" in verdict(
        [s for s in scores if s.case == "points"]
    )
