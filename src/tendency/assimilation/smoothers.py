"""Smoothers: past states corrected by later observations, after a filter has run.

`RauchTungStriebel` goes back over the means and covariances of a Kalman filter;
`EnsembleSmoother` recombines the past members of an ensemble filter by the transforms
of later analyses.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from tendency.assimilation.ensemble import AbstractEnsembleFilter, EnsembleBelief
from tendency.assimilation.kalman import (
    GaussianBelief,
    KalmanFilter,
    row_of,
    state_and_spread,
)
from tendency.assimilation.method import (
    AbstractMethod,
    Cycle,
    Progress,
    Record,
    Run,
    cycled,
)
from tendency.assimilation.transform import mean_and_spread, members, recombined
from tendency.cell import AbstractCell
from tendency.errors import InputError


class Revised(eqx.Module):
    """States of times before those of a part, as observations of the part correct them.

    The oldest comes first; where there was no such time the step is -1, numbers NaN.
    """

    steps: Int[Array, " lag"]  # of the model
    mean: PyTree[Array]  # time first
    spread: PyTree[Array]


class SmootherBelief(eqx.Module):
    """The belief of a filter, and the last `lag` times that are still corrected."""

    filtered: EnsembleBelief
    revised: Revised | None = None
    states: PyTree[Array] = None  # of the members after each analysis, time first
    matrices: Float[Array, "lag member member"] | None = None  # of each analysis
    steps: Int[Array, " lag"] | None = None

    @property
    def ensemble(self) -> Any:
        """The members at the last time."""
        return self.filtered.ensemble


class EnsembleSmoother(AbstractMethod):
    """Ensemble Kalman smoother (EnKS): what corrects the present corrects the past.

    Each analysis is a recombination of the members, E' = M E, and it holds for their
    past as well: Evensen & van Leeuwen (2000, Mon. Wea. Rev. 128, 1852). The ensemble
    at a time is multiplied by the product of the transforms of the analyses
    that came after it, all of them or those of the next `lag` times; a pass backwards
    makes the cost linear in the number of times. What later analyses inflate is the
    present alone; rotations turn the past along.

    The memory holds the ensemble of all times. The past is linked to the present by the
    correlations within the ensemble, so that over many times a small or nonlinear
    ensemble is better with a `lag`. With one, an assimilation in parts goes on
    correcting the last times of the part before: `final.belief.revised` has them.

    Arguments:
        filter: any ensemble filter whose analysis is a transform of the members.
        lag: how many later times correct a state, `None` for all.

    Raises:
        InputError: a lag below one, or a filter whose analysis is no transform.
    """

    filter: AbstractEnsembleFilter
    lag: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if self.lag is not None and self.lag < 1:
            raise InputError(
                f"the lag of the smoother is {self.lag}, at least 1 time of "
                "observations was expected; None is for all of them"
            )

    def begin(self, cell: AbstractCell, prior: Any) -> SmootherBelief:
        filtered = self.filter.begin(cell, prior)
        if self.lag is None:
            return SmootherBelief(filtered)
        lag, state = self.lag, filtered.ensemble.state
        N = members(filtered.ensemble)

        def none(x):
            return jnp.full((lag, *x.shape), jnp.nan, x.dtype)

        states = jax.tree.map(none, state)
        steps = jnp.full((lag,), -1, jnp.int32)
        revised = Revised(steps, *jax.vmap(mean_and_spread)(states))
        S = jax.tree.leaves(state)[0]
        eye = jnp.broadcast_to(jnp.eye(N, dtype=S.dtype), (lag, N, N))
        return SmootherBelief(filtered, revised, states, eye, steps)

    def state(self, belief: SmootherBelief) -> PyTree[Array]:
        return self.filter.state(belief.filtered)

    def run(
        self, cell: AbstractCell, start: Progress, run: Run
    ) -> tuple[Progress, Record]:
        def keep(cycle: Cycle):
            if cycle.diagnostics.transform is None:
                raise InputError(
                    f"{type(self.filter).__name__} corrects each point by its own "
                    "weights and EnsembleSmoother needs one transform of the members: "
                    "choose a global ensemble filter"
                )
            state = cycle.analysis.ensemble.state
            return state, matrix_of(cycle), run.save(cycle)

        kept = dataclasses.replace(run, save=keep)
        before, lag = start.belief, self.lag
        begin = Progress(before.filtered, start.step)
        end, record = cycled(self.filter, cell, begin, kept)
        states, matrices, saved = record.saved
        if lag is not None:
            states, matrices = jax.tree.map(
                lambda old, new: jnp.concatenate([old, new.astype(old.dtype)]),
                (before.states, before.matrices),
                (states, matrices),
            )

        def smooth(states, product):
            return mean_and_spread(recombined(states, product))

        pairs = states, products_after(matrices, lag)
        smoothed = jax.lax.map(lambda pair: smooth(*pair), pairs)
        belief = SmootherBelief(end.belief)
        if lag is not None:
            steps = (start.step + jnp.cumsum(run.gaps)).astype(jnp.int32)
            steps = jnp.concatenate([before.steps, steps])
            past, smoothed = (
                jax.tree.map(lambda a, s=s: a[s], smoothed)
                for s in (slice(None, lag), slice(lag, None))
            )
            belief = SmootherBelief(
                end.belief,
                Revised(before.steps, *past),
                *jax.tree.map(lambda a: a[-lag:], (states, matrices, steps)),
            )
        end = Progress(belief, end.step)
        return end, dataclasses.replace(record, saved=saved, smoothed=smoothed)


def matrix_of(cycle: Cycle) -> Float[Array, "member member"]:
    """M of the analysis E' = M E of a global ensemble filter; I where nothing was seen.

    With it, and the ensembles of the analyses, `products_after` smooths what was
    assimilated in parts.
    """
    transform = cycle.diagnostics.transform
    eye = jnp.eye(len(transform.mean), dtype=transform.mean.dtype)
    return jnp.where(jnp.any(cycle.observation.seen), transform.matrix(), eye)


def products_after(
    matrices: Float[Array, "time member member"], lag: int | None
) -> Float[Array, "time member member"]:
    """At each time the product of the next `lag` matrices, the latest to the left."""
    eye = jnp.eye(matrices.shape[-1], dtype=matrices.dtype)
    if lag is None:

        def back(product, matrix):
            return product @ matrix, product

        return jax.lax.scan(back, eye, matrices, reverse=True)[1]
    later = jnp.concatenate([matrices, jnp.broadcast_to(eye, (lag, *eye.shape))])

    def add(products, i):
        ahead = jax.lax.dynamic_slice_in_dim(later, i, len(matrices))
        return ahead @ products, None

    start = jnp.broadcast_to(eye, matrices.shape)
    return jax.lax.scan(add, start, 1 + jnp.arange(lag))[0]


class RauchTungStriebel(AbstractMethod):
    """Kalman filter forwards, then the smoother of Rauch, Tung and Striebel backwards.

    G = Pᵃ Mᵀ (Pᵇ)⁻¹, x + G (xˢ - xᵇ), P + G (Pˢ - Pᵇ) Gᵀ, with the background of the
    next time: Rauch, Tung & Striebel (1965, AIAA J. 3, 1445). Where the covariance of
    the background is singular its pseudo-inverse stands.
    """

    filter: KalmanFilter = KalmanFilter()

    def begin(self, cell: AbstractCell, prior: Any) -> GaussianBelief:
        return self.filter.begin(cell, prior)

    def state(self, belief: GaussianBelief) -> PyTree[Array]:
        return self.filter.state(belief)

    def run(
        self, cell: AbstractCell, start: Progress, run: Run
    ) -> tuple[Progress, Record]:
        def keep(cycle: Cycle):
            return cycle.background, cycle.analysis, run.save(cycle)

        kept = dataclasses.replace(run, save=keep)
        end, record = cycled(self.filter, cell, start, kept)
        background, analysis, saved = record.saved
        rows = jax.vmap(lambda carry: row_of(carry)[0])
        backgrounds, analyses = rows(background.mean), rows(analysis.mean)

        def back(later, now):
            smooth, covariance, predicted, prediction, M = later
            row, P, *background = now
            G = P @ M.T @ jnp.linalg.pinv(prediction, hermitian=True)
            row = row + G @ (smooth - predicted)
            P = P + G @ (covariance - prediction) @ G.T
            return (row, P, *background), (row, P)

        now = (
            analyses,
            analysis.covariance,
            backgrounds,
            background.covariance,
            background.transition,
        )
        last, before = (
            jax.tree.map(lambda a, s=s: a[s], now) for s in (-1, slice(None, -1))
        )
        _, smoothed = jax.lax.scan(back, last, before, reverse=True)
        smoothed = jax.tree.map(
            lambda a, b: jnp.concatenate([a, b[None]]), smoothed, last[:2]
        )

        def told(carry, row, covariance):
            return state_and_spread(row_of(carry)[1](row), covariance)

        smoothed = jax.vmap(told)(analysis.mean, *smoothed)
        return end, dataclasses.replace(record, saved=saved, smoothed=smoothed)
