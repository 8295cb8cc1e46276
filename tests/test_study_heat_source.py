"""The study of unknown maps: what is true of them, what is found, its page."""

import json

import numpy as np
import pytest

from tendency.scores.records import read_scores
from tendency.studies.heat_source import study
from tendency.studies.heat_source.recovery import smoothed, wrong
from tendency.studies.heat_source.setting import (
    Size,
    measured,
    plate,
    true_maps,
    truth,
)

TINY = Size(12, 2, 8, (5, 5))


def test_heat_comes_from_the_source_alone():
    """The mean temperature rises by the mean of S, whatever the diffusivity."""
    mean = truth(TINY, 0).reshape(TINY.runs, TINY.times, -1).mean(axis=2)
    source = true_maps(plate(TINY.points))["S"].mean()
    np.testing.assert_allclose(mean[:, -1] - mean[:, 0], 0.25 * source, rtol=1e-9)


def test_gaps_and_noise_are_those_asked_for():
    rng = np.random.default_rng(0)
    seen = measured(3 * rng.normal(size=(80, 20, 20)), 0.1, 0.5, 1)
    assert np.isnan(seen.seen).mean() == pytest.approx(0.5, abs=0.01)
    assert np.nanstd(seen.seen - seen.truth) == pytest.approx(0.3, rel=0.02)


def test_smoothing_keeps_what_is_smooth():
    """A wave that fades as a polynomial of the time passes, gaps and all."""
    at, t = plate(TINY.points).coordinates(), np.linspace(0, 1, TINY.times)
    wave = np.cos(2 * np.pi * (at["x"] + at["y"]))
    exact = np.tile((1 - t**2)[:, None, None] * wave, (TINY.runs, 1, 1))
    gone = np.random.default_rng(0).random(exact.shape) < 0.3
    found = smoothed(np.where(gone, np.nan, exact), TINY)
    np.testing.assert_allclose(found, exact, atol=1e-10)


def test_errors_are_of_the_size_of_the_maps():
    maps = {
        name: 1.1 * values for name, values in true_maps(plate(TINY.points)).items()
    }
    assert wrong(maps, TINY) == pytest.approx({"k": 0.1, "S": 0.1})
    assert all(np.isnan(v) for v in wrong(None, TINY).values())


def test_the_study_writes_scores_and_a_page(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "SMALL", TINY)
    said = []
    study.run(tmp_path, seed=1, small=True, say=said.append)
    document, scores = read_scores(tmp_path / "scores.json")
    assert document["study"] == "heat-source"
    at = {(s.model, s.metric): s.value for s in scores}
    assert at["roll-outs", "relative error of k"] < 0.2  # 25 waves are few
    page = (tmp_path / "report.html").read_text()
    assert "How well they are known" in page
    assert any("report.html" in line for line in said)
    json.loads((tmp_path / "scores.json").read_text(), parse_constant=pytest.fail)
