"""Running a cell: spin-up, forecast and stream agree with a loop written by hand."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from support import Lagged, Linear, Map, counted, oscillator, python_loop

from tendency.cell import Carry, Ramp
from tendency.forecasting import forecast, spin_up, stream
from tendency.integrate import Integrated, adams_bashforth3, rk4
from tendency.physics import Lorenz63, Lorenz96
from tendency.wrappers import Perturbed

X0 = jnp.array([1.0, -2.0])


def whole_carry(carry):
    return carry


@pytest.fixture(scope="module")
def cell():
    return Integrated(oscillator(), 0.1, adams_bashforth3)


@pytest.fixture(scope="module")
def wind():
    return jnp.asarray(np.random.default_rng(0).normal(size=(14, 2)))


def test_a_forecast_is_a_loop_over_steps(cell):
    end, states = forecast(cell, cell.init(X0), 13)
    looped_end, looped = python_loop(cell, cell.init(X0), 13)
    assert_allclose(states, looped, rtol=1e-14)
    for a, b in zip(jax.tree.leaves(end), jax.tree.leaves(looped_end), strict=True):
        assert_allclose(a, b, rtol=1e-13)


def test_a_linear_map_forecasts_its_powers():
    A, b = np.array([[0.5, 0.2], [-0.1, 0.9]]), np.array([1.0, 0.5])
    _, states = forecast(Map(jnp.asarray(A), jnp.asarray(b)), Carry(X0), 7)
    rest = np.linalg.solve(np.eye(2) - A, b)
    powers = [np.linalg.matrix_power(A, n) for n in range(1, 8)]
    assert_allclose(states, rest + powers @ (np.asarray(X0) - rest), rtol=1e-13)


def test_as_many_forcings_as_steps_are_held(cell, wind):
    _, states = forecast(cell, cell.init(X0), 13, wind[:13])
    _, looped = python_loop(cell, cell.init(X0), 13, wind[:13])
    assert_allclose(states, looped, rtol=1e-13)


def test_one_forcing_more_than_steps_makes_ramps(wind):
    cell = Integrated(oscillator(), 0.1, rk4)
    forcing = {"wind": wind}
    cell = eqx.tree_at(lambda c: c.tendency, cell, _WindBlown(cell.tendency))
    _, states = forecast(cell, cell.init(X0), 13, forcing)
    ramps = [Ramp({"wind": wind[i]}, {"wind": wind[i + 1]}) for i in range(13)]
    _, looped = python_loop(cell, cell.init(X0), 13, ramps)
    assert_allclose(states, looped, rtol=1e-13)


class _WindBlown(eqx.Module):
    calm: Callable

    def __call__(self, state, forcing):
        return self.calm(state, forcing["wind"])


def test_every_keeps_some_of_the_states_and_save_chooses_what(cell, wind):
    end, all_states = forecast(cell, cell.init(X0), 12, wind[:13])
    thin_end, some = forecast(cell, cell.init(X0), 12, wind[:13], every=3)
    assert_allclose(some, all_states[2::3], rtol=1e-14)
    assert_allclose(thin_end.state, end.state, rtol=1e-14)
    _, carries = forecast(cell, cell.init(X0), 12, wind[:13], save=whole_carry, every=4)
    assert_allclose(carries.state, all_states[3::4], rtol=1e-14)
    assert_array_equal(carries.memory[2], [4, 8, 12])  # the scheme's count of steps


@eqx.filter_jit
def value_and_gradient(inputs, every, checkpoint):
    def loss(inputs):
        cell, x0, forcing = inputs
        steps = len(forcing) - 1
        end, states = forecast(
            cell, Carry(x0), steps, forcing, every=every, checkpoint=checkpoint
        )
        return jnp.sum(states**3) + jnp.sum(end.state), states

    return eqx.filter_value_and_grad(loss, has_aux=True)(inputs)


@pytest.mark.parametrize(
    ("steps", "every", "checkpoint"),
    [
        (13, 1, 3),
        (13, 1, 100),
        (38, 2, 5),
        (1, 1, True),
        (52, 26, True),
        (143, 1, True),
    ],
)
def test_a_checkpointed_forecast_has_the_same_values_and_gradients(
    steps, every, checkpoint
):
    """Of these numbers of steps some do not divide into segments: there are remainders.

    143 steps are five segments of 28, each four of 7, and three steps.
    """
    wind = jnp.sin(jnp.arange(2.0 * steps + 2)).reshape(-1, 2)
    inputs = (Integrated(oscillator(), 0.1, rk4), X0, wind)
    plain = jax.tree.leaves(value_and_gradient(inputs, every, False))
    saved = jax.tree.leaves(value_and_gradient(inputs, every, checkpoint))
    assert len(plain) == 5  # the loss, the states, and three gradients
    for a, b in zip(plain, saved, strict=True):
        assert_allclose(a, b, rtol=1e-12)


def test_derivatives_are_those_of_finite_differences():
    """Forward and reverse mode, in the parameters, the state and the forcing."""
    cell = Integrated(Lorenz63(), 0.05, rk4, substeps=2)
    forced = eqx.tree_at(lambda c: c.tendency, cell, Forced(cell.tendency))
    params, static = eqx.partition(forced, eqx.is_inexact_array)

    @jax.jit
    def loss(params, x0, forcing):
        cell = eqx.combine(params, static)
        _, states = forecast(cell, Carry(x0), 6, forcing, checkpoint=2)
        return jnp.mean(states**2)

    args = (params, jnp.array([1.0, 2.0, 20.0]), jnp.ones((7, 3)))
    rng = np.random.default_rng(0)
    direction = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape)), args)
    step = 1e-5
    ahead, behind = (
        loss(*jax.tree.map(lambda a, v, s=s: a + s * v, args, direction))
        for s in (step, -step)
    )
    difference = (ahead - behind) / (2 * step)
    _, forward = jax.jvp(loss, args, direction)
    slopes = jax.tree.leaves(jax.grad(loss, argnums=(0, 1, 2))(*args))
    assert len(slopes) == 5  # three parameters, the state and the forcing
    directions = jax.tree.leaves(direction)
    reverse = sum(np.vdot(g, v) for g, v in zip(slopes, directions, strict=True))
    assert_allclose(forward, difference, rtol=1e-7)
    assert_allclose(reverse, forward, rtol=1e-12)


class Forced(eqx.Module):
    """A tendency with an additive forcing."""

    free: Callable

    def __call__(self, state, forcing):
        return self.free(state, None) + forcing


def test_a_checkpointed_gradient_takes_far_less_memory():
    cell = Integrated(Lorenz96(), 0.05, rk4)

    def memory(checkpoint):
        def loss(x0):
            end, _ = forecast(
                cell, Carry(x0), 2500, save=nothing, checkpoint=checkpoint
            )
            return jnp.sum(end.state**2)

        compiled = jax.jit(jax.grad(loss)).lower(jnp.ones(40)).compile()
        used = compiled.memory_analysis()
        assert used is not None
        return used.temp_size_in_bytes

    assert memory(50) < memory(False) / 10
    assert memory(True) < memory(50) / 3


def nothing(carry):
    return None


def test_members_are_forecast_by_vmap(cell, wind):
    members = jnp.stack([X0, 2 * X0, -X0])
    carries = jax.vmap(cell.init)(members)
    _, states = jax.vmap(lambda c: forecast(cell, c, 13, wind[:13]))(carries)
    for member, start in zip(states, members, strict=True):
        assert_allclose(
            member, forecast(cell, cell.init(start), 13, wind[:13])[1], rtol=1e-13
        )


def test_a_key_makes_a_forecast_reproducible_and_its_steps_differ(key):
    cell = Perturbed(Integrated(Linear(jnp.zeros((2, 2))), 0.1, rk4), 1.0)
    _, states = forecast(cell, Carry(X0), 6, key=key)
    _, again = forecast(cell, Carry(X0), 6, key=key)
    _, other = forecast(cell, Carry(X0), 6, key=jax.random.key(1))
    _, looped = python_loop(cell, Carry(X0), 6, key=key)
    noise = np.diff(np.asarray(states), axis=0)
    assert_array_equal(states, again)
    assert_allclose(states, looped, rtol=1e-14)
    assert not np.any(states == other)
    assert len(np.unique(noise.round(12))) == noise.size


@pytest.mark.parametrize(("ramped", "noisy"), [(False, False), (True, True)])
def test_a_stream_is_the_forecast_in_pieces_to_the_bit(wind, key, ramped, noisy):
    """Noise, forcing, a remainder chunk and thinned output included."""
    cell = Perturbed(Integrated(oscillator(), 0.1, adams_bashforth3), 1.0)
    forcing, key = wind[: 12 + ramped], key if noisy else None
    end, states = forecast(cell, cell.init(X0), 12, forcing, every=2, key=key)
    pieces = list(stream(cell, cell.init(X0), 12, forcing, chunk=8, every=2, key=key))
    assert [s.shape[0] for _, s in pieces] == [4, 2]
    assert_array_equal(np.concatenate([s for _, s in pieces]), states)
    assert eqx.tree_equal(pieces[-1][0], end)


def test_a_stream_leaves_the_callers_carry_alone(cell):
    start = cell.init(X0)
    for _ in stream(cell, start, 4, chunk=2):
        pass
    assert_array_equal(start.state, X0)


def test_a_second_call_compiles_nothing():
    tendency, traces = counted()
    cell = Integrated(tendency, 0.1, rk4)
    forecast(cell, Carry(X0), 5, jnp.ones((5, 2)))
    first = len(traces)
    forecast(cell, Carry(2 * X0), 5, jnp.zeros((5, 2)))
    assert len(traces) == first > 0
    pieces = stream(cell, Carry(X0), 40, chunk=4)
    next(pieces)
    first = len(traces)
    assert len(list(pieces)) == 9
    list(stream(cell, Carry(2 * X0), 20, chunk=4))
    assert len(traces) == first


def test_spin_up_fills_the_memory_with_what_came_before():
    cell = Lagged(jnp.array([0.5, 0.3, 0.1]))
    history = jnp.asarray(np.random.default_rng(0).normal(size=(6, 2)))
    carry = spin_up(cell, history)
    assert_array_equal(carry.state, history[-1])
    assert_array_equal(carry.memory, history[3:5])
    _, states = forecast(cell, carry, 1)
    expected = 0.5 * history[5] + 0.3 * history[4] + 0.1 * history[3]
    assert_allclose(states[0], expected, rtol=1e-14)


def test_spin_up_reads_no_more_than_the_cell_needs():
    cell = Lagged(jnp.array([0.5, 0.3, 0.1]))
    history = jnp.asarray(np.random.default_rng(0).normal(size=(6, 2)))
    blind = history.at[:3].set(jnp.nan)
    assert eqx.tree_equal(spin_up(cell, blind), spin_up(cell, history[3:]))


class Hearing(Lagged):
    """Remembers the forcing of its last two steps in place of past states."""

    def step(self, carry, forcing=None, *, key=None):
        assert isinstance(forcing, Ramp)
        heard = jnp.stack([carry.memory[-1], forcing.start + 10 * forcing.end])
        return Carry(carry.state, heard)


def test_spin_up_gives_each_step_the_ramp_between_its_two_times():
    """The step into a time ends with the forcing of that time."""
    cell = Hearing(jnp.zeros(3))
    forcing = jnp.tile(jnp.arange(5.0)[:, None], 2)
    carry = spin_up(cell, jnp.zeros((5, 2)), forcing)
    assert_array_equal(carry.memory[:, 0], [2 + 30, 3 + 40])


def test_a_cell_without_memory_spins_up_on_one_state(cell):
    carry = spin_up(cell, jnp.stack([X0, 3 * X0]))
    assert eqx.tree_equal(carry, cell.init(3 * X0))


def test_a_history_is_read_by_one_compiled_program():
    """A loop over starts must not compile anew at each of them."""
    traces = []

    class Counted(Lagged):
        def step(self, carry, forcing=None, *, key=None):
            traces.append(None)
            return super().step(carry, forcing, key=key)

    cell = Counted(jnp.ones(3))
    spin_up(cell, jnp.ones((4, 2)))
    first = len(traces)
    assert_array_equal(spin_up(cell, jnp.zeros((4, 2))).state, [0, 0])
    assert len(traces) == first > 0


@pytest.mark.parametrize(
    ("history", "forcing", "message"),
    [
        (jnp.zeros((2, 1)), None, "the history has 2 times and the cell needs 3"),
        (jnp.zeros((4, 1)), jnp.zeros(3), "forcing has 3 times and the history 4"),
        ((jnp.zeros(4), jnp.zeros(3)), None, r"the history has leaves of \[3, 4\]"),
    ],
)
def test_a_history_that_does_not_serve_is_refused(history, forcing, message):
    with pytest.raises(ValueError, match=message):
        spin_up(Lagged(jnp.zeros(3)), history, forcing)


@pytest.mark.parametrize(
    ("steps", "options", "message"),
    [
        (0, {}, "0 steps saved every 1"),
        (5, {"every": 2}, "5 steps saved every 2"),
        (5, {"every": 0}, "saved every 0"),
        (5, {"forcing": jnp.zeros((4, 2))}, "forcing has 4 times for 5 steps: give 5"),
        (5, {"forcing": jnp.zeros((7, 2))}, "or 6 values at the ends"),
        (2, {"forcing": (jnp.zeros(2), jnp.zeros(3))}, r"leaves of \[2, 3\] times"),
    ],
)
def test_a_forecast_that_makes_no_sense_is_refused(cell, steps, options, message):
    with pytest.raises(ValueError, match=message):
        forecast(cell, cell.init(X0), steps, **options)
    with pytest.raises(ValueError, match=message):
        next(stream(cell, cell.init(X0), steps, chunk=4, **options))


def test_a_chunk_that_splits_a_save_is_refused(cell):
    with pytest.raises(ValueError, match="3 steps saved every 2"):
        next(stream(cell, cell.init(X0), 4, chunk=3, every=2))
