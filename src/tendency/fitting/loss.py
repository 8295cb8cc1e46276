"""What a fit brings down: the error of a roll-out against a window of states."""

import abc
import dataclasses
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Constant
from tendency.errors import InputError
from tendency.fitting.rollout import (
    Told,
    check_horizon,
    check_length,
    like,
    roll_out,
)
from tendency.fitting.terms import AbstractTerm
from tendency.networks.maps.patchwork import frame_of
from tendency.windows import Window


class AbstractRolloutLoss(eqx.Module):
    """A loss of forecasts over a horizon, which a curriculum may change."""

    @abc.abstractmethod
    def __call__(
        self, cell: Any, window: Window, *, key: PRNGKeyArray | None = None
    ) -> Float[Array, ""]:
        """Of one window; without a key, as in validation, nothing is drawn anew."""

    @abc.abstractmethod
    def with_horizon(self, horizon: int) -> Self:
        """The same over so many steps."""

    @abc.abstractmethod
    def check(self, cell: Any, length: int, name: str) -> None:
        """Whether the cell suits, and the windows called `name`, of `length` times.

        Raises:
            InputError: it does not, or they are too short.
        """


class RolloutLoss(AbstractRolloutLoss):
    """The weighted mean square of a roll-out's errors over `horizon` steps.

    The cell spins up on the first `cell.spin_up_steps + 1` states of the window and
    runs free over the rest; with `teacher_forcing` each step starts from the observed
    state instead. Where the window carries an `initial` state the roll-out starts there
    and its misfit to the observed one counts too.

    Arguments:
        horizon: steps; `None`: all the window.
        scale: divides the errors [units of the state].
        areas: weights of the components, the same at all times: of an area, a layer's
            mass. They broadcast against the state from the right, (row, 1) of maps, and
            multiply the weights of the windows.
        noise: the deviation of Gaussian noise on the states that the cell reads (the
            history, the start, all of them with `teacher_forcing`) in training, so that
            it learns to mend its own errors [units of the state].
        terms: what else is brought down, of the maps that `frame` lays out.
        frame: by default the cell's own.
        checkpoint: recompute the steps in the gradient, as of `forecast`: less memory.

    Source of `noise`: Sanchez-Gonzalez et al. (2020, arXiv:2002.09405), section 4.3.

    Raises:
        InputError: a horizon below 1.
    """

    horizon: int | None = eqx.field(static=True, default=None)
    teacher_forcing: bool = eqx.field(static=True, default=False)
    scale: Constant | None = None
    areas: Constant | None = None
    noise: Constant | None = None
    terms: tuple[AbstractTerm, ...] = ()
    frame: Any = None
    checkpoint: bool | int = eqx.field(static=True, default=False)

    def __check_init__(self):
        check_horizon(self.horizon)

    def __call__(
        self, cell: AbstractCell, window: Window, *, key: PRNGKeyArray | None = None
    ) -> Float[Array, ""]:
        """Σ w e² / Σ w over lead times and components, and the terms.

        `key` makes steps stochastic and draws the noise.
        """
        told = self._told(cell, window, key)
        errors = self._errors(told)
        pairs = zip(jax.tree.leaves(errors), jax.tree.leaves(told.weights), strict=True)
        sums = [(jnp.sum(w * e**2), jnp.sum(w)) for e, w in pairs]
        total = sum(n for _, n in sums)
        value = sum(s for s, _ in sums) / jnp.where(total > 0, total, 1)  # pyright: ignore
        if not self.terms:
            return value
        frame = frame_of(cell) if self.frame is None else self.frame
        maps = (
            jax.vmap(frame.maps)(told.states),
            jax.vmap(frame.maps)(told.truth),
            jax.vmap(frame.laid_out)(told.weights),
        )
        return value + sum(
            term.weight * term(*maps).astype(value.dtype) for term in self.terms
        )

    def residuals(self, cell: AbstractCell, window: Window) -> PyTree[Array]:
        """√w e, whose sum of squares a least-squares method brings down.

        Raises:
            InputError: there are terms, which are no sums of squares of errors.
        """
        if self.terms:
            raise InputError(
                f"the loss has {len(self.terms)} terms beside the squares of its "
                "errors, least squares cannot take them: leave them out, or fit by "
                "Descent"
            )
        told = self._told(cell, window, None)
        return jax.tree.map(
            lambda e, w: jnp.sqrt(w) * e, self._errors(told), told.weights
        )

    def with_horizon(self, horizon: int) -> Self:
        return dataclasses.replace(self, horizon=horizon)

    def check(self, cell: Any, length: int, name: str) -> None:
        check_length(cell, length, self.horizon, name)
        if self.terms and self.frame is None:
            frame_of(cell)

    def _told(
        self, cell: AbstractCell, window: Window, key: PRNGKeyArray | None
    ) -> Told:
        return roll_out(
            cell,
            window,
            self.horizon,
            teacher_forcing=self.teacher_forcing,
            noise=self.noise,
            areas=self.areas,
            checkpoint=self.checkpoint,
            key=key,
        )

    def _errors(self, told: Told) -> PyTree[Array]:
        errors = jax.tree.map(jnp.subtract, told.states, told.truth)
        if self.scale is None:
            return errors
        return jax.tree.map(
            lambda e, s: e / jnp.broadcast_to(s, e.shape),
            errors,
            like(self.scale.value, errors),
        )
