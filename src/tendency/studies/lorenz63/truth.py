"""The data of the study: one long trajectory, and what is cut from it."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tendency.forecasting import forecast
from tendency.integrate import Diffrax, Integrated
from tendency.physics import Lorenz63

DT = 0.01  # [1]
LYAPUNOV = 0.9056  # [1 / time], the leading exponent of the equations
HISTORY = 100  # states before each start, for models with a memory
NOISE = 0.5  # standard deviation of the noisy training set
_SPIN_UP = 500  # steps to reach the attractor
_GAP = 5_000  # steps between the training set and the first test start


class Size(eqx.Module):
    """How much of everything: `full` is the study, `small` a quick look."""

    train: int = 10_000  # steps
    starts: int = 2_000  # of the forecasts over a few steps
    every: int = 47  # steps between two starts
    long_starts: int = 200  # of the forecasts over many Lyapunov times
    long_steps: int = 2_800
    lyapunov_steps: int = 20_000
    windows: int = 12_000  # of the course's comparison
    epochs: int = 100  # of fits by descent [percent]
    small: bool = False


FULL = Size()
SMALL = Size(
    train=4_000,
    starts=400,
    long_starts=40,
    long_steps=2_000,
    lyapunov_steps=4_000,
    windows=2_400,
    epochs=15,
    small=True,
)


class Truth(eqx.Module):
    """What the models learn from, and are tested on (start first, then time)."""

    train: Float[Array, "time 3"]
    noisy: Float[Array, "time 3"]
    histories: Float[Array, "start history 3"]  # the last state is the start
    targets: Float[Array, "start lead 3"]  # leads 1 to 8
    long_histories: Float[Array, "few history 3"]
    long_targets: Float[Array, "few long_lead 3"]
    series: Float[Array, "course 3"]  # of the course's comparison

    @property
    def std(self) -> Float[Array, "3"]:
        """The climatological standard deviation of each component."""
        return self.train.std(0)


def simulate(size: Size, seed: int) -> Truth:
    """Integrate the equations to rounding, and cut the trajectory.

    Dormand and Prince's eighth-order scheme with four substeps errs by less than 1e-13
    a step; the tests hold it against a Taylor series in extended precision.
    """
    cell = Integrated(Lorenz63(), DT, Diffrax(diffrax.Dopri8()), substeps=4)
    start_key, noise_key = jax.random.split(jax.random.key(seed))
    start = jnp.asarray([8.0, 0.0, 30.0]) + jax.random.normal(start_key, (3,))
    carry, _ = forecast(cell, cell.init(start), _SPIN_UP, every=_SPIN_UP)
    test = _GAP + size.starts * size.every + size.long_steps
    steps = size.train + max(test, 10 * size.windows)
    _, states = forecast(cell, carry, steps)
    train, later = states[: size.train], states[size.train :]

    starts = _GAP + size.every * jnp.arange(size.starts)
    few = starts[:: size.starts // size.long_starts]

    def cut(starts, first, last):
        return later[starts[:, None] + jnp.arange(first, last)[None]]

    noise = NOISE * jax.random.normal(noise_key, train.shape)
    return Truth(
        train=train,
        noisy=train + noise,
        histories=cut(starts, -HISTORY, 1),
        targets=cut(starts, 1, 9),
        long_histories=cut(few, -HISTORY, 1),
        long_targets=cut(few, 1, size.long_steps + 1),
        series=later[: 10 * size.windows],
    )
