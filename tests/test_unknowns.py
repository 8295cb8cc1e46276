"""Unknown scalars, combinations and fields in equations: as if they were known."""

import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tendency import store
from tendency.cell import trainable
from tendency.errors import InputError
from tendency.grid import Axis, Grid
from tendency.symbolic.bounds import Interval, positive
from tendency.symbolic.generated import generate
from tendency.symbolic.spectral import Spectral
from tendency.symbolic.system import System
from tendency.symbolic.unknowns import Combination, Field, Scalar, require_unknowns

GRID = Grid.of(Axis("x", 12))
X = GRID.axes[0].positions()
STATE = {"u": jnp.asarray(1.5 + np.sin(2 * np.pi * X) + 0.3 * np.cos(4 * np.pi * X))}
A, B, KAPPA = 0.7, -1.3, 0.01
VALUES = {"a": A, "b": B, "kappa": KAPPA}


def right(text: str, unknowns: dict[str, Any], **more):
    """The tendency of u that the text gives, `kappa` being known."""
    known = {k: v for k, v in VALUES.items() if k not in unknowns}
    system = System.of(
        [f"d_t u = {text}"], coordinates=["x"], parameters=known, unknowns=unknowns
    )
    return generate(system, GRID, **more)


def scalars(**bounds):
    names = ("a", "b")
    return {n: Scalar(VALUES[n], bounds.get(n, Interval())) for n in names}


def values(tendency) -> np.ndarray:
    return np.asarray(tendency(STATE)["u"])


def moved(tendency, name: str, by: float):
    """With another number in the place of an unknown one."""
    old = tendency.unknowns[name]
    free = old.bounds.to_free(old.value + by, old.scale.value)
    where = lambda t: t.unknowns[name].free  # noqa: E731
    return eqx.tree_at(where, tendency, jnp.asarray(free))


def require_slopes(tendency, names):
    """Gradients by reverse mode against central differences, to 1e-6 of the size."""
    weights = jnp.cos(jnp.arange(float(len(X))))

    def scalar(tendency):
        return jnp.sum(weights * tendency(STATE)["u"])

    slopes = eqx.filter_grad(scalar)(tendency).unknowns
    for name in names:
        h = 1e-5
        up, down = (scalar(moved(tendency, name, s * h)) for s in (1, -1))
        estimate = float(up - down) / (2 * h)
        one = tendency.unknowns[name]
        by_value = jax.grad(
            lambda z, one=one: one.bounds.to_bounded(z, one.scale.value)
        )
        found = float(slopes[name].free) / float(by_value(one.free))
        size = float(jnp.sum(jnp.abs(weights * tendency(STATE)["u"]))) + 1
        assert abs(found - estimate) < 1e-6 * max(size, abs(estimate))


FACTORS = ["a", "b", "a^2", "a^3", "b^2", "a*b", "a^2*b", "1/a", "a^(-2)", "kappa*a"]
FACTORS += ["(a + b)", "(a - 2*b)^2", "exp(a)", "a/(1 + b^2)", "1"]
SIGNS = ["", "-", "2*", "-2*", "kappa*", "-kappa*", "3/7*", "-(", "0.1*"]
FIELDS = ["u", "d_x u", "d_xx u", "u*d_x u", "u^2", "d_x(u^2/2)", "1/u", "1"]
FIELDS += ["d_x(a*u*d_x u)", "d_x(b*u)", "a*u^3", "max(a*u, 1)", "d_xx(a*u)"]
TERMS = st.tuples(
    st.sampled_from(SIGNS), st.sampled_from(FACTORS), st.sampled_from(FIELDS)
).map(lambda t: f"{t[0]}{t[1]}*{t[2]}{')' * t[0].count('(')}")
CASES = [  # FACTS of the generator that failed on them
    *("-a*u", "2*a*u", "kappa*a*u", "a*b*u", "a^2*u", "a*u + a*u^2", "a", "+a"),
    *("a*d_x u", "a*u - b*u", "a*b", "-a^2*b + a*b^2"),
]


def require_as_known(text: str):
    unknown = scalars()
    held = {n: unknown[n] for n in set(re.findall(r"\b[ab]\b", text))}
    learned, known = right(text, held), right(text, {})
    size = np.abs(values(known)).max() + 1
    np.testing.assert_allclose(
        values(learned), values(known), rtol=0, atol=1e-12 * size
    )
    require_slopes(learned, held)


@pytest.mark.parametrize("text", CASES)
def test_an_unknown_scalar_is_as_good_as_a_known_one(text):
    require_as_known(text)


@settings(max_examples=40)
@given(st.lists(TERMS, min_size=1, max_size=4))
def test_in_any_product_power_and_sum(terms):
    text = " + ".join(terms)
    require_as_known(text)


@pytest.mark.parametrize(
    "bounds", [positive, Interval(upper=4.0), Interval(0.5, 2.0), Interval(0.0, 0.8)]
)
def test_bounds_change_neither_values_nor_slopes(bounds):
    text = "a*d_xx u - a^2*u + b"
    learned = right(text, scalars(a=bounds))
    np.testing.assert_allclose(values(learned), values(right(text, {})), rtol=1e-13)
    require_slopes(learned, ["a", "b"])
    for far in (-30.0, 30.0):
        one = eqx.tree_at(lambda u: u.free, learned.unknowns["a"], jnp.asarray(far))
        assert bounds.lower <= float(one.value) <= bounds.upper


@pytest.mark.parametrize(
    "method", [{}, {"method": Spectral()}], ids=["points", "waves"]
)
def test_a_combination_is_the_sum_of_its_terms(method):
    of = ["u", "d_xx u", "u*d_x u", "u^2"]
    coefficients = [0.4, 0.01, -1.0, 0.25]
    unknowns: dict[str, Any] = {"C": Combination(of, coefficients)}
    learned = right("kappa*d_xx u + 2*C - C^2", unknowns, **method)
    total = " + ".join(f"({c})*({t})" for c, t in zip(coefficients, of, strict=True))
    known = right(f"kappa*d_xx u + 2*({total}) - ({total})^2", {}, **method)
    scale = np.abs(values(known)).max()
    np.testing.assert_allclose(values(learned), values(known), atol=1e-12 * scale)
    assert learned.values.keys() == {"kappa", "b", "a", "C_1", "C_2", "C_3", "C_4"}


def test_a_field_stands_in_a_flux_as_a_constant_does():
    k = 0.1 + 0.05 * np.cos(2 * np.pi * X)
    text = "d_x(k*d_x u) - k*u"
    learned = right(text, {"k": Field(k, positive)})
    system = System.of([f"d_t u = {text}"], coordinates=["x"], constants=["k"])
    known = generate(system, GRID, constants={"k": jnp.asarray(k)})
    np.testing.assert_allclose(values(learned), values(known), rtol=1e-12, atol=1e-12)
    assert abs(values(right("d_x(k*d_x u)", {"k": Field(k)})).sum()) < 1e-12


def test_what_is_unknown_is_fitted_and_what_is_known_is_not(tmp_path):
    unknowns = {**scalars(a=positive), "k": Field(0.1, positive)}
    learned = right("kappa*d_xx u + a*u + b*u^2 + d_x(k*d_x u)", unknowns)
    leaves = jax.tree.leaves(eqx.filter(learned, trainable(learned)))
    assert sorted(leaf.shape for leaf in leaves) == [(), (), (12,)]
    assert right("kappa*u", {}).parameters.keys() == VALUES.keys()
    path = tmp_path / "model.safetensors"
    store.save(path, moved(learned, "a", 0.5))
    again, _ = store.load(path)
    assert abs(float(again.values["a"]) - (A + 0.5)) < 1e-12
    assert again.unknowns["a"].bounds == positive
    np.testing.assert_array_equal(values(again), values(moved(learned, "a", 0.5)))


@pytest.mark.parametrize("target", ["jax", "torch", "keras"])
def test_source_has_the_numbers_that_were_found(target):
    unknowns = {"a": Scalar(A, positive), "C": Combination(["u", "u^2"], [1.5, -2.0])}
    text = right("a*d_xx u + C", unknowns).source(target, dt=0.01)
    for line in ('"a": 0.7', '"C_1": 1.5', '"C_2": -2.0'):
        assert line in text


def declared(equation="d_t u = a*u", **unknowns):
    return System.of([equation], coordinates=["x"], unknowns=unknowns)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Scalar(float("nan")), "starts at nan, finite numbers"),
        (lambda: Scalar(-1.0, positive), r"starts at -1, and .* > 0 was expected"),
        (lambda: Scalar(1.0, Interval(2, 1)), "bounds 2 and 1, and the first was"),
        (lambda: Combination([]), "a list of expressions was expected"),
        (lambda: Combination("u"), "put brackets around it"),
        (lambda: Combination(["u"], [1.0, 2.0]), r"a combination of 1 terms .*\(2,\)"),
        (
            lambda: require_unknowns({"a": 1.0}),
            "the unknown a is a float: Scalar, Combination",
        ),
        (lambda: declared(a=Scalar(), u=Scalar()), "the name u is declared twice"),
        (lambda: declared("d_t u = u", x=Scalar()), "the name x is declared twice"),
        (lambda: declared(a=Combination(["v*u"])), "term 1 of the unknown a .*'v'"),
        (lambda: declared(a=Combination(["u="])), "term 1 of the unknown a"),
        (lambda: declared(a=Field(along=["y"])), "declared along y, and the coord"),
        (
            lambda: generate(declared(a=Scalar(), q=Scalar()), GRID),
            "the unknown q is declared and no equation",
        ),
        (
            lambda: generate(declared(a=Field(np.ones(5))), GRID),
            r"the unknown field a has the shape \(5,\), \(12,\) was expected",
        ),
    ],
)
def test_what_cannot_be_learned_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
