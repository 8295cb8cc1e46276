"""The studies of assimilation: protocol, figures on few data, files and pages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tendency.assimilation import ETKF, Multiplicative, ThreeDVar, climatology
from tendency.integrate import Integrated
from tendency.physics import Lorenz63
from tendency.scores.records import read_scores
from tendency.store import load
from tendency.studies import lorenz63_assimilation, lorenz96_assimilation, names
from tendency.studies.lorenz63_assimilation import models as l63_models
from tendency.studies.lorenz63_assimilation import study as l63
from tendency.studies.lorenz63_assimilation.evaluate import ratio
from tendency.studies.lorenz63_assimilation.twin import Size, simulate, with_noise
from tendency.studies.lorenz63_noisy import models as noisy_models
from tendency.studies.lorenz96_assimilation import methods
from tendency.studies.lorenz96_assimilation import page as l96_page
from tendency.studies.lorenz96_assimilation import study as l96
from tendency.studies.lorenz96_assimilation.methods import Row
from tendency.studies.lorenz96_assimilation.twin import reach

TINY = Size(train=1_200, segments=3, analog_segments=1, members=16, small=True)


def test_segments_are_cut_from_one_trajectory():
    twin = simulate(TINY, seed=0)
    cell = Integrated(Lorenz63(), 0.01)
    step = jax.jit(lambda x: cell.step(cell.init(x)).state)
    for start, later in zip(twin.starts, twin.truth[:, 0], strict=True):
        for _ in range(8):
            start = step(start)
        np.testing.assert_allclose(start, later, atol=1e-3)  # RK4's own error
    noise = np.asarray(with_noise(twin.train, 0.5, 0) - twin.train)
    assert abs(noise.std() - 0.5) < 0.03
    assert len(np.unique(jax.random.key_data(twin.keys), axis=0)) == 3


def test_a_ratio_has_the_error_of_its_pairs():
    rng = np.random.default_rng(0)
    other = rng.uniform(0.5, 1.5, 50)
    assert ratio(1.1 * other, other) == pytest.approx((1.1, 0.0))
    noisy = 1.1 * other + 0.1 * rng.normal(size=50)
    value, error = ratio(noisy, other)
    assert abs(value - 1.1) < 3 * error
    # The variance of a ratio to first order: that of r_i - R o_i over its mean.
    linear = np.std(noisy - value * other, ddof=1) / np.sqrt(50) / other.mean()
    assert error == pytest.approx(linear, rel=0.1)


def test_published_numbers_stand_beside_ours():
    published = {row.model: row.published for row in l63_models.ROWS}
    assert published["True equations"] == 0.50
    assert [published[f"Bi-NN(4), noise {n}"] for n in ("0", "0.5", "1")] == [
        *(0.60, 0.75, 0.86)
    ]
    assert [published[f"Analogs, noise {n}"] for n in ("0", "0.5", "1")] == [
        *(0.65, 1.17, 1.81)
    ]
    assert {row.name: dict(row.dapper) for row in methods.ROWS if row.dapper} == {
        "OI from the climate": {None: 0.94},
        "3DVar, 0.02 of the climate's covariance": {None: 0.435},
        "ETKF, inflation 1.02, rotated": {24: 0.178},
        "DEnKF, inflation 1.01": {40: 0.192},
        "EnKF-N, twice the weight, rotated": {24: 0.186},
        "Stochastic EnKF, inflation 1.06": {40: 0.227},
        "LETKF, inflation 1.04, length 4": {7: 0.226},
        "IEnKS of 4 times, inflation 1.03, every 4th step": {20: 0.296},
    }


def test_joint_fits_are_told_the_noise_of_their_states(monkeypatch):
    """Of the two models that a fit gives each row takes its own."""
    told = []

    def joint(observations):
        told.append(observations)
        yield noisy_models.Made(noisy_models.DENSE, Integrated(Lorenz63(1.0), 0.01))
        yield noisy_models.Made(noisy_models.PRUNED, Integrated(Lorenz63(2.0), 0.01))

    monkeypatch.setattr(noisy_models, "joint", joint)
    states = jnp.zeros((5, 3))
    rows = [row for row in l63_models.ROWS if row.kind in l63_models.JOINT]
    assert [row.noise for row in rows] == 2 * [0.0, 0.25, 0.5, 1.0]
    assert sum(row.quick for row in rows) == 1
    for row in rows:
        cell = l63_models.made(row, states, TINY, 0)
        assert isinstance(cell, Integrated)
        assert cell.tendency.sigma == (1.0 if row.kind == "dense" else 2.0)
        noise = row.noise or 0.0
        variance = max(noise, 1e-3) ** 2
        np.testing.assert_allclose(told[-1].error.variances(), variance)
        values = np.asarray(told[-1].values)
        np.testing.assert_array_equal(values, with_noise(states, noise, 0))


def test_lorenz63_is_followed_and_written(tmp_path, monkeypatch):
    assert "lorenz63-assimilation" in names()
    rows = tuple(
        row._replace(quick=True)
        for row in l63_models.ROWS
        if row.noise in (None, 0.0) and row.kind != "analogs"
    )
    monkeypatch.setattr(l63, "SMALL", TINY)
    monkeypatch.setattr(l63, "ROWS", rows)
    lorenz63_assimilation.run(tmp_path, seed=1, small=True, say=lambda _: None)
    document, scores = read_scores(tmp_path / "scores.json")
    assert document["settings"]["segments"] == 3
    at = {(s.case, s.model, s.metric): s.value for s in scores}
    alone, everything = "x observed", "x, y, z observed"
    for case, most in ((alone, 1.4), (everything, 0.3)):
        true = at[case, "True equations", "rmse_smoother"]
        assert true < at[case, "True equations", "rmse_filter"]
        assert true < most
        # Learned from clean states it is as good as the equations, pair by pair.
        learned = at[case, "Bi-NN(4), noise 0", "ratio_smoother"]
        assert learned == pytest.approx(1, abs=0.01)
    (found,) = [
        s for s in scores
        if s.published == 0.60 and s.model == "Bi-NN(4), noise 0"
    ]  # fmt: skip
    assert (found.case, found.metric) == (alone, "rmse_smoother")
    model, _ = load(tmp_path / "models" / "bilinear-noise-0.safetensors")
    assert isinstance(model, Integrated)
    page = (tmp_path / "report.html").read_text()
    assert "What 0.50 may be" in page
    assert "Rank histogram" in page


def test_lorenz96_reaches_the_table_and_is_written(tmp_path, monkeypatch):
    assert "lorenz96-assimilation" in names()
    method = ETKF(Multiplicative(jnp.array(1.02)), rotated=True)
    name, other = "ETKF, inflation 1.02, rotated", "3DVar, 0.02 of the climate"
    rows = (
        Row(name, lambda _: method, (24,), (24,), {24: 0.178}),
        Row(
            other,
            lambda states: ThreeDVar(climatology(states, 0.02)),
            (None,),
            (None,),
            {None: 0.435},
            every=2,
        ),
    )
    monkeypatch.setattr(l96, "ROWS", rows)
    monkeypatch.setattr(l96_page, "ROWS", rows)
    monkeypatch.setattr(l96, "QUICK_CYCLES", 250)
    lorenz96_assimilation.run(tmp_path, seed=0, small=True, say=lambda _: None)
    _, scores = read_scores(tmp_path / "scores.json")
    at = {s.metric: s for s in scores if s.model == name}
    (static,) = [s for s in scores if s.model == other and s.metric == "rmse_filter"]
    assert 0.3 < static.value < 1
    assert static.case == "no ensemble"
    assert at["rmse_filter"].value < 0.25  # of few cycles, the first among them
    assert at["rmse_filter"].published == 0.178
    assert at["spread_filter"].value == pytest.approx(at["rmse_filter"].value, rel=0.25)
    assert at["seeds_lost"].value == 0
    assert "DAPPER" in (tmp_path / "report.html").read_text()


def test_a_filter_of_too_few_members_is_said_to_be_lost():
    keys = jax.random.split(jax.random.key(0), 2)
    method = ETKF(Multiplicative(jnp.array(1.02)), rotated=True)
    found = reach(method, 6, 250, keys)
    assert found.lost == 2
    assert found.median > 1
