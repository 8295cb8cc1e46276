"""Both maps from what is measured: on tendencies first, then through roll-outs."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from tendency.errors import InputError
from tendency.fitting import Fitted, LeastSquares, RolloutLoss, fit, identify
from tendency.integrate import Integrated
from tendency.studies.heat_source.setting import (
    Maps,
    Measured,
    Size,
    plate,
    true_maps,
    unknown,
)
from tendency.symbolic.modes import Modes
from tendency.windows import Windows

_WAVES, _DEGREE = 9, 4  # of smoothed temperatures: in space, in time

Fields = Float[np.ndarray, "time x y"]


class Recovered(NamedTuple):
    """The maps, and how well they are known."""

    fitted: Fitted
    smoothed: Maps | None  # by tendencies of smoothed fields

    @property
    def maps(self) -> Maps:
        """Through roll-outs."""
        return maps_of(self.fitted.cell)

    @property
    def errors(self) -> Maps:
        """Standard errors of the maps."""
        return {
            name: self.fitted.standard_error(
                lambda cell, name=name: cell.tendency.unknowns[name].on_cells
            )
            for name in self.maps
        }


def recover(seen: Measured, size: Size) -> Recovered:
    """Levenberg-Marquardt through roll-outs whose starts are unknown too.

    It begins with what the tendencies of smoothed fields give, where they give some.
    """
    smooth = smoothed(seen.seen, size)
    cell = by_tendencies(smooth, size)
    weights = {"T": np.isfinite(seen.seen).astype(float)}
    windows = Windows.of(
        {"T": seen.seen}, size.times, weights=weights, segments=_runs(size)
    )
    fitted = fit(
        unknown(size) if cell is None else cell,
        windows,
        LeastSquares(max_steps=20, tolerance=1e-5),
        loss=RolloutLoss(),
        key=jax.random.key(0),  # nothing is random
        free_initial_states={"T": jnp.asarray(smooth[:: size.times])},
    )
    return Recovered(fitted, None if cell is None else maps_of(cell))


def by_tendencies(fields: Fields, size: Size) -> Integrated | None:
    """From single steps, if they tell the maps."""
    try:
        return identify(unknown(size), {"T": fields}, segments=_runs(size)).model
    except InputError:
        return None


def smoothed(seen: Fields, size: Size) -> Fields:
    """Waves in space times polynomials in time, by least squares, run by run."""
    count = min(_WAVES, size.points // 4 * 2 + 1)  # an odd number
    axes = plate(size.points).axes
    waves = Modes((count, count)).on(axes, (size.points,) * 2, "T").basis.value
    waves = np.asarray(waves).reshape(count**2, -1)
    times = np.linspace(-1, 1, size.times)
    powers = np.polynomial.legendre.legvander(times, _DEGREE)
    basis = np.einsum("td,mc->tcdm", powers, waves)
    basis = basis.reshape(size.times * size.points**2, -1)
    found = []
    for values in seen.reshape(size.runs, -1):
        there = np.isfinite(values)
        found.append(basis @ np.linalg.lstsq(basis[there], values[there])[0])
    return np.concatenate(found).reshape(seen.shape)


def maps_of(cell: Any) -> Maps:
    """Those of an equation."""
    found = cell.tendency.unknowns.items()
    return {name: np.asarray(one.on_cells) for name, one in found}


def wrong(maps: Maps | None, size: Size) -> dict[str, float]:
    """How far maps are from the true ones, in root mean square, of their size."""
    true = true_maps(plate(size.points))
    if maps is None:
        return dict.fromkeys(true, float("nan"))
    return {
        name: float(np.linalg.norm(maps[name] - one) / np.linalg.norm(one))
        for name, one in true.items()
    }


def _runs(size: Size) -> list[int]:
    return [size.times] * size.runs
