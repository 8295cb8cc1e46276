"""Covariance along a forecast, by the tangent-linear model."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tendency.assimilation.kalman import row_of
from tendency.assimilation.prior import Gaussian
from tendency.cell import AbstractCell, Carry
from tendency.errors import InputError
from tendency.forecasting import forcing_is_ramped, ramps
from tendency.propagation.method import AbstractPropagation, Setting, root_of
from tendency.propagation.propagated import beside, length_of


class Modes(eqx.Module):
    """A mean and a square root of the covariance, P = Σ s sᵀ."""

    mean: Carry
    modes: Float[Array, "mode n"]


class TangentLinear(AbstractPropagation):
    """P' = M P Mᵀ by the modes of P, each moved by the tangent-linear model.

    With P = Σ s sᵀ and the model f, s' = Df s, and to second order in the errors the
    mean is f(x) + Σ D²f[s, s] / 2: Jazwinski (1970, Stochastic Processes and Filtering
    Theory), section 9.3. Derivatives are exact (automatic), of the whole carry. Of a
    linear model mean and covariance are exact. The noise of a stochastic cell is left
    out.

    The prior is a `Gaussian`, whose leading modes are taken, or an ensemble, whose
    anomalies are.

    Arguments:
        rank: how many modes, the largest ones; `None` for all.
        second_order: move the mean by the curvature of the model; else it is the
            forecast.
        covariance: keep the covariances themselves, n by n.

    Raises:
        InputError: a rank below one, a prior of another kind.
    """

    rank: int | None = eqx.field(static=True, default=None)
    second_order: bool = eqx.field(static=True, default=True)
    covariance: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        if self.rank is not None and self.rank < 1:
            raise InputError(f"{self.rank} modes were asked for, 1 or more expected")

    def begin(self, cell: AbstractCell, prior: Any, setting: Setting) -> Modes:
        if isinstance(prior, Modes):
            return prior
        if isinstance(prior, Gaussian):
            return Modes(prior.mean, root_of(prior.covariance).T[: self.rank])
        if not isinstance(prior, Carry):
            raise InputError(
                f"the prior is of the type {type(prior).__name__}, a Gaussian or an "
                "ensemble was expected"
            )
        mean = jax.tree.map(
            lambda x: x.mean(0) if eqx.is_inexact_array(x) else x[0], prior
        )
        rows = jax.vmap(lambda carry: row_of(carry)[0])(prior)
        modes = (rows - rows.mean(0, keepdims=True)) * (len(rows) - 1) ** -0.5
        if self.rank is not None and self.rank < len(rows):
            _, values, vectors = jnp.linalg.svd(modes, full_matrices=False)
            modes = (values[:, None] * vectors)[: self.rank]
        return Modes(mean, modes)

    def run(self, cell: AbstractCell, start: Modes, setting: Setting) -> dict[str, Any]:
        forcing = setting.forcing
        if forcing is not None and forcing_is_ramped(forcing, setting.steps):
            forcing = ramps(forcing)
        inner = (setting.steps // setting.every, setting.every)
        forcing = jax.tree.map(lambda a: a.reshape(*inner, *a.shape[1:]), forcing)

        def step(now, here):
            row, carry_of = row_of(now.mean)

            def move(row):
                return row_of(cell.step(carry_of(row), here))[0]

            def slope(mode):
                return jax.jvp(move, (row,), (mode,))

            if not self.second_order:
                new, tangent = jax.linearize(move, row)
                modes = jax.vmap(tangent)(now.modes)
            else:

                def curved(mode):
                    along = jax.jvp(
                        lambda r: jax.jvp(move, (r,), (mode,))[1], (row,), (mode,)
                    )
                    return along

                modes, bends = jax.vmap(curved)(now.modes)
                new = move(row) + bends.sum(0) / 2
            mean = cell.step(now.mean, here)  # for what is no number: counters
            return Modes(row_of(mean)[1](new), modes), None

        def block(now, here):
            now, _ = jax.lax.scan(step, now, here, length=setting.every)
            return now, self._told(now, setting)

        end, told = jax.lax.scan(block, start, forcing, length=inner[0])
        first = self._told(start, setting)
        told = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, told)
        return {**told, "final": end}

    def _told(self, now: Modes, setting: Setting) -> dict[str, Any]:
        states = jax.vmap(lambda s: row_of(now.mean)[1](s).state)(now.modes)
        variance = jax.tree.map(lambda s: (s**2).sum(0), states)
        told = {"mean": now.mean.state, "variance": variance, "length": None}
        if setting.grid is not None:
            products = [
                jax.tree.map(lambda pair: (pair[0] * pair[1]).sum(0), axis)
                for axis in beside(states, setting.grid)
            ]
            told["length"] = length_of(products, variance, setting.grid)
        if self.covariance:
            flat = jax.vmap(lambda s: row_of(Carry(s))[0])(states)
            told["covariance"] = flat.T @ flat
        return told
