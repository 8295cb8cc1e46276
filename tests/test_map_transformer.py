"""Attention among the patches of a map: reach, coasts, circles, cells."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tendency.errors import InputError
from tendency.networks.maps import Edges, Frame, MapStepper, MapTransformer

SHAPE = (2, 8, 12)


def made(reach, *, edges=Edges(), patch=2, **more):  # noqa: B008
    network = MapTransformer(
        2, 2, 8, 2, patch=patch, heads=2, hidden=8, reach=reach, window=2, edges=edges,
        key=jax.random.key(0), **more,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    arrays, rest = eqx.partition(network, eqx.is_inexact_array)
    moved = jax.tree.map(lambda a: a + 0.2 * rng.normal(size=a.shape), arrays)
    return eqx.combine(moved, rest)


def drawn(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def reads(network, at, x):
    """Which patches a point depends on."""
    slope = jax.jit(jax.grad(lambda x: network(x)[:, *at].sum()))(x)
    there = np.abs(np.asarray(slope)).sum(0) > 1e-14
    n = network.patch
    rows, columns = there.shape[0] // n, there.shape[1] // n
    return there.reshape(rows, n, columns, n).any((1, 3))


def test_each_reach_reads_what_it_says():
    """Of 4 x 6 patches, from the one in row 0, column 2."""
    x = drawn(*SHAPE)
    assert reads(made("global"), (0, 4), x).all()
    assert reads(made("axial"), (0, 4), x).all()  # its row, of which each its column
    windows = reads(made("window"), (0, 4), x)
    # Its first window holds columns 2 and 3, its shifted one 1 and 2 (of rows -1, 0),
    # whose own first windows hold columns 0 to 3.
    expected = np.zeros((4, 6), bool)
    expected[:2, :4] = True
    np.testing.assert_array_equal(windows, expected)


def test_shifted_windows_go_around_a_circle():
    network = made("window", edges=Edges("replicate", "periodic"))
    there = reads(network, (0, 0), drawn(*SHAPE))
    np.testing.assert_array_equal(there[0], [1, 1, 0, 0, 1, 1])


@pytest.mark.parametrize("reach", ["global", "axial", "window"])
def test_land_is_read_by_none(reach):
    """What stands on a patch of land changes nothing at sea."""
    network, x = eqx.filter_jit(made(reach)), drawn(*SHAPE)
    mask = np.ones((1, *SHAPE[1:]))
    mask[:, 2:4, 4:6] = 0
    other = x.at[:, 2:4, 4:6].set(7.0)
    sea = mask[0] > 0
    one, two = (np.asarray(network(a, jnp.asarray(mask))) for a in (x, other))
    np.testing.assert_allclose(one[:, sea], two[:, sea], atol=1e-12)
    assert np.abs(np.asarray(network(x)) - one)[:, sea].max() > 1e-3


def test_a_map_that_patches_do_not_fill_is_padded_with_land():
    network = made("global", patch=4)
    x = drawn(2, 7, 10)
    whole = jnp.pad(x, ((0, 0), (0, 1), (0, 2)))
    mask = jnp.pad(jnp.ones((1, 7, 10)), ((0, 0), (0, 1), (0, 2)))
    np.testing.assert_allclose(network(x), network(whole, mask)[:, :7, :10], atol=1e-12)


@pytest.mark.parametrize("reach", ["global", "axial", "window"])
def test_attention_is_a_map_for_each_patch(reach):
    """Of what is within reach: 24 patches, 6 of a row, 4 of a window."""
    network, x = eqx.filter_jit(made(reach).attention), drawn(*SHAPE)
    mask = jnp.ones((1, *SHAPE[1:])).at[:, :2, :2].set(0)
    weights = np.asarray(network(x, mask))
    assert weights.shape == (2, 4, 6, 4, 6)
    total = weights.sum((-1, -2)).reshape(2, -1)[:, 1:]  # the first is all land
    np.testing.assert_allclose(total, 1, atol=1e-12)
    np.testing.assert_array_equal(weights[:, 1:, 1:, 0, 0], 0)
    read = (weights[0, 2, 3] > 0).sum()
    assert read == {"global": 23, "axial": 6, "window": 4}[reach]


def test_it_steps_a_grid_with_a_condition():
    frame = Frame(SHAPE, forcing_numbers=1)
    network = MapTransformer(
        frame.reads(), 2, 8, 1, heads=2, conditions=1, key=jax.random.key(0)
    )
    cell, state = MapStepper(network, frame, 1.0), drawn(*SHAPE)
    after = cell.step(cell.init(state), jnp.array([0.3]))
    np.testing.assert_array_equal(after.state, state)  # persistence before its fit


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: made("window")(drawn(2, 0, 4)), "rows is 0"),
        (lambda: MapTransformer(1, 1, 6, key=jax.random.key(0)), "multiple of 4"),
        (
            lambda: MapTransformer(
                1, 1, 8, reach="window", window=3, key=jax.random.key(0)
            ),
            "window is 3",
        ),
        (
            lambda: made("window", edges=Edges(columns="periodic"))(drawn(2, 8, 10)),
            "5 patches lie in a circle",
        ),
        (
            lambda: made("global", edges=Edges(columns="periodic"))(drawn(2, 8, 11)),
            "11 columns in a circle",
        ),
    ],
)
def test_what_cannot_be_is_told(make, words):
    with pytest.raises(InputError, match=words):
        make()
