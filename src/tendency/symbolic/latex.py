r"""Floor 1: equations in LaTeX, turned word by word into those of `grammar.py`.

Read are letters, Greek letters and upright names with subscripts (`\psi_1` is the name
psi_1, `u_{ice}` u_ice, `\mathrm{Re}` Re), products by juxtaposition, `\frac`, `\sqrt`,
powers, the functions, `|u|`, and derivatives as `\partial_x`, `\partial_{xy}`,
`\partial_x^2`, `\frac{\partial^2 u}{\partial x \partial y}`,
`\frac{\partial}{\partial x} (...)`, `\dot{u}` and, where there is one coordinate only,
`\frac{du}{dt}`. What a reader could take in two ways is refused: `\partial_x u v`,
`\sin 2 x`, `1 / 2 u`, `f (x + 1)` for a field f.

SymPy's own reader of LaTeX has no partial derivatives and reads `\frac{d u}{d t} = -u`
as false, so the subset is read here.
"""

from collections.abc import Callable, Sequence

import sympy
from sympy.core.function import AppliedUndef

from tendency.symbolic import grammar
from tendency.symbolic.grammar import Definition, Names, Token
from tendency.symbolic.latex_words import (
    DOTS,
    FRACTIONS,
    FUNCTIONS,
    GREEK,
    UPRIGHT,
    Words,
    plain,
)

_CLOSING = {"(": ")", "[": "]", "{": "}", "|(": "|)"}
_DEEPEST = 40


def is_latex(text: str) -> bool:
    """Whether this is LaTeX: it holds a backslash or a brace."""
    return "\\" in text or "{" in text


def parse_equation(text: str, names: Names, where: str) -> sympy.Equality:
    r"""An equation in LaTeX, its two sides as they were written.

    Raises:
        InputError: as `grammar.parse_equation`, or it can be read in two ways.
    """
    return grammar.equation_of(_translated(text, names, where), text, names, where)


def parse_expression(text: str, names: Names, where: str) -> sympy.Expr:
    """One side of an equation in LaTeX.

    Raises:
        InputError: as `parse_equation`.
    """
    return grammar.expression_of(_translated(text, names, where), text, names, where)


def left_hand_sides(
    texts: Sequence[str], coordinates: Sequence[str], time: str = "t"
) -> list[Definition | None]:
    """What each equation in LaTeX defines: see `grammar.left_hand_sides`."""
    found = []
    for i, text in enumerate(texts, 1):
        left = text.partition("=")[0]
        words = words_of(left, [time, *coordinates], f"equation {i}")
        tokens = [*words, Token("sign", "=", len(left))]
        found.append(grammar.definition_of(tokens, coordinates, time))
    return found


def words_of(text: str, coordinates: Sequence[str], where: str) -> list[Token]:
    """The words of `grammar.py`, before any name is declared."""
    grammar.check_length(text, where)
    known = [sympy.Symbol(c) for c in dict.fromkeys(coordinates)]
    return _Reader(text, Names({}, known), where, whole=True).read()


def to_text(text: str, names: Names, where: str) -> str:
    """The equation as `grammar.py` reads it, to show what was understood."""
    return " ".join(t.text for t in _translated(text, names, where)).strip()


def _translated(text: str, names: Names, where: str) -> list[Token]:
    grammar.check_length(text, where)
    words = _Reader(text, names, where).read()
    return [*words, Token("end", "", len(text))]


class _Reader(Words):
    """The words of LaTeX, left to right, into the words of the grammar.

    `last` is what the operand before the next word is, None where a sign stands before:
    a number, a name, a field, a bare (what a derivative or function without parentheses
    was taken of, after which nothing may stand without a sign) or a group.
    """

    def __init__(self, text: str, names: Names, where: str, whole: bool = False):
        super().__init__(text, names, where, whole)
        self.out: list[Token] = []
        self.depth = 0
        self.last: str | None = None
        self.divided = False

    def read(self) -> list[Token]:
        while self.next.kind != "end":
            self.item()
        return self.out

    def item(self) -> None:
        """The next operand or sign."""
        word = self.next
        bar = word.text == "|" and self.last is None
        if word.kind != "sign" or word.text in ("(", "[", "{", "|(") or bar:
            self.operand()
            return
        if word.text == "|":
            bars = word._replace(text="|(")
            self.words[self.at] = bars
            self.operand(closing="|")
            return
        if word.text not in ("+", "-", "*", "/", "^", "="):
            self.refuse("an operand was expected")
        self.at += 1
        if word.text == "^":
            self.exponent(word)
            return
        self.divided = word.text == "/" or (self.divided and word.text == "*")
        self.emit(word.text, word, "sign")
        self.last = None

    def exponent(self, word: Token) -> None:
        if self.last is None:
            self.refuse("what is raised was expected before the power")
        if self.last == "bare":
            self.refuse("this power could be of the whole, put parentheses around it")
        self.emit("^", word, "sign")
        self.argument("the power")
        self.last = "group"

    def argument(self, of: str) -> None:
        """What stands in braces, or the one letter or digit there is."""
        word = self.next
        if word.text == "{":
            self.group("}")
        elif word.kind == "number" and len(word.text) == 1:
            self.at += 1
            self.emit(word.text, word, "number")
        elif word.kind == "letter" or word.text in GREEK:
            self.at += 1
            self.emit(plain(word.text), word, "name")
        else:
            self.refuse(f"{of} was expected in braces")

    def dotted(self) -> None:
        r"""The field under a dot, its subscript after the braces or in them."""
        self.argument("the field")
        if self.next.text == "_":
            place = -2 if self.out[-1].text == ")" else -1
            field = self.out[place]
            if field.kind != "name":
                self.refuse("a name was expected before a subscript")
            self.at += 1
            name = f"{field.text}_{self.subscript()}"
            self.out[place] = field._replace(text=name)

    def operand(self, closing: str | None = None) -> None:
        """One factor, a `*` before it where none is written."""
        word, before, kind = self.next, self.last, self.next.text
        function = kind in FUNCTIONS
        if before is not None:
            self.juxtaposed(word, function)
        start = len(self.out)
        if word.kind == "number":
            self.at += 1
            self.emit(word.text, word, "number")
            self.last = "number"
        elif closing or kind in ("|(", "|"):
            self.emit("abs", word, "name")
            self.group(closing or ("|" if kind == "|" else "|)"))
        elif kind in ("(", "[", "{"):
            self.group(_CLOSING[kind])
            if before == "field":
                self.no_call(word, self.out[start:])
        elif kind in FRACTIONS:
            self.fraction()
        elif kind == "sqrt":
            self.root()
        elif function:
            self.at += 1
            self.function(FUNCTIONS[kind], word)
        elif kind == "partial":
            self.partial()
        elif kind in DOTS:
            time = "t" if "t" in self.coordinates else self.coordinates[0]
            self.at += 1
            self.emit("d_" + time * DOTS[kind], word, "name")
            self.parenthesised(self.dotted, word)
            self.last = "group"
        else:
            self.name()

    def juxtaposed(self, word: Token, function: bool) -> None:
        if word.kind == "number":
            self.refuse("a sign was expected before a number")
        if self.last == "bare" and not function:
            self.refuse(
                "a derivative or function before it has no parentheses and could be of "
                "this too, put parentheses around what is meant"
            )
        if self.divided:
            self.refuse("this could belong to the denominator, write \\frac")
        self.emit("*", word, "sign")
        self.last = None

    def group(self, closing: str) -> None:
        opening = self.next
        self.at += 1
        self.deeper()
        divided, self.divided, self.last = self.divided, False, None
        self.emit("(", opening, "sign")
        while self.next.text != closing or self.last is None:
            if self.next.kind == "end" or self.next.text == closing:
                self.refuse(f"{closing!r} was expected after an operand")
            if self.next.text == "," and closing in (")", "]"):
                self.emit(",", self.next, "sign")
                self.at += 1
                self.last = None
            else:
                self.item()
        self.emit(")", self.next, "sign")
        self.at += 1
        self.depth -= 1
        self.divided, self.last = divided, "group"

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            self.refuse(f"at most {_DEEPEST} levels of nesting were expected")

    def parenthesised(self, read: Callable[[], None], word: Token) -> None:
        self.emit("(", word, "sign")
        read()
        self.emit(")", word, "sign")

    def fraction(self) -> None:
        word = self.next
        self.at += 1
        above = self.braced(self.at)
        below = self.braced(above[1])
        if self.derivative_in(above, below, word):
            return

        def both() -> None:
            self.group("}")
            self.emit("/", word, "sign")
            self.group("}")

        self.parenthesised(both, word)
        self.last = "group"

    def derivative_in(self, above: tuple, below: tuple, word: Token) -> bool:
        r"""Whether the fraction is `\frac{\partial^2 u}{\partial x \partial y}`."""
        top, bottom = (self.words[a + 1 : b - 1] for a, b in (above, below))
        if not top or not bottom or top[0].text != bottom[0].text:
            return False
        d = top[0].text
        if d not in ("partial", "d"):
            return False
        if d == "d":
            if "d" in self.names.symbols:
                self.refuse("this could be a derivative or a fraction of d")
            if len(self.coordinates) > 1:
                self.refuse(
                    "this could follow the flow, write \\partial for a derivative at a "
                    "place"
                )
        order, skip = self.order(top, 1)
        by = self.denominator(bottom, d)
        ways = grammar.spellings(by, self.coordinates)
        if ways and len(ways[0]) != order:
            self.refuse(
                f"the derivative has the order {order} above and {len(ways[0])} below"
            )
        self.emit("d_" + by, word, "name")
        if skip == len(top):
            self.at = below[1]
            self.bare()
            return True
        self.at = above[0] + skip  # where the rest of the numerator is a group
        self.words[self.at] = Token("sign", "{", self.words[self.at].place)
        self.group("}")
        self.at = below[1]
        self.last = "group"
        return True

    def root(self) -> None:
        word = self.next
        self.at += 1
        if self.next.text != "[":
            self.emit("sqrt", word, "name")
            if self.next.text != "{":
                self.refuse("'{' was expected after \\sqrt")
            self.group("}")
            return
        degree = self.words[self.at + 1]
        if degree.kind != "number" or self.words[self.at + 2].text != "]":
            self.refuse("a number was expected as the degree of the root")
        self.at += 3
        if self.next.text != "{":
            self.refuse("'{' was expected after \\sqrt")
        self.group("}")
        for sign in ("^", "(", "1", "/", degree.text, ")"):
            kind = "number" if sign in ("1", degree.text) else "sign"
            self.emit(sign, word, kind)

    def function(self, name: str, word: Token) -> None:
        power, self.at = self.order(self.words, self.at)
        if power > 1:
            self.emit("(", word, "sign")
        self.emit(name, word, "name")
        text = self.next.text
        bare = text not in ("(", "[", "{")
        if not bare:
            self.group(_CLOSING[text])
        else:
            simple = self.next.kind in ("number", "letter") or text in GREEK
            if not simple and text not in (*FRACTIONS, "sqrt", *UPRIGHT):
                self.refuse(f"'(' was expected after {name}")
            self.last = None
            self.parenthesised(self.operand, word)
        if power > 1:
            self.emit("^", word, "sign")
            self.emit(str(power), word, "number")
            self.emit(")", word, "sign")
        self.last = "bare" if bare else "group"

    def partial(self) -> None:
        word = self.next
        before, self.at = self.order(self.words, self.at + 1)
        if self.next.text != "_":
            self.refuse("'_' and a coordinate were expected after \\partial")
        self.at += 1
        sub = self.subscript()
        after, self.at = self.order(self.words, self.at)
        ways = grammar.spellings(sub, self.coordinates)
        order = len(ways[0]) if ways else 1
        if (before > 1 and after > 1) or (order > 1 and max(before, after) > 1):
            if not (after == 1 and before == order):
                self.refuse("the order of the derivative is given twice, write it once")
            before = 1
        self.emit("d_" + sub * max(before, after), word, "name")
        self.bare()

    def bare(self) -> None:
        """The operand of a derivative that stands before it."""
        text = self.next.text
        self.last = None
        if self.next.kind == "end" or (
            self.next.kind == "sign" and text not in ("(", "[", "{")
        ):
            self.refuse("a field or '(' was expected after a derivative")
        self.deeper()
        if text in FRACTIONS or text in FUNCTIONS or text == "sqrt":
            self.parenthesised(self.operand, self.next)
        else:
            self.operand()
        self.depth -= 1
        if text not in ("(", "[", "{"):
            self.last = "bare"

    def name(self) -> None:
        """A name with its subscript; letters side by side are a product or one name."""
        word = self.next
        if word.text in UPRIGHT:
            self.at += 1
            name = self.braced_letters()
        elif word.kind == "letter":
            name = self.run()
        else:
            if word.text not in GREEK:
                self.refuse("an operand was expected")
            self.at += 1
            name = plain(word.text)
        if self.next.text == "_":
            self.at += 1
            name = f"{name}_{self.subscript()}"
        if name == "sgn" or (name == "sign" and name not in self.names.symbols):
            if self.next.text not in ("(", "["):
                self.refuse("'(' was expected after sign")
            self.function("sign", word)
            return
        self.emit(name, word, "name")
        field = isinstance(self.names.symbols.get(name), AppliedUndef)
        self.last = "field" if field else "name"

    def emit(self, text: str, word: Token, kind: str) -> None:
        self.out.append(Token(kind, text, word.place))
