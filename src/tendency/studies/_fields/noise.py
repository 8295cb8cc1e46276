"""Model error in patterns: what a cell missed over one step, drawn again and again."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.cell import AbstractCell
from tendency.forecasting import spin_up
from tendency.studies._fields.emulators import Record


def missed(
    cell: AbstractCell, record: Record, part: tuple[int, int]
) -> Float[np.ndarray, "time state"]:
    """The errors of single steps from known states, all times of a part."""
    past = cell.spin_up_steps
    starts = record.fields.series.starts(past, 1, first=part[0], stop=part[1])

    @eqx.filter_jit
    def errors(cell: AbstractCell, states: Array, index: Array):
        def one(i):
            history = jax.lax.dynamic_slice_in_dim(states, i - past, past + 1)
            return states[i + 1] - cell.step(spin_up(cell, history)).state

        return jax.lax.map(one, index, batch_size=min(len(starts), 16))

    return np.asarray(errors(cell, record.states, jnp.asarray(starts)))


def patterns(
    errors: Float[np.ndarray, "time state"], dt: float
) -> Float[np.ndarray, "mode state"]:
    """P with Σ P Pᵀ dt the mean square of the errors: one pattern a time, or fewer."""
    vectors, s, right = np.linalg.svd(errors, full_matrices=False)
    del vectors
    kept = s > 1e-6 * s[0]
    scale = s[kept, None] / np.sqrt(len(errors) * dt)
    return (scale * right[kept]).astype(errors.dtype)
