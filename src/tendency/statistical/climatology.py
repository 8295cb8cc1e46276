"""Floor 1: the mean and its regular cycles, as a function of time and as a forecast.

`climatology` fits a mean and harmonics of given periods (the year, the day) to a
series with gaps; `Climatology.at` gives the cycle at any time, to deseasonalise with.
"""

from types import ModuleType

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Carry, forcing_at
from tendency.errors import InputError

GREGORIAN_YEAR = 365.2425  # [day], the mean year of the calendar


class Climatology(AbstractCell):
    """The forecast that knows the date only.

    x(t) = c₀ + Σₚ Σₖ aₚₖ cos(2πkt/P) + bₚₖ sin(2πkt/P), k = 1, ..., harmonics of P.

    As a cell its forcing is the time `t` at the start of the step, in the unit of `dt`
    and `periods`, and the step answers with x(t + dt) whatever the state was. In
    float32 a time beyond 10⁵ units resolves no better than a hundredth of one.

    `coefficients` [units of the state] holds c₀, then a and b of each harmonic of each
    period in turn. A component that was never observed is NaN throughout.

    Raises:
        ValueError: a step without a forcing.
    """

    coefficients: Float[Array, "term *state"]
    periods: tuple[float, ...] = eqx.field(static=True)  # [unit of dt]
    harmonics: tuple[int, ...] = eqx.field(static=True)
    dt: float = eqx.field(static=True)

    @property
    def spin_up_steps(self) -> int:
        return 0

    def at(self, t: float | Float[Array | np.ndarray, "..."]) -> Float[Array, "..."]:
        """The climatology at the times `t`, the axes of the state last."""
        basis = harmonic_basis(jnp.asarray(t, float), self.periods, self.harmonics)
        dtype = self.coefficients.dtype
        return jnp.tensordot(jnp.asarray(basis, dtype), self.coefficients, 1)

    def init(self, state: PyTree[Array]) -> Carry:
        return Carry(state)

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        if forcing is None:
            raise InputError(
                "a climatology reads the time from its forcing and none was given: "
                "give the times as the forcing"
            )
        new = self.at(jnp.reshape(forcing_at(forcing, 0.0), ()) + self.dt)
        return Carry(new.astype(carry.state.dtype))


def harmonic_basis(
    t: Float[Array | np.ndarray, "*batch"],
    periods: tuple[float, ...],
    harmonics: tuple[int, ...],
    xp: ModuleType = jnp,
) -> Float[Array | np.ndarray, "*batch term"]:
    """One, then cos and sin of each harmonic of each period, along a last axis.

    `xp` is the array library: NumPy keeps float64 where JAX may not.
    """
    columns = [xp.ones_like(t)]
    for period, count in zip(periods, harmonics, strict=True):
        phase = 2 * xp.pi * xp.mod(t / period, 1.0)
        for k in range(1, count + 1):
            columns += [xp.cos(k * phase), xp.sin(k * phase)]
    return xp.stack(columns, axis=-1)


def climatology(
    states: Float[Array | np.ndarray, "time *state"],
    times: Float[Array | np.ndarray, " timed"],
    periods: tuple[float, ...] = (GREGORIAN_YEAR,),
    harmonics: int | tuple[int, ...] = 2,
    *,
    dt: float,
) -> Climatology:
    """Fit a mean and its cycles by least squares, component by component.

    Args:
        states: the series [units of the state]; NaN is missing, with a pattern of its
            own in every component.
        times: when, in the unit of `dt`, in any order and with gaps.
        periods: the periods [unit of `dt`]; none gives the mean alone.
        harmonics: how many of each period, one number or one per period. A period
            sampled n times per cycle supports fewer than n / 2.
        dt: the step of the forecast.

    Raises:
        InputError: nothing but NaN; different numbers of times and states; a record
            shorter than a period, or with fewer times than terms.
    """
    periods = tuple(float(p) for p in periods)
    if isinstance(harmonics, int):
        harmonics = (harmonics,) * len(periods)
    x, t = np.asarray(states), np.asarray(times, np.float64)
    _check(x, t, periods, harmonics)

    basis = harmonic_basis(t, periods, harmonics, np)
    # In orthonormal columns the normal equations of a component stay well-conditioned
    # unless its own gaps spoil them.
    left, singular, right = np.linalg.svd(basis, full_matrices=False)
    kept = singular > singular[0] * len(t) * np.finfo(np.float64).eps
    left, singular, right = left[:, kept], singular[kept], right[kept]
    flat = x.reshape(len(t), -1).astype(np.float64)
    seen = np.isfinite(flat)
    products = (left[:, :, None] * left[:, None, :]).reshape(len(t), -1)
    rank = left.shape[1]
    gram = (products.T @ seen).T.reshape(-1, rank, rank)
    moment = (left.T @ np.where(seen, flat, 0.0)).T[..., None]
    inner = (np.linalg.pinv(gram, 1e-12, hermitian=True) @ moment)[..., 0]
    coefficients = (right.T / singular) @ inner.T
    coefficients = np.where(seen.any(0), coefficients, np.nan)
    dtype = jnp.asarray(states).dtype
    coefficients = jnp.asarray(coefficients.reshape(-1, *x.shape[1:]), dtype)
    return Climatology(  # pyright: ignore[reportCallIssue]
        coefficients=coefficients, periods=periods, harmonics=harmonics, dt=dt
    )


def _check(x, t, periods: tuple[float, ...], harmonics: tuple[int, ...]) -> None:
    if len(x) != len(t):
        raise InputError(
            f"the climatology got {len(x)} states and {len(t)} times, the same number "
            "was expected: give one time per state"
        )
    if len(harmonics) != len(periods):
        raise InputError(
            f"the climatology got {len(harmonics)} numbers of harmonics for "
            f"{len(periods)} periods: give one for each period, or a single number"
        )
    if not np.isfinite(x).any():
        raise InputError(
            "the series of the climatology holds no valid value, at least one was "
            "expected: check the variable and its mask"
        )
    terms = 1 + 2 * sum(harmonics)
    if len(t) < terms:
        raise InputError(
            f"the series has {len(t)} times and the climatology {terms} terms: give a "
            "longer series or fewer harmonics"
        )
    if not periods:
        return
    ordered = np.sort(t)
    span = ordered[-1] - ordered[0] + np.median(np.diff(ordered))
    longest = max(periods)
    if span < 0.98 * longest:  # one calendar year is shorter than its mean length
        raise InputError(
            f"the series spans {span:g} units of time, at least one period of "
            f"{longest:g} was expected: give a longer series or leave that period out"
        )
