"""Sparse regression against systems whose equations are known."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tendency.cell import trainable
from tendency.errors import InputError
from tendency.integrate import Diffrax, Integrated, dormand_prince5
from tendency.physics.lorenz63 import Lorenz63
from tendency.statistical.derivatives import (
    FiniteDifferences,
    GivenDerivatives,
    Series,
)
from tendency.statistical.equations import equations
from tendency.statistical.library import Fourier, Polynomial, polynomial_coefficients
from tendency.statistical.sparse_regression import sparse_regression
from tendency.statistical.stlsq import STLSQ, Bagging
from tendency.statistical.weak_form import ReweightedWeakForm, WeakForm

LORENZ = np.zeros((3, 10))
LORENZ[0, [1, 2]] = -10, 10
LORENZ[1, [1, 2, 6]] = 28, -1, -1
LORENZ[2, [3, 5]] = -8 / 3, 1


def run(cell, state, steps):
    def step(carry, _):
        new = cell.step(carry)
        return new, new.state

    return jax.lax.scan(step, cell.init(state), None, steps)[1]


@pytest.fixture(scope="module")
def lorenz():
    """10,000 states every 0.01 on the attractor, exact to rounding."""
    cell = Integrated(Lorenz63(), 0.01, Diffrax(diffrax.Dopri8()), substeps=4)
    return eqx.filter_jit(run)(cell, jnp.array([8.0, 0.0, 30.0]), 10_500)[500:]


@pytest.fixture(scope="module")
def noisy(lorenz):
    rng = np.random.default_rng(0)
    return lorenz + jnp.asarray(0.5 * rng.standard_normal(lorenz.shape))


def test_polynomials_are_ordered_by_degree():
    library = Polynomial(3)
    names = "1, x, y, x^2, x y, y^2, x^3, x^2 y, x y^2, y^3"
    assert ", ".join(library.terms(("x", "y"))) == names
    assert library.terms(("x", "y"), latex=True)[7] == "x^{2} y"
    x, y = 2.0, 3.0
    np.testing.assert_array_equal(
        library(jnp.array([x, y])),
        [1, x, y, x * x, x * y, y * y, x**3, x * x * y, x * y * y, y**3],
    )


def test_libraries_join():
    library = Polynomial(1, constant=False) + Fourier((1.0, 2.5))
    assert library.terms(("x",)) == [
        "x",
        "sin(x)",
        "cos(x)",
        "sin(2.5 x)",
        "cos(2.5 x)",
    ]
    assert library.terms(("x",), latex=True)[3] == r"\sin(2.5\,x)"
    np.testing.assert_allclose(
        library(jnp.array([0.3])),
        [0.3, np.sin(0.3), np.cos(0.3), np.sin(0.75), np.cos(0.75)],
    )


def test_a_polynomial_tendency_is_expanded_exactly():
    np.testing.assert_allclose(
        polynomial_coefficients(Lorenz63(), 3), LORENZ, atol=1e-12
    )
    cubic = polynomial_coefficients(lambda x, u: u * x**3 - x, 1, 3, forcing=2.0)
    np.testing.assert_allclose(cubic, [[0, -1, 0, 2]], atol=1e-13)
    with pytest.raises(InputError, match="best polynomial of degree 2"):
        polynomial_coefficients(lambda x, u: jnp.sin(3 * x), 2)


@pytest.mark.parametrize("order", [2, 4, 6])
def test_differences_converge_with_their_order(order):
    def error(dt):
        t = jnp.arange(0, 2, dt)
        x = jnp.sin(t)[:, None]
        series = Series(x, x, dt, (len(t),))
        _, slopes = FiniteDifferences(order).rows(series, Polynomial(1), None)
        half = order // 2
        return jnp.abs(slopes[:, 0] - jnp.cos(t)[half:-half]).max()

    assert abs(np.log2(error(0.1) / error(0.05)) - order) < 0.1


@pytest.mark.parametrize(("order", "bound"), [(2, 0.25), (4, 3e-3), (6, 6e-5)])
def test_differences_find_the_terms_of_lorenz_63(lorenz, order, bound):
    found = sparse_regression(lorenz, 0.01, formulation=FiniteDifferences(order))
    np.testing.assert_array_equal(found.active.value, LORENZ != 0)
    np.testing.assert_allclose(found.coefficients, LORENZ, atol=bound)


@pytest.mark.parametrize("threshold", [0.1, 0.0])
@pytest.mark.parametrize("formulation", [WeakForm(0.5), ReweightedWeakForm(0.25)])
def test_weak_coefficients_are_exact_without_noise(lorenz, formulation, threshold):
    found = sparse_regression(
        lorenz, 0.01, formulation=formulation, regression=STLSQ(threshold)
    )
    np.testing.assert_allclose(found.coefficients, LORENZ, atol=1e-9)


def test_windows_at_random_serve_as_well(lorenz, key):
    form = WeakForm(0.5, count=500)
    found = sparse_regression(lorenz, 0.01, formulation=form, key=key)
    other = sparse_regression(lorenz, 0.01, formulation=form)
    np.testing.assert_allclose(found.coefficients, LORENZ, atol=1e-9)
    assert not np.array_equal(found.coefficients, other.coefficients)


def test_reweighting_forecasts_from_noisy_data(lorenz, noisy):
    """8h within the best of the peers; the plain weak form for comparison."""
    starts = lorenz[:-8:37]

    def error(formulation):
        found = sparse_regression(
            noisy, 0.01, formulation=formulation, regression=STLSQ(0.3)
        )
        np.testing.assert_array_equal(found.active.value, LORENZ != 0)
        cell = Integrated(found, 0.01, dormand_prince5)
        ends = jax.vmap(lambda state: run(cell, state, 8)[-1])(starts)
        return jnp.sqrt(jnp.mean((ends - lorenz[8::37][: len(ends)]) ** 2))

    assert error(ReweightedWeakForm(0.25)) < 0.0095
    assert error(WeakForm(0.25, count=10_000)) < 0.014


def test_reweighting_does_not_depend_on_units(noisy):
    units = np.array([1.0, 1e3, 1e-2])
    form, plain = ReweightedWeakForm(0.25), STLSQ(0.0)
    found, scaled = (
        sparse_regression(x, 0.01, formulation=form, regression=plain).coefficients
        for x in (noisy, noisy * units[None])
    )
    terms = np.asarray(Polynomial(2)(jnp.asarray(units)))
    np.testing.assert_allclose(
        np.asarray(scaled) * terms / units[:, None], found, atol=1e-6
    )


def test_no_row_crosses_a_joint(lorenz):
    x = jnp.concatenate([lorenz[:1500], lorenz[5000:6200], lorenz[:20]])
    segments = [1500, 1200, 20]
    for form, bound in (
        (FiniteDifferences(6), 1e-4),
        (WeakForm(0.5), 1e-9),
        (ReweightedWeakForm(0.25), 1e-9),
    ):
        found = sparse_regression(x, 0.01, formulation=form, segments=segments)
        np.testing.assert_allclose(found.coefficients, LORENZ, atol=bound)


def test_given_derivatives_are_taken_as_they_are(lorenz):
    slopes = jax.vmap(Lorenz63())(lorenz[:500])
    form = GivenDerivatives(slopes)
    found = sparse_regression(lorenz[:500], 0.01, formulation=form)
    np.testing.assert_allclose(found.coefficients, LORENZ, atol=1e-11)


def test_a_forcing_enters_the_library():
    t = np.arange(0, 20, 0.05)
    x = 2 * np.exp(-t) + (np.sin(t) - np.cos(t)) / 2  # dx/dt = -x + sin t
    found = sparse_regression(
        x[:, None],
        0.05,
        Polynomial(2),
        formulation=WeakForm(1.0),
        forcing=np.sin(t)[:, None],
    )
    assert found.equations(("x", "u"), digits=6) == ["dx/dt = -1.000000 x + 1.000000 u"]
    slope = found(jnp.array([2.0]), jnp.array([0.5]))
    np.testing.assert_allclose(slope, [-1.5], atol=1e-8)
    with pytest.raises(InputError, match="give the names"):
        found.equations()


def test_fourier_terms_find_the_pendulum():
    def pendulum(state, forcing):
        return jnp.stack([state[1], -jnp.sin(state[0])])

    cell = Integrated(pendulum, 0.05, dormand_prince5)
    x = run(cell, jnp.array([2.5, 0.0]), 1000)
    found = sparse_regression(
        x, 0.05, Polynomial(1) + Fourier((1.0, 2.0)), formulation=WeakForm(1.0)
    )
    assert found.equations() == ["dx/dt = 1.0000 y", "dy/dt = -1.0000 sin(x)"]


def test_equations_read_well(lorenz):
    found = sparse_regression(lorenz, 0.01, formulation=WeakForm(0.5))
    assert found.equations() == [
        "dx/dt = -10.0000 x + 10.0000 y",
        "dy/dt = 28.0000 x - 1.0000 y - 1.0000 x z",
        "dz/dt = -2.6667 z + 1.0000 x y",
    ]
    assert found.equations("abc", digits=1)[2] == "dc/dt = -2.7 c + 1.0 a b"
    assert found.equations(latex=True)[1] == (
        r"\frac{dy}{dt} = 28.0000\,x - 1.0000\,y - 1.0000\,x z"
    )


def test_equations_show_small_numbers_constants_and_nothing():
    coefficients = np.array([[0.5, 0, 3e-7], [0, 0, 0]])
    library = Polynomial(1)
    assert equations(coefficients, library, digits=2) == [
        "dx/dt = 0.50 + 3.00e-07 y",
        "dy/dt = 0",
    ]
    text = equations(coefficients, library, digits=2, latex=True)[0]
    assert text == r"\frac{dx}{dt} = 0.50 + 3.00 \times 10^{-7}\,y"
    many = equations(np.eye(4), Polynomial(1, constant=False), digits=0)
    assert many[3] == "dx4/dt = 1 x4"


def system(noise=0.0, rows=200):
    rng = np.random.default_rng(0)
    features = rng.standard_normal((rows, 6)) * [1, 1, 1, 100, 1, 1]
    solution = np.zeros((6, 2))
    solution[0, 0], solution[3, 0], solution[5, 1] = 2.0, 0.05, -1.0
    targets = features @ solution + noise * rng.standard_normal((rows, 2))
    sizes = np.sqrt((features**2).mean(0))
    return (*map(jnp.asarray, (features, targets, sizes)), solution)


def test_thresholding_keeps_the_large_and_refits_them():
    features, targets, sizes, _ = system(noise=0.1)
    found = np.asarray(STLSQ(0.1)(features, targets, sizes))
    np.testing.assert_array_equal(np.argwhere(found), [[0, 0], [5, 1]])
    for column, target in ((0, 0), (5, 1)):
        oracle = np.linalg.lstsq(features[:, [column]], targets[:, target])[0]
        np.testing.assert_allclose(found[column, target], oracle[0], rtol=1e-12)


def test_a_normalised_threshold_sees_the_size_of_the_term():
    features, targets, sizes, solution = system()
    found = STLSQ(0.1, normalise=True)(features, targets, sizes)
    np.testing.assert_allclose(found, solution, atol=1e-13)


def test_ridge_shrinks_what_the_threshold_sees_but_not_what_it_keeps():
    features, targets, sizes, _ = system()
    assert STLSQ(1.5)(features, targets, sizes)[0, 0] != 0
    assert STLSQ(1.5, ridge=1.0)(features, targets, sizes)[0, 0] == 0
    kept = STLSQ(0.9, ridge=0.01)(features, targets, sizes)[5, 1]
    np.testing.assert_allclose(kept, -1.0, rtol=1e-12)


def test_bagging_counts_how_often_a_term_was_kept(key):
    features, targets, sizes, solution = system(noise=1.0)
    bagging = Bagging(bags=40, dropped=1)
    median, inclusion = bagging(STLSQ(0.3), features, targets, sizes, 6, key=key)
    np.testing.assert_allclose(inclusion[jnp.array([0, 5]), jnp.array([0, 1])], 1)
    assert inclusion.min() >= 0
    assert inclusion.max() <= 1
    np.testing.assert_array_equal(median != 0, np.abs(solution) > 0.3)
    np.testing.assert_allclose(
        median, np.where(np.abs(solution) > 0.3, solution, 0), atol=0.2
    )
    again, _ = bagging(STLSQ(0.3), features, targets, sizes, 6, key=key)
    np.testing.assert_array_equal(median, again)


def test_an_ensemble_keeps_the_true_terms(noisy, key):
    found = sparse_regression(
        noisy,
        0.01,
        formulation=ReweightedWeakForm(0.25),
        regression=STLSQ(0.3),
        ensemble=Bagging(bags=20),
        key=key,
    )
    np.testing.assert_array_equal(found.active.value, LORENZ != 0)
    assert found.inclusion is not None
    assert (found.inclusion.value[LORENZ != 0] == 1).all()
    # Drawing the noise again moves the coefficient of y, the least certain, by 0.8 %.
    np.testing.assert_allclose(found.coefficients, LORENZ, rtol=0.03)


def test_only_active_coefficients_can_be_trained(lorenz):
    found = sparse_regression(lorenz, 0.01)
    assert trainable(found).coefficients
    assert not jax.tree.leaves(trainable(found).active)[0]

    def loss(model):
        return jnp.sum(model(jnp.array([1.0, 2.0, 3.0])))

    gradient = eqx.filter_grad(loss)(found).coefficients
    np.testing.assert_array_equal(gradient != 0, LORENZ != 0)


def test_float32_stays_float32(lorenz):
    x = lorenz[:3000].astype(jnp.float32)
    found = sparse_regression(x, 0.01, formulation=ReweightedWeakForm(0.25))
    assert found(x[0]).dtype == jnp.float32
    np.testing.assert_allclose(found.coefficients, LORENZ, atol=0.02)


def test_what_cannot_be_identified_is_refused(lorenz, key):
    x = lorenz[:100]
    cases = [
        (dict(states=x.at[7, 1].set(jnp.nan)), "1 NaN or infinite .* time index 7"),
        (dict(dt=-0.1), "interval of the series is -0.1"),
        (dict(segments=[50, 49]), "segments hold 99 times and the series 100"),
        (dict(forcing=x[:3, :1]), "forcing has 3 times"),
        (dict(formulation=WeakForm(0.5)), "has 100 times and a window .* needs 101"),
        (dict(formulation=WeakForm(0.02)), "half-width 0.02 and power 12"),
        (dict(formulation=ReweightedWeakForm(0.5)), "needs 101"),
        (dict(states=x[:3], formulation=FiniteDifferences(4)), "needs 5"),
        (dict(states=x[:9]), "5 equations for 10 unknown"),
        (dict(ensemble=Bagging()), "got no key"),
        (dict(formulation=GivenDerivatives(x[:5])), r"have the shape \(5, 3\)"),
        (dict(formulation=GivenDerivatives(x * jnp.inf)), "derivatives hold NaN"),
    ]
    for change, message in cases:
        with pytest.raises(InputError, match=message):
            sparse_regression(**(dict(states=x, dt=0.01) | change))


def test_senseless_settings_are_refused():
    for make, message in (
        (lambda: FiniteDifferences(3), "order 3"),
        (lambda: Polynomial(0), "degree 0"),
        (lambda: STLSQ(-0.1), "threshold .* is -0.1"),
        (lambda: STLSQ(ridge=-1.0), "ridge .* is -1"),
        (lambda: Bagging(bags=0), "got 0 bags"),
        (lambda: Bagging(fraction=1.5), "fraction of bagging is 1.5"),
        (lambda: WeakForm(0.5, count=0), "0 windows"),
    ):
        with pytest.raises(InputError, match=message):
            make()
