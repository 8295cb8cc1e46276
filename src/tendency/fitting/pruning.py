"""Removal of insignificant parameters, by their errors in a joint fit."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.errors import InputError


class Pruning(eqx.Module):
    """Backward elimination: set to zero what is less than so many standard errors.

    The least significant parameters, `at_once` at most, are removed, and states and
    parameters are fitted again, until all that remain are significant. Errors are those
    given all observations and all other parameters, so that of two terms that say the
    same one stays.

    Raises:
        InputError: a threshold that is not positive, none removed at once.
    """

    threshold: float = 4.0  # z-score, |θ| over its standard error
    at_once: int = eqx.field(static=True, default=6)

    def __check_init__(self):
        if not (self.threshold > 0 and self.at_once >= 1):
            raise InputError(
                f"pruning got the threshold {self.threshold} and {self.at_once} terms "
                "at once, positive numbers were expected"
            )

    def chosen(
        self,
        theta: Float[np.ndarray, " p"],
        covariance: Float[np.ndarray, "p p"],
        free: Float[np.ndarray, " p"],
    ) -> np.ndarray:
        """The indices to remove next, none where all are significant."""
        error = np.sqrt(np.diag(covariance))
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where((free > 0) & (error > 0), np.abs(theta) / error, np.inf)
        worst = np.argsort(z)[: self.at_once]
        return worst[z[worst] < self.threshold]


def pruned(
    pruning: Pruning,
    start: Any,
    free: Float[Array, " p"],
    covariance_at: Callable[[Any, Array], Array],
    refit: Callable[[Any, Array], Any],
) -> tuple[Any, Float[Array, " p"]]:
    """Remove and fit again until nothing is to be removed.

    Arguments:
        start: a `Search` at a minimum.
        free: 1 where a parameter is left, 0 where not.
        covariance_at: of the parameters at such a minimum.
        refit: from a search and what is left to the next minimum.
    """
    now, left = start, np.array(free)
    while left.any():
        theta = np.asarray(now.at.theta)
        covariance = np.asarray(covariance_at(now, jnp.asarray(left)))
        out = pruning.chosen(theta, covariance, left)
        if not len(out):
            break
        left[out] = 0
        free = jnp.asarray(left)
        now = eqx.tree_at(lambda s: s.at.theta, now, now.at.theta * free)
        now = refit(now, free)
    return now, jnp.asarray(left)
