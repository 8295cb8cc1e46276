"""The data of the benchmarks: a long trajectory of Lorenz-63 in float32."""

import jax.numpy as jnp

import tendency
from tendency.physics import Lorenz63


def series(times):
    """So many states on the attractor, 0.01 time units apart."""
    cell = tendency.Integrated(Lorenz63(), 0.01)
    carry, _ = tendency.forecast(cell, cell.init(jnp.array([1.0, 2.0, 20.0])), 500)
    return tendency.forecast(cell, carry, times)[1]
