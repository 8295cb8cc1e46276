"""Floor 1: intervals that hold the truth as often as they say, whatever the errors.

`split_conformal` measures errors on forecasts that no model was fitted to, and answers
with `Conformal`.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.cell import Constant
from tendency.errors import InputError


class Conformal(eqx.Module):
    """m ± q σ around a forecast m of spread σ, with one q a lead time.

    For a new case exchangeable with those of the fit the truth is inside with
    probability `level` at least, and `level` + 1 / (n + 1) at most where no two errors
    are equal. Series are exchangeable only as far as errors neither trend nor stay for
    longer than the cases are apart.

    Source: Lei, G'Sell, Rinaldo, Tibshirani & Wasserman (2018, J. Am. Stat. Assoc.
    113, 1094), algorithm 2 and theorem 2, the errors scaled as in its section 5.2.
    """

    quantile: Constant  # q (lead,) [units of σ]
    level: float = eqx.field(static=True)

    def __call__(
        self,
        forecast: Float[Array, "*case lead"],
        spread: Float[Array, "*case lead"] | None = None,
    ) -> tuple[Float[Array, "*case lead"], Float[Array, "*case lead"]]:
        """The lower and upper ends of the intervals [units of the forecast]."""
        width = jnp.asarray(self.quantile.value, forecast.dtype)
        width = jnp.broadcast_to(width, forecast.shape)
        width = width if spread is None else width * spread
        return forecast - width, forecast + width


def split_conformal(
    forecast: Float[Array | np.ndarray, "case lead"],
    truth: Float[Array | np.ndarray, "case lead"],
    spread: Float[Array | np.ndarray, "case lead"] | None = None,
    *,
    level: float = 0.9,
) -> Conformal:
    """The ⌈(n + 1) level⌉-th smallest of |y - m| / σ over n held-out cases, by lead.

    Arguments:
        spread: σ, how far the forecast may err relative to the others; 1 by default.
            A case with a value that is not finite is left out.

    Raises:
        InputError: the level is not between 0 and 1, a spread is not positive, or there
            are too few cases for the level: 9 for 0.9, 19 for 0.95.
    """
    if not 0 < level < 1:
        raise InputError(f"the level is {level:g}, expected between 0 and 1: change it")
    error = np.abs(np.asarray(truth, np.float64) - np.asarray(forecast, np.float64))
    if spread is not None:
        scale = np.asarray(spread, np.float64)
        if (scale <= 0).any():
            raise InputError(
                f"the spread is {scale.min():g} somewhere, expected above 0: leave out "
                "cases whose members are equal"
            )
        error = error / scale
    found = []
    for lead in range(error.shape[1]):
        one = np.sort(error[np.isfinite(error[:, lead]), lead])
        # Rounding must not ask for one more: 0.9 * 10 is 9.000000000000002 at times.
        rank = int(np.ceil((len(one) + 1) * level - 1e-9))
        if rank > len(one):
            raise InputError(
                f"intervals of level {level:g} were asked for and lead {lead + 1} has "
                f"{len(one)} complete cases, at least "
                f"{int(np.ceil(level / (1 - level) - 1e-9))} were expected: give more, "
                "or lower the level"
            )
        found.append(one[rank - 1])
    return Conformal(Constant(jnp.asarray(np.array(found))), level)
