"""Bounds of unknown coefficients that leave the equations well-posed."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tendency.equations.doubts import ill_posed
from tendency.equations.start import Start
from tendency.errors import InputError
from tendency.fitting import identify
from tendency.forecasting import forecast
from tendency.integrate import Integrated
from tendency.studies.burgers.setting import (
    CLOSURE,
    DT,
    KAPPA,
    POINTS,
    UNCERTAIN,
    VARIANCE,
    line,
    start,
)
from tendency.studies.burgers_uncertainty.setting import AUTHORS, unknown
from tendency.studies.burgers_uncertainty.tendencies import moments_of_sets
from tendency.symbolic.bounds import Interval
from tendency.symbolic.generated import generate
from tendency.symbolic.system import System
from tendency.symbolic.unknowns import Combination, Field, Pointwise, Scalar
from tendency.symbolic.well_posed import kept_well_posed, well_posed_where

KNOWN = System.of(
    [*UNCERTAIN.written[:3], "C = 0"], coordinates=["x"], parameters={"kappa": KAPPA}
)
TERMS = ["d_xx nu/nu^2", "1/nu^2", "(d_x nu)^2/nu^3"]


def system(equations, coordinates="x", parameters=None, **unknowns: Any):
    return System.of(
        equations.split("; "),
        coordinates=[*coordinates],
        parameters=parameters,
        unknowns=unknowns,
    )


def uncertain(guess=CLOSURE, as_scalars=True):
    """Mean, variance and aspect of errors of Burgers' equation, closure unknown."""
    unknowns: Any = {"C": Combination(TERMS, list(guess))}
    if as_scalars:
        unknowns = {n: Scalar(v) for n, v in zip("abc", guess, strict=True)}
    written = UNCERTAIN.written[: 4 if as_scalars else 3]
    return System.of(
        written, coordinates=["x"], parameters={"kappa": KAPPA}, unknowns=unknowns
    )


def test_the_closure_of_burgers_needs_more_than_three_quarters():
    (one,) = well_posed_where(uncertain())
    assert (one.field, one.unknown, one.bounds) == ("nu", "a", Interval(lower=0.75))
    assert one.said() == (
        "the equation of nu holds d_xx nu times kappa*(4*a - 3): it is well-posed for "
        "a > 0.75 only"
    )
    kept = kept_well_posed(uncertain())
    assert kept.unknowns["a"].bounds == Interval(lower=0.75)
    assert kept.unknowns["b"].bounds == Interval()
    (one,) = well_posed_where(uncertain(as_scalars=False))
    assert (one.unknown, one.bounds) == ("C_1", Interval(lower=0.75))
    combination: Any = kept_well_posed(uncertain(as_scalars=False)).unknowns["C"]
    np.testing.assert_allclose(combination.value, CLOSURE, rtol=1e-14)
    far = combination.bounds.to_bounded(jnp.full(3, -20.0), combination.scale.value)
    assert far[0] > 0.75
    assert far[1] < -10
    with pytest.raises(InputError, match=r"a > 0.75 only, and a starts at 0.7, and a"):
        kept_well_posed(uncertain((0.7, 0.75, -2.0)))


@pytest.mark.parametrize(("a", "fine"), [(0.76, True), (0.74, False)])
def test_the_bound_is_that_of_the_doubts_at_a_start(a, fine):
    told = uncertain((a, 0.75, -2.0))
    grid = line(32)
    u = start(32)
    state = {"u": u, "V": VARIANCE + 0 * u, "nu": 2e-4 * (1 + 0.1 * u)}
    sentence = ill_posed(Start.of(generate(told, grid), told, grid, state))
    assert (sentence is None) == fine


@pytest.mark.parametrize(
    ("equations", "unknowns", "expected"),
    [
        ("d_t u = -a*d_xxxx u - d_xx u", {"a": Scalar()}, [("a", Interval(0.0))]),
        ("d_t u = a*d_xxxxxx u", {"a": Scalar()}, [("a", Interval(0.0))]),
        (
            "d_t u = (2 - 3*a)*d_xx u",
            {"a": Scalar(0.1)},
            [("a", Interval(upper=2 / 3))],
        ),
        ("d_t u = d_x(k*d_x u)", {"k": Field()}, [("k", Interval(0.0))]),
        ("d_t u = a*b*d_xx u", {"a": Scalar(), "b": Scalar()}, [(None, None)]),
        ("d_t u = a*u^2*d_xx u", {"a": Scalar()}, [("a", Interval(0.0))]),
        ("d_t u = a*u*d_xx u", {"a": Scalar()}, [(None, None)]),
        ("d_t u = (a + u)*d_xx u", {"a": Scalar()}, [(None, None)]),
        ("d_t u = d_xx u + a*d_x u", {"a": Scalar()}, []),
        ("d_t u = a*d_x u", {"a": Scalar()}, []),
        ("d_t u = a*u", {"a": Scalar()}, []),
        ("d_t u = a*d_xx v; d_t v = -a*d_xx u", {"a": Scalar()}, []),
        (
            "d_t u = a*d_xx u; d_t v = d_xx u + b*d_xx v",
            {"a": Scalar(), "b": Scalar()},
            [("a", Interval(0.0)), ("b", Interval(0.0))],
        ),
        (
            "d_t u = S*d_xx u + a*d_xx u",
            {"a": Scalar(), "S": Pointwise(["u"], abs)},
            [],
        ),
    ],
)
def test_conditions_of_other_equations(equations, unknowns, expected):
    found = well_posed_where(system(equations, **unknowns))
    assert [(one.unknown, one.bounds) for one in found] == expected


def test_signs_of_fields_and_of_parameters_decide():
    told = system("d_t u = a*u*d_xx u", a=Scalar())
    (one,) = well_posed_where(told, positive=["u"])
    assert one.bounds == Interval(0.0)
    told = system("d_t u = k*(a + 1)*d_xx u", parameters={"k": -2.0}, a=Scalar(-3.0))
    assert kept_well_posed(told).unknowns["a"].bounds == Interval(upper=-1.0)
    told = system(
        "d_t u = k*d_xx u + k*d_yy u", "xy", k=Field(2.0, Interval(upper=5.0))
    )
    assert [one.along for one in well_posed_where(told)] == ["x", "y"]
    assert kept_well_posed(told).unknowns["k"].bounds == Interval(0.0, 5.0)


def test_within_its_bounds_no_start_blows_up():
    """Far in z, where the closure without a bound fails at once (a = 0 at t = 0.03)."""
    grid, u = line(48), start(48)
    state = {"u": u, "V": VARIANCE + 0 * u, "nu": jnp.full_like(u, 2e-4)}

    @eqx.filter_jit
    def last(model, a):
        model = eqx.tree_at(lambda m: m.unknowns["a"].free, model, a)
        cell = Integrated(model, DT)
        return forecast(cell, cell.init(state), 150)[0].state["nu"]

    far = jnp.asarray(-4.0)
    bounded, other = (
        last(generate(told, grid), far)
        for told in (kept_well_posed(uncertain()), uncertain())
    )
    assert (bounded > 0).all()
    assert (bounded < 1e-2).all()
    assert not (jnp.abs(other) < 1e10).all()


def test_the_closure_of_burgers_is_identified_from_an_ensemble(key):
    """The oracle is the same regression of tendencies, written out in NumPy."""
    states, segments = moments_of_sets(2, 60, key)
    ends = np.cumsum(segments) - 1
    middle = np.setdiff1d(np.arange(1, ends[-1]), [ends[0], ends[0] + 1])
    middle = middle[::5]
    slope = {n: (x[middle + 1] - x[middle - 1]) / (2 * DT) for n, x in states.items()}
    here = {n: x[middle] for n, x in states.items()}
    model = generate(unknown(), line(POINTS))
    found = identify(model, here, {"nu": slope["nu"]})
    nu, h = here["nu"], 1 / POINTS
    nu_x = (np.roll(nu, -1, 1) - np.roll(nu, 1, 1)) / (2 * h)
    nu_xx = (np.roll(nu, -1, 1) - 2 * nu + np.roll(nu, 1, 1)) / h**2
    none = eqx.filter_jit(jax.vmap(lambda s: generate(KNOWN, line(POINTS))(s)))
    rest = slope["nu"] - np.asarray(none(here)["nu"])
    terms = [nu_xx, np.ones_like(nu), nu_x**2 / nu]
    columns = 4 * KAPPA * np.stack(terms, -1).reshape(-1, 3)
    solution, residual, *_ = np.linalg.lstsq(columns, rest.ravel())
    np.testing.assert_allclose(found.values, solution, rtol=1e-5)
    covariance = residual[0] / (len(columns) - 3) * np.linalg.inv(columns.T @ columns)
    np.testing.assert_allclose(found.errors, np.sqrt(np.diag(covariance)), rtol=1e-3)
    cell = Integrated(model, DT)
    by_steps = identify(cell, states, segments=segments, fields=["nu"])
    assert np.abs(by_steps.values - AUTHORS).max() < 0.25  # of 120 members
    assert by_steps.values[0] > 0.75
