"""The mean, variance and length-scale of errors, by equations and by an ensemble."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.forecasting import forecast
from tendency.integrate import Integrated
from tendency.propagation import Members, Parametric, Propagated, propagate
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


def equations() -> Generated:
    """The three equations, by differences of order 2."""
    return generate(UNCERTAIN, line(POINTS))


def by_equations() -> Propagated:
    """One integration of the three fields."""
    u = start(POINTS)
    state = {
        "u": u,
        "V": jnp.full_like(u, VARIANCE),
        "nu": jnp.full_like(u, LENGTH**2 / 2),
    }
    cell = Integrated(equations(), DT)
    return propagate(cell, state, STEPS, Parametric(), every=EVERY)


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


def by_ensemble(
    members: int, key: PRNGKeyArray, *, batch: int = 250, every: int = EVERY
) -> Propagated:
    """As many perturbed integrations of Burgers' equation, in batches."""
    cell = Integrated(generate(BURGERS, line(POINTS)), DT)
    method = Members(members, min(members, batch))
    return propagate(
        cell, _member, STEPS, method, every=every, grid=line(POINTS), key=key
    )


def _member(key: PRNGKeyArray) -> PyTree[Array]:
    return {"u": perturbed(start(POINTS), 1, key)[0]}


def perturbed(
    u: Float[Array, " x"], size: int, key: PRNGKeyArray
) -> Float[Array, "member x"]:
    """So many states about one, with errors of the given variance and length-scale."""
    return u[None] + jnp.sqrt(VARIANCE) * coloured(
        jax.random.normal(key, (size, POINTS))
    )


def correlation() -> Float[np.ndarray, " x"]:
    """exp(-r² / (2 LENGTH²)) of the errors at a point and all others, periodic."""
    return np.fft.irfft(_spectrum(), n=POINTS)


def coloured(white: Float[Array, "member x"]) -> Float[Array, "member x"]:
    """White noise of variance 1 made noise of variance 1 that is correlated so."""
    amplitude = np.sqrt(_spectrum())[None].astype(complex)
    return jnp.fft.irfft(jnp.fft.rfft(white) * amplitude, n=POINTS)


def _spectrum() -> Float[np.ndarray, " wave"]:
    x = np.arange(POINTS) / POINTS
    r = np.minimum(x, 1 - x)
    return np.maximum(np.fft.rfft(np.exp(-(r**2) / (2 * LENGTH**2))).real, 0)
