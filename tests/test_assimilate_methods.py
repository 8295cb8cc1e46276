"""The methods of `tendency assimilate`, each against the verb or against another."""

import tomllib

import jax.numpy as jnp
import numpy as np
import pytest
import tomlkit
import xarray as xr
from assimilation_files import (
    dataset,
    observed,
    of_a_cell,
    of_a_job,
    rotation,
    run,
)

from tendency import Gaussian, Observations, assimilate
from tendency.assimilation import (
    KalmanFilter,
    OptimalInterpolation,
    RauchTungStriebel,
)
from tendency.cell import Carry
from tendency.errors import InputError
from tendency.jobs.assimilation import problem, stages
from tendency.jobs.assimilation.config import load_assimilation
from tendency.jobs.assimilation.parts import Found, run_parts
from tendency.jobs.assimilation.places import localisation_of, places_of
from tendency.jobs.assimilation.problem import Problem, load_problem
from tendency.jobs.assimilation.record import (
    Disturbed,
    learned_from,
    root_of,
    static_covariance,
    tapered,
)
from tendency.jobs.assimilation.scores import scores_of
from tendency.observing import DenseCovariance
from tendency.statistical import analog
from tendency.store import save
from tendency.windows import Windows

GRID = "model.path='job/models/damped_persistence.safetensors'"
RECORD = "record={path='all.nc', span=['2001-01', '2001-03']}"


@pytest.fixture
def here(tmp_path):
    return of_a_cell(tmp_path)


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    return of_a_job(tmp_path_factory.mktemp("field"))


def method(**keys) -> dict:
    return keys


def using(folder, method: dict):
    """The folder, with that table in its TOML."""
    config = folder / "a.toml"
    content = tomllib.loads(config.read_text()) | {"method": method}
    config.write_text(tomlkit.dumps(content))
    return folder


def prepared(folder, *overrides) -> Problem:
    return load_problem(load_assimilation(folder / "a.toml", overrides), say=print)


def solved(folder, *overrides) -> tuple[Found, dict]:
    """What is found, and its scores; no page is made."""
    made = prepared(folder, *overrides)
    found = run_parts(made, folder / "parts", print)
    rows = scores_of(made, found)
    return found, {(s.case, s.model, s.metric): s.value for s in rows}


def states_of(made: Problem) -> np.ndarray:
    """What was withheld, of all components."""
    found = np.full((40, 2), np.nan)
    found[:, made.withheld.index] = made.withheld.values[:40]
    return found


def same(found: Found, kind: str, mean, spread) -> None:
    np.testing.assert_allclose(found.states[kind], mean, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(found.spreads[kind], spread, rtol=1e-9, atol=1e-11)


def seen() -> Observations:
    return Observations.of(observed(), np.arange(40), error=0.01)


def test_the_kalman_filter_and_smoother_are_those_of_the_verb(here):
    written = run(using(here, method(name="kalman", smoother=True)))
    found, _ = solved(here)
    cell = rotation()
    start = Gaussian(Carry(jnp.array([1.0, -1.0])), 4 * jnp.eye(2))
    kalman = RauchTungStriebel(KalmanFilter(0.0025 * jnp.eye(2)))
    direct = assimilate(cell, start, seen(), kalman, key=prepared(here).key)
    same(found, "analysis", direct.analysis_mean, direct.analysis_spread)
    same(found, "smoothed", direct.smoothed_mean, direct.smoothed_spread)
    np.testing.assert_allclose(found.misfit, direct.misfit, rtol=1e-9)
    np.testing.assert_array_equal(written["a_smoothed"], found.states["smoothed"][:, 0])
    assert "rank_histogram" not in written
    page = (here / "out" / "report.html").read_text()
    assert "Is it consistent?" in page
    assert "Rank histogram" not in page


def test_optimal_interpolation_is_that_of_the_verb_and_3dvar_the_same(here):
    found, _ = solved(using(here, method(name="oi", background=0.1)))
    cell = rotation()
    start = cell.init(jnp.array([1.0, -1.0]))
    direct = assimilate(
        cell, start, seen(), OptimalInterpolation(0.4), key=prepared(here).key
    )
    same(found, "background", direct.background_mean, direct.background_spread)
    same(found, "analysis", direct.analysis_mean, direct.analysis_spread)
    other, _ = solved(using(here, method(name="3dvar", background=0.1)))
    states = found.states["analysis"]
    np.testing.assert_allclose(other.states["analysis"], states, atol=1e-6)


def test_values_side_by_side_give_the_numbers_of_columns_half_empty(here, monkeypatch):
    using(here, method(name="oi"))
    sparse = observed()
    sparse[np.arange(40), np.arange(40) % 2] = np.nan
    dataset(sparse).to_netcdf(here / "seen.nc")
    aside, _ = solved(here)
    assert prepared(here).observations.values.shape == (40, 1)
    monkeypatch.setattr(problem, "packed", lambda seen: (seen, None))
    assert prepared(here).observations.values.shape == (40, 2)
    plain, _ = solved(here)
    for name in ("innovation", "expected_variance", "residual", "log_likelihood"):
        told = getattr(aside, name), getattr(plain, name)
        np.testing.assert_allclose(*told, rtol=1e-9, atol=1e-11)
    same(aside, "analysis", plain.states["analysis"], plain.spreads["analysis"])


@pytest.mark.parametrize(
    "asked",
    [
        method(name="4dvar", lag=6),  # forty times are no multiple of six
        method(name="weak-4dvar", lag=5),
        method(name="ienks", members=8, lag=1),
        method(name="particle", members=300),
        method(name="denkf", members=12, estimate_errors=True),
    ],
)
def test_every_method_finds_what_was_withheld(here, asked):
    half = "observations.withhold=0.5"
    found, at = solved(using(here, asked), half)
    best = found.states.get("smoothed", found.states["analysis"])
    error = best[:40] - states_of(prepared(here, half))
    assert np.isfinite(error[10:]).sum() >= 20
    assert np.sqrt(np.nanmean(error[10:] ** 2)) < 0.25  # the states vary by 1.5
    assert len(found.misfit) == (42 if asked.get("lag") == 6 else 40)
    assert ("all variables", "background", "error_factor") in at or (
        asked["name"] != "denkf"
    )


def test_the_errors_of_a_step_are_learned_from_a_record(here):
    rng = np.random.default_rng(1)
    states, turn = [np.array([1.0, -1.0])], np.asarray(rotation().coefficients[0])
    offset = np.asarray(rotation().intercept)
    for _ in range(400):
        noise = 0.2 * rng.normal(size=2) @ np.array([[1.0, 0.5], [0.0, 1.0]])
        states.append(turn @ states[-1] + offset + noise)
    dates = np.datetime64("1990-01-01", "us") + np.arange(401).astype("m8[D]")
    columns = np.array(states)
    columns[50] = np.nan  # three steps are lost
    data = {n: ("time", v) for n, v in zip("ab", columns.T, strict=True)}
    xr.Dataset(data, {"time": dates}).to_netcdf(here / "past.nc")
    asked = load_assimilation(here / "a.toml", ["record={path='past.nc'}"])
    made = load_problem(asked, say=print)
    assert asked.record is not None
    learned = learned_from(asked.record, made.modelled)
    assert learned.errors.shape == (398, 2)
    root = root_of(learned.errors)
    np.testing.assert_allclose(root @ root.T, np.cov(learned.errors.T), rtol=1e-12)
    wanted = 0.04 * np.array([[1.0, 0.5], [0.5, 1.25]])
    np.testing.assert_allclose(root @ root.T, wanted, atol=4 * 0.05 / 398**0.5)
    assert isinstance(made.modelled.cell, Disturbed)
    drawn = np.asarray(made.modelled.cell.root.value)  # by each member
    np.testing.assert_allclose(drawn, root, rtol=1e-12)
    using(here, method(name="kalman"))
    asked = load_assimilation(here / "a.toml", ["record={path='past.nc'}"])
    kalman = load_problem(asked, say=print).method
    assert isinstance(kalman, KalmanFilter)
    Q = kalman.model_error
    assert Q is not None
    np.testing.assert_allclose(Q, root @ root.T, rtol=1e-12)


def test_a_local_filter_of_infinite_reach_is_the_global_one(field):
    asked = [GRID, RECORD, "observations.withhold=0.5"]
    everywhere, _ = solved(using(field, method(name="etkf", members=8)), *asked)
    wide = method(name="letkf", members=8, localisation=1e9)
    local, _ = solved(using(field, wide), *asked)
    for told in ("states", "spreads"):
        one, other = (getattr(f, told)["analysis"] for f in (local, everywhere))
        np.testing.assert_allclose(one, other, atol=1e-8)
    # And eight members that reach 300 km do better than eight that reach everywhere.
    near = method(name="letkf", members=8, localisation=300)
    first = solved(using(field, near), *asked)[1]
    near["name"] = "ensrf"
    other = solved(using(field, near), *asked)[1]
    error = ("h", "analysis", "rmse_withheld")
    assert other[error] == pytest.approx(first[error], rel=0.5)
    assert first[error] < 0.3 * first["h", "climatology", "rmse_withheld"]


def test_a_static_covariance_is_learned_tapered_and_positive(field):
    asked = [GRID, RECORD]
    using(field, method(name="oi", localisation=150))
    made = prepared(field, *asked)
    near, modelled = made.method, made.modelled
    assert isinstance(near, OptimalInterpolation)
    assert made.asked.record is not None
    learned = learned_from(made.asked.record, modelled)
    local = localisation_of(modelled, 150)
    sample = np.cov(learned.errors.T)
    assert isinstance(near.background, DenseCovariance)
    B = np.asarray(near.background.covariance)
    rho = tapered(local, 1.0)
    inside = ~np.eye(len(B), dtype=bool)
    np.testing.assert_allclose(B[inside], (sample * rho)[inside], atol=1e-12)
    np.testing.assert_allclose(np.diag(B), 1.001 * np.diag(sample), rtol=1e-9)
    same_everywhere = static_covariance(learned.errors, modelled, local, 1.0)
    assert np.linalg.eigvalsh(same_everywhere)[0] > 0
    assert np.trace(same_everywhere) == pytest.approx(1.001 * np.trace(sample))
    places, _ = places_of(modelled.layout)
    row = np.argmin(np.abs(places - [6.0, 33.0]).sum(1))
    east = np.argmin(np.abs(places - [8.0, 33.0]).sum(1))
    north = np.argmin(np.abs(places - [6.0, 32.0]).sum(1))
    also = np.argmin(np.abs(places - [8.0, 32.0]).sum(1))
    rho = tapered(local, 2.0)
    assert same_everywhere[row, east] / rho[row, east] == pytest.approx(
        same_everywhere[north, also] / rho[north, also], rel=1e-9
    )
    half = [*asked, "record.homogeneous=0.5", "observations.withhold=0.5"]
    _, at = solved(field, *half)
    normal = at["h", "climatology", "rmse_withheld"]
    assert at["h", "analysis", "rmse_withheld"] < 0.5 * normal
    assert at["h", "analysis", "spread_withheld"] > 0.05


PAST = "record={path='seen.nc'}"


@pytest.mark.parametrize(
    ("keys", "overrides", "sentence"),
    [
        ({"name": "letkf"}, [], "localisation is missing, which letkf needs"),
        ({"name": "oi", "members": 9}, [], "members is of etkf, .*name is oi"),
        ({"localisation": 3.0}, [], "is of ensrf, letkf, oi"),
        ({"jitter": 0.1}, [], "jitter is of particle"),
        ({"name": "particle", "adaptive": True}, [], "adaptive is of etkf"),
        ({"name": "kalman", "lag": 3}, [], "lag is of .*name is kalman"),
        ({"name": "oi", "localisation": 3.0}, [], "learns from a record: add"),
        (
            {"name": "ensrf", "localisation": 3.0, "smoother": True},
            [],
            "has one at each point",
        ),
        (
            {"name": "kalman", "smoother": True, "estimate_errors": True},
            [],
            "needs the errors before",
        ),
        ({}, [PAST, "model.error=0.1"], "both tell what a step"),
        ({}, [PAST, "record.homogeneous=0.5"], "is of a static covariance"),
        ({"name": "4dvar"}, [PAST], "takes the model for perfect"),
        ({}, [PAST, "record.span=['1900', '1901']"], "the file runs from 2001-01-01"),
        (
            {},
            [PAST, "record.span=['2001-01-01', '2001-01-04']"],
            "10 or more were expected",
        ),
        ({"name": "letkf", "localisation": 3.0}, [], "a is no field on a grid"),
    ],
)
def test_what_does_not_fit_is_said(here, keys, overrides, sentence):
    using(here, keys)
    with pytest.raises(InputError, match=sentence):
        stages.run(str(here / "a.toml"), overrides, say=print)
    assert not (here / "out").exists()


def test_methods_and_models_that_do_not_fit_are_said(here, field):
    def said(folder, method: dict, *overrides):
        using(folder, method)
        with pytest.raises(InputError) as stopped:
            load_problem(load_assimilation(folder / "a.toml", overrides), say=print)
        return str(stopped.value)

    through_eofs = said(field, method(name="letkf", localisation=300))
    assert "sees its state through EOFs" in through_eofs
    few = said(field, method(name="oi"), GRID, RECORD.replace("03'", "01-20'"))
    assert "errors of 26 components, too few" in few
    perfect = said(field, method(name="weak-4dvar"), GRID)
    assert "is told of none: give model.error" in perfect
    rng = np.random.default_rng(0)
    windows = Windows.of(jnp.asarray(rng.normal(size=(30, 2))), 2)
    save(here / "model.safetensors", analog(windows, k=5, dt=1.0))
    assert "analogs have none" in said(here, method(name="4dvar"))
