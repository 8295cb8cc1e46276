"""What a training step will hold in memory, told from shapes before it starts."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from tendency.buckets import Buckets
from tendency.errors import InputError
from tendency.fitting.problem import Free
from tendency.fitting.updates import Plan, Progress
from tendency.lazy_windows import LazyWindows
from tendency.windows import Window

_SMALL = 2**22  # of a batch [bytes]: below it nobody runs out of memory


def check_memory(
    plan: Plan, progress: Progress, losses: Sequence[Any], lazy: Sequence[LazyWindows]
) -> None:
    """Whether a step of training fits into what is free.

    The count is of what the gradient keeps of the roll-out, of the weights with what
    the optimiser holds of them, and of the batch; a compiled program overwrites some of
    it and needs room of its own.

    Arguments:
        losses: of all stages.
        lazy: the windows, where they are read.

    Raises:
        InputError: it does not; the estimate, what is free and what to lower are told.
    """
    windows = lazy[0] if lazy else plan.problem.windows
    each = windows.bytes_of_window
    if each * plan.batch < _SMALL:
        return
    devices = plan.mesh.devices.flat if plan.mesh is not None else jax.local_devices()
    free = available(devices[0])
    if free is None:
        return
    sample = lazy[0].take(np.zeros(plan.batch, int)) if lazy else None
    if isinstance(windows, Buckets):
        sample = windows.longest(plan.batch)
    shares = 1 if plan.mesh is None else plan.mesh.size
    kept = max(activations(plan, progress.free, loss, sample) for loss in losses)
    kept //= shares
    held = size_of((progress.free, progress.free, progress.moments, progress.average))
    needed = kept + held + each * plan.batch // shares
    if needed > free:
        raise InputError(
            f"a training step needs about {_shown(needed)} GB of memory, "
            f"{_shown(kept)} GB of them for the gradient of the roll-out, and "
            f"{_shown(free)} GB are free: lower the batch ({plan.batch}), the "
            "horizon or the width, give the loss checkpoint=True, or train on Patches"
        )


def _shown(size: int) -> str:
    return f"{size / 1e9:.0f}" if size > 1e10 else f"{size / 1e9:.2g}"


def activations(plan: Plan, free: Free, loss: Any, sample: Window | None = None) -> int:
    """What reverse mode keeps of a batch until it comes back to it [bytes].

    With checkpoints it is the carries, and all of the steps that are recomputed at
    once.

    Arguments:
        sample: a batch, where the windows are not in memory.
    """
    kept = _residuals(plan, free, loss, sample)
    part = _recomputed(loss)
    return kept if part is None else kept + _residuals(plan, free, part, sample)


def available(device: Any) -> int | None:
    """The memory that is free on a device [bytes]; `None`: nobody tells.

    Of a processor it is what the system and the limit of its group leave.
    """
    told = device.memory_stats() if device.platform != "cpu" else None
    if told and "bytes_limit" in told:
        return int(told["bytes_limit"]) - int(told.get("bytes_in_use", 0))
    if device.platform != "cpu":
        return None
    found = []
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = meminfo.read_text(encoding="ascii").splitlines()
        found += [int(x.split()[1]) * 1024 for x in lines if x[:12] == "MemAvailable"]
    left = _left_to_group(Path("/sys/fs/cgroup"))
    found += [] if left is None else [left]
    return min(found) if found else None


def _left_to_group(folder: Path) -> int | None:
    """What the limit of a control group leaves; files that it holds make room."""
    names = ("memory.max", "memory.current", "memory.stat")
    if not all((folder / name).exists() for name in names):
        return None
    limit, used, lines = ((folder / n).read_text(encoding="ascii") for n in names)
    if not limit.strip().isdigit():
        return None
    stat = dict(line.split() for line in lines.splitlines())
    files = sum(int(stat.get(f"{kind}_file", 0)) for kind in ("active", "inactive"))
    return int(limit) - int(used) + files


def size_of(tree: PyTree) -> int:
    """The bytes of all arrays, or of the shapes of arrays."""
    leaves = [a for a in jax.tree.leaves(tree) if hasattr(a, "shape")]
    return sum(math.prod(a.shape) * _bytes(a.dtype) for a in leaves)


def _bytes(dtype: Any) -> int:
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return 8
    return np.dtype(dtype).itemsize


def _residuals(plan: Plan, free: Free, loss: Any, sample: Window | None) -> int:
    def back(free: Free, batch: Window | None, key: PRNGKeyArray) -> Any:
        if batch is None:
            index = jnp.arange(plan.batch)
            batch = jax.vmap(lambda i: plan.problem.sample(free, i))(index)
        return jax.vjp(lambda f: plan.sample_loss(f, batch, key, loss), free)[1]

    return size_of(eqx.filter_eval_shape(back, free, sample, plan.key))


def _recomputed(loss: Any) -> Any:
    """The loss of the steps that a checkpoint recomputes at once."""
    if hasattr(loss, "loss"):
        inner = _recomputed(loss.loss)
        return None if inner is None else dataclasses.replace(loss, loss=inner)
    checkpoint = getattr(loss, "checkpoint", False)
    if not checkpoint:
        return None
    horizon = loss.horizon or checkpoint
    steps = 1 if checkpoint is True else min(int(checkpoint), int(horizon))
    return dataclasses.replace(loss, horizon=steps, checkpoint=False)
