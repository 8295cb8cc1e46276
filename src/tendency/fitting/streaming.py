"""The loop of `Descent` over windows that are read while it runs.

The host hands the device one batch after the other, each read ahead by threads, and
waits for the device two steps behind: it computes while the host reads on. The updates,
their keys and what is noted of an epoch are those of the loop over windows in memory.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from tendency.errors import InputError
from tendency.fitting.problem import Free, Problem
from tendency.fitting.updates import Plan, Progress, epoch_end, epoch_key, updated
from tendency.lazy_windows import LazyWindows
from tendency.windows import Window

_IN_FLIGHT = 2  # steps that the host is ahead of the device


def in_memory(problem: Problem) -> tuple[Problem, list[LazyWindows]]:
    """The problem without the windows that are read, and these: training, validation.

    Raises:
        InputError: the validation windows are read and the training ones are not.
    """
    windows, validation = problem.windows, problem.validation
    if not isinstance(windows, LazyWindows):
        if isinstance(validation, LazyWindows):
            raise InputError(
                "the validation windows are lazy and the training ones in memory: "
                "give LazyWindows for both, or Windows for the validation"
            )
        return problem, []
    lazy = [w for w in (windows, validation) if isinstance(w, LazyWindows)]
    held = None if isinstance(validation, LazyWindows) else validation
    return Problem(problem.fixed, None, problem.loss, held), lazy


def stream(
    plan: Plan,
    lazy: Sequence[LazyWindows],
    progress: Progress,
    epochs: int,
    stage: Callable[[Any, int], tuple[Any, int]],
    after: Callable[[Progress, int], bool],
) -> Progress:
    """Update until the last epoch, or until there is no use in going on.

    Arguments:
        lazy: the windows, and those of the validation where they are lazy too.
        stage: the loss of an epoch, from that of the plan.
        after: told the progress and the step, after each step; whether to go on.
    """
    windows, validation = lazy[0], lazy[1] if len(lazy) > 1 else None
    step = int(progress.step)
    if step == epochs * plan.steps:
        return progress
    flying: deque[Array] = deque()
    drawn = _indices(plan, windows, step, epochs)
    batches = windows.batches(drawn)
    try:
        for sample in batches:
            epoch = step // plan.steps
            loss, _ = stage(plan.problem.loss, epoch)
            progress, value = _update((plan, loss, sample), progress)
            flying.append(value)
            if len(flying) > _IN_FLIGHT:
                flying.popleft().block_until_ready()
            step += 1
            if step % plan.steps == 0 and not bool(progress.failed):
                judged = _judged(plan, validation, progress.chosen)
                progress = _end((plan, jnp.asarray(epoch), judged), progress)
            if not after(progress, step):
                break
    finally:
        batches.close()  # pyright: ignore
    return progress


def _indices(
    plan: Plan, windows: LazyWindows, step: int, epochs: int
) -> Iterator[Int[np.ndarray, " batch"]]:
    """The windows of each step from `step` on."""
    for epoch in itertools.count(step // plan.steps):
        if epoch == epochs:
            return
        order = windows.order(epoch_key(plan.key, epoch))
        for within in range(step % plan.steps, plan.steps):
            yield order[within * plan.batch : (within + 1) * plan.batch]
        step = 0


@eqx.filter_jit(donate="all-except-first")
def _update(fixed: tuple[Plan, Any, Window], progress: Progress):
    plan, loss, sample = fixed
    mean = lambda free, key: plan.sample_loss(free, sample, key, loss)  # noqa: E731
    new = updated(plan, progress, jax.value_and_grad(mean))
    return new, new.running_loss + 0  # of its own, as the progress is given away


@eqx.filter_jit(donate="all-except-first")
def _end(fixed: tuple[Plan, Array, Array | None], progress: Progress) -> Progress:
    plan, epoch, value = fixed
    validate = None if value is None else lambda: value
    return epoch_end(plan, progress, epoch, validate)


def _judged(plan: Plan, validation: LazyWindows | None, free: Free) -> Array | None:
    """The mean loss of the validation windows."""
    if validation is None:
        return None if plan.problem.validation is None else _validate(plan, free)
    size = min(plan.batch, len(validation))
    places = [
        np.arange(i, i + size) % len(validation)
        for i in range(0, len(validation), size)
    ]
    found = [
        np.asarray(_losses((plan, sample), free))
        for sample in validation.batches(iter(places))
    ]
    return jnp.asarray(np.concatenate(found)[: len(validation)].mean())


@eqx.filter_jit
def _validate(plan: Plan, free: Free) -> Array:
    return plan.validate(free)


@eqx.filter_jit
def _losses(fixed: tuple[Plan, Window], free: Free) -> Float[Array, " batch"]:
    plan, sample = fixed
    cell = plan.problem.cell(free)
    return jax.vmap(lambda w: plan.problem.loss(cell, w, key=None))(sample)
