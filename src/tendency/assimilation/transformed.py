"""Bounded and skewed quantities: analysed as Gaussian ones, by a change of variable.

A filter corrects by linear combinations, which know no bounds: a concentration may come
out negative. `Transformed` gives any ensemble filter a state that is more Gaussian.
"""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtri
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.assimilation.ensemble import AbstractEnsembleFilter, EnsembleBelief
from tendency.assimilation.method import AbstractFilter, Diagnostics
from tendency.cell import AbstractCell, Carry
from tendency.errors import InputError
from tendency.observing import Observation


class AbstractAnamorphosis(eqx.Module):
    """A rising function from a quantity to one that is more Gaussian, and back."""

    @abc.abstractmethod
    def forward(self, x: Float[Array, "*x"]) -> Float[Array, "*x"]:
        """From the quantity."""

    @abc.abstractmethod
    def back(self, z: Float[Array, "*x"]) -> Float[Array, "*x"]:
        """To the quantity; never out of its bounds."""


class Affine(AbstractAnamorphosis):
    """z = a x + b, which changes no analysis."""

    scale: float = 1.0
    offset: float = 0.0

    def forward(self, x):
        return self.scale * x + self.offset

    def back(self, z):
        return (z - self.offset) / self.scale


class Log(AbstractAnamorphosis):
    """z = log(x - lower): quantities above a bound. What is not counts as at it.

    Arguments:
        least: how near to the bound a value may come; beyond it is taken for that.
    """

    lower: float = 0.0
    least: float = 1e-12

    def forward(self, x):
        return jnp.log(jnp.maximum(x - self.lower, self.least))

    def back(self, z):
        return self.lower + jnp.exp(z)


class Logit(AbstractAnamorphosis):
    """z = log((x - lower) / (upper - x)): fractions and others between two bounds.

    Arguments:
        least: how near to a bound a value may come, as a part of the width.
    """

    lower: float = 0.0
    upper: float = 1.0
    least: float = 1e-9

    def forward(self, x):
        share = (x - self.lower) / (self.upper - self.lower)
        share = jnp.clip(share, self.least, 1 - self.least)
        return jnp.log(share) - jnp.log1p(-share)

    def back(self, z):
        return self.lower + (self.upper - self.lower) * jax.nn.sigmoid(z)


class Quantiles(AbstractAnamorphosis):
    """Gaussian of the same quantile in a sample: any distribution, by its values.

    Linear between the quantiles of the sample, and a constant beyond them, so that
    nothing leaves its range. Bertino, Evensen & Wackernagel (2003, Int. Stat. Rev. 71,
    223); Simon & Bertino (2009, Ocean Sci. 5, 495).
    """

    values: Float[Array, " quantile"]
    normal: Float[Array, " quantile"]

    @classmethod
    def of(cls, sample: Any, count: int = 200) -> "Quantiles":
        """Of the values of a climatology, of all points together.

        Raises:
            InputError: fewer than two values that differ.
        """
        flat = np.ravel(np.asarray(sample, float))
        flat = flat[np.isfinite(flat)]
        if np.unique(flat).size < 2:
            raise InputError(
                f"the sample of the quantiles has {np.unique(flat).size} different "
                "values, at least 2 were expected: give a climatology of the quantity"
            )
        share = (np.arange(count) + 0.5) / count
        values, first = np.unique(np.quantile(flat, share), return_index=True)
        last = np.append(first[1:], count) - 1
        normal = ndtri(jnp.asarray((share[first] + share[last]) / 2))
        return cls(jnp.asarray(values), normal)

    def forward(self, x):
        return jnp.interp(x, self.values.astype(x.dtype), self.normal.astype(x.dtype))

    def back(self, z):
        return jnp.interp(z, self.normal.astype(z.dtype), self.values.astype(z.dtype))


class Some(AbstractAnamorphosis):
    """Another one, of some components of an array alone: those of its last axis."""

    anamorphosis: AbstractAnamorphosis
    components: slice = eqx.field(static=True)

    def forward(self, x):
        part = self.anamorphosis.forward(x[..., self.components])
        return x.at[..., self.components].set(part)

    def back(self, z):
        part = self.anamorphosis.back(z[..., self.components])
        return z.at[..., self.components].set(part)


class Transformed(AbstractFilter):
    """Any ensemble filter, which sees some variables by a change of variable.

    Before an analysis they are transformed, after it transformed back, so that they
    never leave their bounds; observations stay in their own units, of which the model
    equivalents are computed from the variables as they are. A linear change is none.
    Bertino, Evensen & Wackernagel (2003, Int. Stat. Rev. 71, 223).

    The memory of the carry is corrected as it is.

    Arguments:
        filter: an ensemble filter; its inflation acts on the transformed variables.
        variables: `Log()`, say, for the whole state, or a pytree like the state with
            one for each array, `None` for those to be left as they are.
    """

    filter: AbstractEnsembleFilter
    variables: Any

    def begin(self, cell: AbstractCell, prior: Any) -> EnsembleBelief:
        belief = self.filter.begin(cell, prior)
        try:
            self.changed(belief.ensemble.state, _forward)
        except ValueError as error:
            raise InputError(
                f"the changes of variable do not fit the state: {error}; give one for "
                "all, or a pytree like the state"
            ) from error
        return belief

    def state(self, belief: EnsembleBelief) -> PyTree[Array]:
        return self.filter.state(belief)

    def advance(
        self,
        cell: AbstractCell,
        belief: EnsembleBelief,
        forcing: PyTree,
        key: PRNGKeyArray,
    ) -> EnsembleBelief:
        return self.filter.advance(cell, belief, forcing, key)

    def analyse(
        self, belief: EnsembleBelief, observation: Observation, key: PRNGKeyArray
    ) -> tuple[EnsembleBelief, Diagnostics]:
        def observe(state, arguments=None):
            found = dataclasses.replace(observation, arguments=arguments)
            return found.observe(self.changed(state, _back))

        ensemble = belief.ensemble
        state = self.changed(ensemble.state, _forward)
        seen = EnsembleBelief(Carry(state, ensemble.memory), belief.inflation)
        by_change = dataclasses.replace(observation, operator=observe)
        analysis, told = self.filter.analyse(seen, by_change, key)
        state = self.changed(analysis.ensemble.state, _back)
        ensemble = Carry(state, analysis.ensemble.memory)
        # The transform of the members holds for the changed variables alone.
        told = dataclasses.replace(told, transform=None)
        return EnsembleBelief(ensemble, analysis.inflation), told

    def unseen(self, belief: EnsembleBelief) -> EnsembleBelief:
        return self.filter.unseen(belief)

    def summary(self, belief: EnsembleBelief) -> tuple[PyTree[Array], PyTree[Array]]:
        return self.filter.summary(belief)

    def changed(
        self, state: PyTree[Array], way: Callable[[AbstractAnamorphosis, Array], Array]
    ) -> PyTree[Array]:
        """The state with the variables transformed, forward or back."""

        def leaf(change, x):
            return x if change is None else jax.tree.map(lambda y: way(change, y), x)

        return jax.tree.map(leaf, self.variables, state, is_leaf=_is_change)


def _is_change(x: Any) -> bool:
    return x is None or isinstance(x, AbstractAnamorphosis)


def _forward(change: AbstractAnamorphosis, x: Array) -> Array:
    return change.forward(x)


def _back(change: AbstractAnamorphosis, z: Array) -> Array:
    return change.back(z)
