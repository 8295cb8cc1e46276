"""Linear interpolation as an operator: exactness, linearity, adjoint, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tendency import InputError, Observations
from tendency.grid import Axis, Grid
from tendency.observing import Interpolate

KEY = jax.random.key(0)
Y = np.array([3.0, 1.5, 0.0, -1.0])  # falling, uneven
X = np.arange(6.0) / 6


def test_a_bilinear_field_is_read_exactly():
    rng = np.random.default_rng(0)
    y, x = rng.uniform(-1, 3, 50), rng.uniform(0, 5 / 6, 50)
    y[:2], x[:2] = [3.0, -1.0], [0.0, 5 / 6]  # the corners of the domain
    operator = Interpolate([Y, X])

    def field(y, x):
        return 1 + 2 * y - 3 * x + 0.5 * x * y

    found = operator(
        jnp.asarray(field(*np.meshgrid(Y, X, indexing="ij"))), _places(y, x)
    )
    assert np.abs(found - field(y, x)).max() < 1e-14


def _places(y, x):
    return jnp.asarray(np.stack([y, x], 1))


def test_the_error_falls_with_the_square_of_the_step_across_the_seam():
    """sin x on a periodic axis, read everywhere, before the first point and after."""
    where = jnp.asarray(np.random.default_rng(1).uniform(-2, 3, (200, 1)))
    errors = []
    for n in (16, 64):
        grid = Grid.of(Axis("x", n))
        operator = Interpolate.on(grid, where)
        values = jnp.sin(2 * jnp.pi * jnp.arange(float(n)) / n)
        errors.append(
            jnp.abs(operator(values) - jnp.sin(2 * jnp.pi * where[:, 0])).max()
        )
    order = np.log(errors[0] / errors[1]) / np.log(4)
    assert abs(order - 2) < 0.1


def test_it_is_linear_and_its_adjoint_is_that_of_the_weights():
    operator = Interpolate([Y, X], [None, 1.0], where=_of_a_pair)
    rng = np.random.default_rng(2)
    where = _places(rng.uniform(-1, 3, 9), rng.uniform(-1, 2, 9))
    a, b = jax.random.normal(KEY, (2, 4, 6))

    def read(field):
        return operator({"u": field}, where)

    both = read(2 * a - 3 * b)
    assert np.abs(both - (2 * read(a) - 3 * read(b))).max() < 1e-14
    cotangent = jax.random.normal(KEY, (9,))
    _, pullback = jax.vjp(read, a)
    assert abs(cotangent @ read(b) - (pullback(cotangent)[0] * b).sum()) < 1e-14
    index, weight = operator.corners(where)
    assert np.abs(weight.sum(0) - 1).max() < 1e-15
    assert (weight >= 0).all()
    H = np.zeros((9, 4, 6))
    for corner, w in zip(np.asarray(index), np.asarray(weight), strict=True):
        np.add.at(H, (np.arange(9), corner[0], corner[1]), w)
    assert np.abs(np.einsum("oyx,yx->o", H, a) - read(a)).max() < 1e-14


def _of_a_pair(state):
    return state["u"]


def test_positions_may_come_with_each_time():
    values = jnp.arange(24.0).reshape(4, 6)
    where = np.stack([np.full((3, 2), -1.0), np.zeros((3, 2))], -1)
    where[1, :, 1] = 1 / 6
    where[2, 0] = [99.0, 0.0]  # of a value that is missing
    y = np.zeros((3, 2))
    y[2, 0] = np.nan
    obs = Observations.of(
        y, [1, 2, 3], Interpolate([Y, X], [None, 1.0]), error=1.0, arguments=where
    )
    obs.check(values)
    assert np.abs(obs.at(0).observe(values) - 18).max() < 1e-13
    assert np.abs(obs.at(1).observe(values) - 19).max() < 1e-13
    y[2, 0] = 0
    outside = Observations.of(
        y, [1, 2, 3], Interpolate([Y, X], [None, 1.0]), error=1.0, arguments=where
    )
    with pytest.raises(InputError, match="at 99 along axis 0, from -1 to 3"):
        outside.check(values)


@pytest.mark.parametrize(
    ("operator", "said"),
    [
        (lambda: Interpolate([Y, X], [1.0]), "2 axes and 1 periods"),
        (lambda: Interpolate([[0.0, 2.0, 1.0]]), "rise or fall all the way"),
        (lambda: Interpolate([X], [0.5]), "period 0.5 and its points span 0.83"),
        (lambda: Interpolate([Y, X]), "interpolation has no positions"),
        (lambda: Interpolate([Y, X], positions=np.zeros((2, 1))), r"shape \(2, 1\)"),
        (lambda: Interpolate([X, Y], positions=np.zeros((2, 2))), r"axes have \(6, 4"),
        (
            lambda: Interpolate([Y, X], positions=np.array([[0.0, 0.9], [0.0, 0.1]])),
            "at 0.9 along axis 1, from 0 to 0.833",
        ),
    ],
)
def test_what_cannot_be_interpolated_is_refused(operator, said):
    with pytest.raises(InputError, match=said):
        Observations.of(np.zeros((1, 2)), [0], operator(), error=1.0).check(
            jnp.zeros((4, 6))
        )
