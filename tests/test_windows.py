"""Training samples: where they start, what they hold, and what is refused."""

import itertools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tendency.errors import InputError
from tendency.windows import Windows


def series(size, width=2):
    return np.random.default_rng(0).normal(size=(size, width))


def test_windows_are_the_slices_of_the_series():
    x, u = series(9), series(9, 1)
    windows = Windows.of(x, 4, forcing={"u": u}, stride=2)
    assert len(windows) == 3
    for i in range(3):
        window = windows.take(i)
        assert_array_equal(window.states, x[2 * i : 2 * i + 4])
        assert_array_equal(window.forcing["u"], u[2 * i : 2 * i + 4])
        assert window.weights is None
        assert window.initial is None


def test_all_windows_are_each_of_them_stacked():
    windows = Windows.of({"a": series(7), "b": series(7, 3)}, 3)
    every = windows.all()
    assert every.states["b"].shape == (5, 3, 3)
    one = eqx.filter_jit(windows.take)(jnp.asarray(3))
    assert_array_equal(every.states["a"][3], one.states["a"])


@given(
    segments=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    length=st.integers(1, 6),
    stride=st.integers(1, 4),
)
def test_no_window_crosses_a_joint_and_none_is_forgotten(segments, length, stride):
    joints = np.cumsum([0, *segments])
    expected = [
        start
        for first, last in itertools.pairwise(joints)
        for start in range(first, last - length + 1, stride)
    ]
    x = np.arange(float(sum(segments)))
    if not expected:
        with pytest.raises(InputError, match="the longest contiguous stretch has"):
            Windows.of(x, length, stride=stride, segments=segments)
        return
    windows = Windows.of(x, length, stride=stride, segments=segments)
    assert_array_equal(windows.starts, expected)
    assert windows.length == length


@given(
    seen=st.lists(st.booleans(), min_size=3, max_size=12),
    length=st.integers(1, 3),
)
def test_windows_that_are_masked_from_end_to_end_are_left_out(seen, length):
    weights = np.array(seen, float)
    expected = [i for i in range(len(seen) - length + 1) if any(seen[i : i + length])]
    x = np.where(seen, 1.0, np.nan)
    if not expected:
        with pytest.raises(InputError, match="masked from end to end"):
            Windows.of(x, length, weights=weights)
        return
    windows = Windows.of(x, length, weights=weights)
    assert_array_equal(windows.starts, expected)
    assert np.isfinite(windows.states).all()


def test_missing_values_are_filled_with_the_mean_of_their_component():
    x = series(6)
    x[1, 0] = x[4, 0] = np.nan
    x[2, 1] = np.inf
    weights = np.isfinite(x).astype(float)
    filled = Windows.of(x, 3, weights=weights).states
    assert_allclose(filled[1, 0], x[[0, 2, 3, 5], 0].mean(), rtol=1e-14)
    assert_allclose(filled[2, 1], x[[0, 1, 3, 4, 5], 1].mean(), rtol=1e-14)
    assert_array_equal(np.asarray(filled)[weights > 0], x[weights > 0])


def test_a_component_never_seen_is_filled_with_zero():
    x, weights = series(5), np.ones((5, 2))
    x[:, 1], weights[:, 1] = np.nan, 0
    assert_array_equal(Windows.of(x, 2, weights=weights).states[:, 1], np.zeros(5))


def test_one_weight_a_time_serves_every_leaf():
    x = {"a": series(5), "b": np.ones((5, 2, 2))}
    x["b"][2] = np.nan
    weights = np.array([1.0, 1, 0, 1, 1])
    windows = Windows.of(x, 2, weights=weights)
    assert_array_equal(windows.states["b"], np.ones((5, 2, 2)))
    assert_array_equal(windows.take(1).weights, [1.0, 0.0])
    assert len(windows) == 4


def test_weights_of_the_structure_of_the_states_mask_leaf_by_leaf():
    x = {"a": np.array([np.nan, 1.0, 2.0]), "b": np.array([3.0, 4.0, np.nan])}
    seen = {k: np.isfinite(v).astype(float) for k, v in x.items()}
    windows = Windows.of(x, 1, weights=seen)
    assert len(windows) == 3  # something is seen at every time
    assert_array_equal(windows.states["a"], [1.5, 1.0, 2.0])
    assert_array_equal(windows.states["b"], [3.0, 4.0, 3.5])


def test_the_precision_of_the_series_is_kept():
    x = series(5).astype(np.float32)
    x[0] = np.nan
    weights = np.isfinite(x).astype(np.float32)
    assert Windows.of(x, 2, weights=weights).states.dtype == jnp.float32


NAN = np.array([1.0, np.nan, 3.0, np.nan])


@pytest.mark.parametrize(
    ("states", "length", "options", "message"),
    [
        (np.ones(4), 5, {}, "has 4 times and a window needs 5: give a longer series"),
        (np.ones(9), 4, {"segments": [3, 3, 3]}, "has 3 times and a window needs 4"),
        (np.ones(4), 0, {}, "a window of 0 times every 1"),
        (np.ones(4), 2, {"stride": 0}, "a window of 2 times every 0"),
        (np.ones(4), 2, {"segments": [3]}, "hold 3 times and the series 4"),
        (np.ones(4), 2, {"forcing": np.ones(5)}, r"have \[4, 5\] times"),
        (np.ones(4), 2, {"weights": np.ones(3)}, r"have \[3, 4\] times"),
        (NAN, 2, {}, "hold 2 NaN or infinite values, the first at time index 1"),
        (np.array([1.0, 2, np.inf]), 2, {}, "1 NaN or infinite values, the first at"),
        (NAN, 2, {"weights": np.array([1.0, 0, 1, 1])}, "at time index 3 where its w"),
        (np.ones(4), 2, {"weights": np.zeros(4)}, "every window is masked"),
        (np.ones(4), 2, {"weights": -np.ones(4)}, "4 weights are negative or not"),
        (np.ones(4), 2, {"weights": NAN}, "not finite, the first at time index 1"),
        (np.ones(4), 2, {"forcing": NAN}, "the forcing holds 2 NaN or infinite"),
    ],
)
def test_what_cannot_be_cut_is_refused_in_a_sentence(states, length, options, message):
    with pytest.raises(InputError, match=message):
        Windows.of(states, length, **options)
