"""Floor 3: the fair CRPS of an ensemble, as a loss that a fit brings down."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from tendency.errors import InputError


def fair_crps(
    members: Float[Array, "member *point"],
    truth: Float[Array, "*point"],
    weights: Float[Array, "*point"] | None = None,
    *,
    fairness: float = 1.0,
) -> Float[Array, ""]:
    """The mean over points of mean |x - y| - Σ |x_i - x_j| / (2 K) [units of truth].

    With m members K = m (m - 1), so that the expectation does not depend on m and is
    least for members drawn as the truth is. `fairness` α < 1 mixes in the empirical
    CRPS, of K = m², by 1 - α: it binds all the members, where the fair score leaves one
    of them free as long as the others surround the truth.

    Arguments:
        weights: of the points, such as area times a mask; where they are zero the truth
            and the members may be anything, NaN too.

    Raises:
        InputError: fewer than two members.

    Sources: Ferro (2014), Q. J. R. Meteorol. Soc. 140, 1917; Lang et al. (2024),
    arXiv:2412.15832, for α.
    """
    count = members.shape[0]
    if count < 2:
        raise InputError(
            f"the fair CRPS was asked of {count} member, at least 2 were expected: "
            "draw more members"
        )
    if weights is not None:
        # NaN times zero is NaN, in gradients too: it is taken out before.
        counted = weights > 0
        truth = jnp.where(counted, truth, 0)
        members = jnp.where(counted[None], members, 0)
    error = jnp.abs(members - truth[None]).mean(0)
    # Σ |x_i - x_j| = 2 Σ (2 i - m - 1) x_(i) of the sorted members, i from 1.
    place = 2 * jnp.arange(1, count + 1, dtype=members.dtype) - (count + 1)
    differences = 2 * jnp.tensordot(place, jnp.sort(members, axis=0), 1)
    share = fairness / (count * (count - 1)) + (1 - fairness) / count**2
    score = error - differences * (share / 2)
    if weights is None:
        return score.mean()
    total = weights.sum()
    return (weights * score).sum() / jnp.where(total > 0, total, 1)
