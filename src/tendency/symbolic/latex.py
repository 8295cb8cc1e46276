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

import re
from collections.abc import Callable, Sequence

import sympy
from sympy.core.function import AppliedUndef

from tendency.errors import nearest
from tendency.symbolic import grammar, meaning
from tendency.symbolic.grammar import Definition, Names, Token

_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma "
    "tau upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi "
    "Omega varepsilon vartheta varrho varsigma varphi pi ell"
).split()
_FUNCTIONS = {
    name: name for name in "sin cos tan sinh cosh tanh exp log min max".split()
} | {"ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}
_UPRIGHT = ("mathrm", "mathit", "text", "operatorname", "mathsf")
_FRACTIONS = ("frac", "dfrac", "tfrac")
_SIGNS = {"cdot": "*", "times": "*", "lvert": "|(", "rvert": "|)"}
_DOTS = {"dot": 1, "ddot": 2}
_COMMANDS = [
    *_GREEK, *_FUNCTIONS, *_UPRIGHT, *_FRACTIONS, *_SIGNS, *_DOTS, "partial", "sqrt"
]  # fmt: skip
_CLOSING = {"(": ")", "[": "]", "{": "}", "|(": "|)"}
_DEEPEST = 40

_WORD = re.compile(
    r"(?P<space>\s+|\\[,;:! ]|\\q?quad(?![A-Za-z])|~)"
    r"|(?P<bar>\\(?:left|right)\s*\|)|(?P<size>\\(?:left|right)(?![A-Za-z]))"
    r"|(?P<command>\\[A-Za-z]+)|(?P<number>[0-9]+\.?[0-9]*|\.[0-9]+)"
    r"|(?P<letter>[A-Za-z])|(?P<sign>[-+*/^_(){}\[\]|=,])"
)


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
    known = [sympy.Symbol(c) for c in dict.fromkeys([time, *coordinates])]
    found = []
    for i, text in enumerate(texts, 1):
        where = f"equation {i}"
        grammar.check_length(text, where)
        left = text.partition("=")[0]
        words = _Reader(left, Names({}, known), where, whole=True).read()
        tokens = [*words, Token("sign", "=", len(left))]
        found.append(grammar.definition_of(tokens, coordinates, time))
    return found


def to_text(text: str, names: Names, where: str) -> str:
    """The equation as `grammar.py` reads it, to show what was understood."""
    return " ".join(t.text for t in _translated(text, names, where)).strip()


def _translated(text: str, names: Names, where: str) -> list[Token]:
    grammar.check_length(text, where)
    words = _Reader(text, names, where).read()
    return [*words, Token("end", "", len(text))]


class _Reader:
    """The words of LaTeX, left to right, into the words of the grammar.

    `last` is what the operand before the next word is, None where a sign stands before:
    a number, a name, a field, a bare (what a derivative or function without parentheses
    was taken of, after which nothing may stand without a sign) or a group.
    """

    def __init__(self, text: str, names: Names, where: str, whole: bool = False):
        self.text, self.names, self.where, self.whole = text, names, where, whole
        self.coordinates = [str(c) for c in names.coordinates]
        self.words, self.out = self._words(), []
        self.at = self.depth = 0
        self.last: str | None = None
        self.divided = False

    def _words(self) -> list[Token]:
        words, place = [], 0
        while place < len(self.text):
            found = _WORD.match(self.text, place)
            if found is None:
                self._refuse_at(place, self.text[place], "it belongs to no equation")
            kind, word = found.lastgroup or "", found[0]
            if kind == "bar":
                kind, word = "sign", "|(" if "left" in word else "|)"
            if kind == "command":
                word = word[1:]
                if word in _SIGNS:
                    kind, word = "sign", _SIGNS[word]
                elif word not in _COMMANDS:
                    near = "write it with \\partial and \\frac"
                    near = nearest(word, _COMMANDS, near) if word != "nabla" else near
                    self._refuse_at(place, found[0], f"it is not read, {near}")
            if kind not in ("space", "size"):
                words.append(Token(kind, word, place))
            place = found.end()
        return [*words, Token("end", "", place)]

    @property
    def next(self) -> Token:
        return self.words[self.at]

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
            self._refuse("an operand was expected")
        self.at += 1
        if word.text == "^":
            self.exponent(word)
            return
        self.divided = word.text == "/" or (self.divided and word.text == "*")
        self.emit(word.text, word, "sign")
        self.last = None

    def exponent(self, word: Token) -> None:
        if self.last is None:
            self._refuse("what is raised was expected before the power")
        if self.last == "bare":
            self._refuse("this power could be of the whole, put parentheses around it")
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
        elif word.kind == "letter" or word.text in _GREEK:
            self.at += 1
            self.emit(_plain(word.text), word, "name")
        else:
            self._refuse(f"{of} was expected in braces")

    def dotted(self) -> None:
        r"""The field under a dot, its subscript after the braces or in them."""
        self.argument("the field")
        if self.next.text == "_":
            place = -2 if self.out[-1].text == ")" else -1
            field = self.out[place]
            if field.kind != "name":
                self._refuse("a name was expected before a subscript")
            self.at += 1
            name = f"{field.text}_{self.subscript()}"
            self.out[place] = field._replace(text=name)

    def operand(self, closing: str | None = None) -> None:
        """One factor, a `*` before it where none is written."""
        word, before, kind = self.next, self.last, self.next.text
        function = kind in _FUNCTIONS
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
        elif kind in _FRACTIONS:
            self.fraction()
        elif kind == "sqrt":
            self.root()
        elif function:
            self.at += 1
            self.function(_FUNCTIONS[kind], word)
        elif kind == "partial":
            self.partial()
        elif kind in _DOTS:
            time = "t" if "t" in self.coordinates else self.coordinates[0]
            self.at += 1
            self.emit("d_" + time * _DOTS[kind], word, "name")
            self.parenthesised(self.dotted, word)
            self.last = "group"
        else:
            self.name()

    def juxtaposed(self, word: Token, function: bool) -> None:
        if word.kind == "number":
            self._refuse("a sign was expected before a number")
        if self.last == "bare" and not function:
            self._refuse(
                "a derivative or function before it has no parentheses and could be of "
                "this too, put parentheses around what is meant"
            )
        if self.divided:
            self._refuse("this could belong to the denominator, write \\frac")
        self.emit("*", word, "sign")
        self.last = None

    def no_call(self, word: Token, inside: Sequence[Token]) -> None:
        """Refuse `f (x + 1)`: a product, or f somewhere else."""
        symbols = self.names.symbols
        held = [t.text for t in inside if t.kind == "name"]
        fields = any(isinstance(symbols.get(n), AppliedUndef) for n in held)
        if not fields and any(n in self.coordinates for n in held):
            self._refuse_at(
                word.place,
                word.text,
                "this could be the field at another place, write \\cdot for a product",
            )

    def group(self, closing: str) -> None:
        opening = self.next
        self.at += 1
        self.depth += 1
        if self.depth > _DEEPEST:
            self._refuse(f"at most {_DEEPEST} levels of nesting were expected")
        divided, self.divided, self.last = self.divided, False, None
        self.emit("(", opening, "sign")
        while self.next.text != closing or self.last is None:
            if self.next.kind == "end" or self.next.text == closing:
                self._refuse(f"{closing!r} was expected after an operand")
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
                self._refuse("this could be a derivative or a fraction of d")
            if len(self.coordinates) > 1:
                self._refuse(
                    "this could follow the flow, write \\partial for a derivative at a "
                    "place"
                )
        order, skip = self.order(top, 1)
        by, at = [], 0
        while at < len(bottom):
            if bottom[at].text != d or at + 1 == len(bottom):
                self._refuse(
                    "a coordinate was expected after each sign of the fraction"
                )
            at += 1
            letters = ""
            while at < len(bottom) and (
                bottom[at].kind == "letter" or bottom[at].text in _GREEK
            ):
                if bottom[at].text == d:
                    break
                letters += _plain(bottom[at].text)
                at += 1
            times, at = self.order(bottom, at)
            by.append(letters * times)
        ways = grammar.spellings("".join(by), self.coordinates)
        if ways and len(ways[0]) != order:
            self._refuse(
                f"the derivative has the order {order} above and {len(ways[0])} below"
            )
        self.emit("d_" + "".join(by), word, "name")
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

    def order(self, words: Sequence[Token], at: int) -> tuple[int, int]:
        """The power that stands here, 1 if none, and where it ends."""
        texts = [w.text for w in words[at : at + 4]]
        braces = len(texts) == 4 and [texts[1], texts[3]] == ["{", "}"]
        if not texts or texts[0] != "^":
            return 1, at
        digits = texts[2] if braces else texts[1] if len(texts) > 1 else ""
        if not digits.isdigit() or len(digits) > 2 or int(digits) == 0:
            self._refuse("a whole number was expected as the power here")
        return int(digits), at + (4 if braces else 2)

    def braced(self, at: int) -> tuple[int, int]:
        """Where the group that begins here begins and ends."""
        depth, start = 0, at
        while True:
            text = self.words[at].text
            depth += (text == "{") - (text == "}")
            at += 1
            if depth == 0 and text == "}":
                return start, at
            if depth == 0 or at == len(self.words):
                self._refuse("a group in braces was expected")

    def root(self) -> None:
        word = self.next
        self.at += 1
        if self.next.text != "[":
            self.emit("sqrt", word, "name")
            if self.next.text != "{":
                self._refuse("'{' was expected after \\sqrt")
            self.group("}")
            return
        degree = self.words[self.at + 1]
        if degree.kind != "number" or self.words[self.at + 2].text != "]":
            self._refuse("a number was expected as the degree of the root")
        self.at += 3
        if self.next.text != "{":
            self._refuse("'{' was expected after \\sqrt")
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
            simple = self.next.kind in ("number", "letter") or text in _GREEK
            if not simple and text not in (*_FRACTIONS, "sqrt", *_UPRIGHT):
                self._refuse(f"'(' was expected after {name}")
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
            self._refuse("'_' and a coordinate were expected after \\partial")
        self.at += 1
        sub = self.subscript()
        after, self.at = self.order(self.words, self.at)
        ways = grammar.spellings(sub, self.coordinates)
        order = len(ways[0]) if ways else 1
        if (before > 1 and after > 1) or (order > 1 and max(before, after) > 1):
            if not (after == 1 and before == order):
                self._refuse(
                    "the order of the derivative is given twice, write it once"
                )
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
            self._refuse("a field or '(' was expected after a derivative")
        if text in _FRACTIONS or text in _FUNCTIONS or text == "sqrt":
            word = self.next
            self.parenthesised(self.operand, word)
        else:
            self.operand()
        if text not in ("(", "[", "{"):
            self.last = "bare"

    def name(self) -> None:
        """A name with its subscript; letters side by side are a product or one name."""
        word = self.next
        if word.text in _UPRIGHT:
            self.at += 1
            name = self.braced_letters()
        elif word.kind == "letter":
            name = self.run()
        else:
            if word.text not in _GREEK:
                self._refuse("an operand was expected")
            self.at += 1
            name = _plain(word.text)
        if self.next.text == "_":
            self.at += 1
            name = f"{name}_{self.subscript()}"
        if name == "sgn" or (name == "sign" and name not in self.names.symbols):
            if self.next.text not in ("(", "["):
                self._refuse("'(' was expected after sign")
            self.function("sign", word)
            return
        self.emit(name, word, "name")
        field = isinstance(self.names.symbols.get(name), AppliedUndef)
        self.last = "field" if field else "name"

    def run(self) -> str:
        """The letters that stand without a space and are one declared name, or one."""
        start = self.at
        end = start + 1
        while (
            self.words[end].kind == "letter"
            and self.words[end].place == self.words[end - 1].place + 1
        ):
            end += 1
        letters = [w.text for w in self.words[start:end]]
        whole = "".join(letters)
        symbols = self.names.symbols
        if end - start > 1 and (self.whole or whole in symbols):
            if whole in symbols and all(c in symbols for c in letters):
                self._refuse(
                    f"{whole} could be one name or a product, write "
                    f"\\mathrm{{{whole}}} or put spaces between the letters"
                )
            self.at = end
            return whole
        self.at += 1
        return letters[0]

    def braced_letters(self) -> str:
        start, end = self.braced(self.at)
        inner = self.words[start + 1 : end - 1]
        if not inner or any(w.kind not in ("letter", "number") for w in inner):
            self._refuse("a name of letters and digits was expected in braces")
        self.at = end
        return "".join(w.text for w in inner)

    def subscript(self) -> str:
        word = self.next
        if word.text != "{":
            if word.kind == "number" and len(word.text) > 1:
                self._refuse("a subscript of several digits was expected in braces")
            if word.kind not in ("letter", "number") and word.text not in _GREEK:
                self._refuse("a subscript was expected")
            self.at += 1
            return _plain(word.text)
        start, end = self.braced(self.at)
        inner = [w for w in self.words[start + 1 : end - 1]]
        names = [
            w
            for w in inner
            if w.kind in ("letter", "number") or w.text in (*_GREEK, *_UPRIGHT)
        ]
        if any(w not in names and w.text not in "{}," for w in inner) or not names:
            self._refuse("a subscript of letters and digits was expected")
        self.at = end
        return "".join(_plain(w.text) for w in names if w.text not in _UPRIGHT)

    def emit(self, text: str, word: Token, kind: str) -> None:
        self.out.append(Token(kind, text, word.place))

    def _refuse(self, reason: str):
        word = self.next
        self._refuse_at(word.place, word.text or "the end", reason)

    def _refuse_at(self, place: int, word: str, reason: str):
        shown = "the end" if word == "the end" else meaning.shown(word)
        said = f"has {shown} at character {place + 1}: {reason}"
        grammar.refuse(self.text, self.where, said)


def _plain(letter: str) -> str:
    r"""`\varphi` is phi."""
    return letter[3:] if letter.startswith("var") and letter in _GREEK else letter
