"""What a fit brings down: the error of a roll-out, computed by hand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose
from support import Lagged, Map, noisy_series, oscillator

from tendency.cell import Carry, Constant
from tendency.fitting import RolloutLoss
from tendency.forecasting import forecast, spin_up
from tendency.integrate import Integrated, rk4
from tendency.statistical import Persistence
from tendency.windows import Window, Windows


def test_the_loss_is_the_mean_square_of_a_forecast():
    cell, states = Lagged(jnp.array([0.5, 0.3, 0.1])), jnp.asarray(noisy_series(8))
    _, ahead = forecast(cell, spin_up(cell, states[:3]), 5)
    loss = RolloutLoss()(cell, Window(states))
    assert_allclose(loss, np.mean((ahead - states[3:]) ** 2), rtol=1e-14)
    short = RolloutLoss(horizon=2)(cell, Window(states))
    assert_allclose(short, np.mean((ahead[:2] - states[3:5]) ** 2), rtol=1e-14)


def test_the_forcing_of_a_window_reaches_the_steps_as_ramps():
    cell = Integrated(oscillator(), 0.1, rk4)
    states, forcing = jnp.asarray(noisy_series(6)), jnp.asarray(noisy_series(6)[::-1])
    _, ahead = forecast(cell, Carry(states[0]), 5, forcing)
    loss = RolloutLoss()(cell, Window(states, forcing))
    assert_allclose(loss, np.mean((ahead - states[1:]) ** 2), rtol=1e-14)


def test_teacher_forcing_sums_one_step_losses():
    """Of a cell with memory too: what it remembers are the observed states."""
    cell, states = Lagged(jnp.array([0.5, 0.3, 0.1])), noisy_series(8)
    taught = RolloutLoss(teacher_forcing=True)(cell, Window(jnp.asarray(states)))
    single = jax.vmap(lambda w: RolloutLoss()(cell, w))(Windows.of(states, 4).all())
    assert_allclose(taught, np.mean(single), rtol=1e-14)


def test_a_scale_divides_the_errors_component_by_component():
    cell, x = Map(jnp.eye(2), jnp.zeros(2)), noisy_series(4)
    for scale in (np.array([2.0, 0.5]), np.array(4.0)):
        loss = RolloutLoss(scale=Constant(jnp.asarray(scale)))
        expected = np.mean(((x[0] - x[1:]) / scale) ** 2)
        assert_allclose(loss(cell, Window(jnp.asarray(x))), expected, rtol=1e-14)


def test_what_has_no_weight_has_no_say():
    """NaN or anything else may stand where the weight is zero, the start apart."""
    cell, x = Map(0.9 * jnp.eye(2), jnp.ones(2)), noisy_series(5)
    weights = np.array([[1, 1], [1, 0], [0, 0], [2, 1], [0.5, 0]])
    slope = eqx.filter_jit(eqx.filter_value_and_grad(RolloutLoss()))
    found = []
    for missing in (np.nan, 1e6):
        holed = np.where(weights > 0, x, missing)
        windows = Windows.of(holed, 5, weights=weights)
        found.append(slope(cell, windows.take(0)))
    errors = forecast(cell, Carry(jnp.asarray(x[0])), 4)[1] - x[1:]
    w = weights[1:]
    assert_allclose(found[0][0], (w * errors**2).sum() / w.sum(), rtol=1e-14)
    assert np.isfinite(jax.tree.leaves(found[0][1])[0]).all()
    assert eqx.tree_equal(*found)
    residuals = RolloutLoss().residuals(cell, windows.take(0))
    assert_allclose(np.sum(residuals**2), (w * errors**2).sum(), rtol=1e-14)


def test_a_window_without_any_weight_costs_nothing():
    cell, states = Map(jnp.eye(2), jnp.zeros(2)), jnp.asarray(noisy_series(4))
    window = Window(states, None, jnp.array([1.0, 0, 0, 0]))
    assert float(RolloutLoss()(cell, window)) == 0.0


def test_weights_of_one_axis_serve_every_leaf_of_a_state():
    cell, x = Persistence(1.0), noisy_series(4)
    weights = jnp.array([1.0, 1.0, 0.0, 2.0])
    states = {"a": jnp.asarray(x), "b": jnp.asarray(3 * x[:, 0])}
    window = Window(states, None, weights)
    a, b = (x[0] - x[1:]) ** 2, 9 * (x[0, 0] - x[1:, 0]) ** 2
    w = np.array([1.0, 0.0, 2.0])
    expected = ((w @ a).sum() + w @ b) / (3 * w.sum())
    assert_allclose(RolloutLoss()(cell, window), expected, rtol=1e-13)


def test_a_free_start_is_held_by_its_misfit_to_the_observed_state():
    cell, states = Map(0.9 * jnp.eye(2), jnp.ones(2)), jnp.asarray(noisy_series(4))
    start = states[0] + 0.5
    _, ahead = forecast(cell, Carry(start), 3)
    errors = np.concatenate([start[None], ahead]) - states
    weights = np.array([3.0, 0.0, 1.0, 0.5])
    for w in (np.ones(4), weights):
        window = Window(states, None, jnp.asarray(w), start)
        expected = w @ (errors**2).mean(1) / w.sum()
        assert_allclose(RolloutLoss()(cell, window), expected, rtol=1e-14)
