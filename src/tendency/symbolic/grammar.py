"""Floor 1: equations as text, read by a grammar of their own; nothing is evaluated.

    equation   = sum "=" sum
    sum        = product (("+" | "-") product)*
    product    = unary (("*" | "/") unary)*
    unary      = ("+" | "-") unary | power
    power      = atom (("**" | "^") unary)?
    atom       = number | name | function "(" sum ("," sum)* ")" | "(" sum ")"
               | derivative | "J_" and two coordinates "(" sum "," sum ")"
    derivative = "d_" and coordinates, as in d_t, d_xx, d_xy, then "(" sum ")" or a
                 number, a name, a function's value or a derivative

So `d_x u * v` is (∂u/∂x) v, and what is differentiated as a whole stands in
parentheses: `d_x(u**2 / 2)`. `d_x u**2` could mean two things and is refused.
Derivatives are not carried out: flux form stays flux form. `meaning.py` builds the
SymPy objects and refuses what would take long or has no real value; `latex.py` reads
the same equations in LaTeX.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn, cast

import sympy

from tendency.errors import InputError, nearest
from tendency.symbolic import meaning
from tendency.symbolic.meaning import FUNCTIONS, Refused

__all__ = [
    "Definition",
    "Names",
    "left_hand_sides",
    "parse_equation",
    "parse_expression",
]

_NAME = r"[A-Za-zΑ-Ρα-ωΣ-Ω](?:[A-Za-zΑ-Ρα-ωΣ-Ω_]|[0-9])*"
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    rf"|(?P<name>{_NAME})|(?P<sign>\*\*|[-+*/^(),=]))"
)
_LONGEST = 10_000  # characters of an equation
_DEEPEST = 40  # parentheses within parentheses
_HIGHEST = 16  # order of a derivative


class Names(NamedTuple):
    """What may stand in an equation: `{"u": u(t, x), "kappa": kappa, "x": x, ...}`."""

    symbols: Mapping[str, sympy.Expr]
    coordinates: Sequence[sympy.Symbol]  # what may be differentiated by, time included


class Definition(NamedTuple):
    """What the left side of an equation defines: `d_tt u` has order 2, `q` order 0."""

    name: str
    order: int


class Token(NamedTuple):
    """A word of an equation, where it begins; number, name, sign or end by kind."""

    kind: str
    text: str
    place: int


def parse_equation(text: str, names: Names, where: str) -> sympy.Equality:
    """An equation, its two sides as they were written; `where` is named in errors.

    Raises:
        InputError: it is not an equation of this grammar, holds a name that is none of
            `names`, has no real value, or would take long to work with.
    """
    return equation_of(tokens_of(text, where), text, names, where)


def parse_expression(text: str, names: Names, where: str) -> sympy.Expr:
    """One side of an equation.

    Raises:
        InputError: as `parse_equation`.
    """
    return expression_of(tokens_of(text, where), text, names, where)


def left_hand_sides(
    texts: Sequence[str], coordinates: Sequence[str], time: str = "t"
) -> list[Definition | None]:
    """What each equation defines, read before any name is declared.

    `d_t u = ...` and `d_t(u) = ...` define the prognostic u of order 1, `d_tt u = ...`
    of order 2, `q = ...` the diagnostic q, of order 0. Where anything else stands on
    the left (an equation to be solved for a field) there is None.

    Raises:
        InputError: a text holds what belongs to no equation.
    """
    return [
        definition_of(tokens_of(text, f"equation {i}"), coordinates, time)
        for i, text in enumerate(texts, 1)
    ]


def tokens_of(text: str, where: str) -> list[Token]:
    """The words of an equation, an end after them."""
    check_length(text, where)
    tokens, place, end = [], 0, len(text.rstrip())
    while place < end:
        found = _TOKEN.match(text, place, end)
        if found is None:
            rest = text[place:].lstrip()
            word = re.match(r"\w+|.", rest, re.S)
            refuse(
                text,
                where,
                f"has {meaning.shown(word[0] if word else rest)} at character "
                f"{len(text) - len(rest) + 1}, which belongs to no equation: write it "
                "with names, numbers, + - * / ^ = and parentheses",
            )
        kind = found.lastgroup or ""
        tokens.append(Token(kind, found[kind], found.start(kind)))
        place = found.end()
    return [*tokens, Token("end", "", place)]


def equation_of(
    tokens: Sequence[Token], text: str, names: Names, where: str
) -> sympy.Equality:
    """The equation that these words of `text` make."""
    parser = _Parser(tokens, text, names, where)
    left = parser.sum()
    if not parser.take("="):
        parser.refuse_next("'=' was expected")
    right = parser.sum()
    parser.end()
    return cast(sympy.Equality, sympy.Equality(left, right, evaluate=False))


def expression_of(
    tokens: Sequence[Token], text: str, names: Names, where: str
) -> sympy.Expr:
    """The expression that these words of `text` make."""
    parser = _Parser(tokens, text, names, where)
    result = parser.sum()
    parser.end()
    return result


def definition_of(
    tokens: Sequence[Token], coordinates: Sequence[str], time: str
) -> Definition | None:
    """What the words left of `=` define, if it is one field."""
    words = [t.text for t in tokens]
    left = tokens[: words.index("=")] if "=" in words else []
    order, reserved = 0, {*coordinates, time, *FUNCTIONS, "pi"}
    if len(left) > 1 and left[0].text.startswith("d_"):
        ways = spellings(left[0].text[2:], list(dict.fromkeys([*coordinates, time])))
        if len(ways) != 1 or set(ways[0]) != {time}:
            return None
        order, left = len(ways[0]), left[1:]
    while [left[0].text, left[-1].text] == ["(", ")"] if len(left) > 2 else False:
        left = left[1:-1]
    if len(left) != 1 or left[0].kind != "name" or left[0].text in reserved:
        return None
    return Definition(left[0].text, order)


def stepped(
    tokens: Sequence[Token], coordinates: Sequence[str], time: str = "t"
) -> list[str]:
    """The fields whose time derivatives these words hold, on any side: `2*d_t u`."""
    words, known = [t.text for t in tokens], list(dict.fromkeys([*coordinates, time]))
    names = {t.text for t in tokens if t.kind == "name"} - {*known, *FUNCTIONS, "pi"}
    found = []
    for i, word in enumerate(words):
        ways = spellings(word[2:], known) if word.startswith("d_") else []
        if len(ways) == 1 and set(ways[0]) == {time}:
            rest = words[i + 1 :]
            deep = next((k for k, w in enumerate(rest) if w != "("), 0)
            field, closing = rest[deep : deep + 1], rest[deep + 1 : 2 * deep + 1]
            if names.issuperset(field) and closing == [")"] * deep:
                found += [f for f in field if not f.startswith("d_")]
    return list(dict.fromkeys(found))


def check_length(text: str, where: str) -> None:
    """Refuse what is too long to be an equation."""
    if len(text) > _LONGEST:
        refuse(text, where, f"has {len(text)} characters, at most {_LONGEST} are read")


def refuse(text: str, where: str, reason: str) -> NoReturn:
    """Say which equation cannot be used, and why."""
    raise InputError(f"{where} ({meaning.shown(text, 80)}) {reason}")


def spellings(word: str, coordinates: Sequence[str]) -> list[list[str]]:
    """The ways to read `xxy` as coordinates: at most two, up to their order."""
    ways: list[dict[tuple[str, ...], None]] = [{(): None}]
    for end in range(1, min(len(word), 200) + 1):
        ways.append({})
        for c in coordinates:
            if word[:end].endswith(c):
                for way in ways[end - len(c)]:
                    ways[end][tuple(sorted((*way, c)))] = None
        ways[end] = dict.fromkeys(list(ways[end])[:2])
    return [list(way) for way in ways[-1]] if 0 < len(word) <= 200 else []


class _Parser:
    """Recursive descent over the words of one equation."""

    def __init__(self, tokens: Sequence[Token], text: str, names: Names, where: str):
        self.tokens, self.text, self.names, self.where = tokens, text, names, where
        self.at = self.depth = 0

    @property
    def next(self) -> Token:
        return self.tokens[self.at]

    def take(self, *texts: str) -> str | None:
        """The next word if it is one of these signs."""
        if self.next.kind == "sign" and self.next.text in texts:
            self.at += 1
            return self.tokens[self.at - 1].text
        return None

    def end(self) -> None:
        if self.next.kind != "end":
            self.refuse_next(self._sign_expected("the end"))

    def sum(self) -> sympy.Expr:
        terms = [self.product()]
        while sign := self.take("+", "-"):
            start = self.next
            term = self.product()
            terms.append(
                term if sign == "+" else self.built(start, meaning.minus, term)
            )
        return self.built(self.next, meaning.total, terms)

    def product(self) -> sympy.Expr:
        factors = [self.unary()]
        while sign := self.take("*", "/"):
            start = self.next
            factor = self.unary()
            if sign == "/":
                factor = self.built(start, meaning.power, factor, sympy.S.NegativeOne)
            factors.append(factor)
        return self.built(self.next, meaning.product, factors)

    def unary(self) -> sympy.Expr:
        start = self.next
        if sign := self.take("+", "-"):
            value = self.deeper(self.unary)
            return value if sign == "+" else self.built(start, meaning.minus, value)
        return self.power()

    def power(self) -> sympy.Expr:
        base = self.atom()
        start = self.next
        if not self.take("**", "^"):
            return base
        return self.built(start, meaning.power, base, self.deeper(self.unary))

    def atom(self) -> sympy.Expr:
        start = self.next
        if start.kind == "number":
            self.at += 1
            return self.built(start, meaning.number, start.text)
        if self.take("("):
            return self.deeper(self.in_parentheses)
        if start.kind != "name":
            self.refuse_next("a name, a number or '(' was expected")
        name = start.text
        if name in self.names.symbols:
            self.at += 1
            if self.next.text == "(":
                self.refuse_next(f"{name} is no function, write a sign before it")
            return self.names.symbols[name]
        if name.startswith("d_"):
            return self.derivative()
        if name.startswith("J_"):
            return self.jacobian()
        if name in FUNCTIONS:
            return self.called(name)
        if name == "pi":
            self.at += 1
            return sympy.pi
        return self.unknown(name)

    def in_parentheses(self) -> sympy.Expr:
        result = self.sum()
        if not self.take(")"):
            self.refuse_next(self._sign_expected("')'"))
        return result

    def called(self, name: str) -> sympy.Expr:
        start = self.next
        self.at += 1
        if not self.take("("):
            self.refuse_next(f"'(' was expected after {name}")
        arguments = [self.deeper(self.sum)]
        while self.take(","):
            arguments.append(self.deeper(self.sum))
        if not self.take(")"):
            self.refuse_next(self._sign_expected("')' or ','"))
        return self.built(start, meaning.called, name, arguments)

    def derivative(self) -> sympy.Expr:
        name = self.next.text
        coordinates = self.coordinates_of(name)
        self.at += 1
        if self.take("("):
            operand = self.deeper(self.in_parentheses)
        else:
            if self.next.kind not in ("name", "number"):
                self.refuse_next(f"a field or '(' was expected after {name}")
            operand = self.deeper(self.atom)
        if self.next.text in ("**", "^"):
            self.refuse_next(
                f"this could be {name} of the power or the power of {name}, put "
                "parentheses around what is meant"
            )
        start, order = self.next, [*self.names.coordinates]
        return self.built(start, meaning.derivative, operand, coordinates, order)

    def jacobian(self) -> sympy.Expr:
        start, known = self.next, self.names.coordinates
        pairs = [
            [a, b] for a in known for b in known if a != b and f"J_{a}{b}" == start.text
        ]
        if len(pairs) != 1:
            listed = ", ".join(map(str, known))
            self.refuse_next(f"two of the coordinates {listed} were expected after J_")
        self.at += 1
        if not self.take("("):
            self.refuse_next(f"'(' was expected after {start.text}")
        first = self.deeper(self.sum)
        if not self.take(","):
            self.refuse_next(f"',' and a second argument were expected in {start.text}")
        second = self.deeper(self.in_parentheses)
        return self.built(start, meaning.jacobian, first, second, pairs[0])

    def coordinates_of(self, name: str) -> list[sympy.Symbol]:
        """Those that `d_xx` or `d_lonlat` names."""
        known = {str(c): c for c in self.names.coordinates}
        if not known:
            self.refuse_next("a derivative cannot stand here")
        ways = spellings(name[2:], list(known))
        if not ways:
            listed = ", ".join(known)
            self.refuse_next(f"the coordinates are {listed}, write d_{[*known][-1]}")
        if len(ways) > 1:
            read = " or ".join(", ".join(way) for way in ways)
            self.refuse_next(f"this could be by {read}, write one d_ for each")
        if len(ways[0]) > _HIGHEST:
            self.refuse_next(f"an order of at most {_HIGHEST} was expected")
        return [known[c] for c in ways[0]]

    def unknown(self, name: str) -> NoReturn:
        if self.tokens[self.at + 1].text == "(":
            kind, known = "no function that is known", [*FUNCTIONS]
        else:
            kind, known = "not declared", [*self.names.symbols, "pi"]
        self.refuse_next(f"it is {kind}, {nearest(name[:80], known)}")

    def deeper(self, read):
        """What `read` finds, one level further down."""
        self.depth += 1
        if self.depth > _DEEPEST:
            self.refuse_next(f"at most {_DEEPEST} levels of nesting were expected")
        result = read()
        self.depth -= 1
        return result

    def built(self, token: Token, build, *arguments) -> sympy.Expr:
        try:
            return build(*arguments)
        except Refused as refused:
            before = f"before character {token.place + 1}: {refused}"
            refuse(self.text, self.where, f"cannot be used as it stands {before}")

    def refuse_next(self, reason: str) -> NoReturn:
        found = meaning.shown(self.next.text) if self.next.text else "the end"
        place = f"at character {self.next.place + 1}"
        refuse(self.text, self.where, f"has {found} {place}: {reason}")

    def _sign_expected(self, otherwise: str) -> str:
        if self.next.kind in ("name", "number") or self.next.text == "(":
            return "a sign was expected before it, write a product with *"
        return f"{otherwise} was expected"
