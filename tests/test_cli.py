"""The command line: what it does, what it says, how it ends."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tendency import cli
from tendency.fitting import Diverged, Fitted


@pytest.fixture
def run(monkeypatch, tmp_path, capfd):
    """`run(*arguments)`: exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(os.environ))

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tendency", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capfd.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def data(tmp_path) -> Path:
    times = np.datetime64("2001-01-01", "us") + np.arange(400).astype("m8[D]")
    rng = np.random.default_rng(0)
    x = np.zeros(400)
    for i in range(1, 400):
        x[i] = 0.9 * x[i - 1] + rng.normal()
    dataset = xr.Dataset({"height": ("time", x, {"units": "m"})}, {"time": times})
    dataset.to_netcdf(tmp_path / "data.nc")
    return tmp_path / "data.nc"


def test_help_and_version(run):
    code, out, _ = run("--help")
    assert code == 0
    for command in ["run", "init", "check", "fit", "forecast", "score", "report"]:
        assert f" {command} " in out
    assert run("--version")[0] == 0


def test_help_imports_nothing_heavy():
    program = (
        "import sys; import tendency.cli as c; c.app(['--help'], exit_on_error=False, "
        "result_action='return_value'); print(*({'jax', 'xarray', 'numpy', 'pydantic'} "
        "& set(sys.modules)), sep=',')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == ""


def test_a_file_of_ones_own_step_by_step(run, data, tmp_path):
    code, _, err = run("init", data, "-o", "job.toml")
    assert code == 0
    assert "tendency run job.toml" in err
    text = (tmp_path / "job.toml").read_text()
    lags = "lags = [1, 3, 5, 10, 20]"
    assert lags in text
    (tmp_path / "job.toml").write_text(text.replace(lags, "lags = 1"))
    less = ("--set", "forecast.steps=3", "--set", "models.ar.ridge=0.1")

    code, out, _ = run("check", "job.toml", *less)
    assert code == 0
    assert "height" in out
    assert "1 points [m]" in out
    for command in ("fit", "forecast", "score", "report"):
        code, out, err = run(command, "job.toml", *less)
        assert (code, command) == (0, command), err
        assert ("height: rmse [m]" in out) == (command == "score")
    results = tmp_path / "runs" / "data"
    assert {p.name for p in results.iterdir()} == {
        "config.toml", "models", "forecasts", "scores.json", "report.html",
    }  # fmt: skip
    code, _, err = run("run", "job.toml", *less, "--out", "elsewhere", "--seed", 3)
    assert code == 0, err
    assert "seed = 3" in (tmp_path / "elsewhere" / "config.toml").read_text()
    code, _, err = run("forecast", "job.toml", *less, "--start", "2002-02-04")
    assert (results / "forecasts" / "from-2002-02-04" / "ar.nc").exists(), err


def test_a_small_study(run, monkeypatch):
    called = {}

    def study(out, *, seed, small, say):
        called.update(out=out, seed=seed, small=small)
        say("done [and] said")

    monkeypatch.setattr("tendency.studies.find", lambda name: study)
    code, _, err = run("run", "lorenz63", "--small", "--out", "here")
    assert (code, called) == (0, {"out": Path("here"), "seed": 0, "small": True})
    assert "done [and] said" in err
    assert run("run", "lorenz63", "--out", "there", "--set", "a=1")[0] == 2


REFUSED = [
    (("run", "lorens63"), "did you mean lorenz63"),
    (("run", "nothing.toml"), "could not be read"),
    (("check", "data.nc"), "is not valid TOML"),
    (("init", "missing.nc", "-o", "x.toml"), "missing.nc"),
    (("fit", "job.toml", "--set", "models.ar.kind=lstn"), "did you mean lstm"),
    (("fit", "job.toml", "--set", "modles"), "not of the form table.key=value"),
]


@pytest.mark.parametrize(("arguments", "reason"), REFUSED, ids=lambda x: str(x)[:40])
def test_bad_input_is_one_sentence_and_code_2(run, data, tmp_path, arguments, reason):
    run("init", data, "-o", "job.toml")
    before = set(tmp_path.iterdir())
    code, out, err = run(*arguments)
    assert code == 2
    assert err.startswith("tendency: ")
    assert err.count("\n") == 1
    assert reason in err
    assert out == ""
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (Diverged("the loss was lost", Fitted(None, {}, 0)), 2, "the loss was lost"),
        (OSError(errno.ENOSPC, "No space left on device", "x.nc"), 2, "make room"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=["diverged", "disk full", "interrupt"],
)
def test_other_ends(run, monkeypatch, error, code, told):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr("tendency.jobs.stages.everything", fails)
    found, _, err = run("run", "job.toml")
    assert found == code
    assert told in err
    assert err.count("\n") == 1


def test_what_is_a_bug_is_not_hidden(monkeypatch):
    def fails(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("tendency.jobs.stages.everything", fails)
    monkeypatch.setattr(sys, "argv", ["tendency", "run", "job.toml"])
    monkeypatch.setattr(os, "environ", dict(os.environ))
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_numbers_are_double_and_programs_are_kept(monkeypatch):
    monkeypatch.setattr(os, "environ", {"JAX_ENABLE_X64": "false", "HOME": "/home/me"})
    cli.configure()
    assert os.environ["JAX_ENABLE_X64"] == "false"  # what the user says stays
    assert os.environ["JAX_COMPILATION_CACHE_DIR"].endswith("tendency/compiled")
