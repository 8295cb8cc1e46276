r"""Floor 1: the words of an equation in LaTeX, and the names that they make."""

import re
from collections.abc import Sequence
from typing import NoReturn

from sympy.core.function import AppliedUndef

from tendency.errors import nearest
from tendency.symbolic import grammar, meaning
from tendency.symbolic.grammar import Names, Token

GREEK = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota"),
    *("kappa", "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "upsilon", "phi"),
    *("chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma"),
    *("Upsilon", "Phi", "Psi", "Omega", "varepsilon", "vartheta", "varrho", "varsigma"),
    *("varphi", "pi", "ell"),
)
_SAME = ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "log", "min", "max")
_OTHER = {"ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}
FUNCTIONS = dict(zip(_SAME, _SAME, strict=True)) | _OTHER
UPRIGHT = ("mathrm", "mathit", "text", "operatorname", "mathsf")
FRACTIONS = ("frac", "dfrac", "tfrac")
_SIGNS = {"cdot": "*", "times": "*", "lvert": "|(", "rvert": "|)"}
DOTS = {"dot": 1, "ddot": 2}
_COMMANDS = [
    *GREEK, *FUNCTIONS, *UPRIGHT, *FRACTIONS, *_SIGNS, *DOTS, "partial", "sqrt"
]  # fmt: skip

_LONGEST = 40  # letters of a name without braces
_WORD = re.compile(
    r"(?P<space>\s+|\\[,;:! ]|\\q?quad(?![A-Za-z])|~)"
    r"|(?P<bar>\\(?:left|right)\s*\|)|(?P<size>\\(?:left|right)(?![A-Za-z]))"
    r"|(?P<command>\\[A-Za-z]+)|(?P<number>[0-9]+\.?[0-9]*|\.[0-9]+)"
    r"|(?P<letter>[A-Za-z])|(?P<sign>[-+*/^_(){}\[\]|=,])"
)


class Words:
    """The words of LaTeX, and how far they are read."""

    def __init__(self, text: str, names: Names, where: str, whole: bool = False):
        self.text, self.names, self.where, self.whole = text, names, where, whole
        self.coordinates = [str(c) for c in names.coordinates]
        self.words = self._words()
        self.at = 0

    def _words(self) -> list[Token]:
        words, place = [], 0
        while place < len(self.text):
            found = _WORD.match(self.text, place)
            if found is None:
                self.refuse_at(place, self.text[place], "it belongs to no equation")
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
                    self.refuse_at(place, found[0], f"it is not read, {near}")
            if kind not in ("space", "size"):
                words.append(Token(kind, word, place))
            place = found.end()
        return [*words, Token("end", "", place)]

    @property
    def next(self) -> Token:
        return self.words[self.at]

    def order(self, words: Sequence[Token], at: int) -> tuple[int, int]:
        """The power that stands here, 1 if none, and where it ends."""
        texts = [w.text for w in words[at : at + 4]]
        braces = len(texts) == 4 and [texts[1], texts[3]] == ["{", "}"]
        if not texts or texts[0] != "^":
            return 1, at
        digits = texts[2] if braces else texts[1] if len(texts) > 1 else ""
        if not digits.isdigit() or len(digits) > 2 or int(digits) == 0:
            self.refuse("a whole number was expected as the power here")
        return int(digits), at + (4 if braces else 2)

    def denominator(self, words: Sequence[Token], sign: str) -> str:
        r"""The coordinates of `\partial x \partial y^2`: xyy."""
        by, at = "", 0
        while at < len(words):
            if words[at].text != sign or at + 1 == len(words):
                self.refuse("a coordinate was expected after each sign of the fraction")
            at += 1
            letters = ""
            while at < len(words) and words[at].text != sign:
                if words[at].kind != "letter" and words[at].text not in GREEK:
                    break
                letters += plain(words[at].text)
                at += 1
            times, at = self.order(words, at)
            by += letters * times
        return by

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
                self.refuse("a group in braces was expected")

    def run(self) -> str:
        """The letters that stand without a space and are one declared name, or one."""
        start = self.at
        end = start + 1
        while (
            end - start <= _LONGEST
            and self.words[end].kind == "letter"
            and self.words[end].place == self.words[end - 1].place + 1
        ):
            end += 1
        letters = [w.text for w in self.words[start:end]]
        whole = "".join(letters)
        symbols = self.names.symbols
        if end - start > 1 and (self.whole or whole in symbols):
            if whole in symbols and all(c in symbols for c in letters):
                self.refuse(
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
            self.refuse("a name of letters and digits was expected in braces")
        self.at = end
        return "".join(w.text for w in inner)

    def subscript(self) -> str:
        word = self.next
        if word.text != "{":
            if word.kind == "number" and len(word.text) > 1:
                self.refuse("a subscript of several digits was expected in braces")
            if word.kind not in ("letter", "number") and word.text not in GREEK:
                self.refuse("a subscript was expected")
            self.at += 1
            return plain(word.text)
        start, end = self.braced(self.at)
        inner = self.words[start + 1 : end - 1]
        names = []
        for w in inner:
            if w.kind in ("letter", "number") or w.text in GREEK:
                names.append(plain(w.text))
            elif w.text not in ("{", "}", ",", *UPRIGHT):
                self.refuse("a subscript of letters and digits was expected")
        if not names:
            self.refuse("a subscript of letters and digits was expected")
        self.at = end
        return "".join(names)

    def no_call(self, word: Token, inside: Sequence[Token]) -> None:
        """Refuse `f (x + 1)`: a product, or f somewhere else."""
        symbols = self.names.symbols
        held = [t.text for t in inside if t.kind == "name"]
        fields = any(isinstance(symbols.get(n), AppliedUndef) for n in held)
        if not fields and any(n in self.coordinates for n in held):
            self.refuse_at(
                word.place,
                word.text,
                "this could be the field at another place, write \\cdot for a product",
            )

    def refuse(self, reason: str) -> NoReturn:
        word = self.next
        self.refuse_at(word.place, word.text or "the end", reason)

    def refuse_at(self, place: int, word: str, reason: str) -> NoReturn:
        shown = "the end" if word == "the end" else meaning.shown(word)
        said = f"has {shown} at character {place + 1}: {reason}"
        grammar.refuse(self.text, self.where, said)


def plain(letter: str) -> str:
    r"""`\varphi` is phi."""
    return letter[3:] if letter.startswith("var") and letter in GREEK else letter
