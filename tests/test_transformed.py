"""Bounds that hold, and changes of variable that change nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import Map

from tendency import InputError, Observations, assimilate
from tendency.assimilation import (
    ETKF,
    Affine,
    Log,
    Logit,
    Multiplicative,
    Quantiles,
    Some,
    StochasticEnKF,
    Transformed,
)
from tendency.cell import Carry

KEY = jax.random.key(0)
CELL = Map(jnp.array([[0.9, 0.2], [-0.2, 0.8]]), jnp.zeros(2))


def _analysed(method, members, y, error=0.3):
    obs = Observations.of(y, [0], error=error)
    still = Map(jnp.eye(members.shape[1]), jnp.zeros(members.shape[1]))
    prior = Carry(jnp.asarray(members))
    found = assimilate(still, prior, obs, method, key=KEY)
    return np.asarray(found.final.belief.ensemble.state), found


CHANGES = [Log(0.5), Logit(-1.0, 3.0), Quantiles.of(np.linspace(0, 2, 50) ** 3)]


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: type(c).__name__)
def test_a_change_of_variable_rises_and_goes_back(change):
    x = jnp.linspace(0.51, 2.9, 100)
    z = change.forward(x)
    assert (jnp.diff(z) > 0).all()
    np.testing.assert_allclose(change.back(z), x, rtol=0, atol=1e-12)


def test_quantiles_make_their_sample_gaussian():
    sample = np.random.default_rng(0).gamma(0.7, size=20_000)
    z = np.asarray(Quantiles.of(sample, 400).forward(jnp.asarray(sample)))
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1) < 0.02
    assert abs((z**3).mean()) < 0.05  # 2.4 for the sample, standardised
    ties = Quantiles.of(np.append(np.zeros(500), sample[:500]))
    assert (np.diff(ties.values) > 0).all()
    with pytest.raises(InputError, match="1 different values, at least 2"):
        Quantiles.of(np.ones(9))


def test_no_analysis_is_negative_where_the_filter_alone_would_be():
    rng = np.random.default_rng(1)
    members = rng.gamma(0.5, size=(12, 3))
    y = np.array([[0.0, -0.5, 0.1]])
    plain, _ = _analysed(ETKF(), members, y, 0.05)
    assert plain.min() < -0.1
    for filter in (ETKF(Multiplicative(1.5), rotated=True), StochasticEnKF()):
        kept, found = _analysed(Transformed(filter, Log()), members, y, 0.05)
        assert kept.min() > 0
        assert found.analysis_mean.min() > 0
        before = np.abs(members.mean(0) - y[0])
        assert np.abs(found.residual[0]).mean() < before.mean()  # it still corrects
    share, _ = _analysed(Transformed(ETKF(), Logit()), np.clip(members, 0, 1), y)
    assert share.min() >= 0
    assert share.max() <= 1


@pytest.mark.parametrize(
    "change",
    [Affine(-3.0, 2.0), Some(Affine(2.0), slice(0, 2)), None],
    ids=["all", "some", "none"],
)
def test_a_linear_change_is_none(change):
    rng = np.random.default_rng(2)
    members, y = rng.normal(size=(7, 3)), rng.normal(size=(1, 3))
    filter = ETKF(Multiplicative(1.1), rotated=True)
    plain, one = _analysed(filter, members, y)
    same, other = _analysed(Transformed(filter, change), members, y)
    assert np.abs(plain - same).max() < 1e-13
    assert np.abs(one.innovation - other.innovation).max() < 1e-13
    assert abs(one.log_likelihood - other.log_likelihood).max() < 1e-13


def test_some_leaves_are_changed():
    rng = np.random.default_rng(3)
    prior = Carry(
        {"q": jnp.asarray(rng.gamma(0.5, size=(8, 2))), "u": jnp.ones((8, 1)) * 0.5}
    )
    obs = Observations.of(np.full((1, 3), -1.0), [0], error=0.1)
    still = Map(jnp.eye(2), jnp.zeros(2))
    method = Transformed(ETKF(), {"q": Log(), "u": None})
    found = assimilate(still, prior, obs, method, key=KEY)
    assert found.final.belief.ensemble.state["q"].min() > 0
    bad = Transformed(ETKF(), {"q": Log()})
    with pytest.raises(InputError, match="changes of variable do not fit"):
        assimilate(still, prior, obs, bad, key=KEY)
