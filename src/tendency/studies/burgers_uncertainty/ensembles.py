"""Ensembles of Burgers' equation, and the full covariance along its tangent.

Where an ensemble is there to learn from, its members are drawn so that their mean and
covariance at the start are the prior's (second-order exact sampling: Pham, 2001, Mon.
Weather Rev. 129, 1194). What is left of sampling noise is of third order in the errors.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from tendency.assimilation import Gaussian
from tendency.cell import Carry
from tendency.errors import InputError
from tendency.integrate import Integrated
from tendency.propagation import Members, Propagated, TangentLinear, propagate
from tendency.studies.burgers.setting import BURGERS, DT, POINTS, VARIANCE, line
from tendency.studies.burgers.uncertainty import STEPS, coloured, correlation
from tendency.studies.burgers_uncertainty.setting import EVERY, some_start
from tendency.symbolic.generated import generate

_BATCH = 250


def burgers() -> Integrated:
    """The equation itself, a step at a time."""
    return Integrated(generate(BURGERS, line(POINTS)), DT)


def about(
    starts: list[Float[Array, " x"]], members: int, key: PRNGKeyArray
) -> list[Propagated]:
    """The moments of an ensemble about each initial state, exact at the start.

    Raises:
        InputError: too few members for that.
    """
    cell, method = burgers(), Members(batch=min(members, _BATCH))
    found = []
    for u, one in zip(starts, jax.random.split(key, len(starts)), strict=True):
        first = Carry({"u": matched(u, members, one)})
        found.append(
            propagate(cell, first, STEPS, method, every=EVERY, grid=line(POINTS))
        )
    return found


def matched(
    u: Float[Array, " x"], members: int, key: PRNGKeyArray
) -> Float[Array, "member x"]:
    """States about one, of which mean and covariance are the prior's exactly."""
    if members <= POINTS:
        raise InputError(
            f"{members} members cannot have a given covariance of {POINTS} values: "
            f"give {POINTS + 1} or more"
        )
    white = jax.random.normal(key, (members, POINTS))
    white, _ = jnp.linalg.qr(white - white.mean(0, keepdims=True))
    white = white * jnp.sqrt(jnp.asarray(members - 1.0))
    return u[None] + jnp.sqrt(VARIANCE) * coloured(white)


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
