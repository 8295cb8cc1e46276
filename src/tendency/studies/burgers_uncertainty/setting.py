"""Initial states, the equations of uncertainty, and what is unknown in them."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from tendency.integrate import Integrated
from tendency.networks import ScalarMLP
from tendency.studies.burgers.setting import (
    BURGERS,
    CLOSURE,
    DT,
    END,
    LENGTH,
    POINTS,
    VARIANCE,
    line,
)
from tendency.symbolic.bounds import Interval
from tendency.symbolic.generated import generate
from tendency.symbolic.moments import Moments, moments
from tendency.symbolic.system import System
from tendency.symbolic.unknowns import Pointwise, Scalar, Unknown
from tendency.symbolic.well_posed import kept_well_posed

AUTHORS = (0.933, 0.752, -1.804)  # a, b, c from single steps of 400 x 400 members
EVERY = 25  # steps between the times that are compared
TIMES = round(END / DT) // EVERY  # after the start
LAW = "C = a*d_xx nu/nu^2 + b/nu^2 + c*(d_x nu)^2/nu^3"
WIDER = f"{LAW} + d*d_xx V/(nu*V) + e*(d_x V)^2/(nu*V^2)"
SEEN = {  # by the network, without units, and typical sizes
    "(d_x nu)^2/nu": 0.1,
    "nu*d_xx V/V": 0.5,
    "nu*(d_x V)^2/V^2": 0.3,
}
_HIDDEN = 4


class Size(NamedTuple):
    """How much is computed."""

    members: int  # of the ensemble that all are compared to
    sets: int  # of single steps
    set_members: int
    training: int  # initial states of roll-outs
    calibration: int  # that networks do not see
    held_out: int
    state_members: int  # of the ensemble about each of these
    networks: int
    shown: int  # training states that each of them sees
    iterations: int  # of a fit through roll-outs
    modes: int  # of the covariance


FULL = Size(100_000, 40, 400, 10, 10, 10, 1_000, 4, 6, 12, 120)
SMALL = Size(1_000, 2, 100, 2, 1, 1, 250, 2, 1, 2, 40)


@functools.cache
def derived() -> Moments:
    """The equations of mean, variance and aspect, C open."""
    return moments(BURGERS)


@functools.cache
def unknown(law: str = LAW) -> System:
    """With the numbers a, b, c of a closure to be found, and d, e of a wider one.

    They start from the theory and stay within the bounds of well-posedness.
    """
    values = dict(zip("abcde", (*CLOSURE, 0.0, 0.0), strict=True))
    names = "abcde" if law == WIDER else "abc"
    found: dict[str, Unknown] = {name: Scalar(values[name]) for name in names}
    return kept_well_posed(derived().system(law, unknowns=found))


def with_network(key: PRNGKeyArray) -> System:
    """The closure of theory and a network W beside it, which starts at zero.

    W sees what has no units, and not ∂ₓₓν, so that a alone decides whether the
    equations are well-posed.
    """
    sizes = [*SEEN.values()]
    network = ScalarMLP(len(SEEN), _HIDDEN, 1, scales=sizes, key=key, dtype=float)
    learned = Pointwise([*SEEN], network, Interval(-1.0, 1.0))
    unknowns = {**unknown().unknowns, "W": learned}
    return derived().system(f"{LAW} + W/nu^2", unknowns=unknowns)


def cell_of(system: System, every: int = EVERY) -> Integrated:
    """So many steps at a time, by differences of order 2."""
    model = generate(system, line(POINTS))
    return Integrated(model, every * DT, substeps=every)


def closed_by(values: tuple[float, ...], every: int = EVERY) -> Integrated:
    """The equations with these a, b, c, which are unknowns still."""
    system, found = unknown(), {}
    for name, value in zip("abc", values, strict=True):
        one = system.unknowns[name]
        assert isinstance(one, Scalar)
        found[name] = Scalar(value, one.bounds)
    return cell_of(system._replace(unknowns=found), every)


def prior(u: Float[Array, " x"]) -> dict[str, Float[Array, " x"]]:
    """The moments at the start: errors of one variance and length-scale."""
    return {
        "u": jnp.asarray(u),
        "V": jnp.full_like(u, VARIANCE),
        "nu": jnp.full_like(u, LENGTH**2 / 2),
    }


def some_start(key: PRNGKeyArray) -> Float[Array, " x"]:
    """One of many initial states: a wave of any phase and a shorter, smaller one."""
    size, phase = jax.random.split(key)
    size = np.asarray(jax.random.uniform(size, (2,)))
    phase = 2 * np.pi * np.asarray(jax.random.uniform(phase, (2,)))
    x = 2 * np.pi * np.asarray(line(POINTS).axes[0].positions())
    large, small = 0.18 + 0.09 * size[0], 0.04 * size[1]
    waves = large * np.cos(x + phase[0]) + small * np.cos(2 * x + phase[1])
    return jnp.asarray(0.25 + waves)
