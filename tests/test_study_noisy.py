"""The studies of Lorenz-63 from noisy states and from x alone, on few data."""

import jax.numpy as jnp
import numpy as np
import pytest

from tendency import DelayEmbedding, Observations
from tendency.errors import InputError
from tendency.scores.records import read_scores
from tendency.studies.lorenz63.truth import Size
from tendency.studies.lorenz63_latent import models as latent
from tendency.studies.lorenz63_latent import study as latent_study
from tendency.studies.lorenz63_latent.study import Size as LatentSize
from tendency.studies.lorenz63_noisy import models as noisy
from tendency.studies.lorenz63_noisy import study as noisy_study

TINY = Size(train=900, starts=20, long_starts=10, long_steps=160, small=True)


def test_the_noisy_study_finds_the_equations_and_writes_its_page(tmp_path, monkeypatch):
    monkeypatch.setattr(noisy_study, "SMALL", TINY)
    monkeypatch.setattr(noisy_study, "SMALL_SEEDS", 1)

    def only_joint(states, *_):
        steps = range(len(states))
        return [lambda: noisy.joint(Observations.of(states, steps, error=0.25))]

    monkeypatch.setattr(noisy_study, "rows", only_joint)
    said = []
    noisy_study.run(tmp_path, seed=0, small=True, say=said.append)
    document, scores = read_scores(tmp_path / "scores.json")
    assert document["study"] == "lorenz63-noisy"
    at = {(s.case, s.model, s.metric, s.lead): s.value for s in scores}
    case = "noise 0.5"
    assert at[case, noisy.PRUNED, "true terms exactly", None] == 1
    assert at[case, noisy.PRUNED, "RMSE", 8] < at[case, noisy.DENSE, "RMSE", 8]
    for name in ("sigma", "rho", "beta"):
        error, std = (
            at[case, noisy.PRUNED, f"{kind} of {name}", None]
            for kind in ("error", "standard error")
        )
        assert error < 3 * std
    page = (tmp_path / "report.html").read_text()
    assert "What survived" in page
    assert "dx/dt = -" in page
    assert any("report.html" in line for line in said)


def test_the_latent_study_forecasts_x_from_its_past(tmp_path, monkeypatch):
    tiny = LatentSize(1_000, 1, 4, 150, 100, 300)
    monkeypatch.setattr(latent_study, "SMALL", tiny)
    plan = latent.Plan((1.0, 1e-3), (1e-1, 1e-5), 15, 15)
    monkeypatch.setattr(latent_study, "PLANS", ((0.0, plan),))
    latent_study.run(tmp_path, seed=0, small=True, say=[].append)
    _, scores = read_scores(tmp_path / "scores.json")
    at = {(s.metric, s.lead): s.value for s in scores}
    assert at["RMSE of x", 8.0] < 0.02  # of 7.9
    assert at["reconstruction RMSE of x", None] < 0.01
    assert "attractor" in (tmp_path / "report.html").read_text().lower()


def test_the_first_latent_equation_is_held():
    t = 0.01 * np.arange(400)
    embedding = DelayEmbedding.of(np.sin(3 * t), 0.01, 2.0)
    states = embedding.states(np.sin(3 * t))
    assert abs(embedding.time_scale - 1 / 3) < 0.02
    np.testing.assert_allclose(states[5:-5, 1], np.cos(3 * t)[5:-5], atol=0.05)
    cell = latent.latent_cell(embedding)
    slope = cell.tendency(jnp.asarray([0.5, 2.0, -1.0]), None)
    np.testing.assert_allclose(slope, [2 / embedding.time_scale, 0, 0], atol=1e-14)
    with pytest.raises(InputError, match="between 0 and 100"):
        DelayEmbedding.of(np.sin(t), 0.01, 200.0)
    x = Observations.of(np.ones((9, 1)), range(9), latent.SEEN, error=1.0)
    assert x.at(0).observe(jnp.arange(3.0)).shape == (1,)
