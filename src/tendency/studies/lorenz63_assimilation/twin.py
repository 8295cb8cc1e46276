"""The data: states to learn from, and segments of a trajectory to be followed."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from tendency.forecasting import forecast
from tendency.integrate import Diffrax, Integrated
from tendency.physics import Lorenz63
from tendency.studies.lorenz63.truth import DT

EVERY = 8  # steps between observations
VARIANCE = 2.0  # of their errors
TIMES = 125  # observations of a segment, which is 10 time units long
_GAP = 300  # steps between two segments, and beyond the training set
_SPIN_UP = 1_000


class Size(eqx.Module):
    """How much of everything: `FULL` is the study, `SMALL` a quick look."""

    train: int = 10_000  # steps
    segments: int = 50
    analog_segments: int = 20  # the first of them: a search at every step is dear
    members: int = 100
    small: bool = False


FULL = Size()
SMALL = Size(train=3_000, segments=8, analog_segments=2, members=40, small=True)


class Twin(eqx.Module):
    """What is learned from, and what is to be found again (segment first)."""

    train: Float[Array, "trained 3"]
    starts: Float[Array, "segment 3"]
    truth: Float[Array, "segment time 3"]  # at the times of the observations
    keys: Key[Array, " segment"]  # one a segment: all models see the same observations


def simulate(size: Size, seed: int) -> Twin:
    """One trajectory, to rounding: the training set, then the segments."""
    cell = Integrated(Lorenz63(), DT, Diffrax(diffrax.Dopri8()), substeps=4)
    start_key, segment_key = jax.random.split(jax.random.key(seed))
    start = jnp.asarray([8.0, 0.0, 30.0]) + jax.random.normal(start_key, (3,))
    carry, _ = forecast(cell, cell.init(start), _SPIN_UP, every=_SPIN_UP)
    length = TIMES * EVERY + _GAP
    _, states = forecast(cell, carry, size.train + _GAP + size.segments * length)
    begins = size.train + _GAP + length * np.arange(size.segments)
    steps = EVERY * np.arange(1, TIMES + 1)
    return Twin(
        states[: size.train],
        states[begins],
        states[begins[:, None] + steps[None]],
        jax.random.split(segment_key, size.segments),
    )


def with_noise(states: Float[Array, "time 3"], std: float, seed: int) -> Array:
    """The training states as they are observed, noise of that standard deviation."""
    return states + std * jax.random.normal(jax.random.key(seed + 1), states.shape)
