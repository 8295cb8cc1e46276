"""Observations: what is refused, covariances against their matrices, missing values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tendency import InputError, Observations
from tendency.observing import (
    CovarianceFunction,
    DenseCovariance,
    DiagonalCovariance,
    Linear,
    Select,
    flat,
)

Y = np.arange(6.0).reshape(3, 2)
STEPS = np.array([1, 2, 4])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"values": Y[0]}, r"shape \(2,\), \(time, observed\)"),
        ({"steps": [1, 2]}, r"3 times of observations and steps of the shape \(2,\)"),
        ({"steps": [1.0, 2.0, 3.0]}, "type float64, whole steps"),
        ({"steps": [1, 3, 3]}, "time 2 stand at step 3, after step 3"),
        ({"steps": [-1, 3, 4]}, "time 0 stand at step -1"),
        ({"error": 0.0}, "error variance 0, a positive"),
        ({"error": DiagonalCovariance(jnp.array([1.0, -2.0]))}, "variance -2"),
        ({"error": DiagonalCovariance(jnp.ones(3))}, r"shape \(3,\)"),
        ({"error": DenseCovariance(np.eye(3))}, "give a matrix 2 by 2"),
        (
            {"error": DenseCovariance(np.array([[1.0, 2.0], [2.0, 1.0]]))},
            "eigenvalue -1",
        ),
        ({"error": DenseCovariance(np.array([[1.0, 0.5], [0.0, 1.0]]))}, "symmetric"),
        ({"mask": np.ones(5, bool)}, r"mask has the shape \(5,\)"),
        ({"values": np.where(Y == 3, np.inf, Y)}, "value 1 of time 1 is infinite"),
        ({"positions": np.zeros((3, 1))}, r"positions have the shape \(3, 1\)"),
        ({"arguments": np.zeros((2, 1))}, "one entry a time"),
    ],
)
def test_what_does_not_fit_is_refused(change, said):
    given = {"values": Y, "steps": STEPS, "error": 1.0} | change
    with pytest.raises(InputError, match=said):
        Observations.of(given.pop("values"), given.pop("steps"), **given)


def test_an_operator_must_fit_the_state_and_the_values():
    state = {"u": jnp.zeros(3), "v": jnp.zeros(3)}
    Observations.of(Y, STEPS, Select(jnp.array([0, 5])), error=1.0).check(state)
    for operator, said in (
        (Select(), r"gives the shape \(6,\) and a time holds 2 values"),
        (Select(jnp.array([0, 6])), "component 6 is observed and the state has 6"),
        (Linear(jnp.ones((2, 5))), "cannot read a state of the shape"),
        (lambda state: state["w"][:2], "KeyError, 'w'"),
    ):
        obs = Observations.of(Y, STEPS, operator, error=1.0)
        with pytest.raises(InputError, match=said):
            obs.check(state)


def test_operators_read_leaf_after_leaf():
    state = {"v": jnp.arange(3.0) + 10, "u": jnp.arange(4.0).reshape(2, 2)}
    assert np.array_equal(flat(state), [0, 1, 2, 3, 10, 11, 12])
    assert np.array_equal(Select(jnp.array([4, 1]))(state), [10, 1])
    of_v = Select(jnp.array([2]), where=lambda state: state["v"])
    assert np.array_equal(of_v(state), [12])
    matrix = jnp.asarray(np.random.default_rng(0).normal(size=(2, 7)))
    assert np.array_equal(Linear(matrix)(state), matrix @ flat(state))


def test_an_operator_may_have_arguments_of_each_time():
    def at(state, index):
        return state[index]

    where = jnp.array([[0, 2], [1, 1], [2, 0]])
    obs = Observations.of(Y, STEPS, at, error=1.0, arguments=where)
    state = jnp.array([5.0, 6.0, 7.0])
    assert np.array_equal(obs.at(2).observe(state), [7, 5])
    assert np.array_equal(obs[1:].at(0).observe(state), [6, 6])


def test_missing_values_are_unseen_and_harmless():
    y = Y.copy()
    y[1, 0] = np.nan
    mask = np.array([[True, True], [True, True], [False, True]])
    obs = Observations.of(y, STEPS, error=1.0, mask=mask)
    assert np.array_equal(obs.seen, [[1, 1], [0, 1], [0, 1]])
    assert np.isfinite(obs.values).all()

    def size(state):
        here = obs.at(1)
        return jnp.sum(here.whiten(here.departures(state)) ** 2)

    assert np.array_equal(jax.grad(size)(jnp.zeros(2)), [0, -6])


def _matrix(size, seed=0):
    root = np.random.default_rng(seed).normal(size=(size, size))
    return root @ root.T + np.eye(size)


def _covariances():
    R = _matrix(4)
    factor = jnp.linalg.cholesky(jnp.asarray(R))
    yield np.diag(np.diagonal(R)), DiagonalCovariance(np.diagonal(R))
    yield R, DenseCovariance(R)
    yield (
        R,
        CovarianceFunction(
            lambda d: jax.scipy.linalg.solve_triangular(factor, d, lower=True),
            lambda z: factor @ z,
            np.diagonal(R),
            np.linalg.slogdet(R)[1],
        ),
    )


@pytest.mark.parametrize("case", [0, 1, 2])
def test_a_covariance_whitens_colours_and_measures(case):
    R, given = list(_covariances())[case]
    error = given.checked(np.zeros((3, 4)))
    seen = jnp.ones(4, bool)
    W = jax.vmap(lambda d: error.whiten(d, seen))(jnp.eye(4)).T
    np.testing.assert_allclose(W.T @ W, np.linalg.inv(R), rtol=0, atol=1e-13)
    C = jax.vmap(error.colour)(jnp.eye(4)).T
    np.testing.assert_allclose(C @ C.T, R, rtol=0, atol=1e-12)
    assert abs(error.log_determinant(seen) - np.linalg.slogdet(R)[1]) < 1e-13
    assert np.array_equal(error.variances(), np.diagonal(R))
    draws = jax.vmap(error.sample)(jax.random.split(jax.random.key(0), 40_000))
    deviation = np.sqrt(np.outer(np.diagonal(R), np.diagonal(R)) * 2 / 40_000)
    assert (np.abs(np.cov(draws.T) - R) < 5 * deviation).all()


def test_a_part_of_a_dense_covariance_is_that_of_the_part():
    R = _matrix(4)
    seen, kept = jnp.array([True, False, True, True]), [0, 2, 3]
    error = DenseCovariance(R)
    W = jax.vmap(lambda d: error.whiten(d, seen))(jnp.eye(4)).T
    assert not W[1].any()
    assert not W[:, 1].any()
    part = R[np.ix_(kept, kept)]
    found = np.asarray(W.T @ W)[np.ix_(kept, kept)]
    np.testing.assert_allclose(found, np.linalg.inv(part), rtol=0, atol=1e-13)
    assert abs(error.log_determinant(seen) - np.linalg.slogdet(part)[1]) < 1e-13


def test_a_covariance_by_functions_wants_all_or_nothing():
    *_, (_, error) = _covariances()
    y = np.zeros((3, 4))
    y[1] = np.nan
    Observations.of(y, STEPS, error=error)
    y[2, 0] = np.nan
    with pytest.raises(InputError, match="time 2 are partly missing"):
        Observations.of(y, STEPS, error=error)


def test_variances_of_each_value_and_parts_of_the_times():
    variance = 1 + np.arange(6.0).reshape(3, 2)
    obs = Observations.of(
        Y,
        STEPS,
        error=DiagonalCovariance(variance),
        positions=np.arange(12.0).reshape(3, 2, 2),
    )
    assert len(obs[1:]) == 2
    assert np.array_equal(obs[1:].at(1).error.variances(), variance[2])
    places = obs[1:].at(0).positions
    assert places is not None
    assert np.array_equal(places, [[4, 5], [6, 7]])
