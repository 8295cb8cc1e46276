"""The study of the uncertainty of Burgers' equation: its figures and its page."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tendency.errors import InputError
from tendency.propagation import Propagated
from tendency.scores.records import read_scores
from tendency.studies.burgers.setting import CLOSURE, LENGTH, POINTS, VARIANCE, start
from tendency.studies.burgers.uncertainty import correlation
from tendency.studies.burgers_uncertainty import cost, study
from tendency.studies.burgers_uncertainty.ensembles import matched
from tendency.studies.burgers_uncertainty.networks import TOLD, Networks
from tendency.studies.burgers_uncertainty.results import PUBLISHED
from tendency.studies.burgers_uncertainty.rollouts import forecast_of, windows_of
from tendency.studies.burgers_uncertainty.setting import (
    LAW,
    WIDER,
    Size,
    cell_of,
    closed_by,
    prior,
    some_start,
    unknown,
    with_network,
)
from tendency.symbolic.bounds import Interval

TINY = Size(500, 2, 60, 2, 1, 1, 242, 2, 1, 1, 20)


@pytest.mark.parametrize("law", [LAW, WIDER])
def test_a_alone_decides_whether_the_equations_are_well_posed(law):
    unknowns: Any = unknown(law).unknowns
    assert unknowns["a"].bounds == Interval(lower=0.75)
    assert {n: u.bounds for n, u in unknowns.items() if n != "a"} == dict.fromkeys(
        "bcde"[: len(unknowns) - 1], Interval()
    )


def test_an_untrained_network_is_the_theory():
    u = some_start(jax.random.key(3))
    theory = forecast_of(closed_by(CLOSURE), u)
    network = forecast_of(cell_of(with_network(jax.random.key(0))), u)
    assert max(network.distance(theory).values()) < 1e-12


def test_the_misfit_of_roll_outs_is_that_of_the_figures(key):
    """√w e squared, its mean along x: the relative distance of V and of the length."""
    factor = 1 + 0.01 * np.asarray(jax.random.normal(key, (POINTS,)))
    state = {n: np.stack([x] * 21) for n, x in prior(start(POINTS)).items()}

    def run(V, length):
        fields = jnp.asarray(state["u"]), jnp.asarray(V), jnp.asarray(length[:, None])
        mean, variance, apart = ({"u": field} for field in fields)
        return Propagated(np.arange(21), np.arange(21.0), mean, variance, apart)

    shape = 1 + np.asarray(start(POINTS))
    V, length = state["V"] * shape, LENGTH * shape * np.ones((21, 1))
    known, other = run(V, length), run(V * factor, length * factor)
    window = windows_of([(start(POINTS), known)]).take(0)
    told = other.distance(known)
    for name, value, metric in (
        ("V", V * factor, "variance"),
        ("nu", (length * factor) ** 2 / 2, "length"),
    ):
        misfit = window.weights[name] * (value - window.states[name]) ** 2
        assert misfit[-1].mean() ** 0.5 == pytest.approx(told[metric], rel=0.02)
    assert (window.weights["u"] == 0).all()
    assert (window.states["V"][0] == VARIANCE).all()  # the prior has no noise


def test_error_bars_cover_what_they_were_calibrated_to():
    cell = closed_by(CLOSURE)
    u = start(POINTS)
    run = forecast_of(cell, u)
    cells = [closed_by((1.0, b, -2.0)) for b in (0.749, 0.751)]
    none = {name: np.full(len(run.steps), 1e-3) for name in TOLD}
    wide = Networks(cells, none, dict.fromkeys(TOLD, 5.0))
    narrow = wide._replace(factor=dict.fromkeys(TOLD, 1e-6))
    assert wide.covered(run, u) == dict.fromkeys(TOLD, 1.0)
    assert max(narrow.covered(run, u).values()) < 0.1
    apart = wide.predict(u).apart["length"]
    assert (apart >= 5e-3).all()
    assert apart[-1].mean() > apart[0].mean()  # the networks part


def test_the_study_writes_scores_and_a_page(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "SMALL", TINY)
    monkeypatch.setattr(study, "LAWS", {"roll-outs, wider": WIDER})
    monkeypatch.setattr(study, "gradient", lambda: 0.1)
    monkeypatch.setattr(study, "fitted", lambda cell, *_: (cell, 0.0))
    said = []
    study.run(tmp_path, seed=1, small=True, say=said.append)
    document, scores = read_scores(tmp_path / "scores.json")
    assert document["study"] == "burgers-uncertainty"
    at = {(s.case, s.model, s.metric): s for s in scores}
    full = at["wave", "full covariance", "variance, relative distance"]
    assert full.published == PUBLISHED["full covariance"]["variance"]
    noise = (2 / (TINY.members - 1)) ** 0.5
    assert full.value < 2 * noise
    assert at["wave", "theory", "mean, relative distance"].value < 1e-3
    a = at["single steps", "closure", "a"]
    assert abs(a.value - 0.933) < 0.1
    assert 0 <= at["held-out states", "networks", "length, covered"].value <= 1
    page = (tmp_path / "report.html").read_text()
    assert "it is well-posed for a &gt; 0.75 only" in page
    assert any("report.html" in line for line in said)
    json.loads((tmp_path / "scores.json").read_text(), parse_constant=pytest.fail)


def test_ensembles_to_learn_from_start_with_the_moments_of_the_prior(key):
    u = start(POINTS)
    members = np.asarray(matched(u, 300, key))
    x = np.arange(POINTS)
    known = VARIANCE * correlation()[(x[:, None] - x) % POINTS]
    assert np.abs(members.mean(0) - u).max() < 1e-14
    assert np.abs(np.cov(members.T) - known).max() < 1e-12 * VARIANCE
    with pytest.raises(InputError, match="241 members cannot have a given covariance"):
        matched(u, POINTS, key)


def test_costs_are_measured():
    found, spent = cost.measured(lambda: jnp.ones(3))
    assert found.shape == (3,)
    assert spent.cpu >= 0
    assert spent.memory >= 0
