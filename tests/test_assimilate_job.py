"""`tendency assimilate`: a saved model and a file of observations, to a page."""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from assimilation_files import (
    DT,
    TIMES,
    dataset,
    observed,
    of_a_cell,
    of_a_job,
    rotation,
    run,
    truth_after,
)
from support import noisy_series

from tendency import Observations, assimilate, cli, ensemble_of
from tendency.assimilation import ETKF, EnsembleSmoother, Multiplicative
from tendency.errors import InputError
from tendency.jobs.assimilation import parts, stages
from tendency.jobs.assimilation.config import (
    dump_assimilation,
    is_assimilation,
    load_assimilation,
)
from tendency.jobs.assimilation.problem import load_problem
from tendency.scores.records import read_scores
from tendency.statistical import LinearAR
from tendency.store import save


@pytest.fixture
def here(tmp_path) -> Path:
    return of_a_cell(tmp_path)


@pytest.fixture
def field(tmp_path) -> Path:
    return of_a_job(tmp_path)


def test_the_numbers_are_those_of_the_verb(here):
    config = str(here / "a.toml")
    found = run(here, "method.smoother=true", "method.lag=3")
    problem = load_problem(load_assimilation(config), say=print)
    cell = rotation()
    keys = jax.random.split(jax.random.key(3), 3)
    prior = ensemble_of(
        cell, jnp.array([1.0, -1.0]), jnp.array([2.0, 2.0]), size=6, key=keys[1]
    )
    assert jnp.array_equal(prior.state, problem.prior.state)
    observations = Observations.of(observed(), np.arange(len(TIMES)), error=0.01)
    method = EnsembleSmoother(ETKF(Multiplicative(1.02)), lag=3)
    direct = assimilate(cell, prior, observations, method, key=keys[2])
    for kind in ("background", "analysis", "smoothed"):
        for suffix, end in (("mean", ""), ("spread", "_spread")):
            told = [found[f"{n}_{kind}{end}"].values for n in "ab"]
            wanted = getattr(direct, f"{kind}_{suffix}")
            np.testing.assert_allclose(np.stack(told, 1), wanted, rtol=1e-11)
    np.testing.assert_allclose(found["log_likelihood"], direct.log_likelihood)
    assert found.sizes["rank"] == 7
    assert found["rank_histogram"].sum() == np.isfinite(observed()).sum()
    page = (here / "out" / "report.html").read_text()
    assert "Rank histogram" in page
    assert not (here / "out" / "parts").exists()
    again = (here / "out" / "config.toml").read_text()
    asked = load_assimilation(here / "out" / "config.toml")
    assert dump_assimilation(asked) == again
    assert is_assimilation(here / "out" / "config.toml")


def test_a_killed_run_goes_on_to_the_same_numbers(here, monkeypatch):
    monkeypatch.setattr(parts, "_TIMES", 16)
    whole = run(here, "method.smoother=true")

    def killed(message):
        if message.startswith("32 of"):
            raise KeyboardInterrupt

    config, asked = str(here / "a.toml"), ["method.smoother=true", "out=again"]
    with pytest.raises(KeyboardInterrupt):
        stages.run(config, asked, say=killed)
    assert len(list((here / "again" / "parts").iterdir())) == 2
    assert not (here / "again" / "analyses.nc").exists()
    said = []
    stages.run(config, asked, say=said.append)
    assert any("goes on" in line for line in said)
    resumed = xr.load_dataset(here / "again" / "analyses.nc")
    xr.testing.assert_identical(resumed, whole)
    # What another assimilation left is not taken up.
    with pytest.raises(KeyboardInterrupt):
        stages.run(config, [*asked, "seed=4"], say=killed)
    said.clear()
    stages.run(config, asked, say=said.append)
    assert not any("goes on" in line for line in said)


def test_withheld_observations_and_a_truth_are_scored(here):
    truth = noisy_series(len(TIMES), noise=0.0)
    dataset(truth).to_netcdf(here / "truth.nc")
    asked = ["observations.withhold=0.5", f"truth.path={here / 'truth.nc'}"]
    asked += ["time.ahead=2", "method.smoother=true"]
    found = run(here, *asked)
    _, scores = read_scores(here / "out" / "scores.json")
    at = {(s.case, s.model, s.metric): s.value for s in scores}
    values = observed()[:, 0]
    kept, seen = found["a_withheld"].values[:40], found["a_observed"].values[:40]
    np.testing.assert_array_equal(np.where(np.isnan(kept), seen, kept), values)
    assert 4 <= np.isfinite(kept).sum() <= 20
    for model in ("background", "analysis", "smoothed"):
        states = found[f"a_{model}"].values[:40]
        error = np.sqrt(np.nanmean((states - kept) ** 2))
        assert at["a", model, "rmse_withheld"] == pytest.approx(error)
        error = np.sqrt(np.mean((states - truth[:, 0]) ** 2))
        assert at["a", model, "rmse_truth"] == pytest.approx(error)
    assert at["a", "smoothed", "rmse_truth"] < at["a", "background", "rmse_truth"]
    assert at["a", "smoothed", "rmse_truth"] < 0.12
    filled = np.where(np.isnan(seen), 1.0, seen)
    for i in range(1, 40):
        if np.isnan(seen[i]):
            filled[i] = filled[i - 1]
    error = np.sqrt(np.nanmean((filled - kept) ** 2))
    assert at["a", "last observation", "rmse_withheld"] == pytest.approx(error)
    error = np.sqrt(np.nanmean((1.0 - kept) ** 2))
    assert at["a", "climatology", "rmse_withheld"] == pytest.approx(error)
    assert 0.4 < at["all variables", "background", "chi_square"] < 2.5
    assert found.sizes["time"] == 42
    ahead = found.isel(time=slice(40, None))  # forecasts: nothing was seen
    np.testing.assert_array_equal(ahead["a_analysis"], ahead["a_background"])
    np.testing.assert_allclose(ahead["a_background"], truth_after(2), atol=0.2)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["observations.variables=['c']"], "not a variable of the model: choose from"),
        (["observations.variance.a='0.1 K2'"], "is in K2 and the square of m"),
        (["observations.variance.a=-1"], "a number above 0"),
        (["observations.variance.a='-1 m'"], "a positive number was expected"),
        (["observations.std.a=0.1"], "twice, as variance and as std"),
        (["observations.variables=['a']"], "variance names b, which is not observed"),
        (["method.name='enkfn'"], "one of 'etkf'"),
        (["method.name='denkf'", "method.rotated=true"], "rotated is of etkf"),
        (["method.members=1"], "a number of at least 2"),
        (["method.lag=2"], "lag is of the smoother"),
        (["method.lags=2"], "did you mean lag"),
        (["time.start='2005'"], "the observations run from 2001-01-01"),
        (["time.start='2001-01-03T12'"], "0.5 steps off the steps of the model"),
        (["prior.std.c=1.0"], "does not tell its variables"),
        (["prior.mean.c=1.0", "prior.std.c=1.0"], "cannot step a state"),
        (["model.path='seen.nc'"], "not a whole safetensors file"),
        (["model.path='nowhere'"], "could not be read"),
        (["observations.path='nowhere.nc'"], "does not exist"),
        (["observations.positions=['lat']"], "names lat, a column of the table"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(here, overrides, sentence):
    with pytest.raises(InputError, match=sentence):
        stages.run(str(here / "a.toml"), overrides, say=print)
    assert not (here / "out").exists()


def test_a_lost_filter_leaves_what_it_had(here):
    wild = LinearAR(jnp.array([[[1e30, 0.0], [0.0, 1e30]]]), jnp.zeros(2), DT)
    save(here / "model.safetensors", wild)
    with pytest.raises(InputError, match=r"not finite.*until 2001-01-0\d are in"):
        run(here)
    left = xr.load_dataset(here / "out" / "analyses.nc")
    whole = np.isfinite(left["a_analysis"].values)
    assert whole[0]
    assert not whole[-1]


def test_the_command_ends_with_its_codes(here, monkeypatch, capsys):
    def code(*words: str) -> object:
        monkeypatch.setattr(sys, "argv", ["tendency", *words])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code

    config = str(here / "a.toml")
    monkeypatch.setattr(cli, "configure", lambda: None)
    assert code("check", config) == 0
    assert "etkf, 6 members" in capsys.readouterr().out
    assert code("run", config) == 2
    assert "tendency assimilate" in capsys.readouterr().err
    assert code("assimilate", config, "--set", "method.members=1") == 2
    assert "method.members is 1" in capsys.readouterr().err
    assert code("assimilate", config) == 0
    assert json.loads((here / "out" / "scores.json").read_text())["study"] == "out"


def test_fields_through_eofs_and_points_on_the_grid(field):
    grid = run(field)
    _, scores = read_scores(field / "out" / "scores.json")
    at = {(s.model, s.metric): s.value for s in scores if s.case == "h"}
    assert at["analysis", "rmse_withheld"] < 0.09
    assert at["analysis", "rmse_withheld"] < 0.3 * at["climatology", "rmse_withheld"]
    assert (
        at["analysis", "rmse_withheld"] < 0.5 * at["last observation", "rmse_withheld"]
    )
    assert at["analysis", "spread_withheld"] == pytest.approx(0.065, abs=0.02)
    assert np.isnan(grid["h_analysis"].values[:, :2, :2]).all()
    assert "Maps: h" in (field / "out" / "report.html").read_text()

    # The same values as rows of a table, in any order, are the same observations.
    frame = grid["h_observed"].to_dataframe().dropna().reset_index()
    frame = frame.sample(frac=1, random_state=0).rename(columns={"h_observed": "h [m]"})
    frame = frame[["time", "lat", "lon", "h [m]"]]
    frame.to_csv(field / "rows.csv", index=False)
    asked = ["observations.path='rows.csv'", "observations.positions=['lat', 'lon']"]
    asked += ["observations.withhold=0", "time={start='2001-04-01'}"]
    rows = run(field, *asked)
    np.testing.assert_allclose(rows["h_analysis"], grid["h_analysis"], atol=1e-9)

    frame.loc[frame.index[0], "lat"] = 50.0
    frame.to_csv(field / "rows.csv", index=False)
    with pytest.raises(
        InputError, match="at lat 50 and the model reaches from 30 to 34"
    ):
        run(field, *asked)
    wrong = ["observations.std.h='5 K'"]
    with pytest.raises(InputError, match="is in K and m was expected"):
        run(field, *wrong)
