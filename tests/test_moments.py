"""The moments of errors of equations, against errors that are known exactly.

Errors e = Σ a_k φ_k of a few waves with independent coefficients of variance one have
expectations that are sums over k, without any sampling. So have their rates of change,
by the equations made linear about the mean. Derivatives are those of Fourier series.
"""

import jax
import numpy as np
import pytest
import sympy
import tomlkit
from sympy.core.function import AppliedUndef

from tendency.equations.build import build
from tendency.equations.config import dump_equations, parse_equations
from tendency.errors import InputError
from tendency.networks import ScalarMLP
from tendency.studies.burgers.setting import BURGERS, UNCERTAIN
from tendency.symbolic.moments import moments
from tendency.symbolic.system import System
from tendency.symbolic.unknowns import Combination, Pointwise, Scalar

POINTS = 80


class Known:
    """Mean fields and errors in closed form, and all that is expected of them."""

    def __init__(self, system):
        self.system = system
        self.space = [str(c) for c in system.coordinates]
        self.fields = [f.func.__name__ for f in system.prognostic]
        x = 2 * np.pi * np.arange(POINTS) / POINTS
        y = x if len(self.space) > 1 else np.zeros(1)
        x, y = x[:, None], y[None, :]
        self.mean, self.errors = {}, {}
        for i, name in enumerate(self.fields):
            self.mean[name] = 1.5 + np.sin(x + 0.3 * i) + 0.5 * np.cos(y)
            waves = [np.cos(x + i), np.sin(x), 1 + 0.05 * np.cos(2 * x - i)]
            waves += [np.cos(y), np.sin(y) + 0.1 * np.sin(x)] * (len(self.space) > 1)
            self.errors[name] = [
                w + 0.1 * np.sin(x + k) + 0.05 * np.cos(y - k)
                for k, w in enumerate(waves)
            ]

    def slope(self, array, index):
        """The derivative along the coordinates named; two parts of complex numbers."""
        if np.iscomplexobj(array):
            return self.slope(array.real, index) + 1j * self.slope(array.imag, index)
        k = np.fft.fftfreq(POINTS, 1 / POINTS)
        for name in map(str, index):
            axis = self.space.index(name)
            wave = k[:, None] if axis == 0 else k[None, :]
            wave = 1j * wave * np.fft.fft(array, axis=axis)
            array = np.fft.ifft(wave, axis=axis).real
        return array

    def value(self, expression, functions):
        """An expression of fields and their derivatives."""
        marks = {}
        for node in expression.atoms(sympy.Derivative, AppliedUndef):
            derived = isinstance(node, sympy.Derivative)
            field, by = (node.expr, node.variables) if derived else (node, ())
            array = functions[field.func.__name__]
            marks[node] = (sympy.Dummy(), self.slope(array, by))
        plain = expression.xreplace({node: mark for node, (mark, _) in marks.items()})
        symbols, arrays = zip(*marks.values(), strict=True)
        return sympy.lambdify(symbols, plain, "numpy")(*arrays)

    def tangent(self, name, k):
        """F' φ_k, by a small step along the imaginary axis."""
        right = dict(zip(self.fields, self.system.prognostic.values(), strict=True))
        right = right[name].subs(self.system.diagnostic).doit()
        right = right.subs(self.system.parameters)
        small = 1e-30
        moved = {n: self.mean[n] + 1j * small * self.errors[n][k] for n in self.fields}
        return self.value(right, moved).imag / small

    def told(self, found):
        """All fields of the equations, and the rates of change that are known."""
        functions, rates = dict(self.mean), {}
        alone, two = len(self.fields) == 1, len(self.space) > 1
        slopes = {
            f: [self.tangent(f, k) for k in range(len(self.errors[f]))]
            for f in self.fields
        }
        for a, f in enumerate(self.fields):
            for h in self.fields[a:]:
                name = "V" if alone else f"V_{f}" if f == h else f"V_{f}_{h}"
                pairs = zip(self.errors[f], self.errors[h], strict=True)
                functions[name] = sum(e * o for e, o in pairs)
                rates[name] = sum(
                    s * o + e * r
                    for s, e, r, o in zip(
                        slopes[f], self.errors[f], slopes[h], self.errors[h],
                        strict=True,
                    )
                )  # fmt: skip
        units = {}
        for f in self.fields:
            end = "" if alone else f"_{f}"
            V, growth = functions[f"V{end}"], rates[f"V{end}"]
            units[f] = [e / np.sqrt(V) for e in self.errors[f]]
            moving = [
                s / np.sqrt(V) - u * growth / (2 * V)
                for s, u in zip(slopes[f], units[f], strict=True)
            ]
            n = len(self.space)
            g, rate = np.zeros((2, n, n, *V.shape))
            for u, m in zip(units[f], moving, strict=True):
                for i, x in enumerate(self.space):
                    for j, y in enumerate(self.space):
                        ux, uy = (self.slope(u, c) for c in (x, y))
                        g[i, j] += ux * uy
                        rate[i, j] += self.slope(m, x) * uy
                        rate[i, j] += self.slope(m, y) * ux
            g, rate = (np.moveaxis(a, (0, 1), (-2, -1)) for a in (g, rate))
            nu = np.linalg.inv(2 * g)
            nu_rate = -2 * nu @ rate @ nu
            for i in range(n):
                for j in range(i, n):
                    tail = f"_{self.space[i]}{self.space[j]}" if two else ""
                    functions[f"nu{end}{tail}"] = nu[..., i, j]
                    rates[f"nu{end}{tail}"] = nu_rate[..., i, j]
                    functions[f"g{end}{tail}"] = g[..., i, j]
        for name, meaning in found.open.items():
            left, by, right = meaning[2 : meaning.index("] of errors")].split(" ")
            f, h = (self.fields[0] if alone else e[2:-1] for e in (left, right))
            index = by.removeprefix("d_")
            total = sum(
                u * self.slope(o, index)
                for u, o in zip(units[f], units[h], strict=True)
            )
            if f != h:
                total = total * np.sqrt(functions[f"V_{f}"] * functions[f"V_{h}"])
            functions[name] = total
        return functions, rates


SYSTEMS = {
    "burgers": BURGERS,
    "third order": System.of(
        ["d_t u = -u^2*d_x u - d_xxx u + k*sin(u)"],
        coordinates=["x"],
        parameters={"k": 0.7},
    ),
    "flux": System.of(
        ["d_t u = d_x(k*u^2*d_x u) + q", "q = u*d_x u"],
        coordinates=["x"],
        parameters={"k": 0.3},
    ),
    "reaction": System.of(
        ["d_t A = -w*d_x A + k*d_xx A - A*B", "d_t B = -w*d_x B + A*B - B^2"],
        coordinates=["x"],
        parameters={"k": 0.2, "w": 0.5},
    ),
    "plane": System.of(
        ["d_t c = k*d_xx c + k*d_yy c - c*d_x c - 0.3*d_y c"],
        coordinates=["x", "y"],
        parameters={"k": 0.1},
    ),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_rates_are_those_of_errors_that_are_known(name):
    """Whatever stays open being given its true value."""
    known, found = Known(SYSTEMS[name]), moments(SYSTEMS[name])
    derived = System.of(
        [*found.equations, *(f"{n} = 0" for n in found.open)],
        coordinates=known.space,
        parameters={str(k): v for k, v in SYSTEMS[name].parameters.items()},
    )
    functions, rates = known.told(found)
    kept = {
        f: F for f, F in derived.diagnostic.items() if str(f).startswith("g_t")
    }  # which is put in; other diagnostic fields are known
    checked = 0
    for field, right in derived.prognostic.items():
        name = field.func.__name__
        if name in rates:
            right = right.subs(kept).subs(derived.parameters)
            value = known.value(right, functions)
            size = np.abs(rates[name]).max()
            assert np.abs(value - rates[name]).max() < 1e-7 * size
            checked += 1
    assert checked == len(rates)


def test_of_burgers_equation_they_are_the_published_ones():
    """FACTS, section 8, term by term, and the theory (1, 3/4, -2)."""
    found = moments(BURGERS)
    assert list(found.open) == ["C"]
    theory = dict(zip("abc", (1, sympy.Rational(3, 4), -2), strict=True))
    theory = {sympy.Symbol(k, real=True): v for k, v in theory.items()}
    ours, theirs = found.system(), UNCERTAIN
    for system in (ours, theirs):
        assert list(map(str, system.prognostic)) == ["u(t, x)", "V(t, x)", "nu(t, x)"]
    for field, right in ours.prognostic.items():
        gap = right - theirs.prognostic[field]
        assert sympy.expand(gap.doit()) == 0
    (ours,), (theirs,) = ours.diagnostic.values(), theirs.diagnostic.values()
    assert sympy.expand(ours - theirs.subs(theory)) == 0


def test_the_mean_stays_in_flux_form():
    system = System.of(["d_t u = -d_x(u^2/2)"], coordinates=["x"])
    first = moments(system).equations[0]
    assert first == "d_t u = -d_x V/2 - d_x(u**2/2)"


def test_closures_are_given_learned_or_those_of_theory():
    found = moments(BURGERS)
    given = found.system("C = b/nu^2", parameters={"b": 0.75})
    (closure,) = given.diagnostic.values()
    assert str(closure) == "b/nu(t, x)**2"
    terms = ["d_xx nu/nu^2", "1/nu^2", "(d_x nu)^2/nu^3"]
    learned = found.system(unknowns={"C": Combination(terms, [1.0, 0.75, -2.0])})
    assert len(learned.unknowns) == 1
    sixth = moments(System.of(["d_t u = d_xxxx u"], coordinates=["x"]))
    assert set(sixth.open) == {"C", "C_xxxxxx"} or set(sixth.open) == {
        "C",
        "C_u_xxxxxx",
    }
    with pytest.raises(InputError, match=r"hold C_.*xxxxxx = E\[.*which no theory"):
        sixth.system()


def test_unknowns_of_the_equations_stay_unknown():
    base = System.of(
        ["d_t u = k*d_xx u + S"],
        coordinates=["x"],
        unknowns={"S": Combination(["u", "u^3"], [0.1, -0.2]), "k": Scalar(0.1)},
    )
    found = moments(base)
    assert "2*S_1*V + 6*S_2*V*u**2" in found.equations[1]
    assert set(found.system().unknowns) == {"S", "k"}
    learned = System.of(
        ["d_t u = S"],
        coordinates=["x"],
        unknowns={"S": Pointwise(["u"], ScalarMLP(1, key=jax.random.key(0)))},
    )
    with pytest.raises(InputError, match=r"equation of u holds S\(u\), whose expect"):
        moments(learned)


@pytest.mark.parametrize(
    ("equations", "more", "said"),
    [
        (["d_t u = -abs(u)"], {}, r"equation of u holds abs\(u\), whose expectation"),
        (["d_t u = -mean(u)*u"], {}, r"holds mean\(u\)"),
        (
            ["d_t q = -d_x psi*q", "d_xx psi = q"],
            {"unknown": ["psi"]},
            "psi is determined by an elliptic equation",
        ),
        (["d_t u = V"], {"constants": ["V"]}, "the name V is taken"),
        (["d_t u = u"], {"coordinates": ["x", "y", "z"]}, "in 3 dimensions, 1 or 2"),
    ],
)
def test_what_has_no_moments_is_refused(equations, more, said):
    system = System.of(equations, **{"coordinates": ["x"], **more})
    with pytest.raises(InputError, match=said):
        moments(system)


FILE = """
[system]
coordinates = ["x"]
equations = ["d_t u = k*d_xx u - u*d_x u"]
moments = true

[parameters]
k = 0.01

[fields.u]
initial = "sin(2*pi*x)"
[fields.V]
initial = 1e-4
[fields.nu]
initial = 0.002

[axes.x]
points = 16

[time]
dt = 0.001
steps = 4
"""


def test_the_moments_of_a_file():
    """Closed by theory, by an equation, or by unknowns; round trip included."""
    content = tomlkit.parse(FILE).unwrap()
    asked = parse_equations(content)
    assert parse_equations(tomlkit.parse(dump_equations(asked)).unwrap()) == asked
    system = build(asked).system
    burgers = BURGERS._replace(parameters={sympy.Symbol("kappa", real=True): 0.01})
    assert system.fields == moments(burgers).system().fields == ("u", "V", "nu")
    content["system"]["closures"] = ["C = b/nu^2"]
    content["parameters"]["b"] = 0.75
    (closure,) = build(parse_equations(content)).system.diagnostic.values()
    assert str(closure) == "b/nu(t, x)**2"
    del content["system"]["closures"], content["parameters"]["b"]
    terms = ["d_xx nu/nu^2", "1/nu^2", "(d_x nu)^2/nu^3"]
    content["unknowns"] = {
        "C": {"kind": "combination", "of": terms, "initial": [1, 0.75, -2]}
    }
    learned = build(parse_equations(content)).system
    assert list(learned.unknowns) == ["C"]
    content["system"] |= {"moments": False, "closures": ["C = 1"]}
    with pytest.raises(InputError, match="closures are of moments"):
        parse_equations(content)
