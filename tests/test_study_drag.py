"""The study of drag and stress: the sea starts in balance, what is found, its page."""

import json
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from tendency.integrate import euler
from tendency.scores.records import read_scores
from tendency.studies.shallow_water_drag import setting, study
from tendency.studies.shallow_water_drag.recovery import smoothed
from tendency.studies.shallow_water_drag.setting import (
    DRAG,
    FIELDS,
    KNOWN,
    SPEED,
    Size,
    exchange,
    measured,
    shear,
    true_cell,
    truth,
)

TINY = Size(12, 1, 1.5, 200.0, 5, 2)


@pytest.fixture(scope="module")
def series():
    return truth(TINY, 0)


def test_the_sea_starts_in_balance_without_divergence(series):
    """Pressure balances the turning: f v = ∂M/∂x to the error of the grid."""
    first = {name: values[0] for name, values in series.items()}
    d = setting.LENGTH / TINY.points
    for layer in "12":
        u, v = first[f"u{layer}"], first[f"v{layer}"]
        across = (u - np.roll(u, 1, 0) + v - np.roll(v, 1, 1)) / d
        assert np.abs(across).max() < 1e-12
        assert np.sqrt((u**2 + v**2).mean()) == pytest.approx(SPEED)
    surface = first["h1"] + first["h2"]
    push = KNOWN["g"] * (np.roll(surface, -1, 0) - surface) / d
    v = (first["v1"] + np.roll(first["v1"], 1, 1)) / 2
    turn = KNOWN["f"] * (v + np.roll(v, -1, 0)) / 2
    assert np.linalg.norm(push - turn) < 0.35 * np.linalg.norm(turn)  # 4 points a wave
    assert np.corrcoef(push.ravel(), turn.ravel())[0, 1] > 0.95


def test_layers_exchange_momentum_and_the_bottom_takes_it(series):
    """h₁ du₁ + h₂ du₂ by stress is what the drag takes: K leaves no trace of it."""
    state = {name: jnp.asarray(values[0]) for name, values in series.items()}
    tendency: Any = true_cell(TINY).tendency
    free = setting.system(
        {
            "c": setting.Scalar(0.0),
            "K": setting.Pointwise([setting.SHEAR], lambda x: exchange(jnp.sqrt(x[0]))),
        }
    )
    other = setting.generate(free, setting.sea(12), staggered=setting.STAGGERED)
    taken = np.asarray(tendency(state)["u2"] - other(state)["u2"])
    assert (taken * series["u2"][0] <= 0).all()
    speed = np.sqrt(2) * SPEED
    assert 0 < np.abs(taken).max() < DRAG * (3 * speed) ** 2 / 5


def test_smoothing_takes_noise_and_leaves_the_flow():
    """A long wave, quadratic in time, passes whole; of noise a third is left."""
    t, x = np.linspace(0, 1, 30)[:, None, None], np.arange(12)[:, None] / 12
    exact = {"h1": (1 + t - 2 * t**2) * np.cos(2 * np.pi * x) * np.ones((1, 1, 12))}
    np.testing.assert_allclose(smoothed(exact, TINY)["h1"], exact["h1"], atol=1e-12)
    seen = measured(exact, 0.02, 1)
    size = 0.02 * exact["h1"].std()
    assert np.std(seen["h1"] - exact["h1"]) == pytest.approx(size, rel=0.05)
    left = np.std((smoothed(seen, TINY)["h1"] - exact["h1"])[4:-4])
    assert left == pytest.approx(size * np.sqrt(49 / 144 * 59 / 231), rel=0.1)


def test_shear_is_the_difference_of_velocities():
    fields = {name: np.zeros((1, 4, 4)) for name in FIELDS}
    fields["u1"] += 3.0
    fields["v2"] += 4.0
    np.testing.assert_allclose(shear(fields), 5.0)


def test_the_study_writes_scores_and_a_page(tmp_path, monkeypatch):
    """With Euler's steps, which the truth takes too: they compile in a third."""
    monkeypatch.setattr(study, "SMALL", TINY)
    monkeypatch.setattr(study, "NOISES", (0.0,))
    monkeypatch.setattr(setting, "SCHEME", euler)
    said = []
    study.run(tmp_path, seed=1, small=True, say=said.append)
    document, scores = read_scores(tmp_path / "scores.json")
    assert document["study"] == "shallow-water-drag"
    at = {s.metric: s.value for s in scores}
    assert at["relative error of the drag coefficient"] < 1e-2
    assert at["relative error of the stress curve"] < 5e-2
    page = (tmp_path / "report.html").read_text()
    assert "The law of the stress" in page
    assert "0.0025" in page
    json.loads((tmp_path / "scores.json").read_text(), parse_constant=pytest.fail)
