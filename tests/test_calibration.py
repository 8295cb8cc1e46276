"""Calibrated spread: parameters recovered, coverage as promised, never worse."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from tendency.errors import InputError
from tendency.statistical import emos, gaussian_crps, split_conformal


def cases(count: int, leads: int, members: int, seed: int):
    """Members around a signal; a truth of known distribution given mean and variance.

    a = 0.5, b = 0.8, c = 0.3, d = 1.5, doubled from lead to lead for c.
    """
    rng = np.random.default_rng(seed)
    spread = rng.uniform(0.3, 2.0, (count, leads, 1))
    x = rng.normal(size=(count, leads, 1)) * 2
    x = x + spread * rng.normal(size=(count, leads, members))
    floor = 0.3 * 2.0 ** np.arange(leads)
    std = np.sqrt(floor + 1.5 * x.var(-1, ddof=1))
    y = 0.5 + 0.8 * x.mean(-1) + std * rng.normal(size=(count, leads))
    return x, y, floor


def test_crps_of_the_normal_distribution_is_its_integral():
    mean, std, truth = np.array([0.3, -1.0]), np.array([0.5, 2.0]), np.array([1.0, 0.2])
    found = gaussian_crps(mean, std, truth)
    for m, s, y, crps in zip(mean, std, truth, found, strict=True):
        left = quad(lambda t, m=m, s=s: norm.cdf(t, m, s) ** 2, -np.inf, y)[0]
        right = quad(lambda t, m=m, s=s: norm.sf(t, m, s) ** 2, y, np.inf)[0]
        assert crps == pytest.approx(left + right, rel=1e-7)


def test_emos_recovers_its_parameters():
    x, y, floor = cases(20_000, 3, 8, 0)
    model = emos(x, y)
    # Over 20 other samples they err by .01, .007, .03 and .036 at most (one std).
    np.testing.assert_allclose(model.intercept.value, 0.5, atol=0.04)
    np.testing.assert_allclose(model.slope.value, 0.8, atol=0.025)
    np.testing.assert_allclose(model.floor.value, floor, atol=0.12)
    np.testing.assert_allclose(model.inflation.value, 1.5, atol=0.12)
    mean, std = (np.asarray(v) for v in model(jnp.asarray(x)))
    crps = gaussian_crps(mean, std, y).mean()
    true_std = np.sqrt(floor + 1.5 * x.var(-1, ddof=1))
    # At most a hundredth of a per cent from the truth's own, and below it in sample.
    best = gaussian_crps(0.5 + 0.8 * x.mean(-1), true_std, y).mean()
    assert 0.999 * best < crps <= best * (1 + 1e-9)


def test_emos_does_not_depend_on_units():
    x, y, _ = cases(300, 1, 4, 1)
    one, other = emos(x, y), emos(100 * x + 273, 100 * y + 273)
    told = [np.asarray(v) for v in one(jnp.asarray(x))]
    shifted = [np.asarray(v) for v in other(jnp.asarray(100 * x + 273))]
    np.testing.assert_allclose(shifted[0], 100 * told[0] + 273, rtol=1e-3)
    np.testing.assert_allclose(shifted[1], 100 * told[1], rtol=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_emos_is_never_worse_in_sample(seed):
    """Than the raw mean and variance; few cases, outliers, a spread of no use."""
    rng = np.random.default_rng(seed)
    x = rng.standard_t(2, size=(12, 2, 3)) * rng.gamma(1, 1, (12, 2, 1))
    y = rng.standard_cauchy(size=(12, 2))
    x[3, 0, 1] = y[5, 1] = np.nan
    mean, std = (np.asarray(v) for v in emos(x, y)(jnp.asarray(x)))
    raw = gaussian_crps(x.mean(-1), x.std(-1, ddof=1), y)
    assert (
        np.nanmean(gaussian_crps(mean, std, y), 0) <= np.nanmean(raw, 0) * (1 + 1e-9)
    ).all()


def test_coverage_is_within_binomial_error():
    """Of skewed errors that no normal distribution fits, at two leads."""
    rng = np.random.default_rng(2)

    def draw(count):
        spread = rng.uniform(0.2, 3, (count, 2))
        return spread, spread * rng.gamma(0.4, 1, (count, 2)) * [1.0, 5.0]

    fit, test = 4999, 20_000
    for level in (0.5, 0.9, 0.95):
        spread, errors = draw(fit)
        model = split_conformal(np.zeros((fit, 2)), errors, spread, level=level)
        spread, errors = draw(test)
        low, high = model(jnp.zeros((test, 2)), jnp.asarray(spread))
        inside = ((np.asarray(low) <= errors) & (errors <= np.asarray(high))).mean(0)
        # The quantile itself is drawn: its coverage has a Beta distribution.
        error = np.sqrt(level * (1 - level) * (1 / test + 1 / fit))
        np.testing.assert_allclose(inside, level, atol=3.5 * error)


def test_the_quantile_by_hand():
    """Nine errors 1 to 9: 90 % needs the ninth, 50 % the fifth; eight are too few."""
    errors = np.arange(9.0, 0.0, -1.0)[:, None]
    nine = split_conformal(0 * errors, errors, level=0.9)
    low, high = nine(jnp.asarray([[2.0]]))
    assert (low.item(), high.item()) == (-7.0, 11.0)
    assert split_conformal(0 * errors, errors, level=0.5).quantile.value.item() == 5
    with pytest.raises(InputError, match="8 complete cases, at least 9 were"):
        split_conformal(0 * errors[1:], errors[1:], level=0.9)


def test_refused():
    one = np.zeros((6, 1))
    with pytest.raises(InputError, match="level is 90"):
        split_conformal(one, one, level=90)
    with pytest.raises(InputError, match="spread is 0 somewhere"):
        split_conformal(one, one, one)
    with pytest.raises(InputError, match="1 member"):
        emos(one[..., None], one)
    with pytest.raises(InputError, match="4 complete cases at lead 1"):
        emos(np.zeros((4, 1, 2)), np.zeros((4, 1)))
