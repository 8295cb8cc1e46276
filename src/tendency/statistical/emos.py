"""Floor 1: the spread of an ensemble calibrated, as a normal distribution.

`emos` fits it by the least CRPS, a lead time at a time, and answers with `EMOS`.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.cell import Constant
from tendency.errors import InputError


class EMOS(eqx.Module):
    """N(a + b x̄, c + d s²) of the mean x̄ and the variance s² of the members.

    One a, b, c and d a lead time, c and d not negative.

    Source: Gneiting, Raftery, Westveld & Goldman (2005, Mon. Wea. Rev. 133, 1098),
    eq. 5 for the CRPS that its fit brings down.
    """

    intercept: Constant  # a (lead,) [units]
    slope: Constant  # b (lead,)
    floor: Constant  # c (lead,) [units²]
    inflation: Constant  # d (lead,)

    def __call__(
        self, members: Float[Array, "*case lead member"]
    ) -> tuple[Float[Array, "*case lead"], Float[Array, "*case lead"]]:
        """Mean and standard deviation of the calibrated distribution [units]."""
        a, b, c, d = (
            jnp.asarray(x.value, members.dtype)
            for x in (self.intercept, self.slope, self.floor, self.inflation)
        )
        mean, variance = members.mean(-1), members.var(-1, ddof=1)
        a, b, c, d = (jnp.broadcast_to(x, mean.shape) for x in (a, b, c, d))
        return a + b * mean, jnp.sqrt(c + d * variance)


def gaussian_crps(
    mean: Float[np.ndarray, "*case"],
    std: Float[np.ndarray, "*case"],
    truth: Float[np.ndarray, "*case"],
) -> Float[np.ndarray, "*case"]:
    """σ (z (2 Φ(z) - 1) + 2 φ(z) - 1/√π) with z = (y - μ) / σ [units of the truth].

    Source: Gneiting et al. (2005), eq. 5.
    """
    return _crps_and_slopes(mean, std, truth)[0]


def emos(
    members: Float[Array | np.ndarray, "case lead member"],
    truth: Float[Array | np.ndarray, "case lead"],
) -> EMOS:
    """Fit the calibration to past forecasts, by the least mean CRPS of each lead.

    Of descents from the ensemble as it stands and from a linear regression the best is
    kept, so that on the cases it is fitted to it never scores worse than the
    normal distribution of the raw mean and variance.

    Arguments:
        members: at least two; a case with a value that is not finite is left out.

    Raises:
        InputError: fewer than two members, or than five cases at a lead time.
    """
    x, y = np.asarray(members, np.float64), np.asarray(truth, np.float64)
    if x.shape[-1] < 2:
        raise InputError(
            f"the calibration got {x.shape[-1]} member, at least 2 were expected: give "
            "an ensemble"
        )
    found = [_fit(x[:, i], y[:, i], i) for i in range(x.shape[1])]
    a, b, c, d = (Constant(jnp.asarray(np.array(v))) for v in zip(*found, strict=True))
    return EMOS(a, b, c, d)


def _fit(x: np.ndarray, y: np.ndarray, lead: int) -> tuple[float, ...]:
    """a, b, c and d of one lead time; within, the truth has mean 0 and variance 1."""
    from scipy.optimize import minimize

    whole = np.isfinite(x).all(-1) & np.isfinite(y)
    if whole.sum() < 5:
        raise InputError(
            f"the calibration got {whole.sum()} complete cases at lead {lead + 1}, at "
            "least 5 were expected for its four numbers: give more past forecasts"
        )
    x, y = x[whole], y[whole]
    centre, unit = y.mean(), max(y.std(), np.finfo(float).tiny)
    mean, y = (x.mean(-1) - centre) / unit, (y - centre) / unit
    variance = x.var(-1, ddof=1) / unit**2
    least = 1e-12  # of a variance of the truth: no ensemble is that sure

    def cost(theta: np.ndarray) -> tuple[float, np.ndarray]:
        a, b, c, d = theta[0], theta[1], theta[2] ** 2, theta[3] ** 2
        std = np.sqrt(c + d * variance + least)
        crps, by_mean, by_std = _crps_and_slopes(a + b * mean, std, y)
        by_variance = by_std / (2 * std)
        slopes = (
            by_mean,
            by_mean * mean,
            by_variance * 2 * theta[2],
            by_variance * variance * 2 * theta[3],
        )
        return float(crps.mean()), np.array([s.mean() for s in slopes])

    slope = np.cov(mean, y)[0, 1] / max(mean.var(ddof=1), least)
    left = y - y.mean() - slope * (mean - mean.mean())
    regressed = [y.mean() - slope * mean.mean(), slope, left.std() + 1e-3, 0.1]
    # A square that starts at zero has no slope: its first value is small instead.
    starts = [[0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.01, 1.0], regressed]
    runs = [minimize(cost, np.array(s), jac=True, method="BFGS") for s in starts]
    a, b, c, d = min(runs, key=lambda r: float(r.fun)).x
    a, c = unit * a + centre * (1 - b), unit**2 * (c**2 + least)
    return float(a), float(b), float(c), float(d**2)


def _crps_and_slopes(mean, std, truth) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The CRPS and its derivatives by mean and standard deviation."""
    from scipy.special import ndtr

    z = (truth - mean) / std
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    balance = 2 * ndtr(z) - 1
    by_std = 2 * density - 1 / np.sqrt(np.pi)
    return std * (z * balance + by_std), -balance, by_std
