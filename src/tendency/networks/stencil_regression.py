"""The linear part of convolutions over a grid, in closed form."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.errors import InputError
from tendency.networks.convolutional import Convolutional
from tendency.windows import Windows


def stencil_regression(
    cell: Convolutional,
    windows: Windows,
    *,
    ridge: float = 1e-2,
    samples: int = 400_000,
) -> Convolutional:
    """The cell with the stencils of least squared error over one step.

    Minimises Σ w |dz - K ∗ z - U(C ∗ D z)|² / Σ w + ridge Σ |K, C|² σ², σ² the mean
    square of each input, over all points of the grid: closed form, from normal
    equations of (channels · lags + 1) · kernel² unknowns a stencil. A ridge draws
    toward persistence.

    Arguments:
        windows: of `cell.lags + 1` times or more, of which the first so many are read.
            A point counts by its weight at the last of these.
        ridge: a number without units.
        samples: as many points and times at least, as long as there are more; windows
            beyond are left out evenly.

    Raises:
        InputError: the windows are too short, or `ridge` is negative.
    """
    if windows.length < cell.lags + 1:
        raise InputError(
            f"windows of {windows.length} times were given and {cell.lags + 1} are "
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
    parts = np.split(weights[:, :-1], 1 if cell.coarse_stencil is None else 2, axis=1)
    found = [jnp.asarray(p.reshape(cell.stencil.shape), dtype) for p in parts]
    offset = jnp.asarray(weights[:, -1], dtype)
    cell = eqx.tree_at(lambda c: (c.stencil, c.offset), cell, (found[0], offset))
    if cell.coarse_stencil is None:
        return cell
    return eqx.tree_at(lambda c: c.coarse_stencil, cell, found[1])


@eqx.filter_jit
def _normal_equations(cell: Convolutional, windows: Windows, index):
    channels, reads, kernel, _ = cell.stencil.shape
    unknowns = (2 if cell.coarse else 1) * reads * kernel**2 + 1
    size = math.prod(cell.shape)

    def one(total, i):
        window = windows.take(i)
        states, lags = window.states, cell.lags
        x = cell.inputs(states[:lags])
        features = [_patches(x, kernel)]
        if cell.coarse:
            far = _patches(cell.block_means(x), kernel)
            features.append(cell.interpolated(far))
        features.append(jnp.ones_like(x[:1]))
        features = jnp.concatenate(features).reshape(unknowns, -1).T
        target = (states[lags] - states[lags - 1]).astype(features.dtype)
        target = target / cell.standardisation.std.value

        def spread(values):
            values = values.astype(features.dtype)
            grid = jnp.zeros(size, features.dtype).at[cell.points.value].set(values)
            return grid.reshape(channels, -1)

        weight = jnp.ones_like(target)
        if window.weights is not None:
            weight = jnp.broadcast_to(window.weights[lags], target.shape)
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
    x: Float[Array, "in row column"], kernel: int
) -> Float[Array, "inputs row column"]:
    """What a kernel sees from each point, in the order of its weights."""
    size = (kernel, kernel)
    return jax.lax.conv_general_dilated_patches(x[None], size, (1, 1), "SAME")[0]
