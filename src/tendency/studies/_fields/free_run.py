"""How the energy of an emulator's free run compares with that of the truth."""

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from tendency.cell import AbstractCell
from tendency.forecasting import forecast, spin_up
from tendency.studies._fields.emulators import Record
from tendency.studies._fields.noise import missed, patterns
from tendency.wrappers import PatternNoise

Energies = Float[np.ndarray, " lead"]


def energies(
    record: Record,
    cell: AbstractCell,
    starts: Int[np.ndarray, " start"],
    steps: int,
    *,
    members: int = 0,
    seed: int = 0,
) -> Energies:
    """Mean over starts, members and area of half the square of the values, by lead.

    The sum over variables: of two components of velocity the kinetic energy.
    """
    fields = record.fields
    past, times = cell.spin_up_steps, jnp.asarray(fields.series.t)
    areas = jnp.asarray(fields.areas, jnp.float32)
    weights = areas * fields.shape[0] / (2 * areas.sum())

    @eqx.filter_jit
    def run(cell, states: Array, index: Array, key):
        history = jax.lax.dynamic_slice_in_dim(states, index - past, past + 1)
        carry = spin_up(cell, history)
        ends = times[index] + fields.dt * jnp.arange(1, steps + 1, dtype=times.dtype)

        def energy(key):
            told = forecast(cell, carry, steps, key=key)[1]
            values = record.preparation.decode(told, ends)
            return values.astype(jnp.float32) ** 2 @ weights

        if not members:
            return energy(None)
        return jax.lax.map(energy, jax.random.split(key, members)).mean(0)

    found = [
        run(
            cell,
            record.states,
            jnp.asarray(i, jnp.int32),
            jax.random.key(seed + int(i)),
        )
        for i in starts
    ]
    return np.mean(found, axis=0)


def true_energies(
    record: Record, starts: Int[np.ndarray, " start"], steps: int
) -> Energies:
    """The same of what came after, as far as it is known; NaN beyond."""
    fields = record.fields
    areas = fields.areas * fields.shape[0] / (2 * fields.areas.sum())
    each = np.nan_to_num(fields.series.states.astype(np.float64)) ** 2 @ areas
    index = starts[:, None] + np.arange(1, steps + 1)
    known = np.where(index < len(each), each[np.minimum(index, len(each) - 1)], np.nan)
    with np.errstate(invalid="ignore"):
        return np.where(np.isnan(known).all(0), np.nan, np.nanmean(known, axis=0))


def with_noise(
    record: Record,
    cell: AbstractCell,
    steps: int,
    *,
    share: float = 0.25,
    members: int = 4,
    starts: int = 4,
    seed: int = 0,
) -> tuple[PatternNoise, float]:
    """The cell with the errors it made at the end of the training part, drawn again.

    Their amplitude is one factor, found so that free runs from the training part end
    with the energy that this part has; it is the second that is returned.
    """
    first, stop = record.split.train
    late = stop - round(share * (stop - first))
    errors = missed(cell, record, (late, stop))
    whole = PatternNoise(cell, jnp.asarray(patterns(errors, record.fields.dt)))
    past = cell.spin_up_steps
    possible = record.fields.series.starts(past, 1, first=first, stop=stop)
    chosen = possible[:: max(1, len(possible) // starts)][:starts]
    end = slice(steps // 2, None)
    calm = energies(record, cell, chosen, steps)[end].mean()
    noisy = energies(record, whole, chosen, steps, members=members, seed=seed)[
        end
    ].mean()
    wanted = true_energies(record, np.asarray([first]), stop - first - 1).mean()
    ratio = (wanted - calm) / (noisy - calm)
    factor = float(np.sqrt(np.clip(ratio, 0, 1.5))) if np.isfinite(ratio) else 1.0
    scaled = eqx.tree_at(
        lambda c: c.patterns.value, whole, factor * whole.patterns.value
    )
    return scaled, factor


def ratios(found: Mapping[str, Energies], truth: Energies) -> dict[str, Energies]:
    """Each over the mean energy of the truth over all leads that are known."""
    mean = np.nanmean(truth)
    return {name: values / mean for name, values in found.items()}
