"""Floor 5: what may go wrong with equations at their initial state, told before a run.

Ill-posed equations, whose waves grow without bound the shorter they are, as under a
negative diffusion; divisions by what is zero or changes its sign, and roots and
logarithms of what is negative.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Complex, Float

from tendency.equations.expressions import Expr
from tendency.equations.start import Start
from tendency.errors import InputError
from tendency.symbolic.linear import Entry, coefficients
from tendency.symbolic.lowering import defined
from tendency.symbolic.written import written

_SHORT, _SHORTER = 100.0, 400.0  # wavenumbers, in the highest of the grid
_RISES = 3.0  # of the growth rate from one to the other: nearly as the wavenumber
_REAL = 1e-6  # of the largest eigenvalue: less is rounding
_POINTS = 4096  # at which the eigenvalues of several fields are found


def doubts(start: Start) -> list[str]:
    """Sentences about what may go wrong, none where all is well.

    Raises:
        InputError: the tendency is not finite at the initial state.
    """
    sentence = ill_posed(start)
    return [*([] if sentence is None else [sentence]), *singular(start)]


def ill_posed(start: Start) -> str | None:
    """A sentence, if short waves grow the faster the shorter they are.

    Petrovsky's condition: the real parts of the eigenvalues of the symbol are bounded.
    It is asked with the coefficients of each point, along the axes and diagonals, of
    wavenumbers far beyond the grid, where the highest derivatives decide. `None` too
    where it cannot be said.
    """
    try:
        found = {e: start.values(c) for e, c in coefficients(start.system).items()}
    except InputError:
        return None  # a function without a derivative
    if not any(sum(entry.orders) for entry in found):
        return None
    cells = _cells(start, found)
    on = {e: start.on_water(v)[cells] for e, v in found.items()}
    highest = [np.pi / axis.spacing for axis in start.grid.axes]
    worst = _Growth(0.0, 0, 0.0, ())
    for direction in _directions(len(highest)):
        waves = [d * k for d, k in zip(direction, highest, strict=True)]
        before, _ = _growth(start, on, [_SHORT * k for k in waves])
        after, size = _growth(start, on, [_SHORTER * k for k in waves])
        with np.errstate(all="ignore"):
            bad = (after > _REAL * size) & (after > _RISES * np.maximum(before, 0))
        if bad.any():
            i = int(np.argmax(np.where(bad, after, -np.inf)))
            power = np.log(after[i] / before[i]) / np.log(_SHORTER / _SHORT)
            power = power if before[i] > 0 else np.inf
            if after[i] > worst.rate:
                worst = _Growth(float(after[i]), int(cells[i]), power, waves)
    return worst.said(start) if worst.waves else None


class _Growth(NamedTuple):
    """The fastest growth found."""

    rate: float
    cell: int
    power: float  # of the wavenumber
    waves: tuple[float, ...] | list[float]  # the shortest of the grid

    def said(self, start: Start) -> str:
        along = [
            a.name for a, k in zip(start.grid.axes, self.waves, strict=True) if k != 0
        ]
        square = _SHORTER**2 * sum(k * k for k in self.waves)
        rise = f"as the power {self.power:.2g} of the wavenumber"
        if abs(self.power - 2) < 0.05:
            rise = f"as under a diffusion of {-self.rate / square:.3g}"
        return (
            "the equations are ill-posed at the initial state, waves along "
            f"{' and '.join(along)} grow the faster the shorter they are"
            f"{start.place(self.cell)}, {rise}: check the sign of the highest "
            "derivatives, since no step and no grid would converge"
        )


def singular(start: Start) -> list[str]:
    """Sentences on divisions, roots and logarithms that may be met where they fail.

    Raises:
        InputError: the tendency is not finite at the initial state.
    """
    places = [*_places(start)]
    bad = _not_finite(start)
    found = {}
    for field, what, node, forbidden in places:
        try:
            values = start.on_water(start.values(node))
        except InputError:
            continue  # the slope of a flux
        where = f"the equation of {field} {what} {written(node)}"
        wrong = np.flatnonzero(~forbidden.allowed(values))
        if len(wrong):
            said = (
                f"{where}, which is {values[wrong[0]]:.4g}{start.place(int(wrong[0]))} "
                f"of the initial state ({len(wrong)} of {values.size} points)"
            )
            if bad is not None:
                raise InputError(f"{said}: {forbidden.advice}")
            found[said] = None
        elif forbidden.crossing and values.min() < 0 < values.max():
            found[
                f"{where}, which goes from {values.min():.4g} to {values.max():.4g} "
                "at the initial state: it may be met at 0 between the points or later"
            ] = None
    if bad is not None:
        raise InputError(bad)
    return [*found]


class _Forbidden(NamedTuple):
    """What a value must not be."""

    negative: bool
    zero: bool
    advice: str

    @property
    def crossing(self) -> bool:
        return self.zero and not self.negative

    def allowed(self, values):
        fine = np.isfinite(values)
        fine &= ~(self.negative & (values < 0)) & ~(self.zero & (values == 0))
        return fine


_DIVISION = _Forbidden(False, True, "start elsewhere, or keep it off 0 by max")
_ROOT = _Forbidden(True, False, "start elsewhere, or keep it above 0 by max")
_ROOT_BELOW = _ROOT._replace(zero=True)


def _places(start: Start) -> Iterator[tuple[str, str, Expr, _Forbidden]]:
    """By equation: what is done to what."""
    known = defined(start.system)
    sides = [(f.func.__name__, e) for f, e in start.system.prognostic.items()]
    for name, side in sides:
        seen = set()
        for node in sympy.preorder_traversal(side.xreplace(known)):
            place = _place(node)
            if place is not None and place not in seen:
                seen.add(place)
                yield name, *place


def _place(node: Expr) -> tuple[str, Expr, _Forbidden] | None:
    if isinstance(node, sympy.log) and not node.args[0].is_number:
        return "takes the logarithm of", node.args[0], _ROOT_BELOW
    if not isinstance(node, sympy.Pow) or node.args[0].is_number:
        return None
    base, power = node.args
    below = bool(power.is_negative)
    if power.is_number and not power.is_integer:
        what = "divides by a root of" if below else "takes a root of"
        return what, base, _ROOT_BELOW if below else _ROOT
    return ("divides by", base, _DIVISION) if below else None


def _not_finite(start: Start) -> str | None:
    """A sentence, if the tendency is not finite in the water."""
    state = {k: jnp.asarray(v) for k, v in start.state.items()}
    forcing = {k: jnp.asarray(v) for k, v in start.forcing.items()}
    found = jax.jit(start.tendency.__call__)(state, forcing or None)
    for name, values in found.items():
        values = np.asarray(values)
        if start.water is not None and values.shape == start.water.shape:
            values = np.where(start.water, values, 0.0)
        bad = int((~np.isfinite(values)).sum())
        if bad:
            return (
                f"the tendency of {name} is not finite at {bad} of {values.size} "
                f"points of the initial state: {_why(start)}"
            )
    return None


def _why(start: Start) -> str:
    if start.system.unknown:
        names = ", ".join(f.func.__name__ for f in start.system.unknown)
        return (
            f"the iterations for {names} may not arrive (is the equation definite?), "
            "or a division, root or logarithm has no value"
        )
    return "check its divisions, roots and logarithms"


def _cells(start: Start, found: Mapping[Entry, np.ndarray]) -> np.ndarray:
    """Cells of water to look at: all, but for several fields on a large grid."""
    count = start.on_water(np.zeros(())).size
    alone = len({entry.column for entry in found}) == 1
    same = all(values.size == 1 for values in found.values())
    if same:
        return np.zeros(1, int)
    stride = 1 if alone else -(-count // _POINTS)
    return np.arange(0, count, stride)


def _directions(axes: int) -> Iterator[tuple[int, ...]]:
    """Along the axes and the diagonals, each once."""
    for direction in itertools.product((0, 1, -1), repeat=axes):
        first = next((d for d in direction if d), 0)
        if first > 0:
            yield direction


def _growth(
    start: Start, on: Mapping[Entry, np.ndarray], waves: list[float]
) -> tuple[Float[np.ndarray, " cells"], Float[np.ndarray, " cells"]]:
    """The largest real part and modulus of the eigenvalues of the symbol."""
    symbol = _symbol(start, on, waves)
    finite = np.isfinite(symbol).all(axis=(1, 2))
    values = np.zeros(symbol.shape[:2], complex)
    values[finite] = np.linalg.eigvals(symbol[finite])
    return np.real(values).max(1), np.abs(values).max(1)


def _symbol(
    start: Start, on: Mapping[Entry, np.ndarray], waves: list[float]
) -> Complex[np.ndarray, "cells n n"]:
    """Of the tendencies, the fields of elliptic equations eliminated."""
    n = len(start.system.prognostic)
    size = n + len(start.system.unknown)
    count = len(next(iter(on.values())))
    full = np.zeros((count, size, size), complex)
    for entry, values in on.items():
        factor = 1.0 + 0j
        for wave, order in zip(waves, entry.orders, strict=True):
            factor *= (1j * wave) ** order
        with np.errstate(all="ignore"):  # who takes the eigenvalues leaves these out
            full[:, entry.row, entry.column] += values * factor
    if size == n:
        return full
    try:
        solved = np.linalg.solve(full[:, n:, n:], full[:, n:, :n])
    except np.linalg.LinAlgError:  # it says nothing of waves in this direction
        return np.zeros((count, n, n), complex)
    return full[:, :n, :n] - full[:, :n, n:] @ solved
