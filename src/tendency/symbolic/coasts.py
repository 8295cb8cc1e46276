"""Floor 1: land within the domain, whose coasts nothing crosses.

A face, or a corner, is open where all cells that it touches are water. With differences
of order 2:

- a slope across a face that is not open is zero, so that a field has its mirror image
  beyond the coast; a centred slope is the mean of those on both sides, and a second
  derivative the difference of them;
- what is differentiated as a whole, d_x(u*T), is a flux, zero through closed faces;
- means onto faces and corners are of water alone;
- a velocity that stands on the faces is zero on closed ones. Along the coast it has no
  stress (free-slip), or vanishes on it (no-slip), half a step away.

The tendency on land and on closed faces is zero. A field of an elliptic equation has no
slope at the coasts either: that is a pressure, and no stream function, whose coasts
would have to be stream lines. Arakawa & Lamb (1977, Methods Comput.
Phys. 17, 173) for the staggering; on what the steps of such a coast do to a current see
Adcroft & Marshall (1998, Tellus A 50, 95).
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Bool, Float, Int
from scipy import ndimage
from sympy.core.function import AppliedUndef

from tendency.errors import InputError
from tendency.grid import HALF, Grid
from tendency.symbolic.lowering import Place
from tendency.symbolic.program import Expression
from tendency.symbolic.sums import scaled
from tendency.symbolic.system import Expr

if TYPE_CHECKING:
    from tendency.symbolic.differences import Stencils

Masks = dict[str, Float[np.ndarray, "..."]]  # as numbers, by name
Mask = Bool[np.ndarray, "..."]
Fractions = Sequence[Fraction]


class Coast(NamedTuple):
    """Where there is water, and how it flows along the land."""

    water: ArrayLike  # of truth values, on the cells
    slip: Literal["free", "no"] = "free"  # of velocities that stand on the faces


def water_of(coast: Coast, grid: Grid) -> Mask:
    """The mask on the cells, checked.

    Raises:
        InputError: another shape or type, no water, or an unknown slip.
    """
    water = np.asarray(coast.water)
    if water.dtype != bool:
        raise InputError(
            f"the water of the coast is of type {water.dtype}: truth values were "
            "expected, such as depth > 0"
        )
    if water.shape != grid.shape:
        raise InputError(
            f"the water of the coast has the shape {water.shape}, {grid.shape} was "
            "expected, that of the cells"
        )
    if not water.any():
        raise InputError("the coast leaves no water: one cell at least was expected")
    if coast.slip not in ("free", "no"):
        raise InputError(f"the slip is {coast.slip!r}, free or no was expected")
    return water


def open_at(
    water: Mask,
    grid: Grid,
    offsets: Fractions,
    reach: Sequence[tuple[int, int]] | None = None,
    anyone: Sequence[bool] | None = None,
) -> Mask:
    """Where all cells that a place of the cell touches are water.

    Arguments:
        water: on the cells.
        offsets: the place, half a step along the axes on whose faces it is.
        reach: points before and after the field, by axis; beyond the ends of a bounded
            axis the mask goes on as it is there.
        anyone: the axes along which one cell of water suffices.
    """
    found = np.asarray(water, bool)
    for i, axis in enumerate(grid.axes):
        before, after = (0, 0) if reach is None else reach[i]
        half = offsets[i] == HALF
        indices = np.arange(-before, axis.size(offsets[i]) + after + half)
        wrapped = indices % axis.points
        kept = wrapped if axis.periodic else np.clip(indices, 0, axis.points - 1)
        found = np.take(found, kept, axis=i)
        if half:
            count = found.shape[i]
            low = np.take(found, range(count - 1), axis=i)
            high = np.take(found, range(1, count), axis=i)
            found = low | high if anyone is not None and anyone[i] else low & high
    return found


def connected(water: Mask, grid: Grid) -> tuple[Int[np.ndarray, "..."], int]:
    """The pieces of water that hang together across faces, from 1, and their number."""
    labelled: Any = ndimage.label(water)
    pieces = np.asarray(labelled[0])
    for i, axis in enumerate(grid.axes):
        if not axis.periodic:
            continue
        ends = np.stack([np.take(pieces, end, axis=i).ravel() for end in (0, -1)])
        for j in range(ends.shape[1]):
            one, other = sorted(ends[:, j])
            if one and one != other:
                pieces[pieces == other] = one
                ends[ends == other] = one
    names = np.unique(pieces[pieces > 0])
    for new, old in enumerate(names, start=1):
        pieces[pieces == old] = new
    return pieces, len(names)


class Shores:
    """What a coast makes of the stencils of a lowering."""

    def __init__(self, lowering: "Stencils", water: Mask, no_slip: bool):
        self.lowering, self.water, self.no_slip = lowering, water, no_slip
        self.arrays: Masks = {}
        self._names: dict[tuple[Any, bytes], str] = {}
        first = np.argwhere(water)[0]
        self._somewhere = tuple((int(j), int(j) + 1) for j in first)

    def filled(self, field: Expr, name: str) -> str:
        """A field whose values on land can do no harm: those of a cell of water.

        On closed faces it is zero.

        Arguments:
            name: of its values.
        """
        offsets = self.lowering.offset(field)
        if not self._everywhere(field) or self.water.all():
            return name
        other = 0.0 if any(offsets) else ("window", name, self._somewhere)
        mask = self.mask(Place(offsets, ((0, 0),) * len(offsets)))
        return self.lowering.assign(f"{name}_", ("select", mask, name, other))

    def shares(self) -> str | None:
        """The name of the weights of a mean over the water."""
        if self.water.all():
            return None
        return self._named("share", self.water / self.water.sum())

    def tendency(self, value: Expression, place: Place) -> Expression:
        """Zero on land and on closed faces."""
        if self.water.all():
            return value
        return ("select", self.mask(place), value, 0.0)

    def stencil(
        self,
        operand: Expr,
        i: int,
        times: int,
        place: Place,
        source: Fraction,
        at: Callable[[int], Expression],
    ) -> Expression:
        """A derivative along axis i, or a mean; `at` gives the shifted operand.

        Raises:
            InputError: the derivative is of a higher order than 2.
        """
        if times > 2:
            raise InputError(
                f"the equations hold a derivative of order {times} of {operand}, and "
                "within coasts they are of order 1 or 2: write it as two"
            )
        one, here = Fraction(1), place.offsets[i]
        step = [self.lowering.steps[i]] * times
        velocity = self._stands_on_faces(operand, i)
        if source != here:
            low, high = (at(0), at(1)) if source == 0 else (at(-1), at(0))
            if times == 0:
                return self._mean(operand, i, place, source, low, high, velocity)
            if source == 0:
                slope = ("-", high, low)
                slope = self._times(self._slope(operand, place, velocity), slope)
                return scaled(slope, one, step)
            if not velocity:
                below, above = (self._shifted(place, i, HALF, k) for k in (-1, 0))
                low = self._times(self._passes(below), low)
                high = self._times(self._passes(above), high)
            return scaled(("-", high, low), one, step)
        low, middle, high = at(-1), at(0), at(1)
        if here == HALF:
            if times == 1:
                return scaled(("-", high, low), one / 2, step)
            total = ("-", ("+", high, low), ("*", 2, middle))
            return scaled(total, one, step)
        faces = [self._shifted(place, i, HALF, k) for k in (-1, 0)]
        if times == 1 and not isinstance(operand, AppliedUndef):
            below = self._times(self._passes(faces[0]), ("+", middle, low))
            above = self._times(self._passes(faces[1]), ("+", high, middle))
            return scaled(("-", above, below), one / 2, step)
        masks = [self._slope(operand, face, velocity) for face in faces]
        below = self._times(masks[0], ("-", middle, low))
        above = self._times(masks[1], ("-", high, middle))
        sign, factor = ("+", one / 2) if times == 1 else ("-", one)
        return scaled((sign, above, below), factor, step)

    def _stands_on_faces(self, operand: Expr, i: int) -> bool:
        return isinstance(operand, AppliedUndef) and bool(
            self.lowering.offset(operand)[i]
        )

    def applies(self, operand: Expr) -> bool:
        """Not to a field that is the same along an axis: it knows no coasts."""
        return not isinstance(operand, AppliedUndef) or self._everywhere(operand)

    def _everywhere(self, field: Expr) -> bool:
        return {*self.lowering.axis} <= {*field.args}

    def _shifted(self, place: Place, i: int, offset: Fraction, by: int) -> Place:
        """What stands `by` points on from the points of a place, along axis i."""
        axis, (low, high) = self.lowering.grid.axes[i], place.reach[i]
        more = axis.size(place.offsets[i]) - axis.size(offset)
        return place.moved(i, offset, (low - by, high + by + more))

    def _times(self, mask: str | None, value: Expression) -> Expression:
        return value if mask is None else ("*", mask, value)

    def _mean(
        self, operand, i, place: Place, source, low, high, velocity
    ) -> Expression:
        """Onto a face or a corner, of water alone."""
        half = ("/", ("+", high, low), 2)
        if velocity:
            return half
        own = self.lowering.offset(operand)
        if self.no_slip and any(own):
            mask = self.mask(place)
            return half if mask is None else ("*", mask, half)
        anyone = [not o for o in own]
        wet = [
            open_at(self.water, self.lowering.grid, *beside, anyone).astype(float)
            for beside in (self._shifted(place, i, source, k) for k in (0, 1))
        ]
        lean = (wet[1] - wet[0]) / 2
        if not lean.any():
            return half
        return ("+", half, ("*", self._named("lean", lean), ("-", high, low)))

    def _slope(self, operand: Expr, place: Place, velocity: bool) -> str | None:
        """The factor of a difference across the faces of a place."""
        own = (
            self.lowering.offset(operand)
            if isinstance(operand, AppliedUndef)
            else self.lowering.cells
        )
        if velocity or not (self.no_slip and any(own)):
            return self.mask(place)
        open_faces = self._open(place).astype(float)
        beside = open_at(
            self.water,
            self.lowering.grid,
            place.offsets,
            place.reach,
            [o != p for o, p in zip(own, place.offsets, strict=True)],
        )
        factor = 2.0 * beside - open_faces  # the coast is half a step away
        return None if (factor == 1).all() else self._named("no_slip", factor)

    def _passes(self, face: Place) -> str | None:
        """Whether a flux does; a stress at a corner does, under no-slip."""
        corner = sum(map(bool, face.offsets)) > 1
        return None if self.no_slip and corner else self.mask(face)

    def _open(self, place: Place) -> Mask:
        return open_at(self.water, self.lowering.grid, place.offsets, place.reach)

    def mask(self, place: Place) -> str | None:
        """The name of 1 where a place is in the water; None where all are."""
        mask = self._open(place)
        if mask.all():
            return None
        corner = [
            str(c) for c, o in zip(self.lowering.axis, place.offsets, strict=True) if o
        ]
        wish = "_".join(["open", *corner]) if corner else "water"
        return self._named(wish, mask.astype(float))

    def _named(self, wish: str, values: Float[np.ndarray, "..."]) -> str:
        key = values.shape, values.tobytes()
        if key not in self._names:
            self._names[key] = self.lowering.new(wish)
            self.arrays[self._names[key]] = values
        return self._names[key]
