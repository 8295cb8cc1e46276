"""Floor 1: from a tendency to a cell.

`Integrated` steps a tendency by a scheme: `euler`, `ssprk3`, `rk4`, `dormand_prince5`,
`adams_bashforth3`, or any Diffrax solver through `Diffrax`. All stages of a scheme
share the weights of the tendency, so RK4 has exactly the parameters of Euler.

A scheme sees `f(c, x)`, the tendency of the state `x` at the fraction `c` of its step,
and keeps what it needs from one step to the next in a memory of its own.
"""

import abc
import math
from collections.abc import Callable

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Carry, Tendency, forcing_at

Stage = Callable[[float | Array, PyTree[Array]], PyTree[Array]]


class AbstractScheme(eqx.Module):
    """One step of length `h` of dx/dt = f(c, x), c being the fraction of the step."""

    @abc.abstractmethod
    def init(self, state: PyTree[Array]) -> PyTree[Array]:
        """What the scheme remembers before its first step."""

    @abc.abstractmethod
    def step(
        self, f: Stage, state: PyTree[Array], memory: PyTree[Array], h: float
    ) -> tuple[PyTree[Array], PyTree[Array]]:
        """The state after `h` and the new memory."""


def _moved(state: PyTree[Array], h: float, weights, slopes) -> PyTree[Array]:
    """`state + h * sum(weights * slopes)`, terms of zero weight left out."""
    terms = [(h * w, k) for w, k in zip(weights, slopes, strict=False) if w != 0]

    def leaf(x, *ks):
        return x + sum(w * k for (w, _), k in zip(terms, ks, strict=True))

    return jax.tree.map(leaf, state, *(k for _, k in terms)) if terms else state


class RungeKutta(AbstractScheme):
    """An explicit Runge-Kutta scheme given by its Butcher tableau.

    kᵢ = f(cᵢ, x + h Σⱼ aᵢⱼ kⱼ), x' = x + h Σᵢ bᵢ kᵢ, with cᵢ = Σⱼ aᵢⱼ.
    """

    a: tuple[tuple[float, ...], ...] = eqx.field(static=True)  # row i has i entries
    b: tuple[float, ...] = eqx.field(static=True)
    order: int = eqx.field(static=True)

    def init(self, state):
        return None

    def step(self, f, state, memory, h):
        slopes = []
        for row in self.a:
            slopes.append(f(math.fsum(row), _moved(state, h, row, slopes)))
        return _moved(state, h, self.b, slopes), None


euler = RungeKutta(a=((),), b=(1.0,), order=1)

ssprk3 = RungeKutta(a=((), (1.0,), (1 / 4, 1 / 4)), b=(1 / 6, 1 / 6, 2 / 3), order=3)
"""Strong-stability preserving: Shu & Osher (1988, J. Comput. Phys. 77, 439), 2.18."""

rk4 = RungeKutta(
    a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
    order=4,
)

dormand_prince5 = RungeKutta(
    a=(
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    ),
    b=(35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    order=5,
)
"""Fixed step: Dormand & Prince (1980, J. Comput. Appl. Math. 6, 19), RK5(4)7M."""


class AdamsBashforth3(AbstractScheme):
    """x' = x + h (23 f₀ - 16 f₁ + 5 f₂) / 12, the past tendencies f₁, f₂ in memory.

    One evaluation a step. The first two steps are Euler's and the second-order
    scheme's, so a start costs an error of order h², once.
    """

    def init(self, state):
        nothing = jax.tree.map(jnp.zeros_like, state)
        return nothing, nothing, jnp.zeros((), jnp.int32)

    def step(self, f, state, memory, h):
        last, last_but_one, steps = memory
        now = f(0.0, state)

        def leaf(x, k0, k1, k2):
            by_age = [[1.0, 0.0, 0.0], [3 / 2, -1 / 2, 0.0], [23 / 12, -4 / 3, 5 / 12]]
            weights = jnp.asarray(by_age, x.dtype)[jnp.minimum(steps, 2)]
            return x + h * (weights[0] * k0 + weights[1] * k1 + weights[2] * k2)

        new = jax.tree.map(leaf, state, now, last, last_but_one)
        return new, (now, last, steps + 1)


adams_bashforth3 = AdamsBashforth3()


class Diffrax(AbstractScheme):
    """Any Diffrax solver as a scheme, restarted at each step.

    Without a `controller` the solver takes one step of the given length. With one
    (`diffrax.PIDController(rtol, atol)`, say) it takes as many as its tolerance asks.
    `adjoint` says how derivatives are taken then: Diffrax's default is for reverse
    mode, `diffrax.ForwardMode()` for forward mode.

    Raises: what Diffrax raises where `max_steps` do not suffice.
    """

    solver: diffrax.AbstractSolver
    controller: diffrax.AbstractStepSizeController | None = None
    adjoint: diffrax.AbstractAdjoint = diffrax.RecursiveCheckpointAdjoint()
    max_steps: int = eqx.field(static=True, default=4096)

    def init(self, state):
        return None

    def step(self, f, state, memory, h):
        term = diffrax.ODETerm(lambda t, x, args: f(t / h, x))  # pyright: ignore
        real = jnp.finfo(jnp.result_type(*jax.tree.leaves(state))).dtype
        t0, t1 = jnp.zeros((), real), jnp.asarray(h, real)  # else Diffrax's are float64
        if self.controller is None:
            start = self.solver.init(term, t0, t1, state, None)
            new, _, _, _, result = self.solver.step(
                term, t0, t1, state, None, start, made_jump=False
            )
            failed = result != diffrax.RESULTS.successful  # an implicit stage unsolved
            return result.error_if(new, failed), None
        solution = diffrax.diffeqsolve(
            term,
            self.solver,
            t0=t0,
            t1=t1,
            dt0=t1,
            y0=state,
            stepsize_controller=self.controller,
            adjoint=self.adjoint,
            max_steps=self.max_steps,
        )
        return jax.tree.map(lambda x: x[-1], solution.ys), None


class Integrated(AbstractCell):
    """A tendency stepped by a scheme: a physical model, or a residual network.

    A forcing given as a `Ramp` is interpolated at the stages; any other is held over
    the step, which leaves every scheme first order in it.

    Raises:
        ValueError: `dt` or `substeps` is not positive.
    """

    tendency: Tendency
    dt: float = eqx.field(static=True)  # [time unit of the tendency]
    scheme: AbstractScheme = rk4
    substeps: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        if not (math.isfinite(self.dt) and self.dt > 0):
            raise ValueError(
                f"dt is {self.dt}, a positive step was expected; to run a model "
                "backwards, change the sign of its tendency"
            )
        if self.substeps < 1:
            raise ValueError(f"substeps is {self.substeps}, at least 1 was expected")

    @property
    def spin_up_steps(self) -> int:
        """A scheme with a memory starts by itself, at a lower order."""
        return 0

    def init(self, state: PyTree[Array]) -> Carry:
        return Carry(state, self.scheme.init(state))

    def step(
        self,
        carry: Carry,
        forcing: PyTree = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> Carry:
        h = self.dt / self.substeps

        def substep(i, now):
            state, memory = now
            return self.scheme.step(self._stages(forcing, i), state, memory, h)

        now = (carry.state, carry.memory)
        if self.substeps == 1:  # a loop of one would hinder reverse mode and fusion
            return Carry(*substep(0, now))
        return Carry(*jax.lax.fori_loop(0, self.substeps, substep, now))

    def _stages(self, forcing: PyTree, substep: int | Array) -> Stage:
        def stage(c, state):
            here = forcing_at(forcing, (substep + c) / self.substeps)
            return self.tendency(state, here)

        return stage
