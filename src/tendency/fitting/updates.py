"""The compiled loop of `Descent`: many updates, epochs and validations in one program.

Everything drawn at random is drawn from the step number, so that the loop may be left
and entered anywhere.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from tendency.fitting.problem import Free, Problem


class Progress(eqx.Module):
    """All that changes during a fit, and so what a checkpoint holds."""

    step: Int[Array, ""]
    free: Free
    moments: PyTree[Array]  # the optimiser's
    order: Int[Array, " window"]  # of the windows in this epoch
    running_loss: Float[Array, ""]  # summed over the steps of this epoch
    best: Free
    best_loss: Float[Array, ""]
    best_epoch: Int[Array, ""]
    train_loss: Float[Array, " epoch"]
    validation_loss: Float[Array, " epoch"]
    failed: Bool[Array, ""]  # the loss was not finite

    @classmethod
    def start(cls, plan: "Plan", free: Free, epochs: int) -> "Progress":
        """Before the first step."""
        real = jnp.result_type(*jax.tree.leaves(free.weights))
        unknown = jnp.full(epochs, jnp.nan, real)
        return cls(
            step=jnp.zeros((), jnp.int32),
            free=free,
            moments=plan.optimiser.init(free),  # pyright: ignore
            order=jnp.arange(len(plan.problem.windows), dtype=jnp.int32),
            running_loss=jnp.zeros((), real),
            best=jax.tree.map(jnp.array, free),
            best_loss=jnp.asarray(jnp.inf, real),
            best_epoch=jnp.asarray(-1, jnp.int32),
            train_loss=unknown,
            validation_loss=unknown.copy(),
            failed=jnp.asarray(False),
        )

    def epoch(self, steps: int) -> int:
        """How many epochs of `steps` updates are done."""
        return int(self.step) // steps


class Plan(eqx.Module):
    """All that stays the same during a fit."""

    problem: Problem
    optimiser: optax.GradientTransformation
    key: PRNGKeyArray
    batch: int = eqx.field(static=True)
    patience: int | None = eqx.field(static=True)  # [epochs]
    mesh: Mesh | None = eqx.field(static=True)  # devices that share a batch

    @property
    def steps(self) -> int:
        """Updates in an epoch."""
        return len(self.problem.windows) // self.batch

    def loss(self, free: Free, index: Array, key: PRNGKeyArray, loss) -> Array:
        """The mean loss of the windows at `index`."""
        sample = jax.vmap(lambda i: self.problem.sample(free, i))(index)
        if self.mesh is not None:
            shared = NamedSharding(self.mesh, PartitionSpec("batch"))
            sample = jax.lax.with_sharding_constraint(sample, shared)
        cell = self.problem.cell(free)
        keys = jax.random.split(key, self.batch)
        return jax.vmap(lambda w, k: loss(cell, w, key=k))(sample, keys).mean()

    def validate(self, free: Free) -> Array:
        """The mean loss of the validation windows, deterministic steps."""
        windows, cell = self.problem.validation, self.problem.cell(free)
        assert windows is not None

        def one(index):
            return self.problem.loss(cell, windows.take(index), key=None)

        index = jnp.arange(len(windows))
        return jax.lax.map(one, index, batch_size=min(len(windows), 512)).mean()


@eqx.filter_jit(donate="all-except-first")
def advance(fixed: tuple[Plan, Any, Array], progress: Progress) -> Progress:
    """Update until the step given, the end of patience or a loss that is not finite.

    `fixed` holds the plan, the loss of this stage and the step to stop at; the last is
    an array, so that one program serves every stretch.
    """
    plan, loss, stop = fixed

    def wanted(now: Progress):
        go_on = (now.step < stop) & ~now.failed
        return go_on if plan.patience is None else go_on & ~out_of_patience(plan, now)

    def update(now: Progress) -> Progress:
        epoch, within = now.step // plan.steps, now.step % plan.steps

        def shuffled(order):
            key = jax.random.fold_in(jax.random.fold_in(plan.key, 0), epoch)
            return jax.random.permutation(key, order.shape[0]).astype(order.dtype)

        order = jax.lax.cond(within == 0, shuffled, lambda o: o, now.order)
        index = jax.lax.dynamic_slice_in_dim(order, within * plan.batch, plan.batch)
        key = jax.random.fold_in(jax.random.fold_in(plan.key, 1), now.step)
        value, slope = jax.value_and_grad(plan.loss)(now.free, index, key, loss)
        with jax.numpy_dtype_promotion("standard"):  # Optax cannot do with less
            change, moments = plan.optimiser.update(slope, now.moments, now.free)  # pyright: ignore
            free = optax.apply_updates(now.free, change)  # pyright: ignore
        good = jnp.isfinite(value) & _all_finite(free)
        keep = lambda new, old: jnp.where(good, new, old)  # noqa: E731
        free, moments = jax.tree.map(keep, (free, moments), (now.free, now.moments))
        running = jnp.where(within == 0, 0, now.running_loss) + value
        new = dataclasses.replace(
            now,
            step=now.step + good.astype(jnp.int32),
            free=free,
            moments=moments,
            order=order,
            running_loss=running,
            failed=~good,
        )
        ends = good & (within == plan.steps - 1)
        return jax.lax.cond(
            ends, lambda p: _epoch_end(plan, p, epoch), lambda p: p, new
        )

    return jax.lax.while_loop(wanted, update, progress)


def out_of_patience(plan: Plan, progress: Progress) -> Array:
    """Whether the validation loss has not improved for `patience` epochs."""
    done = progress.step // plan.steps
    return done - 1 - progress.best_epoch >= (plan.patience or 0)


def _epoch_end(plan: Plan, now: Progress, epoch: Array) -> Progress:
    train = now.train_loss.at[epoch].set(now.running_loss / plan.steps)
    if plan.problem.validation is None:  # nothing to choose by: the latest is kept
        return dataclasses.replace(
            now, train_loss=train, best=now.free, best_epoch=epoch
        )
    value = plan.validate(now.free)
    better = value < now.best_loss
    keep = lambda new, old: jnp.where(better, new, old)  # noqa: E731
    return dataclasses.replace(
        now,
        train_loss=train,
        validation_loss=now.validation_loss.at[epoch].set(value),
        best=jax.tree.map(keep, now.free, now.best),
        best_loss=keep(value, now.best_loss),
        best_epoch=keep(epoch, now.best_epoch),
    )


def _all_finite(tree: PyTree[Array]) -> Array:
    return jnp.stack([jnp.isfinite(a).all() for a in jax.tree.leaves(tree)]).all()
