"""Ensembles of Burgers' equation, and the full covariance along its tangent."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from tendency.assimilation import Gaussian
from tendency.cell import Carry
from tendency.integrate import Integrated
from tendency.propagation import Members, Propagated, TangentLinear, propagate
from tendency.studies.burgers.setting import BURGERS, DT, POINTS, VARIANCE, line
from tendency.studies.burgers.uncertainty import STEPS, correlation, perturbed
from tendency.studies.burgers_uncertainty.setting import EVERY, some_start
from tendency.symbolic.generated import generate

_BATCH = 250


def burgers() -> Integrated:
    """The equation itself, a step at a time."""
    return Integrated(generate(BURGERS, line(POINTS)), DT)


def about(
    starts: list[Float[Array, " x"]], members: int, key: PRNGKeyArray
) -> list[Propagated]:
    """The moments of an ensemble about each initial state."""
    cell, method = burgers(), Members(batch=min(members, _BATCH))
    found = []
    for u, one in zip(starts, jax.random.split(key, len(starts)), strict=True):
        first = Carry({"u": perturbed(u, members, one)})
        found.append(
            propagate(cell, first, STEPS, method, every=EVERY, grid=line(POINTS))
        )
    return found


def some_starts(count: int, key: PRNGKeyArray) -> list[Float[Array, " x"]]:
    """So many initial states."""
    return [some_start(one) for one in jax.random.split(key, count)]


def full_covariance(u: Float[Array, " x"], modes: int) -> Propagated:
    """By its leading modes along the tangent, the mean to second order."""
    x = np.arange(POINTS)
    covariance = VARIANCE * correlation()[(x[:, None] - x[None, :]) % POINTS]
    cell = burgers()
    start = Gaussian(cell.init({"u": u}), jnp.asarray(covariance))
    method = TangentLinear(modes)
    return propagate(cell, start, STEPS, method, every=EVERY, grid=line(POINTS))


def moments_of(run: Propagated) -> dict[str, Float[np.ndarray, "time x"]]:
    """u, V and ν, as the equations have them."""
    length = np.asarray(run.length["u"])[:, 0]
    return {
        "u": np.asarray(run.mean["u"]),
        "V": np.asarray(run.variance["u"]),
        "nu": length**2 / 2,
    }
