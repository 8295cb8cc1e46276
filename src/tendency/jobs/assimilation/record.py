"""Floor 5: what a step of the model gets wrong, learned from states of the past.

`learned_from` makes forecasts of one step from a file of past states, which is
`[record]`, and compares. Filters of members draw such errors (`Disturbed`), the Kalman
filter and weak-constraint 4DVar take their covariance for Q, and the static methods for
the shape of B (`static_covariance`).
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.assimilation import Localisation
from tendency.cell import AbstractCell, Carry, Constant
from tendency.data.clock import as_dates, period, show
from tendency.errors import InputError
from tendency.forecasting import forecast, spin_up
from tendency.jobs.assimilation.model import Modelled
from tendency.jobs.assimilation.observed import (
    check_units,
    read,
    states_in,
    steps_of,
)
from tendency.jobs.assimilation.settings import Record

_LEAST = 10  # steps that a covariance is told from
_NUGGET = 1e-3  # of the variance, where no neighbour tells of a point: rounding
_WIDER = 2  # how much further correlations reach that all points tell together

Errors = Float[np.ndarray, "step latent"]


class Disturbed(AbstractCell):
    """The mean step of a cell and errors of given patterns: x' = step(x) + S ε.

    ε ~ N(0, I), so that S Sᵀ is the covariance of what is added.
    """

    cell: AbstractCell
    root: Constant  # S, (state, any number)

    @property
    def dt(self) -> float:
        return self.cell.dt

    @property
    def spin_up_steps(self) -> int:
        return self.cell.spin_up_steps

    def init(self, state: PyTree[Array]) -> Carry:
        return self.cell.init(state)

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        new = self.cell.step(carry, forcing)
        if key is None:
            return new
        root = self.root.value
        noise = root @ jax.random.normal(key, root.shape[1:], root.dtype)
        return Carry(new.state + noise.astype(new.state.dtype), new.memory)


@dataclass(frozen=True, eq=False)
class Learned:
    """What a record tells, in the model's own components, without the mean."""

    errors: Errors  # of one step of the model
    states: Float[np.ndarray, "time latent"]  # as anomalies


def learned_from(record: Record, modelled: Modelled) -> Learned:
    """What one step of the model gets wrong, and how states vary, from a record.

    Raises:
        InputError: the file will not do, or holds too few times in a row.
    """
    layout, cell = modelled.layout, modelled.cell
    names = [v.name for v in layout.variables]
    dataset, time = read(record, names, "record")
    check_units(dataset, layout, "record")
    dates = as_dates(dataset[time].values)
    kept = np.ones(len(dates), bool)
    if record.span is not None:
        calendar = layout.clock.calendar
        kept &= dates >= period(record.span[0], calendar)[0]
        kept &= dates < period(record.span[1], calendar)[1]
    if not kept.any():
        raise InputError(
            f"record.span asks for {' to '.join(record.span or [])} and the file runs "
            f"from {show(dates[0])} to {show(dates[-1])}: change it"
        )
    dataset = dataset.isel({time: np.flatnonzero(kept)})
    dates = dates[kept]
    states = states_in(dataset, time, layout)
    t = layout.clock.number(dates)
    steps = steps_of(dates, float(t[0]), layout.clock, "record")
    whole = np.all(np.isfinite(states), axis=1, keepdims=True)[:, 0]
    length = cell.spin_up_steps + 2
    starts = np.arange(len(steps) - length + 1)
    rows = starts[:, None] + np.arange(length)
    in_a_row = (np.diff(steps[rows], axis=1) == 1).all(1) & whole[rows].all(1)
    rows = rows[in_a_row]
    if len(rows) < _LEAST:
        raise InputError(
            f"the record holds {len(rows)} stretches of {length} steps without a "
            f"missing value, {_LEAST} or more were expected: give a longer one"
        )
    series = modelled.preparation.encode(jnp.asarray(states), jnp.asarray(t))
    forcing = jnp.asarray(t) if modelled.of_job else None

    def wrong(row: Array) -> Array:
        past = series[row[:-1]]
        here = None if forcing is None else forcing[row[:-1]]
        carry = spin_up(cell, past, here)
        end = None if forcing is None else forcing[row[-2:]]
        _, ahead = forecast(cell, carry, 1, end)
        return series[row[-1]] - ahead[-1]

    found = np.asarray(jax.jit(lambda r: jax.lax.map(wrong, r))(jnp.asarray(rows)))
    if not np.isfinite(found).all():
        raise InputError(
            "a step of the model from the states of the record is not finite: give "
            "states like those that it was fitted to"
        )
    anomalies = np.asarray(series)[whole]
    return Learned(found - found.mean(0), anomalies - anomalies.mean(0))


def root_of(rows: Errors) -> Float[np.ndarray, "latent step"]:
    """S with S Sᵀ the covariance of rows without a mean."""
    return rows.T / np.sqrt(len(rows) - 1)


def static_covariance(
    errors: Errors,
    modelled: Modelled,
    localisation: Localisation | None,
    homogeneous: float,
) -> Float[np.ndarray, "latent latent"]:
    """The covariance of errors, what chance correlates over large distances left out.

    C ∘ ρ(d / length), with the taper ρ of Gaspari and Cohn: Houtekamer & Mitchell
    (2001, Mon. Wea. Rev. 129, 123). A share of it may be `homogeneous`, the same
    everywhere on a grid as far as all its points tell together, which knows
    correlations better and regions worse; its taper is twice as long.

    Raises:
        InputError: fewer steps than components and no localisation; a homogeneous
            share off one grid.
    """
    root = root_of(errors)
    size, steps = root.shape
    if localisation is None:
        if homogeneous:
            raise InputError(
                "record.homogeneous is of a localised covariance: give "
                "method.localisation, a length"
            )
        if steps <= size:
            raise InputError(
                f"the record tells {steps} errors of {size} components, too few for "
                "their covariance: give method.localisation, or a longer record"
            )
        return root @ root.T
    found = np.zeros((size, size))
    if homogeneous < 1:
        found += (1 - homogeneous) * (root @ root.T) * tapered(localisation, 1.0)
    if homogeneous:
        found += homogeneous * _homogeneous(errors, modelled) * tapered(
            localisation, _WIDER
        )  # fmt: skip
    found[np.diag_indices(size)] *= 1 + _NUGGET
    return found


def tapered(localisation: Localisation, wider: float) -> Float[np.ndarray, "n n"]:
    """ρ between all points of the state, of a length so many times longer."""
    where = jnp.asarray(localisation.positions[0])
    longer = Localisation(
        wider * localisation.length, localisation.positions, localisation.distance
    )
    taper = jax.jit(lambda p: jax.lax.map(lambda a: longer.taper(a[None], p), p))
    return np.asarray(taper(where), float)


def _homogeneous(errors: Errors, modelled: Modelled) -> Float[np.ndarray, "n n"]:
    """The covariance by offset alone, the mean over a grid.

    Products are summed over all pairs of points so far apart and divided by the number
    of points, not of pairs: so the matrix is positive semi-definite (Bochner).
    """
    (variables, *shape), index = modelled.layout.grid()
    fields = np.zeros((len(errors), variables, *shape))
    fields.reshape(len(errors), -1)[:, index] = errors
    wide = tuple(2 * n for n in shape)
    waves = np.fft.rfft2(fields, wide)
    points = len(index) / variables
    row, column = np.divmod(index % (shape[0] * shape[1]), shape[1])
    part = index // (shape[0] * shape[1])
    down = row[:, None] - row[None]
    right = column[:, None] - column[None]
    found = np.zeros((len(index), len(index)))
    for i in range(variables):
        for j in range(variables):
            product = np.einsum("tab,tab->ab", waves[:, i], waves[:, j].conj())
            by_offset = np.fft.irfft2(product, wide) / (points * (len(errors) - 1))
            here = np.ix_(part == i, part == j)
            found[here] = by_offset[down[here], right[here]]
    return found
