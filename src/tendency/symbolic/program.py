"""Floor 1: the discretised equations as a program, and its interpreter.

A program is a list of assignments. An expression is a name (a string), a number, or a
tuple of an operation and its arguments:

    ("+", a, b) ("-", a, b) ("*", a, b) ("/", a, b) ("**", a, b) ("neg", a)
    ("call", function, a, ...)          one of `FUNCTIONS`
    ("apply", name, a, ...)             an unknown function of its arguments
    ("window", a, ((start, stop), ...)) part of an array along its last axes
    ("wrap", a, axis, before, after)    periodic copies before and after; axis < 0
    ("join", axis, parts)               arrays one after the other
    ("hold", a)                         computed once, kept in memory, then read
    ("rfft", a, dim) ("irfft", a, shape)  over the last axes
    ("wavenumber", shape, points, length, halved, odd)  2 pi k / length
    ("dealias", shape)                 1 below two thirds of the wavenumbers, else 0
    ("reciprocal", a)                  1 / a, and 0 where a is 0
    ("times", a, b)                    a real, b complex
    ("turned", a)                      i a
    ("select", mask, a, b)              a where the mask is not 0, else b
    ("fill", a, shape)                  the same all over a field
    ("mean", a, weights, dim)           over the last axes; weights sum up to 1, or None
    ("cosine", a, axis) ("sine", a, axis), ("cosine_back", a, axis), ...  see `waves`
    ("fourier", a, axes) ("fourier_back", a, shape, axes)
    ("eigenvalue", shape, kind, points, halved, weights)  see `waves`
    ("solved", argument, assignments, result, right, water, symmetric, singular)
        the x for which the assignments give `right` as `result` (see `iterations`)
    ("coordinate", shape, lower, step, first)  lower + (first + i) step along one axis

Plain tuples can be compared, hashed and saved as they are, and neither the interpreter
nor the emitted source does anything that stands in none of them: both follow the same
order of operations, so that their results agree to the last bit.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from tendency.symbolic import waves
from tendency.symbolic.iterations import solved

Assignments = tuple[tuple[str, Any], ...]
Expression = Any  # str | int | float | tuple

FUNCTIONS: Mapping[str, Callable] = {
    name: getattr(jnp, name)
    for name in [
        "sin",
        "cos",
        "tan",
        "arcsin",
        "arccos",
        "arctan",
        "sinh",
        "cosh",
        "tanh",
        "exp",
        "log",
        "sqrt",
        "sign",
        "abs",
        "maximum",
        "minimum",
        "where",
    ]
}


class Program(NamedTuple):
    """What one evaluation of the tendency does."""

    numbers: tuple[tuple[str, float], ...]  # the grid steps
    assignments: Assignments
    outputs: tuple[tuple[str, str], ...]  # prognostic field -> name of its tendency


def run(
    assignments: Assignments,
    names: Mapping[str, Any],
    dtype: Any,
) -> dict[str, Any]:
    """Evaluate the assignments in their order, from `names`; a name given stays."""
    known = dict(names)
    for name, expression in assignments:
        if name not in known:
            known[name] = evaluate(expression, known, dtype)
    return known


def evaluate(node: Expression, names: Mapping[str, Any], dtype: Any) -> Any:
    """The value of one expression."""
    if isinstance(node, str):
        return names[node]
    if not isinstance(node, tuple):
        return node
    kind = node[0]
    if kind == "window":
        return window(evaluate(node[1], names, dtype), node[2])
    if kind == "wrap":
        return wrap(evaluate(node[1], names, dtype), *node[2:])
    if kind == "join":
        return join([evaluate(part, names, dtype) for part in node[2]], node[1])
    if kind == "hold":
        return hold(evaluate(node[1], names, dtype))
    if kind == "rfft":
        axes = tuple(range(-node[2], 0))
        return jnp.fft.rfftn(evaluate(node[1], names, dtype), axes=axes)
    if kind == "irfft":
        axes = tuple(range(-len(node[2]), 0))
        return jnp.fft.irfftn(evaluate(node[1], names, dtype), s=node[2], axes=axes)
    if kind == "reciprocal":
        return reciprocal(evaluate(node[1], names, dtype))
    if kind == "wavenumber":
        return wavenumber(*node[1:], dtype=dtype)
    if kind == "dealias":
        return dealias(node[1], dtype)
    if kind == "times":
        return times(*(evaluate(a, names, dtype) for a in node[1:]))
    if kind == "turned":
        return turned(evaluate(node[1], names, dtype))
    if kind == "select":
        return select(*(evaluate(a, names, dtype) for a in node[1:]))
    if kind == "fill":
        return jnp.broadcast_to(
            jnp.asarray(evaluate(node[1], names, dtype), dtype), node[2]
        )
    if kind == "mean":
        values, weights = (evaluate(a, names, dtype) for a in node[1:3])
        return mean(values, weights, node[3])
    if kind in _WAVES:
        return _WAVES[kind](evaluate(node[1], names, dtype), *node[2:])
    if kind == "eigenvalue":
        return waves.eigenvalue(*node[1:], dtype=dtype)
    if kind == "solved":
        argument, inside, result, *rest = node[1:]
        right, water = (evaluate(a, names, dtype) for a in rest[:2])

        def operator(x: Array) -> Array:
            return run(inside, {**names, argument: x}, dtype)[result]

        return solved(operator, right, water, *rest[2:])
    if kind == "coordinate":
        return coordinate(*node[1:], dtype=dtype)
    if kind == "call":
        return FUNCTIONS[node[1]](*(evaluate(a, names, dtype) for a in node[2:]))
    if kind == "apply":
        values = [evaluate(a, names, dtype) for a in node[2:]]
        return names[node[1]].at(values, dtype)
    values = [evaluate(a, names, dtype) for a in node[1:]]
    return _ARITHMETIC[kind](*values)


def reads(node: Any, name: str) -> bool:
    """Whether a program, or a part of it, holds a name."""
    if isinstance(node, tuple):
        return any(reads(part, name) for part in node)
    return node == name


_ARITHMETIC: Mapping[str, Callable] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
    "neg": lambda a: -a,
}


_WAVES: Mapping[str, Callable] = {
    "cosine": waves.cosine,
    "cosine_back": waves.cosine_back,
    "sine": waves.sine,
    "sine_back": waves.sine_back,
    "fourier": waves.fourier,
    "fourier_back": waves.fourier_back,
}


def window(a: Array, bounds: tuple[tuple[int, int | None], ...]) -> Array:
    """Part of `a` along its last axes."""
    return a[(..., *(slice(start, stop) for start, stop in bounds))]


def wrap(a: Array, axis: int, before: int, after: int) -> Array:
    """`a` with periodic copies before and after it along an axis."""
    size = a.shape[axis]
    head = jax.lax.slice_in_dim(a, size - before, size, axis=axis)
    tail = jax.lax.slice_in_dim(a, 0, after, axis=axis)
    return jnp.concatenate([head, a, tail], axis=axis)


def join(parts: list[Array], axis: int) -> Array:
    """The arrays one after the other along an axis."""
    return jnp.concatenate(parts, axis=axis)


def hold(a: Array) -> Array:
    """`a`, computed once: else XLA would do it again at each point of a stencil."""
    return jax.lax.optimization_barrier(a)


def times(a: ArrayLike, b: Array) -> Array:
    """A real array times a complex one."""
    return jax.lax.complex(a * b.real, a * b.imag)


def turned(a: Array) -> Array:
    """I a."""
    return jax.lax.complex(-a.imag, a.real)


def reciprocal(a: Array) -> Array:
    """1 / a, and 0 where a is 0."""
    nothing = a == 0
    return jnp.where(nothing, 0.0, 1 / jnp.where(nothing, 1.0, a))


def mean(a: Array | float, weights: Array | None, dim: int) -> Array | float:
    """Over the last axes, which stay as axes of one point."""
    if weights is None:
        return jnp.mean(a, axis=tuple(range(-dim, 0)), keepdims=True)
    return jnp.sum(weights * a, axis=tuple(range(-dim, 0)), keepdims=True)


def select(mask: Array, a: Array | float, b: Array | float) -> Array:
    """`a` where the mask is not 0, else `b`."""
    return jnp.where(mask != 0, a, b)


def wavenumber(
    shape: tuple[int, ...],
    points: int,
    length: float,
    halved: bool,
    odd: bool,
    *,
    dtype: Any,
) -> Array:
    """2 pi k / length along an axis; for odd powers 0 where there is no sine."""
    k = np.arange(points // 2 + 1) if halved else np.fft.fftfreq(points, 1 / points)
    k = np.where(2 * np.abs(k) == points, 0, k) if odd else k
    return jnp.asarray((2 * np.pi / length * k).reshape(shape), dtype)


def dealias(shape: tuple[int, ...], dtype: Any) -> Array:
    """1 for wavenumbers below a third of the number of points, 0 for the others."""
    kept = np.ones([1] * len(shape))
    for i, points in enumerate(shape):
        k = np.abs(np.fft.fftfreq(points, 1 / points))
        k = k[: points // 2 + 1] if i == len(shape) - 1 else k
        along = np.where(3 * k < points, 1.0, 0.0)
        kept = kept * along.reshape((-1,) + (1,) * (len(shape) - 1 - i))
    return jnp.asarray(kept, dtype)


def coordinate(
    shape: tuple[int, ...], lower: float, step: float, first: float, *, dtype: Any
) -> Array:
    """Positions along an axis, as an array that broadcasts against a field."""
    positions = lower + (first + np.arange(max(shape))) * step
    return jnp.asarray(positions.reshape(shape), dtype)
