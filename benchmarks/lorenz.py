"""What several benchmarks are about: Lorenz-63, and a bilinear model of it."""

from typing import Any

import jax
import jax.numpy as jnp

import tendency
from tendency.networks import Bilinear
from tendency.physics import Lorenz63

DT = 0.01
_PARTS = ("linear.weight", "linear.bias", "left.weight", "left.bias")
_PARTS += ("right.weight", "right.bias", "mixing")


def series(times):
    """So many states on the attractor, 0.01 time units apart."""
    cell = tendency.Integrated(Lorenz63(), DT)
    carry, _ = tendency.forecast(cell, cell.init(jnp.array([1.0, 2.0, 20.0])), 500)
    return tendency.forecast(cell, carry, times)[1]


def bilinear(states):
    """A model of five products before it is fitted."""
    return Bilinear.of(states, 5, key=jax.random.key(0))


def weights(model):
    """The numbers of the model, by name, for the peers to begin with."""
    return {name: _at(model, name).tolist() for name in _PARTS}


def _at(model, name) -> Any:
    for part in name.split("."):
        model = getattr(model, part)
    return model
