"""Scores of ensembles against closed forms, and the loss that fits them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from tendency.errors import InputError
from tendency.fitting import fair_crps
from tendency.scores.comparing import over_starts
from tendency.scores.ensemble import ensemble, ensemble_scores, rank_scores, ranks


def arrays(members, truth, lat=None) -> tuple[xr.DataArray, xr.DataArray]:
    """Members (start, lead, member, *lat) and truth (start, lead, *lat)."""
    space = () if lat is None else ("lat",)
    coords = {} if lat is None else {"lat": lat}
    told = xr.DataArray(
        np.asarray(members, float), dims=("init_time", "lead_time", "member", *space),
        coords=coords, name="x",
    )  # fmt: skip
    seen = xr.DataArray(
        np.asarray(truth, float), dims=("init_time", "lead_time", *space), coords=coords
    )
    return told, seen


def scores_of(members, truth, lat=None):
    return ensemble_scores(over_starts(ensemble(*arrays(members, truth, lat))))


def test_by_hand():
    found = scores_of([[[1.0, 2.0, 4.0]]], [[3.0]]).squeeze()
    # mean |x - y| = 4/3; pairs differ by 1, 3, 2
    assert found.crps_empirical.item() == pytest.approx(4 / 3 - 2 * 6 / (2 * 9))
    assert found.crps_fair.item() == pytest.approx(4 / 3 - 2 * 6 / (2 * 6))
    variance = ((1 - 7 / 3) ** 2 + (2 - 7 / 3) ** 2 + (4 - 7 / 3) ** 2) / 2
    assert found.spread.item() == pytest.approx(np.sqrt(variance))
    assert found.spread_skill.item() == pytest.approx(
        np.sqrt(4 / 3 * variance) / (3 - 7 / 3)
    )


def test_of_gaussian_members_and_truth():
    """Members of N(0, 1): fair estimates are those of the normal distribution."""
    rng = np.random.default_rng(0)
    cases, truth_std = 40_000, 1.3
    truth = truth_std * rng.normal(size=(cases, 1))
    z = truth
    exact = (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi)).mean()
    for m in (2, 5, 10):
        found = scores_of(rng.normal(size=(cases, 1, m)), truth).squeeze()
        error = 1.0 / np.sqrt(cases)  # a standard error of the mean, or more
        assert found.crps_fair.item() == pytest.approx(exact, abs=3 * error)
        # the empirical one is higher by E|X - X'| / 2m = 1 / (m √π)
        excess = found.crps_empirical.item() - found.crps_fair.item()
        assert excess == pytest.approx(1 / (m * np.sqrt(np.pi)), abs=error)
        assert found.spread.item() == pytest.approx(1, abs=3 * error)
        ratio = np.sqrt((1 + 1 / m) / (truth_std**2 + 1 / m))
        assert found.spread_skill.item() == pytest.approx(ratio, abs=3 * error)


def test_ranks_are_flat_for_members_like_the_truth():
    rng = np.random.default_rng(1)
    members, truth = rng.normal(size=(20_000, 1, 4)), rng.normal(size=(20_000, 1))
    found = over_starts(ranks(*arrays(members, truth), seed=0))
    frequency = rank_scores(found).rank_frequency.squeeze()
    assert frequency.sum().item() == pytest.approx(1)
    chi_square = ((found["count"] - 4000) ** 2 / 4000).sum().item()
    assert chi_square < 18.5  # 0.1 % beyond, of four degrees of freedom


def test_ties_are_broken_by_the_seed():
    dry = np.zeros((6000, 1, 2)), np.zeros((6000, 1))
    one, same, other = (ranks(*arrays(*dry), seed=s)["count"] for s in (0, 0, 1))
    assert (one == same).all()
    assert not (one == other).all()
    np.testing.assert_allclose(one.sum("init_time"), 2000, atol=150)  # 4 std
    ends = ranks(*arrays([[[1.0, 1.0, 3.0]], [[1, 1, 3]]], [[0.0], [2.0]]), seed=0)
    counts = ends["count"].squeeze().transpose("init_time", "rank")
    assert counts.values.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0]]


def test_area_and_lost_members():
    members = np.random.default_rng(2).normal(size=(3, 2, 4, 2))
    truth = np.zeros((3, 2, 2))
    truth[0, 0, 1] = np.nan
    found = scores_of(members, truth, lat=[0.0, 60.0])
    each = [scores_of(members[..., [i]], truth[..., [i]], [0.0]) for i in (0, 1)]
    expected = (3 * each[0].crps_fair[0] + 0.5 * 2 * each[1].crps_fair[0]) / 4
    assert found.crps_fair[0].item() == pytest.approx(expected.item())
    members[1, 1, 2, 0] = np.nan
    lost = scores_of(members, truth, lat=[0.0, 60.0])
    assert lost.crps_fair.isnull().values.tolist() == [False, True]
    with pytest.raises(InputError, match="x has 1 member"):
        scores_of(members[:, :, :1], truth, lat=[0.0, 60.0])


def test_the_loss_is_the_score():
    rng = np.random.default_rng(3)
    members, truth = rng.normal(size=(5, 2, 6)), rng.normal(size=(2, 6))
    lat = np.linspace(0, 75, 6)
    told = members.transpose(1, 0, 2)[:, None]
    found = scores_of(told, truth[:, None], lat)
    weights = jnp.asarray(np.broadcast_to(np.cos(np.deg2rad(lat)), (2, 6)))
    one = jax.jit(fair_crps)(jnp.asarray(members), jnp.asarray(truth), weights)
    assert float(one) == pytest.approx(found.crps_fair.item(), rel=1e-12)
    empirical = fair_crps(
        jnp.asarray(members), jnp.asarray(truth), weights, fairness=0.0
    )
    assert float(empirical) == pytest.approx(found.crps_empirical.item(), rel=1e-12)


def test_the_gradient_of_the_loss():
    """Against central differences, and exactly: the loss is linear between orders."""
    rng = np.random.default_rng(4)
    members, truth = (jnp.asarray(rng.normal(size=s)) for s in ((4, 3), (3,)))
    weights = jnp.asarray([1.0, 0.5, 0.0])
    holed = truth.at[2].set(jnp.nan), members.at[:, 2].set(jnp.nan)
    gradient = jax.jit(jax.grad(fair_crps))(holed[1], holed[0], weights)
    assert (gradient[:, 2] == 0).all()
    order = jnp.argsort(jnp.argsort(members, axis=0), axis=0)
    spread = (2 * order.astype(float) - 3) / (4 * 3)
    expected = (jnp.sign(members - truth[None]) / 4 - spread) * weights[None] / 1.5
    np.testing.assert_allclose(gradient, expected, rtol=1e-14, atol=1e-16)
    step = 1e-6 * jnp.asarray(rng.normal(size=(4, 3)))
    rise = fair_crps(members + step, truth, weights)
    rise -= fair_crps(members - step, truth, weights)
    assert float(rise) == pytest.approx(2 * float((expected * step).sum()), rel=1e-8)
    with pytest.raises(InputError, match="at least 2"):
        fair_crps(members[:1], truth)


@pytest.mark.filterwarnings("ignore")
def test_pysteps_agrees():
    pytest.importorskip("pysteps", reason="pysteps is not installed")
    from pysteps.verification.probscores import CRPS  # pyright: ignore

    rng = np.random.default_rng(5)
    members, truth = rng.normal(size=(6, 40)), rng.normal(size=40)
    found = scores_of(members.T[:, None], truth[:, None])
    theirs = CRPS(members[:, :, None], truth[:, None])
    assert found.crps_empirical.item() == pytest.approx(theirs, rel=1e-12)
