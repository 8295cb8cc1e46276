"""`tendency identify`: what a file declares unknown, found from a file of fields."""

import numpy as np
import pytest
import tomlkit
import xarray as xr

from tendency.cli import app
from tendency.equations.build import build
from tendency.equations.config import parse_equations
from tendency.equations.identified import found
from tendency.equations.integration import dataset_of, integrate
from tendency.errors import InputError
from tendency.store import load

TRUE = """
[system]
name = "front"
coordinates = ["x"]
equations = ["d_t u = k*d_xx u - a*u*d_x u + F"]

[forcings]
F = { values = "sin(2*pi*x - t)", along = ["x"] }

[parameters]
a = 0.8
k = 0.03

[fields.u]
initial = "sin(2*pi*x) + 0.5*cos(4*pi*x + 1)"

[axes.x]
points = 24

[time]
dt = 0.01
steps = 40
"""


def content(**changes):
    """The file with a, k unknown; `data__rollouts=4` sets a key of a table."""
    made = tomlkit.parse(TRUE).unwrap()
    del made["parameters"]
    made["unknowns"] = {"a": 0.5, "k": {"kind": "scalar", "initial": 0.1, "lower": 0}}
    made["data"] = {"file": "seen.nc"}
    for where, value in changes.items():
        *tables, key = where.split("__")
        here = made
        for table in tables:
            here = here[table]
        here[key] = value
    return made


@pytest.fixture(scope="module")
def truth():
    built = build(parse_equations(tomlkit.parse(TRUE).unwrap()))
    return dataset_of(built, integrate(built))


def asked(folder, dataset, **changes):
    dataset.to_netcdf(folder / "seen.nc")
    return parse_equations(content(**changes), folder=folder)


def test_single_steps_give_the_numbers_to_rounding(truth, tmp_path):
    one = found(asked(tmp_path, truth))
    assert one.known["a"][0] == pytest.approx(0.8, abs=1e-9)
    assert one.known["k"][0] == pytest.approx(0.03, abs=1e-10)
    assert one.misfit is None


def test_maps_have_the_errors_of_their_numbers(truth, tmp_path):
    """Noise that is ten times as large: ten times the error; a mode knows as much."""
    smooth = {"kind": "field", "modes": [1], "initial": 0.05, "lower": 0}
    rng = np.random.default_rng(1)
    noise, errors = rng.normal(size=truth["u"].shape), []
    for size, k in ((1e-6, smooth), (1e-5, smooth), (1e-6, content()["unknowns"]["k"])):
        seen = truth + size * noise
        one = found(asked(tmp_path, seen, unknowns__k=k))
        errors.append(one.maps["k"][1].mean() if one.maps else one.known["k"][1])
        (tmp_path / "seen.nc").unlink()
    assert errors[1] / errors[0] == pytest.approx(10, rel=0.05)
    assert errors[2] == pytest.approx(errors[0], rel=1e-3)


def test_centred_differences_have_the_second_order(truth, tmp_path):
    """Where data are some steps apart the error falls with the square of that."""
    errors = [
        abs(
            found(asked(tmp_path, truth.isel(time=slice(0, 40, n)))).known["k"][0]
            - 0.03
        )
        for n in (2, 4)
    ]
    assert errors[0] < 1e-4
    assert errors[1] / errors[0] == pytest.approx(4, rel=0.25)


def test_rollouts_take_noise_and_gaps(truth, tmp_path):
    rng = np.random.default_rng(0)
    noisy = truth + 0.01 * rng.normal(size=truth["u"].shape)
    noisy = noisy.where(rng.random(noisy["u"].shape) > 0.5)
    wanted = {"data__rollouts": 20, "data__free_starts": True}
    one = found(asked(tmp_path, noisy, data__tendencies=False, **wanted))
    for name, true in (("a", 0.8), ("k", 0.03)):
        value, error = one.known[name]
        assert abs(value - true) < 3.5 * error < 0.1 * true, name
    assert one.misfit is not None
    assert one.misfit[1] == pytest.approx(
        0.01 * 0.5**0.5 / float(truth["u"].std()), rel=0.3
    )


def test_the_command_prints_the_equations_and_writes_model_and_page(
    truth, tmp_path, capsys
):
    truth.rename(u="speed").to_netcdf(tmp_path / "seen.nc")
    path = tmp_path / "front.toml"
    smooth = {"kind": "field", "modes": [3], "initial": 0.05, "lower": 0}
    made = content(data__variables={"u": "speed"}, unknowns__k=smooth)
    path.write_text(tomlkit.dumps(made))
    with pytest.raises(SystemExit) as end:
        app(["identify", str(path), "--set", "data.rollouts=20"])
    assert end.value.code == 0
    out, err = capsys.readouterr()
    assert r"\partial_{x}" in out.splitlines()[1]
    assert "0.8" in out.splitlines()[0]
    assert "k goes from 0.03 to 0.03" in err
    folder = tmp_path / "runs" / "front"
    cell, metadata = load(folder / "model.safetensors")
    np.testing.assert_allclose(cell.tendency.unknowns["k"].on_cells, 0.03, rtol=1e-6)
    assert metadata["equations"] == out.splitlines()[0]
    page = (folder / "report.html").read_text()
    assert "k, standard error" in page


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unknowns__b": 1.0, "system__equations": ["d_t u = (k + b)*d_xx u - a"]},
         "b and k cannot be told from each other"),
        ({"time__dt": 0.003}, "whole number of steps of time.dt = 0.003"),
        ({"time__dt": "auto", "time__end": 1, "time__save_every": 0.1}, '"auto"'),
        ({"data__variables": {"u": "v"}}, "holds no v"),
        ({"data__variables": {"w": "u"}}, "data.variables holds w, and the fields"),
        ({"data__rollouts": 60}, "data.rollouts is 60, and the data have 41 times"),
        ({"data": {"file": "seen.nc", "tendencies": False}}, "nothing would be found"),
        ({"data": {"file": "seen.nc", "free_starts": True}}, "rollouts is 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_found_is_told(truth, tmp_path, changes, message):
    if changes.get("time__dt") == "auto":
        made = content(**changes)
        del made["time"]["steps"]
        truth.to_netcdf(tmp_path / "seen.nc")
        with pytest.raises(InputError, match=message):
            found(parse_equations(made, folder=tmp_path))
        return
    with pytest.raises(InputError, match=message):
        found(asked(tmp_path, truth, **changes))


def test_gaps_where_rollouts_start_ask_for_free_starts(truth, tmp_path):
    gone = truth.where(truth["x"] > 0.1)
    with pytest.raises(InputError, match="values of u are missing where roll-outs st"):
        found(asked(tmp_path, gone, data__rollouts=20))
    with pytest.raises(InputError, match=r"\[data\].* is missing"):
        found(parse_equations(tomlkit.parse(TRUE).unwrap()))
    made = xr.full_like(truth, np.nan)
    with pytest.raises(InputError, match="no value of u that is not missing"):
        found(asked(tmp_path, made, data__rollouts=20, data__tendencies=False))
