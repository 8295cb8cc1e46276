"""The studies of emulators: their quick looks, and the free runs that keep energy."""

import dataclasses
import json

import equinox as eqx
import numpy as np
import pytest
import xarray as xr

from tendency.networks.maps import Edges
from tendency.studies import autoencoder, currents, sst, temperature
from tendency.studies._fields.baselines import prepared
from tendency.studies._fields.emulation import compare, sections
from tendency.studies._fields.emulators import (
    Record,
    Stencil,
    Training,
    beside,
    chosen_stencil,
    learn,
    stencil,
    unet,
)
from tendency.studies._fields.fields import Fields, simulated_fields
from tendency.studies._fields.free_run import energies, true_energies, with_noise
from tendency.studies._fields.noise import missed, patterns
from tendency.studies._fields.simulated import advected
from tendency.studies._fields.split import split_at


def carried(times=120, shape=(10, 12), seed=3) -> Fields:
    """A field that is carried along and renewed, on a plane."""
    values = advected(
        times, shape, velocity=(0.0, 0.7), lifetime=30.0, slope=2.0, seed=seed
    )
    times_of = np.datetime64("2001-01-01") + np.arange(times)
    axes = {"y": 2.0 * np.arange(shape[0]), "x": 2.0 * np.arange(shape[1])}
    data = {"h": (("time", "y", "x"), values, {"units": "m"})}
    return simulated_fields(xr.Dataset(data, {"time": times_of, **axes}), "waves")


@pytest.fixture(scope="module")
def record() -> Record:
    fields = carried()
    split = split_at(fields, 0.75)
    return Record.of(fields, split, prepared(fields, split.train, (), None))


@pytest.fixture(scope="module")
def base(record):
    return stencil(record, Stencil(lags=2, kernel=3, coarse=0))


def test_an_unfitted_network_beside_a_stencil_changes_nothing(record, base):
    cell = beside(record, base, unet(record, (2, 3), Edges(), seed=0))
    state = record.states[5]
    carry, alone = cell.init(state), base.init(state)
    np.testing.assert_array_equal(cell.step(carry).state, base.step(alone).state)


def test_the_end_of_the_training_part_chooses_the_stencil(record):
    """A field that goes 0.7 points a step is not told by the point alone."""
    alone, around = Stencil(2, 1, 0), Stencil(2, 3, 0)
    assert chosen_stencil(record, (alone, around), 3) == around
    assert chosen_stencil(record, (alone,), 3) == alone


def test_a_network_learns_and_keeps_its_best_epoch(record, base):
    cell = beside(record, base, unet(record, (2, 3), Edges(), seed=0))
    told = []
    found = learn(record, cell, Training(2, 2), seed=0, name="UNet", say=told.append)
    assert len(found.history["validation_loss"]) == 2
    assert told[0].startswith("UNet: ")
    assert not eqx.tree_equal(found.model.cell, cell)


def test_what_was_missed_has_the_covariance_of_its_patterns(record, base):
    errors = missed(base, record, record.split.train)
    step = np.asarray(base.step(base.init(record.states[0])).state)
    assert errors.shape[1:] == step.shape
    found = patterns(errors, 0.25)
    np.testing.assert_allclose(
        0.25 * found.T @ found, errors.T @ errors / len(errors), atol=1e-4
    )


def test_drawn_errors_keep_the_energy_that_fades_without(record, base):
    starts = np.asarray([92, 95])
    calm = energies(record, base, starts, 20)
    noisy, factor = with_noise(record, base, 20, members=3)
    kept = energies(record, noisy, starts, 20, members=8)
    wanted = true_energies(
        record, np.asarray([0]), 89
    ).mean()  # of what is learned from
    assert calm[-1] < 0.6 * wanted
    assert 0.7 < kept[-5:].mean() / wanted < 1.4
    assert 0 < factor < 1.5
    half = np.mean(np.asarray(record.fields.series.states[93]) ** 2) / 2
    np.testing.assert_allclose(true_energies(record, starts[:1], 1), half, rtol=1e-6)


def test_a_quick_look_writes_scores_and_a_page(tmp_path):
    told = []
    currents.run(tmp_path, seed=0, small=True, say=told.append)
    assert told[0].startswith("no file was given: a simulation")
    document = json.loads((tmp_path / "scores.json").read_text())
    rmse = [s for s in document["scores"] if s["metric"] == "rmse"]
    models = {s["model"] for s in rmse}
    assert models == {
        "Persistence", "Damped persistence", "EOF-ridge", "Stencil", "Stencil + UNet",
        "Stencil + attention",
    }  # fmt: skip
    at = {(s["model"], s["lead"]): s["value"] for s in rmse}
    first = min(lead for _, lead in at)
    assert at["Stencil", first] < at["Persistence", first]
    page = (tmp_path / "report.html").read_text()
    assert "Gain over the best baseline" in page
    assert "A free run" in page


@pytest.mark.parametrize("study", [temperature, sst])
def test_the_other_settings_suit_their_simulations(study):
    setting = dataclasses.replace(study.setting(True), networks=lambda *_: {})
    fields = simulated_fields(setting.simulate(True, 0), setting.source)
    split = split_at(fields, setting.simulated_split)
    found = compare(setting, fields, split, seed=0, small=True, say=lambda _: None)
    assert next(s.title for s in sections(found)) == "Errors by lead time"
    assert found.rmse("Stencil")[1.0] < found.rmse("Persistence")[1.0]


def test_codecs_of_one_size_are_compared(tmp_path):
    autoencoder.run(tmp_path, seed=0, small=True, say=lambda _: None)
    document = json.loads((tmp_path / "scores.json").read_text())
    back = {
        (s["case"], s["model"]): s["value"]
        for s in document["scores"]
        if s["metric"] == "reconstruction"
    }
    assert {m for _, m in back} == {"EOF", "Dense", "Convolutional", "Variational"}
    assert "Forecasts in latent space" in (tmp_path / "report.html").read_text()
