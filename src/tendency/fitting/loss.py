"""What a fit brings down: the error of a roll-out against a window of states."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Carry, Constant, Ramp
from tendency.errors import InputError
from tendency.forecasting import spin_up
from tendency.windows import Window


class RolloutLoss(eqx.Module):
    """The weighted mean square of a roll-out's errors over `horizon` steps.

    The cell spins up on the first `cell.spin_up_steps + 1` states of the window and
    runs free over the rest; with `teacher_forcing` each step starts from the observed
    state instead. Where the window carries an `initial` state the roll-out starts there
    and its misfit to the observed one counts too.
    """

    horizon: int | None = eqx.field(static=True, default=None)  # None: all the window
    teacher_forcing: bool = eqx.field(static=True, default=False)
    scale: Constant | None = None  # divides the errors [units of the state]

    def __check_init__(self):
        if self.horizon is not None and self.horizon < 1:
            raise InputError(
                f"the horizon is {self.horizon} steps, at least 1 is needed"
            )

    def __call__(
        self, cell: AbstractCell, window: Window, *, key: PRNGKeyArray | None = None
    ) -> Float[Array, ""]:
        """Σ w e² / Σ w over lead times and components; `key` makes steps stochastic."""
        errors, weights = self._errors(cell, window, key)
        pairs = zip(jax.tree.leaves(errors), jax.tree.leaves(weights), strict=True)
        sums = [(jnp.sum(w * e**2), jnp.sum(w)) for e, w in pairs]
        total = sum(n for _, n in sums)
        return sum(s for s, _ in sums) / jnp.where(total > 0, total, 1)  # pyright: ignore

    def residuals(self, cell: AbstractCell, window: Window) -> PyTree[Array]:
        """√w e, whose sum of squares a least-squares method brings down."""
        errors, weights = self._errors(cell, window, None)
        return jax.tree.map(lambda e, w: jnp.sqrt(w) * e, errors, weights)

    def check(self, cell: AbstractCell, length: int, name: str) -> None:
        """Whether the windows called `name`, of `length` times, are long enough.

        Raises:
            InputError: they do not hold the history and the horizon.
        """
        needed = cell.spin_up_steps + 1 + (self.horizon or 1)
        if length < needed:
            raise InputError(
                f"{name} windows of {length} times were given and {needed} are needed "
                f"({cell.spin_up_steps} to spin up, 1 to start, {self.horizon or 1} to "
                "forecast): cut longer windows or shorten the horizon"
            )

    def _errors(self, cell, window, key):
        start = cell.spin_up_steps
        steps = window_length(window) - start - 1
        steps = steps if self.horizon is None else self.horizon

        def part(series, first, last):
            return jax.tree.map(lambda a: a[first:last], series)

        history = part(window.states, 0, start + 1)
        carry = spin_up(cell, history, part(window.forcing, 0, start + 1))
        free_start = window.initial is not None
        if free_start:
            carry = Carry(window.initial, carry.memory)
        first = carry.state
        target = part(window.states, start + 1, start + 1 + steps)
        ramps = None
        if window.forcing is not None:
            ramps = Ramp(
                part(window.forcing, start, start + steps),
                part(window.forcing, start + 1, start + 1 + steps),
            )
        keys = None if key is None else jax.random.split(key, steps)

        def advance(carry, inputs):
            observed, here, step_key = inputs
            new = cell.step(carry, here, key=step_key)
            onward = Carry(observed, new.memory) if self.teacher_forcing else new
            return onward, new.state

        _, states = jax.lax.scan(advance, carry, (target, ramps, keys), length=steps)
        if free_start:
            start_of = lambda a, b: jnp.concatenate([a[None], b])  # noqa: E731
            states = jax.tree.map(start_of, first, states)
            target = part(window.states, start, start + 1 + steps)
        errors = jax.tree.map(jnp.subtract, states, target)
        if self.scale is not None:
            errors = jax.tree.map(
                lambda e, s: e / jnp.broadcast_to(s, e.shape), errors, self.scale.value
            )
        if window.weights is None:
            return errors, jax.tree.map(jnp.ones_like, errors)
        weights = part(window.weights, start + 1 - free_start, start + 1 + steps)
        if len(jax.tree.leaves(weights)) == 1 != len(jax.tree.leaves(errors)):
            (weight,) = jax.tree.leaves(weights)
            weights = jax.tree.map(lambda _: weight, errors)
        return errors, jax.tree.map(_broadcast, weights, errors)


def window_length(window: Window) -> int:
    """The number of times in a window."""
    return jax.tree.leaves(window.states)[0].shape[0]


def _broadcast(weight: Array, error: Array) -> Array:
    """Weights of leading axes only, over all the axes of the error."""
    shape = weight.shape + (1,) * (error.ndim - weight.ndim)
    return jnp.broadcast_to(weight.reshape(shape), error.shape).astype(error.dtype)
