"""The study of Burgers' equation: its exact solution, its figures, its page."""

import json

import jax
import numpy as np
import pytest

from tendency.scores.records import read_scores
from tendency.studies.burgers import study
from tendency.studies.burgers.convergence import METHODS, error
from tendency.studies.burgers.setting import KAPPA, VARIANCE, cole_hopf, line, start
from tendency.studies.burgers.uncertainty import heat_errors, perturbed


def test_the_exact_solution_obeys_the_equation():
    x, t, small = np.arange(32) / 32, 0.7, 1e-4
    u = cole_hopf(x, t)
    k = 2j * np.pi * np.fft.fftfreq(256, 1 / 256)
    fine = np.fft.fft(cole_hopf(np.arange(256) / 256, t))
    slope, bend = (np.fft.ifft(k**n * fine).real[::8] for n in (1, 2))
    rate = (cole_hopf(x, t + small) - cole_hopf(x, t - small)) / (2 * small)
    np.testing.assert_allclose(rate, KAPPA * bend - u * slope, atol=1e-6)
    np.testing.assert_allclose(cole_hopf(x, 1e-7), start(32), atol=1e-6)
    assert cole_hopf(x, 1.0).shape == (32,)


@pytest.mark.parametrize("name", ["order 6", "spectral"])
def test_high_orders_reach_the_exact_solution(name):
    """FACTS: 1e-5 at 241 points with either."""
    assert error(METHODS[name], 241).relative < 1e-5


def test_errors_follow_the_known_solution_without_wind():
    variance, aspect = heat_errors()
    assert variance < 1e-8
    assert aspect < 1e-12


def test_the_study_writes_scores_and_a_page(tmp_path, monkeypatch):
    few = {name: METHODS[name] for name in ("order 2", "order 4")}
    monkeypatch.setattr(study, "METHODS", few)
    monkeypatch.setattr(study, "FEW", 100)
    said = []
    study.run(tmp_path, seed=1, small=True, say=said.append)
    document, scores = read_scores(tmp_path / "scores.json")
    assert document["study"] == "burgers"
    at = {(s.case, s.model, s.metric): s for s in scores}
    second = at["241 points", "order 2", "relative error"]
    assert second.value == pytest.approx(second.published, rel=0.01)
    assert at["241 points", "order 2", "drift of the mean"].value < 1e-13
    assert at["100 members", "equations", "variance, relative distance"].value < 0.3
    page = (tmp_path / "report.html").read_text()
    assert "d_t u = kappa*d_xx u - u*d_x u" in page
    assert any("report.html" in line for line in said)
    json.loads((tmp_path / "scores.json").read_text(), parse_constant=pytest.fail)


def test_members_depend_on_the_seed_alone():
    zero = 0 * start(241)
    one, again, other = (
        perturbed(zero, 2_000, jax.random.key(i)) / VARIANCE**0.5 for i in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert abs(np.asarray(one - other)).max() > 0.1
    assert float(one.var()) == pytest.approx(1, abs=0.02)
    assert line(241).shape == one.shape[1:]
