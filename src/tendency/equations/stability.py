"""Floor 5: how long a step may be, estimated at the initial state.

The advective CFL number |a| dt/h and the diffusion number D dt/h² are read off the
equations: a and D are the spectral radii of the matrices in front of the first and of
the second derivatives of the fields. Whether the scheme is stable is asked of the
discretised tendency itself (`eigenvalues`).
"""

import contextlib
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from tendency.equations.build import Built
from tendency.equations.doubts import doubts
from tendency.equations.eigenvalues import floored, longest_step
from tendency.equations.expressions import Expr
from tendency.equations.start import Start
from tendency.errors import InputError
from tendency.symbolic.linear import Entry, coefficients


class Stability(NamedTuple):
    """What is known of the step; `None` where it cannot be said."""

    advective: dict[str, float] | None  # |a| dt/h by axis
    diffusive: dict[str, float] | None  # D dt/h² by axis
    largest: float | None  # dt of the longest stable step found [time.units]
    doubts: tuple[str, ...] = ()  # whatever the step

    def warnings(self, built: Built) -> list[str]:
        """A sentence for each."""
        long = self.warning(built)
        return [*([] if long is None else [long]), *self.doubts]

    def warning(self, built: Built) -> str | None:
        """A sentence, if the step is too long."""
        time = built.asked.time
        if self.largest is None or time.step <= self.largest:
            return None
        numbers = "; ".join(self.said())
        return (
            f"dt = {time.step:g} is beyond what {time.scheme} holds stable at the "
            f"initial state{f' ({numbers})' if numbers else ''}: take dt = "
            f"{floored(self.largest):.2g} or less"
        )

    def said(self) -> list[str]:
        """The numbers, in words."""
        both = (("CFL number", self.advective), ("diffusion number", self.diffusive))
        return [
            f"{what} {', '.join(f'{v:.2g} along {axis}' for axis, v in found.items())}"
            for what, found in both
            if found
        ]


def stability(built: Built) -> Stability:
    """Estimate the numbers of the step, and look for what may go wrong.

    Raises:
        InputError: the tendency is not finite at the start (see `doubts`).
    """
    start = start_of(built)
    doubtful = doubts(start)
    advective = diffusive = None
    if not built.system.implicit:  # their fields are not known yet
        with contextlib.suppress(InputError):  # a function without a derivative
            found = coefficients(built.system)
            advective, diffusive = (_number(built, start, found, n) for n in (1, 2))
    forcing = {name: jnp.asarray(values) for name, values in start.forcing.items()}
    largest = longest_step(built.cell, built.state, forcing or None)
    return Stability(advective, diffusive, largest, tuple(doubtful))


def start_of(built: Built) -> Start:
    """The initial state of a file."""
    forcing = {name: values[0] for name, values in (built.forcing or {}).items()}
    return Start(
        built.generated,
        built.system,
        built.grid,
        built.state,
        forcing,
        built.offsets,
        built.water,
    )


def _number(
    built: Built, start: Start, found: Mapping[Entry, Expr], order: int
) -> dict[str, float]:
    """The largest ρ(∂G/∂(∂ⁿu)) dt / hⁿ, by axis; h as long as the cells there."""
    size = len(built.system.prognostic)
    numbers = {}
    for i, axis in enumerate(built.grid.axes):
        orders = tuple(order if j == i else 0 for j in range(len(built.grid.axes)))
        entries = {
            (e.row, e.column): start.values(c)
            for e, c in found.items()
            if e.orders == orders
        }
        if not entries:
            continue
        steps = built.grid.along(axis.name, axis.lengths())
        shape = np.broadcast_shapes(steps.shape, *(v.shape for v in entries.values()))
        steps = np.broadcast_to(steps, shape).ravel()
        matrices = np.zeros((*shape, size, size))
        for place, values in entries.items():
            matrices[(..., *place)] = values
        matrices = matrices.reshape(-1, size, size)
        finite = np.isfinite(matrices).all(axis=(1, 2))
        if finite.any():
            radius = np.abs(np.linalg.eigvals(matrices[finite])).max(axis=1)
            local = radius * built.cell.dt / steps[finite] ** order
            numbers[axis.name] = float(local.max())
    return {axis: value for axis, value in numbers.items() if value > 0}
