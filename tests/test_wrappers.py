"""Cells and tendencies made of others: they add what they say and nothing else."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from support import Lagged, Linear, Map, oscillator

from tendency.cell import Carry, Constant, trainable
from tendency.errors import InputError
from tendency.forecasting import forecast
from tendency.integrate import Integrated, adams_bashforth3, rk4
from tendency.networks import MLP
from tendency.physics import Lorenz63, Lorenz96
from tendency.statistical import Polynomial, SparseTendency
from tendency.wrappers import Augmented, PatternNoise, Perturbed, Ring, Sum

X0 = jnp.array([1.0, -2.0])


def test_a_sum_adds_tendencies_and_hands_on_the_forcing():
    slow, fast = oscillator(1.0), oscillator(3.0)
    forcing = jnp.array([0.5, 0.25])
    both = Sum(slow, lambda x, u: {"a": x, "b": u}["a"], fast)
    assert_allclose(
        both(X0, forcing), slow(X0, forcing) + X0 + fast(X0, forcing), rtol=1e-15
    )
    assert_array_equal(Sum(slow)(X0), slow(X0))


def test_a_sum_works_on_any_structure_and_learns_in_each_term():
    half = lambda scale: lambda x, u=None: jax.tree.map(lambda a: scale * a, x)  # noqa: E731
    state = {"u": jnp.ones(2), "v": jnp.ones(3)}
    assert_array_equal(Sum(half(2.0), half(0.5))(state)["v"], 2.5 * np.ones(3))
    slopes = eqx.filter_grad(lambda s: jnp.sum(s(X0) ** 2))(
        Sum(oscillator(), oscillator())
    )
    assert_array_equal(slopes.terms[0].matrix, slopes.terms[1].matrix)
    assert float(jnp.abs(slopes.terms[0].matrix).max()) > 0


def test_a_ring_is_one_tendency_at_all_points():
    """Lorenz-96 from its four terms; then a network, which commutes with turning."""
    terms = {(): 8.0, (0,): -1.0, (1, 2): -1.0, (2, 3): 1.0}
    row = [terms.get(f, 0.0) for f in Polynomial(2).factors(5)]
    active = Constant(jnp.ones((1, 21), bool))
    sparse = SparseTendency(Polynomial(2), jnp.asarray([row]), active, forced=True)
    x = jax.random.normal(jax.random.key(0), (7,))
    assert_allclose(Ring(sparse, 2)(x), Lorenz96()(x), rtol=0, atol=1e-14)
    network = Ring(MLP(1, 6, forcing_size=3, key=jax.random.key(1)), 1)
    push = jnp.ones(1)  # the same at all points, after the neighbours
    turned = network(jnp.roll(x, 3), push)
    assert_allclose(turned, jnp.roll(network(x, push), 3), rtol=0, atol=1e-14)
    assert float(jnp.abs(turned - network(x, 2 * push)).max()) > 1e-3


def test_a_ring_of_too_few_points_is_refused():
    with pytest.raises(InputError, match="at least 1"):
        Ring(oscillator(), 0)
    with pytest.raises(InputError, match="4 points and a reach of 2, at least 5"):
        Ring(oscillator(), 2)(jnp.ones(4))


def rho(cell):
    return cell.tendency.rho


@pytest.fixture(scope="module")
def start():
    return jnp.array([1.0, 2.0, 20.0])


@pytest.mark.parametrize("scheme", [rk4, adams_bashforth3])
def test_an_augmented_cell_takes_the_same_steps_and_keeps_its_parameters(scheme, start):
    cell = Integrated(Lorenz63(), 0.01, scheme)
    augmented = Augmented(cell, rho)
    assert (augmented.dt, augmented.spin_up_steps) == (0.01, 0)
    end, states = forecast(augmented, augmented.init(start), 10)
    plain_end, plain = forecast(cell, cell.init(start), 10)
    assert_array_equal(states, plain)
    memory, parameters = end.memory
    assert eqx.tree_equal(memory, plain_end.memory)
    assert float(parameters) == 28.0


def test_a_parameter_in_the_memory_is_the_one_that_acts(start):
    augmented = Augmented(Integrated(Lorenz63(), 0.01), rho)
    carry = Carry(start, (None, jnp.asarray(20.0)))
    _, states = forecast(augmented, carry, 10)
    cell = Integrated(Lorenz63(rho=20.0), 0.01)
    assert_allclose(states, forecast(cell, Carry(start), 10)[1], rtol=1e-14)


def test_parameters_in_the_memory_are_estimated_from_a_forecast(start):
    """Gauss-Newton on the carry alone, the cell itself untouched."""
    both = lambda cell: (cell.tendency.sigma, cell.tendency.beta)  # noqa: E731
    augmented = Augmented(Integrated(Lorenz63(), 0.02), both)
    _, truth = forecast(augmented, augmented.init(start), 20)

    @jax.jit
    def improved(p):
        def misfit(p):
            carry = Carry(start, (None, (p[0], p[1])))
            return (forecast(augmented, carry, 20)[1] - truth).ravel()

        return p - jnp.linalg.lstsq(jax.jacfwd(misfit)(p), misfit(p))[0]

    p = jnp.array([9.0, 3.0])
    for _ in range(6):
        p = improved(p)
    assert_allclose(p, [10.0, 8 / 3], rtol=1e-11)


def test_an_augmented_cell_with_memory_and_forcing_steps_as_before():
    cell = Lagged(jnp.array([0.5, 0.3, 0.1]))
    augmented = Augmented(cell, lambda c: c.weights)
    assert augmented.spin_up_steps == 2
    a, b = augmented.init(X0), cell.init(X0)
    assert_array_equal(augmented.step(a, X0).state, cell.step(b, X0).state)


def still(size):
    return Integrated(Linear(jnp.zeros((size, size))), 0.25, rk4)


def test_noise_has_the_variance_of_a_random_walk(key):
    """dt std² a step, and steps add up; 5 sampling deviations of √(2/N) are allowed."""
    members = 4000
    cell = Perturbed(still(2), jnp.array([2.0, 0.5]))
    walk = lambda k: forecast(cell, Carry(jnp.zeros(2)), 8, key=k)[1]  # noqa: E731
    walks = np.asarray(jax.vmap(walk)(jax.random.split(key, members)))
    expected = 0.25 * np.arange(1, 9)[:, None] * np.array([4.0, 0.25])
    assert_allclose(walks.var(0), expected, rtol=5 * np.sqrt(2 / members))
    assert_allclose(walks.mean(0) / np.sqrt(expected), 0, atol=5 / np.sqrt(members))
    assert abs(np.corrcoef(walks[:, -1].T)[0, 1]) < 5 / np.sqrt(members)


def test_without_a_key_the_perturbed_step_is_the_cells():
    cell = Integrated(oscillator(), 0.1, adams_bashforth3)
    perturbed = Perturbed(cell, 3.0)
    carry = cell.init(X0)
    assert eqx.tree_equal(perturbed.init(X0), carry)
    assert eqx.tree_equal(perturbed.step(carry), cell.step(carry))


def test_each_leaf_has_its_own_noise_in_its_own_precision(key):
    tendency = lambda x, u: jax.tree.map(jnp.zeros_like, x)  # noqa: E731
    cell = Perturbed(Integrated(tendency, 1.0), 1.0)
    state = {"a": jnp.zeros(3, jnp.float32), "b": jnp.zeros(3)}
    new = forecast(cell, Carry(state), 1, key=key)[0].state
    assert (new["a"].dtype, new["b"].dtype) == (jnp.float32, jnp.float64)
    assert not np.any(np.isclose(new["a"], new["b"], rtol=1e-3))


def test_noise_within_noise_is_independent(key):
    calm = Integrated(lambda x, u: jnp.zeros_like(x), 0.25)
    cell = Perturbed(Perturbed(calm, 1.0), 1.0)
    noise = forecast(cell, Carry(jnp.zeros(4000)), 1, key=key)[0].state
    assert_allclose(np.var(noise), 2 * 0.25, rtol=5 * np.sqrt(2 / 4000))


def test_the_size_of_the_noise_is_not_learnt_by_descent():
    perturbed = Perturbed(Integrated(Lorenz63(), 0.01), jnp.ones(3))
    assert len(jax.tree.leaves(eqx.filter(perturbed, trainable(perturbed)))) == 3


def test_pattern_noise_has_the_covariance_of_its_patterns(key):
    cell = Map(0.5 * jnp.eye(3), jnp.zeros(3), dt=0.25)
    patterns = jnp.asarray([[1.0, 2.0, 0.0], [0.0, -1.0, 0.5]])
    noisy = PatternNoise(cell, patterns)
    start = noisy.init(jnp.asarray([1.0, 0.0, 2.0]))
    np.testing.assert_array_equal(noisy.step(start).state, cell.step(start).state)
    keys = jax.random.split(key, 20_000)
    drawn = jax.jit(jax.vmap(lambda k: noisy.step(start, key=k).state))(keys)
    np.testing.assert_allclose(drawn.mean(0), cell.step(start).state, atol=0.03)
    wanted = 0.25 * np.asarray(patterns.T @ patterns)
    np.testing.assert_allclose(np.cov(np.asarray(drawn).T), wanted, atol=0.04)
