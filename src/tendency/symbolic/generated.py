"""Floor 1: a system on a grid, as the tendency of a cell."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, cast, get_args

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PyTree

from tendency.cell import Constant
from tendency.errors import InputError
from tendency.grid import HALF, Grid
from tendency.integrate import AbstractScheme, AdamsBashforth3, RungeKutta, rk4
from tendency.symbolic.about import about
from tendency.symbolic.boundary import Boundaries, Ends, boundaries_of
from tendency.symbolic.coasts import Coast, Masks
from tendency.symbolic.declared import require_use
from tendency.symbolic.differences import Differences, lower
from tendency.symbolic.emit import Description, Target, emit
from tendency.symbolic.lowering import defined
from tendency.symbolic.methods import SECOND_ORDER, methods_of, told
from tendency.symbolic.program import Assignments, Program, reads, run
from tendency.symbolic.spectral import Spectral, lower_spectral
from tendency.symbolic.stepping import Steps
from tendency.symbolic.system import TIME, Expr, System
from tendency.symbolic.unknowns import (
    AbstractFunction,
    AbstractMap,
    Unknown,
    coefficients_of,
    values_of,
)

State = dict[str, Float[Array, "..."]]


class Generated(eqx.Module):
    """The tendency of a system of equations, discretised: f(state, forcing).

    The state is a mapping of field names to arrays. The forcing, where the equations
    have one, is a mapping too: the functions of time by name, and the time `t` itself
    where an equation holds it. Parameters are arrays, so that they can be fitted.

    Raises:
        InputError: a field or a forcing is missing, or has another shape.
    """

    parameters: dict[str, Float[Array, ""]]  # that may be fitted
    known: Constant  # name -> parameter beside unknowns, which no fit changes
    unknowns: dict[str, Unknown]
    constants: Constant  # name -> array on the cells
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = eqx.field(static=True)
    name: str = eqx.field(static=True)
    about: tuple[str, ...] = eqx.field(static=True)  # equations, method, boundaries
    methods: tuple[tuple[str, str], ...] = eqx.field(static=True)  # fields, in words
    numbers: tuple[tuple[str, float], ...] = eqx.field(static=True)
    assignments: tuple = eqx.field(static=True)
    outputs: tuple[tuple[str, str], ...] = eqx.field(static=True)
    forcings: tuple[str, ...] = eqx.field(static=True)

    @property
    def program(self) -> Program:
        """What one evaluation does."""
        return Program(self.numbers, self.assignments, self.outputs)

    @property
    def values(self) -> dict[str, Float[Array, ""]]:
        """Of all parameters, known and unknown, those of combinations as C_1, C_2."""
        return {**self.parameters, **self.known.value, **coefficients_of(self.unknowns)}

    @property
    def functions(self) -> dict[str, Callable[..., Array]]:
        """The learned functions of arrays, as `forecast` of the source takes them."""
        return {
            name: lambda *values, one=one: one.at(values, jnp.result_type(*values))
            for name, one in self.unknowns.items()
            if isinstance(one, AbstractFunction)
        }

    def __call__(self, state: State, forcing: PyTree = None) -> State:
        return self._run(state, forcing, {}, dict(self.outputs))

    def in_fourier_space(
        self, hats: dict[str, Array], state: State, forcing: PyTree = None
    ) -> dict[str, Array]:
        """As a call, for transforms: of a state, and of its tendency.

        Arguments:
            hats: the transforms of `state` by `rfftn`.
        """
        more = {f"{k}_hat": v for k, v in hats.items()}
        wanted = {field: f"d_t_{field}_hat" for field, _ in self.outputs}
        return self._run(state, forcing, more, wanted)

    def _run(
        self,
        state: State,
        forcing: PyTree,
        more: Mapping[str, Array],
        wanted: Mapping[str, str],
    ) -> dict[str, Array]:
        """What is wanted, by the names of the program.

        Reverse mode evaluates the program again instead of storing all that is in it:
        of many small arrays that takes a quarter of the time, and of the memory less.
        """
        shapes = dict(self.shapes)
        for name, shape in shapes.items():
            found = state[name].shape if name in state else None
            if found != shape:
                raise InputError(
                    f"the state holds {'no ' if found is None else ''}{name}"
                    f"{'' if found is None else f' of shape {found}'}, an array of "
                    f"shape {shape} was expected"
                )
        given = forcing if isinstance(forcing, Mapping) else {}
        missing = [name for name in self.forcings if name not in given]
        if missing:
            raise InputError(
                f"the forcing has no {', '.join(missing)}: give a mapping of "
                f"{', '.join(self.forcings)}"
            )
        names: dict[str, Any] = {name: jnp.asarray(state[name]) for name in shapes}
        dtype = jnp.result_type(*names.values())
        for group in (self.parameters, self.known.value, self.constants.value):
            names |= {k: jnp.asarray(v, dtype) for k, v in group.items()}
        names |= values_of(self.unknowns, dtype)
        names |= {k: jnp.asarray(given[k], dtype) for k in self.forcings}

        @eqx.filter_checkpoint
        def evaluated(names):
            known = run(self.assignments, {**dict(self.numbers), **names}, dtype)
            return {field: known[name] for field, name in wanted.items()}

        return evaluated({**names, **more})

    def source(
        self,
        target: str = "jax",
        *,
        dt: float | None = None,
        scheme: AbstractScheme = rk4,
    ) -> str:
        """A Python module that computes the same and needs nothing of tendency.

        Arguments:
            target: `jax`, `torch` or `keras`.
            dt: writes `step` and `forecast` too, for steps of this length.
            scheme: a Runge-Kutta scheme, or `adams_bashforth3`.

        Raises:
            InputError: another scheme, or another target.
        """
        if target not in get_args(Target):
            raise InputError(
                f"the target is {target!r}, one of {', '.join(get_args(Target))} was "
                "expected"
            )
        steps = None if dt is None else _steps(scheme, dt)
        description = Description(
            self.name,
            self.about,
            self.numbers,
            self.shapes,
            tuple((k, float(v)) for k, v in self.values.items()),
            (*self.constants.value, *_kind(self.unknowns, AbstractMap)),
            self.forcings,
            self.assignments,
            self.outputs,
            _kind(self.unknowns, AbstractFunction),
        )
        return emit(description, cast(Target, target), steps)


def generate(
    system: System,
    grid: Grid,
    method: Differences | Spectral | Mapping[str, Differences | Spectral] = (
        SECOND_ORDER
    ),
    *,
    boundaries: Boundaries | None = None,
    staggered: Mapping[str, Sequence[str]] | None = None,
    constants: Mapping[str, ArrayLike] | None = None,
    coast: Coast | None = None,
    diagnostics: bool = False,
) -> Generated:
    """Discretise a system on a grid.

    A diagnostic field with boundary conditions is computed on the cells and continued
    beyond the walls by them; others are put into the equations where they stand.

    Arguments:
        method: of all equations; or field -> the differences of its equation, those
            of second order for the others. What an equation reads of others, as a
            diagnostic field, is found by its own method.
        boundaries: field -> axis -> its condition at both ends, or a pair of them.
        staggered: field -> the axes along which it stands on the faces of the cells.
        constants: the fields that the system declares so, on the cells.
        coast: where there is land, whose coasts nothing crosses (see `coasts`). The
            state there stays as it is, and is not read; nor is a velocity on a face
            that touches land, which counts as zero.
        diagnostics: what is made gives the diagnostic and the unknown fields of a
            state, on the cells, instead of its tendency.

    Raises:
        InputError: axes that are not the coordinates of the system, a missing boundary
            condition or constant, too few points, a coast that does not fit.
    """
    expected = tuple(str(c) for c in system.coordinates)
    found = tuple(axis.name for axis in grid.axes)
    if found != expected:
        raise InputError(
            f"the grid has the axes {', '.join(found) or 'none'}, and the coordinates "
            f"of the system are {', '.join(expected)}, in this order"
        )
    offsets = _offsets(system, grid, staggered or {})
    conditions = boundaries_of(system, grid, boundaries or {})
    masks: Masks = {}
    if isinstance(method, Spectral):
        if any(staggered.values() if staggered else ()):
            raise InputError("the spectral method knows no staggered fields")
        if coast is not None:
            raise InputError(
                "the spectral method knows no coasts: take differences of order 2"
            )
        methods = method
        program = lower_spectral(system, grid, method, diagnostics=diagnostics)
    else:
        methods = methods_of(system, grid, method)
        program, masks, methods = lower(
            system, grid, methods, offsets, conditions, coast, diagnostics=diagnostics
        )
    given = dict(constants or {})
    arrays = {}
    unknowns = dict(system.unknowns)
    for field in system.constants:
        name = field.func.__name__
        one = unknowns.get(name)
        if isinstance(one, AbstractMap):
            axes = [a for a in grid.axes if a.name in map(str, field.args)]
            unknowns[name] = one.on(axes, _shapes(field.args, system, grid)[1], name)
            continue
        if name not in given:
            raise InputError(f"the constant field {name} is missing: give its values")
        arrays[name] = _on_grid(name, given.pop(name), field.args, system, grid)
    if given:
        raise InputError(
            f"{', '.join(given)} is given as a constant and the system declares "
            f"{', '.join(f.func.__name__ for f in system.constants) or 'none'}"
        )
    arrays |= {name: jnp.asarray(mask) for name, mask in masks.items()}
    require_use(system.unknowns, _sides(system, conditions))
    shapes = tuple(
        (
            name,
            tuple(a.size(o) for a, o in zip(grid.axes, offsets[name], strict=True)),
        )
        for name in system.fields
    )
    parameters = {
        str(k): jnp.asarray(v)
        for k, v in system.parameters.items()
        if k not in system.coefficients
    }
    return Generated(
        {} if unknowns else parameters,
        Constant(parameters if unknowns else {}),
        unknowns,
        Constant(arrays),
        shapes,
        system.name,
        about(system, grid, told(methods), boundaries or {}, coast),
        tuple(told(methods)),
        program.numbers,
        _filled(program, system, arrays, unknowns, shapes, grid.shape),
        program.outputs,
        _forcings(system, program),
    )


def _steps(scheme: AbstractScheme, dt: float) -> Steps:
    if isinstance(scheme, RungeKutta):
        name = f"a Runge-Kutta scheme of order {scheme.order}"
        return Steps(name, dt, scheme.a, scheme.b)
    if isinstance(scheme, AdamsBashforth3):
        return Steps("Adams and Bashforth's scheme of order 3", dt)
    raise InputError(
        f"source cannot be written for the scheme {type(scheme).__name__}: use euler, "
        "ssprk3, rk4, dormand_prince5 or adams_bashforth3"
    )


def _offsets(
    system: System, grid: Grid, staggered: Mapping[str, Sequence[str]]
) -> dict[str, tuple[Fraction, ...]]:
    names = [axis.name for axis in grid.axes]
    for field, axes in staggered.items():
        if field not in system.fields:
            raise InputError(
                f"{field} is staggered, and the prognostic fields are "
                f"{', '.join(system.fields)}"
            )
        for axis in axes:
            if axis not in names:
                raise InputError(
                    f"{field} is staggered along {axis}, and the axes are "
                    f"{', '.join(names)}"
                )
    return {
        field: tuple(
            HALF if name in staggered.get(field, ()) else Fraction(0) for name in names
        )
        for field in system.fields
    }


def _on_grid(name, values, arguments, system: System, grid: Grid) -> Array:
    """With an axis of one point for every coordinate that it does not depend on."""
    values = jnp.asarray(values)
    own, full = _shapes(arguments, system, grid)
    if values.shape != own:
        raise InputError(
            f"the constant field {name} has the shape {values.shape}, {own} was "
            "expected"
        )
    return values.reshape(full)


def _shapes(
    arguments, system: System, grid: Grid
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of a given field: along its own coordinates, and with one point for others."""
    along = [
        (c in arguments, a.points)
        for c, a in zip(system.coordinates, grid.axes, strict=True)
    ]
    return tuple(n for yes, n in along if yes), tuple(
        n if yes else 1 for yes, n in along
    )


def _filled(
    program: Program, system: System, arrays, unknowns, shapes, cells: tuple[int, ...]
) -> Assignments:
    """Where what is asked for is the same along an axis: all over the field."""

    def tendencies(names, unknowns):
        names = {**names, **values_of(unknowns, float)}
        known = run(program.assignments, {**dict(program.numbers), **names}, float)
        return {field: known[name] for field, name in program.outputs}

    names = {name: jnp.zeros(shape) for name, shape in shapes}
    scalars = (*system.parameters, TIME, *system.forcings)
    names |= {
        f"{getattr(s, 'func', s) if s.args else s}": jnp.ones(()) for s in scalars
    }
    found = eqx.filter_eval_shape(tendencies, {**names, **arrays}, unknowns)
    wanted = {name: dict(shapes).get(field, cells) for field, name in program.outputs}
    given = {name: jnp.shape(found[field]) for field, name in program.outputs}
    missing = {n: shape for n, shape in wanted.items() if given[n] != shape}
    return tuple(
        (name, ("fill", value, missing[name]) if name in missing else value)
        for name, value in program.assignments
    )


def _sides(system: System, conditions: Mapping[tuple[str, str], Ends]) -> list[Expr]:
    """All that is evaluated, with no diagnostic field in it."""
    known = defined(system)
    sides = [*system.prognostic.values(), *system.implicit]
    ends = [end.equals for both in conditions.values() for end in both]
    return [side.xreplace(known) for side in sides] + ends


def _kind(unknowns: Mapping[str, Unknown], kind: type) -> tuple[str, ...]:
    return tuple(name for name, one in unknowns.items() if isinstance(one, kind))


def _forcings(system: System, program: Program) -> tuple[str, ...]:
    """Those that the program reads, and the time if it does."""
    declared = [f.func.__name__ for f in system.forcings]
    return tuple(n for n in [*declared, str(TIME)] if reads(program.assignments, n))
