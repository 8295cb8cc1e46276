"""Unknown numbers by least squares: exact where exact, as uncertain as they are."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tendency.errors import InputError
from tendency.fitting import identify, sparsity_path
from tendency.grid import Axis, Grid
from tendency.integrate import Integrated, adams_bashforth3
from tendency.physics.lorenz63 import Lorenz63
from tendency.symbolic.boundary import neumann
from tendency.symbolic.bounds import Interval, positive
from tendency.symbolic.generated import generate
from tendency.symbolic.modes import Modes
from tendency.symbolic.printed import number, printed
from tendency.symbolic.system import System
from tendency.symbolic.unknowns import Combination, Field, Pointwise, Scalar
from tendency.symbolic.well_posed import kept_well_posed, well_posed_where

LINE = Grid.of(Axis("x", 24))
X = LINE.axes[0].positions()
KAPPA = 0.02


def fields(times, seed=0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    waves = np.arange(1, 5)
    phase = rng.uniform(0, 2 * np.pi, (times, 4, 1))
    size = rng.normal(size=(times, 4, 1)) / waves[:, None]
    return {"u": 1 + (size * np.cos(2 * np.pi * waves[:, None] * X + phase)).sum(1)}


def made(text, unknowns: Any = None, **more):
    system = System.of(
        [f"d_t u = {text}"],
        coordinates=["x"],
        parameters={"kappa": KAPPA},
        unknowns=unknowns,
        **more,
    )
    return generate(system, LINE)


def tendencies(model, states, noise=0.0, seed=5):
    found = np.asarray(jax.vmap(lambda s: model(s))(states)["u"])
    more = np.random.default_rng(seed).normal(size=found.shape)
    return {"u": found + noise * more}


STATES = fields(30)


def test_linear_unknowns_are_those_of_ordinary_least_squares():
    """Values and standard errors against the normal equations, written out."""
    model = made("a*d_xx u - b*u*d_x u + c", {k: Scalar(0.1) for k in "cab"})
    truth = made("0.03*d_xx u - u*d_x u + 0.5")
    target = tendencies(truth, STATES, 0.3)
    found = identify(model, STATES, target)
    u, h = STATES["u"], LINE.axes[0].spacing
    u_x = (np.roll(u, -1, 1) - np.roll(u, 1, 1)) / (2 * h)
    u_xx = (np.roll(u, -1, 1) - 2 * u + np.roll(u, 1, 1)) / h**2
    columns = np.stack([u_xx, -u * u_x, np.ones_like(u)], -1).reshape(-1, 3)
    solution, residual, *_ = np.linalg.lstsq(columns, target["u"].ravel())
    variance = residual[0] / (len(columns) - 3)
    covariance = variance * np.linalg.inv(columns.T @ columns)
    assert found.names == ("a", "b", "c")
    np.testing.assert_allclose(found.values, solution, rtol=1e-9)
    size = np.sqrt(np.diag(covariance))
    scaled = (found.covariance - covariance) / (size[:, None] * size)
    assert np.abs(scaled).max() < 1e-6
    np.testing.assert_allclose(found.noise["u"], 0.3, rtol=0.1)
    z = (found.values - [0.03, 1.0, 0.5]) / found.errors
    assert np.abs(z).max() < 3
    assert float(found.model.values["b"]) == found.known["b"][0]
    assert float(found.model.values["kappa"]) == KAPPA


def test_what_enters_nonlinearly_is_found_too_within_its_bounds():
    text = "d_x((a^2 + b)*d_x u) - exp(b)*u"
    guess = {"a": Scalar(0.5, Interval(0.0, 2.0)), "b": Scalar(1.0, positive)}
    truth = made("d_x((0.09 + 0.2)*d_x u) - exp(0.2)*u")
    exact = identify(made(text, guess), STATES, tendencies(truth, STATES))
    np.testing.assert_allclose(exact.values, [0.3, 0.2], rtol=1e-8)
    noisy = [
        identify(made(text, guess), STATES, tendencies(truth, STATES, 0.5, seed))
        for seed in range(3)
    ]
    z = np.array([(one.values - [0.3, 0.2]) / one.errors for one in noisy])
    assert np.abs(z).max() < 3
    assert np.abs(z).max() > 0.05


def test_a_cell_is_identified_from_states_a_step_apart():
    """Through the stages of Runge and Kutta; no pair crosses a joint."""
    truth = made("0.03*d_xx u - u*d_x u", None)
    step = eqx.filter_jit(lambda c, u: c.step(c.init({"u": u})).state["u"])
    runs = []
    for first in (STATES["u"][0], STATES["u"][1]):
        run = [jnp.asarray(first)]
        for _ in range(4):
            run.append(step(Integrated(truth, 0.002), run[-1]))
        runs += run
    model = Integrated(
        made("a*d_xx u - b*u*d_x u", dict.fromkeys("ab", Scalar(0.1))), 0.002
    )
    states = {"u": np.array(runs)}
    found = identify(model, states, segments=[5, 5])
    np.testing.assert_allclose(found.values, [0.03, 1.0], rtol=1e-7)
    assert isinstance(found.model, Integrated)
    wrong = identify(model, states)  # as if the second run followed the first
    assert np.abs(wrong.values - [0.03, 1.0]).max() > 1e-3
    model = Integrated(model.tendency, 0.002, adams_bashforth3)
    with pytest.raises(InputError, match="remembers earlier tendencies"):
        identify(model, states)


def test_a_map_is_found_where_half_the_points_are_missing():
    """On an odd number of points: the means on faces of an even one hide the map
    1, -1, 1, ..., which the rank tells.
    """
    odd = Grid.of(Axis("x", 25))
    x = odd.axes[0].positions()
    k = 0.1 + 0.05 * np.cos(2 * np.pi * x)
    system = System.of(["d_t u = d_x(k*d_x u)"], coordinates=["x"], constants=["k"])
    truth = generate(system, odd, constants={"k": jnp.asarray(k)})
    states = {"u": np.stack([np.interp(x, X, u) for u in STATES["u"][:12]])}
    exact = tendencies(truth, states)
    hidden = np.random.default_rng(0).random(exact["u"].shape) < 0.5
    target = {"u": np.where(hidden, np.nan, exact["u"])}
    unknown = System.of(
        system.written, coordinates=["x"], unknowns={"k": Field(0.3, positive)}
    )
    found = identify(generate(unknown, odd), states, target)
    np.testing.assert_allclose(found.values, k, rtol=1e-6)
    assert found.names[3] == "k[3]"
    some = {"u": states["u"].copy()}
    some["u"][::2, 5] = np.nan  # the residuals that touch it are left out
    again = identify(generate(unknown, odd), some, exact)
    np.testing.assert_allclose(again.values, k, rtol=1e-6)
    with pytest.raises(InputError, match=r"k\[0\], .* 16 more .* rank 23, and 24 are"):
        identify(generate(unknown, LINE), STATES, STATES)


def test_a_smooth_map_is_found_by_its_modes_from_few_noisy_points():
    """Along an axis with walls and a periodic one, which have modes of their own."""
    plane = Grid.of(Axis("y", 10, periodic=False), Axis("x", 12))
    ends = {"u": {"y": neumann()}}
    at = plane.coordinates()
    waves = np.cos(np.pi * at["y"]) * np.sin(2 * np.pi * at["x"])
    k = np.exp(-2 + 0.4 * waves - 0.3 * np.cos(2 * np.pi * at["x"]))
    text = ["d_t u = d_y(k*d_y u) + d_x(k*d_x u)"]
    truth = generate(
        System.of(text, coordinates=["y", "x"], constants=["k"]),
        plane,
        boundaries=ends,
        constants={"k": jnp.asarray(k)},
    )
    rng = np.random.default_rng(2)
    states = {"u": np.cumsum(rng.normal(size=(40, 10, 12)), 2)}
    exact = tendencies(truth, states)["u"]
    noise = 0.02 * exact.std()
    seen = exact + noise * rng.normal(size=exact.shape)
    seen[rng.random(exact.shape) < 0.5] = np.nan
    unknowns = {"k": Modes([3, 3], 0.3, positive)}
    system = System.of(text, coordinates=["y", "x"], unknowns=unknowns)
    (one, two) = well_posed_where(system)
    assert one.bounds == two.bounds == positive
    model = generate(kept_well_posed(system), plane, boundaries=ends)
    found = identify(model, states, {"u": seen})
    assert found.values.shape == (9,)
    map_found = np.asarray(found.model.unknowns["k"].on_cells)
    error = np.sqrt(np.mean((map_found - k) ** 2) / np.mean(k**2))
    assert error < 0.05
    assert map_found.min() > 0


def test_modes_that_no_map_has():
    with pytest.raises(
        InputError, match=r"map k has \(3, 3\) modes, .* \(24,\) points"
    ):
        made("k*u", {"k": Modes([3, 3])})
    with pytest.raises(InputError, match=r"a map has \(0,\) modes along its axes"):
        Modes([0])


def test_a_bound_that_the_data_cross_is_told():
    model = made("a*d_xx u", {"a": Scalar(1.0, Interval(0.5))})
    with pytest.raises(InputError, match=r"a tends to its bound 0.5, beyond which"):
        identify(model, STATES, tendencies(made("0.03*d_xx u"), STATES))


def test_errors_of_groups_whose_members_err_together():
    """With every row doubled, plain errors shrink by √2 and robust ones do not."""
    model = made("a*d_xx u", {"a": Scalar(0.1)})
    states = fields(60, seed=3)
    target = tendencies(made("0.03*d_xx u"), states, 0.3)
    twice = lambda data: {"u": np.repeat(data["u"], 2, axis=0)}  # noqa: E731
    once = identify(model, states, target, groups=np.arange(60))
    both = identify(
        model, twice(states), twice(target), groups=np.repeat(np.arange(60), 2)
    )
    plain = identify(model, twice(states), twice(target))
    np.testing.assert_allclose(both.errors, once.errors, rtol=1e-9)
    assert both.errors[0] > 1.2 * plain.errors[0]
    np.testing.assert_allclose(both.values, plain.values, rtol=1e-9)


def test_what_the_data_cannot_tell_is_named():
    target = tendencies(made("0.03*d_xx u - u"), STATES)
    flat = {"u": np.ones_like(STATES["u"])}
    scalars = {k: Scalar(0.5) for k in "abc"}
    model = made("(a + b)*d_xx u - c*u", scalars)
    with pytest.raises(InputError, match=r"a and b cannot be told from each .* rank 2"):
        identify(model, STATES, target)
    model = made("a*d_xx u - b*u - c*d_x u", scalars)
    with pytest.raises(InputError, match="a and c cannot be identified from these"):
        identify(model, flat, {"u": -flat["u"]})
    of = ["u", "d_xx u", "2*u - d_xx u", "u^2"]
    model = made("C", {"C": Combination(of)})
    with pytest.raises(InputError, match="C_1, C_2 and C_3 cannot be told from"):
        identify(model, STATES, target)


def test_a_sparsity_path_finds_the_terms(key):
    of = ["u", "u^2", "u^3", "d_x u", "u*d_x u", "d_xxx u"]
    model = made("kappa*d_xx u + C", {"C": Combination(of, 0.1, positive)})
    truth = made("kappa*d_xx u - u*d_x u + 0.5*u - 0.3*u^3")
    target = tendencies(truth, STATES, 0.2)
    path = sparsity_path(model, STATES, target, unknown="C")
    assert path.best.terms == ("u", "u^3", "u*d_x u")
    z = (path.best.values - [0.5, -0.3, -1.0]) / path.best.errors
    assert np.abs(z).max() < 3
    assert [len(c.terms) for c in path.candidates] == [6, 5, 4, 3, 2, 1, 0]
    assert path.candidates[4].score > 2 * path.best.score
    kept = {"C": Combination(path.best.terms)}
    alone = identify(made("kappa*d_xx u + C", kept), STATES, target)
    np.testing.assert_allclose(path.best.values, alone.values, rtol=1e-6)
    np.testing.assert_allclose(path.best.errors, alone.errors, rtol=0.02)
    assert [float(path.model.values[f"C_{i}"]) == 0 for i in range(1, 7)] == [
        *(False, True, False),
        *(True, False, True),
    ]
    with pytest.raises(InputError, match=r"q is no combination of terms .*C"):
        sparsity_path(model, STATES, target, unknown="q")
    with pytest.raises(InputError, match="31 folds were asked for and there are 30"):
        sparsity_path(model, STATES, target, unknown="C", folds=31)


def test_the_equation_prints_with_its_numbers():
    of = ["d_xx u", "u^3", "(d_x u)^2/u"]
    system = System.of(
        ["d_t u = a*C - q"],
        coordinates=["x"],
        unknowns={"C": Combination(of), "a": Scalar(-1.5), "q": Scalar(0.0)},
    )
    values = {"C_1": 0.93412, "C_2": 0.0, "C_3": -2e-7, "a": -1.5, "q": 0.0}
    lines = printed(system, values, {"C_1": 0.0051})
    assert lines == [
        "d_t u = (-1.5)*C - 0",
        "C = 0.9341(51)*d_xx u + (-2e-07)*(d_x u)**2/u",
    ]
    latex = printed(system, values, {"C_1": 0.0051}, latex=True)
    assert latex[0] == r"\partial_{t} u = \left(-1.5\right) C - 0"
    assert r"0.9341(51) \partial_{x}^{2} u" in latex[1]
    assert r"-2 \times 10^{-7}" in latex[1]
    again = System.of([lines[0], lines[1].replace("(51)", "")], coordinates=["x"])
    assert again.fields == ("u",)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.93412, 0.0051, "0.9341(51)"),
        (-1.804, 0.012, "-1.804(12)"),
        (1234.5, 12.0, "1234(12)"),
        (1.2e-7, 3e-9, "1.200(30)e-7"),
        (0.0, 0.1, "0.00(10)"),
        (2.5, float("nan"), "2.5"),
    ],
)
def test_numbers_with_their_errors(value, error, text):
    assert number(value, error) == text


FAR = made("exp(a)*u", {"a": Scalar(9.0)})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, s, t: identify(m, s), "from states and tendencies, .* give the"),
        (lambda m, s, t: identify(Integrated(m, 1.0), s, t), "leave out the tend"),
        (lambda m, s, t: identify(m, s, t, fields=["v"]), "fields holds v, and there"),
        (lambda m, s, t: identify(made("u"), s, t), "have no unknown numbers"),
        (lambda m, s, t: identify(Integrated(Lorenz63(), 1.0), s), "Integrated was"),
        (lambda m, s, t: identify(m, {"v": s["u"]}, t), "states hold no u, arrays"),
        (lambda m, s, t: identify(m, {"u": s["u"][:, 1:]}, t), r"u of shape \(23,\)"),
        (lambda m, s, t: identify(m, s, {"v": t["u"]}), "tendencies hold v of shape"),
        (lambda m, s, t: identify(m, s, {"u": t["u"][1:]}), r"have \[29, 30\] times"),
        (lambda m, s, t: identify(m, s, t, groups=[1, 2]), r"groups has the shape \(2"),
        (
            lambda m, s, t: identify(Integrated(m, 1.0), s, segments=[3]),
            "segments hold 3 times and the states 30",
        ),
        (
            lambda m, s, t: identify(m, s, {"u": np.nan * t["u"]}),
            "no residual is finite",
        ),
        (
            lambda m, s, t: identify(
                made("exp(a)*u", {"a": Scalar(9.0)}), s, t, iterations=2
            ),
            "do not settle in 2 iterations",
        ),
    ],
)
def test_bad_data_are_refused(call, message):
    model = made("a*d_xx u", {"a": Scalar(0.1)})
    with pytest.raises(InputError, match=message):
        call(model, STATES, tendencies(model, STATES))


def test_functions_are_held_as_they_are():
    unknowns = {"a": Scalar(0.5), "S": Pointwise(["u"], lambda v: v[0] ** 2)}
    model = made("a*d_xx u + S", unknowns)
    target = tendencies(made("0.03*d_xx u + u^2"), STATES)
    found = identify(model, STATES, target)
    np.testing.assert_allclose(found.values, [0.03], rtol=1e-9)


@pytest.mark.parametrize("start", [1.5, 3.0, 4.0])
def test_a_step_to_where_the_model_has_no_value_is_no_gain(start):
    """Rows that turn NaN are not missing data: sqrt(a - u), u up to 1, from far off."""
    rng = np.random.default_rng(0)
    system = System.of(
        ["d_t u = sqrt(a - u)"], coordinates=["x"], unknowns={"a": Scalar(start)}
    )
    u = rng.uniform(0, 1, (60, 20))
    rate = np.sqrt(1.05 - u) + 0.01 * rng.normal(size=u.shape)
    found = identify(generate(system, Grid.of(Axis("x", 20))), {"u": u}, {"u": rate})
    assert abs(found.values[0] - 1.05) < 4 * found.errors[0]


def test_a_forcing_of_another_length_is_refused():
    system = System.of(
        ["d_t u = a*F"], coordinates=["x"], forcings=["F"], unknowns={"a": Scalar(1.0)}
    )
    u = np.ones((10, 6))
    with pytest.raises(InputError, match="forcing F has 5 times and the states 10"):
        identify(
            generate(system, Grid.of(Axis("x", 6))),
            {"u": u},
            {"u": u},
            forcing={"F": np.ones(5)},
        )
