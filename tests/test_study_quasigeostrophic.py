"""The study of eddies and gyres: conservation in both, and what it writes."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tendency.cell import Carry
from tendency.studies import find
from tendency.studies.quasigeostrophic import gyre, study
from tendency.studies.quasigeostrophic.gyre import Basin, Observed
from tendency.studies.quasigeostrophic.setting import MIDLAT, Flow, Size, model, noise
from tendency.studies.quasigeostrophic.statistics import (
    autocorrelation,
    e_folding_distance,
    slope,
    spectrum,
)

TINY = Basin(points=24, friction=6e12, spin_up=2, days=4, every=1)


@pytest.fixture(scope="module")
def gyres():
    return gyre.model(TINY)


def anomaly(points, seed=0):
    rng = np.random.default_rng(seed)
    x = (np.arange(points) + 0.5) / points * np.pi
    waves = np.sin(np.outer(np.arange(1, 5), x))
    fields = np.einsum("lij,iy,jx->lyx", rng.normal(size=(2, 4, 4)), waves, waves)
    return {f"q{i + 1}": jnp.asarray(1e-5 * f) for i, f in enumerate(fields)}


def test_every_change_of_the_gyres_energy_is_accounted_for(gyres):
    """-Σ hᵢ ψᵢ ∂qᵢ/∂t by the model is the sum of the rates by their formulas."""
    state = anomaly(TINY.points)
    observed = eqx.filter_jit(Observed(gyres.diagnose))
    _, means = observed(Carry(state))
    slopes = eqx.filter_jit(gyres.cell.tendency)(state)
    found = eqx.filter_jit(gyres.diagnose)(state)
    p = gyres.diagnose.parameters
    parts = [-p[f"h{i}"] * found[f"psi{i}"] * slopes[f"q{i}"] for i in (1, 2)]
    rates = [means[name] for name in gyre.RATES]
    scale = sum(jnp.mean(abs(x)) for x in parts)
    assert abs(sum(map(jnp.mean, parts)) - sum(rates)) < 1e-12 * scale
    assert means["drag"] < 0
    assert means["friction"] < 0


def test_no_layer_of_the_basin_gains_volume(gyres):
    carry = Carry(anomaly(TINY.points), gyres.cell.init(anomaly(TINY.points)).memory)
    step = eqx.filter_jit(gyres.cell.step)
    for _ in range(3):
        carry = step(carry)
    _, means = eqx.filter_jit(Observed(gyres.diagnose))(carry)
    assert abs(means["volume"]) < 1e-12


def test_the_layers_of_the_basin_obey_their_definition(gyres):
    """q₁ = ∇²ψ₁ - F₁ (ψ₁ - ψ₂), with the stream functions constant at the walls."""
    state = anomaly(TINY.points)
    found, p = eqx.filter_jit(gyres.diagnose)(state), gyres.diagnose.parameters
    between = found["phi"] + found["C"]
    np.testing.assert_allclose(
        found["zeta1"] - p["F1"] * between, state["q1"], atol=1e-16
    )
    step = TINY.length / TINY.points
    psi = jnp.pad(found["psi1"], 1, mode="symmetric")
    edge = np.ones((TINY.points + 2,) * 2)
    edge[[0, -1], :] *= -1
    edge[:, [0, -1]] *= -1
    psi = psi * edge
    around = psi[2:, 1:-1] + psi[:-2, 1:-1] + psi[1:-1, 2:] + psi[1:-1, :-2]
    laplacian = (around - 4 * psi[1:-1, 1:-1]) / step**2
    np.testing.assert_allclose(found["zeta1"], laplacian, atol=1e-11 * 1e-5)


def test_eddies_of_a_box_keep_their_mean_and_their_energy_budget():
    """Without drag and filter the energy changes by the conversion alone."""
    from tendency.studies.quasigeostrophic.budget import Observed as Budget

    setting = MIDLAT._replace(bottom_drag=0.0)
    cell = model(24, setting)
    budget = Budget(cell, Flow(24, setting))
    state = noise(24, jax.random.key(0), setting)
    energy = lambda s: sum(budget.energies(s).values())  # noqa: E731
    slope_of = eqx.filter_jit(lambda s: jax.jvp(energy, (s,), (cell.tendency(s),))[1])
    rates = eqx.filter_jit(budget.rates)(state)
    assert float(slope_of(state)) == pytest.approx(float(rates["conversion"]), rel=1e-9)


def test_statistics_of_known_fields():
    points, length = 64, 1.28e6
    x = np.arange(points) * length / points
    wave = np.sin(2 * np.pi * 4 * x / length)
    fields = np.broadcast_to(wave, (10, points, points))
    curve = spectrum(fields, length)
    total = (curve.density * (1 / length)).sum()
    assert total == pytest.approx(0.5, rel=1e-12)
    assert np.argmax(curve.density) == 3  # four waves in the box
    np.testing.assert_allclose(autocorrelation(fields, 3), 1.0)
    rng = np.random.default_rng(0)
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(points, 1 / points), np.arange(33)))
    with np.errstate(divide="ignore"):
        amplitude = np.where(k > 0, k**-2.5, 0.0)  # power of -5, times k: -4
    phases = np.exp(2j * np.pi * rng.random((50, 33, points)))
    red = np.fft.irfft2(np.swapaxes(phases * amplitude, -1, -2), s=(points, points))
    assert slope(spectrum(red, length)) == pytest.approx(-4, abs=0.15)
    bumps = np.exp(-((x - length / 2) ** 2) / (2 * 60e3**2))
    bump = np.broadcast_to(np.outer(bumps, bumps), (5, points, points))
    # The correlation of a Gaussian of width s is a Gaussian of width s √2.
    assert e_folding_distance(bump, length) == pytest.approx(120e3, rel=0.05)


def test_the_study_writes_scores_and_a_page(tmp_path, monkeypatch):
    size = Size(points=16, spin_up=5, days=30, starts=2, frames=4)
    monkeypatch.setattr(study, "SMALL", size)
    monkeypatch.setattr(study, "SMALL_GYRE", TINY)
    lines = []
    find("quasigeostrophic")(tmp_path, seed=0, small=True, say=lines.append)
    document = json.loads((tmp_path / "scores.json").read_text())
    assert {s["case"] for s in document["scores"]} == {"midlat", "gyre"}
    assert any("closed basin" in line for line in lines)
    page = (tmp_path / "report.html").read_text()
    assert "two gyres and the jet between them" in page
