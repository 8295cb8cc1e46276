"""Floor 1: a program as source that needs nothing of tendency.

The module that is written follows the program operation by operation, so that under JAX
it agrees with the cell in memory to the last bit. PyTorch's and Keras' differ from it
in the names of functions alone. Names and layout depend on the program only: the same
equations give the same text.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from tendency.errors import InputError
from tendency.symbolic.languages import (
    HELPERS,
    JAX,
    KERAS,
    LANGUAGES,
    NUMPY,
    RESERVED,
    TORCH,
    Language,
)
from tendency.symbolic.layout import assignment
from tendency.symbolic.program import Assignments, Expression, reads
from tendency.symbolic.solver_words import NEEDS
from tendency.symbolic.stepping import Steps, stepping, tables
from tendency.symbolic.unknowns import called

Target = Literal["jax", "torch", "keras"]
_WIDTH = 88


class Description(NamedTuple):
    """What the source is made of."""

    name: str
    about: tuple[str, ...]  # lines of the docstring: equations, method, boundaries
    numbers: tuple[tuple[str, float], ...]  # grid steps
    fields: tuple[tuple[str, tuple[int, ...]], ...]
    parameters: tuple[tuple[str, float], ...]
    constants: tuple[str, ...]
    forcings: tuple[str, ...]
    assignments: Assignments
    outputs: tuple[tuple[str, str], ...]
    functions: tuple[str, ...] = ()  # unknown ones, given to the source
    names: Mapping[str, str] = MappingProxyType({})  # in the source, where they differ


def emit(what: Description, target: Target, steps: Steps | None) -> str:
    """One module: the tendency and, with `steps`, `step` and `forecast`."""
    language = LANGUAGES[target]
    _require_names(what)
    what = _with_safe_names(what)
    _require_words(what.assignments, target, language)
    arguments = ["state", "parameters=PARAMETERS"]
    arguments += ["constants"] * bool(what.constants)
    arguments += ["forcing"] * bool(what.forcings)
    arguments += ["functions"] * bool(what.functions)
    arguments.sort(key=lambda a: "=" in a)
    used = {k for k in HELPERS if _uses(what.assignments, k)}
    used |= {need for kind in used for need in NEEDS.get(kind, ())}
    used = [k for k in HELPERS if k in used]
    used += [k for k in ("maximum", "minimum") if _calls(what.assignments, k)]
    parts = [
        _docstring(what, target, steps),
        _imports(language, used, "solved" in used or bool(what.functions)),
        _constants(what, steps),
        *(language.helpers[k] for k in used if language.helpers.get(k)),
        _tendency(what, language, arguments),
    ]
    if steps is not None:
        parts += stepping(steps, arguments, language)
    head, *rest = (part.strip("\n") for part in parts)
    return head + "\n\n" + "\n\n\n".join(rest) + "\n"


def _require_words(assignments: Assignments, target: Target, language: Language):
    for kind in HELPERS:
        if _uses(assignments, kind) and kind not in language.helpers:
            raise InputError(
                f"{target} has no Fourier transform over some of the axes and no "
                f"solver ({kind} is needed): write the source of a model that is "
                "spectral or solves elliptic equations for jax or torch"
            )
    if target != "jax" and _uses(assignments, "apply"):
        raise InputError(
            f"the equations hold a learned function, which the source for {target} "
            "cannot call: write it for jax (scalars, combinations and fields can be "
            "written for all)"
        )
    if target == "torch" and _has_unsymmetric(assignments):
        raise InputError(
            "the elliptic equations are not symmetric, which the source for torch "
            "cannot solve: write it for jax"
        )


def _has_unsymmetric(node: Expression | Assignments) -> bool:
    if not isinstance(node, tuple) or not node:
        return False
    return (node[0] == "solved" and not node[6]) or any(map(_has_unsymmetric, node))


def _with_safe_names(what: Description) -> Description:
    """Names of the equations that Python or the module needs get an underscore."""
    mine = [*dict(what.fields), *dict(what.parameters), *what.constants, *what.forcings]
    taken = {*mine, *dict(what.assignments), *RESERVED}
    names = {}
    for name in mine:
        if name in RESERVED:
            safe = f"{name}_"
            while safe in taken:
                safe += "_"
            taken.add(safe)
            names[name] = safe
    assignments = tuple((n, _renamed(e, names)) for n, e in what.assignments)
    return what._replace(assignments=assignments, names=names)


def _require_names(what: Description) -> None:
    """That each name is one: a model that was read from a file may hold anything."""
    names = {*dict(what.fields), *dict(what.parameters), *what.constants}
    names |= {
        *what.functions,
        *what.forcings,
        *dict(what.numbers),
        *_texts(what.assignments),
    }
    names |= {*_texts(what.outputs)}
    for name in sorted(names - {"+", "-", "*", "/", "**"}):
        if not name.isidentifier():
            raise InputError(
                f"the program holds {name[:40]!r}, which is no name: its source cannot "
                "be written; make the model anew from its equations"
            )


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, tuple):
        for part in node:
            yield from _texts(part)


def _renamed(node: Expression, names: Mapping[str, str]) -> Expression:
    if isinstance(node, str):
        return names.get(node, node)
    if not isinstance(node, tuple) or not node or not isinstance(node[0], str):
        return node
    kind, *rest = node
    if kind == "solved":
        inside = tuple((n, _renamed(e, names)) for n, e in rest[1])
        others = (_renamed(e, names) for e in rest[2:5])
        return kind, rest[0], inside, *others, *rest[5:]
    if kind == "join":
        return kind, rest[0], tuple(_renamed(part, names) for part in rest[1])
    kept = 1 if kind in ("call", "apply") else 0
    return (kind, *rest[:kept], *(_renamed(part, names) for part in rest[kept:]))


def _uses(node: Expression | Assignments, kind: str) -> bool:
    if not isinstance(node, tuple):
        return False
    return (bool(node) and node[0] == kind) or any(_uses(part, kind) for part in node)


def _calls(node: Expression | Assignments, function: str) -> bool:
    if not isinstance(node, tuple):
        return False
    return node[:2] == ("call", function) or any(_calls(n, function) for n in node)


def _docstring(what: Description, target: Target, steps: Steps | None) -> str:
    lines = [f"{what.name}: a model generated from its equations.", ""]
    lines += what.about
    if steps is not None:
        lines += ["", f"Stepped by {steps.name}, dt = {steps.dt!r}."]
    lines += ["", "A state is a mapping of fields to arrays:"]
    lines += [
        f"    {name}: {' x '.join(map(str, shape)) or 'a number'}"
        for name, shape in what.fields
    ]
    if what.functions:
        lines += ["", "Learned functions, of arrays that broadcast, are given by name:"]
        lines += [f"    {', '.join(what.functions)}"]
    text = "\n".join(_wrapped(line) for line in lines)
    raw = "r" * ("\\" in text)  # LaTeX
    inside = text.replace('"""', "'''")  # what a user writes never ends it
    return f'{raw}"""{inside}\n"""'


def _wrapped(line: str) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(
        line,
        _WIDTH,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _imports(language: Language, used: Sequence[str], callable: bool) -> str:
    kinds = ["Any"] * (language is KERAS)
    abstract = ["Callable"] * callable + ["Mapping"]
    standard = f"from collections.abc import {', '.join(abstract)}\n"
    standard += f"from typing import {', '.join(kinds)}\n" if kinds else ""
    third = language.imports
    if any(k in used for k in NUMPY):
        third = "\n".join(sorted([*third.splitlines(), "import numpy as np"]))
    if "solved" in used and language is JAX:
        third += "\nfrom jax.scipy.sparse.linalg import bicgstab, cg"
    alias = "Tensor = Any  # of the backend of Keras\n" if kinds else ""
    return f"{standard}\n{third}\n\n{alias}State = dict[str, {language.annotation}]"


def _constants(what: Description, steps: Steps | None) -> str:
    lines = [f"{name} = {value!r}" for name, value in what.numbers]
    if what.parameters:
        lines += ["PARAMETERS = {"]
        lines += [f'    "{name}": {value!r},' for name, value in what.parameters]
        lines += ["}"]
    else:
        lines += ["PARAMETERS: dict[str, float] = {}"]
    if steps is not None:
        lines += tables(steps, bool(what.forcings))
    return "\n".join(lines)


def _signature(name: str, arguments: Sequence[str], language: Language) -> str:
    kinds = {
        "state": "State",
        "parameters=PARAMETERS": "Mapping[str, float] = PARAMETERS",
        "constants": "State",
        "forcing": "Mapping[str, float]",
        "functions": "Mapping[str, Callable]",
    }
    typed = [f"{a.partition('=')[0]}: {kinds[a]}" for a in arguments]
    line = f"def {name}({', '.join(typed)}) -> State:"
    if len(line) <= _WIDTH:
        return line
    one = f"    {', '.join(typed)}"
    if len(one) <= _WIDTH:
        return f"def {name}(\n{one}\n) -> State:"
    return f"def {name}(\n" + "".join(f"    {t},\n" for t in typed) + ") -> State:"


def _tendency(what: Description, language: Language, arguments: Sequence[str]) -> str:
    lines = [_signature("tendency", arguments, language)]
    lines += ['    """The rate of change of every field."""']
    own = what.names
    lines += [f'    {own.get(n, n)} = state["{n}"]' for n, _ in what.fields]
    first = own.get(what.fields[0][0], what.fields[0][0])
    number = language.array.format
    given = [
        (own.get(name, name), f'{group}["{name}"]')
        for group, names in (
            ("parameters", [n for n, _ in what.parameters]),
            ("constants", what.constants),
            ("forcing", what.forcings),
        )
        for name in names
        if reads(what.assignments, own.get(name, name))
    ]
    body = [
        line
        for name, value in what.assignments
        for line in assignment(name, value, language)
    ]
    if given or any("dtype)" in line for line in body):
        lines += [f"    dtype = {first}.dtype"]
    if given and language is TORCH:
        lines += [f"    device = {first}.device"]
    lines += [f"    {name} = {number(value=value)}" for name, value in given]
    lines += [f'    {called(name)} = functions["{name}"]' for name in what.functions]
    lines += body
    outputs = [f'"{field}": {name}' for field, name in what.outputs]
    line = f"    return {{{', '.join(outputs)}}}"
    if len(line) > _WIDTH:
        line = "    return {\n" + "".join(f"        {o},\n" for o in outputs) + "    }"
    return "\n".join([*lines, line])
