"""The Lorenz-63 study: its truth, its rows on few data, its files and its page."""

import json

import jax
import numpy as np
import pytest

from tendency import LeastSquares, RolloutLoss, Windows, fit
from tendency.cell import Constant
from tendency.errors import InputError
from tendency.forecasting import forecast
from tendency.integrate import Integrated, dormand_prince5
from tendency.networks import Bilinear
from tendency.physics import Lorenz63
from tendency.scores.chaos import (
    lyapunov_exponent,
    quantile_distance,
    valid_prediction_time,
)
from tendency.scores.records import read_scores
from tendency.statistical import polynomial_coefficients
from tendency.store import load
from tendency.studies import find, names
from tendency.studies.lorenz63 import models, study
from tendency.studies.lorenz63.page import TRUTH
from tendency.studies.lorenz63.tables import CLEAN, LEADS, NOISY, TABLES
from tendency.studies.lorenz63.truth import Size, simulate

TINY = Size(
    train=1_500,
    starts=60,
    long_starts=20,
    long_steps=1_600,
    lyapunov_steps=2_000,
    windows=240,
    epochs=10,
    small=True,
)


@pytest.fixture(scope="module")
def truth():
    return simulate(TINY, seed=0)


def test_what_is_cut_from_the_trajectory_fits_together(truth):
    step = Integrated(Lorenz63(), 0.01, dormand_prince5, 8)
    one = jax.vmap(lambda x: forecast(step, step.init(x), 1)[1][0])
    for histories, targets in (
        (truth.histories, truth.targets),
        (truth.long_histories, truth.long_targets),
    ):
        ahead = one(histories[:, -1])
        np.testing.assert_allclose(ahead, targets[:, 0], atol=1e-10)
    noise = np.asarray(truth.noisy - truth.train)
    assert abs(noise.std() - 0.5) < 0.02


def test_the_bilinear_network_finds_the_equations(truth):
    make = models.bilinear(dormand_prince5)
    cell = make(truth.train, TINY, jax.random.key(0))
    assert isinstance(cell, Integrated)
    found = polynomial_coefficients(cell.tendency, 3)
    np.testing.assert_allclose(found, TRUTH, atol=1e-4)  # Dormand-Prince's own error


def test_multiple_shooting_beats_one_step_fits_of_noisy_states(truth):
    key = jax.random.key(0)

    def error(cell):
        run = jax.vmap(lambda h: forecast(cell, cell.init(h[-1]), 8)[1])
        return float(np.sqrt(np.mean((run(truth.histories) - truth.targets) ** 2)))

    careless = error(models.bilinear()(truth.noisy, TINY, key))
    assert error(models.bilinear_shooting(truth.noisy, TINY, key)) < careless / 4


def test_chaos_is_measured():
    cell = Integrated(Lorenz63(), 0.01)
    carry, _ = forecast(cell, cell.init(jax.numpy.array([8.0, 0.0, 30.0])), 1_000)
    exponent = jax.jit(lambda c: lyapunov_exponent(cell, c, 60_000, 1_000))(carry)
    assert abs(exponent - 0.9056) < 0.03
    errors = jax.numpy.array([[0.1, 0.5], [0.5, 0.1], [0.1, np.nan]])
    np.testing.assert_allclose(valid_prediction_time(errors, 0.5), [1.0, 0.5])
    normal = jax.random.normal(jax.random.key(0), (4_000, 2))
    moved = normal + jax.numpy.array([[0.0, 2.0]])
    np.testing.assert_allclose(quantile_distance(moved, normal), [0, 2], atol=1e-12)


def test_parameters_are_recovered_from_the_first_guess(truth):
    cell = Integrated(Lorenz63(5.0, 20.0, 2.0), 0.01, dormand_prince5)
    loss = RolloutLoss(scale=Constant(truth.std))
    data = Windows.of(truth.train, 6, stride=10)
    fitted = fit(cell, data, LeastSquares(), key=jax.random.key(0), loss=loss).cell
    found = [float(getattr(fitted.tendency, p)) for p in ("sigma", "rho", "beta")]
    np.testing.assert_allclose(found, [10, 28, 8 / 3], rtol=1e-6)


def test_published_numbers_stand_beside_ours():
    published = {
        (case, row.name): row.published for case, rows in TABLES.items() for row in rows
    }
    assert published[CLEAN, "MLP, RK4"] == (1e-6, 0.018, 0.044)
    assert published[NOISY, "Bi-NN(4), one step"] == (1e-6, 0.054, 0.14)
    assert len(LEADS) == 3


def test_the_study_writes_scores_models_and_a_page(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "SMALL", TINY)
    few = ("Persistence", "True equations, RK4", "Bi-NN(4), RK4")
    rows = tuple(row for row in TABLES[CLEAN] if row.name in few)
    monkeypatch.setattr(study, "TABLES", {CLEAN: rows, NOISY: rows[:1]})
    said = []
    study.run(tmp_path, seed=3, small=True, say=said.append)
    document, scores = read_scores(tmp_path / "scores.json")
    assert document["study"] == "lorenz63"
    assert document["settings"]["seed"] == 3
    at = {(s.case, s.model, s.metric, s.lead): s.value for s in scores}
    assert at[CLEAN, "Bi-NN(4), RK4", "RMSE", 8.0] < 1e-4
    assert at[CLEAN, "Persistence", "RMSE", 8.0] > 1
    assert at[CLEAN, "True equations, RK4", "valid prediction time", None] > 8
    assert ("course", "Lorenz-63, RK4", "rho", None) in at
    model, _ = load(tmp_path / "models" / "noise-free-bi-nn-4-rk4.safetensors")
    assert isinstance(model.tendency, Bilinear)
    assert (tmp_path / "attractors.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "report.html").read_text()
    assert "arXiv:1712.07003" in page
    assert "Bi-NN(4), RK4" in page
    assert any("report.html" in line for line in said)
    json.loads((tmp_path / "scores.json").read_text(), parse_constant=pytest.fail)


def test_an_unknown_study_suggests_the_nearest():
    assert "lorenz63" in names()
    with pytest.raises(InputError, match=r"no study 'lorenz36'.*did you mean lorenz63"):
        find("lorenz36")
