"""One ensemble filter, unchanged, over every kind of cell: its whole carry."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_recurrent import cell_of

from tendency import (
    Augmented,
    Integrated,
    Latent,
    Observations,
    Windows,
    adams_bashforth3,
    assimilate,
    ensemble_of,
    forecast,
)
from tendency.assimilation import ETKF, Multiplicative
from tendency.cell import Standardisation
from tendency.grid import Axis, Grid
from tendency.networks import GRU, MLP, Bilinear
from tendency.networks.attention import CausalTransformer, TransformerCell
from tendency.networks.maps import (
    ConvLSTM,
    Convolution,
    DenseAutoEncoder,
    Frame,
    MapRecurrent,
    stacked_maps,
)
from tendency.observing import flat
from tendency.physics import Lorenz63
from tendency.physics.nonlinear_waves import burgers
from tendency.statistical import analog, sparse_regression
from tendency.symbolic.generated import generate

KEY = jax.random.key(0)
START = jnp.array([8.0, 0.0, 30.0])
DT = 0.01


@pytest.fixture(scope="module")
def states():
    truth = Integrated(Lorenz63(), DT)
    return forecast(truth, truth.init(START), 300)[1]


def _bilinear(states):
    return Integrated(Bilinear.of(states, products=3, key=KEY), DT)


def _mlp(states):
    return Integrated(MLP.of(states, width=8, key=KEY), DT)


def _sparse(states):
    return Integrated(sparse_regression(states, DT), DT)


def _burgers(states):
    grid = Grid.of(Axis("x", 12))
    return Integrated(generate(burgers(0.01), grid), 0.002)


def _transformer(states):
    network = CausalTransformer(3, 3, window=4, size=4, heads=1, depth=1, key=KEY)
    return TransformerCell(network, DT, standardisation=Standardisation.of(states))


def _conv_lstm(states):
    frame, keys = Frame((1, 3, 4)), jax.random.split(KEY)
    layers = stacked_maps(ConvLSTM, frame.reads(), (2,), key=keys[0])
    readout = Convolution(2, 1, 1, key=keys[1])
    return MapRecurrent(layers, readout, frame, DT, spin_up_steps=1)


def _latent(states):
    inner = Integrated(MLP.of(states, width=4, key=KEY), DT)
    return Latent(DenseAutoEncoder((1, 3, 4), 3, (), key=KEY), inner)


MAP = jnp.sin(jnp.arange(12.0)).reshape(1, 3, 4)
WAVE = {"u": jnp.sin(jnp.arange(12.0) * np.pi / 6)}
CASES = {
    "equations, RK4": (lambda _: Integrated(Lorenz63(), DT), START),
    "equations, AB3": (lambda _: Integrated(Lorenz63(), DT, adams_bashforth3), START),
    "bilinear": (_bilinear, START),
    "MLP": (_mlp, START),
    "GRU": (lambda _: cell_of(GRU, KEY), jnp.array([1.0, -2.0])),
    "transformer": (_transformer, START),
    "analogs": (lambda s: analog(Windows.of(s, length=3), k=20, dt=DT), START),
    "sparse regression": (_sparse, START),
    "generated": (_burgers, WAVE),
    "ConvLSTM on maps": (_conv_lstm, MAP),
    "auto-encoder": (_latent, MAP),
    "parameters": (
        lambda _: Augmented(
            Integrated(Lorenz63(), DT), lambda c: (c.tendency.rho, c.tendency.beta)
        ),
        START,
    ),
}


def everything(cycle):
    pair = (cycle.background.ensemble, cycle.analysis.ensemble)
    return *pair, cycle.diagnostics.transform


@pytest.mark.parametrize("case", CASES)
def test_every_cell_is_corrected_as_a_whole(case, states):
    build, start = CASES[case]
    cell = build(states)
    ensemble = ensemble_of(cell, start, 0.3, size=6, key=KEY)
    truth = flat(start) + 0.2
    obs = Observations.of(jnp.stack([truth, truth]), [1, 2], flat, error=0.5)
    found = assimilate(cell, ensemble, obs, ETKF(), save=everything, key=KEY)
    # A misfit in the units of the errors never grows in a linear analysis.
    assert (jnp.abs(found.residual) <= jnp.abs(found.innovation)).any(1).all()
    background, analysis, transform = found.saved
    weights = np.asarray(jax.vmap(lambda t: t.matrix())(transform))
    for before, after in zip(
        jax.tree.leaves(background), jax.tree.leaves(analysis), strict=True
    ):
        assert before.dtype == after.dtype
        if not eqx.is_inexact_array(before):
            assert np.array_equal(before, after)
            continue
        combined = np.einsum("tij,tj...->ti...", weights, before)
        scale = np.abs(combined).max() + 1e-300
        assert np.abs(after - combined).max() < 1e-12 * scale
    assert jax.tree.structure(analysis) == jax.tree.structure(background)


def test_parameters_are_estimated_with_the_state():
    """Lorenz-63 with ρ 5 % too large: twin observations bring it back."""
    truth = Integrated(Lorenz63(), 0.02)
    _, states = forecast(truth, truth.init(START), 1500, every=10)
    obs = Observations.of(
        states + 0.5 * jax.random.normal(KEY, states.shape),
        10 * np.arange(1, 151),
        error=0.25,
    )
    cell = Augmented(Integrated(Lorenz63(), 0.02), lambda c: c.tendency.rho)
    prior = ensemble_of(cell, START, 1.0, size=12, key=KEY)
    rho = 29.4 + 0.7 * jax.random.normal(jax.random.key(1), (12,))
    prior = eqx.tree_at(lambda p: p.memory[1], prior, rho)
    method = ETKF(Multiplicative(1.02), rotated=True)
    found = assimilate(cell, prior, obs, method, key=KEY)
    rho = found.final.belief.ensemble.memory[1]
    assert abs(rho.mean() - 28) < 0.1
    assert rho.std() < 0.15
    error = jnp.sqrt(((found.analysis_mean - states) ** 2).mean(1))[50:].mean()
    assert error < 0.35  # observations err by 0.5
