"""A system of equations from its TOML: read, refused, stepped, reported, generated."""

import importlib.util
import os
import sys
import tomllib
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tendency import cli, forecast
from tendency.equations.build import build
from tendency.equations.config import dump_equations, parse_equations
from tendency.equations.integration import integrate
from tendency.equations.stability import stability
from tendency.errors import InputError

BURGERS = """
out = "results"
[system]
name = "burgers"
about = "A wave that steepens."
coordinates = ["x"]
equations = ["d_t u = kappa*d_xx u - u*d_x u"]
[parameters]
kappa = { value = 0.01, units = "m2 s-1" }
[fields.u]
initial = "(1 + cos(2*pi*(x - 1/4)))/4"
units = "m s-1"
[axes.x]
points = 40
units = "m"
[time]
dt = 0.01
steps = 40
every = 10
units = "seconds"
since = 2020-01-01
"""
BOUNDED = {
    "axes.x.periodic": False,
    "fields.u.boundary.x": {"lower": {"dirichlet": 0}, "upper": {"neumann": "sin(t)"}},
}


def changed(text: str = BURGERS, /, **changes) -> dict:
    """The content with `table__key=value`, or dotted keys through `**{}`."""
    content = tomllib.loads(text)
    for key, value in changes.items():
        *tables, last = key.replace("__", ".").split(".")
        here = content
        for table in tables:
            here = here.setdefault(table, {})
        if value is None:
            del here[last]
        else:
            here[last] = value
    return content


def built(folder: Path = Path(), /, **changes):
    return build(parse_equations(changed(**changes), folder=folder))


def plain(folder: Path = Path(), /, **changes):
    """Of equations whose units would not agree: without them."""
    bare = "\n".join(x for x in BURGERS.splitlines() if "units =" not in x[:7])
    bare = bare.replace("since = 2020-01-01", "").replace(', units = "m2 s-1"', "")
    return build(parse_equations(changed(bare, **changes), folder=folder))


@pytest.fixture
def run(monkeypatch, tmp_path, capfd):
    """`run(*arguments)`: exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    (tmp_path / "burgers.toml").write_text(BURGERS)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tendency", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capfd.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


def imported(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_whole_way(run, tmp_path):
    code, out, _ = run("check", "burgers.toml")
    assert code == 0
    for part in ("d_t u", "0.01 [m2 s-1]", "40 points", "CFL number 0.2", "stable"):
        assert part in out

    code, _, err = run("run", "burgers.toml")
    assert code == 0, err
    folder = tmp_path / "results"
    with xr.open_dataset(folder / "burgers.nc") as found:
        assert found.u.dims == ("time", "x")
        assert found.u.attrs["units"] == "m s-1"
        assert found.x.attrs["units"] == "m"
        assert found.sizes == {"time": 5, "x": 40}
        assert found.time.to_numpy()[-1] == np.datetime64("2020-01-01T00:00:00.400")
        assert found.attrs["equations"] == "d_t u = kappa*d_xx u - u*d_x u"
        last = found.u.to_numpy()[-1]
        mean = found.u.mean("x").to_numpy()
    np.testing.assert_allclose(mean, mean[0], rtol=1e-12)  # nothing enters or leaves
    page = (folder / "report.html").read_text()
    for part in ("A wave that steepens", "kappa*d_xx u", "stays level", "config.toml"):
        assert part in page

    first = (folder / "config.toml").read_text()
    code, _, err = run("run", folder / "config.toml", "--small")  # its own folder
    assert code == 0, err
    assert "steps = 10" in (folder / "config.toml").read_text()
    assert parse_equations(tomllib.loads(first)).time.steps == 40

    code, _, err = run("generate", "burgers.toml", "-o", "burgers.py")
    assert code == 0, err
    source = (tmp_path / "burgers.py").read_text()
    assert "import tendency" not in source
    module = imported(tmp_path / "burgers.py")
    start = np.asarray(built().state["u"])
    stepped = module.forecast({"u": jnp.asarray(start)}, 40)
    np.testing.assert_allclose(stepped["u"], last, rtol=0, atol=1e-14)
    code, _, err = run("generate", "burgers.toml", "-o", "burgers.py")
    assert code == 2
    assert "is there already" in err
    assert run("generate", "burgers.toml", "-o", "burgers.py", "--overwrite")[0] == 0
    assert (tmp_path / "burgers.py").read_text() == source
    code, _, _ = run("generate", "burgers.toml", "-o", "t.py", "--target", "torch")
    assert code == 0
    assert "import torch" in (tmp_path / "t.py").read_text()


def test_commands_refuse(run, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "mine.txt").write_text("keep")
    code, _, err = run("run", "burgers.toml")
    assert code == 2
    assert "is not empty" in err
    code, _, err = run("run", "burgers.toml", "--seed", 1)
    assert code == 2
    assert "--seed is of what is random" in err
    code, _, err = run("run", "nowhere.toml")
    assert code == 2
    assert "could not be read" in err
    code, _, err = run("run", "burgers.toml", "--set", "time.stepz=3", "--out", "b")
    assert code == 2
    assert "time.stepz is not a key that is read: did you mean steps?" in err
    assert not (tmp_path / "b").exists()
    code, _, err = run("generate", "burgers.toml", "-o", "no/where.py")
    assert code == 2
    assert "could not be written" in err
    stiff = ("--set", "time.scheme=etdrk4", "--set", "method={spectral=true}")
    code, _, err = run("generate", "burgers.toml", "-o", "a.py", *stiff)
    assert code == 2
    assert "ETDRK4" in err
    assert (tmp_path / "results" / "mine.txt").read_text() == "keep"


def test_a_run_that_blows_up_says_where_and_why(run, tmp_path):
    changes = ("--set", "time.dt=0.2", "--set", "parameters.kappa=0.1")
    code, _, err = run("run", "burgers.toml", *changes)
    assert code == 2
    assert "warning: dt = 0.2 is beyond what rk4 holds stable" in err
    assert "stop being finite by t = " in err
    assert "diffusion number 32 along x" in err
    with xr.open_dataset(tmp_path / "results" / "burgers.nc") as found:
        assert np.isfinite(found.u.to_numpy()).all()
    assert (tmp_path / "results" / "report.html").exists()


def test_an_override_may_replace_an_expression_by_a_table(run, tmp_path):
    x = built().grid.axes[0].positions()
    values = xr.DataArray(np.sin(x), {"x": x}, name="w")
    values.to_netcdf(tmp_path / "w.nc")
    code, out, err = run(
        "check", "burgers.toml", "--set", 'fields.u.initial={file="w.nc"}'
    )
    assert code == 0, err
    assert "values from 0 to 0.8" in out


def test_the_configuration_is_written_back_whole():
    for changes in ({}, {"method.spectral": True}, BOUNDED):
        asked = parse_equations(changed(**changes))
        assert parse_equations(tomllib.loads(dump_equations(asked))) == asked


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fields.u.intial": 0}, "fields.u.intial is not a key.*did you mean initial"),
        ({"fields.u.boundary.x.lowr": 0}, "boundary.x.lowr.*did you mean lower"),
        ({"parameters.kappa": {"valu": 1}}, "kappa.valu is not.*did you mean value"),
        ({"parameters.kappa": "1"}, "parameters.kappa.*a number was expected"),
        ({"parameters.kappa": float("nan")}, "a finite number was expected"),
        (
            {"fields.u.initial": [1]},
            r"initial: \[1\] was found: give a number",
        ),
        ({"fields.u.initial": {"variable": "u"}}, "give an expression, or a file"),
        ({"fields.u.boundary.x": {"lower": {"dirichlet": 0}}}, "or lower and upper"),
        ({"fields.u.boundary.x": {"neumann": 0, "dirichlet": 0}}, "give one of"),
        ({"fields.u.boundary.x": {"dirichlet": True}}, "an expression in quotes"),
        ({"time.every": 7}, "every is 7 and steps is 40"),
        ({"time.units": "weeks"}, "since needs units of seconds, minutes, hours, days"),
        ({"time.dt": 0.0}, "a number above 0"),
        ({"time": None}, "time is missing and has no default"),
        ({"method": {"spectral": True, "differences": 4}}, "spectral stands instead"),
        ({"method.differences": 3}, "one of 2, 4, 6 or 8"),
        ({"system.equations": []}, "a list of 1 or more"),
        ({"system.name": "../up"}, "system.name"),
    ],
)
def test_what_cannot_be_read_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        parse_equations(changed(**changes))


HOSTILE = [
    "__import__('os').system('true')",
    "().__class__",
    "lambda: 1",
    "x.real",
    "exec(x)",
    "d_x x",
    "(" * 100 + "x" + ")" * 100,
    "x^(x^(x^(x^(x^(x^x)))))",
    "9^9^9^9",
    "x" * 20_000,
    "",
    "v",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_expressions_are_refused(text):
    for key in ("fields.u.initial", "constants.k.values", "forcings.F.values"):
        with pytest.raises(InputError):
            built(**{key: text})
    with pytest.raises(InputError):
        built(**BOUNDED | {"fields.u.boundary.x": {"dirichlet": text}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fields.u.initial": "1/x"}, "fields.u.initial is not finite at 1 of 40"),
        ({"fields.u.initial": "sqrt(x - 1/2)"}, "is not finite at 20 of 40"),
        ({"fields.u.initial": "t"}, "fields.u.initial.*not declared"),
        ({"fields.v.initial": 0}, "fields.v is there and the equations have no such"),
        ({"fields.u": None}, r"the table \[fields.u\] is missing"),
        ({"axes.y.points": 4}, "axes.y is there"),
        ({"axes.x": None}, r"the table \[axes.x\] is missing"),
        ({"axes.x.points": 2}, "at least 3 were expected"),
        ({"axes.x.periodic": False}, "has no boundary condition"),
        ({"fields.u.boundary.x": {"dirichlet": 0}}, "periodic: leave them out"),
        ({"fields.u.staggered": ["y"]}, "fields.u.staggered holds y, which is no axis"),
        ({"constants.k": {"values": "t"}}, "constants.k.*not declared"),
        ({"constants.k": {"values": 1, "along": ["y"]}}, "k is declared along y"),
        ({"forcings.F": {"values": "x"}}, "forcings.F.*not declared"),
        ({"parameters.x": 1}, "the name x is declared twice"),
        ({"system.equations": ["d_t u = nu*d_xx u"]}, "nu"),
        ({"time.scheme": "etdrk4"}, "set method.spectral = true"),
        (BOUNDED | {"method.spectral": True}, "needs periodic axes"),
        ({"fields.u.initial": {"file": "no.nc"}}, "the file .*no.nc is not there"),
    ],
)
def test_what_cannot_be_built_is_refused(changes, message, tmp_path):
    with pytest.raises(InputError, match=message):
        built(tmp_path, **changes)


def test_fields_from_files(tmp_path):
    start = built()
    x = start.grid.axes[0].positions()
    rng = np.random.default_rng(0)
    u = rng.normal(size=40)
    dataset = xr.Dataset({"u": (("time", "x"), np.stack([0 * u, u]))}, {"x": x})
    dataset.to_netcdf(tmp_path / "u.nc")
    dataset.isel(x=slice(None, None, -1)).to_zarr(tmp_path / "u.zarr", zarr_format=2)
    pd.DataFrame({"x": x, "u": u, "w": u}).to_csv(tmp_path / "u.csv", index=False)
    for name in ("u.nc", "u.zarr", "u.csv"):
        initial = {"file": name, "variable": "u"}
        found = built(tmp_path, **{"fields.u.initial": initial}).state["u"]
        np.testing.assert_allclose(found, u, rtol=0, atol=1e-15)

    def refused(initial, message):
        with pytest.raises(InputError, match=message):
            built(tmp_path, **{"fields.u.initial": initial})

    refused({"file": "u.csv"}, "holds u, w: name one by variable")
    refused({"file": "u.csv", "variable": "z"}, "holds no z: choose from u, w")
    dataset.assign_coords(x=x + 0.5).to_netcdf(tmp_path / "other.nc")
    refused({"file": "other.nc"}, "stands at other x in its file")
    dataset.isel(x=slice(9)).to_netcdf(tmp_path / "few.nc")
    refused({"file": "few.nc"}, "has 9 points along x in its file, 40 were expected")
    dataset.rename(x="y").to_netcdf(tmp_path / "y.nc")
    refused({"file": "y.nc"}, "has the axes y in its file, x were expected")
    dataset.where(dataset.x > 0.5).to_netcdf(tmp_path / "nan.nc")
    refused({"file": "nan.nc"}, "is not finite at 21 of 40 points")
    (tmp_path / "bad.nc").write_bytes(b"not NetCDF")
    refused({"file": "bad.nc"}, "could not be read")
    (tmp_path / "text.csv").write_text("a,b\n1,2\n")
    refused({"file": "text.csv", "variable": "b"}, "has no column x")


def test_a_forcing_from_a_file_is_the_one_from_its_expression(tmp_path):
    equation = {"system.equations": ["d_t u = F - u"], "time.dt": 0.05}
    told = plain(**equation | {"forcings.F": {"values": "2*t"}})
    t = np.array([0.0, 0.7, 3.0])
    pd.DataFrame({"t": t, "F": 2 * t}).to_csv(tmp_path / "F.csv", index=False)
    xr.DataArray(2 * t, {"time": t}, name="F").to_netcdf(tmp_path / "F.nc")
    expected = integrate(told).states["u"]
    exact = np.asarray(told.state["u"])[None] * np.exp(-told.times)[:, None]
    exact = exact + (2 * (told.times - 1 + np.exp(-told.times)))[:, None]
    np.testing.assert_allclose(expected, exact, rtol=0, atol=1e-6)
    for name in ("F.csv", "F.nc"):
        found = plain(tmp_path, **equation | {"forcings.F": {"values": {"file": name}}})
        np.testing.assert_allclose(integrate(found).states["u"], expected, atol=1e-12)
    late = {"forcings.F": {"values": {"file": "F.csv"}}, "time.start": 2.0}
    with pytest.raises(InputError, match="goes from t = 0 to 3, and the run from 2 to"):
        plain(tmp_path, **equation | late)
    pd.DataFrame({"t": t[::-1], "F": t}).to_csv(tmp_path / "G.csv", index=False)
    fall = {"forcings.F": {"values": {"file": "G.csv"}}}
    assert plain(tmp_path, **equation | fall).forcing is not None  # rows are sorted
    xr.DataArray(t, {"s": t}, name="F").to_netcdf(tmp_path / "s.nc")
    none = {"forcings.F": {"values": {"file": "s.nc"}}}
    with pytest.raises(InputError, match="a time axis with its values was expected"):
        plain(tmp_path, **equation | none)


def test_constants_from_files_and_expressions_agree(tmp_path):
    diffusion = {"system.equations": ["d_t u = d_x(k*d_x u)"], "time.steps": 10}
    x = built().grid.axes[0].positions()
    k = 0.01 + 0.004 * np.cos(2 * np.pi * x)
    xr.DataArray(k, {"x": x}, name="k").to_netcdf(tmp_path / "k.nc")
    text = "0.01 + 0.004*cos(2*pi*x)"
    told = built(**diffusion | {"constants.k": {"values": text, "units": "m2 s-1"}})
    assert not told.system.constants  # it stands in the equations, exact on the faces
    read = built(tmp_path, **diffusion | {"constants.k": {"values": {"file": "k.nc"}}})
    difference = integrate(told).states["u"] - integrate(read).states["u"]
    assert 0 < np.abs(difference).max() < 2e-4  # what interpolation to faces costs


def test_boundaries_are_held():
    found = built(**BOUNDED)
    assert found.generated.forcings == ("t",)
    robin = {"robin": {"value": 1.0, "slope": 0.5, "equals": "kappa*t"}}
    other = built(**BOUNDED | {"fields.u.boundary.x": robin})
    at_rest = built(**BOUNDED | {"fields.u.boundary.x": {"dirichlet": 0}})
    ends = [integrate(b).states["u"][-1, [0, -1]] for b in (found, other, at_rest)]
    assert not np.allclose(ends[0], ends[1])
    assert not np.allclose(ends[0], ends[2])


def test_stability_is_that_of_the_textbook():
    advection = {"system.equations": ["d_t u = -d_x u"]}
    found = stability(plain(**advection | {"time.dt": 1.0}))
    assert found.advective == pytest.approx({"x": 40.0})
    assert found.diffusive == {}
    assert found.largest == pytest.approx(np.sqrt(8) / 40, rel=0.02)
    heat = {"system.equations": ["d_t u = kappa*d_xx u"], "time.scheme": "euler"}
    found = stability(plain(**heat | {"time.dt": 1.0}))
    assert found.diffusive == pytest.approx({"x": 16.0})
    assert found.largest == pytest.approx(0.5 / 16, rel=0.02)
    shortest = stability(plain(**heat | {"time.dt": 0.03}))
    assert shortest.warning(plain(**heat | {"time.dt": 0.03})) is None
    wave = {"system.equations": ["d_tt u = d_xx u"], "fields.u_t.initial": 0}
    found = stability(plain(**wave | {"time.dt": 1.0}))
    assert found.largest == pytest.approx(np.sqrt(2) / 40, rel=0.03)
    bashforth = {"time.scheme": "adams_bashforth3", "time.dt": 1.0}
    found = stability(plain(**advection | bashforth))
    assert found.largest == pytest.approx(0.7236 / 40, rel=0.03)
    growing = plain(**{"system.equations": ["d_t u = u"]})  # the equations' own growth
    assert stability(growing).largest == growing.cell.dt


def test_shallow_water_on_a_c_grid(tmp_path):
    content = tomllib.loads("""
[system]
name = "water"
coordinates = ["x", "y"]
equations = [
  '\\partial_t u = -g \\partial_x h', "d_t v = -g*d_y h", "d_t h = -d_x(H*u) - d_y(H*v)"
]
[parameters]
g = 1
[constants.H]
values = "1 + y/2"
along = ["y"]
[fields]
u = { initial = 0, staggered = ["x"], boundary = { x.dirichlet = 0, y.neumann = 0 } }
v = { initial = 0, staggered = ["y"], boundary = { x.neumann = 0, y.dirichlet = 0 } }
[fields.h]
initial = "exp(-20*((x - 0.4)^2 + (y - 0.5)^2))"
boundary = { x.neumann = 0, y.neumann = 0 }
[axes]
x = { points = 12, periodic = false }
y = { points = 10, periodic = false }
[time]
dt = 0.02
steps = 8
every = 4
[output]
format = "zarr"
""")
    from tendency.equations.integration import dataset_of, integrals
    from tendency.equations.page import make_page
    from tendency.report.page import page_html

    water = build(parse_equations(content, folder=tmp_path))
    ran = integrate(water)
    mass = integrals(water, ran)["h"]
    np.testing.assert_allclose(mass, mass[0], rtol=1e-13)
    dataset = dataset_of(water, ran)
    assert dataset.u.dims == ("time", "x_faces", "y")
    assert dataset.sizes["x_faces"] == 11
    found = stability(water)
    assert found.advective is not None
    assert found.advective["x"] == pytest.approx(np.sqrt(1.475) * 0.02 * 12, rel=1e-6)
    page = make_page(water, ran, found, seconds=1.0, config="water.toml")
    assert "integral of h stays level" in page_html(page)


def test_equations_without_space_and_spectral_ones():
    content = tomllib.loads("""
[system]
name = "lorenz63"
equations = ["d_t x = s*(y - x)", "d_t y = x*(28 - z) - y", "d_t z = x*y - 8/3*z"]
[parameters]
s = 10
[fields]
x.initial = 1
y.initial = "s/5"
z.initial = 20
[time]
dt = 0.01
steps = 5
""")
    ran = integrate(build(parse_equations(content)))
    assert ran.states["y"].shape == (6,)
    assert ran.states["y"][0] == 2
    explicit = built(**{"method.spectral": True, "time.dt": 0.005})
    stiff = built(
        **{"method.spectral": True, "time.scheme": "etdrk4", "time.dt": 0.005}
    )
    a, b = (integrate(x).states["u"] for x in (explicit, stiff))
    np.testing.assert_allclose(a, b, atol=1e-6)
    assert stability(stiff).largest is None


def test_python_sees_the_same_as_the_command(run, tmp_path):
    found = built()
    _, states = forecast(found.cell, found.carry, 40, every=10)
    assert run("run", "burgers.toml")[0] == 0
    with xr.open_dataset(tmp_path / "results" / "burgers.nc") as saved:
        np.testing.assert_array_equal(saved.u.to_numpy()[1:], states["u"])


AUTO = {"dt": "auto", "end": 0.4, "save_every": 0.1, "units": "seconds"}


def test_a_step_that_is_found(run, tmp_path):
    found = built(**{"time": AUTO, "parameters.kappa": 0.1})
    time = found.asked.time
    largest = stability(built(**{"time.dt": 1.0, "parameters.kappa": 0.1})).largest
    assert largest is not None
    assert 0.7 * largest < time.step <= 0.8 * largest
    assert time.step * time.every == pytest.approx(0.1, rel=1e-15)
    assert time.steps == 4 * time.every
    np.testing.assert_allclose(found.times, [0, 0.1, 0.2, 0.3, 0.4], rtol=1e-15)
    assert stability(found).warnings(found) == []
    assert parse_equations(tomllib.loads(dump_equations(found.asked))) == found.asked
    slow = {"system.equations": ["d_t u = -u/10"]}  # a step as long as what is saved
    assert plain(**slow | {"time": AUTO}).asked.time.step == 0.1

    text = BURGERS[: BURGERS.index("[time]")] + "[time]\n"
    text += "\n".join(f"{key} = {value!r}" for key, value in AUTO.items())
    (tmp_path / "auto.toml").write_text(text)
    assert run("run", "auto.toml", "--small")[0] == 0
    written = tomllib.loads((tmp_path / "results" / "config.toml").read_text())["time"]
    assert written["steps"] == written["every"]  # to the first saved time
    assert written["dt"] * written["steps"] == pytest.approx(0.1)
    assert not {"end", "save_every"} & {*written}


def test_a_forcing_from_a_file_meets_the_step_that_is_found(tmp_path):
    t = np.linspace(0, 0.4, 9)
    xr.DataArray(t**2, {"time": t}, name="F").to_netcdf(tmp_path / "F.nc")
    changes = {"system.equations": ["d_t u = F + kappa*d_xx u"], "time": AUTO}
    changes |= {"forcings.F": {"values": {"file": "F.nc"}}, "parameters.kappa": 0.1}
    found = plain(tmp_path, **changes)
    assert found.forcing is not None
    assert len(found.forcing["F"]) == found.asked.time.steps + 1
    mean = integrate(found).states["u"].mean(axis=1)
    np.testing.assert_allclose(
        mean - mean[0], np.array([0, 1, 2, 3, 4]) ** 3 / 3e3, atol=1e-3
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 4}, "needs end and save_every, in units of time, instead of steps"),
        ({"end": None}, "needs end and save_every"),
        ({"dt": 0.1, "steps": 4}, 'end and save_every are for dt = "auto"'),
        ({"dt": 0.1, "end": None, "save_every": None}, "steps is missing"),
        ({"dt": "fast"}, "dt is \"fast\", a number or one of 'auto' was expected"),
        ({"end": 0.35}, "there are 3.5 times save_every = 0.1, a whole number above 0"),
        ({"end": -0.1}, "a whole number above 0"),
        ({"scheme": "etdrk4"}, "how long a step etdrk4 holds is not judged: give a"),
    ],
)
def test_a_step_that_cannot_be_found_is_refused(changes, message):
    time = {k: v for k, v in (AUTO | changes).items() if v is not None}
    with pytest.raises(InputError, match=message):
        parse_equations(changed(time=time))


def test_a_stable_step_in_python():
    from tendency import Integrated
    from tendency.equations.eigenvalues import stable_step
    from tendency.integrate import adams_bashforth3

    advection = plain(**{"system.equations": ["d_t u = -d_x u"]})
    tendency, state = advection.generated, advection.state
    longest = np.sqrt(8) / 40  # of RK4, CFL number 2.83
    assert stable_step(Integrated(tendency, 1.0), state) == 0.056
    assert stable_step(Integrated(tendency, 1.0), state, safety=0.5) == 0.035
    assert stable_step(Integrated(tendency, 0.01), state) == 0.01
    assert 0.056 < 0.8 * longest < 0.057
    third = Integrated(tendency, 1.0, adams_bashforth3)
    assert stable_step(third, state) == 0.014  # 0.8 * 0.7236 / 40
    infinite = plain(**{"system.equations": ["d_t u = 1/u"], "fields.u.initial": 0})
    with pytest.raises(InputError, match=r"no step of 1 or less is found stable.*rk4"):
        stable_step(Integrated(infinite.generated, 1.0), infinite.state)
    stiff = plain(**{"method.spectral": True, "time.scheme": "etdrk4"})
    with pytest.raises(InputError, match="how long a step ETDRK4 holds is not judged"):
        stable_step(stiff.cell, stiff.state)
