"""Terms of a loss on maps: plane waves, Parseval, masks, slopes by differences."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from support import Lagged

from tendency.cell import Constant, Standardisation
from tendency.errors import InputError
from tendency.fitting import Energy, Gradient, LeastSquares, RolloutLoss, Spectral, fit
from tendency.fitting.terms import isotropic_power, row_power
from tendency.networks.maps import ConvNet, Frame, MapStepper
from tendency.networks.maps.patchwork import frame_of
from tendency.statistical import Persistence
from tendency.windows import Window, Windows
from tendency.wrappers import Perturbed

ROWS, COLUMNS = 6, 8
POWERS = pytest.mark.parametrize("power", [row_power, isotropic_power])
TERMS = (
    Gradient(0.7),
    Spectral(2.0),
    Spectral(measure="amplitude", isotropic=True, floor=1e-3),
    Energy(0.5),
)
terms = pytest.mark.parametrize("term", TERMS, ids=lambda t: repr(t)[:20])


def drawn(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape or (3, 2, ROWS, COLUMNS))


def ones():
    return jnp.ones((3, 2, ROWS, COLUMNS))


@POWERS
@pytest.mark.parametrize("size", [(6, 8), (5, 7), (8, 3)])
def test_the_powers_of_a_map_sum_to_its_mean_square(power, size):
    x = drawn(0, 2, *size)
    assert_allclose(power(jnp.asarray(x)).sum(-1), (x**2).mean((-2, -1)), rtol=1e-13)


@POWERS
def test_a_plane_wave_has_its_power_at_its_wavenumber(power):
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    for k in (0, 1, 3, 4):
        wave = 3 * np.cos(2 * np.pi * k * columns / COLUMNS)
        found = power(jnp.asarray(wave))
        expected = np.zeros(found.shape[0])
        expected[k] = (wave**2).mean()  # 9 / 2, but for the mean and two points a wave
        assert_allclose(found, expected, atol=1e-13)
    # One cycle along the columns is 8/6 of a cycle of the longer side: ring 1.
    slanted = jnp.asarray(np.cos(2 * np.pi * rows / ROWS))
    assert_allclose(isotropic_power(slanted)[1], 0.5, atol=1e-13)


def test_the_gradient_term_of_a_wave_is_its_eigenvalue():
    """Differences of a sine on a ring; the pair across the edge is none."""
    columns = np.arange(COLUMNS)
    wave = np.sin(2 * np.pi * columns / COLUMNS)
    error = np.broadcast_to(wave, (1, 1, ROWS, COLUMNS))
    across = (wave[1:] - wave[:-1]) ** 2
    pairs = ROWS * (COLUMNS - 1) + (ROWS - 1) * COLUMNS
    one = jnp.ones((1, 1, ROWS, COLUMNS))
    found = Gradient()(jnp.asarray(error), 0 * one, one)
    assert_allclose(found, ROWS * across.sum() / pairs, rtol=1e-13)
    ramp = jnp.asarray(2.0 * columns + np.zeros((1, 1, ROWS, COLUMNS)))
    share = ROWS * (COLUMNS - 1) / pairs
    assert_allclose(Gradient()(ramp, 0 * one, one), 4 * share, rtol=1e-13)


def test_spectra_and_energy_of_a_damped_forecast():
    """Half the amplitude is a quarter of the power at every wavenumber."""
    truth = jnp.asarray(drawn(1))
    halved, w = 0.5 * truth, ones()
    expected = np.log(4) ** 2
    for isotropic in (False, True):
        log = Spectral(isotropic=isotropic, floor=1e-300)
        assert_allclose(log(halved, truth, w), expected, rtol=1e-12)
    assert_allclose(Energy(floor=1e-300)(halved, truth, w), expected, rtol=1e-12)
    roots = np.sqrt(row_power(truth)[..., 1:])
    amplitude = Spectral(measure="amplitude", floor=1e-300)
    assert_allclose(amplitude(halved, truth, w), np.mean(roots**2) / 4, rtol=1e-12)
    # A shift in space changes no spectrum, which is what the square of errors misses.
    moved = jnp.roll(truth, 3, -1)
    assert_allclose(log(moved, truth, w), 0, atol=1e-20)


@terms
def test_terms_are_zero_at_the_truth_and_see_no_masked_point(term):
    truth, told = jnp.asarray(drawn(2)), jnp.asarray(drawn(3))
    weights = ones().at[:, :, 1:3, 4:].set(0).at[1, 0].set(0)

    @jax.jit
    def value_and_slope(told, truth):
        return jax.value_and_grad(term)(told, truth, weights)

    value, slope = value_and_slope(truth, truth)
    assert value == 0
    assert not np.any(slope)
    value, slope = value_and_slope(told, truth)
    assert value > 0
    assert not np.any(np.where(weights > 0, 0, slope))
    hidden = [jnp.where(weights > 0, x, jnp.nan) for x in (told, truth)]
    again, again_slope = value_and_slope(*hidden)
    assert again == value
    np.testing.assert_array_equal(again_slope, slope)
    # By central differences along a direction of their own.
    way, step = jnp.asarray(drawn(4)), 1e-5
    ahead, behind = (value_and_slope(told + s * way, truth)[0] for s in (step, -step))
    assert_allclose((ahead - behind) / (2 * step), np.sum(slope * way), rtol=1e-6)


def emulator():
    """A cell whose states are vectors of the points of a map with an island."""
    sea = np.ones((2, ROWS, COLUMNS), bool)
    sea[:, 1:3, 4:6] = False
    points = np.flatnonzero(sea)
    statistics = Standardisation(jnp.asarray(1.0), jnp.asarray(2.0))
    frame = Frame((2, ROWS, COLUMNS), points, standardisation=statistics)
    network = ConvNet(3, 2, 3, 2, key=jax.random.key(0))
    return MapStepper(network, frame, 1.0), points


def test_a_loss_adds_its_terms_of_the_maps_of_a_vector():
    """An unfitted cell is persistence: the roll-out is known."""
    cell, points = emulator()
    states = jnp.asarray(drawn(5, 4, points.size))
    window = Window(states)
    plain = RolloutLoss()(cell, window)
    maps = np.zeros((4, 2 * ROWS * COLUMNS))
    maps[:, points] = (states - 1) / 2
    maps = jnp.asarray(maps.reshape(4, 2, ROWS, COLUMNS))
    told, weights = (
        maps[:1].repeat(3, 0),
        jnp.broadcast_to(cell.frame.mask.value, (3, 2, ROWS, COLUMNS)),
    )
    expected = plain + sum(t.weight * t(told, maps[1:], weights) for t in TERMS)
    loss = RolloutLoss(terms=TERMS)
    assert_allclose(loss(cell, window), expected, rtol=1e-12)
    assert frame_of(Perturbed(cell, 0.1)) is cell.frame
    other = RolloutLoss(terms=TERMS, frame=cell.frame)
    assert_allclose(other(Persistence(1.0), window), expected, rtol=1e-12)


def test_areas_weigh_components_at_all_times():
    """(row, 1) of maps, beside the weights of the windows."""
    x = drawn(6, 3, 2, ROWS, COLUMNS)
    rows = np.linspace(0.1, 1, ROWS)[:, None]
    seen = np.array([1.0, 1.0, 0.5])
    error = (x[:1] - x[1:]) ** 2
    w = seen[1:, None, None, None] * np.broadcast_to(rows, error.shape)
    loss = RolloutLoss(areas=Constant(jnp.asarray(rows)))
    found = loss(Persistence(1.0), Window(jnp.asarray(x), None, jnp.asarray(seen)))
    assert_allclose(found, (w * error).sum() / w.sum(), rtol=1e-13)


def test_noise_is_on_what_is_read_and_not_on_the_truth():
    """Of persistence the error of a zero series is the noise of its start."""
    zero = jnp.zeros((3, 50_000))
    loss = RolloutLoss(noise=Constant(jnp.asarray(0.3)))
    window, key = Window(zero), jax.random.key(0)
    assert (
        loss(Persistence(1.0), window) == 0
    )  # validation reads the states as they are
    # Standard error of a mean square of 50,000: 0.6 %.
    assert_allclose(loss(Persistence(1.0), window, key=key), 0.09, rtol=0.02)
    taught = eqx.tree_at(
        lambda s: s.noise,
        RolloutLoss(teacher_forcing=True, noise=loss.noise),
        loss.noise,
    )
    assert_allclose(taught(Persistence(1.0), window, key=key), 0.09, rtol=0.02)


def test_checkpoints_change_no_number_of_a_loss():
    """Of a cell with memory, over more steps than there are in a segment."""
    cell, window = Lagged(jnp.array([0.5, 0.3, 0.1])), Window(jnp.asarray(drawn(7, 23)))
    slope = eqx.filter_jit(eqx.filter_value_and_grad(lambda c, loss: loss(c, window)))
    value, expected = slope(cell, RolloutLoss())
    for checkpoint in (True, 7):
        again, found = slope(cell, RolloutLoss(checkpoint=checkpoint))
        assert_allclose(again, value, rtol=1e-13)
        assert_allclose(found.weights, expected.weights, rtol=1e-11)


def test_what_terms_cannot_do_is_told():
    cell, points = emulator()
    windows = Windows.of(drawn(8, 4, points.size), 2)
    key = jax.random.key(0)
    with pytest.raises(InputError, match="Persistence has no frame"):
        RolloutLoss(terms=TERMS).check(Persistence(1.0), 4, "training")
    with pytest.raises(InputError, match="4 terms beside the squares"):
        fit(cell, windows, LeastSquares(), key=key, loss=RolloutLoss(terms=TERMS))
    with pytest.raises(InputError, match="weight of Gradient is 0"):
        Gradient(0.0)
    with pytest.raises(InputError, match="floor of a spectrum is 0"):
        Spectral(floor=0.0)
    with pytest.raises(InputError, match="floor is -1"):
        Energy(floor=-1.0)
