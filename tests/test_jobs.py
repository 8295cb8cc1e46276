"""The second half of a job: fit, forecast, score, report."""

import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from tendency.cell import Constant
from tendency.data.prepare import Preparation
from tendency.errors import InputError
from tendency.fitting import Diverged
from tendency.jobs import fit as fitting
from tendency.jobs import stages
from tendency.jobs.build import baselines
from tendency.jobs.choose import choose_linear
from tendency.jobs.config import dump_job, parse_job
from tendency.jobs.fit import fit_models, load_model
from tendency.jobs.forecast import forecast_path, run_forecasts
from tendency.jobs.load import load_material
from tendency.jobs.models import BASELINES, LinearAR
from tendency.jobs.series import encode, outside_damping
from tendency.jobs.settings import Job
from tendency.jobs.starts import forecast_starts
from tendency.jobs.verification.options import Options
from tendency.jobs.verification.run import scored
from tendency.scores.metrics import METRICS
from tendency.scores.records import read_scores
from tendency.statistical.linear_ar import linear_ar
from tendency.statistical.persistence import Persistence
from tendency.store import load

TIMES = np.datetime64("2001-01-01", "us") + np.arange(400).astype("m8[D]")
SPLIT = {"train": ["2001-01", "2001-09"], "test": ["2001-10", "2002-02-04"]}


def silent(_: str) -> None:
    pass


def autoregression(count=400, seed=0) -> np.ndarray:
    """Two variables of three lags, about means of their own."""
    rng = np.random.default_rng(seed)
    x = np.zeros((count, 2))
    for i in range(3, count):
        turn = np.array([[0.9, -0.3], [0.3, 0.9]]) @ x[i - 1]
        x[i] = turn - 0.25 * x[i - 3] + rng.normal(size=2)
    return x + np.array([5.0, -3.0])


@pytest.fixture(scope="session")
def pair(tmp_path_factory) -> Path:
    x = autoregression()
    dataset = xr.Dataset(
        {
            name: ("time", values, {"units": units})
            for name, values, units in (("a", x[:, 0], "m"), ("b", x[:, 1], "K"))
        },
        {"time": TIMES},
    )
    path = tmp_path_factory.mktemp("data") / "pair.nc"
    dataset.to_netcdf(path)
    return path


@pytest.fixture(scope="session")
def field(tmp_path_factory) -> Path:
    """Waves that travel, with noise and an island."""
    rng = np.random.default_rng(0)
    t, y, x = np.arange(150.0)[:, None, None], np.arange(6.0)[:, None], np.arange(8.0)
    u = np.sin(0.3 * t - 0.8 * x) + 0.3 * y + 0.1 * rng.normal(size=(150, 6, 8))
    v = np.cos(0.2 * t - 0.5 * y) + 0.1 * rng.normal(size=(150, 6, 8))
    dataset = xr.Dataset(
        {
            name: (("time", "lat", "lon"), values, {"units": "m s-1"})
            for name, values in (("u", u), ("v", v))
        },
        {
            "time": TIMES[:150],
            "lat": ("lat", 30 + y[:, 0], {"units": "degrees_north"}),
            "lon": ("lon", x, {"units": "degrees_east"}),
        },
    ).where(~((np.arange(6) == 2)[:, None] & (np.arange(8) == 3)))
    path = tmp_path_factory.mktemp("data") / "field.nc"
    dataset.transpose("time", "lat", "lon").to_netcdf(path)
    return path


def job_of(path: Path, out: Path, **tables: Any) -> Job:
    content: dict[str, Any] = {
        "out": str(out),
        "data": {"path": str(path), "variables": ["a", "b"]},
        "split": SPLIT,
        "forecast": {"steps": 4, "stride": 5},
        "models": {"ar": {"kind": "linear_ar", "lags": 3}},
    }
    for name, table in tables.items():
        old = content.get(name, {})
        content[name] = table if name == "models" else {**old, **table}
    return parse_job(content)


FIELD = {
    "data": {"variables": ["u", "v"], "mask": "land"},
    "split": {"train": ["2001-01", "2001-04"], "test": ["2001-05", "2001-05"]},
    "prepare": {"eofs": 4},
}


def on_disk(job: Job) -> str:
    path = Path(job.out).with_suffix(".toml")
    path.write_text(dump_job(job))
    return str(path)


def fitted(job: Job):
    material = load_material(job)
    (Path(job.out)).mkdir(parents=True, exist_ok=True)
    fit_models(job, material, say=silent)
    return material


# From data to report


NETWORK = {"epochs": 1, "width": 4, "horizon": 2, "batch": 128}
ALL = {
    "ar": {"kind": "linear_ar", "lags": [1, 3], "ridge": [0.0, 1.0]},
    "analogs": {"kind": "analog", "neighbours": 20},
    "sparse": {"kind": "sparse_regression", "threshold": 0.1},
    "mlp": {"kind": "mlp", **NETWORK},
    "bilinear": {"kind": "bilinear", **NETWORK},
    "lstm": {"kind": "lstm", "history": 3, **NETWORK},
    "translator": {"kind": "encoder_decoder", "history": 3, **NETWORK},
    "convolutions": {"kind": "temporal_cnn", "depth": 1, "kernel": 2, **NETWORK},
    "attention": {
        "kind": "transformer",
        "size": 4,
        "heads": 1,
        "depth": 1,
        "window": 3,
        "epochs": 1,
        "horizon": 2,
        "batch": 128,
    },
}


def test_every_kind_of_model_from_data_to_report(pair, tmp_path, capsys):
    metrics = ["rmse", "mae", "bias", "correlation", "bivariate_correlation", "skill"]
    job = job_of(
        pair, tmp_path / "out", models=ALL, score={"metrics": metrics},
        report={"title": "A pair"},
    )  # fmt: skip
    config = on_disk(job)
    said: list[str] = []
    stages.everything(config, say=said.append)
    out = tmp_path / "out"
    assert parse_job(tomllib.loads((out / "config.toml").read_text())) == job
    names = [*BASELINES, *ALL]
    document, scores = read_scores(out / "scores.json")
    assert document["settings"]["job"]["seed"] == 0
    cases = {"a", "b", "a, b"}
    assert {s.case for s in scores} == cases
    for metric in metrics:
        scored = {s.model for s in scores if s.metric == metric}
        left_out = {"climatology"} if metric in ("correlation", "skill") else set()
        assert scored == set(names) - left_out, metric
    assert {s.units for s in scores if (s.case, s.metric) == ("b", "rmse")} == {"K"}
    assert {s.lead for s in scores} == {1.0, 2.0, 3.0, 4.0}

    def value(model, metric="rmse", case="a", lead=4.0):
        (score,) = [
            s
            for s in scores
            if (s.model, s.metric, s.case, s.lead) == (model, metric, case, lead)
        ]
        return score.value

    assert value("ar") < min(value(name) for name in BASELINES)
    assert any("lags 3 and ridge 0 chosen" in line for line in said)

    paths = sorted((out / "forecasts").glob("*.nc"))
    with xr.open_mfdataset(
        paths, combine="nested", concat_dim="model", decode_timedelta=False
    ) as together:
        assert dict(together.sizes) == {
            "model": len(names), "init_time": 25, "lead_time": 4,
        }  # fmt: skip
        assert together["lead_time"].attrs["standard_name"] == "forecast_period"
        assert set(together["model"].values) == set(names)
        assert np.isfinite(together["a"].sel(model=[*BASELINES, "ar"])).all()
    page = (out / "report.html").read_text()
    for text in ("A pair", "sha256", "Example forecasts", "The equations that sparse"):
        assert text in page
    printed = capsys.readouterr().out
    assert "a: rmse" in printed
    assert "damped_persistence" in printed

    # Again: nothing is fitted twice, and another lag is another model.
    before = {p: p.stat().st_mtime_ns for p in (out / "models").glob("*.safetensors")}
    said.clear()
    other = on_disk(parse_job({**tomllib.loads(dump_job(job)), "models": {
        **ALL, "analogs": {"kind": "analog", "neighbours": 10}}}))  # fmt: skip
    stages.fit(other, say=said.append)
    after = {p: p.stat().st_mtime_ns for p in (out / "models").glob("*.safetensors")}
    assert {p.stem for p in before if before[p] != after[p]} == {"analogs"}
    assert "mlp: fitted already" in said
    with pytest.raises(InputError, match=r"analogs.nc was written by another model"):
        stages.score(other, say=silent)


def test_a_field_with_eofs_and_a_grid(field, tmp_path):
    models = {
        "ar": {"kind": "linear_ar", "lags": 1, "ridge": 0.01, "increments": True},
        "stencil": {"kind": "convolutional", "kernel": 3, "lags": 2, "epochs": 1,
                    "horizon": 2, "depth": 2, "width": 2},
    }  # fmt: skip
    metrics = ["rmse", "correlation", "pod", "csi", "fss"]
    metrics += ["effective_resolution", "energy_ratio"]
    job = job_of(
        field, tmp_path / "out", models=models, **FIELD,
        forecast={"format": "zarr"}, score={
            "metrics": metrics, "thresholds": {"u": [0.5]}, "windows": [3],
            "rows": "lon", "block": 3,
        },
    )  # fmt: skip
    stages.everything(on_disk(job), ["forecast.stride=3"], say=silent)
    _, scores = read_scores(tmp_path / "out" / "scores.json")
    at = {(s.model, s.case, s.metric, s.lead): s.value for s in scores}
    best = min(at[name, "u", "rmse", 4.0] for name in BASELINES)
    assert at["ar", "u", "rmse", 4.0] < best
    assert at["stencil", "u", "rmse", 1.0] < at["persistence", "u", "rmse", 1.0]
    told = xr.open_zarr(
        tmp_path / "out" / "forecasts" / "ar.zarr",
        consolidated=False,
        decode_timedelta=False,
    )
    assert told["u"].dims == ("init_time", "lead_time", "lat", "lon")
    assert np.isnan(told["u"].values[..., 2, 3]).all()
    assert told["valid_time"].values[0, 3] - told["init_time"].values[0] == (
        np.timedelta64(4, "D")
    )
    page = (tmp_path / "out" / "report.html").read_text()
    assert "An example: u" in page
    assert "weighted by area" in page
    assert "Bands hold 95 % of the resamples" in page
    _check_more_scores(scores, tmp_path / "out" / "forecasts" / "ar.zarr", field)


def _check_more_scores(scores, told: Path, field: Path):
    """Of events, maps and spectra; and those of the same file as any other."""
    of_ar = [s for s in scores if s.model == "ar"]
    cases = {m: {s.case for s in of_ar if s.metric == m} for m in METRICS}
    assert cases["csi"] == {"u >= 0.5 m s-1"}
    assert cases["fss"] == {"u >= 0.5 m s-1, 3 x 3 points"}
    assert cases["energy_ratio"] == {"u, v"}
    assert {s.units for s in of_ar if s.metric == "effective_resolution"} == {"km"}
    by_name = {(s.case, s.metric, s.lead): s for s in of_ar}
    options = Options(metrics="rmse,csi", thresholds=["u=0.5"], block=3)
    found = scored(str(told), str(field), options).scores
    assert len(found) == 3 * 4
    for score in found:
        same = by_name[score.case, score.metric, score.lead]
        assert score.value == pytest.approx(same.value, rel=1e-6)
        assert same.interval is not None
        low, high = same.interval
        assert low <= same.value <= high
        assert score.interval == pytest.approx((low, high), rel=1e-6)


def test_baselines_alone(pair, tmp_path):
    job = job_of(pair, tmp_path / "out", models={}, report={"title": "Nothing learned"})
    stages.everything(on_disk(job), say=silent)
    assert "Nothing learned" in (tmp_path / "out" / "report.html").read_text()


# The models


def test_baselines_are_what_they_say(pair, tmp_path):
    job = job_of(pair, tmp_path, models={})
    material = load_material(job)
    built = baselines(job, material)
    fitted(job)
    starts = forecast_starts(job, material).index
    states, t = material.series.states, material.series.t
    told = {
        name: run_forecasts(load_model(job, name, material), states, t, starts, 4)
        for name in built
    }
    learn = material.part("learn").states
    np.testing.assert_allclose(
        told["climatology"], np.broadcast_to(learn.mean(0), told["climatology"].shape)
    )
    same = np.broadcast_to(states[starts][:, None], told["persistence"].shape)
    np.testing.assert_array_equal(told["persistence"], same)
    cell = built["damped_persistence"].cell
    anomaly = states[starts] - learn.mean(0)
    factor = np.asarray(cell.factor)  # pyright: ignore
    fading = factor ** np.arange(1, 5)[:, None]
    expected = learn.mean(0) + fading * anomaly[:, None]
    np.testing.assert_allclose(told["damped_persistence"], expected, atol=0.05)


def test_a_season_is_taken_off_and_put_back(tmp_path):
    t = np.arange(1500.0)
    season = 10 * np.cos(2 * np.pi * t / 365.2425)
    noise = np.random.default_rng(0).normal(size=1500)
    times = TIMES[0] + t.astype(int).astype("m8[D]")
    xr.Dataset({"a": ("time", season + 0.1 * noise)}, {"time": times}).to_netcdf(
        tmp_path / "a.nc"
    )
    job = job_of(
        tmp_path / "a.nc", tmp_path / "out", data={"variables": ["a"]},
        split={"train": ["2001", "2003"], "test": ["2004", "2004"]},
        prepare={"deseasonalise": ["year"]}, forecast={"steps": 30},
    )  # fmt: skip
    material = fitted(job)
    starts = forecast_starts(job, material).index
    ahead = starts[:, None] + np.arange(1, 31)
    for name in ("ar", "climatology", "damped_persistence"):
        model = load_model(job, name, material)
        told = run_forecasts(
            model, material.series.states, material.series.t, starts, 30
        )
        error = told[..., 0] - season[ahead]
        assert np.abs(error).max() < 0.3, name


def test_the_linear_forecast_is_the_iterated_regression(pair, tmp_path):
    job = job_of(pair, tmp_path)
    material = fitted(job)
    model = load_model(job, "ar", material)
    states, t = material.series.states, material.series.t
    told = run_forecasts(model, states, t, np.array([300, 310]), 4)
    learn = material.part("learn").states
    rows = np.arange(3, len(learn))
    past = np.concatenate([learn[rows - k] for k in (1, 2, 3)], axis=1)
    past = np.concatenate([past, np.ones((len(rows), 1))], axis=1)
    fit = np.linalg.lstsq(past, learn[rows])[0]
    for start, forecasts in zip((300, 310), told, strict=True):
        history = list(states[start - 2 : start + 1])
        for forecast in forecasts:
            row = np.concatenate([*history[:-4:-1], [1.0]])
            history.append(row @ fit)
            np.testing.assert_allclose(forecast, history[-1], rtol=1e-9)


def test_validation_chooses_the_lags(pair, tmp_path):
    job = job_of(pair, tmp_path, split={**SPLIT, "validation": 0.4})
    encoded = encode(job, load_material(job))
    model = LinearAR(kind="linear_ar", lags=[1, 3], ridge=[0.0, 100.0])
    lags, ridge, tried = choose_linear(model, encoded, 4, "ar")
    assert (lags, ridge, len(tried)) == (3, 0.0, 4)
    # The error is the mean over leads of the logarithm of the mean square error.
    cell = linear_ar(encoded.windows("train", 2), dt=1.0)
    starts = encoded.starts("validation", 2, 4)
    z = np.asarray(encoded.states)
    now, logs = z[starts], []
    for lead in range(1, 5):
        now = now @ np.asarray(cell.coefficients[0]).T + np.asarray(cell.intercept)
        logs.append(np.log(np.mean(np.sum((now - z[starts + lead]) ** 2, 1) / 2)))
    first = next(t for t in tried if (t["lags"], t["ridge"]) == (1, 0.0))
    assert first["error"] == pytest.approx(np.mean(logs), rel=1e-9)
    one = LinearAR(kind="linear_ar", lags=[2])
    assert choose_linear(one, encoded, 4, "ar") == (2, 0.0, [])


def test_nothing_to_choose_on(pair, tmp_path):
    split = {**SPLIT, "validation": 0.0}
    models = {"ar": {"kind": "linear_ar", "lags": [1, 2]}}
    job = job_of(pair, tmp_path, split=split, models=models)
    with pytest.raises(InputError, match=r"models.ar.* holds no forecast of 4 steps"):
        fitted(job)
    models = {"mlp": {"kind": "mlp", **NETWORK}}
    fitted(job_of(pair, tmp_path, split=split, models=models))
    short = {**SPLIT, "validation": ["2001-09-29", "2001-09-30"]}
    short["train"] = ["2001-01", "2001-08"]
    job = job_of(pair, tmp_path, split=short, models=models)
    with pytest.raises(InputError, match="validation part is too short"):
        fitted(job)


def test_what_eofs_leave_out_lasts_as_long_as_it_does(field, tmp_path):
    job = job_of(field, tmp_path, **FIELD)
    material = load_material(job)
    assert 0 <= outside_damping(job, material) < 0.3  # white noise is left out
    encoded = encode(job, material)
    states, t = material.series.states, material.series.t
    header = {"outside": 1.0}
    model = fitting.Kept("p", Persistence(1.0), encoded.preparation, header)  # pyright: ignore
    told = run_forecasts(model, states, t, np.array([100]), 2)
    expected = np.broadcast_to(states[100], (2, states.shape[1]))
    np.testing.assert_allclose(told[0], expected, atol=1e-10)
    model = dataclasses.replace(model, header={"outside": 0.5})
    told = run_forecasts(model, states, t, np.array([100]), 2)
    z = encoded.states[100]
    inside = np.asarray(encoded.preparation.decode(z, jnp.asarray(t[100])))
    fading = np.array([0.5, 0.25])[:, None]
    expected = inside + fading * (states[100] - inside)
    np.testing.assert_allclose(told[0], expected, atol=1e-10)


def test_missing_values_are_given_no_weight(field, tmp_path):
    holes = xr.load_dataset(field)
    holes["u"][10, 1, 1] = np.nan
    holes["u"][60:63] = holes["v"][60:63] = np.nan
    holes.to_netcdf(tmp_path / "holes.nc")
    models = {
        "ar": {"kind": "linear_ar", "lags": 1, "ridge": 0.01},
        "stencil": {"kind": "convolutional", "kernel": 3, "epochs": 1, "horizon": 1},
    }
    data = {**FIELD["data"], "missing": "weight"}
    for prepare in ({}, {"eofs": 3}):
        tables = {**FIELD, "data": data, "prepare": prepare}
        job = job_of(tmp_path / "holes.nc", tmp_path, models=models, **tables)
        material = load_material(job)
        encoded = encode(job, material)
        weights = np.asarray(encoded.weights)
        assert weights[20].min() == 1
        assert weights[60].min() == 0
        assert np.isfinite(encoded.states).all()
    fitted(job_of(tmp_path / "holes.nc", tmp_path, models=models, **tables))
    models = {"sparse": {"kind": "sparse_regression"}}
    job = job_of(tmp_path / "holes.nc", tmp_path, models=models, **tables)
    with pytest.raises(InputError, match="takes time derivatives"):
        fitted(job)


# What is kept


def test_an_interrupted_fit_goes_on_bit_for_bit(pair, tmp_path, monkeypatch):
    models = {"gru": {"kind": "gru", "history": 2, **NETWORK, "epochs": 3}}

    def stopping(name):
        import contextlib

        def report(figures):
            if figures["epoch"] == 0 and interrupt:
                raise KeyboardInterrupt

        return contextlib.nullcontext(report)

    monkeypatch.setattr(fitting, "epochs_shown", stopping)
    job = job_of(pair, tmp_path / "a", models=models)
    interrupt = False
    fitted(job)
    other = job.model_copy(update={"out": str(tmp_path / "b")})
    interrupt = True
    with pytest.raises(KeyboardInterrupt):
        fitted(other)
    assert not (tmp_path / "b" / "models" / "gru.safetensors").exists()
    assert (tmp_path / "b" / "models" / "gru" / "checkpoint.safetensors").exists()
    interrupt = False
    fitted(other)
    models = [load(tmp_path / x / "models" / "gru.safetensors")[0] for x in "ab"]
    for one, two in zip(*(_arrays(m) for m in models), strict=True):
        np.testing.assert_array_equal(one, two)
    # A checkpoint of other settings is no hindrance.
    slower = {"gru": {**models_of(other)["gru"], "learning_rate": 1e-4}}
    fitted(job_of(pair, tmp_path / "b", models=slower))


def models_of(job: Job) -> dict[str, Any]:
    return {name: model.model_dump() for name, model in job.models.items()}


def _arrays(model):
    import jax

    return [np.asarray(x) for x in jax.tree.leaves(model) if hasattr(x, "shape")]


def test_a_model_remembers_where_it_came_from(pair, tmp_path):
    job = job_of(pair, tmp_path)
    material = fitted(job)
    kept = load_model(job, "ar", material)
    assert kept.layout == material.layout
    assert kept.header["train"] == ["2001-01-01", "2001-09-30"]
    assert kept.header["asked"]["model"]["lags"] == 3
    changed = dataclasses.replace(material, series=dataclasses.replace(
        material.series, states=material.series.states + 1))  # fmt: skip
    with pytest.raises(InputError, match="other configuration or other data"):
        load_model(job, "ar", changed)


def test_a_loss_that_is_lost(pair, tmp_path):
    mlp = {"kind": "mlp", **NETWORK, "learning_rate": 1e300, "epochs": 3}
    models = {"ar": {"kind": "linear_ar"}, "mlp": mlp}
    job = job_of(pair, tmp_path, models=models)
    with pytest.raises(Diverged, match=r"models.mlp: .* step .* smaller learning rate"):
        fitted(job)
    assert (tmp_path / "models" / "ar.safetensors").exists()
    assert not (tmp_path / "models" / "mlp.safetensors").exists()
    last, _ = load(tmp_path / "models" / "mlp" / "last_good.safetensors")
    assert all(np.isfinite(x).all() for x in _arrays(last))


# Forecasts


def test_a_true_forecast_from_the_end_of_the_record(pair, tmp_path):
    job = job_of(pair, tmp_path / "out")
    config = on_disk(job)
    stages.fit(config, say=silent)
    said: list[str] = []
    stages.forecast(config, dates=["2002-02-04"], say=said.append)
    path = tmp_path / "out" / "forecasts" / "from-2002-02-04" / "ar.nc"
    with xr.open_dataset(path, decode_timedelta=False) as told:
        assert told["init_time"].values == [np.datetime64("2002-02-04")]
        assert told["valid_time"].values[0, -1] == np.datetime64("2002-02-08")
        assert np.isfinite(told["a"]).all()
        assert told.attrs["Conventions"] == "CF-1.11"
    with pytest.raises(InputError, match="no forecasts by climatology"):
        stages.score(config, say=silent)
    stages.forecast(config, ['forecast.starts=["2002-02-04"]'], say=silent)
    with pytest.raises(InputError, match="none can be verified"):
        stages.score(config, ['forecast.starts=["2002-02-04"]'], say=silent)
    starts = 'forecast.starts=["2002-02-02", "2002-01-02"]'
    stages.forecast(config, [starts], say=silent)
    stages.score(config, [starts], say=silent)
    _, scores = read_scores(tmp_path / "out" / "scores.json")
    assert {s.lead for s in scores} == {1.0, 2.0, 3.0, 4.0}


def test_members_of_a_stochastic_model_spread(pair, tmp_path):
    job = job_of(pair, tmp_path / "out", forecast={"members": 30})
    stages.everything(on_disk(job), say=silent)
    with xr.open_dataset(forecast_path(job, "ar"), decode_timedelta=False) as told:
        assert told["a"].dims == ("init_time", "lead_time", "member")
        spread = told["a"].std("member").mean("init_time").values
    assert 0.7 < spread[0] < 1.3  # the noise of one step
    assert spread[3] > spread[0]


def test_batches_make_no_difference(pair, tmp_path, monkeypatch):
    job = job_of(pair, tmp_path)
    material = fitted(job)
    model = load_model(job, "ar", material)
    states, t = material.series.states, material.series.t
    starts = np.arange(300, 320)
    whole = run_forecasts(model, states, t, starts, 3)
    monkeypatch.setattr("tendency.jobs.forecast._BATCH_BYTES", 7 * 3 * 2 * 8)
    np.testing.assert_allclose(run_forecasts(model, states, t, starts, 3), whole)


def test_a_model_that_runs_away_is_told_of(pair, tmp_path):
    job = job_of(pair, tmp_path / "out")
    material = fitted(job)
    path = tmp_path / "out" / "models" / "ar.safetensors"
    (cell, preparation), header = load(path)
    from tendency.store import save

    wild = dataclasses.replace(cell, coefficients=cell.coefficients * 1e150)
    save(path, (wild, preparation), header)
    said: list[str] = []
    config = on_disk(job)
    stages.forecast(config, say=said.append)
    stages.score(config, say=said.append)
    assert any(line.startswith("ar: 25 of 25 forecasts stop") for line in said)
    assert any(line.startswith("ar: ") and "not finite" in line for line in said)
    text = (tmp_path / "out" / "scores.json").read_text()
    assert all(np.isfinite(s["value"]) for s in json.loads(text)["scores"])
    assert material.series is not None


# What is refused


def test_steps_out_of_order(pair, tmp_path):
    job = job_of(pair, tmp_path / "out")
    config = on_disk(job)
    with pytest.raises(InputError, match="run `tendency fit` first"):
        stages.forecast(config, say=silent)
    with pytest.raises(InputError, match="run `tendency forecast` first"):
        stages.score(config, say=silent)
    with pytest.raises(InputError, match="run `tendency score` first"):
        stages.report(config, say=silent)
    stages.fit(config, say=silent)
    stages.forecast(config, say=silent)
    with pytest.raises(InputError, match=r"holds 4 steps and forecast.steps is 3"):
        stages.score(config, ["forecast.steps=3"], say=silent)
    (tmp_path / "out" / "forecasts" / "ar.nc").write_bytes(b"no")
    with pytest.raises(InputError, match="could not be read"):
        stages.score(config, say=silent)


def test_a_folder_that_holds_something_else(pair, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("")
    config = on_disk(job_of(pair, out))
    with pytest.raises(InputError, match="is not empty"):
        stages.fit(config, say=silent)
    assert [p.name for p in out.iterdir()] == ["thesis.tex"]
    stages.fit(config, overwrite=True, say=silent)
    stages.fit(config, say=silent)  # now it is the job's


def test_metrics_that_do_not_suit(pair, tmp_path):
    job = job_of(
        pair, tmp_path / "out", data={"variables": ["a"]},
        score={"metrics": ["bivariate_correlation"]},
    )  # fmt: skip
    for stage in (stages.fit, stages.everything):
        with pytest.raises(InputError, match="two variables on one grid"):
            stage(on_disk(job), say=silent)
    with pytest.raises(InputError, match="two variables on one grid"):
        stages.check(on_disk(job))
    assert not (tmp_path / "out").exists()


def test_a_grid_is_needed_for_convolutions(pair, tmp_path):
    job = job_of(pair, tmp_path, models={"c": {"kind": "convolutional"}})
    with pytest.raises(InputError, match=r"models.c: .*one grid of rows and columns"):
        fitted(job)


def test_small_is_a_tenth_of_the_epochs(pair, tmp_path):
    models = {"mlp": {"kind": "mlp", **NETWORK, "epochs": 20}}
    job = job_of(pair, tmp_path / "out", models=models)
    stages.fit(on_disk(job), small=True, say=silent)
    _, header = load(tmp_path / "out" / "models" / "mlp.safetensors")
    assert len(header["notes"]["history"]["train_loss"]) == 2


def test_a_bar_is_shown_to_those_who_watch(monkeypatch):
    import io
    import sys

    from tendency.jobs.progress import epochs_shown

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    with epochs_shown("gru") as report:
        assert report is not None
        report({"epoch": 0, "epochs": 3, "train_loss": 0.5})
    assert "gru" in sys.stderr.getvalue()  # pyright: ignore


def test_the_real_madden_julian_oscillation(shared_data, tmp_path):
    """An autoregression learned from 15 years beats the baselines over the next 3."""
    job = job_of(
        shared_data / "rmm_observed_daily_1974_2017.nc", tmp_path / "out",
        data={"variables": ["rmm1", "rmm2"]},
        split={"train": ["1979", "1993"], "test": ["1994", "1996"]},
        models={"ar": {"kind": "linear_ar", "lags": [1, 20]}},
        forecast={"steps": 15},
        score={"metrics": ["bivariate_correlation"]},
    )  # fmt: skip
    stages.everything(on_disk(job), say=silent)
    _, scores = read_scores(tmp_path / "out" / "scores.json")
    for lead, at_least in ((5.0, 0.75), (10.0, 0.5), (15.0, 0.3)):
        at = {s.model: s.value for s in scores if s.lead == lead}
        assert at["ar"] > max(at_least, *(at[name] for name in BASELINES))


def test_a_preparation_may_be_none():
    plain = Preparation(None, Constant(jnp.ones(2)))
    x = jnp.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(plain.decode(plain.encode(x, x[:, 0]), x[:, 0]), x)


UNSUITABLE = [
    ({"metrics": ["csi"]}, "without a threshold"),
    ({"metrics": ["csi"], "thresholds": {"w": [1]}}, "names w, which is not one of"),
    ({"metrics": ["fss"], "thresholds": {"u": [1]}}, "fss without a window"),
    ({"metrics": ["crps_fair"]}, "there is 1 member"),
    ({"metrics": ["csl"]}, 'score.metrics.0 is "csl", one of'),
]


@pytest.mark.parametrize(("table", "reason"), UNSUITABLE, ids=lambda x: str(x)[:30])
def test_metrics_that_lack_something(field, tmp_path, table, reason):
    with pytest.raises(InputError, match=reason):
        stages.check(on_disk(job_of(field, tmp_path / "out", **FIELD, score=table)))


def test_metrics_that_need_a_map(pair, tmp_path):
    for metric in ("fss", "effective_resolution"):
        table = {"metrics": [metric], "thresholds": {"a": [1]}, "windows": [1]}
        with pytest.raises(InputError, match=f"asks for {metric} and a is no map"):
            stages.check(on_disk(job_of(pair, tmp_path / "out", score=table)))
