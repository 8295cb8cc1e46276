"""Stochastic gradient descent: the method, and the host's side of its loop."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import DTypeLike

from tendency.buckets import Buckets
from tendency.errors import InputError
from tendency.fitting.checkpoint import Checkpoints, fingerprint
from tendency.fitting.loss import AbstractRolloutLoss
from tendency.fitting.memory import check_memory
from tendency.fitting.problem import (
    AbstractMethod,
    Diverged,
    Fitted,
    Free,
    Problem,
    Run,
)
from tendency.fitting.streaming import in_memory, stream
from tendency.fitting.updates import Plan, Progress, advance, out_of_patience


class Descent(AbstractMethod):
    """Mini-batch gradient descent by any Optax optimiser.

    Batches are drawn on the device without replacement, epoch by epoch; the windows
    that do not fill a last batch are left out of that epoch. `LazyWindows` are read by
    the host while the device works on the batches before. A batch of `Buckets` holds
    samples of one of them.

    The weights returned are those of the epoch with the smallest validation loss, or
    the last ones where there is no validation data.

    Arguments:
        curriculum: (epoch, horizon) pairs: from that epoch on the roll-out of the
            training loss has that horizon. Validation keeps the loss's own.
        patience: stop after so many epochs without a better validation loss.
        checkpoint_every: write a checkpoint every so many steps; by default a few times
            a second at most.
        devices: share each batch among these; by default among all local devices
            where their number divides the batch.
        ema: the decay a step, 0.999 say, of a running mean of the weights, which is
            then what is validated and returned; over fewer than 1 / (1 - ema) steps it
            is their mean.
        precision: the type to which the weights are cast for the training loss,
            `jnp.bfloat16`: networks on maps multiply in it. The weights themselves, the
            optimiser, statistics, states and the validation keep their own.

    Raises:
        InputError: a step needs more memory than is free; a number below 1, an `ema`
            that is no decay; more devices asked for than divide the batch; a horizon of
            the curriculum longer than the windows.
    """

    optimiser: optax.GradientTransformation
    epochs: int = eqx.field(static=True)
    batch: int = eqx.field(static=True, default=32)
    curriculum: tuple[tuple[int, int], ...] = eqx.field(static=True, default=())
    patience: int | None = eqx.field(static=True, default=None)  # [epochs]
    checkpoint_every: int | None = eqx.field(static=True, default=None)  # [steps]
    devices: tuple[Any, ...] | None = eqx.field(static=True, default=None)
    ema: float | None = eqx.field(static=True, default=None)  # a step
    precision: DTypeLike | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        for name in ("epochs", "batch", "patience", "checkpoint_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}, at least 1 was expected")
        if self.ema is not None and not 0 < self.ema < 1:
            raise InputError(
                f"ema is {self.ema}, a decay between 0 and 1 was expected: 0.999 is a "
                "mean over about 1,000 steps"
            )

    def solve(self, problem: Problem, free: Free, run: Run) -> Fitted:
        if self.patience is not None and problem.validation is None:
            raise InputError(
                "patience stops a fit by its validation loss and no validation data "
                "were given: give some, or leave patience out"
            )
        self._check_curriculum(problem, free)
        windows = problem.windows
        sizes = windows.sizes if isinstance(windows, Buckets) else (len(windows),)
        batch = min(self.batch, *sizes)
        mesh = self._mesh(batch)
        held, lazy = in_memory(problem)
        plan = Plan(
            held,
            self.optimiser,
            run.key,
            len(problem.windows),
            batch,
            self.patience,
            mesh,
            self.ema,
            self.precision,
        )
        progress = Progress.start(plan, free, self.epochs)
        begun = [0, *(start for start, _ in self.curriculum if start < self.epochs)]
        losses = [self._stage(problem.loss, epoch)[0] for epoch in begun]
        check_memory(plan, progress, losses, lazy)
        checkpoints = None
        if run.directory is not None:
            settings = (self.epochs, batch, self.curriculum, self.patience)
            settings += (self.ema, str(self.precision))
            settings += tuple(windows.digest() for windows in lazy)
            mark = fingerprint(held, self.optimiser, run.key, free, settings)
            checkpoints = Checkpoints(
                run.directory,
                mark,
                lambda now: _figures(now, 0, now.epoch(plan.steps)),
            )
            progress = checkpoints.resume(progress)
        if mesh is not None:
            everywhere = NamedSharding(mesh, PartitionSpec())
            plan, progress = eqx.filter_shard((plan, progress), everywhere)
        if lazy:
            after = self._after(plan, progress, run, checkpoints)
            progress = stream(plan, lazy, progress, self.epochs, self._stage, after)
        else:
            progress = self._loop(plan, progress, run, checkpoints)
        return self._fitted(plan, progress, problem.validation is not None)

    def _check_curriculum(self, problem: Problem, free: Free) -> None:
        if self.curriculum and not isinstance(problem.loss, AbstractRolloutLoss):
            raise InputError(
                "a curriculum changes the horizon of a RolloutLoss and the loss is "
                f"{problem.loss!r}: use RolloutLoss, or leave the curriculum out"
            )
        for _, horizon in self.curriculum:
            stage = problem.loss.with_horizon(horizon)
            stage.check(problem.cell(free), problem.windows.length, "training")

    def _mesh(self, batch: int) -> jax.sharding.Mesh | None:
        devices = self.devices or tuple(jax.local_devices())
        if batch % len(devices):
            if self.devices is None:
                return None
            raise InputError(
                f"{len(devices)} devices cannot share batches of {batch}: choose a "
                "batch that their number divides"
            )
        if len(devices) == 1:
            return None
        return jax.make_mesh(
            (len(devices),), ("batch",), (AxisType.Auto,), devices=devices
        )

    def _stage(self, loss: Any, epoch: int) -> tuple[Any, int]:
        """The training loss at `epoch`, and the epoch at which it changes."""
        begun = [
            (start, horizon) for start, horizon in self.curriculum if start <= epoch
        ]
        ahead = [start for start, _ in self.curriculum if start > epoch]
        if begun:
            loss = loss.with_horizon(max(begun)[1])
        return loss, min([self.epochs, *ahead])

    def _loop(
        self, plan: Plan, progress: Progress, run: Run, checkpoints: Checkpoints | None
    ) -> Progress:
        """Give the device as many steps at a time as the host can do without."""
        told = run.report is not None or run.watch is not None
        watched = checkpoints is not None or told
        stretch = plan.steps if watched else self.epochs * plan.steps
        step = int(progress.step)
        while step < self.epochs * plan.steps:
            loss, stage_end = self._stage(plan.problem.loss, step // plan.steps)
            stop = min(step + stretch, stage_end * plan.steps)
            if checkpoints is not None and self.checkpoint_every is not None:
                passed = step // self.checkpoint_every
                stop = min(stop, (passed + 1) * self.checkpoint_every)
            began, epoch = time.perf_counter(), step // plan.steps
            progress = advance((plan, loss, jnp.asarray(stop, jnp.int32)), progress)
            step = int(progress.step)
            if time.perf_counter() - began < 0.3:
                stretch *= 2
            figures = _figures(progress, epoch, step // plan.steps)
            if checkpoints is not None:
                due = self.checkpoint_every is None or step % self.checkpoint_every == 0
                if due or step != stop or step == self.epochs * plan.steps:
                    checkpoints.save(progress)
                checkpoints.log(figures)
            self._tell(plan, progress, run, figures)
            if step < stop:  # out of patience, or the loss is not finite
                break
        return progress

    def _after(
        self, plan: Plan, progress: Progress, run: Run, checkpoints: Checkpoints | None
    ) -> Callable[[Progress, int], bool]:
        """What is done after a step of windows that are read: whether to go on."""
        every, last = self.checkpoint_every, self.epochs * plan.steps
        noted = progress.epoch(plan.steps)

        def after(now: Progress, step: int) -> bool:
            nonlocal noted
            ends = step % plan.steps == 0
            due = ends if every is None else step % every == 0
            if not (ends or due):
                return True
            failed, done = bool(now.failed), now.epoch(plan.steps)
            figures, noted = _figures(now, noted, done), done
            tired = self.patience is not None and bool(out_of_patience(plan, now))
            if checkpoints is not None:
                if due or failed or tired or step == last:
                    checkpoints.save(now)
                checkpoints.log(figures)
            self._tell(plan, now, run, figures)
            return not (failed or tired)

        return after

    def _tell(self, plan: Plan, now: Progress, run: Run, figures: list) -> None:
        """Who asked for it of the latest epoch."""
        if not figures:
            return
        if run.report is not None:
            run.report({**figures[-1], "epochs": self.epochs})
        if run.watch is not None:
            run.watch(int(figures[-1]["epoch"]), plan.problem.cell(now.chosen))

    def _fitted(self, plan: Plan, progress: Progress, validated: bool) -> Fitted:
        epochs = progress.epoch(plan.steps)
        history = {"train_loss": np.asarray(progress.train_loss)[:epochs]}
        if validated:
            history["validation_loss"] = np.asarray(progress.validation_loss)[:epochs]
        best = progress.best if epochs else progress.chosen
        cell = plan.problem.cell(best)
        fitted = Fitted(cell, history, int(progress.best_epoch), best.initial)
        if bool(progress.failed):
            raise Diverged(
                f"the loss or the weights stopped being finite at step "
                f"{int(progress.step)} (epoch {epochs}): try a smaller learning rate, "
                "clip the gradient (optax.clip_by_global_norm), shorten the horizon or "
                "check the units of the data; the best model before that is kept",
                fitted,
            )
        return fitted


def _figures(progress: Progress, first: int, last: int) -> list[Mapping[str, float]]:
    """One record an epoch, for the log and the progress display."""
    train = np.asarray(progress.train_loss)
    validation = np.asarray(progress.validation_loss)
    return [
        {"epoch": epoch, "train_loss": float(train[epoch])}
        | (
            {"validation_loss": float(validation[epoch])}
            if np.isfinite(validation[epoch])
            else {}
        )
        for epoch in range(first, last)
    ]
