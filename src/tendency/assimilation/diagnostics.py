"""Whether an assimilation is consistent, judged by its innovations alone.

All take what is missing as NaN. `chi_square` and `desroziers` read `Analyses`;
`rank_histogram` reads the ensembles in observation space, which
`assimilate(..., save=equivalents)` keeps; `spread_skill` compares spread and error.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from tendency.assimilation.analyses import Analyses
from tendency.assimilation.method import Cycle
from tendency.errors import InputError
from tendency.observing import Observations


def equivalents(cycle: Cycle) -> Float[Array, "member obs"]:
    """H(xᵇ) of each member: a `save` of `assimilate`."""
    return jax.vmap(cycle.observation.observe)(cycle.background.ensemble.state)


def chi_square(analyses: Analyses) -> Float[np.ndarray, " time"]:
    """dᵀ (H Pᵇ Hᵀ + R)⁻¹ d over the number of observations: 1 in the mean.

    More says that spread or observation errors are too small, less that they are too
    large. NaN where nothing was seen. Ménard & Chang (2000, Mon. Wea. Rev. 128, 2672).
    """
    seen = np.isfinite(np.asarray(analyses.innovation)).sum(1)
    misfit = np.asarray(analyses.misfit)
    return np.where(seen > 0, misfit / np.maximum(seen, 1), np.nan)


class Desroziers(NamedTuple):
    """Variances that the innovations and the residuals of the analyses imply."""

    error: Float[np.ndarray, " obs"]  # diag R
    background: Float[np.ndarray, " obs"]  # diag H Pᵇ Hᵀ


def desroziers(analyses: Analyses) -> Desroziers:
    """E[(y - H xᵃ)(y - H xᵇ)] = R and E[(H xᵃ - H xᵇ)(y - H xᵇ)] = H Pᵇ Hᵀ.

    They hold where the weights of the analysis are the right ones; where they are not,
    the estimates are better than what was assumed, and a fixed point where repeated.
    Desroziers, Berre, Chapnik & Poli (2005, Q. J. R. Meteorol. Soc. 131, 3385). NaN for
    what was never seen.
    """
    innovation = np.asarray(analyses.innovation)
    residual = np.asarray(analyses.residual)
    seen = np.isfinite(innovation)
    count = seen.sum(0)

    def mean(product):
        total = np.where(seen, product, 0).sum(0)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    return Desroziers(
        mean(residual * innovation), mean((innovation - residual) * innovation)
    )


def rank_histogram(
    members: Float[Array, "time member obs"],
    observations: Observations,
    *,
    key: PRNGKeyArray,
) -> Int[np.ndarray, " member+1"]:
    """How often an observation falls between which members: flat where it is one more.

    A ∪ says that the spread is too small, a ∩ that it is too large, a slope that there
    is a bias. Errors are drawn for the members, as the observations have some: Hamill
    (2001, Mon. Wea. Rev. 129, 550).

    Arguments:
        members: what `assimilate(..., save=equivalents)` saved.

    Raises:
        InputError: other times than those of the observations.
    """
    if members.shape[::2] != observations.values.shape:
        raise InputError(
            f"the ensemble holds {members.shape[::2]} values and the observations "
            f"{observations.values.shape}: give what `save=equivalents` saved of them"
        )
    times, size, _ = members.shape

    def ranks(index, members, key):
        error = observations.error.at(index)
        noise = jax.vmap(error.sample)(jax.random.split(key, size))
        noisy = members + noise.astype(members.dtype)
        return jnp.sum(noisy < observations.values[index][None].astype(noisy.dtype), 0)

    keys = jax.random.split(key, times)
    found = jax.vmap(ranks)(jnp.arange(times), members, keys)
    return np.bincount(
        np.asarray(found)[np.asarray(observations.seen)], minlength=size + 1
    )


class SpreadSkill(NamedTuple):
    """Mean spread and mean error where the spread is like it, from small to large."""

    spread: Float[np.ndarray, " bin"]
    error: Float[np.ndarray, " bin"]


def spread_skill(
    spread: Float[Array | np.ndarray, "..."],
    error: Float[Array | np.ndarray, "..."],
    bins: int = 10,
) -> SpreadSkill:
    """Root-mean-square error against spread, in `bins` of equally many values.

    The two agree where an ensemble tells how uncertain it is. With innovations as the
    error, give the root of `expected_variance` as the spread.

    Raises:
        InputError: two shapes, or fewer values than bins.
    """
    if np.shape(spread) != np.shape(error):
        raise InputError(
            f"the spread is {np.shape(spread)} and the error {np.shape(error)}, the "
            "same shape was expected"
        )
    s, e = np.ravel(np.asarray(spread)), np.ravel(np.asarray(error))
    good = np.isfinite(s) & np.isfinite(e)
    order = np.argsort(s[good], kind="stable")
    if order.size < bins or bins < 1:
        raise InputError(
            f"there are {order.size} values for {bins} bins: give fewer bins, one at "
            "least"
        )

    def root_mean_square(values):
        parts = np.array_split(values[good][order], bins)
        return np.array([np.sqrt(np.mean(part**2)) for part in parts])

    return SpreadSkill(root_mean_square(s), root_mean_square(e))
