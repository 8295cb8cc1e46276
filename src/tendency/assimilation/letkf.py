"""The local ensemble transform Kalman filter."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from tendency.assimilation.ensemble import AbstractEnsembleFilter
from tendency.assimilation.inflation import AbstractInflation, NoInflation
from tendency.assimilation.localisation import Localisation
from tendency.assimilation.transform import (
    Departures,
    centred,
    inverse_root,
    mean_preserving_rotation,
    recombined,
    symmetric_transform,
)
from tendency.cell import Carry

Anomalies = Float[Array, "member variable"]


class LETKF(AbstractEnsembleFilter):
    """Local ensemble transform Kalman filter: an ETKF of its own at every point.

    A point sees the observations near it, whose error variances grow with distance
    (R-localisation: divided by the taper): Hunt, Kostelich & Szunyogh (2007,
    Physica D 230, 112). Observations want `positions`, and independent errors.

    Points go through in batches. At each the symmetric root is that of the smaller of
    members and observations near, applied to the anomalies without forming the
    transform, so that time and memory grow as the number of points.

    Arguments:
        batch: how many points are analysed together; memory grows with it.
        rotated: turn the members of all points together at random, as in `ETKF`.
    """

    inflation: AbstractInflation = NoInflation()
    localisation: Localisation = eqx.field(kw_only=True)
    rotated: bool = eqx.field(static=True, default=False)
    resample: bool = eqx.field(static=True, default=False)
    batch: int = eqx.field(static=True, default=256)

    def update(
        self, ensemble: Carry, departures: Departures, key: PRNGKeyArray
    ) -> tuple[Carry, None]:
        leaves, structure = jax.tree.flatten(ensemble)
        grids: list[Any] = [
            self.localisation.grid_of(x.shape[1:]) if eqx.is_inexact_array(x) else -1
            for x in leaves
        ]
        for grid in range(len(self.localisation.positions)):
            if grid not in grids:
                continue
            chosen = [i for i, g in enumerate(grids) if g == grid]
            found = self._on_grid(grid, [leaves[i] for i in chosen], departures)
            for i, leaf in zip(chosen, found, strict=True):
                leaves[i] = leaf
        if None in grids:
            everywhere = symmetric_transform(departures)
            leaves = [
                everywhere.apply(x) if g is None else x
                for x, g in zip(leaves, grids, strict=True)
            ]
        if self.rotated:
            size = len(departures.anomalies)
            leaves = recombined(leaves, mean_preserving_rotation(key, size))
        return jax.tree.unflatten(structure, leaves), None

    def _on_grid(
        self, grid: int, leaves: list[Array], departures: Departures
    ) -> list[Array]:
        """The leaves of one grid, all analysed together, point by point."""
        place = self.localisation.positions[grid]
        lists = self.localisation.lists
        points = place.size // place.shape[-1]
        N, real = len(leaves[0]), departures.anomalies.dtype
        wide = [x.astype(real).reshape(N, -1, points) for x in leaves]
        mean, anomalies = centred(jnp.concatenate(wide, 1))
        near = place.reshape(points, -1) if lists is None else lists[grid]

        def analysed(inputs):
            a, here = inputs
            if lists is None:
                assert departures.observation.positions is not None
                index, weight = self.localisation.near(
                    here, departures.observation.positions
                )
            else:
                index, weight = here
            return _at_a_point(a, rows[index], d[index], weight.astype(real))

        rows, d = departures.anomalies.T, departures.innovation
        moved = jax.lax.map(
            analysed,
            (jnp.transpose(anomalies, (2, 0, 1)), near),
            batch_size=min(self.batch, points),
        )
        new = mean + jnp.transpose(moved, (1, 2, 0))
        ends = np.cumsum([w.shape[1] for w in wide]).tolist()
        parts = jnp.split(new, ends[:-1], 1)
        return [
            part.reshape(x.shape).astype(x.dtype)
            for part, x in zip(parts, leaves, strict=True)
        ]


def _at_a_point(
    a: Anomalies,
    S: Float[Array, "near member"],
    d: Float[Array, " near"],
    weight: Float[Array, " near"],
) -> Anomalies:
    """(w + T) a with the observations near weighted: what is added to the mean."""
    near, N = S.shape
    root = jnp.sqrt(weight)
    S, d = S * root[:, None], d * root
    if near > N:  # T = (I + SᵀS)^-1/2 of the members
        root = inverse_root(jnp.eye(N, dtype=S.dtype) + S.T @ S)
        T = root @ a
        return ((d @ S) @ (root @ T) * (N - 1) ** -0.5)[None] + T
    # With C = I + S Sᵀ of the observations, T = I - Sᵀ (C + C^1/2)⁻¹ S.
    eye = jnp.eye(near, dtype=S.dtype)
    root = inverse_root(eye + S @ S.T)
    along = root @ (root @ (S @ a))  # C⁻¹ S a
    factor = jnp.linalg.cholesky(eye + root, symmetrize_input=False)
    T = a - S.T @ jax.scipy.linalg.cho_solve((factor, True), along)
    return (d @ along * (N - 1) ** -0.5)[None] + T
