"""The verb: in parts, with gaps, under derivatives, refusals, warnings, diagnostics."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from support import Map, child, oscillator

from tendency import (
    Gaussian,
    InputError,
    Integrated,
    Observations,
    adams_bashforth3,
    assimilate,
    ensemble_of,
    forecast,
    spin_up,
)
from tendency.assimilation import (
    ETKF,
    RTPP,
    RTPS,
    Adaptive,
    Additive,
    Combined,
    EnKFN,
    EnsembleSmoother,
    FilterDiverged,
    FilterDivergence,
    KalmanFilter,
    Multiplicative,
    StochasticEnKF,
    chi_square,
    desroziers,
    equivalents,
    rank_histogram,
    spread_skill,
)
from tendency.assimilation.transform import Departures
from tendency.cell import Carry
from tendency.data.clock import infer_clock
from tendency.data.layout import Layout
from tendency.observing import Select
from tendency.physics import Lorenz63

KEY = jax.random.key(0)
TRUTH = Integrated(Lorenz63(), 0.01)
START = jnp.array([8.0, 0.0, 30.0])


def _twin(times, gap=5, seed=1, variance=0.5):
    _, states = forecast(TRUTH, TRUTH.init(START), times * gap, every=gap)
    noise = jax.random.normal(jax.random.key(seed), states.shape)
    return np.array(states), np.array(states + variance**0.5 * noise)


EVERYTHING = Combined(
    Multiplicative(1.01), RTPS(0.3), RTPP(0.1), Additive(0.01), Adaptive()
)


IN_PARTS = """
import jax.numpy as jnp
import numpy as np
from test_assimilate import KEY, TRUTH, irregular
from tendency import Perturbed, assimilate, ensemble_of
from test_assimilate import ETKF, EVERYTHING, START

obs = irregular()
now = ensemble_of(TRUTH, START, 1.0, size=5, key=KEY)
cell, method = Perturbed(TRUTH, 0.1), ETKF(EVERYTHING, rotated=True)
whole = assimilate(cell, now, obs, method, key=KEY)
for i in range(7):
    part = assimilate(cell, now, obs[i : i + 1], method, key=KEY)
    now = part.final
    assert np.array_equal(whole.analysis_mean[i], part.analysis_mean[0])
for a, b in zip(jax.tree.leaves(whole.final), jax.tree.leaves(now), strict=True):
    assert np.array_equal(a, b)
"""


def irregular():
    """Seven times, of which one is not seen and another in part."""
    _, y = _twin(7)
    y[2, 1] = y[4] = np.nan
    return Observations.of(y, [1, 4, 8, 12, 15, 16, 20], error=0.5)


def test_in_parts_the_numbers_are_those_in_a_piece():
    """As in operations, one time after the other: bit for bit, at irregular times.

    In a program of its own, compiled as those of users are.
    """
    process = child(IN_PARTS, XLA_FLAGS="", JAX_DISABLE_MOST_OPTIMIZATIONS="0")
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error


def test_a_time_at_which_nothing_is_seen_changes_nothing():
    prior = ensemble_of(TRUTH, START, 1.0, size=5, key=KEY)
    method = ETKF(EVERYTHING, rotated=True)
    whole = assimilate(TRUTH, prior, irregular(), method, key=KEY)
    assert np.array_equal(whole.analysis_mean[4], whole.background_mean[4])
    assert whole.log_likelihood[4] == 0
    assert np.isnan(whole.innovation[4]).all()


@pytest.mark.parametrize("held", [True, False])
def test_each_member_sees_the_forcing_of_its_step(held):
    cell = Integrated(oscillator(), 0.1)
    forcing = jax.random.normal(KEY, (8 if held else 9, 2))
    obs = Observations.of(np.full((2, 2), np.nan), [3, 8], error=1.0)
    prior = ensemble_of(cell, jnp.ones(2), 1.0, size=3, key=KEY)
    found = assimilate(cell, prior, obs, ETKF(), forcing=forcing, key=KEY)
    _, states = jax.vmap(lambda carry: forecast(cell, carry, 8, forcing))(prior)
    expected = states[:, np.array([2, 7])].mean(0)
    np.testing.assert_allclose(found.background_mean, expected, rtol=0, atol=1e-14)


def test_another_inflation_or_other_values_compile_nothing_new():
    traces = []

    def tendency(state, forcing=None):
        traces.append(None)
        return -state

    cell = Integrated(tendency, 0.1)
    prior = ensemble_of(cell, jnp.ones(2), 1.0, size=3, key=KEY)
    counts = []
    for factor in (1.0, 1.1, 1.2):
        obs = Observations.of(np.full((2, 2), factor), [1, 2], error=factor)
        assimilate(cell, prior, obs, ETKF(Multiplicative(factor)), key=KEY)
        counts.append(len(traces))
    assert counts[0] == counts[-1]


@pytest.mark.parametrize("method", [ETKF(), EnKFN()], ids=["ETKF", "EnKF-N"])
def test_the_likelihood_has_derivatives_where_values_are_missing(method):
    """Of a parameter, against differences; more members than values, all coincident."""
    _, y = _twin(3)
    y[:, 1] = np.nan
    obs = Observations.of(y, [5, 10, 15], error=0.5)
    prior = ensemble_of(TRUTH, START, 1.0, size=8, key=KEY)

    @jax.jit
    def likelihood(rho):
        cell = Integrated(Lorenz63(rho=rho), 0.01)
        return assimilate(cell, prior, obs, method, key=KEY).log_likelihood.sum()

    value, slope = jax.jit(jax.value_and_grad(likelihood))(27.0)
    differences = (likelihood(27.0 + 1e-4) - likelihood(27.0 - 1e-4)) / 2e-4
    assert np.isfinite(value)
    assert abs(slope - differences) < 1e-6 * abs(slope)


def test_the_extended_filter_follows_chaos_with_a_memory():
    """Past tendencies of Adams-Bashforth are part of its mean and covariance."""
    truth, y = _twin(60)
    cell = Integrated(Lorenz63(), 0.01, adams_bashforth3)
    prior = Gaussian(cell.init(START), jnp.eye(9))
    obs = Observations.of(y, 5 * np.arange(1, 61), error=0.5)
    method = KalmanFilter(model_error=1e-4 * jnp.eye(9))
    found = assimilate(cell, prior, obs, method, key=KEY)
    error = np.sqrt(((found.analysis_mean - truth) ** 2).mean(1))[20:].mean()
    assert error < 0.35  # observations err by 0.7
    assert 0.5 < np.mean(chi_square(found)[20:]) < 2
    assert found.final.belief.mean.memory[2] == 300


def test_what_cannot_be_assimilated_is_refused():
    prior = ensemble_of(TRUTH, START, 1.0, size=4, key=KEY)
    obs = Observations.of(np.zeros((2, 3)), [2, 4], error=1.0)
    one = jax.tree.map(lambda x: x[:1], prior)
    uneven = Carry(prior.state, jnp.zeros(3))
    gaussian = Gaussian(TRUTH.init(START), jnp.eye(3))
    wide = Observations.of(np.zeros((2, 2)), [2, 4], error=1.0)
    later = assimilate(TRUTH, prior, obs, ETKF(), key=KEY).final
    for given, observed, method, said in (
        (one, obs, ETKF(), "arrays of 1 members, at least 2"),
        (uneven, obs, ETKF(), "arrays of 3, 4 members"),
        (gaussian, obs, ETKF(), "type Gaussian, an ensemble was expected"),
        (START, obs, ETKF(), "an ensemble was expected"),
        (prior, obs, KalmanFilter(), "type Carry, a Gaussian was expected"),
        (
            Gaussian(TRUTH.init(START), jnp.eye(2)),
            obs,
            KalmanFilter(),
            r"prior is \(2, 2\) and the carry holds 3",
        ),
        (gaussian, obs, KalmanFilter(jnp.eye(2)), "model error"),
        (prior, wide, ETKF(), "a time holds 2 values"),
        (later, obs, ETKF(), "first observation stands at step 2 and the prior at"),
    ):
        with pytest.raises(InputError, match=said):
            assimilate(TRUTH, given, observed, method, key=KEY)
    with pytest.raises(InputError, match="forcing has 3 times for 4 steps"):
        assimilate(TRUTH, prior, obs, ETKF(), forcing=jnp.zeros(3), key=KEY)
    with pytest.raises(InputError, match="lag of the smoother is 0"):
        EnsembleSmoother(ETKF(), lag=0)


def test_an_ensemble_is_drawn_around_a_state_or_a_carry():
    covariance = np.array([[2.0, 0.5, 0], [0.5, 1.0, 0], [0, 0, 0.1]])
    drawn = ensemble_of(TRUTH, START, size=20_000, covariance=covariance, key=KEY).state
    assert np.abs(np.cov(drawn.T) - covariance).max() < 0.08
    cell = Integrated(Lorenz63(), 0.01, adams_bashforth3)
    warm = spin_up(cell, jnp.stack([START, START]))
    warm = forecast(cell, warm, 3)[0]
    around = ensemble_of(cell, warm, jnp.array([1.0, 0.0, 2.0]), size=3, key=KEY)
    assert np.array_equal(around.state[:, 1], np.full(3, warm.state[1]))
    for wide, narrow in zip(around.memory, warm.memory, strict=True):
        assert np.array_equal(wide, np.stack([narrow] * 3))
    for given, said in (
        ({"size": 1, "spread": 1.0}, "ensemble of 1"),
        ({"size": 3}, "one of them"),
        ({"size": 3, "spread": np.ones(2)}, "does not fit the state"),
        ({"size": 3, "covariance": np.eye(2)}, "give a matrix 3 by 3"),
    ):
        with pytest.raises(InputError, match=said):
            ensemble_of(TRUTH, START, **given, key=KEY)  # pyright: ignore


def test_inflations_do_what_they_say():
    background = ensemble_of(TRUTH, START, 1.0, size=8, key=KEY)
    analysis = ensemble_of(TRUTH, START + 1, 0.5, size=8, key=jax.random.key(1))
    obs = Observations.of(START[None], [0], error=0.5).at(0)
    departures = Departures.of(background.state, obs)

    def inflated(inflation):
        memory = inflation.begin(background)
        seen = inflation.before(background, memory)
        assert np.array_equal(seen.state, background.state)
        new, _ = inflation.after(background, analysis, departures, memory, KEY)
        return new.state.mean(0), new.state - new.state.mean(0, keepdims=True)

    mean, plain = inflated(Multiplicative(1.0))
    before = background.state - background.state.mean(0, keepdims=True)
    for inflation, expected in (
        (Multiplicative(1.3), 1.3 * plain),
        (RTPP(0.4), 0.6 * plain + 0.4 * before),
        (RTPS(1.0), plain * (before.std(0) / plain.std(0))[None]),
        (Combined(Multiplicative(1.5), Multiplicative(2.0)), 3 * plain),
    ):
        centre, found = inflated(inflation)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)
        np.testing.assert_allclose(centre, mean, rtol=0, atol=1e-13)
    centre, found = inflated(Additive(jnp.array([0.0, 0.5, 0.0])))
    np.testing.assert_allclose(centre, mean, rtol=0, atol=1e-13)
    moved = np.abs(found - plain).max(0)
    assert np.array_equal(moved > 1e-3, [False, True, False])


def test_adaptive_inflation_finds_the_spread_that_is_missing():
    """An ensemble of half the right spread, again and again: λ tends to 4."""
    rng = np.random.default_rng(0)
    m, inflation = 50, Adaptive(variance=1.0)
    memory = inflation.begin(Carry(jnp.zeros((2, 1))))
    step = eqx.filter_jit(inflation.after)
    obs = Observations.of(np.zeros((1, m)), [0], error=1.0).at(0)
    carry = Carry(jnp.zeros((2, 1)))
    for _ in range(200):
        d = rng.normal(size=m) * np.sqrt(4 + 1)  # the true spread is 2, R is 1
        S = np.full((10, m), np.sqrt(float(memory[0]) / 10))
        seen = Departures(jnp.zeros((10, m)), jnp.asarray(S), jnp.asarray(d), obs)
        _, memory = step(carry, carry, seen, memory, KEY)
    assert abs(memory[0] - 4) < 0.3


def _losing(spread, inflation):
    _, y = _twin(80)
    prior = ensemble_of(TRUTH, START + 3, spread, size=5, key=KEY)
    obs = Observations.of(y, 5 * np.arange(1, 81), error=0.05)
    return prior, obs, ETKF(Multiplicative(inflation))


def test_a_filter_that_lost_the_truth_says_so():
    prior, obs, method = _losing(1e-3, 1.0)
    with pytest.warns(FilterDivergence, match=r"lost the truth: from step \d+"):
        assimilate(TRUTH, prior, obs, method, key=KEY)


def test_members_that_are_not_finite_are_named_or_replaced():
    prior, obs, _ = _losing(1.0, 1.0)
    prior = Carry(prior.state.at[jnp.array([1, 3]), 0].set(jnp.nan))
    with pytest.raises(FilterDiverged, match=r"member 1, 3 .* time 0 \(step 5\)") as e:
        assimilate(TRUTH, prior, obs[:2], ETKF(), key=KEY)
    assert np.array_equal(e.value.analyses.failed[0], [0, 1, 0, 1, 0])
    with pytest.warns(FilterDivergence, match="member 1, 3 at step 5"):
        found = assimilate(TRUTH, prior, obs[:2], ETKF(resample=True), key=KEY)
    assert np.isfinite(found.analysis_mean).all()
    assert not found.failed[1].any()


def test_a_consistent_filter_has_consistent_innovations():
    """A scalar of known error statistics, filtered with the right and wrong ones."""
    rng = np.random.default_rng(2)
    times, Q, R = 4000, 0.5, 2.0
    x = np.zeros((times, 1))
    for t in range(1, times):
        x[t] = 0.9 * x[t - 1] + np.sqrt(Q) * rng.normal()
    y = x + np.sqrt(R) * rng.normal(size=x.shape)
    y[::7] = np.nan
    cell = Map(jnp.array([[0.9]]), jnp.zeros(1))
    prior = Gaussian(Carry(jnp.zeros(1)), jnp.eye(1))

    def found(error):
        obs = Observations.of(y, np.arange(1, times + 1), error=error)
        return assimilate(cell, prior, obs, KalmanFilter(Q * jnp.eye(1)), key=KEY)

    right, wrong = found(R), found(R / 2)
    assert abs(np.nanmean(chi_square(right)) - 1) < 0.08  # five standard errors
    assert np.isnan(chi_square(right)[::7]).all()
    assert np.nanmean(chi_square(wrong)) > 1.3
    variance = desroziers(right)
    assert abs(variance.error[0] - R) < 0.2
    predicted = np.nanmean(right.expected_variance) - R
    assert abs(variance.background[0] - predicted) < 0.2
    assert desroziers(wrong).error[0] > 1.25 * R / 2
    whole = spread_skill(np.sqrt(right.expected_variance), right.innovation, 1)
    assert abs(whole.spread[0] / whole.error[0] - 1) < 0.05
    with pytest.raises(InputError, match="same shape"):
        spread_skill(np.ones(3), np.ones(2))
    with pytest.raises(InputError, match="2 values for 10 bins"):
        spread_skill(np.ones(2), np.ones(2))


def test_ranks_are_flat_where_truth_is_one_more_member():
    rng = np.random.default_rng(4)
    members = jnp.asarray(rng.normal(size=(3000, 4, 2)))
    y = rng.normal(size=(3000, 2)) + rng.normal(size=(3000, 2))  # truth, and an error
    y[:10, 0] = np.nan
    obs = Observations.of(y, np.arange(3000), error=1.0)
    counts = rank_histogram(members, obs, key=KEY)
    assert counts.sum() == 5990
    assert ((counts - 1198) ** 2 / 1198).sum() < 18.5  # χ² of 4, one in a thousand
    narrow = rank_histogram(members / 3, obs, key=KEY)
    assert narrow[[0, -1]].min() > 1.2 * narrow[1:-1].max()
    with pytest.raises(InputError, match="save=equivalents"):
        rank_histogram(members[:5], obs, key=KEY)


def test_analyses_become_a_dataset():
    cell = Map(jnp.eye(2), jnp.zeros(2))
    obs = Observations.of(
        np.zeros((3, 1)), [1, 2, 4], Select(jnp.array([1])), error=1.0
    )
    prior = ensemble_of(cell, jnp.ones(2), 1.0, size=3, key=KEY)
    method = EnsembleSmoother(StochasticEnKF())
    found = assimilate(cell, prior, obs, method, save=equivalents, key=KEY)
    assert found.saved.shape == (3, 3, 1)
    data = found.to_xarray()
    assert data["state_analysis"].dims == ("time", "state_0")
    assert np.array_equal(data["time"], [1.0, 2.0, 4.0])
    assert np.array_equal(data["state_smoothed_spread"], found.smoothed_spread)
    assert np.array_equal(data["innovation"], found.innovation)
    fields = Carry({"u": prior.state, "v": prior.state})
    keyed = assimilate(
        Integrated(_still, 1.0),
        fields,
        Observations.of(np.zeros((3, 4)), [1, 2, 4], error=1.0),
        ETKF(),
        key=KEY,
    )
    assert set(keyed.to_xarray().data_vars) >= {"u_background_spread", "v_analysis"}


def _still(state, forcing=None):
    return jax.tree.map(jnp.zeros_like, state)


def test_the_layout_of_the_data_names_what_it_knows():
    days = np.arange("2020-01-01", "2020-01-05", dtype="datetime64[D]")
    days = days.astype("datetime64[ns]")
    field = ("time", "x"), np.zeros((4, 2)), {"units": "degC"}
    dataset = xr.Dataset({"sst": field}, {"time": days, "x": [10.0, 20.0]})
    layout = Layout.of(dataset, infer_clock(days)[0])
    cell = Map(jnp.eye(2), jnp.zeros(2))
    obs = Observations.of(np.zeros((2, 2)), [1, 3], error=1.0)
    prior = ensemble_of(cell, jnp.ones(2), 1.0, size=3, key=KEY)
    found = assimilate(cell, prior, obs, ETKF(), key=KEY)
    data = found.to_xarray(layout, days[1::2])
    assert data["sst_analysis"].dims == ("time", "x")
    assert data["sst_analysis"].attrs["units"] == "degC"
    assert np.array_equal(data["x"], [10.0, 20.0])
    assert np.array_equal(data["step"], [1, 3])
    assert np.array_equal(data["time"], days[1::2])


SHARED = """
import jax.numpy as jnp
import numpy as np
from support import lorenz96_twin
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from tendency import assimilate
from tendency.assimilation import ETKF, Multiplicative

mesh = Mesh(np.array(jax.devices()), ("member",))
assert mesh.size == 4
cell, prior, observations = lorenz96_twin(members=16, times=10)
spread = jax.device_put(prior, NamedSharding(mesh, PartitionSpec("member")))
method = ETKF(Multiplicative(1.02), rotated=True)
one, four = (
    assimilate(cell, p, observations, method, key=jax.random.key(3))
    for p in (prior, spread)
)
print(abs(one.analysis_mean - four.analysis_mean).max())
print(len(four.final.belief.ensemble.state.sharding.device_set))
"""


def test_members_spread_over_devices_give_the_same_analyses():
    process = child(SHARED, XLA_FLAGS="--xla_force_host_platform_device_count=4")
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    difference, devices = out.split()
    assert float(difference) < 1e-10
    assert devices == "4"
