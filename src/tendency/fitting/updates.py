"""The compiled loop of `Descent`: many updates, epochs and validations in one program.

Everything drawn at random is drawn from the step number, so that the loop may be left
and entered anywhere.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, DTypeLike, Float, Int, PRNGKeyArray, PyTree

from tendency.buckets import Buckets
from tendency.fitting.problem import Free, Problem
from tendency.windows import Window, Windows

_TOGETHER = 2**26  # of windows that are judged together [bytes]


class Progress(eqx.Module):
    """All that changes during a fit, and so what a checkpoint holds."""

    step: Int[Array, ""]
    free: Free
    moments: PyTree[Array]  # the optimiser's
    order: Int[Array, "..."]  # of the windows, or batches, in this epoch
    running_loss: Float[Array, ""]  # summed over the steps of this epoch
    average: Free | None  # of the weights so far, where they are averaged
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
            order=plan.first_order(),
            running_loss=jnp.zeros((), real),
            average=None if plan.ema is None else jax.tree.map(jnp.array, free),
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

    @property
    def chosen(self) -> Free:
        """What is validated and returned."""
        return self.free if self.average is None else self.average


class Plan(eqx.Module):
    """All that stays the same during a fit."""

    problem: Problem
    optimiser: optax.GradientTransformation
    key: PRNGKeyArray
    windows: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    patience: int | None = eqx.field(static=True)  # [epochs]
    mesh: Mesh | None = eqx.field(static=True)  # devices that share a batch
    ema: float | None = eqx.field(static=True, default=None)  # a step
    precision: DTypeLike | None = eqx.field(static=True, default=None)  # of products

    @property
    def steps(self) -> int:
        """Updates in an epoch."""
        windows = self.problem.windows
        if isinstance(windows, Buckets):
            return windows.steps(self.batch)
        return self.windows // self.batch

    def first_order(self) -> Int[Array, "..."]:
        """Of the windows, or batches of buckets, before they are shuffled."""
        if isinstance(self.problem.windows, Buckets):
            return jnp.zeros((self.steps, 1 + self.batch), jnp.int32)
        return jnp.arange(self.windows, dtype=jnp.int32)

    def shuffled(self, order: Array, epoch: Array) -> Array:
        """The order of an epoch."""
        key = epoch_key(self.key, epoch)
        if isinstance(self.problem.windows, Buckets):
            return self.problem.windows.batches(key, self.batch)
        return jax.random.permutation(key, order.shape[0]).astype(order.dtype)

    def slope(
        self, free: Free, order: Array, within: Array, key: PRNGKeyArray, loss
    ) -> tuple[Array, Free]:
        """The mean loss of a batch of this epoch, and its gradient."""
        windows = self.problem.windows
        if not isinstance(windows, Buckets):
            start = within * self.batch
            index = jax.lax.dynamic_slice_in_dim(order, start, self.batch)
            mean = lambda free: self.loss(free, index, key, loss)  # noqa: E731
            return jax.value_and_grad(mean)(free)

        def of(group: int):
            def found(free: Free, index: Array):
                sample = windows.take(group, index)
                mean = lambda f: self.sample_loss(f, sample, key, loss)  # noqa: E731
                return jax.value_and_grad(mean)(free)

            return found

        # The gradient within each branch: that of a choice would hold all of them.
        row = order[within]
        groups = [of(i) for i in range(len(windows.groups))]
        return jax.lax.switch(row[0], groups, free, row[1:])

    def loss(self, free: Free, index: Array, key: PRNGKeyArray, loss) -> Array:
        """The mean loss of the windows at `index`."""
        sample = jax.vmap(lambda i: self.problem.sample(free, i))(index)
        return self.sample_loss(free, sample, key, loss)

    def sample_loss(self, free: Free, sample: Window, key: PRNGKeyArray, loss) -> Array:
        """The mean loss of a batch of windows."""
        if self.mesh is not None:
            shared = NamedSharding(self.mesh, PartitionSpec("batch"))
            sample = jax.lax.with_sharding_constraint(sample, shared)
        cell = self.problem.cell(self.lowered(free))
        keys = jax.random.split(key, self.batch)
        return jax.vmap(lambda w, k: loss(cell, w, key=k))(sample, keys).mean()

    def lowered(self, free: Free) -> Free:
        """The weights in the precision of the products."""
        if self.precision is None:
            return free

        def lower(a):
            real = jnp.issubdtype(a.dtype, jnp.floating)
            return a.astype(self.precision) if real else a

        return Free(jax.tree.map(lower, free.weights), free.initial)

    def validate(self, free: Free) -> Array:
        """The mean loss of the validation windows, deterministic steps."""
        windows, cell = self.problem.validation, self.problem.cell(free)
        if isinstance(windows, Buckets):
            judged = lambda w: self.problem.loss(cell, w, key=None)  # noqa: E731
            found = [
                jax.lax.map(judged, group, batch_size=min(n, 128)).sum()
                for group, n in zip(windows.groups, windows.sizes, strict=True)
            ]
            return sum(found[1:], found[0]) / len(windows)
        assert isinstance(windows, Windows)

        def one(index):
            return self.problem.loss(cell, windows.take(index), key=None)

        index = jnp.arange(len(windows))
        # Small windows many at once, large maps no more than a step of training has.
        many = min(512, _TOGETHER // max(windows.bytes_of_window, 1))
        size = min(len(windows), max(self.batch, many))
        return jax.lax.map(one, index, batch_size=size).mean()


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

        shuffled = lambda order: plan.shuffled(order, epoch)  # noqa: E731
        order = jax.lax.cond(within == 0, shuffled, lambda o: o, now.order)
        now = dataclasses.replace(now, order=order)
        new = updated(
            plan, now, lambda free, key: plan.slope(free, order, within, key, loss)
        )
        ends = ~new.failed & (within == plan.steps - 1)

        def end(p: Progress) -> Progress:
            validate = lambda: plan.validate(p.chosen)  # noqa: E731
            given = plan.problem.validation is not None
            return epoch_end(plan, p, epoch, validate if given else None)

        return jax.lax.cond(ends, end, lambda p: p, new)

    return jax.lax.while_loop(wanted, update, progress)


def epoch_key(key: PRNGKeyArray, epoch: int | Array) -> PRNGKeyArray:
    """The key of the order of the windows in an epoch."""
    return jax.random.fold_in(jax.random.fold_in(key, 0), epoch)


def updated(
    plan: Plan,
    now: Progress,
    slope_of: Callable[[Free, PRNGKeyArray], tuple[Array, Free]],
) -> Progress:
    """One step down; a loss that is not finite moves nothing.

    Arguments:
        slope_of: the loss, and its gradient.
    """
    within = now.step % plan.steps
    key = jax.random.fold_in(jax.random.fold_in(plan.key, 1), now.step)
    value, slope = slope_of(now.free, key)
    value = value.astype(now.running_loss.dtype)  # states may be of double precision
    with jax.numpy_dtype_promotion("standard"):  # Optax cannot do with less
        change, moments = plan.optimiser.update(slope, now.moments, now.free)  # pyright: ignore
        free = optax.apply_updates(now.free, change)  # pyright: ignore
    good = jnp.isfinite(value) & _all_finite(free) & ~now.failed
    average = None
    if plan.ema is not None:
        # A mean over all steps to begin with: the first weights are soon forgotten.
        t = now.step.astype(value.dtype)
        share = jnp.maximum(1 - plan.ema, 1 / (t + 2))

        def toward(old, new):
            return old + share.astype(old.dtype) * (new - old)

        average = jax.tree.map(toward, now.average, free)
    keep = lambda new, old: jnp.where(good, new, old)  # noqa: E731
    free, moments, average = jax.tree.map(
        keep, (free, moments, average), (now.free, now.moments, now.average)
    )
    return dataclasses.replace(
        now,
        step=now.step + good.astype(jnp.int32),
        free=free,
        moments=moments,
        average=average,
        running_loss=jnp.where(within == 0, 0, now.running_loss) + value,
        failed=~good,
    )


def out_of_patience(plan: Plan, progress: Progress) -> Array:
    """Whether the validation loss has not improved for `patience` epochs."""
    done = progress.step // plan.steps
    return done - 1 - progress.best_epoch >= (plan.patience or 0)


def epoch_end(
    plan: Plan, now: Progress, epoch: Array, validate: Callable[[], Array] | None
) -> Progress:
    """The losses of the epoch noted, and its weights kept if they are the best."""
    train = now.train_loss.at[epoch].set(now.running_loss / plan.steps)
    if validate is None:  # nothing to choose by: the latest is kept
        return dataclasses.replace(
            now, train_loss=train, best=now.chosen, best_epoch=epoch
        )
    value = validate().astype(now.best_loss.dtype)
    better = value < now.best_loss
    keep = lambda new, old: jnp.where(better, new, old)  # noqa: E731
    return dataclasses.replace(
        now,
        train_loss=train,
        validation_loss=now.validation_loss.at[epoch].set(value),
        best=jax.tree.map(keep, now.chosen, now.best),
        best_loss=keep(value, now.best_loss),
        best_epoch=keep(epoch, now.best_epoch),
    )


def _all_finite(tree: PyTree[Array]) -> Array:
    return jnp.stack([jnp.isfinite(a).all() for a in jax.tree.leaves(tree)]).all()
