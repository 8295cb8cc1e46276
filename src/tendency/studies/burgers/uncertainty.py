"""The mean, variance and length-scale of errors, by equations and by an ensemble."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from tendency.forecasting import forecast
from tendency.integrate import Integrated
from tendency.studies.burgers.setting import (
    BURGERS,
    DT,
    END,
    KAPPA,
    LENGTH,
    POINTS,
    UNCERTAIN,
    VARIANCE,
    line,
    start,
)
from tendency.symbolic.generated import Generated, generate

STEPS = round(END / DT)
EVERY = 50  # steps between what is kept
_BATCH = 400  # members at a time


class Moments(NamedTuple):
    """Of the errors, at several times."""

    mean: Float[np.ndarray, "time x"]
    variance: Float[np.ndarray, "time x"]
    length: Float[np.ndarray, "time x"]  # of the correlation


def equations() -> Generated:
    """The three equations, by differences of order 2."""
    return generate(UNCERTAIN, line(POINTS))


def by_equations() -> Moments:
    """One integration of the three fields."""
    u = start(POINTS)
    state = {
        "u": u,
        "V": jnp.full_like(u, VARIANCE),
        "nu": jnp.full_like(u, LENGTH**2 / 2),
    }
    cell = Integrated(equations(), DT)
    _, saved = forecast(cell, cell.init(state), STEPS, every=EVERY)
    every = {k: np.concatenate([state[k][None], saved[k]]) for k in state}
    return Moments(every["u"], every["V"], np.sqrt(2 * every["nu"]))


def heat_errors() -> tuple[float, float]:
    """Relative errors of V and ν where both are known: u = 0, nothing varies.

    Then ν = ν₀ + 2κt and V = V₀ √(ν₀ / ν).
    """
    one, nu = jnp.ones(POINTS), LENGTH**2 / 2
    state = {"u": 0 * one, "V": VARIANCE * one, "nu": nu * one}
    cell = Integrated(equations(), DT)
    carry, _ = forecast(cell, cell.init(state), STEPS, every=STEPS)
    exact = nu + 2 * KAPPA * END
    variance = VARIANCE * np.sqrt(nu / exact)
    last = jax.tree.map(np.asarray, carry.state)
    return (
        float(np.abs(last["V"] / variance - 1).max()),
        float(np.abs(last["nu"] / exact - 1).max()),
    )


def by_ensemble(members: int, key: PRNGKeyArray) -> Moments:
    """As many perturbed integrations of Burgers' equation, in batches."""
    cell = Integrated(generate(BURGERS, line(POINTS)), DT)
    keys = jax.random.split(key, max(1, members // _BATCH))
    size = members // len(keys)
    first = start(POINTS)
    runs = [np.asarray(_members(cell, first, size, k)) for k in keys]
    u = np.concatenate(runs)  # member, time, x
    return moments_of(u)


def moments_of(u: Float[np.ndarray, "member time x"]) -> Moments:
    """Of the members of an ensemble; slopes by central differences."""
    mean = u.mean(axis=0)
    errors = u - mean
    variance = (errors**2).sum(axis=0) / (len(u) - 1)
    normal = errors / np.sqrt(variance)
    slope = (np.roll(normal, -1, -1) - np.roll(normal, 1, -1)) * POINTS / 2
    return Moments(mean, variance, 1 / np.sqrt((slope**2).mean(axis=0)))


@eqx.filter_jit
def _members(
    cell, u: Float[Array, " x"], size: int, key: PRNGKeyArray
) -> Float[Array, "member time x"]:
    first = perturbed(u, size, key)

    def run(one):
        _, saved = forecast(cell, cell.init({"u": one}), STEPS, every=EVERY)
        return jnp.concatenate([one[None], saved["u"]])

    return jax.vmap(run)(first)


def perturbed(
    u: Float[Array, " x"], size: int, key: PRNGKeyArray
) -> Float[Array, "member x"]:
    """So many states about one, with errors of the given variance and length-scale."""
    return u[None] + jnp.sqrt(VARIANCE) * _correlated(size, key)


def _correlated(size: int, key: PRNGKeyArray) -> Float[Array, "member x"]:
    """Noise of variance 1 whose correlation is exp(-r² / (2 LENGTH²)), periodic."""
    x = np.arange(POINTS) / POINTS
    r = np.minimum(x, 1 - x)
    spectrum = np.fft.rfft(np.exp(-(r**2) / (2 * LENGTH**2))).real
    white = jax.random.normal(key, (size, POINTS))
    amplitude = np.sqrt(np.maximum(spectrum, 0))[None].astype(complex)
    return jnp.fft.irfft(jnp.fft.rfft(white) * amplitude, n=POINTS)


def distance(ours: Moments, theirs: Moments) -> dict[str, float]:
    """Relative distance at the last time, in root mean square."""
    return {
        name: float(
            np.sqrt(np.mean((a[-1] - b[-1]) ** 2) / np.mean(np.asarray(b[-1]) ** 2))
        )
        for name, a, b in zip(Moments._fields, ours, theirs, strict=True)
    }
