"""Floor 0: the cell, the one interface that every model implements.

`Carry` is what a model knows at one instant, `AbstractCell` advances it by one step
(`AbstractParallelCell` over many at once where the states are known),
`Constant` marks the arrays that no gradient may change, `Standardisation` the pair of
them that most learned models hold, `Ramp` a forcing that varies within a step,
`differs` tells a state that was inserted from one that was predicted.
"""

import abc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree


class Carry(eqx.Module):
    """All a cell knows at one instant.

    `state` is what observations and scores see, in the units of the data; `memory` is
    all else that survives a step (hidden state, past states, past tendencies,
    parameters under estimation) and is `None` for a memoryless cell.

    Teacher forcing, spin-up on a history and the insertion of an analysis are one
    operation: replace `state`.
    """

    state: PyTree[Array]
    memory: PyTree[Array] = None


class AbstractCell(eqx.Module):
    """One step of a dynamical model, written for one member: batch with `jax.vmap`.

    A cell that reads a forcing asks `forcing_at` for its value within the step; one
    that is stochastic draws from `key`, and takes its mean step when `key` is `None`.
    """

    if TYPE_CHECKING:  # a checker takes an `AbstractVar` for an argument of `__init__`

        @property
        def dt(self) -> float: ...

        @property
        def spin_up_steps(self) -> int: ...

    else:
        dt: eqx.AbstractVar[float]  # [time unit of the model]
        spin_up_steps: eqx.AbstractVar[int]  # steps of history the memory needs

    @abc.abstractmethod
    def init(self, state: PyTree[Array]) -> Carry:
        """Cold start: the carry at `state`, its memory not yet informed."""

    @abc.abstractmethod
    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        """Advance by `dt`; `key=None` asks for the deterministic (mean) step."""


class AbstractParallelCell(AbstractCell):
    """A cell that reads a series at once, with the numbers of its steps one by one.

    Spin-up and teacher forcing then cost one pass over all times, as attention does it.
    """

    @abc.abstractmethod
    def unfold(
        self,
        states: PyTree[Array],
        forcing: PyTree[Array] = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> tuple[PyTree[Array], PyTree[Array]]:
        """The memory after reading `states`, time first, and what each foretells.

        The cell starts cold at the first state; `forcing` is given at the times of the
        states. A key draws what is random in training alone (dropout).
        """


Tendency = Callable[[Any, Any], Any]
"""`f(state, forcing) -> d state / dt`, with the structure of the state."""


class Constant(eqx.Module):
    """Arrays that no gradient may change: statistics, a mask, a catalogue.

    `trainable` leaves them out by partition, so that no optimiser sees them (a
    decaying optimiser moves a leaf even where its gradient is zero).
    """

    value: PyTree[Array]


def is_constant(node: Any) -> bool:
    """Whether `node` is a `Constant`: the `is_leaf` of `trainable` and of its kind."""
    return isinstance(node, Constant)


def trainable(module: PyTree) -> PyTree[bool]:
    """The filter of what may be learned: inexact arrays outside any `Constant`.

    NumPy arrays are data: a weight is an array of JAX.
    """

    def learnt(leaf: Any) -> bool:  # a `Constant` is no array
        return isinstance(leaf, jax.Array) and eqx.is_inexact_array(leaf)

    return jax.tree.map(learnt, module, is_leaf=is_constant)


class Standardisation(eqx.Module):
    """Mean and standard deviation of a state, held inside the model that needs them."""

    mean: Constant  # [units of the state]
    std: Constant  # [units of the state]

    def __init__(self, mean: Float[Array, "..."], std: Float[Array, "..."]):
        """Of the state's shape, or such as broadcast against it.

        A component that never varies keeps its units: its `std` becomes one.
        """
        mean, std = jnp.asarray(mean), jnp.asarray(std)
        self.mean = Constant(mean)
        self.std = Constant(jnp.where(std > 0, std, jnp.ones_like(std)))

    @classmethod
    def of(cls, samples: Float[Array, "time *state"]) -> Self:
        """The statistics of `samples`, time first; NaN is missing.

        A component that is never seen has mean zero.
        """
        x = np.asarray(samples)
        seen = ~np.isnan(x)
        count = np.maximum(seen.sum(0), 1)
        mean = np.where(seen, x, 0).sum(0, dtype=np.float64) / count
        square = np.where(seen, (x - mean) ** 2, 0).sum(0, dtype=np.float64)
        # The mean of equal numbers is rounded, so that their std is seldom zero.
        varies = np.where(seen, x, -np.inf).max(0) > np.where(seen, x, np.inf).min(0)
        std = np.where(varies, np.sqrt(square / count), 0)
        return cls(jnp.asarray(mean, x.dtype), jnp.asarray(std, x.dtype))

    @classmethod
    def identity(cls, size: int) -> Self:
        """Mean zero, standard deviation one: leaves a state of `size` as it is."""
        return cls(jnp.zeros(size), jnp.ones(size))

    def apply(self, state: Float[Array, "*state"]) -> Float[Array, "*state"]:
        """From the units of the state to no units."""
        return (state - self.mean.value) / self.std.value

    def invert(self, anomaly: Float[Array, "*state"]) -> Float[Array, "*state"]:
        """From no units back to the units of the state."""
        return self.mean.value + self.std.value * anomaly


class Ramp(eqx.Module):
    """A forcing over one step, varying linearly from `start` to `end`.

    Holding a forcing over the step makes any forced scheme first order; with both ends
    at hand the stages of a Runge-Kutta scheme see it where they are.
    """

    start: PyTree[Array]
    end: PyTree[Array]


def forcing_at(forcing: PyTree, fraction: float | Array) -> PyTree:
    """The forcing at `fraction` of the step, 0 its start and 1 its end.

    A `Ramp` is interpolated linearly; any other forcing is held over the step.
    """
    if not isinstance(forcing, Ramp):
        return forcing
    return jax.tree.map(
        lambda start, end: start + fraction * (end - start), forcing.start, forcing.end
    )


def differs(
    state: Float[Array, "*state"],
    predicted: Float[Array, "*state"],
    scale: float | Float[Array, "..."],
) -> Bool[Array, ""]:
    """Whether a state was inserted: it is not the prediction that a memory holds.

    Differences within the rounding of an ensemble's recombination do not count, `scale`
    being the usual size of a component, nor does NaN [units of the state].
    """
    rounding = 16 * jnp.finfo(state.dtype).eps * (jnp.abs(predicted) + scale)
    return jnp.any(jnp.abs(state - predicted) > rounding)
