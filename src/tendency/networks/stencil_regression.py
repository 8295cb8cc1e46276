"""The linear part of convolutions over a grid, in closed form."""

import math
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.errors import InputError
from tendency.networks.convolutional import Convolutional
from tendency.networks.maps.layers import Edges
from tendency.windows import Windows


def stencil_regression(
    cell: Convolutional,
    windows: Windows,
    *,
    ridge: float = 1e-2,
    samples: int = 400_000,
) -> Convolutional:
    """The cell with the stencils of least squared error over one step.

    Minimises Σ w |dz - K ∗ z - U(C ∗ D z) - M A z|² / Σ w + ridge Σ |K, C, M|² σ², σ²
    the mean square of each input, over all points of the grid: closed form, from normal
    equations of (channels · lags + 1) · kernel² unknowns for K, as many for C. A ridge
    draws toward persistence.

    Arguments:
        windows: of `cell.spin_up_steps + 2` times or more, of which the first so many
            are read.
            A point counts by its weight at the last of these.
        ridge: a number without units.
        samples: as many points and times at least, as long as there are more; windows
            beyond are left out evenly.

    Raises:
        InputError: the windows are too short, or `ridge` is negative.
    """
    needed = cell.spin_up_steps + 2
    if windows.length < needed:
        raise InputError(
            f"windows of {windows.length} times were given and {needed} are "
            "needed for the regression: cut longer windows"
        )
    if not ridge >= 0:
        raise InputError(f"ridge is {ridge}, expected zero or more: change its sign")
    size = cell.points.value.shape[0]
    every = max(1, len(windows) * size // samples)
    index = jnp.arange(0, len(windows), every)
    gram, moment, weight = _normal_equations(cell, windows, index)
    gram, moment = np.asarray(gram, np.float64), np.asarray(moment, np.float64)
    weight = np.maximum(np.asarray(weight, np.float64), 1e-30)[:, None]
    gram, moment = gram / weight[..., None], moment / weight
    diagonal = np.einsum("cii->ci", gram)
    # What never varies, the mask's share of the constant among it, is left at zero.
    diagonal = np.maximum(diagonal, 1e-9 * diagonal.max(1, keepdims=True))
    penalty = max(ridge, 1e-9) * diagonal
    penalty[:, -1] = 1e-9
    gram += np.einsum("ci,ij->cij", penalty, np.eye(gram.shape[1]))
    weights = np.linalg.solve(gram, moment[..., None])[..., 0]
    dtype = cell.stencil.dtype
    stencils = _stencils(cell)
    ends = np.cumsum([0, *(s[0].size for s in stencils)])
    found = tuple(
        jnp.asarray(weights[:, i:j].reshape(s.shape), dtype)
        for s, (i, j) in zip(stencils, pairwise(ends), strict=True)
    )
    offset = jnp.asarray(weights[:, -1], dtype)
    return eqx.tree_at(lambda c: (*_stencils(c), c.offset), cell, (*found, offset))


def _stencils(cell: Any) -> tuple[Any, ...]:
    """Of those that the cell has, in the order of the unknowns."""
    every = (cell.stencil, cell.coarse_stencil, cell.around_stencil)
    return tuple(s for s in every if s is not None)


@eqx.filter_jit
def _normal_equations(cell: Convolutional, windows: Windows, index):
    channels, _, kernel, _ = cell.stencil.shape
    unknowns = sum(s[0].size for s in _stencils(cell)) + 1
    size = math.prod(cell.shape)

    def one(total, i):
        window = windows.take(i)
        states, past = window.states, cell.spin_up_steps + 1
        x = cell.inputs(states[:past])
        features = [_patches(x, kernel, cell.edges)]
        if cell.coarse_stencil is not None:
            far = _patches(cell.block_means(x), kernel, cell.edges)
            features.append(cell.interpolated(far))
        if cell.around_stencil is not None:
            features.append(cell.means_around(x))
        features.append(jnp.ones_like(x[:1]))
        features = jnp.concatenate(features).reshape(unknowns, -1).T
        target = (states[past] - states[past - 1]).astype(features.dtype)
        target = target / cell.standardisation.std.value

        def spread(values):
            values = values.astype(features.dtype)
            grid = jnp.zeros(size, features.dtype).at[cell.points.value].set(values)
            return grid.reshape(channels, -1)

        weight = jnp.ones_like(target)
        if window.weights is not None:
            weight = jnp.broadcast_to(window.weights[past], target.shape)
        w = spread(weight)
        weighted = features[None] * w[..., None]
        found = (
            jnp.einsum("cpi,pj->cij", weighted, features),
            jnp.einsum("cpi,cp->ci", weighted, spread(target)),
            w.sum(1),
        )
        return jax.tree.map(lambda a, b: a + b.astype(a.dtype), total, found), None

    start = (
        jnp.zeros((channels, unknowns, unknowns)),
        jnp.zeros((channels, unknowns)),
        jnp.zeros(channels),
    )
    return jax.lax.scan(one, start, index)[0]


def _patches(
    x: Float[Array, "in row column"], kernel: int, edges: Edges
) -> Float[Array, "inputs row column"]:
    """What a kernel sees from each point, in the order of its weights."""
    reach, size = (kernel // 2, kernel // 2), (kernel, kernel)
    x = edges.padded(x, reach, reach)
    return jax.lax.conv_general_dilated_patches(x[None], size, (1, 1), "VALID")[0]
