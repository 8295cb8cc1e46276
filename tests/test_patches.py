"""Maps in patches: weights that sum to one, the whole map again, losses of parts."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from support import normal
from test_maps import filled

from tendency.cell import AbstractCell, Carry, Constant, Standardisation
from tendency.errors import InputError
from tendency.fitting import Patches, RolloutLoss
from tendency.forecasting import forecast
from tendency.networks.maps import (
    ConvGRU,
    ConvNet,
    Convolution,
    Edges,
    Frame,
    MapRecurrent,
    MapStack,
    MapStepper,
    Patchwork,
)
from tendency.windows import Window

ROWS, COLUMNS = 13, 20
KEY = jax.random.key(0)


def cell_of(edges=Edges(), mask=None):  # noqa: B008
    """A stepper that sees two points far, with statistics that vary in space."""
    mean = normal(KEY, (1, ROWS, COLUMNS))
    std = 1 + jax.random.uniform(KEY, (1, ROWS, 1))
    frame = Frame(
        (1, ROWS, COLUMNS),
        mask=mask,
        standardisation=Standardisation(mean, std),
        forcing_maps=1,
        forcing_numbers=1,
    )
    network = ConvNet(4, 1, 3, 2, edges=edges, conditions=1, key=KEY)
    return MapStepper(filled(network, KEY), frame, 1.0, lags=2)


@functools.cache
def plain():
    """A stepper without statistics or forcing, unfitted: persistence."""
    frame = Frame((1, ROWS, COLUMNS))
    return MapStepper(ConvNet(2, 1, 3, 2, key=KEY), frame, 1.0)


@pytest.mark.parametrize("periodic", [(False, False), (False, True), (True, True)])
@pytest.mark.parametrize("size", [(8, 9), (13, 7), (13, 20)])
def test_the_weights_of_patches_sum_to_one(periodic, size):
    patchwork = Patchwork(plain(), size, 5, reach=1, periodic=periodic)
    rows, columns, weights = patchwork.patches()
    total = np.zeros((ROWS, COLUMNS))
    for r, c, w in zip(rows, columns, weights, strict=True):
        np.add.at(total, (r[:, None], c[None]), w)
    assert_allclose(total, 1, rtol=0, atol=4e-16)
    assert weights.min() >= 0


@pytest.mark.parametrize("periodic", [False, True])
def test_patches_that_overlap_by_more_than_is_seen_are_the_whole_map(periodic):
    """At every point, coasts and walls included; with memory and forcing."""
    edges = Edges("replicate", "periodic" if periodic else "zero", partial=True)
    sea = np.ones((1, ROWS, COLUMNS), bool)
    sea[0, 4:8, 6:11] = False
    cell = cell_of(edges, sea)
    patchwork = Patchwork(cell, (8, 9), 5, reach=2, periodic=(False, periodic))
    state = jnp.where(jnp.asarray(sea), normal(KEY, sea.shape), jnp.nan)
    forcing = (normal(KEY, (3, ROWS, COLUMNS)), jnp.ones((3, 1)))
    _, expected = forecast(cell, cell.init(state), 3, forcing)
    carry, found = forecast(patchwork, patchwork.init(state), 3, forcing)
    assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert_allclose(carry.memory[-1], expected[-2], rtol=1e-12, atol=1e-12)
    narrow = Patchwork(cell, (8, 9), 5, reach=1, periodic=(False, periodic))
    _, other = forecast(
        narrow, narrow.init(state), 1, jax.tree.map(lambda a: a[:1], forcing)
    )
    assert np.nanmax(np.abs(other - expected[:1])) > 1e-6


def test_hidden_maps_are_cut_too():
    frame = Frame((1, ROWS, COLUMNS))
    layers = filled(MapStack((ConvGRU(2, 3, key=KEY),)), KEY)
    readout = Convolution(3, 1, 1, key=KEY)
    cell = MapRecurrent(layers, readout, frame, 1.0, spin_up_steps=0)
    patchwork = Patchwork(cell, (9, 9), 5, reach=2)  # two convolutions a step
    state = normal(KEY, (1, ROWS, COLUMNS))
    step = eqx.filter_jit(lambda cell, carry: cell.step(carry))
    start = step(cell, cell.init(state))
    whole, parts = step(cell, start), step(patchwork, start)
    for a, b in zip(*map(jax.tree.leaves, (parts, whole)), strict=True):
        assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_the_loss_of_a_patch_is_that_of_the_part_of_the_map():
    """Of all the corners that a key may draw it is one; statistics are cut along."""
    cell = cell_of(Edges("replicate", "replicate"))
    states = normal(KEY, (4, 1, ROWS, COLUMNS))
    forcing = (states[:, 0], jnp.ones((4, 1)))
    areas = jnp.linspace(0.2, 1, ROWS)[:, None]
    size = (12, 18)
    loss = RolloutLoss(areas=Constant(areas))
    patches = eqx.filter_jit(Patches(loss, size))
    found = [
        float(patches(cell, Window(states, forcing), key=k))
        for k in jax.random.split(KEY, 24)
    ]

    @eqx.filter_jit
    def of_part(corner):
        def part(a):
            first = (0,) * (a.ndim - 2)
            return jax.lax.dynamic_slice(a, (*first, *corner), (*a.shape[:-2], *size))

        frame = cell.frame.window(corner, size)
        # Statistics of the rows alone: `window` leaves them whole.
        whole = cell.frame.state.std.value
        std = jax.lax.dynamic_slice(whole, (0, corner[0], 0), (1, 12, 1))
        frame = eqx.tree_at(
            lambda f: (f.state.std.value, f.output_std.value), frame, (std, std)
        )
        inner = eqx.tree_at(lambda c: c.frame, cell, frame)
        row = jax.lax.dynamic_slice(areas, (corner[0], 0), (12, 1))
        window = Window(part(states), (part(forcing[0]), forcing[1]))
        return RolloutLoss(areas=Constant(row))(inner, window)

    corners = jnp.asarray([(i, j) for i in range(2) for j in range(3)])
    known = np.asarray([of_part(tuple(c)) for c in corners])
    nearest = np.abs(np.subtract.outer(found, known))
    assert nearest.min(1).max() < 1e-12
    assert set(nearest.argmin(1)) == set(range(6))
    whole = RolloutLoss(areas=Constant(areas))(cell, Window(states, forcing))
    assert Patches(loss, size)(cell, Window(states, forcing)) == whole


def test_a_margin_does_not_count_but_at_a_wall():
    """An unfitted cell is persistence: the loss is a mean of what counts."""
    cell = plain()
    states = normal(KEY, (2, 1, ROWS, COLUMNS))
    square = np.asarray((states[0] - states[1])[0] ** 2)
    loss = eqx.filter_jit(Patches(RolloutLoss(), (12, 20), margin=3))
    found = [float(loss(cell, Window(states), key=k)) for k in jax.random.split(KEY, 6)]
    expected = [square[:9].mean(), square[4:].mean()]
    assert np.abs(np.subtract.outer(found, expected)).min(1).max() < 1e-12
    ring = Patches(RolloutLoss(), (13, 8), margin=2, periodic=(False, True))
    ring = eqx.filter_jit(ring)
    found = float(ring(cell, Window(states), key=KEY))
    around = [np.roll(square, -j, 1)[:, 2:6].mean() for j in range(COLUMNS)]
    assert np.abs(found - np.asarray(around)).min() < 1e-12


def test_an_initial_state_of_ones_own_is_cut_too():
    """The roll-out of persistence starts there, and its misfit counts."""
    states = normal(KEY, (2, 1, ROWS, COLUMNS))
    window = Window(states, initial=jnp.zeros((1, ROWS, COLUMNS)))
    found = Patches(RolloutLoss(), (12, 20))(plain(), window, key=KEY)
    square = np.asarray(states[:, 0] ** 2)
    expected = [square[:, :12].mean(), square[:, 1:].mean()]
    assert np.abs(found - np.asarray(expected)).min() < 1e-12


def test_patches_that_cannot_be_cut_are_refused():
    cell = plain()
    with pytest.raises(
        InputError, match="patch of 14 x 9 points was asked for and the"
    ):
        Patches(RolloutLoss(), (14, 9)).check(cell, 4, "training")
    with pytest.raises(
        InputError, match="patch of 8 x 21 points was asked for and the"
    ):
        Patchwork(cell, (8, 21), 4)
    with pytest.raises(InputError, match="overlap by 4 and leave out 2"):
        Patchwork(cell, (8, 8), 4, reach=2)
    with pytest.raises(InputError, match="margin of 4 points in patches of 8 x 9"):
        Patches(RolloutLoss(), (8, 9), margin=4)
    flat = Frame((1, 2, 4), np.arange(8))
    vector = MapStepper(ConvNet(2, 1, 3, 2, key=KEY), flat, 1.0)
    with pytest.raises(InputError, match="states are vectors of its points"):
        Patches(RolloutLoss(), (2, 2)).check(vector, 4, "training")
    counting = Patchwork(Counting(Frame((1, ROWS, COLUMNS))), (8, 8), 4)
    with pytest.raises(
        InputError, match=r"memory of Counting holds .3,. numbers, maps"
    ):
        counting.step(counting.init(jnp.zeros((1, ROWS, COLUMNS))))


class Counting(AbstractCell):
    """A cell whose memory is no map."""

    frame: Frame
    dt: float = eqx.field(static=True, default=1.0)

    @property
    def spin_up_steps(self):
        return 0

    def init(self, state):
        return Carry(state, jnp.zeros(3))

    def step(self, carry, forcing=None, *, key=None):
        return carry
