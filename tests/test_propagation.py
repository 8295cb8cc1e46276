"""How uncertainty goes on, against what is known of linear models and of samples."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import Map

from tendency import Gaussian, InputError, Integrated, ensemble_of, forecast, propagate
from tendency.cell import Carry
from tendency.grid import Axis, Grid
from tendency.physics import Lorenz63
from tendency.propagation import (
    Members,
    Parametric,
    PropagationFailed,
    TangentLinear,
    verb,
)
from tendency.symbolic.generated import generate
from tendency.symbolic.moments import moments
from tendency.symbolic.system import System

KEY = jax.random.key(0)
POINTS = 64
LINE = Grid.of(Axis("x", POINTS))
LINEAR = System.of(
    ["d_t u = k*d_xx u - c*d_x u"], coordinates=["x"], parameters={"k": 0.01, "c": 0.7}
)
L63 = Integrated(Lorenz63(), 0.01)
START = jnp.array([1.5, -1.5, 25.0])


def covariances(found):
    assert found.covariance is not None
    return np.asarray(found.covariance)


def _correlation(length=0.1):
    x = np.arange(POINTS) / POINTS
    r = (x[:, None] - x[None, :])[None] + np.arange(-2, 3)[:, None, None]
    return np.exp(-(r**2) / (2 * length**2)).sum(0), x


def test_a_linear_covariance_is_moved_by_the_matrix_of_the_model():
    """FACTS, section 8, case 8: step by step M P Mᵀ, symmetric and positive."""
    cell = Integrated(generate(LINEAR, LINE), 0.002)
    P, x = _correlation()
    mean = cell.init({"u": jnp.asarray(np.sin(2 * np.pi * x))})
    M = jax.jacfwd(lambda u: cell.step(cell.init({"u": u})).state["u"])(mean.state["u"])
    M = np.asarray(M)
    method = TangentLinear(covariance=True)
    found = propagate(cell, Gaussian(mean, jnp.asarray(P)), 20, method, grid=LINE)
    for step in range(21):
        assert np.abs(covariances(found)[step] - P).max() < 1e-12
        P = M @ P @ M.T
    P = covariances(found)[-1]
    assert np.array_equal(P, P.T)
    assert np.linalg.eigvalsh(P)[0] > -1e-13
    _, free = forecast(cell, mean, 20)
    assert np.abs(found.mean["u"][1:] - free["u"]).max() < 1e-13
    assert np.abs(found.variance["u"][-1] - np.diagonal(P)).max() < 1e-13


def test_lengths_are_those_of_the_correlation():
    cell = Integrated(generate(LINEAR, LINE), 0.002)
    P, x = _correlation(0.1)
    scaled = P * np.outer(1 + x * (1 - x), 1 + x * (1 - x))  # the variance may vary
    prior = Gaussian(cell.init({"u": jnp.zeros(POINTS)}), jnp.asarray(scaled))
    found = propagate(cell, prior, 1, TangentLinear(), grid=LINE)
    h = 2 / POINTS
    exact = h / np.sqrt(2 - 2 * np.exp(-(h**2) / (2 * 0.1**2)))
    np.testing.assert_allclose(found.length["u"][0, 0], exact, rtol=1e-9)
    assert abs(exact / 0.1 - 1) < 0.02
    walled = Grid.of(Axis("x", POINTS, periodic=False))
    found = propagate(cell, prior, 1, TangentLinear(), grid=walled)
    ends = np.asarray(found.length["u"][0, 0])
    assert np.isnan(ends[[0, -1]]).all()
    np.testing.assert_allclose(ends[1:-1], exact, rtol=1e-9)


def test_all_modes_are_the_extended_kalman_filters_covariance():
    P = jnp.diag(jnp.array([0.5, 1.0, 0.2])) + 0.05
    carry = L63.init(START)
    method = TangentLinear(rank=3, second_order=False, covariance=True)
    found = propagate(L63, Gaussian(carry, P), 50, method)
    x, expected = START, P
    for _ in range(50):
        M = jax.jacfwd(lambda x: L63.step(L63.init(x)).state)(x)
        x, expected = L63.step(L63.init(x)).state, M @ expected @ M.T
    assert np.abs(found.mean[-1] - x).max() < 1e-12
    assert np.abs(covariances(found)[-1] / expected - 1).max() < 1e-10
    members = ensemble_of(L63, START, covariance=P, size=4, key=KEY)
    sample = jnp.cov(members.state.T)
    found = propagate(L63, members, 1, method)
    assert np.abs(covariances(found)[0] - sample).max() < 1e-13
    one = propagate(L63, Gaussian(carry, P), 1, TangentLinear(rank=1, covariance=True))
    values, vectors = np.linalg.eigh(P)
    largest = values[-1] * np.outer(vectors[:, -1], vectors[:, -1])
    assert np.abs(covariances(one)[0] - largest).max() < 1e-14


class Square(Map):
    def step(self, carry, forcing=None, *, key=None):
        return Carry(carry.state**2)


def test_the_curvature_of_the_model_moves_the_mean():
    """E[x²] = mean² + variance, whatever the distribution."""
    cell = Square(jnp.eye(2), jnp.zeros(2))
    prior = Gaussian(
        Carry(jnp.array([1.0, 2.0])), jnp.array([[0.1, 0.02], [0.02, 0.3]])
    )
    found = propagate(cell, prior, 1, TangentLinear())
    np.testing.assert_allclose(found.mean[1], [1.1, 4.3], rtol=1e-14)
    first = propagate(cell, prior, 1, TangentLinear(second_order=False))
    np.testing.assert_allclose(first.mean[1], [1.0, 4.0], rtol=1e-14)


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_members_in_batches_have_the_moments_of_the_whole(batch):
    ensemble = ensemble_of(L63, START, spread=1.0, size=40, key=KEY)
    found = propagate(L63, ensemble, 30, Members(batch=batch), every=10)
    run = jax.vmap(lambda carry: forecast(L63, carry, 30, every=10)[1])(ensemble)
    states = np.concatenate([ensemble.state[:, None], run], axis=1)
    np.testing.assert_allclose(found.mean, states.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.variance, states.var(0, ddof=1), rtol=1e-11)
    assert found.steps.tolist() == [0, 10, 20, 30]
    assert found.members == 40
    assert found.sampling_error == (2 / 39) ** 0.5


def _draw(key):
    correlation, _ = _correlation()
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 0))[None]
    return {"u": jnp.asarray(root) @ jax.random.normal(key, (POINTS,))}


def test_members_agree_with_the_tangent_of_a_linear_model():
    """Within their sampling error, lengths too, drawn either way."""
    cell = Integrated(generate(LINEAR, LINE), 0.002)
    P, _ = _correlation()
    prior = Gaussian(cell.init({"u": jnp.zeros(POINTS)}), jnp.asarray(P))
    setting = {"every": 20, "grid": LINE, "key": KEY}
    exact = propagate(cell, prior, 20, TangentLinear(), grid=LINE, every=20)
    for source in (prior, _draw):
        found = propagate(cell, source, 20, Members(4000), **setting)
        apart = found.distance(exact)
        assert apart["variance"] < 1.5 * found.sampling_error
        assert apart["length"] < 0.03
        assert np.abs(found.mean["u"]).max() < 4 / np.sqrt(4000)


def test_the_memory_of_members_is_that_of_a_batch():
    def size(members):
        prior = Gaussian(L63.init(START), jnp.eye(3))
        method = Members(members, batch=50)
        setting = verb.Setting(None, KEY, 200, 10, None)
        start = method.begin(L63, prior, setting)
        program = verb._compiled.lower(L63, method, start, setting).compile()
        return program.compiled.memory_analysis().temp_size_in_bytes

    assert size(5000) < 1.05 * size(500)


def test_equations_of_moments_are_stepped_and_told():
    """Diffusion alone: ν = ν₀ + 2κt, V = V₀ √(ν₀/ν)."""
    heat = System.of(["d_t u = k*d_xx u"], coordinates=["x"], parameters={"k": 0.01})
    cell = Integrated(generate(moments(heat).system(), LINE), 0.002)
    one = jnp.ones(POINTS)
    state = {"u": 0 * one, "V": 0.2 * one, "nu": 0.005 * one}
    found = propagate(cell, state, 100, Parametric(), every=50)
    nu = 0.005 + 2 * 0.01 * found.times
    np.testing.assert_allclose(found.length["u"][:, 0, 3], np.sqrt(2 * nu), rtol=1e-12)
    expected = 0.2 * np.sqrt(0.005 / nu)
    np.testing.assert_allclose(found.variance["u"][:, 3], expected, rtol=1e-8)
    assert set(found.to_xarray().data_vars) == {"u", "u_spread"}
    state["V"] = state["V"].at[5].set(-1e-3)
    with pytest.raises(PropagationFailed, match=r"variance of u is -0\.001 at the poi"):
        propagate(cell, state, 100, Parametric())
    state["V"] = 0.2 * one
    state["nu"] = -0.005 * one  # a closure that left its range
    with pytest.raises(
        PropagationFailed, match="aspect of u is not positive"
    ) as failure:
        propagate(cell, state, 100, Parametric())
    assert len(failure.value.propagated.times) == 0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Members(1), "1 members have no variance: give 2 or more"),
        (lambda: Members(100, within=0.01), "give 20002 members"),
        (lambda: TangentLinear(rank=0), "0 modes were asked for"),
        (lambda: propagate(L63, START, 4, TangentLinear()), "a Gaussian or an ens"),
        (lambda: propagate(L63, START, 3, Members(9), every=2), "positive multiple"),
        (lambda: propagate(L63, START, 3, Members(9)), "give a key"),
        (lambda: propagate(L63, START, 3, Members(9), key=KEY), "of the type Arr"),
        (
            lambda: propagate(
                L63, Gaussian(L63.init(START), -jnp.eye(3)), 1, TangentLinear()
            ),
            "has the eigenvalue -1, none below zero",
        ),
        (
            lambda: propagate(L63, {"u": START, "V": START}, 1, Parametric()),
            "no nu, the variance or aspect of u",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_a_memory_is_moved_with_the_state():
    """Past tendencies of a multistep scheme have errors too."""
    from tendency import adams_bashforth3

    cell = Integrated(Lorenz63(), 0.002, adams_bashforth3)
    start, _ = forecast(cell, cell.init(START), 10)
    members = ensemble_of(cell, start, spread=1e-4, size=30, key=KEY)
    exact = propagate(cell, members, 40, Members(), every=40)
    found = propagate(cell, members, 40, TangentLinear(), every=40)
    assert found.distance(exact)["variance"] < 1e-4
    assert eqx.tree_equal(found.final.mean.state, found.mean[-1])


def test_the_first_failure_is_told_and_an_indefinite_aspect_is_one():
    class Ending(Map):
        def step(self, carry, forcing=None, *, key=None):
            state = dict(carry.state)
            state["V"] = state["V"] - 1.0
            count = state["u"] + 1.0
            state["u"] = jnp.where(count > 7, jnp.nan, count)
            return Carry(state)

    cell = Ending(jnp.eye(1), jnp.zeros(1))
    state = {"u": jnp.zeros(2), "V": jnp.full(2, 2.5), "nu": jnp.ones(2)}
    with pytest.raises(PropagationFailed, match=r"variance of u .* at step 3") as found:
        propagate(cell, state, 10, Parametric())
    assert found.value.propagated.steps.tolist() == [0, 1, 2]
    one = jnp.ones((2, 2))
    state = {"u": 0 * one, "V": 20 * one, "nu_yy": 2 * one, "nu_yx": 0 * one,
             "nu_xx": 0.5 * one}  # fmt: skip
    fine = propagate(cell, state, 2, Parametric(("y", "x")))
    np.testing.assert_allclose(fine.length["u"][0, :, 0, 0], [2.0, 1.0])
    with pytest.raises(PropagationFailed, match="aspect of u is not positive"):
        propagate(cell, state | {"nu_yx": 2 * one}, 2, Parametric(("y", "x")))


def test_lengths_in_a_plane_are_those_of_the_metric():
    """1/√g_xx of g = ν⁻¹/2, where the axes of the correlation are turned too."""
    system = System.of(["d_t c = -c"], coordinates=["x", "y"])
    grid = Grid.of(Axis("x", 4), Axis("y", 4))
    cell = Integrated(generate(moments(system).system(), grid), 0.01)
    nu = np.array([[0.02, 0.01], [0.01, 0.03]])
    state = {"c": jnp.ones((4, 4)), "V": jnp.ones((4, 4))}
    for i, j, name in ((0, 0, "xx"), (0, 1, "xy"), (1, 1, "yy")):
        state[f"nu_{name}"] = jnp.full((4, 4), nu[i, j])
    found = propagate(cell, state, 1, Parametric(("x", "y")))
    metric = np.linalg.inv(2 * nu)
    expected = np.broadcast_to(1 / np.sqrt(np.diag(metric))[:, None, None], (2, 4, 4))
    np.testing.assert_allclose(found.length["c"][1], expected, rtol=1e-12)
