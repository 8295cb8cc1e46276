"""What strong- and weak-constraint 4DVar share: the cost of a window, its minimum.

A window is seen as a function from controls to a forecast; all else follows from it and
from its derivatives.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tendency.assimilation.background import (
    Estimate,
    size_of,
    spread_like,
)
from tendency.assimilation.interpolation import is_lost, started
from tendency.assimilation.judged import judged, unknown_like
from tendency.assimilation.kalman import check_gaussian, row_of
from tendency.assimilation.minimise import (
    Minimiser,
    Posterior,
    evidence,
    is_dense,
    linearised,
    minimum,
)
from tendency.assimilation.sliding import Reach, Solved, Window
from tendency.cell import Carry
from tendency.observing import AbstractCovariance

Control = Float[Array, " control"]


class Launch(eqx.Module):
    """Where a window begins: a carry, and the root of the covariance of its errors."""

    carry: Carry
    root: Float[Array, "m m"] | None = None  # B^1/2, where B is not static


class Problem(eqx.Module):
    """A window, and the forecast through it that controls give."""

    window: Window
    forecast: Callable[[Control], Carry]
    positions: Int[Array, " used"]  # of the observations that count
    weight: float

    def equivalents(self, carries: Carry) -> Float[Array, "used obs"]:
        """Those of the observations that count, of a forecast through the window."""

        def one(position):
            state = jax.tree.map(lambda a: a[position + 1], carries.state)
            return self.window.observation(position).observe(state)

        return jax.lax.map(one, self.positions)

    def departures(
        self, equivalents: Float[Array, "used obs"]
    ) -> Float[Array, "used obs"]:
        def one(inputs):
            position, row = inputs
            return self.window.observation(position).departures(row)

        return jax.lax.map(one, (self.positions, equivalents))

    def whitened(self, rows: Float[Array, "used obs ..."]):
        """R^-1/2 of rows of departures, or of their derivatives, last axis last."""

        def one(inputs):
            position, row = inputs
            whiten = self.window.observation(position).whiten
            return whiten(row) if row.ndim == 1 else jax.vmap(whiten, 1, 1)(row)

        return jax.lax.map(one, (self.positions, rows))


def solved(
    problem: Problem,
    start: Launch,
    first_guess: Control,
    minimiser: Minimiser,
    growth: int | None,
    inflation: Array | None,
) -> Solved:
    """The minimum over a window, and what is known there.

    `inflation` is that of a covariance that is brought along, `None` where B is static.
    """
    window, positions = problem.window, problem.positions
    scale, shift = problem.weight**0.5, window.shift

    def departures(v):
        return problem.departures(problem.equivalents(problem.forecast(v)))

    def misfits(v, reach):
        near = jnp.arange(len(positions)) < reach
        rows = scale * problem.whitened(departures(v))
        return jnp.where(near[:, None], rows, jnp.zeros_like(rows)).ravel()

    def over(v, reach):
        return minimum(minimiser, lambda v: misfits(v, reach), v), None

    if growth is None:
        v, _ = over(first_guess, len(positions))
    else:
        reaches = jnp.arange(growth, len(positions) + growth, growth)
        v, _ = jax.lax.scan(over, first_guess, reaches)

    background = problem.forecast(first_guess)
    found = _derivatives(problem, v) if is_dense(minimiser) else None
    carries = problem.forecast(v) if found is None else found[0]
    at_new = lambda tree: jax.tree.map(lambda a: a[-shift:], tree)  # noqa: E731
    innovation = at_new(problem.departures(problem.equivalents(background)))
    left = problem.departures(problem.equivalents(carries))
    root = start.root
    if found is not None:
        _, J, H = found
        G = problem.whitened(H)
        posterior = Posterior.of(scale * G.reshape(-1, v.size))
        variance = posterior.variance(J.reshape(-1, v.size)).reshape(J.shape[:2])
        spread = jax.vmap(spread_like)(carries, variance)
        before = jnp.sum(J**2, 2)
        spread_before = at_new(jax.vmap(spread_like)(background, before))
        G = at_new(G)
        from_background = at_new(problem.whitened(left)) + G @ v
        misfit, log_det = evidence(G, from_background)
        known = jnp.sum(at_new(H) ** 2, 2)
        if inflation is not None:
            root = symmetric_root(inflation * posterior.covariance(J[shift]))
    else:
        spread = jax.tree.map(unknown_like, carries.state)
        spread_before = jax.tree.map(unknown_like, at_new(background).state)
        whitened = problem.whitened(problem.departures(problem.equivalents(background)))
        shares = jnp.sum(whitened * problem.whitened(left), 1)
        misfit = at_new(shares)
        known, log_det = unknown_like(innovation), unknown_like(misfit)

    def judge(inputs):
        position, *numbers = inputs
        return judged(window.observation(position), *numbers)

    told = jax.lax.map(
        judge,
        (
            window.new(),
            innovation,
            at_new(left),
            known,
            misfit,
            log_det,
            at_new(jax.vmap(is_lost)(carries)),
        ),
    )
    here = lambda i: jax.tree.map(lambda a: a[i], carries)  # noqa: E731
    estimates = Estimate(carries, spread)
    new_background = at_new(background)
    return Solved(
        Launch(here(shift), root),
        jax.tree.map(lambda a: a[-1], estimates),
        Estimate(new_background, spread_before),
        at_new(estimates),
        told,
        (new_background.state, spread_before),
        (carries.state, spread),
    )


def _derivatives(problem: Problem, v: Control):
    """The forecast, and the derivatives of its carries and of its equivalents."""

    def everything(v):
        carries = problem.forecast(v)
        rows = jax.vmap(lambda carry: row_of(carry)[0])(carries)
        flattened = rows.ravel(), problem.equivalents(carries).ravel()
        return jnp.concatenate(flattened), carries

    _, J, carries = linearised(everything, v)
    times = problem.window.lag + 1
    size = row_of(jax.tree.map(lambda a: a[0], carries))[0].size
    return (
        carries,
        J[: times * size].reshape(times, size, v.size),
        J[times * size :].reshape(len(problem.positions), -1, v.size),
    )


def control_of(background: AbstractCovariance | None, start: Launch):
    """The zero of the controls of the start, and what makes increments of them."""
    row = row_of(start.carry)[0]
    if background is None:
        return jnp.zeros_like(row), lambda v: start.root @ v
    return jnp.zeros(size_of(background, start.carry), row.dtype), background.colour


def launched(background: AbstractCovariance | None, prior: Any, method: str) -> Reach:
    """The belief at the start.

    Raises:
        InputError: a prior of another kind than this background needs.
    """
    if background is None:
        check_gaussian(prior, method)
        covariance = jnp.asarray(prior.covariance)
        carry = jax.tree.map(jnp.asarray, prior.mean)
        spread = spread_like(carry, jnp.diagonal(covariance))
        launch = Launch(carry, symmetric_root(covariance))
        return Reach(launch, Estimate(carry, spread))
    estimate = started(background, prior, method)
    return Reach(Launch(estimate.mean), estimate)


def symmetric_root(covariance: Float[Array, "m m"]) -> Float[Array, "m m"]:
    """P^1/2, of a singular P too; what rounding made negative is zero."""
    values, vectors = jnp.linalg.eigh(covariance)
    return (vectors * jnp.sqrt(jnp.maximum(values, 0.0))[None]) @ vectors.T
