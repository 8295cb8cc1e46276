"""4DVar and the IEnKS over several kinds of cells, in parts, and given bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import Map
from test_recurrent import cell_of

from tendency import (
    Augmented,
    Gaussian,
    InputError,
    Integrated,
    Observations,
    Perturbed,
    Windows,
    adams_bashforth3,
    assimilate,
    ensemble_of,
    forecast,
)
from tendency.assimilation import (
    FourDVar,
    GaussNewton,
    IEnKS,
    Multiplicative,
    ThreeDVar,
    WeakFourDVar,
)
from tendency.assimilation.kalman import row_of
from tendency.assimilation.method import Run
from tendency.assimilation.sliding import Window
from tendency.assimilation.verb import nothing
from tendency.cell import Carry
from tendency.networks import GRU, MLP
from tendency.observing import DiagonalCovariance, Select, flat
from tendency.physics import Lorenz63
from tendency.statistical import analog

KEY = jax.random.key(0)
START = jnp.array([8.0, 0.0, 30.0])
DT = 0.01
TRUTH = Integrated(Lorenz63(), DT)


@pytest.fixture(scope="module")
def states():
    return forecast(TRUTH, TRUTH.init(START), 300)[1]


CELLS = {
    "AB3 with a parameter": (
        lambda _: Augmented(
            Integrated(Lorenz63(), DT, adams_bashforth3), lambda c: c.tendency.rho
        ),
        START,
    ),
    "GRU": (lambda _: cell_of(GRU, KEY), jnp.array([1.0, -2.0])),
    "MLP": (lambda s: Integrated(MLP.of(s, width=8, key=KEY), DT), START),
    "analogs": (lambda s: analog(Windows.of(s, length=3), k=20, dt=DT), START),
}


def _observations(start):
    y = flat(start)[None] + jnp.array([[0.5], [0.7], [0.4]])
    return Observations.of(y, [0, 2, 5], flat, error=0.1)


def analysis(cycle):
    return cycle.analysis


def test_4dvar_is_the_minimum_of_its_cost(states):
    """Whose slope by the whole carry at the start vanishes, memory included."""
    build, start = CELLS["AB3 with a parameter"]
    cell, obs = build(states), _observations(start)
    carry, _ = forecast(cell, cell.init(start), 3)
    row, carry_of = row_of(carry)
    B = jnp.diag(jnp.linspace(0.5, 1.0, row.size)) + 0.1
    method = FourDVar(lag=3, minimiser=GaussNewton(steps=30, tolerance=1e-11))
    prior = Gaussian(carry, B)
    found = assimilate(cell, prior, obs, method, save=analysis, key=KEY)
    best = row_of(jax.tree.map(lambda x: x[0], found.saved.mean))[0]

    def cost(row):
        now = carry_of(row)
        _, ahead = forecast(cell, now, 5)
        ahead = jnp.stack([flat(now.state), *jax.vmap(flat)(ahead)[jnp.array([1, 4])]])
        away = row - row_of(carry)[0]
        misfit = jnp.sum((ahead - obs.values) ** 2) / 0.1
        return away @ jnp.linalg.solve(B, away) + misfit

    slope, before = jax.grad(cost)(best), jax.grad(cost)(row)
    assert jnp.abs(slope).max() < 1e-7 * jnp.abs(before).max()
    assert cost(best) < cost(row) / 2


def test_the_iterative_smoother_takes_a_cell_without_derivatives(states):
    build, start = CELLS["analogs"]
    cell, obs = build(states), _observations(start)
    prior = ensemble_of(cell, start, 0.5, size=8, key=KEY)
    found = assimilate(cell, prior, obs, IEnKS(lag=2), key=KEY)
    assert jnp.abs(found.residual).mean() < jnp.abs(found.innovation).mean()
    assert jax.tree.structure(found.final.belief.present) == jax.tree.structure(prior)


def test_where_nothing_is_seen_members_run_free():
    cell = cell_of(GRU, KEY)
    prior = ensemble_of(cell, CELLS["GRU"][1], 0.5, size=8, key=KEY)
    blind = Observations.of(jnp.full((3, 2), jnp.nan), [1, 3, 6], error=0.1)
    method = IEnKS(Multiplicative(1.1), lag=2, rotated=True)
    alone = assimilate(cell, prior, blind, method, key=KEY)
    _, free = jax.vmap(lambda carry: forecast(cell, carry, 6))(prior)
    free = free[:, jnp.array([0, 2, 5])]
    assert jnp.abs(alone.analysis_mean - free.mean(0)).max() < 1e-12
    assert jnp.abs(alone.smoothed_spread - free.std(0, ddof=1)).max() < 1e-12


def test_model_error_lets_a_wrong_model_come_close(states):
    build, start = CELLS["MLP"]
    cell, obs = build(states), _observations(start)
    method = WeakFourDVar(10.0, 0.01, lag=3)
    found = assimilate(cell, cell.init(start), obs, method, key=KEY)
    assert jnp.abs(found.residual[1:]).max() < 0.1  # observations err by 0.3
    assert jnp.abs(found.residual[0]).min() > 0.3  # where the start is held fast


def _driven(carry, forcing):
    return jnp.stack([-carry[0] + forcing[0], carry[0] - 0.5 * carry[1] ** 3])


PARTS = {
    "4DVar": FourDVar(lag=3, shift=1),
    "IEnKS": IEnKS(Multiplicative(1.02), lag=4, shift=2, multiple=True, rotated=True),
}


@pytest.mark.parametrize("case", PARTS)
def test_in_parts_the_numbers_are_those_in_a_piece(case):
    """The overlap is remembered: its gaps, its forcing, its observations."""
    method = PARTS[case]
    cell = Integrated(_driven, 0.1)
    state = jnp.array([1.0, -0.5])
    prior = Gaussian(Carry(state), 0.5 * jnp.eye(2))
    if isinstance(method, IEnKS):
        cell = Perturbed(cell, 0.1)
        prior = ensemble_of(cell, state, 0.5, size=5, key=KEY)
    rng = np.random.default_rng(0)
    steps = np.array([1, 3, 4, 8, 9, 15])
    y = rng.normal(size=(6, 2))
    y[2], y[4, 1] = np.nan, np.nan
    error = rng.uniform(0.1, 0.3, (6, 2))
    obs = Observations.of(y, steps, error=DiagonalCovariance(error))
    forcing = jnp.asarray(rng.normal(size=(16, 1)))  # at the ends of the steps
    whole = assimilate(cell, prior, obs, method, forcing=forcing, key=KEY)
    now, begin, means = prior, 0, []
    for part in (slice(0, 2), slice(2, 4), slice(4, 6)):
        end = steps[part][-1]
        found = assimilate(
            cell, now, obs[part], method, forcing=forcing[begin : end + 1], key=KEY
        )
        now, begin = found.final, end
        means.append(found.analysis_mean)
    assert np.abs(np.concatenate(means) - whole.analysis_mean).max() < 1e-12
    assert np.abs(found.smoothed_mean - whole.smoothed_mean[4:]).max() < 1e-12
    assert np.abs(found.log_likelihood - whole.log_likelihood[4:]).max() < 1e-10
    assert int(found.final.step) == 15


def test_the_adjoint_of_a_window_is_that_of_its_tangent():
    """⟨M v, u⟩ = ⟨v, Mᵀ u⟩ over uneven gaps, of the memory of the scheme too."""
    cell = Integrated(Lorenz63(), DT, adams_bashforth3)
    carry, _ = forecast(cell, cell.init(START), 3)
    obs = Observations.of(np.zeros((3, 3)), [1, 4, 9], error=1.0)
    gaps = jnp.array([1, 3, 5], jnp.int32)
    run = Run(obs, None, KEY, gaps, 8, False, False, nothing)
    begins = jnp.cumsum(gaps) - gaps
    window = Window(run, jnp.arange(3), begins, begins[0], jnp.array(True), 3, 3)
    row, carry_of = row_of(carry)

    def through(row):
        ahead = window.through(lambda now, f, i, _: cell.step(now, f), carry_of(row))
        return jax.vmap(lambda carry: row_of(carry)[0])(ahead)

    states, forward = jax.linearize(through, row)
    assert jnp.array_equal(states[-1, :3], forecast(cell, carry, 9)[0].state)
    v = jax.random.normal(KEY, row.shape)
    u = jax.random.normal(jax.random.key(1), states.shape)
    (back,) = jax.linear_transpose(forward, row)(u)
    left, right = jnp.sum(forward(v) * u), back @ v
    assert abs(left - right) < 1e-12 * abs(left)


def test_a_growing_window_finds_the_truth_from_the_climate():
    """Ten units of time of a chaotic model, only x observed."""
    _, climate = forecast(TRUTH, TRUTH.init(START), 20_000, every=10)
    carry = TRUTH.init(climate[-1])
    _, truth = forecast(TRUTH, carry, 1000, every=8)
    noise = jax.random.normal(KEY, (125, 1))
    x = Select(jnp.array([0]))
    obs = Observations.of(truth[:, :1] + noise, 8 * np.arange(1, 126), x, error=1.0)
    prior = Gaussian(Carry(climate.mean(0)), jnp.cov(climate.T))
    method = FourDVar(lag=125, growth=5, minimiser=GaussNewton(steps=20))
    found = assimilate(TRUTH, prior, obs, method, key=KEY)
    error = jnp.sqrt(((found.smoothed_mean - truth) ** 2).mean())
    assert error < 0.5
    assert error < 3 * jnp.sqrt((found.smoothed_spread**2).mean())


LINE = Map(0.9 * jnp.eye(2), jnp.zeros(2))
CARRY = Carry(jnp.zeros(2))
SEVEN = Observations.of(np.zeros((7, 2)), np.arange(1, 8), error=1.0)
BAD = {
    "7 times of observations and the windows move by 3": (
        lambda: assimilate(LINE, CARRY, SEVEN, FourDVar(1.0, lag=3), key=KEY)
    ),
    "windows of 3 times that move by 4": lambda: FourDVar(lag=3, shift=4),
    "windows of 0 times": lambda: WeakFourDVar(1.0, lag=0),
    "do not hold all": lambda: IEnKS(lag=3, shift=2, multiple=True),
    "grows by 0": lambda: FourDVar(lag=3, growth=0),
    "error variance 0": lambda: WeakFourDVar(0.0),
    "the bundle has the scale -1": lambda: IEnKS(bundle=-1.0),
    "0 Gauss-Newton steps": lambda: IEnKS(steps=0),
    "FourDVar was given a prior of the type Carry, a Gaussian": (
        lambda: assimilate(LINE, CARRY, SEVEN, FourDVar(), key=KEY)
    ),
    "FourDVar was given a prior of the type Gaussian, a carry": lambda: assimilate(
        LINE, Gaussian(CARRY, jnp.eye(2)), SEVEN, FourDVar(1.0), key=KEY
    ),
    "covariance of the prior is \\(3, 3\\)": lambda: assimilate(
        LINE, Gaussian(CARRY, jnp.eye(3)), SEVEN, FourDVar(), key=KEY
    ),
    "covariance of the model error has 3 components": lambda: assimilate(
        LINE, CARRY, SEVEN, WeakFourDVar(np.ones(3), 1.0), key=KEY
    ),
    "IEnKS was given a prior of the type Gaussian": lambda: assimilate(
        LINE, Gaussian(CARRY, jnp.eye(2)), SEVEN, IEnKS(), key=KEY
    ),
    "covariance of the background has 3 components": lambda: assimilate(
        LINE, CARRY, SEVEN, ThreeDVar(np.ones(3)), key=KEY
    ),
}


@pytest.mark.parametrize("said", BAD)
def test_bad_input_is_refused(said):
    with pytest.raises(InputError, match=said):
        BAD[said]()
