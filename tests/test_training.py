"""How networks on maps are trained: averages, half precision, ensembles, patches."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose
from support import Map, fitting_problem

from tendency.cell import Carry, Constant, trainable
from tendency.errors import InputError
from tendency.fitting import Descent, EnsembleLoss, RolloutLoss, fair_crps, fit
from tendency.fitting.memory import _left_to_group, activations, available, size_of
from tendency.fitting.problem import Free, Problem
from tendency.fitting.updates import Plan
from tendency.lazy_windows import LazyWindows
from tendency.networks.maps import ConvNet, Frame, MapStepper
from tendency.windows import Window, Windows
from tendency.wrappers import Perturbed

KEY = jax.random.key(0)


# Averaged weights.


def test_the_averaged_weights_are_validated_and_returned():
    """One batch, no randomness: descent by hand, and the mean of its weights."""
    cell, windows, validation = fitting_problem()
    decay, rate, epochs = 0.75, 0.01, 12
    loss = RolloutLoss(horizon=3)
    method = Descent(optax.sgd(rate), epochs, batch=12, ema=decay)
    fitted = fit(cell, windows, method, key=KEY, loss=loss, validation=validation)

    @eqx.filter_jit
    def mean(cell, samples):
        return jax.vmap(lambda w: loss(cell, w))(samples).mean()

    slope, now, average = eqx.filter_grad(mean), cell, cell
    losses = []
    for t in range(epochs):
        change = slope(now, windows.all())
        now = jax.tree.map(lambda w, g: w - rate * g, now, change)
        share = max(1 - decay, 1 / (t + 2))
        average = jax.tree.map(lambda a, w, s=share: a + s * (w - a), average, now)
        losses.append(float(mean(average, validation.all())))
    assert_allclose(fitted.history["validation_loss"], losses, rtol=1e-12)
    assert fitted.best == np.argmin(losses) == epochs - 1
    assert_allclose(fitted.cell.matrix, average.matrix, rtol=1e-12)


# Half precision.


def network(noise=0, activation=jax.nn.gelu, dtype=jnp.float32):
    frame = Frame((1, 4, 4), dtype=dtype)
    net = ConvNet(
        frame.reads() + noise, 1, 2, 2, kernel=1, activation=activation, dtype=dtype,
        key=KEY,
    )  # fmt: skip
    return MapStepper(net, frame, 1.0, noise=noise)


def test_products_in_half_precision_and_weights_in_single():
    cell = network()
    states = jax.random.normal(KEY, (20, 1, 4, 4), jnp.float32)
    seen = []

    def loss(cell, window, *, key):
        seen.append(cell.network.layers[0].kernel.dtype)
        return RolloutLoss()(cell, window, key=key)

    windows = Windows.of(states, 3)
    method = Descent(optax.adam(0.01), 20, batch=9, precision=jnp.bfloat16)
    fitted = fit(cell, windows, method, key=KEY, loss=loss, validation=windows)
    assert {d.name for d in seen} == {"bfloat16", "float32"}  # train and validation
    assert all(a.dtype == jnp.float32 for a in jax.tree.leaves(fitted.cell))
    losses = fitted.history["train_loss"]
    assert losses.dtype == np.float32
    assert losses[-1] < 0.9 * losses[0]
    # Weights of half precision could not have moved by so little.
    moved = np.asarray(fitted.cell.network.layers[0].kernel)
    assert not np.array_equal(moved, moved.astype(jnp.bfloat16).astype(np.float32))


# Ensembles.


def test_an_ensemble_loss_is_the_score_of_the_members():
    cell = Perturbed(Map(0.5 * jnp.eye(2), jnp.ones(2)), 0.3)
    states = jax.random.normal(KEY, (4, 2))
    weights = jnp.asarray([1.0, 1.0, 0.5, 0.0])
    loss = EnsembleLoss(3, noise=Constant(jnp.asarray(0.2)), fairness=0.9)
    found = loss(cell, Window(states, None, weights), key=KEY)
    members = []
    for key in jax.random.split(KEY, 3):
        key, start = jax.random.split(key)
        (start,) = jax.random.split(start, 1)
        drawn = jax.random.normal(start, (4, 2))
        carry, told = Carry(states[0] + 0.2 * drawn[0]), []
        for step in jax.random.split(key, 3):
            carry = cell.step(carry, key=step)
            told.append(carry.state)
        members.append(jnp.stack(told))
    w = jnp.broadcast_to(weights[1:, None], (3, 2))
    expected = fair_crps(jnp.stack(members), states[1:], w, fairness=0.9)
    assert_allclose(found, expected, rtol=1e-12)
    fixed = loss(cell, Window(states))
    assert fixed == loss(cell, Window(states))
    with pytest.raises(InputError, match="ensemble of 1 member"):
        EnsembleLoss(1)


def test_the_spread_that_is_learned_is_that_of_the_model_error():
    """x' = a x + s ε: the fair CRPS is least for a and s, and finds both."""
    a, s, count = 0.8, 0.6, 20_000
    noise = s * np.random.default_rng(0).normal(size=count)
    x = np.zeros(count)
    for k in range(1, count):
        x[k] = a * x[k - 1] + noise[k]
    windows = Windows.of(x[:, None], 2)
    cell = Perturbed(Map(jnp.zeros((1, 1)), jnp.zeros(1)), 1.0)
    optimiser = optax.adam(optax.cosine_decay_schedule(0.05, 400))
    fitted = fit(
        cell,
        windows,
        Descent(optimiser, 10, batch=500, ema=0.95),
        key=KEY,
        loss=EnsembleLoss(4),
        where=lambda c: (c.cell.matrix, c.cell.offset, c.std.value),
    ).cell
    # The standard error of s from so many draws is 0.5 %, of a 0.004.
    assert_allclose(fitted.std.value, s, rtol=0.02)
    assert_allclose(fitted.cell.matrix, [[a]], atol=0.02)
    # Noise that a network reads as a map: what it makes of it is the same model error.
    maps = x[: 16 * 1250].reshape(16, 1250).T.reshape(1250, 1, 4, 4)
    stepper = network(1, activation=lambda v: v, dtype=jnp.float64)
    method = Descent(optax.adam(optax.cosine_decay_schedule(0.05, 600)), 15, batch=31)
    fitted = fit(
        stepper, Windows.of(maps, 2), method, key=KEY, loss=EnsembleLoss(4)
    ).cell
    zero = Carry(jnp.zeros((1, 4, 4)))
    mean = fitted.step(zero).state
    drawn = jax.vmap(lambda k: fitted.step(zero, key=k).state)(
        jax.random.split(KEY, 2000)
    )
    assert_allclose(drawn.std(), s, rtol=0.03)
    assert_allclose(mean, 0, atol=0.03)
    one = eqx.tree_at(lambda c: c.state, zero, jnp.ones((1, 4, 4)))
    assert_allclose(fitted.step(one).state - mean, a, atol=0.03)


# Memory.


def test_what_a_step_needs_is_told_before_it_starts(monkeypatch):
    """The carries of a roll-out, and one step of it where it is recomputed."""
    cell = network(dtype=jnp.float64)
    states = jax.random.normal(KEY, (60, 1, 4, 4))
    free, fixed = eqx.partition(cell, trainable(cell))

    def kept(batch, **options):
        loss, windows = RolloutLoss(**options), Windows.of(states, 41)
        plan = Plan(
            Problem(fixed, windows, loss, None), optax.sgd(0.1), KEY, 20, batch, None,
            None,
        )  # fmt: skip
        return activations(plan, Free(free), loss)

    plain, weights = kept(4), size_of(free)
    assert_allclose(kept(8), 2 * plain, rtol=0.05)
    assert plain > 4 * states[:40].nbytes  # a carry a step at least
    again, parts = kept(4, checkpoint=True), kept(4, checkpoint=8)
    assert again < parts < plain / 3
    assert again > plain / 40 + weights
    monkeypatch.setattr("tendency.fitting.memory._SMALL", 0)
    monkeypatch.setattr("tendency.fitting.memory.available", lambda _: plain)
    method, windows = Descent(optax.adam(0.1), 1, batch=4), Windows.of(states, 41)
    with pytest.raises(InputError, match=r"about .* GB of memory.*lower the batch \(4"):
        fit(cell, windows, method, key=KEY)
    with pytest.raises(InputError, match="give the loss checkpoint=True"):
        fit(cell, LazyWindows(states, 41), method, key=KEY)


def test_what_is_free_heeds_the_limit_of_a_group(tmp_path):
    """Files that are held in memory give way."""
    assert _left_to_group(tmp_path) is None
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text(
        "anon 500\nactive_file 100\ninactive_file 250\n"
    )
    assert _left_to_group(tmp_path) == 450
    (tmp_path / "memory.max").write_text("max\n")
    assert _left_to_group(tmp_path) is None
    free = available(jax.devices("cpu")[0])
    assert free is None or free > 0
