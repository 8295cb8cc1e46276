"""Minima of J(v) = |v|²/2 + |r(v)|²/2, and what the posterior is there.

r are departures in units of their errors. `GaussNewton` is incremental 4DVar seen as an
algorithm: each step minimises the J of the linearised r.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import optimistix as optx
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from tendency.errors import InputError

Control = Float[Array, " control"]
Rows = Float[Array, " rows"]
Residual = Callable[[Control], Rows]

QUASI_NEWTON_STEPS = 500
"""What a minimiser of Optimistix is allowed; its tolerances stop it before."""


class GaussNewton(eqx.Module):
    """Minimise by linear problems, (I + GᵀG) δ = -(v + Gᵀ r), G = ∂r/∂v.

    Derivatives are exact (automatic). A step that does not lower J is taken back and
    damped, I (1 + λ) + GᵀG (Levenberg, 1944, Q. Appl. Math. 2, 164). Incremental 4DVar:
    Courtier, Thépaut & Hollingsworth (1994, Q. J. R. Meteorol. Soc. 120, 1367); that it
    is Gauss-Newton: Lawless, Gratton & Nichols (2005, ibid. 131, 459).

    Arguments:
        steps: at most so many (outer loops).
        tolerance: stop where the root mean square of δ, which is in units of the
            background's deviations, is smaller.
        solver: of the linear problems (inner loops). `lineax.Cholesky()` solves with
            the matrix, by way of the smaller of controls and observations, and the
            posterior covariance is known; `lineax.CG(rtol, atol)` needs products with G
            and Gᵀ alone, for large problems.

    Raises:
        InputError: less than one step.
    """

    steps: int = eqx.field(static=True, default=10)
    tolerance: float = eqx.field(static=True, default=1e-6)
    solver: lx.AbstractLinearSolver = lx.Cholesky()

    def __check_init__(self):
        if self.steps < 1:
            raise InputError(
                f"{self.steps} Gauss-Newton steps were asked for, at least 1 was "
                "expected"
            )

    @property
    def dense(self) -> bool:
        """Whether G is formed."""
        return not isinstance(self.solver, lx.CG)

    def minimise(self, residual: Residual, start: Control) -> Control:
        """The v of least J, from a first guess."""

        def improve(now):
            v, damping, _, count = now
            change, before = self._step(residual, v, damping)
            better = _cost(v + change, residual(v + change)) <= before  # not for NaN
            small = jnp.sqrt(jnp.mean(change**2)) < self.tolerance
            eased = jnp.where(damping < 1e-3, 0.0, damping / 8)
            damping = jnp.where(better, eased, jnp.maximum(8 * damping, 1.0))
            v = jnp.where(better, v + change, v)
            return v, damping.astype(v.dtype), small, count + 1

        def unfinished(now):
            return ~now[2] & (now[3] < self.steps)

        begin = (start, jnp.zeros((), start.dtype), jnp.asarray(False), 0)
        return jax.lax.while_loop(unfinished, improve, begin)[0]

    def _step(
        self, residual: Residual, v: Control, damping: Array
    ) -> tuple[Control, Array]:
        """The change that is wanted, and J before it."""
        if not self.dense:
            r, forward = jax.linearize(residual, v)
            transpose = jax.linear_transpose(forward, v)

            def apply(u):
                return (1 + damping) * u + transpose(forward(u))[0]

            structure = jax.ShapeDtypeStruct(v.shape, v.dtype)
            operator = lx.FunctionLinearOperator(
                apply, structure, lx.positive_semidefinite_tag
            )
            right = -(v + transpose(r)[0])
            found = lx.linear_solve(operator, right, self.solver, throw=False)
            return found.value, _cost(v, r)
        r, G, _ = linearised(lambda v: (residual(v), None), v)
        small = G.T @ G if v.size <= r.size else G @ G.T
        shifted = small + (1 + damping) * jnp.eye(len(small), dtype=v.dtype)
        operator = lx.MatrixLinearOperator(shifted, lx.positive_semidefinite_tag)
        right = v + G.T @ r

        def solve(right):
            return lx.linear_solve(operator, right, self.solver, throw=False).value

        if v.size <= r.size:
            return -solve(right), _cost(v, r)
        change = (G.T @ solve(G @ right) - right) / (1 + damping)
        return change, _cost(v, r)


def _cost(v: Control, r: Rows) -> Array:
    return 0.5 * (v @ v + r @ r)


Minimiser = GaussNewton | optx.AbstractMinimiser


def is_dense(minimiser: Minimiser) -> bool:
    """Whether the derivatives of the departures may be formed as a matrix."""
    return isinstance(minimiser, GaussNewton) and minimiser.dense


def minimum(minimiser: Minimiser, residual: Residual, start: Control) -> Control:
    """The v of least J, by Gauss-Newton or a minimiser of Optimistix."""
    if isinstance(minimiser, GaussNewton):
        return minimiser.minimise(residual, start)

    def cost(v, _):
        return _cost(v, residual(v))

    return optx.minimise(
        cost, minimiser, start, max_steps=QUASI_NEWTON_STEPS, throw=False
    ).value


def linearised(
    function: Callable[[Control], tuple[Rows, Any]], v: Control
) -> tuple[Rows, Float[Array, "rows n"], Any]:
    """The rows, their matrix of derivatives, and what else the function gives.

    It is made in the mode, forwards or backwards, that has fewer columns.
    """
    rows = jax.eval_shape(function, v)[0].shape[0]
    if rows < v.size:
        value, pull, also = jax.vjp(function, v, has_aux=True)
        unit = jnp.eye(rows, dtype=value.dtype)
        return value, jax.vmap(lambda g: pull(g)[0])(unit), also
    value, push, also = jax.linearize(function, v, has_aux=True)
    return value, jax.vmap(push, out_axes=1)(jnp.eye(v.size, dtype=v.dtype)), also


class Posterior(eqx.Module):
    """The Gaussian around a minimum: the inverse Hessian (I + GᵀG)⁻¹ of v.

    It is held as A Aᵀ - C Cᵀ seen through any linear map of v, by way of the smaller of
    controls and observations.
    """

    derivatives: Float[Array, "rows control"]  # G
    factor: Float[Array, "small small"]  # lower triangular

    @classmethod
    def of(cls, G: Float[Array, "rows control"]) -> "Posterior":
        """Of the linearised departures; an observation of weight 0 has a row of 0."""
        small = G.T @ G if G.shape[1] <= G.shape[0] else G @ G.T
        return cls(G, jnp.linalg.cholesky(small + jnp.eye(len(small), dtype=G.dtype)))

    def variance(self, J: Float[Array, "n control"]) -> Float[Array, " n"]:
        """The diagonal of J (I + GᵀG)⁻¹ Jᵀ."""
        plus, minus = self._halves(J)
        return jnp.sum(plus**2, 1) - jnp.sum(minus**2, 1)

    def covariance(self, J: Float[Array, "n control"]) -> Float[Array, "n n"]:
        """J (I + GᵀG)⁻¹ Jᵀ."""
        plus, minus = self._halves(J)
        return plus @ plus.T - minus @ minus.T

    def log_determinant(self) -> Float[Array, ""]:
        """Of I + G Gᵀ, the same as that of I + GᵀG."""
        return 2 * jnp.sum(jnp.log(jnp.diagonal(self.factor)))

    def _halves(self, J):
        G = self.derivatives
        if G.shape[1] <= G.shape[0]:
            return solve_triangular(self.factor, J.T, lower=True).T, J[:, :0]
        return J, solve_triangular(self.factor, G @ J.T, lower=True).T


def evidence(
    G: Float[Array, "time obs control"], d: Float[Array, "time obs"]
) -> tuple[Float[Array, " time"], Float[Array, " time"]]:
    """Of each time given those before: dᵀ (I + G Gᵀ)⁻¹ d and log det (I + G Gᵀ).

    d are the departures from the background, of which v is the error, v ~ N(0, I).
    """
    times, size, controls = G.shape
    if times * size <= controls:
        rows = G.reshape(-1, controls)
        factor = jnp.linalg.cholesky(rows @ rows.T + jnp.eye(len(rows), dtype=d.dtype))
        white = solve_triangular(factor, d.ravel(), lower=True).reshape(times, size)
        logs = jnp.log(jnp.diagonal(factor)).reshape(times, size)
        return jnp.sum(white**2, 1), 2 * jnp.sum(logs, 1)

    def one(known, time):
        root, mean = known  # of v, given the times before
        G, d = time
        seen, left = G @ root, d - G @ mean
        eye = jnp.eye(controls, dtype=d.dtype)
        factor = jnp.linalg.cholesky(eye + seen.T @ seen)
        half = solve_triangular(factor, seen.T @ left, lower=True)
        root = solve_triangular(factor, root.T, lower=True).T
        misfit = left @ left - half @ half
        return (root, mean + root @ half), (
            misfit,
            2 * jnp.sum(jnp.log(jnp.diagonal(factor))),
        )

    begin = (jnp.eye(controls, dtype=d.dtype), jnp.zeros(controls, d.dtype))
    return jax.lax.scan(one, begin, (G, d))[1]
