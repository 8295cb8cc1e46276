"""Expectation-maximisation: an ensemble smoother and a fit that take turns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tendency import (
    Integrated,
    LeastSquares,
    Observations,
    ensemble_of,
    expectation_maximisation,
    forecast,
)
from tendency.assimilation import ETKF, EnsembleSmoother, Multiplicative
from tendency.errors import InputError
from tendency.expectation import at_every_step
from tendency.physics import Lorenz63
from tendency.statistical import LinearAR

KEY = jax.random.key(0)
START = jnp.asarray([-5.0, -6.0, 22.0])


def _prior(cell):
    return ensemble_of(cell, START, 0.5, size=12, key=jax.random.key(1))


def _observations():
    truth = Integrated(Lorenz63(), 0.02)
    states = forecast(truth, truth.init(START), 200)[1]
    steps = np.arange(1, 201, 2)
    noise = 0.3 * jax.random.normal(jax.random.key(2), (100, 3))
    return Observations.of(states[steps - 1] + noise, steps, error=0.09)


def test_cycles_bring_the_parameters_to_those_of_the_truth():
    cell = Integrated(Lorenz63(9.0, 26.0, 2.4), 0.02)
    fitted = expectation_maximisation(
        cell,
        _prior,
        _observations(),
        EnsembleSmoother(ETKF(Multiplicative(1.01)), lag=8),
        LeastSquares(),
        cycles=6,
        model_std=1.0,
        key=KEY,
    )
    found = fitted.cell.tendency
    error = [found.sigma - 10, found.rho - 28, found.beta - 8 / 3]
    assert np.abs(error).max() < 0.2  # of 1, 2 and 0.27 at first
    innovation = fitted.history["innovation"]
    assert innovation[-1] < 1 < 3 < innovation[0]


def test_steps_without_an_observation_become_rows_that_are_not_seen():
    every = at_every_step(_observations()[:3])
    assert every.steps.tolist() == [1, 2, 3, 4, 5]
    assert every.seen.any(1).tolist() == [True, False, True, False, True]


def test_what_cannot_take_turns_is_refused():
    cell, observations = Integrated(Lorenz63(), 0.02), _observations()[:4]
    lags = LinearAR(jnp.zeros((2, 3, 3)), jnp.zeros(3), 0.02)
    smoother = EnsembleSmoother(ETKF())
    for message, model, method, cycles in (
        ("0 cycles", cell, smoother, 0),
        ("steps of history", lags, smoother, 1),
        ("no smoothed states", cell, ETKF(), 1),
    ):
        with pytest.raises(InputError, match=message):
            expectation_maximisation(
                model,
                _prior,
                observations,
                method,
                LeastSquares(),
                cycles=cycles,
                model_std=0.1,
                key=KEY,
            )
