"""Emitted source: the cell's own numbers, one text, readable."""

import copy
import functools
import importlib.util
import json
import subprocess
import sys
import warnings
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT

from tendency.errors import InputError
from tendency.forecasting import forecast
from tendency.grid import Axis, Grid
from tendency.integrate import (
    Diffrax,
    Integrated,
    adams_bashforth3,
    dormand_prince5,
    euler,
    rk4,
)
from tendency.physics.shallow_water import C_GRID
from tendency.physics.shallow_water import shallow_water as shallow_equations
from tendency.symbolic.boundary import dirichlet, neumann, robin, walls
from tendency.symbolic.coasts import Coast
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import generate
from tendency.symbolic.spectral import Spectral
from tendency.symbolic.stretching import stretch
from tendency.symbolic.system import System


def burgers(**more):
    system = System.of(
        ["d_t u = kappa*d_xx u - u*d_x u"],
        coordinates=["x"],
        parameters={"kappa": 0.01},
        name="burgers",
    )
    return generate(system, Grid.of(Axis("x", 32)), **more)


def forced():
    """Explicit time and coordinate, a forcing, and names that Python needs."""
    system = System.of(
        ["d_t wrap = lambda*d_xx wrap + F*sin(2*pi*x)*exp(-t) + max(x, 1/3)"],
        coordinates=["x"],
        parameters={"lambda": 0.01},
        forcings=["F"],
    )
    grid = Grid.of(Axis("x", 24, periodic=False))
    ends = {"wrap": {"x": (dirichlet("sin(t)"), robin(1.0, 2.0, 0.5))}}
    return generate(system, grid, Differences(4), boundaries=ends)


def diffusion():
    """Flux form with a constant tensor, walls along y."""
    system = System.of(
        ["d_t c = d_x(k*d_x c + m*d_y c) + d_y(m*d_x c + k*d_y c)"],
        coordinates=["x", "y"],
        constants={"k": "xy", "m": ["y"]},
    )
    grid = Grid.of(Axis("x", 12), Axis("y", 10, periodic=False))
    rng = np.random.default_rng(0)
    given = {"k": 1 + rng.random((12, 10)), "m": 0.1 * rng.random(10)}
    return generate(system, grid, boundaries={"c": {"y": neumann()}}, constants=given)


def shallow_water():
    """A C grid in a channel, and upwind advection of a tracer."""
    system = System.of(
        [
            "d_t h = -d_x((H + h)*u) - d_y((H + h)*v)",
            "d_t u = (f + b*y)*v - g*d_x h",
            "d_t v = -(f + b*y)*u - g*d_y h",
            "d_t c = -u*d_x c - v*d_y c",
        ],
        coordinates=["y", "x"],
        parameters={"g": 9.8, "H": 100.0, "f": 1e-4, "b": 1e-11},
    )
    grid = Grid.of(Axis("y", 10, 0.0, 1e6, periodic=False), Axis("x", 12, 0.0, 1e6))
    ends = {"h": neumann(), "u": neumann(), "v": dirichlet(), "c": neumann()}
    return generate(
        system,
        grid,
        Differences(2, upwind=True),
        boundaries={field: {"y": end} for field, end in ends.items()},
        staggered={"u": ["x"], "v": ["y"]},
    )


def vorticity():
    system = System.of(
        [
            "d_t q = d_x(d_y psi*q) - d_y(d_x psi*q) - beta*d_x psi + nu*lap",
            "lap = d_xx q + d_yy q",
            "d_xx psi + d_yy psi - psi/4 = q",
        ],
        coordinates=["y", "x"],
        parameters={"beta": 1.0, "nu": 0.01},
        unknown=["psi"],
    )
    return generate(system, Grid.of(Axis("y", 16), Axis("x", 12)), Spectral())


def carried():
    """Arakawa's Jacobian in a channel."""
    system = System.of(
        ["d_t q = -J_xy(p, q)", "d_t p = -J_xy(q**2, p)"], coordinates=["x", "y"]
    )
    grid = Grid.of(Axis("x", 9), Axis("y", 8, periodic=False))
    ends = {name: {"y": dirichlet()} for name in "qp"}
    return generate(system, grid, boundaries=ends)


def coasts():
    """A C grid around an island, without slip."""
    grid = Grid.of(Axis("x", 9), Axis("y", 8, periodic=False))
    water = np.ones((9, 8), bool)
    water[3:5, 2:5] = False
    return generate(
        shallow_equations(1.0, 0.5, 0.3, 0.01),
        grid,
        boundaries=walls(grid, {"x": "u", "y": "v"}, others={"h": neumann()}),
        staggered=C_GRID,
        coast=Coast(water, "no"),
    )


def channel():
    """A stream function by waves, in a channel, and a mean."""
    system = System.of(
        [
            "d_t q = -J_xy(psi, q) - beta*d_x psi - mean(q**2)*q",
            "d_xx psi + d_yy psi - F*psi = q",
        ],
        coordinates=["x", "y"],
        parameters={"beta": 1.0, "F": 2.0},
        unknown=["psi"],
    )
    grid = Grid.of(Axis("x", 12), Axis("y", 9, periodic=False))
    ends = {name: {"y": dirichlet()} for name in ("q", "psi")}
    return generate(system, grid, boundaries=ends)


def pressure(how=None):
    """An elliptic equation by iterations, around an island, and a mean."""
    system = System.of(
        ["d_t q = -p + d_xx q + d_yy q + mean(q)", "d_x(k*d_x p) + d_y(k*d_y p) = q"],
        coordinates=["x", "y"],
        constants=["k"],
        unknown=["p"],
    )
    grid = Grid.of(Axis("x", 9), Axis("y", 8, periodic=False, stretch=how))
    water = np.ones((9, 8), bool)
    water[3:5, 2:5] = False
    ends = {"q": {"y": neumann()}, "p": {"y": (dirichlet(), neumann())}}
    given = {"k": 1 + np.random.default_rng(0).random((9, 8))}
    return generate(system, grid, boundaries=ends, constants=given, coast=Coast(water))


def stretched():
    """Both axes, one between walls; a method for each equation, an explicit z."""
    system = System.of(
        [
            "d_t T = d_x(k*d_x T) + d_z(k*exp(z)*d_z T) - w*d_z T",
            "d_t w = d_xx w + d_zz w/9 - d_z T",
            "d_t c = -d_x(U*c)",
        ],
        coordinates=["x", "z"],
        parameters={"k": 0.1, "U": 0.5},
    )
    grid = Grid.of(
        Axis("x", 12, stretch=stretch("s + sin(2*pi*s)/20")),
        Axis("z", 10, -1.0, 0.0, False, stretch("tanh(2*s - 1)")),
    )
    ends = {"T": (robin(1.0, 2.0, "x"), neumann(1.0)), "c": neumann()}
    return generate(
        system,
        grid,
        {"T": Differences(4, upwind=True), "c": Differences(flux="minmod")},
        boundaries={k: {"z": v} for k, v in (ends | {"w": dirichlet()}).items()},
        staggered={"w": ["z"]},
    )


def divided():
    """Terms that divide by the same field, and one by another."""
    system = System.of(
        ["d_t u = d_x u/v**2 + 3/(4*v) - d_xx v/u", "d_t v = u/v**3"],
        coordinates=["x"],
    )
    return generate(system, Grid.of(Axis("x", 12)))


MODELS = {
    "burgers": burgers,
    "channel": channel,
    "pressure": pressure,
    "burgers, order 8": lambda: burgers(method=Differences(8)),
    "burgers, spectral": lambda: burgers(method=Spectral()),
    "forced": forced,
    "diffusion": diffusion,
    "divided": divided,
    "carried": carried,
    "coasts": coasts,
    "shallow water": shallow_water,
    "stretched": stretched,
    "pressure, stretched": lambda: pressure(stretch("exp(s)")),
    "vorticity": vorticity,
}
MADE = {name: functools.cache(make) for name, make in MODELS.items()}  # once a process
FOURIER = (
    "burgers, spectral",
    "vorticity",
    "channel",
    "pressure",
    "pressure, stretched",
)  # which Keras cannot have


@pytest.fixture(params=MODELS)
def model(request):
    return MADE[request.param]()


def state_of(model, dtype: Any = float):
    rng = np.random.default_rng(1)
    return {n: jnp.asarray(rng.standard_normal(s), dtype) for n, s in model.shapes}


def given_to(model):
    """The keyword arguments that the emitted functions want."""
    forcing = {name: jnp.asarray(0.3) for name in model.forcings}
    given = {"parameters": model.parameters}
    given |= {"constants": model.constants.value} if model.constants.value else {}
    return given | ({"forcing": forcing} if forcing else {}), forcing or None


def module_of(source, path):
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_source_agrees_with_the_cell_to_the_last_bit(model, tmp_path):
    module = module_of(model.source(dt=1e-3), tmp_path / "model.py")
    state = state_of(model)
    given, forcing = given_to(model)
    theirs = jax.jit(module.tendency)(state, **given)
    ours = eqx.filter_jit(model)(state, forcing)
    assert theirs.keys() == ours.keys()
    for name in ours:
        assert np.abs(ours[name]).max() > 0
        np.testing.assert_array_equal(theirs[name], ours[name])


@pytest.mark.parametrize("scheme", [euler, rk4, dormand_prince5, adams_bashforth3])
def test_its_forecast_is_the_cells(scheme, tmp_path):
    model = burgers()
    module = module_of(model.source(dt=1e-3, scheme=scheme), tmp_path / "model.py")
    cell = Integrated(model, 1e-3, scheme)
    state = state_of(model)
    ours, _ = forecast(cell, cell.init(state), 20, every=20)
    run = jax.jit(lambda s, p: module.forecast(s, 20, parameters=p))
    theirs = run(state, model.parameters)
    np.testing.assert_array_equal(theirs["u"], ours.state["u"])


@pytest.mark.parametrize("scheme", [rk4, adams_bashforth3])
def test_its_forecast_follows_time_and_forcings(scheme, tmp_path):
    """The wall of `forced` moves with t, which the equation holds beside a forcing."""
    model, dt, steps = forced(), 1e-3, 20
    module = module_of(model.source(dt=dt, scheme=scheme), tmp_path / "model.py")
    cell, state = Integrated(model, dt, scheme), state_of(model)
    t = dt * jnp.arange(steps + 1.0)
    forcing = {"t": t, "F": jnp.sin(9 * t)}
    ours, _ = forecast(cell, cell.init(state), steps, forcing, every=steps)
    run = jax.jit(lambda s, f: module.forecast(s, steps, forcing=f))
    theirs = run(state, forcing)["wrap"]
    np.testing.assert_allclose(theirs, ours.state["wrap"], rtol=1e-14, atol=1e-14)
    still = {name: jnp.full_like(x, x[0]) for name, x in forcing.items()}
    assert abs(run(state, still)["wrap"] - theirs).max() > 1e-4


def test_float32_stays_float32(model, tmp_path):
    module = module_of(model.source(), tmp_path / "model.py")
    given, _ = given_to(model)
    found = jax.eval_shape(
        lambda s: module.tendency(s, **given), state_of(model, jnp.float32)
    )
    assert {x.dtype for x in found.values()} == {jnp.dtype("float32")}


def test_a_field_that_several_terms_divide_by_is_inverted_once():
    model = divided()
    state = state_of(model)
    u, v = (np.asarray(state[name]) for name in "uv")
    after, before = (lambda a, i=i: np.roll(a, i) for i in (-1, 1))
    slope, bend = (after(u) - before(u)) * 6, (after(v) - 2 * v + before(v)) * 144
    found = eqx.filter_jit(model)(state)
    expected = {"u": slope / v**2 + 3 / (4 * v) - bend / u, "v": u / v**3}
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-12)
    text = model.source()
    assert text.count("1 / v") == 1
    assert "/ u" in text


def test_roots_of_a_field_that_others_divide_by():
    system = System.of(["d_t v = 1/v + 1/v**2 + v**(-3/2)"], coordinates=["x"])
    v = 1 + jnp.arange(8.0)
    found = generate(system, Grid.of(Axis("x", 8)))({"v": v})["v"]
    np.testing.assert_allclose(found, 1 / v + v**-2.0 + v**-1.5, rtol=1e-14)


def test_the_same_equations_give_the_same_text():
    for name, make in MODELS.items():
        assert make().source(dt=0.1) == MADE[name]().source(dt=0.1)


@pytest.mark.parametrize("target", ["jax", "torch", "keras"])
def test_source_is_readable_and_free_of_faults(target, tmp_path):
    for name, make in MADE.items():
        if target == "keras" and name in FOURIER:
            continue
        path = tmp_path / f"{name.replace(' ', '_').replace(',', '')}.py"
        path.write_text(make().source(target, dt=0.1), encoding="utf-8")
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--isolated"]
    rules = ["--select", "E,W,F,B,I,UP,D1", "--target-version", "py311"]
    done = subprocess.run(
        [*command, *rules, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("target", ["torch", "keras"])
def test_other_languages_agree_to_rounding(target, tmp_path):
    """In the environment of the benchmarks, where it is there."""
    python = ROOT / "benchmarks" / ".peers" / "bin" / "python"
    environment = {"KERAS_BACKEND": "torch", "PATH": "/usr/bin:/bin"}
    there = (
        python.exists()
        and not subprocess.run(
            [python, "-c", f"import {target}"],
            capture_output=True,
            check=False,
            env=environment,
        ).returncode
    )
    if not there:
        pytest.skip(f"no {target} in benchmarks/.peers: make bench installs the peers")
    made = {k: m() for k, m in MODELS.items() if target == "torch" or k not in FOURIER}
    for number, model in enumerate(made.values()):
        given, forcing = given_to(model)
        np.savez(
            tmp_path / f"m{number}.npz",
            **{f"state.{k}": v for k, v in state_of(model).items()},
            **{f"{g}.{k}": v for g, kv in given.items() for k, v in kv.items()},
            **{f"wanted.{k}": v for k, v in model(state_of(model), forcing).items()},
        )
        (tmp_path / f"m{number}.py").write_text(model.source(target, dt=1e-3))
    (tmp_path / "check.py").write_text(CHECK)
    done = subprocess.run(
        [python, "check.py", str(len(made)), target],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    errors = json.loads(done.stdout.splitlines()[-1])
    assert len(errors) == len(made)
    for name, error in zip(made, errors, strict=True):  # iterations end where they may
        assert error < (1e-10 if name == "pressure" else 1e-13), name


CHECK = """
import importlib, json, sys
import numpy as np
if sys.argv[2] == "keras":
    import keras
    make = lambda v: keras.ops.convert_to_tensor(v, "float64")
    keras.config.set_floatx("float64")
else:
    import torch
    make = torch.as_tensor
errors = []
for number in range(int(sys.argv[1])):
    groups = {}
    for key, value in np.load(f"m{number}.npz").items():
        group, _, name = key.partition(".")
        groups.setdefault(group, {})[name] = value
    wanted = groups.pop("wanted")
    tensors = {g: {k: make(v) for k, v in kv.items()} for g, kv in groups.items()}
    found = importlib.import_module(f"m{number}").tendency(**tensors)
    errors.append(max(
        float(np.abs(np.asarray(found[k]) - v).max() / np.abs(v).max())
        for k, v in wanted.items()
    ))
print(json.dumps(errors))
"""


def test_what_cannot_be_written_is_refused():
    model = burgers()
    with pytest.raises(InputError, match="target is 'c', one of jax, torch, keras"):
        model.source("c")
    with pytest.raises(InputError, match="the scheme Diffrax"):
        model.source(dt=0.1, scheme=Diffrax(diffrax.Tsit5()))
    with pytest.raises(InputError, match="keras has no Fourier transform"):
        vorticity().source("keras")


def test_no_text_of_a_user_becomes_code(tmp_path):
    """The docstring ends where it should, and a name is a name."""
    spoilt = tmp_path / "spoilt"
    code = f'open({str(spoilt)!r}, "w")'
    system = System.of(
        [r"\partial_t u = -u", "d_t v = -v"],
        coordinates=["x"],
        name=f'a"""; {code}',
        doc=f'b"""\n{code}\nc\\',
    )
    tendency = generate(system, Grid.of(Axis("x", 4)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of escapes in the LaTeX too
        module = module_of(tendency.source(dt=0.1), tmp_path / "model.py")
    assert not spoilt.exists()
    assert r"\partial_t u" in (module.__doc__ or "")
    one = {"u": jnp.ones(4), "v": jnp.ones(4)}
    np.testing.assert_array_equal(module.tendency(one)["u"], -1.0)
    for changes in (
        {"assignments": (("a", ("+", "u", code)),)},
        {"assignments": ((code, 1.0),)},
        {"outputs": (("u", code),)},
    ):
        hostile = copy.copy(tendency)
        for name, value in changes.items():
            object.__setattr__(hostile, name, value)
        with pytest.raises(InputError, match="which is no name: its source cannot be"):
            hostile.source()
