"""Floor 5: where a system starts, and what its expressions are worth there."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import sympy
from jaxtyping import ArrayLike, Bool, Float
from sympy.core.function import AppliedUndef

from tendency.equations.expressions import Expr, Numbers, evaluate
from tendency.errors import InputError
from tendency.grid import HALF, Grid
from tendency.symbolic.generated import Generated
from tendency.symbolic.meaning import Mean
from tendency.symbolic.system import TIME, System
from tendency.symbolic.unknowns import AbstractMap


class Start(NamedTuple):
    """A generated tendency at its initial state."""

    tendency: Generated
    system: System
    grid: Grid
    state: Mapping[str, Numbers]
    forcing: Mapping[str, Any]  # at the start
    offsets: Mapping[str, tuple[Fraction, ...]]  # of each field, in cells
    water: Bool[np.ndarray, "..."] | None = None  # on the cells, where there is land

    @classmethod
    def of(
        cls,
        tendency: Generated,
        system: System,
        grid: Grid,
        state: Mapping[str, ArrayLike],
        forcing: Mapping[str, ArrayLike] | None = None,
        *,
        staggered: Mapping[str, Sequence[str]] | None = None,
        water: Bool[np.ndarray, "..."] | None = None,
    ) -> "Start":
        """Of a model made in Python, from what it was generated from.

        Arguments:
            forcing: what the tendency is given at the start, the time `t` among it.
            water: where there is some, if the model has a coast.
        """
        along = {name: (staggered or {}).get(name, ()) for name in system.fields}
        return cls(
            tendency,
            system,
            grid,
            {name: np.asarray(values) for name, values in state.items()},
            {name: np.asarray(values) for name, values in (forcing or {}).items()},
            {
                name: tuple(HALF if a.name in axes else Fraction(0) for a in grid.axes)
                for name, axes in along.items()
            },
            water,
        )

    def values(self, node: Expr) -> Float[np.ndarray, "..."]:
        """Of an expression on the cells, broadcasting against them.

        Fields of elliptic equations, not known yet, count as zero.

        Raises:
            InputError: it holds what has no value, such as the slope of a flux.
        """
        names: dict[Expr, Any] = {TIME: self.forcing.get(str(TIME), 0.0)}
        given = self.tendency.values
        names |= {s: float(given[str(s)]) for s in self.system.parameters}
        coordinates = self.grid.coordinates()
        names |= {s: coordinates[str(s)] for s in self.system.coordinates}
        for mean in node.atoms(Mean):
            inside = self.on_water(self.values(mean.args[0]))
            sizes = self.on_water(self.grid.sizes())
            names[mean] = np.average(inside, weights=sizes)
        for field in node.atoms(AppliedUndef):
            names[field] = self._on_cells(field)
        for slope in node.atoms(sympy.Derivative):
            if not isinstance(slope.expr, AppliedUndef):
                raise InputError(f"{slope} has no estimate")
            values = self._on_cells(slope.expr)
            for by in slope.variables:
                values = self._derivative(values, self.system.coordinates.index(by))
            names[slope] = values
        with np.errstate(all="ignore"):
            return np.asarray(evaluate(node, names), float)

    def on_water(self, values: Numbers) -> Float[np.ndarray, " cells"]:
        """One for each cell of water."""
        full = np.broadcast_to(values, self.grid.shape)
        return full.ravel() if self.water is None else full[self.water]

    def place(self, cell: int) -> str:
        """Where one of the cells of water stands, in words."""
        at = self.grid.coordinates()
        where = [
            f"{axis.name} = {self.on_water(at[axis.name])[cell]:.4g}"
            for axis in self.grid.axes
        ]
        return f" at {', '.join(where)}" if where else ""

    def _on_cells(self, field: Expr) -> Any:
        name = field.func.__name__
        unknown = {
            n: u.on_cells
            for n, u in self.tendency.unknowns.items()
            if isinstance(u, AbstractMap)
        }
        for given in (self.tendency.constants.value, unknown, self.forcing):
            if name in given:
                return np.asarray(given[name])
        if name not in self.state:
            if field in self.system.unknown:
                return np.zeros([1] * len(self.grid.axes))
            raise InputError(f"{name} is not known at the start")
        values = np.asarray(self.state[name])
        for i, (axis, offset) in enumerate(
            zip(self.grid.axes, self.offsets[name], strict=True)
        ):
            if offset == 0:
                continue
            if not axis.periodic:
                pad = [(int(j == i), int(j == i)) for j in range(values.ndim)]
                values = np.pad(values, pad, mode="edge")
                low, high = np.arange(axis.points), np.arange(1, axis.points + 1)
                values = (values.take(low, i) + values.take(high, i)) / 2
            else:
                values = (values + np.roll(values, 1, i)) / 2
        return values

    def _derivative(self, values: Any, i: int) -> Any:
        axis = self.grid.axes[i]
        if np.shape(values)[i] == 1:
            return np.zeros_like(values)
        steps = self.grid.along(axis.name, axis.lengths())
        if axis.periodic:
            return (np.roll(values, -1, i) - np.roll(values, 1, i)) / (2 * steps)
        return np.gradient(values, axis=i) / steps
