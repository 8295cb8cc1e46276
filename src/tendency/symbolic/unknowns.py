"""Floor 1: what is unknown in equations, and is learned inside them.

`Scalar`, `Combination` and `Field` (or `Modes`) are numbers; `Pointwise`, `Stencil` and
`Whole` are functions of what the equations know, by any module. Each is declared under
its name in `System.of(..., unknowns={...})`, with the first guess that it holds, and
stands in the equations as a parameter or a diagnostic field does.
"""

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from tendency.cell import Constant
from tendency.errors import InputError
from tendency.grid import Axis
from tendency.symbolic.bounds import Each, Interval, unbounded


class AbstractNumbers(eqx.Module):
    """Numbers to be found: `free` is what a fit changes, `value` what they are."""

    free: eqx.AbstractVar[Float[Array, "..."]]  # z of `Interval`
    scale: eqx.AbstractVar[Constant]  # [units of the value]
    bounds: eqx.AbstractVar[Interval | Each]

    @property
    def value(self) -> Float[Array, "..."]:
        """In the units of the equations."""
        return self.bounds.to_bounded(self.free, self.scale.value)


class Scalar(AbstractNumbers):
    """A coefficient, which may stand in the equations as often as you like.

    Raises:
        InputError: the first guess is not finite, or out of its bounds.
    """

    free: Float[Array, ""]
    scale: Constant
    bounds: Interval

    def __init__(self, value: float = 1.0, bounds: Interval = unbounded):
        self.free, self.scale = _free(float(value), bounds, "the scalar")
        self.bounds = bounds


class Combination(AbstractNumbers):
    """A sum of candidate terms, C = C_1 term_1 + C_2 term_2 + ..., by its coefficients.

    Arguments:
        of: the terms, as text or LaTeX.
        value: the coefficients at first, one for all or one for each.
        bounds: of all coefficients, or of each.

    Raises:
        InputError: no term, or another number of coefficients than of terms.
    """

    free: Float[Array, " term"]
    scale: Constant
    bounds: Interval | Each
    of: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self,
        of: Sequence[str],
        value: ArrayLike | Sequence[float] = 0.0,
        bounds: Interval | Sequence[Interval] = unbounded,
    ):
        self.of = _listed(of)
        found = np.asarray(value, float)
        if found.shape not in ((), (len(self.of),)):
            raise InputError(
                f"a combination of {len(self.of)} terms was given coefficients of the "
                f"shape {found.shape}: give one for each term"
            )
        found = np.broadcast_to(found, (len(self.of),))
        both = bounds if isinstance(bounds, Interval) else Each(tuple(bounds))
        if isinstance(both, Each) and len(both.parts) != len(self.of):
            raise InputError(
                f"a combination of {len(self.of)} terms was given {len(both.parts)} "
                "bounds: give one for all, or one for each term"
            )
        self.free, self.scale = _free(found, both, "the combination")
        self.bounds = both


class AbstractMap(AbstractNumbers):
    """Numbers that make a field which is the same at all times."""

    along: eqx.AbstractVar[tuple[str, ...] | None]  # coordinates; None: all

    @property
    @abc.abstractmethod
    def on_cells(self) -> Float[Array, "..."]:
        """The field on the cells."""

    @abc.abstractmethod
    def on(
        self, axes: Sequence[Axis], full: tuple[int, ...], name: str
    ) -> "AbstractMap":
        """On the axes that it varies along; `full` is its shape with all axes.

        Raises:
            InputError: it was given with another shape.
        """

    @abc.abstractmethod
    def narrowed(self, bounds: Interval, name: str) -> "AbstractMap":
        """With bounds within these too.

        Raises:
            InputError: its first guess is not.
        """


class Field(AbstractMap):
    """A map, the same at all times: a value at every cell, such as a diffusivity.

    Arguments:
        value: at first, on the cells, or one number for all of them.
        bounds: of all values.
        along: the coordinates that it varies along; default: all.
    """

    free: Float[Array, "..."]
    scale: Constant
    bounds: Interval
    along: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        value: ArrayLike = 1.0,
        bounds: Interval = unbounded,
        along: Sequence[str] | None = None,
    ):
        found = np.asarray(value, float)
        self.free, self.scale = _free(found, bounds, "the field")
        self.bounds, self.along = bounds, None if along is None else tuple(along)

    @property
    def on_cells(self) -> Float[Array, "..."]:
        return self.value

    def on(self, axes: Sequence[Axis], full: tuple[int, ...], name: str) -> "Field":
        shape = tuple(axis.points for axis in axes)
        if self.free.shape not in ((), shape):
            raise InputError(
                f"the unknown field {name} has the shape {self.free.shape}, {shape} "
                "was expected: give one value, or one for every cell"
            )
        both = self.free, self.scale.value
        both = tuple(jnp.broadcast_to(a, shape).reshape(full) for a in both)
        return eqx.tree_at(lambda f: (f.free, f.scale.value), self, both)

    def narrowed(self, bounds: Interval, name: str) -> "Field":
        narrow = self.bounds.within(bounds)
        narrow.require(self.value, name)
        return Field(np.asarray(self.value), narrow, self.along)


class AbstractFunction(eqx.Module):
    """A function to be found, of expressions that the equations know."""

    function: eqx.AbstractVar[Callable]
    of: eqx.AbstractVar[tuple[str, ...]]
    bounds: eqx.AbstractVar[Interval]
    scale: eqx.AbstractVar[float]

    def at(self, values: Sequence[Any], dtype: Any) -> Array:
        """Its values, from those of its arguments, which broadcast against each other.

        A module of one precision serves states of another.
        """
        shape = jnp.broadcast_shapes(*(jnp.shape(v) for v in values))
        own = _dtype(self.function, dtype)
        stacked = jnp.stack(
            [jnp.broadcast_to(jnp.asarray(v, own), shape) for v in values]
        )
        found = self.applied(stacked).reshape(shape)
        return self.bounds.to_bounded(found, self.scale).astype(dtype)

    @abc.abstractmethod
    def applied(self, stacked: Float[Array, "argument *grid"]) -> Array:
        """The function, of its arguments one after the other."""


class Pointwise(AbstractFunction):
    """A function of the values of some expressions at the same place.

    It is evaluated where it is wanted, between the cells as well: in a flux
    `d_x(k*d_x u)` with k unknown, what leaves a cell enters the next.

    Arguments:
        of: the expressions, as text or LaTeX: fields, derivatives, coordinates.
        function: a module, from the vector of their values to a number.
        bounds: of its values.
        scale: their typical size (s of `Interval`), what the module gives being near
            one.
    """

    function: Callable
    of: tuple[str, ...] = eqx.field(static=True)
    bounds: Interval
    scale: float = eqx.field(static=True)

    def __init__(
        self,
        of: Sequence[str],
        function: Callable,
        bounds: Interval = unbounded,
        scale: float = 1.0,
    ):
        self.of, self.function = _listed(of), function
        self.bounds, self.scale = bounds, _size(bounds, scale)

    def applied(self, stacked: Float[Array, "argument *grid"]) -> Array:
        return _at_each(self.function, stacked)


class Stencil(AbstractFunction):
    """A function of the values of some expressions at the points around.

    That is a convolution whose first layer has a kernel of 2 reach + 1 points along
    each axis, and whose others have one. Boundary conditions hold beyond the walls. By
    differences only.

    Arguments:
        of: the expressions.
        function: a module, from the vector of len(of) (2 reach + 1)^axes values to a
            number; for each expression the points in the order of the grid.
        reach: how many points it sees to each side.
        bounds: of its values.
        scale: their typical size (s of `Interval`), what the module gives being near
            one.

    Raises:
        InputError: a reach below 1.
    """

    function: Callable
    of: tuple[str, ...] = eqx.field(static=True)
    reach: int = eqx.field(static=True)
    bounds: Interval
    scale: float = eqx.field(static=True)

    def __init__(
        self,
        of: Sequence[str],
        function: Callable,
        reach: int = 1,
        bounds: Interval = unbounded,
        scale: float = 1.0,
    ):
        if reach < 1:
            raise InputError(
                f"the reach of a stencil is {reach}, at least 1 was expected: take a "
                "Pointwise function for 0"
            )
        self.of, self.function = _listed(of), function
        self.reach, self.bounds = reach, bounds
        self.scale = _size(bounds, scale)

    def applied(self, stacked: Float[Array, "argument *grid"]) -> Array:
        return _at_each(self.function, stacked)


class Whole(AbstractFunction):
    """A function of whole fields, by any module: a network of several convolutions.

    Its values stand on the cells; beyond walls they are extrapolated, where they are
    differentiated there.

    Arguments:
        of: the expressions.
        function: a module, from (len(of), *grid) to as many values as the grid has.
        bounds: of its values.
        scale: their typical size (s of `Interval`), what the module gives being near
            one.
    """

    function: Callable
    of: tuple[str, ...] = eqx.field(static=True)
    bounds: Interval
    scale: float = eqx.field(static=True)

    def __init__(
        self,
        of: Sequence[str],
        function: Callable,
        bounds: Interval = unbounded,
        scale: float = 1.0,
    ):
        self.of, self.function = _listed(of), function
        self.bounds, self.scale = bounds, _size(bounds, scale)

    def applied(self, stacked: Float[Array, "argument *grid"]) -> Array:
        return self.function(stacked)


Unknown = AbstractNumbers | AbstractFunction


def coefficients_of(unknowns: Mapping[str, Unknown]) -> dict[str, Float[Array, ""]]:
    """The scalars among them, and the coefficients C_1, C_2, ... of combinations."""
    found = {}
    for name, one in unknowns.items():
        if isinstance(one, Scalar):
            found[name] = one.value
        elif isinstance(one, Combination):
            value = one.value
            found |= {f"{name}_{i}": value[i - 1] for i in range(1, len(one.of) + 1)}
    return found


def called(name: str) -> str:
    """What an unknown function is named in a program, where it is applied."""
    return f"{name}_of"


def values_of(unknowns: Mapping[str, Unknown], dtype: Any) -> dict[str, Any]:
    """What the names of a program stand for: numbers, arrays, functions."""
    found: dict[str, Any] = dict(coefficients_of(unknowns))
    maps = {n: one for n, one in unknowns.items() if isinstance(one, AbstractMap)}
    found |= {name: one.on_cells for name, one in maps.items()}
    found = {name: jnp.asarray(value, dtype) for name, value in found.items()}
    for name, one in unknowns.items():
        if isinstance(one, AbstractFunction):
            found[called(name)] = one
    return found


def require_unknowns(unknowns: Mapping[str, Any]) -> None:
    """That each is one of the kinds of this module.

    Raises:
        InputError: it is not.
    """
    for name, one in unknowns.items():
        if not isinstance(one, AbstractNumbers | AbstractFunction):
            raise InputError(
                f"the unknown {name} is a {type(one).__name__}: Scalar, Combination, "
                "Field, Modes, Pointwise, Stencil or Whole was expected"
            )


def _at_each(function: Callable, stacked: Array) -> Array:
    return jax.vmap(function)(stacked.reshape(len(stacked), -1).T)


def _free(value: Any, bounds: Interval | Each, what: str) -> tuple[Array, Constant]:
    found = np.asarray(value, float)
    if not np.isfinite(found).all():
        raise InputError(
            f"{what} starts at {value}, finite numbers were expected: give others"
        )
    bounds.require(found, what)
    scale = bounds.scale(found)
    free = bounds.to_free(found, scale)
    return jnp.asarray(free), Constant(jnp.asarray(scale))


def _size(bounds: Interval, scale: float) -> float:
    """The scale of a function; between two bounds their distance."""
    if math.isfinite(bounds.lower) and math.isfinite(bounds.upper):
        return bounds.upper - bounds.lower
    if not (math.isfinite(scale) and scale > 0):
        raise InputError(
            f"the scale of an unknown function is {scale}, a positive number was "
            "expected: give the typical size of its values"
        )
    return float(scale)


def _listed(of: Sequence[str]) -> tuple[str, ...]:
    if isinstance(of, str) or not of:
        raise InputError(
            f"an unknown is one of {of!r}, and a list of expressions was expected: "
            "put brackets around it"
        )
    return tuple(of)


def _dtype(function: Callable, otherwise: Any) -> Any:
    """The floating type of a module's weights."""
    leaves = jax.tree.leaves(eqx.filter(function, eqx.is_inexact_array))
    return leaves[0].dtype if leaves else otherwise
