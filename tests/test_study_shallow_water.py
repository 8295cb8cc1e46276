"""The study of shallow water: waves as theory has them, a budget, its page."""

import json

import numpy as np
import pytest

from tendency.scores.records import read_scores
from tendency.studies.shallow_water import study
from tendency.studies.shallow_water.setting import (
    SYSTEM,
    Size,
    channel,
    model,
    start,
    water_on,
)
from tendency.studies.shallow_water.waves import equatorial, poincare


@pytest.mark.parametrize(("k", "l"), [(1, 0), (2, 1)])
def test_inertia_gravity_waves_have_their_frequency(k, l):  # noqa: E741
    wave = poincare(k, l)
    assert wave.theory == pytest.approx(np.sqrt(1 + k**2 + l**2))
    assert wave.relative < 1e-4


@pytest.mark.parametrize(("n", "k", "root"), [(1, 1, 1), (2, 1, 1), (1, 1, 2)])
def test_waves_of_the_beta_plane_have_their_frequency(n, k, root):
    wave = equatorial(n, k, root=root)
    assert wave.theory**2 - k**2 - k / wave.theory == pytest.approx(2 * n + 1)
    assert (wave.theory < 0) == (root == 1)  # Rossby waves go westwards
    assert wave.relative < 1e-4


def test_the_jet_starts_in_balance():
    """Away from land its tendency is small beside that of an unbalanced one."""
    grid = channel(100)
    open_sea = np.ones(grid.shape, bool)
    state = start(grid, open_sea, 0)
    state["h"] = state["h"].mean(axis=0, keepdims=True) + 0 * state["h"]
    balanced = float(abs(model(grid, open_sea)(state)["v"]).max())
    state["h"] = 0 * state["h"] + state["h"].mean()
    assert balanced < 0.15 * float(abs(model(grid, open_sea)(state)["v"]).max())


def test_the_coast_is_by_the_seed():
    one, again, other = (water_on(channel(40), seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert 0.6 < one.mean() < 0.95


def test_the_study_writes_scores_and_a_page(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "SMALL", Size(40, 3, 1600.0))
    monkeypatch.setattr(study, "WAVES", {"one": lambda: poincare(1, 0, 16)})
    said = []
    study.run(tmp_path, seed=1, small=True, say=said.append)
    document, scores = read_scores(tmp_path / "scores.json")
    assert document["study"] == "shallow-water"
    at = {(s.case, s.metric): s.value for s in scores}
    assert at["jet", "drift of the mass"] < 1e-13
    assert -0.01 < at["jet", "energy lost"] < 0.05
    assert at["one", "relative error"] < 1e-2
    assert SYSTEM.written[0] in (tmp_path / "report.html").read_text()
    assert any("report.html" in line for line in said)
    json.loads((tmp_path / "scores.json").read_text(), parse_constant=pytest.fail)
