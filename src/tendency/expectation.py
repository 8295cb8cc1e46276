"""Floor 4: dynamics of large models from observations, by expectation-maximisation.

Where a joint fit of all states and parameters is too much, they take turns: an ensemble
smoother finds the states, the model as it is (E), and a fit to these states the model
(M).
"""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree

from tendency.assimilation import AbstractMethod, FilterDivergence, assimilate
from tendency.cell import AbstractCell
from tendency.errors import InputError
from tendency.fitting import Fitted, RolloutLoss, fit
from tendency.observing import Observations
from tendency.windows import Windows
from tendency.wrappers import Perturbed


def expectation_maximisation(
    cell: AbstractCell,
    prior: Callable[[AbstractCell], Any],
    observations: Observations,
    smoother: AbstractMethod,
    method: Any,
    *,
    cycles: int,
    model_std: float | Array,
    key: PRNGKeyArray,
    horizon: int = 1,
    where: Callable[[Any], Any] | None = None,
) -> Fitted:
    """Alternate an ensemble smoother and a fit to what it gives.

    The fit is to the smoothed means, each component of each weighed by the inverse of
    its smoothed variance, so that what is uncertain counts little: a regression with
    errors in its targets; those in its predictors bias it while they are large. It
    converges linearly, and slowly where the joint fit is feasible.

    Arguments:
        prior: what is believed at step 0, of the cell it is given (`ensemble_of`, say).
        observations: at any steps; the states of all steps from the first observation
            to the last are smoothed.
        smoother: an `EnsembleSmoother`, or any method that gives smoothed states.
        method: of the fit, `LeastSquares` or `Descent`.
        cycles: how often both are done.
        model_std: of the noise added to the steps of the model in the smoother [units
            of the state per square root of time], without which an ensemble trusts a
            model that is still wrong.
        horizon: steps of the roll-outs that are fitted.
        where: what to fit, as for `fit`.

    Returns:
        The last fit, with the mean squared innovation over its expectation in each
        cycle as `history["innovation"]`, which tends to one.

    Raises:
        InputError: no cycle; a smoother that smooths nothing; a cell with a memory;
            what `assimilate` and `fit` raise.

    Source: Ghahramani & Roweis (1999, NIPS 11); Brajard et al. (2020, J. Comput. Sci.
    44, 101171), with a network in M.
    """
    if cycles < 1:
        raise InputError(f"{cycles} cycles were asked for, at least 1 was expected")
    if cell.spin_up_steps:
        raise InputError(
            f"{type(cell).__name__} needs {cell.spin_up_steps} steps of history, which "
            "smoothed states do not give here: give a cell without"
        )
    every = at_every_step(observations)
    innovation, costs, fitted = [], [], None
    for cycle in range(cycles):
        e_key, m_key = jax.random.split(jax.random.fold_in(key, cycle))
        noisy = Perturbed(cell, model_std)
        with warnings.catch_warnings():  # at first the model is wrong, which is known
            warnings.simplefilter("ignore", FilterDivergence)
            analyses = assimilate(noisy, prior(noisy), every, smoother, key=e_key)
        if analyses.smoothed_mean is None:
            raise InputError(
                f"{type(smoother).__name__} gives no smoothed states: choose an "
                "EnsembleSmoother around it"
            )
        ratio = analyses.innovation**2 / analyses.expected_variance
        innovation.append(float(jnp.nanmean(ratio)))
        weights = jax.tree.map(_weights, analyses.smoothed_spread)
        windows = Windows.of(analyses.smoothed_mean, 1 + horizon, weights=weights)
        fitted = fit(cell, windows, method, key=m_key, loss=RolloutLoss(), where=where)
        costs.append(float(fitted.history["train_loss"][-1]))
        cell = fitted.cell
    assert fitted is not None
    history = {"train_loss": np.asarray(costs), "innovation": np.asarray(innovation)}
    return dataclasses.replace(fitted, history=history, best=cycles)


def at_every_step(observations: Observations) -> Observations:
    """The same with rows in which nothing is seen, so that no step is without.

    Raises:
        InputError: an error covariance or arguments that vary in time.
    """
    if observations.error.variances().ndim > 1 or observations.arguments is not None:
        raise InputError(
            "the errors or the operator of the observations vary in time: give the "
            "same at all times, or rows of NaN at the steps between"
        )
    steps = np.asarray(observations.steps)
    if (np.diff(steps) == 1).all():
        return observations
    rows = steps - steps[0]
    shape = (int(rows[-1]) + 1, observations.values.shape[1])
    values = (
        jnp.zeros(shape, observations.values.dtype).at[rows].set(observations.values)
    )
    seen = jnp.zeros(shape, bool).at[rows].set(observations.seen)
    every = np.arange(steps[0], steps[-1] + 1, dtype=np.int32)
    return dataclasses.replace(observations, values=values, seen=seen, steps=every)


def _weights(spread: PyTree[Array]) -> Array:
    """Of mean one; not above a hundred."""
    precision = 1 / jnp.maximum(spread**2, jnp.finfo(spread.dtype).tiny)
    return jnp.minimum(precision / precision.mean(), 100.0)
