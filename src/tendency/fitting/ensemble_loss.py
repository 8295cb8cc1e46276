"""The loss of an ensemble: how far its members, all together, are from the truth."""

import dataclasses
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from tendency.cell import AbstractCell, Constant
from tendency.errors import InputError
from tendency.fitting.fair_crps import fair_crps
from tendency.fitting.loss import AbstractRolloutLoss
from tendency.fitting.rollout import Told, check_horizon, check_length, like, roll_out
from tendency.windows import Window


class EnsembleLoss(AbstractRolloutLoss):
    """The mean fair CRPS of `members` roll-outs, which teaches a cell its own errors.

    The members differ by the draws of a stochastic cell (`Perturbed`, a `MapStepper`
    with `noise`) and by the `noise` added to the states that each of them reads; what
    of these is a weight of the cell is learned. The spread of a cell that does not draw
    comes from `noise` alone.

    Arguments:
        horizon, scale, areas, noise, checkpoint: as of `RolloutLoss`.
        fairness: as of `fair_crps`; a little below 1 (0.95) holds all members.
        seed: of the members in validation, the same in every epoch, so that epochs are
            compared by what they learned and not by what was drawn.

    Sources: Lang et al. (2024, arXiv:2412.15832); Ferro (2014) for the score.

    Raises:
        InputError: fewer than two members, a horizon below 1.
    """

    members: int = eqx.field(static=True, default=4)
    horizon: int | None = eqx.field(static=True, default=None)
    scale: Constant | None = None
    areas: Constant | None = None
    noise: Constant | None = None
    fairness: float = eqx.field(static=True, default=1.0)
    checkpoint: bool | int = eqx.field(static=True, default=False)
    seed: int = eqx.field(static=True, default=0)

    def __check_init__(self):
        check_horizon(self.horizon)
        if self.members < 2:
            raise InputError(
                f"an ensemble of {self.members} member was asked for, at least 2 were "
                "expected: one member has no spread"
            )

    def __call__(
        self, cell: AbstractCell, window: Window, *, key: PRNGKeyArray | None = None
    ) -> Float[Array, ""]:
        """The mean over lead times and components [units of the state over `scale`]."""
        key = jax.random.key(self.seed) if key is None else key

        def member(key: PRNGKeyArray) -> Told:
            return roll_out(
                cell,
                window,
                self.horizon,
                noise=self.noise,
                areas=self.areas,
                checkpoint=self.checkpoint,
                key=key,
            )

        keys = jax.random.split(key, self.members)
        told = jax.vmap(member, out_axes=Told(0, None, None))(keys)  # pyright: ignore

        def score(states, truth, weights, scale):
            scale = jnp.broadcast_to(scale, truth.shape).astype(truth.dtype)
            value = fair_crps(
                states / scale[None], truth / scale, weights, fairness=self.fairness
            )
            return value * jnp.sum(weights), jnp.sum(weights)

        one = jnp.ones(()) if self.scale is None else self.scale.value
        scored = jax.tree.map(score, *told, like(one, told.truth))
        pairs = jax.tree.leaves(scored)
        total = sum(pairs[1::2])
        return sum(pairs[::2]) / jnp.where(total > 0, total, 1)  # pyright: ignore

    def with_horizon(self, horizon: int) -> Self:
        return dataclasses.replace(self, horizon=horizon)

    def check(self, cell: Any, length: int, name: str) -> None:
        check_length(cell, length, self.horizon, name)
