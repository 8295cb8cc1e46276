"""`[uncertainty]` of a file of equations: errors of the start, followed three ways."""

import jax
import numpy as np
import pytest
import tomlkit
import xarray as xr

from tendency.equations import stages
from tendency.equations.build import build
from tendency.equations.config import dump_equations, parse_equations
from tendency.equations.uncertain import _errors, follow
from tendency.errors import InputError

FILE = """
[system]
name = "burgers"
coordinates = ["x"]
equations = ["d_t u = kappa*d_xx u - u*d_x u"]

[parameters]
kappa = 0.005

[fields.u]
initial = "1 + 0.5*sin(2*pi*x)"
units = "m s-1"

[uncertainty]
methods = ["members", "tangent", "moments"]
spread = { u = "0.01*(1 + x*(1 - x))" }
length = { u = 0.08 }
members = 400

[axes.x]
points = 48
units = "m"

[time]
dt = 0.005
steps = 20
every = 10
"""


def content(**changes):
    found = tomlkit.parse(FILE).unwrap()
    for path, value in changes.items():
        table, key = path.split("__")
        found[table][key] = value
    return found


def test_three_methods_agree_and_are_written(tmp_path):
    (tmp_path / "burgers.toml").write_text(FILE)
    said = []
    stages.propagate(str(tmp_path / "burgers.toml"), say=said.append)
    out = tmp_path / "runs" / "burgers"
    with xr.open_dataset(out / "burgers-uncertainty.nc") as found:
        assert found["u"].dims == ("by", "time", "x")
        assert found["u_spread"].attrs["units"] == "m s-1"
        assert found["u_length_x"].attrs["units"] == "m"
        spread = found["u_spread"].values
        x = found["x"].values
    first = 0.01 * (1 + x * (1 - x))
    np.testing.assert_allclose(spread[1:, 0], [first, first], rtol=1e-6)
    sampling = (1 / (2 * 399)) ** 0.5  # of a standard deviation, relative
    assert np.abs(spread[0, 0] / first - 1).max() < 4 * sampling
    assert np.abs(spread[0, -1] / spread[1, -1] - 1).max() < 4 * sampling
    assert np.abs(spread[2, -1] / spread[1, -1] - 1).max() < 0.03
    page = (out / "uncertainty.html").read_text()
    assert "d_t nu = " in page
    assert "Variances of 400 members err by 0.071" in page
    assert any(line.startswith("moments beside members") for line in said)
    again = parse_equations(tomlkit.parse((out / "config.toml").read_text()).unwrap())
    assert parse_equations(tomlkit.parse(dump_equations(again)).unwrap()) == again


@pytest.mark.parametrize("periodic", [True, False])
def test_errors_are_drawn_from_the_covariance_of_their_modes(periodic):
    asked = content(uncertainty__methods=["tangent"], fields__v={"initial": 0})
    asked["system"] |= {"coordinates": ["x", "y"]}
    asked["system"]["equations"] = ["d_t u = 0*u", "d_t v = 0*v"]
    asked["axes"] = {
        "x": {"points": 12, "periodic": periodic},
        "y": {"points": 9, "periodic": True, "upper": 2.0},
    }
    asked["fields"]["u"] = {"initial": 0}
    if not periodic:
        for name in "uv":
            asked["fields"][name]["boundary"] = {"x": {"neumann": 0}}
    asked["uncertainty"]["length"] = {"u": 0.3}
    asked = parse_equations(asked)
    built = build(asked)
    assert asked.uncertainty is not None
    errors = _errors("u", asked.uncertainty, built)
    modes = errors.modes(None).reshape(-1, 108)
    covariance = modes.T @ modes
    x = built.grid.axes[0].positions()
    spread = 0.01 * (1 + x * (1 - x))
    np.testing.assert_allclose(
        np.diagonal(covariance).reshape(12, 9), spread[:, None] ** 2 * np.ones(9),
        rtol=1e-7,
    )  # fmt: skip
    if not periodic:
        near = np.exp(-((x[1] - x[0]) ** 2) / (2 * 0.3**2))
        found = covariance[0, 9] / (spread[0] * spread[1])
        assert found == pytest.approx(near, rel=1e-6)
    keys = jax.random.split(jax.random.key(0), 4000)
    drawn = np.asarray(jax.vmap(errors.draw)(keys)).reshape(4000, 108)
    apart = np.abs(np.cov(drawn.T) - covariance).max() / covariance.max()
    assert apart < 0.1
    largest = errors.modes(5)
    assert len(largest) == 5
    values = np.linalg.eigvalsh(covariance)
    assert values[-1] >= (largest[0] ** 2).sum() * (1 - 1e-9)
    followed = follow(asked, built)[0]["tangent"]
    assert np.abs(followed.variance["v"]).max() == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"uncertainty__spread": {"w": 1}}, "spread holds w, which is no field"),
        ({"uncertainty__length": {}}, "errors of u have no length: add"),
        ({"uncertainty__spread": {"u": -1}}, "spread.u is -1 somewhere"),
        ({"system__moments": True, "fields__V": {"initial": 1e-4},
          "fields__nu": {"initial": 0.003}}, "take moments out"),
        ({"uncertainty__members": 1}, "members"),
        ({"uncertainty__closures": ["C = nothing"]}, "nothing"),
        ({"uncertainty__spread": {"u": 0}}, "u is 0 somewhere, and equations of mom"),
        ({"uncertainty__spread": {"u": "zz"}}, "uncertainty.spread.u"),
        ({"uncertainty__methods": ["members"], "uncertainty__modes": 3},
         'modes are read by the method "tangent" alone'),
        (
            {"axes__x": {"points": 48, "periodic": False},
             "fields__u": {"initial": 1, "boundary": {"x": {"neumann": 0}}},
             "uncertainty__methods": ["moments"]},
            "an axis with walls",
        ),
    ],
)  # fmt: skip
def test_bad_tables_are_refused(changes, said, tmp_path):
    text = tomlkit.dumps(content(**changes))
    (tmp_path / "burgers.toml").write_text(text)
    with pytest.raises(InputError, match=said):
        stages.propagate(str(tmp_path / "burgers.toml"), say=lambda _: None)
    assert not list(tmp_path.glob("runs/burgers/*.nc"))


def test_a_file_without_the_table_says_what_to_add(tmp_path):
    asked = content()
    del asked["uncertainty"]
    (tmp_path / "burgers.toml").write_text(tomlkit.dumps(asked))
    with pytest.raises(InputError, match=r"no table \[uncertainty\]: add one"):
        stages.propagate(str(tmp_path / "burgers.toml"), say=lambda _: None)


def test_what_one_method_found_is_kept_where_another_fails(tmp_path):
    """A closure that leaves its range loses the moments alone."""
    asked = content(uncertainty__closures=["C = -1000/nu^2"])
    asked["uncertainty"]["methods"] = ["tangent", "moments"]
    (tmp_path / "burgers.toml").write_text(tomlkit.dumps(asked))
    with pytest.raises(InputError, match=r"by moments the .* at step \d+: try a sh"):
        stages.propagate(str(tmp_path / "burgers.toml"), say=lambda _: None)
    out = tmp_path / "runs" / "burgers"
    with xr.open_dataset(out / "burgers-uncertainty.nc") as found:
        assert found["by"].values.tolist() == ["tangent"]
    assert (out / "uncertainty.html").exists()


def test_modes_of_several_fields_are_chosen_by_their_share(tmp_path):
    """Whatever the units of a field, it keeps its own."""
    asked = content(fields__p={"initial": 0})
    asked["system"]["equations"] = ["d_t u = 0*u", "d_t p = 0*p"]
    asked["uncertainty"] = {
        "methods": ["tangent"], "modes": 20,
        "spread": {"u": 0.1, "p": 1000}, "length": {"u": 0.1, "p": 0.1},
    }  # fmt: skip
    parsed = parse_equations(asked)
    found, failed = follow(parsed, build(parsed))
    assert not failed
    spread = found["tangent"].spread
    np.testing.assert_allclose(spread["p"][0] / 1000, spread["u"][0] / 0.1, rtol=1e-6)
    assert 0.9 < float(spread["u"][0].mean()) / 0.1 <= 1


def test_equations_without_space_have_spreads_alone(tmp_path):
    """x' = -k x: the spread decays as the mean does."""
    text = """
    [system]
    name = "decay"
    equations = ["d_t x = -k*x"]
    [parameters]
    k = 0.5
    [fields.x]
    initial = 2
    [uncertainty]
    methods = ["tangent", "members"]
    spread = { x = 0.1 }
    [time]
    dt = 0.1
    steps = 10
    """
    (tmp_path / "decay.toml").write_text(text)
    stages.propagate(str(tmp_path / "decay.toml"), say=lambda _: None)
    with xr.open_dataset(tmp_path / "runs/decay/decay-uncertainty.nc") as found:
        spread = found["x_spread"].sel(by="tangent")
        np.testing.assert_allclose(spread[-1], 0.1 * np.exp(-0.5), rtol=1e-5)
