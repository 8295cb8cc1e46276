"""Convolutions over a grid: against convolutions by hand, and known dynamics."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate2d

from tendency.cell import Carry, Standardisation
from tendency.errors import InputError
from tendency.forecasting import forecast, spin_up
from tendency.networks import Convolutional, stencil_regression
from tendency.networks.maps import Edges
from tendency.windows import Windows

ROWS, COLUMNS = 7, 9
SEA = np.ones((2, ROWS, COLUMNS), bool)
SEA[:, 2:4, 3] = False
POINTS = jnp.asarray(np.flatnonzero(SEA))


def model(key, **options) -> Convolutional:
    options = {"kernel": 3, "lags": 2, "dt": 1.0, **options}
    return Convolutional((2, ROWS, COLUMNS), POINTS, **options, key=key)


def drawn(cell: Convolutional, key) -> Convolutional:
    """With a stencil that is not zero."""
    stencil = 0.1 * jax.random.normal(key, cell.stencil.shape, cell.stencil.dtype)
    offset = jnp.asarray([0.1, -0.2], stencil.dtype)
    return eqx.tree_at(lambda c: (c.stencil, c.offset), cell, (stencil, offset))


@pytest.mark.parametrize(("depth", "coarse"), [(1, 0), (2, 2), (3, 0)])
def test_unfitted_it_is_persistence(key, depth, coarse):
    cell = model(key, depth=depth, coarse=coarse)
    state = jax.random.normal(key, POINTS.shape)
    assert cell.spin_up_steps == 1
    _, states = forecast(cell, cell.init(state), 3)
    np.testing.assert_array_equal(states, np.tile(state, (3, 1)))


def test_a_step_is_a_correlation_over_the_grid(key):
    std = 1 + np.arange(POINTS.size) / 100
    mean = np.linspace(-1, 1, POINTS.size)
    statistics = Standardisation(jnp.asarray(mean), jnp.asarray(std))
    cell = drawn(model(key, standardisation=statistics), key)
    past, now = jax.random.normal(key, (2, POINTS.size))
    new = cell.step(Carry(now, past[None])).state
    fields = []
    for state in (past, now):
        grid = np.zeros(SEA.size)
        grid[POINTS] = (state - mean) / std
        fields.extend(grid.reshape(SEA.shape))
    fields.append(SEA.any(0).astype(float))
    increments = [
        sum(correlate2d(f, k, "same") for f, k in zip(fields, kernels, strict=True)) + b
        for kernels, b in zip(
            np.asarray(cell.stencil), np.asarray(cell.offset), strict=True
        )
    ]
    expected = now + std * np.concatenate([i.ravel() for i in increments])[POINTS]
    np.testing.assert_allclose(new, expected, rtol=1e-10, atol=1e-12)


def test_the_regression_finds_the_stencil_that_made_the_data(key):
    truth = drawn(model(key, depth=1), key)
    keys = jax.random.split(key, 2)
    starts = jax.random.normal(keys[0], (60, 2, POINTS.size))
    ends = jax.vmap(lambda h: forecast(truth, spin_up(truth, h), 1)[1])(starts)
    states = jnp.concatenate([starts, ends], axis=1).reshape(-1, POINTS.size)
    windows = Windows.of(states, 3, segments=[3] * 60)
    found = stencil_regression(model(key, depth=1), windows, ridge=0.0)
    # The mask shares the constant with the offset: only what is told has to agree.
    told = jax.vmap(lambda h: forecast(found, spin_up(found, h), 1)[1])(starts)
    np.testing.assert_allclose(told, ends, atol=1e-6)
    np.testing.assert_allclose(found.stencil[:, :-1], truth.stencil[:, :-1], atol=1e-6)

    weights = np.ones(states.shape)
    spoilt = np.array(states)
    spoilt[2::3, :40] += 100
    weights[2::3, :40] = 0
    windows = Windows.of(spoilt, 3, segments=[3] * 60, weights=weights)
    masked = stencil_regression(model(key, depth=1), windows, ridge=0.0)
    np.testing.assert_allclose(masked.stencil[:, :-1], truth.stencil[:, :-1], atol=1e-5)
    drawn_back = stencil_regression(model(key), windows, ridge=1e6)
    assert np.abs(drawn_back.stencil).max() < 1e-4


def test_blocks_see_what_is_far(key):
    cell = model(key, coarse=3, kernel=1, lags=1)
    fields = jax.random.normal(key, (2, ROWS, COLUMNS))
    padded = np.pad(fields, ((0, 0), (0, 2), (0, 0)))
    means = padded.reshape(2, 3, 3, 3, 3).mean((2, 4))
    np.testing.assert_allclose(cell.block_means(fields), means, atol=1e-12)
    back = cell.interpolated(jnp.asarray(means))
    np.testing.assert_allclose(back[:, 1::3, 1::3], means[:, :2], atol=1e-12)
    between = (2 * means[:, 0, 0] + means[:, 0, 1]) / 3
    np.testing.assert_allclose(back[:, 1, 2], between, atol=1e-12)

    # An increment that follows the mean over a block is found.
    draw = jax.random.normal(key, cell.stencil.shape, cell.stencil.dtype)
    truth = eqx.tree_at(lambda c: c.coarse_stencil, cell, draw)
    starts = jax.random.normal(key, (50, 1, POINTS.size))
    ends = jax.vmap(lambda h: forecast(truth, spin_up(truth, h), 1)[1])(starts)
    states = jnp.concatenate([starts, ends], axis=1).reshape(-1, POINTS.size)
    windows = Windows.of(states, 2, segments=[2] * 50)
    found = stencil_regression(cell, windows, ridge=0.0)
    assert found.coarse_stencil is not None
    np.testing.assert_allclose(found.coarse_stencil[:, :-1], draw[:, :-1], atol=1e-5)
    np.testing.assert_allclose(found.stencil[:, :-1], 0, atol=1e-5)


def test_means_around_a_point_go_on_beyond_the_edges(key):
    """Beside a mean of all that is there; what follows them is found."""
    edges = Edges("replicate", "periodic")
    cell = model(key, coarse=0, around=3, kernel=1, lags=1, edges=edges)
    fields = jax.random.normal(key, (2, ROWS, COLUMNS))
    around = np.pad(fields, ((0, 0), (1, 1), (0, 0)), mode="edge")
    around = np.pad(around, ((0, 0), (0, 0), (1, 1)), mode="wrap")
    shifted = [
        around[:, i : i + ROWS, j : j + COLUMNS] for i in range(3) for j in range(3)
    ]
    means = np.mean(shifted, axis=0)
    np.testing.assert_allclose(cell.means_around(fields), means, atol=1e-12)
    slope = jax.grad(lambda x: (cell.means_around(x) * means).sum())(fields)
    np.testing.assert_allclose(
        (slope * fields).sum(), (means * means).sum(), rtol=1e-12
    )  # a linear map and its transpose

    draw = jax.random.normal(key, (2, 3), cell.stencil.dtype)
    truth = eqx.tree_at(lambda c: c.around_stencil, cell, draw)
    starts = jax.random.normal(key, (50, 1, POINTS.size))
    ends = jax.vmap(lambda h: forecast(truth, spin_up(truth, h), 1)[1])(starts)
    states = jnp.concatenate([starts, ends], axis=1).reshape(-1, POINTS.size)
    found = stencil_regression(
        cell, Windows.of(states, 2, segments=[2] * 50), ridge=0.0
    )
    assert found.around_stencil is not None
    np.testing.assert_allclose(found.around_stencil[:, :-1], draw[:, :-1], atol=1e-5)
    np.testing.assert_allclose(found.stencil[:, :-1], 0, atol=1e-5)


def test_chosen_lags_are_all_lags_without_the_others(key):
    every = drawn(model(key, lags=4), key)
    kernels = jnp.split(every.stencil, [2, 6], axis=1)  # two variables a lag
    every = eqx.tree_at(
        lambda c: c.stencil, every, every.stencil.at[:, 2:6].set(0)
    )  # those of lags 3 and 2
    some = eqx.tree_at(
        lambda c: (c.stencil, c.offset),
        model(key, lags=(1, 4)),
        (jnp.concatenate([kernels[0], kernels[2]], axis=1), every.offset),
    )
    assert some.spin_up_steps == every.spin_up_steps == 3
    history = jax.random.normal(key, (4, POINTS.size))
    told = [forecast(c, spin_up(c, history), 5)[1] for c in (every, some)]
    np.testing.assert_allclose(*told, atol=1e-12)


def test_single_precision_within_a_state_of_double(key):
    cell = drawn(model(key, depth=2, dtype=jnp.float32), key)
    history = jax.random.normal(key, (2, POINTS.size), jnp.float64)
    _, states = forecast(cell, spin_up(cell, history), 2)
    assert states.dtype == jnp.float64
    assert cell.stencil.dtype == jnp.float32


def test_what_cannot_be(key):
    with pytest.raises(InputError, match="kernel is 4, an odd number"):
        model(key, kernel=4)
    with pytest.raises(InputError, match="around is 8, an odd number"):
        model(key, around=8)
    with pytest.raises(InputError, match="lags is 0"):
        model(key, lags=0)
    with pytest.raises(InputError, match=r"lags is \(1, 24, 24\)"):
        model(key, lags=(1, 24, 24))
    windows = Windows.of(jnp.zeros((9, POINTS.size)), 2)
    with pytest.raises(InputError, match="windows of 2 times were given and 3"):
        stencil_regression(model(key), windows)
    windows = Windows.of(jnp.zeros((9, POINTS.size)), 3)
    with pytest.raises(InputError, match="ridge is -1"):
        stencil_regression(model(key), windows, ridge=-1.0)
