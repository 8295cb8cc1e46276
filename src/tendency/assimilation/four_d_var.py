"""Four-dimensional variational assimilation, with a perfect model or one that errs."""

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.assimilation.background import (
    check_size,
    covariance_of,
    moved,
    size_of,
)
from tendency.assimilation.minimise import GaussNewton, Minimiser
from tendency.assimilation.sliding import (
    AbstractWindowMethod,
    Reach,
    Solved,
    Window,
    check_windows,
)
from tendency.assimilation.window_cost import (
    Launch,
    Problem,
    control_of,
    launched,
    solved,
)
from tendency.cell import AbstractCell
from tendency.errors import InputError
from tendency.observing import AbstractCovariance


def _perhaps(given: Any) -> AbstractCovariance | None:
    return None if given is None else covariance_of(given)


class FourDVar(AbstractWindowMethod):
    """Strong-constraint 4DVar: the start of a window whose forecast fits best.

    It minimises |x₀ - xᵇ|²/B + Σ |y_k - H(x_k)|²/R, x_k the forecast from x₀: Le Dimet
    & Talagrand (1986, Tellus 38A, 97); Talagrand & Courtier (1987, Q. J. R. Meteorol.
    Soc. 113, 1311). The control variable is v with x₀ = xᵇ + B^1/2 v. By default it is
    incremental, which is Gauss-Newton, with tangent-linear and adjoint models by
    automatic differentiation. The mean step of the model is taken. All states of a
    window are smoothed.

    Arguments:
        background: B, static, as of `ThreeDVar`; the prior is then a carry. `None`
            takes that of the prior, a `Gaussian`, and in later windows the posterior
            covariance of the one before, brought along by the tangent-linear model,
            which of a linear model makes the analyses those of the Kalman filter.
        lag: how many times of observations a window holds.
        shift: by how many the next one begins later, by default `lag`: no overlap.
        multiple: where windows overlap, use observations in each, with the weight
            shift / lag, not once when they are new.
        minimiser: `GaussNewton()`, or a minimiser of Optimistix, say
            `optimistix.LBFGS(rtol, atol)`. Spreads, likelihoods and posterior
            covariances are known where Gauss-Newton forms matrices, else NaN.
        growth: minimise first over so many times of the window, then over as many more,
            each minimum the first guess of the next: long windows of chaotic models
            have many minima otherwise. Pires, Vautard & Talagrand (1996, Tellus 48A,
            96).
        inflation: of the covariance that is brought along.

    Raises:
        InputError: windows that do not fit together, a variance that is not positive, a
            covariance that has neither the shape of the state nor of the carry.
    """

    background: AbstractCovariance | None = eqx.field(default=None, converter=_perhaps)
    lag: int = eqx.field(static=True, default=1)
    shift: int | None = eqx.field(static=True, default=None)
    multiple: bool = eqx.field(static=True, default=False)
    minimiser: Minimiser = GaussNewton()
    growth: int | None = eqx.field(static=True, default=None)
    inflation: Float[Array, ""] = eqx.field(default=1.0, converter=jnp.asarray)

    def __check_init__(self):
        check_windows(self.lag, self.shift, self.multiple)
        _check_growth(self.growth)

    def begin(self, cell: AbstractCell, prior: Any) -> Reach:
        return launched(self.background, prior, "FourDVar")

    def state(self, belief: Reach) -> PyTree[Array]:
        return belief.present.mean.state

    def solve(
        self, cell: AbstractCell, start: Launch, window: Window, key: PRNGKeyArray
    ) -> Solved:
        positions = jnp.arange(self.lag) if self.multiple else window.new()
        weight = window.shift / self.lag if self.multiple else 1.0
        control, root = control_of(self.background, start)

        def forecast(v):
            carry = moved(start.carry, root(v))
            advance = lambda now, forcing, step, _: cell.step(now, forcing)  # noqa: E731
            return window.through(advance, carry)

        problem = Problem(window, forecast, positions, weight)
        inflation = self.inflation if self.background is None else None
        return solved(problem, start, control, self.minimiser, self.growth, inflation)


class WeakFourDVar(AbstractWindowMethod):
    """Weak-constraint 4DVar: the start of a window and the errors of each step.

    It minimises |x₀ - xᵇ|²/B + Σ |η_i|²/Q + Σ |y_k - H(x_k)|²/R with x_i = f(x_i-1) +
    η_i: Sasaki (1970, Mon. Wea. Rev. 98, 875); Trémolet (2006, Q. J. R. Meteorol. Soc.
    132, 2483), whose model-error form it is. The controls are v and w_i, with η_i =
    Q^1/2 w_i; there are as many as steps of the model times components, so that with
    matrices the problem is solved by way of the observations, which are fewer. Windows
    do not overlap.

    Arguments:
        model_error: Q, what a step of the model adds, as `background`: of the state, or
            of the whole carry.
        background, lag, minimiser, growth, inflation: as of `FourDVar`.

    Raises:
        InputError: as `FourDVar`.
    """

    model_error: AbstractCovariance = eqx.field(converter=covariance_of)
    background: AbstractCovariance | None = eqx.field(default=None, converter=_perhaps)
    lag: int = eqx.field(static=True, default=1)
    minimiser: Minimiser = GaussNewton()
    growth: int | None = eqx.field(static=True, default=None)
    inflation: Float[Array, ""] = eqx.field(default=1.0, converter=jnp.asarray)
    shift: None = eqx.field(static=True, default=None, init=False)

    def __check_init__(self):
        check_windows(self.lag, None, False)
        _check_growth(self.growth)

    def begin(self, cell: AbstractCell, prior: Any) -> Reach:
        found = launched(self.background, prior, "WeakFourDVar")
        check_size(self.model_error, found.start.carry, "the model error")
        return found

    def state(self, belief: Reach) -> PyTree[Array]:
        return belief.present.mean.state

    def solve(
        self, cell: AbstractCell, start: Launch, window: Window, key: PRNGKeyArray
    ) -> Solved:
        Q = self.model_error
        control, root = control_of(self.background, start)
        m, each = control.size, size_of(Q, start.carry)
        shape = (self.lag, window.run.longest, each)

        def forecast(v):
            carry = moved(start.carry, root(v[:m]))

            def advance(now, forcing, step, w):
                return moved(cell.step(now, forcing), Q.colour(w))

            return window.through(advance, carry, v[m:].reshape(shape))

        controls = jnp.zeros(m + math.prod(shape), control.dtype)
        problem = Problem(window, forecast, window.new(), 1.0)
        inflation = self.inflation if self.background is None else None
        return solved(problem, start, controls, self.minimiser, self.growth, inflation)


def _check_growth(growth: int | None) -> None:
    if growth is not None and growth < 1:
        raise InputError(
            f"a window that grows by {growth} times was asked for, at least 1 was "
            "expected; None takes all at once"
        )
