"""The iterative ensemble Kalman smoother."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from tendency.assimilation.ensemble import (
    EnsembleBelief,
    advanced,
    check_ensemble,
)
from tendency.assimilation.inflation import AbstractInflation, NoInflation
from tendency.assimilation.judged import judged
from tendency.assimilation.method import Diagnostics
from tendency.assimilation.minimise import evidence
from tendency.assimilation.sliding import (
    AbstractWindowMethod,
    Reach,
    Solved,
    Window,
    check_windows,
)
from tendency.assimilation.transform import (
    Departures,
    Transform,
    failed_members,
    mean_and_spread,
    members,
    recombined,
    root_and_precision,
)
from tendency.cell import AbstractCell, Carry
from tendency.errors import InputError


class IEnKS(AbstractWindowMethod):
    """Iterative ensemble Kalman smoother: 4DVar over a window, in the ensemble's space.

    It minimises (N-1) |w|² + Σ |y_k - H(x_k)|²/R over the weights w of the members, x_k
    the forecast from x + w A at the beginning of the window, by Gauss-Newton with
    derivatives from the ensemble, so that it needs no adjoint; then the ensemble starts
    anew around the minimum. Bocquet & Sakov (2014, Q. J. R. Meteorol. Soc. 140, 1521);
    with a lag of 1 it is the IEnKF of Sakov, Oliver & Bertino (2012, Mon. Wea. Rev.
    140, 1988). One step of a linear model is the ensemble smoother by the ETKF.

    Where windows overlap, `smoothed_mean` holds what the last window says that a time
    is part of: of observations up to `lag` times later.

    Arguments:
        lag: how many times of observations a window holds.
        shift: by how many the next one begins later.
        multiple: use observations in each window that holds them, with the weight
            shift / lag, not once when they are new: steadier in long windows, and
            the newest analysis has then seen a part of its observations.
        steps: at most so many Gauss-Newton steps.
        tolerance: stop where the root mean square of √N δw is smaller.
        bundle: take derivatives from a tiny ensemble, a factor of this smaller (1e-4),
            around the estimate, as the tangent-linear model would be; by default the
            ensemble has the spread of its posterior (transform variant).
        inflation: of the ensemble at the beginning of a window, after its analysis.
        rotated: rotate the anomalies then, as of `ETKF`.

    Raises:
        InputError: windows that do not fit together, less than one step, a bundle that
            is not positive.
    """

    inflation: AbstractInflation = NoInflation()
    lag: int = eqx.field(static=True, default=1)
    shift: int | None = eqx.field(static=True, default=1)
    multiple: bool = eqx.field(static=True, default=False)
    steps: int = eqx.field(static=True, default=10)
    tolerance: float = eqx.field(static=True, default=1e-3)
    bundle: float | None = eqx.field(static=True, default=None)
    rotated: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        check_windows(self.lag, self.shift, self.multiple)
        if self.steps < 1:
            raise InputError(
                f"{self.steps} Gauss-Newton steps were asked for, at least 1 was "
                "expected"
            )
        if self.bundle is not None and not self.bundle > 0:
            raise InputError(
                f"the bundle has the scale {self.bundle:g}, a small positive number "
                "was expected: 1e-4, or None for the transform variant"
            )

    def begin(self, cell: AbstractCell, prior: Any) -> Reach:
        check_ensemble(prior, "IEnKS")
        prior = jax.tree.map(jnp.asarray, prior)
        return Reach(EnsembleBelief(prior, self.inflation.begin(prior)), prior)

    def state(self, belief: Reach) -> PyTree[Array]:
        return jax.tree.map(lambda x: x[0], belief.present.state)

    def solve(
        self,
        cell: AbstractCell,
        start: EnsembleBelief,
        window: Window,
        key: PRNGKeyArray,
    ) -> Solved:
        advance_key, analysis_key = jax.random.split(key)
        inflation_key, rotation_key = jax.random.split(
            jax.random.fold_in(analysis_key, window.begins[-1])
        )
        positions = jnp.arange(self.lag) if self.multiple else window.new()

        def forecast(ensemble):
            def advance(ensemble, forcing, step, _):
                here = jax.random.fold_in(advance_key, step)
                return advanced(cell, ensemble, forcing, here)

            return window.through(advance, ensemble)

        prior = self.inflation.before(start.ensemble, start.inflation)
        background = forecast(prior)
        transform = self._minimum(window, positions, forecast, prior, background)
        if self.rotated:
            transform = transform.rotated(rotation_key)
        newest = Departures.of(
            jax.tree.map(lambda a: a[-1], background.state),
            window.observation(self.lag - 1),
        )
        ensemble, memory = self.inflation.after(
            prior, transform.apply(prior), newest, start.inflation, inflation_key
        )
        seen = window.any_seen(positions)
        ensemble, memory = jax.tree.map(
            lambda a, b: jnp.where(seen, a, b),
            (ensemble, memory),
            (start.ensemble, start.inflation),
        )
        analysis = forecast(ensemble)
        shift = window.shift
        before, after = jax.tree.map(lambda a: a[-shift:], (background, analysis))
        summary = jax.vmap(mean_and_spread)(analysis.state)
        return Solved(
            EnsembleBelief(jax.tree.map(lambda a: a[shift], analysis), memory),
            jax.tree.map(lambda a: a[-1], analysis),
            EnsembleBelief(before),
            EnsembleBelief(after),
            _told(window, before, after),
            jax.vmap(mean_and_spread)(before.state),
            summary,
        )

    def _minimum(
        self,
        window: Window,
        positions: Int[Array, " used"],
        forecast: Callable[[Carry], Carry],
        prior: Carry,
        background: Carry,
    ) -> Transform:
        """The transform of the prior to the posterior at the beginning of a window."""
        scale = (window.shift / self.lag) ** 0.5 if self.multiple else 1.0
        size = members(prior)
        eye = jnp.eye(size, dtype=jax.tree.leaves(prior.state)[0].dtype)

        def departures(ensembles):
            """The mean innovation, and the anomalies of the equivalents."""

            def one(position):
                states = jax.tree.map(lambda a: a[position + 1], ensembles.state)
                found = Departures.of(states, window.observation(position))
                return scale * found.innovation, scale * found.anomalies

            d, S = jax.lax.map(one, positions)
            return d.ravel(), jnp.moveaxis(S, 1, 0).reshape(size, -1)

        def improved(u, d, S):  # u, the weights of the mean times √(N-1), is N(0, I)
            root, precision = root_and_precision(S)
            change = precision @ (S @ d - u)
            return u + change, root, jnp.sqrt(jnp.mean(change**2))

        def improve(now):
            u, root, _, count = now
            spread = root if self.bundle is None else self.bundle * eye
            weights = (size - 1) ** -0.5 * u[None] + spread
            d, S = departures(forecast(recombined(prior, weights)))
            S = jnp.linalg.solve(root, S) if self.bundle is None else S / self.bundle
            return *improved(u, d, S), count + 1

        def unfinished(now):
            return (now[2] >= self.tolerance) & (now[3] < self.steps)

        first = improved(jnp.zeros_like(eye[0]), *departures(background))
        u, root, *_ = jax.lax.while_loop(unfinished, improve, (*first, 1))
        return Transform((size - 1) ** -0.5 * u, root)


def _told(window: Window, background: Carry, analysis: Carry) -> Diagnostics:
    """The diagnostics of the new times, of the ensembles there."""

    def look(inputs):
        position, before, after = inputs
        observation = window.observation(position)
        found = Departures.of(before.state, observation)
        equivalents = jax.vmap(observation.observe)(after.state)
        return (
            found.anomalies.T,
            found.innovation,
            observation.departures(found.equivalents.mean(0)),
            observation.departures(equivalents.mean(0)),
            found.equivalents.var(0, ddof=1),
            failed_members(before),
        )

    G, d, innovation, residual, variance, failed = jax.lax.map(
        look, (window.new(), background, analysis)
    )

    def judge(inputs):
        position, *numbers = inputs
        return judged(window.observation(position), *numbers)

    numbers = (innovation, residual, variance, *evidence(G, d), failed)
    return jax.lax.map(judge, (window.new(), *numbers))
