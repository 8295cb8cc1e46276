"""What ensembles and gradients cost."""

import resource
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from tendency.forecasting import forecast
from tendency.studies.burgers.setting import CLOSURE, POINTS, start
from tendency.studies.burgers.uncertainty import STEPS
from tendency.studies.burgers_uncertainty.setting import closed_by, prior


class Cost(NamedTuple):
    """Of a computation, compilation included."""

    cpu: float  # [s]
    wall: float  # [s]
    memory: float  # by which the largest memory of the process grew [MB]


def measured(compute: Callable[[], Any]) -> tuple[Any, Cost]:
    """What it gives and costs."""
    cpu, wall, memory = time.process_time(), time.perf_counter(), _largest()
    found = jax.block_until_ready(compute())
    return found, Cost(
        time.process_time() - cpu, time.perf_counter() - wall, _largest() - memory
    )


def gradient(repeats: int = 3) -> float:
    """CPU seconds of all steps with a gradient by a, b, c and the start, compiled."""

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def loss(both):
        cell, state = both
        end, _ = forecast(cell, cell.init(state), STEPS, every=STEPS)
        return jnp.mean(end.state["V"])

    both = closed_by(CLOSURE, 1), prior(start(POINTS))
    jax.block_until_ready(loss(both))
    return min(measured(lambda: loss(both))[1].cpu for _ in range(repeats))


def _largest() -> float:
    """The largest memory so far [MB]."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
