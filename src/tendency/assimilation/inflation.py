"""Inflation: against the spread that a small ensemble, or a wrong model, loses.

Each has a hook before the analysis and one after it, and a memory of its own that goes
from one analysis to the next (`Adaptive` has one). Where nothing was observed nothing
is inflated.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.assimilation.transform import Departures, centred
from tendency.cell import Carry


class AbstractInflation(eqx.Module):
    """What is done to an ensemble around its analysis."""

    @abc.abstractmethod
    def begin(self, ensemble: Carry) -> Any:
        """The memory at the start."""

    @abc.abstractmethod
    def before(self, ensemble: Carry, memory: Any) -> Carry:
        """The background that the analysis shall see."""

    @abc.abstractmethod
    def after(
        self,
        background: Carry,
        analysis: Carry,
        departures: Departures,
        memory: Any,
        key: PRNGKeyArray,
    ) -> tuple[Carry, Any]:
        """The ensemble to go on with, and the new memory."""


def _number(value: Any) -> Array:
    return jnp.asarray(value)


def _spread_out(ensemble: Carry, factor: Array) -> Carry:
    """The anomalies of every inexact array, times a factor."""

    def leaf(x):
        if not eqx.is_inexact_array(x):
            return x
        mean, anomalies = centred(x)
        return mean + factor.astype(x.dtype) * anomalies

    return jax.tree.map(leaf, ensemble)


def noise_like(
    states: PyTree[Array], std: PyTree[Array], key: PRNGKeyArray
) -> PyTree[Array]:
    """Independent Gaussian noise of the standard deviation `std`, members first.

    `std` is one number, or a pytree like the state of one member.
    """
    leaves, structure = jax.tree.flatten(states)
    keys = jax.random.split(key, len(leaves))

    def leaf(x, s, k):
        s = jnp.broadcast_to(s.astype(x.dtype), x.shape[1:])
        return s[None] * jax.random.normal(k, x.shape, x.dtype)

    rows = zip(leaves, stds_of(structure, std), keys, strict=True)
    return jax.tree.unflatten(structure, [leaf(*row) for row in rows])


def stds_of(structure: Any, std: PyTree[Array]) -> list[Array]:
    """One standard deviation a leaf of the state, from a pytree like it or a number."""
    if jax.tree.structure(std) == structure:
        return jax.tree.leaves(std)
    return [std] * structure.num_leaves


class NoInflation(AbstractInflation):
    """Leave the ensemble as it is."""

    def begin(self, ensemble):
        return None

    def before(self, ensemble, memory):
        return ensemble

    def after(self, background, analysis, departures, memory, key):
        return analysis, memory


class Multiplicative(AbstractInflation):
    """Anomalies of the analysis times a factor, 1.02 say.

    Anderson & Anderson (1999, Mon. Wea. Rev. 127, 2741).
    """

    factor: Float[Array, ""] = eqx.field(converter=_number)

    def begin(self, ensemble):
        return None

    def before(self, ensemble, memory):
        return ensemble

    def after(self, background, analysis, departures, memory, key):
        return _spread_out(analysis, self.factor), memory


class Additive(AbstractInflation):
    """Independent noise of the given standard deviation added to the states.

    Its mean over the members is removed, so that the analysis stays where it is.

    Arguments:
        std: one number, or one for each component of the state: a pytree like it
            [units of the state].
    """

    std: PyTree[Array] = eqx.field(
        converter=lambda tree: jax.tree.map(jnp.asarray, tree)
    )

    def begin(self, ensemble):
        return None

    def before(self, ensemble, memory):
        return ensemble

    def after(self, background, analysis, departures, memory, key):
        noise = noise_like(analysis.state, self.std, key)
        state = jax.tree.map(lambda x, e: x + centred(e)[1], analysis.state, noise)
        return Carry(state, analysis.memory), memory


class RTPS(AbstractInflation):
    """Relaxation to the prior spread: anomalies times 1 + α (σᵇ - σᵃ) / σᵃ.

    Whitaker & Hamill (2012, Mon. Wea. Rev. 140, 3078).
    """

    relaxation: Float[Array, ""] = eqx.field(converter=_number)  # α, from 0 to 1

    def begin(self, ensemble):
        return None

    def before(self, ensemble, memory):
        return ensemble

    def after(self, background, analysis, departures, memory, key):
        def leaf(b, a):
            if not eqx.is_inexact_array(a):
                return a
            before, now = (x.std(0, ddof=1, keepdims=True) for x in (b, a))
            safe = jnp.where(now > 0, now, jnp.ones_like(now))
            lost = jnp.where(now > 0, (before - now) / safe, jnp.zeros_like(now))
            mean, anomalies = centred(a)
            return mean + (1 + self.relaxation.astype(a.dtype) * lost) * anomalies

        return jax.tree.map(leaf, background, analysis), memory


class RTPP(AbstractInflation):
    """Relaxation to prior perturbations: anomalies (1 - α) Aᵃ + α Aᵇ.

    Zhang, Snyder & Sun (2004, Mon. Wea. Rev. 132, 1238), equation 5.
    """

    relaxation: Float[Array, ""] = eqx.field(converter=_number)  # α, from 0 to 1

    def begin(self, ensemble):
        return None

    def before(self, ensemble, memory):
        return ensemble

    def after(self, background, analysis, departures, memory, key):
        def leaf(b, a):
            if not eqx.is_inexact_array(a):
                return a
            (mean, anomalies), alpha = centred(a), self.relaxation.astype(a.dtype)
            return mean + (1 - alpha) * anomalies + alpha * centred(b)[1]

        return jax.tree.map(leaf, background, analysis), memory


class Adaptive(AbstractInflation):
    """Inflation of the background, estimated from the innovations as they come.

    An innovation expects dᵀd = tr(λ S Sᵀ) + m in units of the observation errors, which
    gives an estimate of λ and its sampling variance; a scalar Kalman filter follows it.
    Wang & Bishop (2003, J. Atmos. Sci. 60, 1140); Li, Kalnay & Miyoshi
    (2009, Q. J. R. Meteorol. Soc. 135, 523); the variance is that of Miyoshi
    (2011, Mon. Wea. Rev. 139, 1519).

    Arguments:
        variance: of the estimate at the start.
        growth: of that variance from one analysis to the next, which lets λ drift.
    """

    variance: Float[Array, ""] = eqx.field(default=0.04**2, converter=_number)
    growth: Float[Array, ""] = eqx.field(default=1.03, converter=_number)
    least: Float[Array, ""] = eqx.field(default=1.0, converter=_number)  # of λ

    def begin(self, ensemble):
        real = jnp.result_type(*filter(eqx.is_inexact_array, jax.tree.leaves(ensemble)))
        return jnp.ones((), real), self.variance.astype(real)

    def before(self, ensemble, memory):
        return _spread_out(ensemble, jnp.sqrt(memory[0]))

    def after(self, background, analysis, departures, memory, key):
        inflation, variance = memory
        variance = variance * self.growth.astype(variance.dtype)
        d, S = departures.innovation, departures.anomalies
        count = jnp.sum(departures.observation.seen).astype(d.dtype)
        spread = jnp.sum(S**2) / inflation  # S is that of the inflated background
        spread = jnp.maximum(spread, jnp.finfo(d.dtype).tiny ** 0.25)
        found = (d @ d - count) / spread
        doubt = 2 / count * ((inflation * spread + count) / spread) ** 2
        gain = variance / (variance + doubt)
        inflation = inflation + gain * (found - inflation)
        inflation = jnp.maximum(inflation, self.least.astype(d.dtype))
        return analysis, (inflation, (1 - gain) * variance)


class Combined(AbstractInflation):
    """Several, each on what the one before left: `Combined(RTPS(0.5), Additive(1))`."""

    terms: tuple[AbstractInflation, ...]

    def __init__(self, *terms: AbstractInflation):
        self.terms = terms

    def begin(self, ensemble):
        return tuple(term.begin(ensemble) for term in self.terms)

    def before(self, ensemble, memory):
        for term, mine in zip(self.terms, memory, strict=True):
            ensemble = term.before(ensemble, mine)
        return ensemble

    def after(self, background, analysis, departures, memory, key):
        memories = []
        for i, (term, mine) in enumerate(zip(self.terms, memory, strict=True)):
            own = jax.random.fold_in(key, i)
            analysis, new = term.after(background, analysis, departures, mine, own)
            memories.append(new)
        return analysis, tuple(memories)
