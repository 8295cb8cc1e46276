"""The study of diffusion with a tensor: mass, decay, and its page."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from tendency.scores.records import read_scores
from tendency.studies.diffusion_2d import study
from tendency.studies.diffusion_2d.setting import (
    FLUX,
    FORMS,
    decay_error,
    model,
    square,
    tensor,
)
from tendency.symbolic.differences import Differences
from tendency.symbolic.spectral import Spectral


def test_the_tensor_is_positive_everywhere():
    k = tensor(20)
    assert float((k["k11"] * k["k22"] - k["k12"] ** 2).min()) > 0
    assert float(k["k11"].min()) > 0


def test_both_forms_agree_on_what_is_smooth():
    n = 200
    at = square(n).coordinates()
    state = {"c": jnp.cos(2 * np.pi * at["x"]) + jnp.sin(2 * np.pi * at["y"])}
    one, other = (model(form, Differences(8), n)(state)["c"] for form in FORMS)
    np.testing.assert_allclose(one, other, atol=1e-3 * float(abs(one).max()))


def test_a_mode_decays_as_it_should():
    assert decay_error(Spectral(), 16) < 1e-10
    coarse, fine = (decay_error(Differences(4), n) for n in (32, 64))
    assert np.log2(coarse / fine) == pytest.approx(4, abs=0.1)


def test_the_study_writes_scores_and_a_page(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "QUICK", 20)
    monkeypatch.setattr(study, "DECAY", {"spectral": Spectral()})
    said = []
    study.run(tmp_path, seed=0, small=True, say=said.append)
    document, scores = read_scores(tmp_path / "scores.json")
    assert document["study"] == "diffusion-2d"
    at = {(s.case, s.model, s.metric): s.value for s in scores}
    assert at["point source", f"{FLUX}, order 2", "mass drift"] < 1e-13
    assert at["point source", "product rule, order 2", "mass drift"] > 1e-4
    assert at["decay of a mode", "spectral, 16 points", "relative error"] < 1e-10
    assert "Mass" in (tmp_path / "report.html").read_text()
    assert any("report.html" in line for line in said)
    json.loads((tmp_path / "scores.json").read_text(), parse_constant=pytest.fail)
