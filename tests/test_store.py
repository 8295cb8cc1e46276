"""Saved models: every kind comes back as it was, and no file runs anything."""

import importlib
import inspect
import os
import sys

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest
from numpy.testing import assert_array_equal
from support import Map, oscillator

import tendency.networks as nets
import tendency.networks.attention as attention
import tendency.networks.maps as maps
import tendency.statistical as stats
from tendency.cell import AbstractCell, Constant, Standardisation
from tendency.errors import InputError
from tendency.files import write_tensors
from tendency.forecasting import forecast, spin_up
from tendency.integrate import (
    Diffrax,
    Integrated,
    adams_bashforth3,
    dormand_prince5,
    euler,
    rk4,
    ssprk3,
)
from tendency.physics import Lorenz63, Lorenz96
from tendency.store import load, save
from tendency.windows import Windows
from tendency.wrappers import Augmented, Latent, PatternNoise, Perturbed, Sum

KEY = jax.random.key(0)
SCALE = Standardisation(jnp.array([1.0, 2.0, 3.0]), jnp.array([2.0, 0.5, 1.0]))
SERIES = np.random.default_rng(0).normal(size=(40, 3))


def network(kind):
    return nets.Recurrent([kind(3, 4, key=KEY), kind(4, 4, key=KEY)], 3, key=KEY)


def implicit():
    root_finder = diffrax.VeryChord(rtol=1e-8, atol=1e-8)
    return Diffrax(diffrax.Kvaerno3(root_finder=root_finder))


def adaptive():
    return Diffrax(diffrax.Tsit5(), diffrax.PIDController(rtol=1e-6, atol=1e-8))


MODELS = {
    "euler": lambda: Integrated(Lorenz63(), 0.01, euler),
    "ssprk3": lambda: Integrated(Lorenz63(), 0.01, ssprk3),
    "rk4 substeps": lambda: Integrated(Lorenz96(), 0.05, rk4, substeps=3),
    "dormand_prince5": lambda: Integrated(Lorenz63(rho=27.0), 0.01, dormand_prince5),
    "adams_bashforth3": lambda: Integrated(Lorenz63(), 0.01, adams_bashforth3),
    "diffrax fixed": lambda: Integrated(Lorenz63(), 0.01, Diffrax(diffrax.Dopri8())),
    "diffrax adaptive": lambda: Integrated(Lorenz63(), 0.01, adaptive()),
    "diffrax implicit": lambda: Integrated(Lorenz63(), 0.01, implicit()),
    "perturbed sum": lambda: Perturbed(
        Integrated(Sum(Lorenz63(), nets.MLP(3, 4, key=KEY)), 0.01), jnp.ones(3)
    ),
    "bilinear": lambda: Integrated(
        nets.Bilinear(3, 2, standardisation=SCALE, key=KEY), 0.01
    ),
    "mlp": lambda: Integrated(nets.MLP(3, 4, 1, jax.nn.relu, key=KEY), 0.01),
    "rnn": lambda: nets.RecurrentCell(network(nets.RNN), 0.1, spin_up_steps=2),
    "lstm": lambda: nets.RecurrentCell(
        network(nets.LSTM), 0.1, spin_up_steps=2, standardisation=SCALE
    ),
    "gru": lambda: nets.RecurrentCell(network(nets.GRU), 0.1, spin_up_steps=2),
    "encoder and decoder": lambda: nets.EncoderDecoder(
        network(nets.GRU).stack, network(nets.GRU), 0.1, spin_up_steps=3
    ),
    "temporal cnn": lambda: nets.TemporalCNN(
        nets.CausalConvolutions(3, 3, 4, dilations=(1, 2), kernel=2, key=KEY), 0.1
    ),
    "transformer": lambda: attention.TransformerCell(
        attention.CausalTransformer(
            3, 3, window=3, size=4, heads=1, positions="learned", key=KEY
        ),
        0.1,
    ),
    "two transformers": lambda: attention.EncoderDecoderTransformer(
        3, 0.1, window=3, size=4, heads=1, standardisation=SCALE, key=KEY
    ),
    "convolutional": lambda: nets.Convolutional(
        (1, 2, 2), jnp.array([0, 1, 3]), dt=1.0, width=2, kernel=3, lags=(1, 3), key=KEY
    ),
    "persistence": lambda: stats.Persistence(0.1),
    "damped persistence": lambda: stats.damped_persistence(Windows.of(SERIES, 2), 0.1),
    "climatology": lambda: stats.Climatology(
        jnp.asarray(SERIES[:5]), (24.0, 365.25), (1, 1), 1.0
    ),
    "linear autoregression": lambda: stats.linear_ar(Windows.of(SERIES, 4), dt=0.1),
    "analogs": lambda: stats.analog(
        Windows.of(SERIES, 3), k=5, dt=0.1, method="increment"
    ),
    "sparse regression": lambda: Integrated(
        stats.SparseTendency(
            stats.Polynomial(2, constant=False) + stats.Fourier((1.0, 2.5)),
            jnp.ones((3, 21)),
            Constant(jnp.arange(63).reshape(3, 21) % 2 == 0),
        ),
        0.01,
    ),
}


# On maps, their states the vectors of three points.
POINTS = maps.Frame((1, 2, 2), np.array([0, 1, 3]), standardisation=SCALE)
WIDE = maps.Edges("replicate", "replicate", partial=True)


def stepper(frame=POINTS):
    network = maps.UNet(2, 1, (2, 2), edges=WIDE, key=KEY)
    return maps.MapStepper(network, frame, 0.1)


def readout():
    return maps.Convolution(2, 1, 1, key=KEY)


def hidden(kind):
    return maps.stacked_maps(kind, 2, (2,), key=KEY)


def corrector():
    network = maps.ResNet(3, 1, 2, 1, key=KEY)
    return maps.MapCorrector(stats.Persistence(0.1), network, POINTS)  # pyright: ignore


def recurrent_maps(layers):
    return maps.MapRecurrent(layers, readout(), POINTS, 0.1, spin_up_steps=1)


def recurrent_corrector():
    layers = maps.stacked_maps(maps.ConvLSTM, 3, (2,), key=KEY)
    still = stats.Persistence(0.1)  # pyright: ignore
    return maps.RecurrentCorrector(still, layers, readout(), POINTS, spin_up_steps=1)


MODELS |= {
    "unet": stepper,
    "fno": lambda: maps.MapStepper(
        maps.FNO(2, 1, 2, 1, modes=(1, 1), key=KEY), POINTS, 0.1
    ),
    "convlstm": lambda: recurrent_maps(hidden(maps.ConvLSTM)),
    "predrnn": lambda: recurrent_maps(maps.PredRNN(2, 2, 1, key=KEY)),
    "encoder-forecaster": lambda: maps.EncoderForecaster(
        hidden(maps.ConvGRU), hidden(maps.ConvGRU), readout(), POINTS, 0.1,
        spin_up_steps=1,
    ),
    "corrector": corrector,
    "recurrent corrector": recurrent_corrector,
    "patchwork": lambda: maps.Patchwork(stepper(maps.Frame((1, 4, 4))), (3, 3), 1),
    "latent": lambda: Latent(
        maps.DenseAutoEncoder(3, 2, (), key=KEY), stats.Persistence(0.1)  # pyright: ignore
    ),
    "pattern noise": lambda: PatternNoise(
        Integrated(Lorenz63(), 0.01), jnp.ones((2, 3))
    ),
}  # fmt: skip


@eqx.filter_jit
def states(cell):
    carry = spin_up(cell, jnp.asarray(SERIES[: cell.spin_up_steps + 1]))
    times = jnp.arange(2.0) if isinstance(cell, stats.Climatology) else None
    return forecast(cell, carry, 2, times)[1]


# Equal trees are equal programs; where the class has been run above it is left at that.
SAME_CODE = {"euler", "ssprk3", "dormand_prince5", "lstm", "patchwork", "predrnn"} | {
    name for name in MODELS if name.startswith("diffrax")
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_back_as_it_was(tmp_path, name):
    model = MODELS[name]()
    save(tmp_path / "model.safetensors", model, {"name": name})
    loaded, metadata = load(tmp_path / "model.safetensors")
    assert metadata == {"name": name}
    assert type(loaded) is type(model)
    assert eqx.tree_equal(model, loaded, typematch=True)
    if name not in SAME_CODE:
        assert_array_equal(states(loaded), states(model))


def test_every_kind_of_cell_is_among_those_tried():
    """A cell that is added to the library must be added above."""
    kinds = {type(model()) for model in MODELS.values()} | {Augmented}
    rooms = [f"tendency.{r}" for r in ("integrate", "wrappers")] + [nets, maps, stats]
    rooms = [importlib.import_module(r) if isinstance(r, str) else r for r in rooms]
    found = {c for room in rooms for c in vars(room).values() if inspect.isclass(c)}
    cells = {c for c in found if issubclass(c, AbstractCell)}
    assert {c for c in cells if not inspect.isabstract(c)} <= kinds


class Odds(eqx.Module):
    """All that a field may be."""

    values: dict
    numbers: tuple
    none: None
    small: jax.Array
    flags: jax.Array
    shape: tuple = eqx.field(static=True)


def odds():
    return Odds(
        {"a": jnp.zeros((0, 3)), "b": [Constant(jnp.arange(3)), "text"]},
        (1, True, 0.1, float("inf"), -float("inf"), optx.rms_norm, jnp.tanh, ()),
        None,
        jnp.asarray(0.1, jnp.float32),
        jnp.array([True, False]),
        (4, 0.5, "same"),
    )


def test_whatever_a_field_may_be_comes_back(tmp_path):
    save(tmp_path / "m", odds(), {"units": "°C", "leads": [1, 2.5, None]})
    loaded, metadata = load(tmp_path / "m", [Odds])
    assert eqx.tree_equal(loaded, odds(), typematch=True)
    assert hash(jax.tree.structure(loaded)) == hash(jax.tree.structure(odds()))
    assert metadata == {"units": "°C", "leads": [1, 2.5, None]}


def test_a_class_of_ones_own_must_be_given(tmp_path):
    cell = Map(jnp.eye(2), jnp.ones(2))
    save(tmp_path / "m", cell)
    with pytest.raises(InputError, match=r"holds a support.Map, which is not a class"):
        load(tmp_path / "m")
    loaded, metadata = load(tmp_path / "m", [Map])
    assert eqx.tree_equal(loaded, cell)
    assert metadata == {}


@pytest.mark.parametrize(
    ("model", "place"),
    [
        (
            Augmented(Integrated(oscillator(), 0.1), lambda c: c.tendency.matrix),
            "where",
        ),
        (Integrated(lambda x, u: -x, 0.1), "tendency"),
        ({"a": [object()]}, "a.0"),
        ({1: 2.0}, "model"),
    ],
)
def test_what_cannot_be_rebuilt_is_refused_and_nothing_written(tmp_path, model, place):
    with pytest.raises(InputError, match=f"{place} is .*, which a file cannot hold"):
        save(tmp_path / "m", model)
    assert os.listdir(tmp_path) == []


def test_a_failed_save_keeps_the_old_model(tmp_path, monkeypatch):
    save(tmp_path / "m", Lorenz63())

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match=r"m could not be written \(No space left"):
        save(tmp_path / "m", Lorenz96())
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["m"]
    assert eqx.tree_equal(load(tmp_path / "m")[0], Lorenz63())


def good():
    fields = {"sigma": {"array": "s"}, "rho": {"array": "s"}, "beta": {"array": "s"}}
    return {"class": "tendency.physics.lorenz63.Lorenz63", "fields": fields}


def handmade(path, model, **header):
    """A file that only a hand could write: whole, with a description of its own."""
    description = {"format": "tendency-model-1", "metadata": {}, "model": model}
    write_tensors(path, {"s": np.array(1.0)}, description | header)


def without(key):
    description = good()
    del description["fields"][key]
    return description


UNKNOWN = "which is not a class of this version"
DAMAGED = "does not describe a whole model"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"class": "os.system", "fields": {"command": "true"}}, UNKNOWN),
        ({"class": "builtins.eval", "fields": {}}, UNKNOWN),
        ({"class": "subprocess.Popen", "fields": {"args": "true"}}, UNKNOWN),
        ({"class": "builtins.object", "fields": {}}, UNKNOWN),
        ({"class": "tendency.cell.jax", "fields": {}}, UNKNOWN),
        ({"class": "tendency.cell.Tendency", "fields": {}}, UNKNOWN),
        ({"class": "tendency.errors.InputError", "fields": {}}, UNKNOWN),
        ({"class": "tendency.networks.Transformer", "fields": {}}, UNKNOWN),
        ({"class": "tendency.networks..os", "fields": {}}, UNKNOWN),
        ({"class": "", "fields": {}}, UNKNOWN),
        ({"class": "tendency.cell.AbstractCell", "fields": {}}, "instantiate abstract"),
        (without("beta"), r"with the fields \['rho', 'sigma'\] and this version's has"),
        ({"class": 3, "fields": {}}, DAMAGED),
        ({"class": ["os", "system"], "fields": {}}, DAMAGED),
        ({"class": good()["class"]}, DAMAGED),
        ({"array": "nowhere"}, DAMAGED),
        ({"array": ["s"]}, DAMAGED),
        ({"named": "eval"}, DAMAGED),
        ({"named": {}}, DAMAGED),
        ({"float": "1"}, DAMAGED),
        ({"tuple": 3}, DAMAGED),
        ({"dict": [1]}, DAMAGED),
        ({"surprise": 3}, DAMAGED),
        ({}, DAMAGED),
    ],
)
def test_a_header_that_names_what_it_should_not_is_refused(tmp_path, model, message):
    handmade(tmp_path / "m", model)
    with pytest.raises(InputError, match=message):
        load(tmp_path / "m")


def test_a_handmade_file_is_otherwise_a_model(tmp_path):
    handmade(tmp_path / "m", good())
    model, _ = load(tmp_path / "m")
    assert eqx.tree_equal(model, Lorenz63(1.0, 1.0, 1.0))


@pytest.mark.parametrize("name", ["trap.Trap", "tendency.networks.trap.Trap"])
def test_loading_imports_nothing_that_a_file_names(tmp_path, monkeypatch, name):
    sprung = tmp_path / "sprung"
    (tmp_path / "trap.py").write_text(f"open({str(sprung)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    handmade(tmp_path / "m", {"class": name, "fields": {}})
    with pytest.raises(InputError, match=UNKNOWN):
        load(tmp_path / "m")
    assert not sprung.exists()
    assert "trap" not in sys.modules


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            {"format": "tendency-model-2"},
            "'tendency-model-2' and 'tendency-model-1' was",
        ),
        ({"format": "tendency-checkpoint-1"}, "it is no saved model"),
        ({"format": None}, "None and 'tendency-model-1'"),
        ({"metadata": 3}, DAMAGED),
    ],
)
def test_a_file_of_another_kind_or_version_is_refused(tmp_path, header, message):
    handmade(tmp_path / "m", good(), **header)
    with pytest.raises(InputError, match=message):
        load(tmp_path / "m")


def test_a_file_without_a_model_is_refused(tmp_path):
    write_tensors(tmp_path / "m", {}, {"format": "tendency-model-1"})
    with pytest.raises(InputError, match=DAMAGED):
        load(tmp_path / "m")
