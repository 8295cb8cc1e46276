"""Floor 1: weak formulations of sparse regression, which need no derivative of data.

`WeakForm` integrates the equations against test functions; `ReweightedWeakForm` weighs
these integrals by the covariance of the errors that noise in the states causes in them.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.errors import InputError
from tendency.statistical.derivatives import AbstractFormulation, Rows, Series


class WeakForm(AbstractFormulation):
    """Integrals over windows of half-width H, against a bump that vanishes at the ends.

    -∫ φ' x dt = C ∫ φ θ(x) dt with φ(t) = (1 - (t/H)²)ᵖ / ∫ (1 - (t/H)²)ᵖ dt.

    The first p - 1 derivatives of φ vanish at the ends of the window, which makes the
    trapezoidal rule accurate to a high order: on Lorenz-63 sampled every 0.01, H = 0.5
    and p = 12 leave errors of 1e-12. `count` windows are spread evenly over the series,
    or drawn without replacement if there is a key.

    Source: Schaeffer & McCalla (2017, Phys. Rev. E 96, 023302); Reinbold, Gurevich &
    Grigoriev (2020, Phys. Rev. E 101, 010203), the test functions.

    Raises:
        InputError: a window of fewer than 7 times, a power below 2, no window.
    """

    half_width: float = eqx.field(static=True)  # H [time unit of the tendency]
    count: int = eqx.field(static=True, default=2000)  # at most
    power: int = eqx.field(static=True, default=12)  # p

    def __check_init__(self):
        if self.count < 1:
            raise InputError(
                f"the weak form was asked for {self.count} windows, at least 1 was "
                "expected: raise the number"
            )

    @property
    def passes(self) -> int:
        return 1

    def rows(self, series, library, coefficients, *, key=None):
        phi, slope = bump(self.half_width, self.power, series.dt)
        starts = series.starts(len(phi), f"a window of half-width {self.half_width:g}")
        count = min(self.count, len(starts))
        if key is None:
            spread = np.linspace(0, len(starts) - 1, count).round().astype(int)
            chosen = jnp.asarray(starts[spread])
        else:
            starts = jnp.asarray(starts)
            chosen = jax.random.choice(key, starts, (count,), replace=False)
        return _weak_rows(series, library, chosen, phi, slope)


class ReweightedWeakForm(AbstractFormulation):
    """The weak form by iteratively reweighted, generalised least squares.

    White noise ε in the states enters the residual of the window k as
    Σᵢ (φ'ₖᵢ + φₖᵢ J(xᵢ)) εᵢ to first order, with J the Jacobian of C θ: overlapping
    windows have correlated errors, larger where the flow is steep. The rows are
    whitened with that covariance, J from the coefficients of the pass before. The noise
    is taken as independent in time and between components; how strong it is in each is
    read off the sixth differences of the series. Any noise level, none included, is
    served by the same settings.

    The windows are `spacing` apart. The covariance is that of blocks of about 8
    half-widths of data, treated as independent; windows across two blocks are left out.

    Source: Bortz, Messenger & Dukic (2023, Bull. Math. Biol. 85, 110), "WENDy"; the
    blocks are ours, they make the cost linear in the length of the series.

    Raises:
        InputError: a window of fewer than 7 times, a power below 2.
    """

    half_width: float = eqx.field(static=True)  # H [time unit of the tendency]
    power: int = eqx.field(static=True, default=12)  # p
    spacing: float = eqx.field(static=True, default=0.12)  # [H]
    iterations: int = eqx.field(static=True, default=3)  # of the weights

    @property
    def passes(self) -> int:
        return 1 + self.iterations

    def rows(self, series, library, coefficients, *, key=None):
        phi, slope = bump(self.half_width, self.power, series.dt)
        width = len(phi)
        series.starts(width, f"a window of half-width {self.half_width:g}")
        longest = max(series.segments)
        length = longest // max(1, round(longest / (4 * width)))
        offsets = np.arange(
            0, length - width + 1, max(1, int(self.spacing * width / 2))
        )
        blocks = np.concatenate(
            [
                np.arange(end - n, end - length + 1, length)
                for n, end in zip(
                    series.segments, np.cumsum(series.segments), strict=True
                )
            ]
        )
        if coefficients is None:
            starts = jnp.asarray((blocks[:, None] + offsets).ravel())
            return _weak_rows(series, library, starts, phi, slope)
        tests, slopes = np.zeros((2, len(offsets), length))
        for row, offset in enumerate(offsets):
            tests[row, offset : offset + width] = phi
            slopes[row, offset : offset + width] = slope
        blocks = jnp.asarray(blocks)
        return _white_rows(series, library, blocks, tests, slopes, coefficients)


def bump(
    half_width: float, power: int, dt: float
) -> tuple[Float[np.ndarray, " time"], Float[np.ndarray, " time"]]:
    """φ and dφ/dt at the times of a window, normalised so that φ sums to one.

    Raises:
        InputError: fewer than 7 times in the window, or a power below 2.
    """
    steps = round(half_width / dt)
    if steps < 3 or power < 2:
        raise InputError(
            f"a weak form of half-width {half_width:g} and power {power} was asked for "
            f"at a sampling interval of {dt:g}, at least 3 intervals and a power of 2 "
            "were expected: widen the windows or raise the power"
        )
    t = np.arange(-steps, steps + 1) / steps
    phi = (1 - t**2) ** power
    slope = -2 * power * t * (1 - t**2) ** (power - 1) / (steps * dt)
    return phi / phi.sum(), slope / phi.sum()


@eqx.filter_jit
def _weak_rows(series: Series, library, starts, phi, slope) -> Rows:
    terms = jax.vmap(library)(series.variables)
    phi, slope = (jnp.asarray(w, terms.dtype) for w in (phi, slope))

    def window(start):
        cut = jax.lax.dynamic_slice_in_dim
        x = cut(series.states, start, len(phi))
        return phi @ cut(terms, start, len(phi)), -(slope @ x)

    return jax.lax.map(window, starts, batch_size=256)


@eqx.filter_jit
def _white_rows(series: Series, library, blocks, tests, slopes, coefficients) -> Rows:
    states, variables = series.states, series.variables
    size, count, dtype = states.shape[1], len(tests), states.dtype
    tests, slopes = jnp.asarray(tests, dtype), jnp.asarray(slopes, dtype)
    terms = jax.vmap(library)(variables)
    jacobians = jax.vmap(jax.jacfwd(library))(variables)[..., :size]
    flow = jnp.einsum("tfe,fd->tde", jacobians, coefficients)
    noise = _noise(series)
    eye = jnp.eye(size, dtype=dtype)
    nugget = max(1e-6, 1e3 * float(jnp.finfo(dtype).eps))

    def block(start):
        def cut(a):
            return jax.lax.dynamic_slice_in_dim(a, start, tests.shape[1])

        features = tests @ cut(terms)
        targets = -(slopes @ cut(states))
        error = jnp.einsum("kt,de->kdte", slopes, eye)
        error = error + jnp.einsum("kt,tde->kdte", tests, cut(flow))
        error = (error * noise).reshape(count * size, -1)
        std = jnp.linalg.norm(error, axis=1, keepdims=True)
        error = error / std
        correlation = error @ error.T + nugget * jnp.eye(len(error), dtype=dtype)
        root = jnp.linalg.cholesky(correlation)
        coupled = jnp.einsum("kf,de->kdfe", features, eye)
        system = jnp.concatenate(
            [coupled.reshape(count * size, -1), targets.reshape(-1, 1)], axis=1
        )
        return jax.scipy.linalg.solve_triangular(root, system / std, lower=True)

    white = jax.lax.map(block, blocks).reshape(-1, terms.shape[1] * size + 1)
    return white[:, :-1], white[:, -1:]


def _noise(series: Series) -> Float[Array, "1 1 1 state"]:
    """The standard deviation of the noise in each component; one where none is seen.

    Sixth differences suppress whatever the sampling resolves and turn white noise of
    variance σ² into (12 choose 6) σ²; the median passes over the jumps at the joints
    of a series. Only the weights depend on it.
    """
    rough = jnp.diff(series.states, n=6, axis=0)
    level = jnp.median(jnp.abs(rough), axis=0) / (0.6745 * math.comb(12, 6) ** 0.5)
    return jnp.where(level > 0, level, jnp.ones_like(level))[None, None, None]
