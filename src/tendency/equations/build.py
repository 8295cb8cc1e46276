"""Floor 5: from what a file asks to a cell, its initial state and its forcing.

Constants and forcings that are expressions are put into the equations themselves, so
that every stage of a scheme, every face of a cell and the written source see them
exactly; those from files are arrays.
"""

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from tendency import integrate
from tendency.cell import Carry
from tendency.equations.eigenvalues import stable_step
from tendency.equations.expressions import Numbers
from tendency.equations.given import field_from_file
from tendency.equations.settings import STIFF, Equations
from tendency.equations.units import require_units
from tendency.equations.unknowns import unknowns_of, with_fields
from tendency.equations.values import (
    boundaries,
    expressions_of,
    forcing,
    initial,
    positions,
    water,
    with_expressions,
)
from tendency.errors import InputError, nearest
from tendency.grid import HALF, Axis, Grid
from tendency.integrate import AbstractScheme, Integrated
from tendency.stiff import ETDRK4, IMEXRungeKutta, ars343
from tendency.symbolic.coasts import Coast, Mask, open_at
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import Generated, generate
from tendency.symbolic.methods import Methods
from tendency.symbolic.moments import moments
from tendency.symbolic.spectral import Spectral, linear_part
from tendency.symbolic.stretching import stretch
from tendency.symbolic.system import TIME, Expr, System
from tendency.symbolic.well_posed import kept_well_posed


class Built(NamedTuple):
    """What can be stepped."""

    asked: Equations
    system: System  # its constants and forcings are those from files
    grid: Grid
    offsets: Mapping[str, tuple[Fraction, ...]]  # of each field, in cells
    cell: Integrated
    state: Mapping[str, Numbers]
    forcing: Mapping[str, Numbers] | None  # at the ends of the steps
    diagnose: Generated | None  # the diagnostic fields that are saved
    water: Mask | None  # on the cells, where there is land

    @property
    def generated(self) -> Generated:
        """The tendency of the cell."""
        assert isinstance(self.cell.tendency, Generated)
        return self.cell.tendency

    @property
    def carry(self) -> Carry:
        """Before the first step."""
        return self.cell.init({k: jnp.asarray(v) for k, v in self.state.items()})

    @property
    def diagnosed(self) -> tuple[str, ...]:
        """The diagnostic fields that are saved."""
        return tuple(k for k, d in self.asked.diagnostics.items() if d.saved)

    def unit(self, name: str) -> str:
        """For a reader, of any field that is saved."""
        both = {**self.asked.fields, **self.asked.diagnostics}
        return both[name].unit

    def sea(self, name: str) -> Mask | None:
        """Where a field stands in the water, where there is land."""
        if self.water is None:
            return None
        return open_at(self.water, self.grid, self.offsets[name])

    def stepped_by(self, dt: float) -> "Built":
        """With steps of `dt` or a little less, so many to each of its steps."""
        time, count = self.asked.time, math.ceil(self.cell.dt / dt * (1 - 1e-12))
        changes = {"dt": self.cell.dt / count, "steps": time.steps * count}
        changes["every"] = time.every * count
        asked = self.asked.model_copy(
            update={"time": time.model_copy(update=changes)},
        )
        return self._replace(
            asked=asked,
            cell=Integrated(self.generated, asked.time.step, self.cell.scheme),
            forcing=forcing(asked, self.system, self.generated, self.grid),
        )

    @property
    def times(self) -> Float[np.ndarray, " time"]:
        """Of the saved states, the initial one among them [time.units]."""
        time = self.asked.time
        steps = np.arange(0, time.steps + 1, time.every)
        return time.start + time.step * steps


def build(asked: Equations) -> Built:
    """Read the equations, put them on the grid, and find where they start.

    Raises:
        InputError: whatever in the file, or the files that it names, will not do; a
            step that is to be found, and is not.
    """
    time = asked.time
    if time.dt != "auto":
        return _built(asked)
    longest = {"dt": time.save_every, "steps": time.intervals, "every": 1}
    longest |= {"end": None, "save_every": None}
    first = _built(asked.model_copy(update={"time": time.model_copy(update=longest)}))
    forcing = {name: values[0] for name, values in (first.forcing or {}).items()}
    return first.stepped_by(stable_step(first.cell, first.state, forcing or None))


def _system(asked: Equations) -> System:
    """The equations, or those of their moments."""
    table, unknowns = asked.system, unknowns_of(asked)
    inside, beyond = unknowns, {}
    if table.moments:  # what is not in the equations is for what moments leave open
        words = {*re.findall(r"\w+", " ".join(table.equations))}
        inside = {name: one for name, one in unknowns.items() if name in words}
        beyond = {name: one for name, one in unknowns.items() if name not in words}
    system = System.of(
        table.equations,
        coordinates=table.coordinates,
        parameters={name: p.value for name, p in asked.parameters.items()},
        constants={
            name: table.coordinates if c.along is None else c.along
            for name, c in asked.constants.items()
        },
        forcings={name: f.along for name, f in asked.forcings.items()},
        unknown=table.unknown,
        unknowns=inside,
        name=table.name,
        doc=table.about,
    )
    if not table.moments:
        return system
    return moments(system).system(*table.closures, unknowns=beyond, name=table.name)


def _built(asked: Equations) -> Built:
    grid = _grid(asked)
    names = list(asked.axes)
    system = _system(asked)
    system = kept_well_posed(with_fields(asked, system, grid))
    others = [f.func.__name__ for f in (*system.diagnostic, *system.unknown)]
    for name in asked.fields:
        if name in others:
            raise InputError(
                f"fields.{name} is there and no equation steps {name}: it is "
                f"diagnostic and belongs in [diagnostics.{name}], without its initial"
            )
    _same("fields", list(asked.fields), list(system.fields))
    for name in asked.diagnostics:
        if name not in others:
            raise InputError(
                f"diagnostics.{name} is there and no equation gives or determines it: "
                f"{nearest(name, others)}"
            )
    _known_axes(asked, names)
    symbols: dict[str, Expr] = {str(s): s for s in (*system.parameters, TIME)}
    symbols |= {str(s): s for s in system.coordinates}
    given = expressions_of(asked, system, symbols)
    symbols |= {f.func.__name__: given.get(f, f) for f in system.forcings}
    require_units(asked, system, symbols)
    declared = system
    system = with_expressions(system, given)
    offsets = {
        name: tuple(HALF if a in field.staggered else Fraction(0) for a in names)
        for name, field in asked.fields.items()
    } | {name: (Fraction(0),) * len(names) for name in asked.diagnostics}
    wet = water(asked, declared, grid)
    coast = None
    if asked.coast is not None and wet is not None:
        coast = Coast(wet, "no" if asked.coast.slip == "no-slip" else "free")
    how: dict[str, Any] = {
        "boundaries": boundaries(asked, symbols),
        "staggered": {name: field.staggered for name, field in asked.fields.items()},
        "constants": {
            name: jnp.asarray(
                field_from_file(
                    asked.constants[name].values,
                    positions(grid, [str(a) for a in field.args]),
                    f"constants.{name}",
                    _along(wet, system, field),
                )
            )
            for field in system.constants
            for name in [field.func.__name__]
            if name in asked.constants
        },
        "coast": coast,
    }
    generated = generate(system, grid, methods(asked), **how)
    diagnose = None
    if any(d.saved for d in asked.diagnostics.values()):
        diagnose = generate(system, grid, methods(asked), **how, diagnostics=True)
    values = dict(declared.parameters)
    state = {
        name: initial(
            asked.fields[name].initial, name, system, grid, offsets, values, wet
        )
        for name in system.fields
    }
    return Built(
        asked,
        system,
        grid,
        offsets,
        Integrated(generated, asked.time.step, _scheme(asked, system, grid)),
        state,
        forcing(asked, system, generated, grid),
        diagnose,
        wet,
    )


def _known_axes(asked: Equations, names: list[str]) -> None:
    """That what fields say of axes is said of those that there are.

    Raises:
        InputError: an axis that is none.
    """
    said = [
        (f"fields.{name}.staggered", axis)
        for name, field in asked.fields.items()
        for axis in field.staggered
    ]
    for kind, table in (("fields", asked.fields), ("diagnostics", asked.diagnostics)):
        said += [
            (f"{kind}.{name}.velocity", field.velocity)
            for name, field in table.items()
            if field.velocity
        ]
    for where, axis in said:
        if axis not in names:
            raise InputError(
                f"{where} holds {axis}, which is no axis: {nearest(axis, names)}"
            )


def _along(water: Mask | None, system: System, field: Expr) -> Mask | None:
    """The water, where a field varies along all axes."""
    return water if len(field.args) == len(system.coordinates) else None


def _grid(asked: Equations) -> Grid:
    _same("axes", list(asked.axes), asked.system.coordinates)
    axes = []
    for name in asked.system.coordinates:
        a = asked.axes[name]
        how = None
        if a.stretch is not None:
            how = stretch(a.stretch, f"axes.{name}.stretch")
        axes.append(Axis(name, a.points, a.lower, a.upper, a.periodic, how))
    return Grid.of(*axes)


def methods(asked: Equations) -> Spectral | Methods:
    """How the derivatives of each equation are taken.

    Raises:
        InputError: one equation has a method of its own, and all are spectral.
    """
    whole, own = asked.method, {k: f.method for k, f in asked.fields.items()}
    if whole.spectral:
        for name, method in own.items():
            if method is not None:
                raise InputError(
                    f"fields.{name}.method is given, and method.spectral takes all "
                    "equations: leave one of them out"
                )
        return Spectral()
    common = whole.model_dump(exclude={"spectral"})
    found = {}
    for name, method in own.items():
        keys = common | (method.model_dump(exclude_none=True) if method else {})
        found[name] = Differences(keys["differences"], keys["upwind"], keys["flux"])
    return found


def _scheme(asked: Equations, system: System, grid: Grid) -> AbstractScheme:
    name = asked.time.scheme
    if name not in STIFF:
        return getattr(integrate, name)
    if not asked.method.spectral:
        raise InputError(
            f"time.scheme is {name}, which takes the linear part in Fourier space: set "
            "method.spectral = true, or choose rk4"
        )
    linear = linear_part(system, grid)
    if name == "etdrk4":
        return ETDRK4.of(linear, asked.time.step)
    return IMEXRungeKutta.of(linear, asked.time.step, ars343)


def _same(table: str, found: list[str], expected: list[str]) -> None:
    """That the tables are those of the equations."""
    for name in found:
        if name not in expected:
            raise InputError(
                f"{table}.{name} is there and the equations have no such thing: "
                f"{nearest(name, expected)}"
            )
    for name in expected:
        if name not in found:
            what = {
                "fields": "the initial state of a field that the equations step",
                "axes": "a coordinate of the equations",
            }[table]
            raise InputError(f"the table [{table}.{name}] is missing, {what}: add it")
