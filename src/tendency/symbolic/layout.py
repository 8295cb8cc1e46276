"""Floor 1: expressions of a program as lines of Python."""

from collections.abc import Sequence

from tendency.symbolic.languages import TORCH, Language
from tendency.symbolic.program import Expression
from tendency.symbolic.solver_words import SOLVERS

_WIDTH = 88
_STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2, "neg": 3, "**": 4}


def assignment(
    name: str, value: Expression, language: Language, indent: int = 4
) -> list[str]:
    """The lines of `name = value`, within a function."""
    if isinstance(value, tuple) and value[0] == "solved":
        return _solved(name, value, language)
    space = " " * indent
    line = f"{space}{name} = {_text(value, language)}"
    if len(line) <= _WIDTH:
        return [line]
    if isinstance(value, tuple) and value[0] == "*" and _strength(value[2]) == 1:
        factor = f"{space}{name} = {_inside(value[1], 3, language)} * ("
        if len(factor) <= _WIDTH:  # a factor, and a sum in parentheses
            return [factor, *_broken(value[2], language, indent + 4), f"{space})"]
    kind = value[0] if isinstance(value, tuple) else None
    if kind == "select" or (kind == "hold" and language.hold):
        head, *rest = _broken(value, language, indent)
        return [f"{space}{name} = {head.strip()}", *rest]
    return [f"{space}{name} = (", *_broken(value, language, indent + 4), f"{space})"]


def _solved(name: str, value: Expression, language: Language) -> list[str]:
    """The operator as a function, and the call that inverts it."""
    argument, inside, result, right, water, symmetric, singular = value[1:]
    function, kind = f"to_solve_for_{name}", language.annotation
    lines = ["", f"    def {function}({argument}: {kind}) -> {kind}:"]
    for one, expression in inside:
        lines += assignment(one, expression, language, 8)
    lines += [f"        return {result}", ""]
    given = (function, right, water, symmetric, singular)
    return [*lines, f"    {name} = solved({', '.join(map(str, given))})"]


def _broken(value: Expression, language: Language, indent: int) -> list[str]:
    """An expression over several lines, a term of a sum on each."""
    kind = value[0] if isinstance(value, tuple) else None
    space = " " * indent
    line = space + _text(value, language)
    if len(line) > _WIDTH and kind == "**":
        inner = _broken(value[1], language, indent + 4)
        return [f"{space}(", *inner, f"{space})**{_inside(value[2], 4, language)}"]
    if len(line) > _WIDTH and kind in (
        "hold",
        "wrap",
        "join",
        "call",
        "neg",
        "select",
        "apply",
    ):
        return _broken_call(value, language, space)
    if len(line) <= _WIDTH or kind not in ("+", "-", "*", "/"):
        return [line]
    terms, level = [], _STRENGTH[kind]
    while isinstance(value, tuple) and _STRENGTH.get(value[0]) == level:
        terms.append((f"{value[0]} ", value[2]))
        value = value[1]
    terms.append(("", value))
    lines = []
    for sign, term in reversed(terms):
        strength = _strength(term)
        inside = strength <= level if sign else strength < level
        text = _text(term, language)
        line = f"{space}{sign}({text})" if inside else f"{space}{sign}{text}"
        if len(line) <= _WIDTH:
            lines.append(line)
        elif inside:
            lines += [f"{space}{sign}(", *_broken(term, language, indent + 4)]
            lines += [f"{space})"]
        else:
            first, *rest = _broken(term, language, indent)
            lines += [f"{space}{sign}{first.strip()}", *rest]
    return lines


def _broken_call(value: Expression, language: Language, space: str) -> list[str]:
    kind, *rest = value
    inner = len(space) + 4
    if kind == "hold" and not language.hold:
        return _broken(rest[0], language, len(space))
    if kind == "neg":
        return [f"{space}-(", *_broken(rest[0], language, inner), f"{space})"]
    if kind == "join":
        parts = [_broken(part, language, inner + 4) for part in rest[1]]
        listed = [line for part in parts for line in [*part[:-1], f"{part[-1]},"]]
        head, tail = f"{space}    [", [f"{space}    ],", f"{space}    axis={rest[0]},"]
        return [f"{space}join(", head, *listed, *tail, f"{space})"]
    name = _function(rest.pop(0), language) if kind == "call" else kind
    name = rest.pop(0) if kind == "apply" else name
    parts = [_broken(part, language, inner) for part in rest]
    listed = [line for part in parts for line in [*part[:-1], f"{part[-1]},"]]
    return [f"{space}{name}(", *listed, f"{space})"]


def _strength(node: Expression) -> int:
    if isinstance(node, tuple):
        return _STRENGTH.get(node[0], 9)
    return 3 if isinstance(node, int | float) and node < 0 else 9


def _text(node: Expression, language: Language) -> str:
    if isinstance(node, str):
        return node
    if not isinstance(node, tuple):
        return repr(node)
    kind, *arguments = node
    if kind == "window":
        return f"{arguments[0]}[{_bounds(arguments[1])}]"
    if kind == "hold":
        inside = _text(arguments[0], language)
        return f"hold({inside})" if language.hold else inside
    if kind == "join":
        parts = ", ".join(_text(part, language) for part in arguments[1])
        return f"join([{parts}], axis={arguments[0]})"
    if kind == "wrap":
        inside, axis, before, after = arguments
        return f"wrap({_text(inside, language)}, {axis}, {before}, {after})"
    if kind == "coordinate":
        return f"coordinate({', '.join(map(repr, arguments))}, dtype)"
    if kind in SOLVERS and kind not in ("eigenvalue", "solved"):
        inside, *others = arguments
        others = [_text(o, language) if isinstance(o, str) else repr(o) for o in others]
        return f"{kind}({', '.join([_text(inside, language), *others])})"
    if kind == "eigenvalue":
        return f"eigenvalue({', '.join(map(repr, arguments))}, dtype)"
    if kind == "rfft":
        return f"rfft({_text(arguments[0], language)}, {arguments[1]})"
    if kind == "irfft":
        return f"irfft({_text(arguments[0], language)}, {arguments[1]!r})"
    if kind == "reciprocal":
        return f"reciprocal({_text(arguments[0], language)})"
    if kind == "wavenumber":
        return f"wavenumber({', '.join(map(repr, arguments))}, dtype)"
    if kind == "dealias":
        return f"dealias({arguments[0]!r}, dtype)"
    if kind in ("times", "turned", "select"):
        inside = ", ".join(_text(a, language) for a in arguments)
        return f"{kind}({inside})"
    if kind == "fill":
        return f"fill({_text(arguments[0], language)}, {arguments[1]!r})"
    if kind == "call":
        function, *rest = arguments
        inside = ", ".join(_argument(a, language) for a in rest)
        return f"{_function(function, language)}({inside})"
    if kind == "apply":
        function, *rest = arguments
        return f"{function}({', '.join(_text(a, language) for a in rest)})"
    if kind == "neg":
        return f"-{_inside(arguments[0], 3, language)}"
    level = _STRENGTH[kind]
    left = _inside(arguments[0], level + (kind == "**"), language)
    right = _inside(arguments[1], level + (kind != "**"), language)
    return f"{left} {kind} {right}" if kind != "**" else f"{left}**{right}"


def _inside(node: Expression, least: int, language: Language) -> str:
    text = _text(node, language)
    return text if _strength(node) >= least else f"({text})"


def _function(name: str, language: Language) -> str:
    """Its own where it has one: Keras' maximum may answer in float32."""
    return name if name in language.helpers else f"{language.prefix}.{name}"


def _argument(node: Expression, language: Language) -> str:
    text = _text(node, language)
    if language is TORCH and _is_plain(node):  # its functions take tensors only
        return f"torch.tensor({text}, dtype=torch.float64)"
    return text


def _is_plain(node: Expression) -> bool:
    """Whether it is made of numbers alone."""
    if isinstance(node, tuple):
        return node[0] in _STRENGTH and all(map(_is_plain, node[1:]))
    return not isinstance(node, str)


def _bounds(bounds: Sequence[tuple[int, int | None]]) -> str:
    parts = [f"{start or ''}:{'' if stop is None else stop}" for start, stop in bounds]
    return ", ".join(["...", *parts])
