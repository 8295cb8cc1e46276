"""Localised filters: against global ones, one point at a time, on every geometry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import Map

from tendency import InputError, Observations, assimilate, ensemble_of
from tendency.assimilation import (
    ETKF,
    LETKF,
    EnsembleSmoother,
    Euclidean,
    GreatCircle,
    Localisation,
    SerialEnSRF,
    gaspari_cohn,
)
from tendency.cell import AbstractCell, Carry
from tendency.grid import Axis, Grid
from tendency.observing import DenseCovariance, Select

KEY = jax.random.key(0)
RING = np.arange(12.0)[:, None]


class Still(AbstractCell):
    """x' = x."""

    dt: float = 1.0

    @property
    def spin_up_steps(self):
        return 0

    def init(self, state):
        return Carry(state)

    def step(self, carry, forcing=None, *, key=None):
        return carry


def ensembles(cycle):
    return cycle.analysis.ensemble


def _analysed(method, ensemble, obs):
    saved = assimilate(Still(), ensemble, obs, method, save=ensembles, key=KEY).saved
    return jax.tree.map(lambda x: np.asarray(x[0]), saved)


def test_the_taper_is_that_of_gaspari_and_cohn():
    ratio = jnp.array([0.0, 1.0, 2.0, 3.0, -1.0])
    found = gaspari_cohn(ratio)
    np.testing.assert_allclose(found, [1, 5 / 24, 0, 0, 5 / 24], rtol=0, atol=1e-15)
    # Its spectrum is not negative: it is a correlation, in a space of three dimensions.
    r = np.linspace(0, 2, 4001)
    weights = np.asarray(gaspari_cohn(jnp.asarray(r)))
    for k in np.linspace(0.1, 20, 40):
        assert np.trapezoid(weights * r * np.sin(k * r) / k, r) > -1e-9
    slope = jax.jacfwd(gaspari_cohn)(ratio)
    assert np.isfinite(slope).all()
    # The length is that of the Gaussian of the same curvature.
    near = Localisation(2.0, RING).taper(jnp.zeros((1, 1)), jnp.array([[1e-2]]))
    assert abs((1 - near[0]) / (1e-4 / (2 * 2.0**2)) - 1) < 1e-2


@pytest.mark.parametrize("seen", [3, 11], ids=["few", "many"])
def test_without_a_taper_the_local_filter_is_the_global_one(seen):
    """Members to rounding, by way of members and of observations; all of the carry."""
    rng = np.random.default_rng(0)
    prior = Carry(
        {
            "u": jnp.asarray(rng.normal(size=(6, 2, 12))),
            "c": jnp.asarray(rng.normal(size=6)),
        },
        (jnp.asarray(rng.normal(size=(6, 12))), jnp.arange(6)),
    )
    index = rng.choice(24, seen, replace=False)
    obs = Observations.of(
        rng.normal(size=(1, seen)),
        [0],
        Select(jnp.asarray(index), where=lambda state: state["u"]),
        error=0.3,
        positions=(index % 12)[:, None],
    )
    expected = _analysed(ETKF(), prior, obs)
    for method in (
        LETKF(localisation=Localisation(np.inf, RING), batch=5),
        LETKF(localisation=Localisation(np.inf, RING, Euclidean((12.0,)))),
        SerialEnSRF(localisation=Localisation(1e9, RING)),
    ):
        found = _analysed(method, prior, obs)
        if isinstance(method, SerialEnSRF):
            expected = _analysed(SerialEnSRF(), prior, obs)
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            assert np.abs(a - b).max() < 1e-12


def _distances(kind):
    rng = np.random.default_rng(1)
    if kind == "ring":
        space, where = RING, rng.uniform(-12, 24, (9, 1))
        apart = np.abs(space[:, None] - where[None])[..., 0] % 12
        return (
            Localisation(1.0, space, Euclidean((12.0,))),
            where,
            np.minimum(apart, 12 - apart),
        )
    if kind == "plane":
        space, where = rng.uniform(0, 5, (12, 2)), rng.uniform(0, 5, (9, 2))
        apart = np.linalg.norm(space[:, None] - where[None], axis=-1)
        return Localisation(0.8, space), where, apart
    if kind == "channel":  # periodic along x alone
        grid = Grid.of(Axis("y", 3, 0.0, 3.0, periodic=False), Axis("x", 4, 0.0, 4.0))
        where = rng.uniform(0, 3, (9, 2))
        y, x = np.meshgrid([0.5, 1.5, 2.5], np.arange(4.0), indexing="ij")
        dx = np.abs(x.reshape(-1, 1) - where[None, :, 1])
        dy = y.reshape(-1, 1) - where[None, :, 0]
        return Localisation.on(grid, 0.6), where, np.hypot(np.minimum(dx, 4 - dx), dy)
    lon, lat = rng.uniform(-180, 360, 21), np.append(rng.uniform(-90, 90, 20), 90)
    place = np.stack([lon, lat], 1)
    lon, lat = np.deg2rad(place).T
    xyz = np.stack(
        [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], 1
    )
    apart = 6371 * np.arccos(np.clip(xyz[:12] @ xyz[12:].T, -1, 1))
    return Localisation(2000.0, place[:12], GreatCircle()), place[12:], apart


@pytest.mark.parametrize("kind", ["ring", "plane", "channel", "sphere"])
def test_a_point_is_analysed_by_what_is_near_with_errors_that_grow(kind):
    """Against an ETKF of each point, R over the taper; lists or not, batched or not."""
    localisation, where, apart = _distances(kind)
    rng = np.random.default_rng(2)
    shape = localisation.positions[0].shape[:-1]
    prior = Carry(jnp.asarray(rng.normal(size=(5, *shape))))
    index, y = rng.integers(0, 12, 9), rng.normal(size=9)
    y[4] = np.nan
    obs = Observations.of(
        y[None], [0], Select(jnp.asarray(index)), error=0.4, positions=where
    )
    near = np.asarray(gaspari_cohn(jnp.asarray(apart / localisation.reach * 2)))
    ready = localisation.seen_from(obs, prior.state[0])
    assert ready.lists is not None
    dense = np.zeros((12, 9))
    np.add.at(
        dense, (np.arange(12)[:, None], ready.lists[0].index), ready.lists[0].weight
    )
    np.testing.assert_allclose(dense, near, rtol=0, atol=1e-7)

    members = np.asarray(prior.state).reshape(5, 12)
    x, A = members.mean(0), members - members.mean(0)
    Y = A[:, index]
    expected = np.zeros((5, 12))
    for point in range(12):
        inverse = np.where(np.isnan(y), 0, near[point]) / 0.4
        gram = (Y * inverse) @ Y.T / 4 + np.eye(5)
        values, vectors = np.linalg.eigh(gram)
        w = np.linalg.solve(gram, (Y * inverse) @ np.nan_to_num(y - x[index])) / 4
        T = (vectors / np.sqrt(values)) @ vectors.T
        expected[:, point] = x[point] + (w[None] + T) @ A[:, point]
    moving = Observations.of(
        y[None], [0], Select(jnp.asarray(index)), error=0.4, positions=where[None]
    )
    for given in (obs, moving):
        found = _analysed(LETKF(localisation=localisation, batch=5), prior, given)
        np.testing.assert_allclose(
            found.state.reshape(5, 12), expected, rtol=0, atol=1e-7
        )


def test_the_gain_of_the_serial_filter_is_tapered():
    """One observation: x + ρ K d; and the variance where it stands is the filter's."""
    rng = np.random.default_rng(3)
    members = rng.normal(size=(5, 12))
    obs = Observations.of(
        np.array([[0.7]]),
        [0],
        Select(jnp.array([2])),
        error=0.4,
        positions=np.array([[2.0]]),
    )
    localisation = Localisation(1.0, RING, Euclidean((12.0,)))
    found = _analysed(
        SerialEnSRF(localisation=localisation), Carry(jnp.asarray(members)), obs
    ).state
    x, A = members.mean(0), members - members.mean(0)
    gain = A.T @ A[:, 2] / 4 / (A[:, 2] @ A[:, 2] / 4 + 0.4)
    apart = np.abs(np.arange(12.0) - 2)
    taper = gaspari_cohn(
        2 * jnp.asarray(np.minimum(apart, 12 - apart)) / localisation.reach
    )
    np.testing.assert_allclose(
        found.mean(0), x + np.asarray(taper) * gain * (0.7 - x[2]), rtol=0, atol=1e-13
    )
    before, after = A[:, 2].var(ddof=1), found[:, 2].var(ddof=1)
    assert abs(after - before * 0.4 / (before + 0.4)) < 1e-13
    far = np.asarray(taper) == 0
    assert far.sum() == 5
    assert np.abs(found - members)[:, far].max() < 1e-14


def test_a_small_ensemble_needs_localisation():
    """White noise, each point observed: without a taper spurious gains spoil it."""
    rng = np.random.default_rng(4)
    truth, n = rng.normal(size=200), 200
    prior = Carry(jnp.asarray(rng.normal(size=(8, n))))
    place = np.arange(float(n))[:, None]
    y = truth + rng.normal(size=n)
    obs = Observations.of(y[None], [0], error=1.0, positions=place)

    def error(method):
        return np.sqrt(
            ((_analysed(method, prior, obs).state.mean(0) - truth) ** 2).mean()
        )

    local = Localisation(0.5, place)
    best = error(LETKF(localisation=local)), error(SerialEnSRF(localisation=local))
    assert max(best) < 0.85  # 0.71 with the true covariance
    assert error(ETKF()) > 1.0


def test_the_nearest_of_many_count():
    obs = Observations.of(np.zeros((1, 12)), [0], error=1.0, positions=RING + 0.25)
    few = Localisation(2.0, RING, most=2).seen_from(obs, jnp.zeros(12))
    assert few.lists is not None
    assert np.array_equal(few.lists[0].index[5], [5, 4])


def test_the_likelihood_through_a_local_filter_has_derivatives():
    prior = Carry(jax.random.normal(KEY, (5, 12)))
    obs = Observations.of(
        np.ones((2, 12)), [0, 1], error=0.5, mask=np.arange(12) % 2 == 0, positions=RING
    )
    method = LETKF(localisation=Localisation(1.0, RING))

    @jax.jit
    def likelihood(scale):
        cell = Map(scale * jnp.eye(12), jnp.zeros(12))
        return assimilate(cell, prior, obs, method, key=KEY).log_likelihood.sum()

    slope = jax.jit(jax.grad(likelihood))(0.9)
    differences = (likelihood(0.9 + 1e-5) - likelihood(0.9 - 1e-5)) / 2e-5
    assert abs(slope - differences) < 1e-6 * abs(slope)


def test_what_cannot_be_localised_is_refused():
    prior = ensemble_of(Still(), jnp.zeros(12), 1.0, size=4, key=KEY)

    def obs(**given):
        given = {"error": 1.0, "positions": RING} | given
        return Observations.of(np.zeros((1, 12)), [0], **given)

    ring = LETKF(localisation=Localisation(1.0, RING))
    for method, observations, said in (
        (ring, obs(positions=None), "have no positions"),
        (ring, obs(error=DenseCovariance(np.eye(12))), "DenseCovariance and local"),
        (ring, obs(positions=np.zeros((12, 2))), "2 coordinates and the points .* 1"),
        (ring, obs(positions=RING * np.nan), r"an observation is at \(nan,\)"),
        (
            LETKF(localisation=Localisation(1.0, RING[:5])),
            obs(),
            "none of which ends in",
        ),
        (
            EnsembleSmoother(LETKF(localisation=Localisation(1.0, RING))),
            obs(),
            "LETKF corrects each point by its own weights",
        ),
    ):
        with pytest.raises(InputError, match=said):
            assimilate(Still(), prior, observations, method, key=KEY)
    for given, said in (
        ((0.0, RING), "length of the localisation is 0"),
        ((1.0, np.arange(3.0)), r"shapes \[\(3,\)\]"),
        ((1.0, (RING, RING)), "with other axes for each grid"),
        ((1.0, RING, Euclidean((1.0, 2.0))), "1 coordinates and there are 2 periods"),
        ((1.0, RING, GreatCircle()), "longitude and latitude were expected"),
        ((1.0, np.array([[10.0, 95.0]]), GreatCircle()), "latitude 95"),
    ):
        with pytest.raises(InputError, match=said):
            Localisation(*given)  # pyright: ignore
    with pytest.raises(InputError, match="periods are"):
        Euclidean((0.0,))
