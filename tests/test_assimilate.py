"""The verb: every cell, in parts, with gaps, under derivatives, refusals and warnings."""

import jax
import jax.numpy as jnp

from tendency import (
    Integrated,
)
from tendency.physics import Lorenz63

KEY = jax.random.key(0)
TRUTH = Integrated(Lorenz63(), 0.01)
START = jnp.array([8.0, 0.0, 30.0])
