"""Floor 1: a program as source that needs nothing of tendency.

The module that is written follows the program operation by operation, so that under JAX
it agrees with the cell in memory to the last bit. PyTorch's and Keras' differ from it
in the names of functions alone. Names and layout depend on the program only: the same
equations give the same text.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

from tendency.errors import InputError
from tendency.symbolic.program import Assignments, Expression, reads

Target = Literal["jax", "torch", "keras"]
_WIDTH = 88
_STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2, "neg": 3, "**": 4}


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


class Steps(NamedTuple):
    """A Runge-Kutta scheme and its step."""

    name: str
    dt: float
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]


def emit(what: Description, target: Target, steps: Steps | None) -> str:
    """One module: the tendency and, with `steps`, `step` and `forecast`."""
    language = _LANGUAGES[target]
    for kind in ("rfft", "irfft"):
        if _uses(what.assignments, kind) and kind not in language.helpers:
            raise InputError(
                "Keras has no Fourier transform over several axes: write the source of "
                "a spectral model for jax or torch"
            )
    arguments = ["state", "parameters=PARAMETERS"]
    arguments += ["constants"] * bool(what.constants)
    arguments += ["forcing"] * bool(what.forcings)
    arguments.sort(key=lambda a: "=" in a)
    used = [k for k in _HELPERS if _uses(what.assignments, k)]
    parts = [
        _docstring(what, target, steps),
        _imports(language, used, steps),
        _constants(what, steps),
        *(language.helpers[k] for k in used if language.helpers[k]),
        _tendency(what, language, arguments),
    ]
    if steps is not None:
        parts += [_stepping(what, arguments), language.forecast]
    head, *rest = (part.strip("\n") for part in parts)
    return head + "\n\n" + "\n\n\n".join(rest) + "\n"


def _uses(node: Expression | Assignments, kind: str) -> bool:
    if not isinstance(node, tuple):
        return False
    return (bool(node) and node[0] == kind) or any(_uses(part, kind) for part in node)


class _Language(NamedTuple):
    imports: str
    prefix: str  # of mathematical functions
    array: str  # of a number, {value} and {dtype}
    hold: str
    helpers: Mapping[str, str]
    forecast: str
    annotation: str


_HELPERS = (
    "hold",
    "wrap",
    "join",
    "coordinate",
    "rfft",
    "irfft",
    "wavenumber",
    "dealias",
    "reciprocal",
    "fill",
)
_NUMPY = ("coordinate", "wavenumber", "dealias")  # helpers that count with it

_JAX = _Language(
    "import jax\nimport jax.numpy as jnp",
    "jnp",
    "jnp.asarray({value}, dtype)",
    "hold",
    {
        "hold": '''
def hold(a: jax.Array) -> jax.Array:
    """Computed once: else it would be computed again at each point of a stencil."""
    return jax.lax.optimization_barrier(a)
''',
        "wrap": '''
def wrap(a: jax.Array, axis: int, before: int, after: int) -> jax.Array:
    """Periodic copies before and after, along an axis."""
    size = a.shape[axis]
    head = jax.lax.slice_in_dim(a, size - before, size, axis=axis)
    tail = jax.lax.slice_in_dim(a, 0, after, axis=axis)
    return jnp.concatenate([head, a, tail], axis=axis)
''',
        "join": '''
def join(parts: list[jax.Array], axis: int) -> jax.Array:
    """One after the other along an axis."""
    return jnp.concatenate(parts, axis=axis)
''',
        "coordinate": '''
def coordinate(
    axis: int, lower: float, step: float, first: float, count: int, dtype: jnp.dtype
) -> jax.Array:
    """Positions along an axis."""
    positions = lower + (first + np.arange(count)) * step
    return jnp.asarray(positions.reshape((-1,) + (1,) * (-1 - axis)), dtype)
''',
        "rfft": '''
def rfft(a: jax.Array, dim: int) -> jax.Array:
    """The Fourier transform over the last axes."""
    return jnp.fft.rfftn(a, axes=tuple(range(-dim, 0)))
''',
        "irfft": '''
def irfft(a: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Back to the grid."""
    return jnp.fft.irfftn(a, s=shape, axes=tuple(range(-len(shape), 0)))
''',
        "wavenumber": '''
def wavenumber(
    axis: int, points: int, length: float, halved: bool, odd: bool, dtype: jnp.dtype
) -> jax.Array:
    """2 pi k / length along an axis; for odd powers 0 where there is no sine."""
    k = np.arange(points // 2 + 1) if halved else np.fft.fftfreq(points, 1 / points)
    k = np.where(2 * np.abs(k) == points, 0, k) if odd else k
    k = (2 * np.pi / length * k).reshape((-1,) + (1,) * (-1 - axis))
    return jnp.asarray(k, dtype)
''',
        "dealias": '''
def dealias(shape: tuple[int, ...], dtype: jnp.dtype) -> jax.Array:
    """1 for wavenumbers below a third of the number of points, 0 for the others."""
    kept = np.ones([1] * len(shape))
    for i, points in enumerate(shape):
        k = np.abs(np.fft.fftfreq(points, 1 / points))
        k = k[: points // 2 + 1] if i == len(shape) - 1 else k
        along = np.where(3 * k < points, 1.0, 0.0)
        kept = kept * along.reshape((-1,) + (1,) * (len(shape) - 1 - i))
    return jnp.asarray(kept, dtype)
''',
        "reciprocal": '''
def reciprocal(a: jax.Array) -> jax.Array:
    """1 / a, and 0 where a is 0."""
    nothing = a == 0
    return jnp.where(nothing, 0.0, 1 / jnp.where(nothing, 1.0, a))
''',
        "fill": '''
def fill(a: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The same all over a field."""
    return jnp.broadcast_to(a, shape)
''',
    },
    '''
def forecast(state: State, steps: int, **given) -> State:
    """The state after so many steps, as one compiled loop."""

    def one(now: State, _: None) -> tuple[State, None]:
        return step(now, **given), None

    return jax.lax.scan(one, state, None, length=steps)[0]
''',
    "jax.Array",
)

_TORCH = _Language(
    "import torch",
    "torch",
    "torch.as_tensor({value}, dtype=dtype, device=device)",
    "",
    {
        "hold": "",
        "wrap": '''
def wrap(a: torch.Tensor, axis: int, before: int, after: int) -> torch.Tensor:
    """Periodic copies before and after, along an axis."""
    size = a.shape[axis]
    head, tail = a.narrow(axis, size - before, before), a.narrow(axis, 0, after)
    return torch.cat([head, a, tail], dim=axis)
''',
        "join": '''
def join(parts: list[torch.Tensor], axis: int) -> torch.Tensor:
    """One after the other along an axis."""
    return torch.cat(parts, dim=axis)
''',
        "coordinate": '''
def coordinate(
    axis: int, lower: float, step: float, first: float, count: int, dtype: torch.dtype
) -> torch.Tensor:
    """Positions along an axis."""
    positions = lower + (first + np.arange(count)) * step
    return torch.as_tensor(positions.reshape((-1,) + (1,) * (-1 - axis)), dtype=dtype)
''',
        "rfft": '''
def rfft(a: torch.Tensor, dim: int) -> torch.Tensor:
    """The Fourier transform over the last axes."""
    return torch.fft.rfftn(a, dim=tuple(range(-dim, 0)))
''',
        "irfft": '''
def irfft(a: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Back to the grid."""
    return torch.fft.irfftn(a, s=shape, dim=tuple(range(-len(shape), 0)))
''',
        "wavenumber": '''
def wavenumber(
    axis: int, points: int, length: float, halved: bool, odd: bool, dtype: torch.dtype
) -> torch.Tensor:
    """2 pi k / length along an axis; for odd powers 0 where there is no sine."""
    k = np.arange(points // 2 + 1) if halved else np.fft.fftfreq(points, 1 / points)
    k = np.where(2 * np.abs(k) == points, 0, k) if odd else k
    k = (2 * np.pi / length * k).reshape((-1,) + (1,) * (-1 - axis))
    return torch.as_tensor(k, dtype=dtype)
''',
        "dealias": '''
def dealias(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """1 for wavenumbers below a third of the number of points, 0 for the others."""
    kept = np.ones([1] * len(shape))
    for i, points in enumerate(shape):
        k = np.abs(np.fft.fftfreq(points, 1 / points))
        k = k[: points // 2 + 1] if i == len(shape) - 1 else k
        along = np.where(3 * k < points, 1.0, 0.0)
        kept = kept * along.reshape((-1,) + (1,) * (len(shape) - 1 - i))
    return torch.as_tensor(kept, dtype=dtype)
''',
        "reciprocal": '''
def reciprocal(a: torch.Tensor) -> torch.Tensor:
    """1 / a, and 0 where a is 0."""
    nothing = a == 0
    return torch.where(nothing, 0.0, 1 / torch.where(nothing, 1.0, a))
''',
        "fill": '''
def fill(a: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """The same all over a field."""
    return torch.as_tensor(a).expand(shape)
''',
    },
    '''
def forecast(state: State, steps: int, **given) -> State:
    """The state after so many steps."""
    for _ in range(steps):
        state = step(state, **given)
    return state
''',
    "torch.Tensor",
)

_KERAS = _Language(
    "import keras",
    "keras.ops",
    "keras.ops.convert_to_tensor({value}, dtype)",
    "",
    {
        "hold": "",
        "wrap": '''
def wrap(a: Tensor, axis: int, before: int, after: int) -> Tensor:
    """Periodic copies before and after, along an axis."""
    size = a.shape[axis]
    head = keras.ops.take(a, range(size - before, size), axis=axis)
    tail = keras.ops.take(a, range(after), axis=axis)
    return keras.ops.concatenate([head, a, tail], axis=axis)
''',
        "join": '''
def join(parts: list[Tensor], axis: int) -> Tensor:
    """One after the other along an axis."""
    return keras.ops.concatenate(parts, axis=axis)
''',
        "coordinate": '''
def coordinate(
    axis: int, lower: float, step: float, first: float, count: int, dtype: str
) -> Tensor:
    """Positions along an axis."""
    positions = lower + (first + np.arange(count)) * step
    positions = positions.reshape((-1,) + (1,) * (-1 - axis))
    return keras.ops.convert_to_tensor(positions, dtype)
''',
        "fill": '''
def fill(a: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The same all over a field."""
    return keras.ops.broadcast_to(a, shape)
''',
    },
    _TORCH.forecast,
    "Tensor",
)
_LANGUAGES: Mapping[str, _Language] = {"jax": _JAX, "torch": _TORCH, "keras": _KERAS}


def _docstring(what: Description, target: Target, steps: Steps | None) -> str:
    lines = [f'"""{what.name}: a model generated from its equations.', ""]
    lines += what.about
    if steps is not None:
        lines += ["", f"Stepped by {steps.name}, dt = {steps.dt!r}."]
    lines += ["", "A state is a mapping of fields to arrays:"]
    lines += [
        f"    {name}: {' x '.join(map(str, shape)) or 'a number'}"
        for name, shape in what.fields
    ]
    return "\n".join([*(line.rstrip() for line in lines), '"""'])


def _imports(language: _Language, used: Sequence[str], steps: Steps | None) -> str:
    kinds = ["Any"] * (language is _KERAS)
    standard = "from collections.abc import Mapping\n"
    standard += f"from typing import {', '.join(kinds)}\n" if kinds else ""
    third = language.imports
    if any(k in used for k in _NUMPY):
        third += "\nimport numpy as np"
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
        lines += [f"DT = {steps.dt!r}", *_row("A", steps.a)]
        lines += [f"B = {_tuple(steps.b)}"]
    return "\n".join(lines)


def _row(name: str, rows: Sequence[Sequence[float]]) -> list[str]:
    inside = [_tuple(row) for row in rows]
    line = f"{name} = ({', '.join(inside)}{',' if len(inside) == 1 else ''})"
    if len(line) <= _WIDTH:
        return [line]
    return [f"{name} = (", *(f"    {row}," for row in inside), ")"]


def _tuple(row: Sequence[float]) -> str:
    return f"({', '.join(map(_exact, row))}{',' if len(row) == 1 else ''})"


def _exact(value: float) -> str:
    """A float as the fraction that it stands for, where there is one."""
    near = Fraction(value).limit_denominator(100_000)
    if near.numerator / near.denominator != value:
        return repr(value)
    if near.denominator == 1:
        return f"{near.numerator}.0"
    return f"{near.numerator} / {near.denominator}"


def _signature(name: str, arguments: Sequence[str], language: _Language) -> str:
    kinds = {
        "state": "State",
        "parameters=PARAMETERS": "Mapping[str, float] = PARAMETERS",
        "constants": "State",
        "forcing": "Mapping[str, float]",
    }
    typed = [f"{a.partition('=')[0]}: {kinds[a]}" for a in arguments]
    line = f"def {name}({', '.join(typed)}) -> State:"
    if len(line) <= _WIDTH:
        return line
    one = f"    {', '.join(typed)}"
    if len(one) <= _WIDTH:
        return f"def {name}(\n{one}\n) -> State:"
    return f"def {name}(\n" + "".join(f"    {t},\n" for t in typed) + ") -> State:"


def _tendency(what: Description, language: _Language, arguments: Sequence[str]) -> str:
    lines = [_signature("tendency", arguments, language)]
    lines += ['    """The rate of change of every field."""']
    lines += [f'    {name} = state["{name}"]' for name, _ in what.fields]
    first = what.fields[0][0]
    number = language.array.format
    given = [
        (name, f'{group}["{name}"]')
        for group, names in (
            ("parameters", [n for n, _ in what.parameters]),
            ("constants", what.constants),
            ("forcing", what.forcings),
        )
        for name in names
        if reads(what.assignments, name)
    ]
    if given or any(_uses(what.assignments, k) for k in _NUMPY):
        lines += [f"    dtype = {first}.dtype"]
    if given and language is _TORCH:
        lines += [f"    device = {first}.device"]
    lines += [f"    {name} = {number(value=value)}" for name, value in given]
    for name, value in what.assignments:
        lines += _assignment(name, value, language)
    outputs = [f'"{field}": {name}' for field, name in what.outputs]
    line = f"    return {{{', '.join(outputs)}}}"
    if len(line) > _WIDTH:
        line = "    return {\n" + "".join(f"        {o},\n" for o in outputs) + "    }"
    return "\n".join([*lines, line])


def _stepping(what: Description, arguments: Sequence[str]) -> str:
    names = [a.partition("=")[0] for a in arguments]
    kinds = {
        "state": "state: State",
        "parameters": "parameters: Mapping[str, float] = PARAMETERS",
        "constants": "constants: State",
        "forcing": "forcing: Mapping[str, float]",
    }
    typed = [kinds[n] for n in names] + ["dt: float = DT"]
    passed = ", ".join(["moved(state, dt, row, slopes)", *names[1:]])
    return f'''
def moved(state: State, dt: float, weights: tuple, slopes: list[State]) -> State:
    """The state plus dt times the weighted sum of slopes."""
    terms = [(dt * w, k) for w, k in zip(weights, slopes, strict=True) if w != 0]
    if not terms:
        return state
    return {{name: x + sum(w * k[name] for w, k in terms) for name, x in state.items()}}


def step(
{"".join(f"    {t},{chr(10)}" for t in typed)}) -> State:
    """The state after dt; a forcing is held over the step."""
    slopes: list[State] = []
    for row in A:
        slopes.append(tendency({passed}))
    return moved(state, dt, B, slopes)
'''


def _assignment(name: str, value: Expression, language: _Language) -> list[str]:
    line = f"    {name} = {_text(value, language)}"
    if len(line) <= _WIDTH:
        return [line]
    if isinstance(value, tuple) and value[0] == "*" and _strength(value[2]) == 1:
        factor = f"    {name} = {_inside(value[1], 3, language)} * ("
        if len(factor) <= _WIDTH:  # a factor, and a sum in parentheses
            return [factor, *_broken(value[2], language, 8), "    )"]
    return [f"    {name} = (", *_broken(value, language, 8), "    )"]


def _broken(value: Expression, language: _Language, indent: int) -> list[str]:
    """An expression over several lines, a term of a sum on each."""
    kind = value[0] if isinstance(value, tuple) else None
    space = " " * indent
    line = space + _text(value, language)
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


def _strength(node: Expression) -> int:
    if isinstance(node, tuple):
        return _STRENGTH.get(node[0], 9)
    return 3 if isinstance(node, int | float) and node < 0 else 9


def _text(node: Expression, language: _Language) -> str:
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
    if kind == "imaginary":
        return "1j"
    if kind == "fill":
        return f"fill({_text(arguments[0], language)}, {arguments[1]!r})"
    if kind == "call":
        function, *rest = arguments
        inside = ", ".join(_argument(a, language) for a in rest)
        return f"{language.prefix}.{function}({inside})"
    if kind == "neg":
        return f"-{_inside(arguments[0], 3, language)}"
    level = _STRENGTH[kind]
    left = _inside(arguments[0], level + (kind == "**"), language)
    right = _inside(arguments[1], level + (kind != "**"), language)
    return f"{left} {kind} {right}" if kind != "**" else f"{left}**{right}"


def _inside(node: Expression, least: int, language: _Language) -> str:
    text = _text(node, language)
    return text if _strength(node) >= least else f"({text})"


def _argument(node: Expression, language: _Language) -> str:
    text = _text(node, language)
    is_number = isinstance(node, int | float)
    return f"torch.tensor({text})" if is_number and language is _TORCH else text


def _bounds(bounds: Sequence[tuple[int, int | None]]) -> str:
    parts = [f"{start or ''}:{'' if stop is None else stop}" for start, stop in bounds]
    return ", ".join(["...", *parts])
