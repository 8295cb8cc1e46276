"""Hidden components and a quadratic tendency, from one observed series."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.cell import Constant
from tendency.fitting import DelayEmbedding, Fitted, JointFit, fit, reconstruct
from tendency.integrate import Integrated
from tendency.observing import Observations, Select
from tendency.statistical import Polynomial, SparseTendency
from tendency.studies.lorenz63.truth import DT
from tendency.wrappers import Sum

RATES = (2.0, 4.0, 1.5, 3.0, 6.0)  # of the fading memory, a start each [1 / time]
SEEN = Select(jnp.asarray([0]))
Series = Float[Array, " time"]


class Plan(NamedTuple):
    """How the model error decreases: stages, iterations of each, those of windows."""

    stages: tuple[float, ...]
    windows: tuple[float, ...]
    first_steps: int = 40
    steps: int = 40


CLEAN = Plan(tuple(10.0**-k for k in range(7)), (1e-1, 1e-2, 1e-3, 1e-4, 1e-6))
NOISY = Plan(
    (0.3, 0.1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 3e-6, 3e-7),
    (1e-1, 1e-2, 1e-3, 1e-4, 3e-6, 3e-7),
)


class Start(NamedTuple):
    """Where a joint fit begins, and how far its first stage gets."""

    embedding: DelayEmbedding
    fitted: Fitted

    @property
    def cost(self) -> float:
        """J an observation after the first stage."""
        return float(self.fitted.history["train_loss"][-1])


def observed(values: Series, variance: float) -> Observations:
    """X alone, at each step."""
    rows = jnp.asarray(values)[:, None]
    return Observations.of(rows, np.arange(len(values)), SEEN, error=variance)


def latent_cell(embedding: DelayEmbedding) -> Integrated:
    """dx/dt = u / T as it stands; du/dt and dw/dt quadratic, 20 coefficients."""
    known = np.zeros((3, 10))
    known[0, 2] = 1 / embedding.time_scale
    free = np.zeros((3, 10), bool)
    free[1:] = True
    library = Polynomial(2)
    first = SparseTendency(
        library, jnp.asarray(known), Constant(jnp.asarray(known != 0))
    )
    rest = SparseTendency(library, jnp.zeros((3, 10)), Constant(jnp.asarray(free)))
    return Integrated(Sum(first, rest), DT)


def coefficients(cell: Integrated) -> Any:
    """What is to be fitted."""
    return cell.tendency.terms[1].coefficients


def begin(values: Series, variance: float, rate: float, plan: Plan) -> Start:
    """The first stage, from one start."""
    embedding = DelayEmbedding.of(values, DT, rate)
    fitted = _fit(
        latent_cell(embedding),
        values,
        variance,
        jnp.asarray(embedding.states(values)),
        JointFit(
            plan.stages[:1], jnp.full(3, variance**0.5), max_steps=plan.first_steps
        ),
    )
    return Start(embedding, fitted)


def go_on(start: Start, values: Series, variance: float, plan: Plan) -> Fitted:
    """All other stages."""
    method = JointFit(
        plan.stages,
        jnp.full(3, variance**0.5),
        warm_up=0,
        max_steps=plan.steps,
        tolerance=1e-7,
    )
    fitted = start.fitted
    return _fit(fitted.cell, values, variance, fitted.posterior.states, method)


def _fit(cell, values, variance, states, method) -> Fitted:
    return fit(
        cell,
        observed(values, variance),
        method,
        key=jax.random.key(0),
        where=coefficients,
        first_guess=states,
    )


def window_states(
    start: Start,
    fitted: Fitted,
    values: Series,
    windows: Float[Array, "window past"],
    variance: float,
    plan: Plan,
) -> Float[Array, "window 3"]:
    """The state at the end of each window of past observations, the model as learned.

    The first guess is that of training: a quadratic regression of the fitted states on
    the embedding.
    """
    library = eqx.filter_vmap(Polynomial(2))
    features = library(jnp.asarray(start.embedding.states(values)))
    regression = jnp.linalg.lstsq(features, fitted.posterior.states)[0]
    guesses = [
        library(jnp.asarray(start.embedding.states(w))) @ regression for w in windows
    ]
    method = JointFit(
        plan.windows, jnp.full(3, variance**0.5), max_steps=20, tolerance=1e-8
    )
    series = [observed(w, variance) for w in windows]
    posterior = reconstruct(fitted.cell, series, method, first_guess=guesses)
    return jnp.stack([states[-1] for states in posterior.states])
