import contextlib

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from tendency.errors import InputError, nearest
from tendency.symbolic import grammar, latex
from tendency.symbolic.grammar import Definition, Names
from tendency.symbolic.system import System

T, X, Y = sympy.symbols("t x y", real=True)
KAPPA, B = sympy.symbols("kappa b", real=True)
U, V, PSI = (sympy.Function(n)(T, X, Y) for n in ("u", "v", "psi_1"))
F = sympy.Function("F")(T)
SYMBOLS = {"t": T, "x": X, "y": Y, "kappa": KAPPA, "b": B, "u": U, "v": V, "F": F}
NAMES = Names(SYMBOLS | {"psi_1": PSI}, [T, X, Y])
R = sympy.Rational


def d(of, *by):
    return sympy.Derivative(of, *by, evaluate=False)


def text(equation):
    return grammar.parse_expression(equation, NAMES, "equation 1")


def tex(equation):
    return latex.parse_expression(equation, NAMES, "equation 1")


MEANINGS = {
    "0.1 + 1e-3 + .5 + 2.": R(2601, 1000),
    "1 - 2 - 3": -4,
    "8 / 2 / 2 * 3": 6,
    "2^3^2": 512,
    "-x^2": -(X**2),
    "2**-1 * u": U / 2,
    "x^-u": X**-U,
    "- - +u": U,
    "pi*u": sympy.pi * U,
    "u^(1/3)": U ** R(1, 3),
    "sqrt(u)": sympy.sqrt(U),
    "exp(-x) + log(u)": sympy.exp(-X) + sympy.log(U),
    "sin(x) + cos(x) + tan(x)": sympy.sin(X) + sympy.cos(X) + sympy.tan(X),
    "asin(x) + acos(x) + atan(x)": sympy.asin(X) + sympy.acos(X) + sympy.atan(X),
    "sinh(x) + cosh(x) + tanh(x)": sympy.sinh(X) + sympy.cosh(X) + sympy.tanh(X),
    "abs(u) + sign(v)": sympy.Abs(U, evaluate=False) + sympy.sign(V, evaluate=False),
    "max(u, 0) + min(u, v, 1)": sympy.Max(U, 0) + sympy.Min(U, V, 1),
    "abs(-2) + max(1, 3)": 5,
    "d_x u * v": d(U, X) * V,
    "d_x u / 2": d(U, X) / 2,
    "-d_x u": -d(U, X),
    "d_xx u + d_xy u + d_yx u": d(U, X, X) + 2 * d(U, X, Y),
    "d_x d_x u": d(U, X, X),
    "d_x(u**2/2)": d(U**2 / 2, X),
    "d_x(kappa * d_x u)": d(KAPPA * d(U, X), X),
    "(d_x u)^2": d(U, X) ** 2,
    "d_x exp(u)": d(sympy.exp(U), X),
    "d_t F": d(F, T),
    "d_x F + d_x kappa + d_x 2": 0,
    "d_x(x * u)": d(X * U, X),
}


@pytest.mark.parametrize("equation", MEANINGS)
def test_what_each_construct_means(equation):
    assert text(equation) == MEANINGS[equation]


def test_both_sides_stand_as_they_were_written():
    for equation, parse in (
        ("d_t u = kappa*d_xx u - u*d_x u", grammar.parse_equation),
        (
            r"\partial_t u = \kappa\,\partial_x^2 u - u \partial_x u",
            latex.parse_equation,
        ),
        (
            r"\frac{\partial u}{\partial t} = \kappa \frac{\partial^2 u}{\partial x^2}"
            r" - u \frac{\partial u}{\partial x}",
            latex.parse_equation,
        ),
    ):
        found = parse(equation, NAMES, "equation 1")
        assert found.lhs == d(U, T)
        assert found.rhs == KAPPA * d(U, X, X) - U * d(U, X)
    assert grammar.parse_equation("u = u", NAMES, "e").lhs == U


def test_coordinates_of_several_letters_and_a_name_like_a_derivative():
    lon, lat = sympy.symbols("lon lat", real=True)
    h = sympy.Function("h")(lon, lat)
    names = Names({"h": h, "d_b": B}, [lon, lat])
    assert grammar.parse_expression("d_lonlat h", names, "e") == d(h, lon, lat)
    assert grammar.parse_expression("d_b * d_lat h", names, "e") == B * d(h, lat)
    x, xx = sympy.symbols("x xx", real=True)
    g = sympy.Function("g")(x, xx)
    with pytest.raises(InputError, match="this could be by x, x or xx"):
        grammar.parse_expression("d_xx g", Names({"g": g}, [x, xx]), "e")


REFUSALS = {
    "d_x u**2": "'\\*\\*' at character 6: this could be d_x of the power or the power",
    "kapa*u": "equation 1 .*'kapa' at character 1: .*not declared, did you mean kappa",
    "u + zzzz": "'zzzz' at character 5: it is not declared, choose from t, x, y",
    "sine(u)": "no function that is known, did you mean sin",
    "u(x)": "'\\(' at character 2: u is no function",
    "2 x": "'x' at character 3: a sign was expected before it, write a product with",
    "2x": "a sign was expected before it",
    "(u v)": "'v' at character 4: a sign was expected",
    "(u": "the end at character 3: '\\)' was expected",
    "u)": "'\\)' at character 2: the end was expected",
    "sin u": "'\\(' was expected after sin",
    "sin(u": "'\\)' or ',' was expected",
    "": "the end at character 1: a name, a number or '\\(' was expected",
    "u +": "the end at character 4",
    "u = v": "'=' at character 3: the end was expected",
    "d_z u": "'d_z' at character 1: the coordinates are t, x, y",
    "d_ u": "the coordinates are t, x, y",
    "d_x": "a field or '\\(' was expected after d_x",
    "d_x -u": "'-' at character 5: a field or '\\(' was expected after d_x",
    "d_" + 17 * "x" + " u": "an order of at most 16",
    "1.2.3": "'.3' at character 4",
    "1e400": "more than 40 digits",
    "x/0": "before character 3: this divides by zero",
    "x/(u - u)": "divides by zero",
    "0^-1": "divides by zero",
    "sqrt(-2)": "sqrt of '-2' is no real number",
    "log(0)": "log of '0' is no real",
    "log(-1)": "log of '-1' is no real",
    "asin(2)": "asin of '2' is no real",
    "asin(sqrt(5))": "is no real",
    "tan(pi/2)": "tan of 'pi/2' is no real",
    "sqrt(-x^2)": "is no real",
    "(-8)^(1/3)": "is no real",
    "(-1)^u": "to a power that varies is no real number",
    "u^65": "the power '65' was found, at most 64",
    "(u^64)^64": "powers of powers come to '4096'",
    "u^pi": "a whole number or a fraction was expected",
    "sin(u, v)": "sin has 2 arguments, one was expected",
    "max(u)": "max has 1 arguments, 2 to 8",
    "x^x^x^x^x^x^x": "more than 4 powers stand within exponents",
}


@pytest.mark.parametrize("equation", REFUSALS)
def test_what_is_refused_and_what_is_said(equation):
    with pytest.raises(InputError, match=REFUSALS[equation]):
        text(equation)


def test_an_equation_has_one_equals_sign():
    for equation, message in (("u", "'=' was expected"), ("u = v = x", "the end was")):
        with pytest.raises(InputError, match=message):
            grammar.parse_equation(equation, NAMES, "equation 1")


HOSTILE = [
    "__import__('os')",
    "().__class__",
    "lambda: 0",
    "u.__class__",
    "u if u else v",
    "u[0]",
    "u; v",
    "u\0",
    "u # v",
    "'u'",
    "{u}",
    "ｕ",
    "𝐮",
    "u\u202e",
    "u\u200b",
    "٣",
    "²",
    "_u",
    "exec(u)",
    "os",
    "u" * 9_900,
    "1" * 9_900,
    "x+" * 6_000 + "x",
    "(" * 4_900 + "u" + ")" * 4_900,
    "-" * 9_900 + "u",
    "^".join(["x"] * 4_900),
    "d_x " * 2_400 + "u",
    "d_" + "x" * 9_000 + " u",
    "9^64^64",
    "(((9^64)^64)^64)^64",
    "(((2*x)^64)^64)^64",
    "*".join(["1e300"] * 1_500),
    "*".join(f"{10**38 + i}^(1/64)" for i in range(190)),
]


@pytest.mark.parametrize("equation", HOSTILE)
def test_hostile_text_is_refused(equation):
    with pytest.raises(InputError) as caught:
        text(equation)
    assert len(str(caught.value)) < 400


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.text("ux2d_^*/+-=(),. \\{}|[]fracptil", max_size=60))
def test_any_text_is_read_or_refused(equation):
    for parse in (text, tex):
        with contextlib.suppress(InputError):
            assert isinstance(parse(equation), sympy.Expr)


LEAVES = st.sampled_from(["u", "v", "x", "kappa", "2", "0.5", "7"])


def branches(inner):
    two = st.tuples(st.sampled_from("+-*"), inner, inner)
    power = st.tuples(st.just("^"), inner, st.sampled_from(["2", "3"]))
    one = st.tuples(st.sampled_from(["sin", "exp", "tanh", "neg"]), inner)
    by = st.tuples(st.sampled_from(["d_x", "d_xy", "d_t"]), inner)
    return two | power | one | by


def printed(tree):
    if isinstance(tree, str):
        return tree
    head, *parts = tree
    shown = [printed(p) for p in parts]
    if head in "+-*^":
        return f"({shown[0]}) {head} ({shown[1]})"
    return f"-({shown[0]})" if head == "neg" else f"{head}({shown[0]})"


def built(tree):
    if isinstance(tree, str):
        return R(tree) if tree[0].isdigit() else SYMBOLS[tree]
    head, *parts = tree
    a, *rest = (built(p) for p in parts)
    if head.startswith("d_"):
        by = [SYMBOLS[c] for c in head[2:]]
        return d(a, *by) if {*by} <= a.free_symbols else sympy.S.Zero
    if head == "neg":
        return -a
    if rest:
        return {"+": a + rest[0], "-": a - rest[0], "*": a * rest[0]}.get(
            head, a ** rest[0] if head == "^" else None
        )
    return getattr(sympy, head)(a)


def in_order(expression):
    """Mixed derivatives in the order of the coordinates."""
    return expression.replace(
        lambda e: isinstance(e, sympy.Derivative),
        lambda e: d(e.expr, *sorted(e.variables, key=[T, X, Y].index)),
    )


@settings(max_examples=100, deadline=None)
@given(st.recursive(LEAVES, branches, max_leaves=8))
def test_a_tree_printed_and_read_is_itself(tree):
    try:
        found = text(printed(tree))
    except InputError as refused:
        assert "power" in str(refused) or "digits" in str(refused)  # noqa: PT017
        return
    assert found == in_order(built(tree))


def test_what_the_left_sides_define():
    found = grammar.left_hand_sides(
        [
            "d_t u = x",
            "d_tt(u) = v",
            "q = d_x u",
            "(q) = 1",
            "d_xx p = q",
            "d_t u + v = 0",
            "d_tx u = 0",
            "t = 2",
            "sin = 2",
            "2 = u",
            "u",
            "d_t(u*v) = 0",
            "",
        ],
        ["x", "y"],
    )
    assert found[:4] == [*map(Definition, "uuqq", (1, 2, 0, 0))]
    assert found[4:] == [None] * 9
    found = latex.left_hand_sides(
        [
            r"\partial_t u = x",
            r"\frac{\partial h_0}{\partial t} = \foo",
            r"q = 1",
            r"\ddot{\psi}_1 = 1",
            r"\partial_t^2 \eta = 0",
            r"\mathrm{SSH} = 2",
            r"\partial_x u = 0",
            r"\partial_t (u + v) = 1",
            r"\nu v = 1",
        ],
        ["x", "y"],
    )
    known = zip(
        ["u", "h_0", "q", "psi_1", "eta", "SSH"], (1, 1, 0, 2, 2, 0), strict=True
    )
    assert found == [*(Definition(*k) for k in known), None, None, None]


@pytest.mark.parametrize(
    "text",
    [
        "d_t u + u*d_x u = k*d_xx u",
        "2*d_t u = 2*k*d_xx u - 2*u*d_x u",
        "k*d_xx u - u*d_x u = d_t(u)",
        "0 = -d_t u + k*d_xx u - u*d_x u",
        r"\frac{\partial u}{\partial t} + u \frac{\partial u}{\partial x} "
        r"= k \frac{\partial^2 u}{\partial x^2}",
        r"k \partial_x^2 u - u \partial_x u = \dot{u}",
    ],
)
def test_equations_are_solved_for_the_time_derivative(text):
    declared = {"coordinates": ["x"], "parameters": {"k": 1.0}}
    found, solved = (
        System.of([one], **declared).prognostic
        for one in (text, "d_t u = k*d_xx u - u*d_x u")
    )
    assert [*found] == [*solved]
    (one,), (other,) = found.values(), solved.values()
    assert sympy.expand(one - other) == 0


@pytest.mark.parametrize(
    ("equations", "message"),
    [
        (["d_t u + d_t v = 0", "d_t v = u"], "1 holds the time derivatives of u and v"),
        (["d_t u + d_x(u*d_t u) = 0"], "holds .* within .*: solve it for the time"),
        (["w = d_t u", "d_t u = -u"], "equation of w holds .*only the equation that"),
        (["(d_t u)**2 = u"], "not linear in"),
        ("d_t u = -u", "equations are 'd_t u = -u', and a list of them was expected"),
    ],
)
def test_what_gives_no_tendency_is_refused(equations, message):
    with pytest.raises(InputError, match=message):
        System.of(equations, coordinates=["x"])


LATEX = {
    r"\frac{1}{2} u^{2} v": U**2 * V / 2,
    r"u(1-u)": U * (1 - U),
    r"\left(\partial_x u\right)^2": d(U, X) ** 2,
    r"\partial_x\left(\kappa \partial_x u\right)": d(KAPPA * d(U, X), X),
    r"\frac{\partial}{\partial x} \left(\frac{u^2}{2}\right)": d(U**2 / 2, X),
    r"\frac{\partial^{2} u}{\partial x \partial y}": d(U, X, Y),
    r"\frac{\partial u v}{\partial x}": d(U * V, X),
    r"\partial_{xy} u + \partial^2_{xy} u + \partial_x \partial_y u": 3 * d(U, X, Y),
    r"\partial_x^2 \psi_1": d(PSI, X, X),
    r"\partial_x u \cdot v \times b": d(U, X) * V * B,
    r"\dot{u} + \ddot{u}": d(U, T) + d(U, T, T),
    r"\sin x \cos(2 y)": sympy.sin(X) * sympy.cos(2 * Y),
    r"\sin^2 x + \ln u": sympy.sin(X) ** 2 + sympy.log(U),
    r"\sqrt{u} + \sqrt[3]{v}": sympy.sqrt(U) + V ** R(1, 3),
    r"u |v|": U * sympy.Abs(V, evaluate=False),
    r"\max\left(u, v\right)": sympy.Max(U, V),
    r"2 \pi u": 2 * sympy.pi * U,
    r"\mathrm{sgn}(u)": sympy.sign(U, evaluate=False),
    r"-2\kappa uv": -2 * KAPPA * U * V,
}


@pytest.mark.parametrize("equation", LATEX)
def test_what_latex_means(equation):
    assert latex.is_latex(equation) == ("\\" in equation)
    assert tex(equation) == LATEX[equation]
    assert text(latex.to_text(equation, NAMES, "e")) == LATEX[equation]


LATEX_REFUSALS = {
    r"\partial_x u v": "no parentheses and could be of this too",
    r"\partial_x u^2": "'2' at character 14: this power could be of the whole",
    r"\sin 2 x": "could be of this too",
    r"1/2 u": "could belong to the denominator",
    r"u(x - y)": "could be the field at another place",
    r"\frac{du}{dt}": "could follow the flow",
    r"\frac{\partial u}{\partial x^2}": "the order 1 above and 2 below",
    r"\partial^2_x^2 u": "given twice",
    r"\partial_z u": "the coordinates are t, x, y",
    r"\kapa u": r"at character 1: it is not read, did you mean kappa",
    r"\nabla u": "it is not read, write it with",
    r"w u": "'w' at character 1: it is not declared",
    r"u 2": "a sign was expected before a number",
    r"x^23": "the power was expected in braces",
    r"\sin^{-1} x": "a whole number was expected",
    r"\frac{u}{0}": "divides by zero",
    r"\frac u v": "a group in braces was expected",
    r"\sqrt[": "the degree of the root",
    r"(u": "'\\)' was expected",
    r"u]": "an operand was expected",
    r"\input{x}": "is not read",
    r"u \\ v": "belongs to no equation",
    "{" * 100 + "u" + "}" * 100: "at most 40 levels",
    r"\frac{" * 900 + "u": "braces was expected|at most 40 levels",
    r"\partial_x " * 800 + "u": "at most 40 levels",
}


@pytest.mark.parametrize("equation", LATEX_REFUSALS)
def test_what_latex_is_refused(equation):
    with pytest.raises(InputError, match=LATEX_REFUSALS[equation]):
        tex(equation)


def test_one_name_or_a_product_is_refused_in_latex():
    uv = sympy.Function("uv")(T, X)
    names = Names(SYMBOLS | {"uv": uv}, [T, X, Y])
    with pytest.raises(InputError, match="one name or a product"):
        latex.parse_expression("uv", names, "e")
    assert latex.parse_expression(r"\mathrm{uv}", names, "e") == uv
    assert latex.parse_expression("u v", names, "e") == U * V


def test_the_nearest_name_is_suggested():
    assert nearest("kapa", ["kappa", "u"]) == "did you mean kappa?"
    assert nearest("zz", ["kappa", "u"]) == "choose from kappa, u"
    assert nearest("zz", ["u"], otherwise="check the path") == "check the path"
    assert nearest("zz", []) == "there is none"
