"""Dynamics learned from noisy and partial observations: states and model together."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PyTree

from tendency.errors import InputError
from tendency.fitting.first_guess import joint_problem
from tendency.fitting.normal_equations import (
    JointProblem,
    Unknowns,
    covariances,
    move,
    normal_equations,
)
from tendency.fitting.posterior import Posterior
from tendency.fitting.problem import Diverged, Fitted, Run
from tendency.fitting.pruning import Pruning, pruned
from tendency.observing import Observations
from tendency.statistical import SparseTendency

_DAMPING = 1e-4  # at the beginning, of Levenberg and Marquardt


class JointFit(eqx.Module):
    r"""Weak-constraint 4DVar over the states and the parameters of the model together.

    It brings down

        J(x, θ) = Σ |R^-1/2 (y_k - H x_k)|² + Σ |(x_k+1 - M(x_k; θ)) / s|² / ε

    by Levenberg-Marquardt on the arrow-shaped Gauss-Newton system, for a sequence of
    smaller and smaller ε: at first the states follow the observations and the model the
    states, in the end the states follow the model. Going there at once ends in a local
    minimum (a fixed point, say) as soon as the series is longer than the model is
    predictable. Time and memory are linear in the number of steps.

    What is missing, never observed, or observed every few steps only is simply not in
    the first sum. What a fit starts from says little of components that are never
    observed: there let ε begin at 100, with no warm-up and a tendency of zero, so that
    states and model come nearer to each other by and by. A misfit to the observations
    that is left well above 1 tells of a local minimum, or of a model that is too poor.
    The cell must be memoryless and of few components, with parameters in the hundreds;
    the data float64, for ε reaches 1e-9.

    Arguments:
        ratios: ε, variance of model over that of observation errors, one a stage.
        scale: s, the error of observations in each component of the state [units of
            the state]; by default from R where the operator sees the component, for
            others as large a part of the component's standard deviation.
        pruning: remove what is insignificant among the parameters, and fit again.
        warm_up: iterations that fit the parameters to the first guess of the states,
            before all is free; 0 starts from the parameters of the cell.
        max_steps: iterations of each stage at most.
        tolerance: a stage ends when an iteration lowers J by less than this part of it.

    Raises:
        InputError: ratios that are not positive, or that increase; no stage.

    Source: Trémolet (2006, Q. J. R. Meteorol. Soc. 132, 2483), weak-constraint 4DVar;
    Voss, Timmer & Kurths (2004, Int. J. Bifurcation Chaos 14, 1905), states and
    parameters; the continuation is that of Ye et al. (2015, Phys. Rev. E 92, 052901).
    """

    ratios: tuple[float, ...] = (4e-2, 4e-3, 4e-4, 4e-5, 4e-7, 4e-9)
    scale: Float[Array, " n"] | None = None
    pruning: Pruning | None = None
    warm_up: int = 10
    max_steps: int = eqx.field(static=True, default=20)
    tolerance: float = 1e-6

    def __check_init__(self):
        good = all(np.isfinite(r) and r > 0 for r in self.ratios)
        if not (self.ratios and good and np.all(np.diff(self.ratios) <= 0)):
            raise InputError(
                f"the ratios of model to observation error are {self.ratios}, positive "
                "numbers that decrease were expected"
            )
        if self.max_steps < 1 or self.warm_up < 0:
            raise InputError(
                f"max_steps is {self.max_steps} and warm_up {self.warm_up}, at least 1 "
                "and 0 were expected"
            )

    def solve(
        self,
        fixed: PyTree,
        weights: PyTree[Array],
        observations: Observations | Sequence[Observations],
        first_guess: Any,
        forcing: Any,
        run: Run,
    ) -> Fitted:
        """Fit the cell made of `fixed` and `weights`."""
        one = isinstance(observations, Observations)
        if one:
            observations, first_guess = [observations], [first_guess]
            forcing = None if forcing is None else [forcing]
        problem, states = joint_problem(
            fixed, weights, list(observations), first_guess, forcing, self.scale
        )
        theta, _ = ravel_pytree(weights)
        now = first_search(Unknowns(states, theta))
        log, free = Log(run), jnp.ones_like(theta)
        if self.warm_up:
            limit = min(self.warm_up, self.max_steps)
            now = self._stage(problem, now, self.ratios[0], free, log, limit, hold=True)
            now = first_search(now.at)
        now = self._stages(problem, now, free, log, self.ratios)
        if self.pruning is not None:
            now, free = pruned(
                self.pruning,
                now,
                free,
                lambda now, free: self._errors(problem, now, free)[0],
                lambda now, free: self._stages(
                    problem, now, free, log, self.ratios[-2:]
                ),
            )
        covariance, spread = self._errors(problem, now, free)
        posterior = Posterior.of(problem, now.at, covariance, spread, one)
        history = log.history()
        cell = problem.cell(now.at.theta)
        if self.pruning is not None:
            is_sparse = lambda t: isinstance(t, SparseTendency)  # noqa: E731
            cell = jax.tree.map(
                lambda t: t.pruned() if is_sparse(t) else t, cell, is_leaf=is_sparse
            )
        return Fitted(cell, history, len(history["train_loss"]), posterior=posterior)

    def _errors(self, problem, now, free):
        return errors_at(problem, now.at, jnp.asarray(self.ratios[-1]), free)

    def _stages(self, problem, now, free, log, ratios):
        for ratio in ratios:
            now = self._stage(problem, now, ratio, free, log)
        return now

    def _stage(self, problem, now, ratio, free, log, limit=None, hold=False):
        limits = jnp.asarray(self.max_steps if limit is None else limit)
        settings = (jnp.asarray(ratio), free, limits, jnp.asarray(hold))
        new, steps, costs = descend(
            problem, now, settings, jnp.asarray(self.tolerance), self.max_steps
        )
        if not np.isfinite(costs[0]):
            raise Diverged(
                "the misfit is not finite at the first states and parameters: start "
                "from others, or from a smaller step of the model",
                Fitted(problem.cell(now.at.theta), log.history(), -1),
            )
        misfits = [float(m) for m in _misfits(problem, new.at)]
        log.add(problem, ratio, np.asarray(costs[: int(steps)]), misfits)
        return new


class Search(eqx.Module):
    """Where a fit stands."""

    at: Unknowns
    damping: Float[Array, ""]


def first_search(at: Unknowns) -> Search:
    """Before the first iteration."""
    return Search(at, jnp.asarray(_DAMPING, at.states.dtype))


class Log:
    """What the history of a fit is made of: one value an iteration."""

    def __init__(self, run: Run):
        self._run = run
        self._stages: list[tuple[float, np.ndarray]] = []
        self._misfits: list[list[float]] = []

    def add(self, problem: JointProblem, ratio: float, costs, misfits) -> None:
        count = max(int(jnp.sum(problem.chain.observations.seen)), 1)
        steps = max(int(jnp.sum(problem.chain.linked)) * len(problem.scale), 1)
        self._stages.append((ratio, costs / count))
        self._misfits.append([misfits[0] / count, misfits[1] / ratio / steps])
        if self._run.report is not None and len(costs):
            self._run.report({"epoch": len(self._stages), "train_loss": costs[-1]})

    def history(self) -> dict[str, np.ndarray]:
        """Costs an observation, ratios, and both misfits at the end of their stages."""
        nothing = [np.empty(0)]
        costs = [c for _, c in self._stages]
        lengths = [len(c) for c in costs]
        spread = [
            np.repeat(np.asarray([m[i] for m in self._misfits]), lengths)
            for i in (0, 1)
        ]
        return {
            "train_loss": np.concatenate(costs or nothing),
            "ratio": np.repeat(np.asarray([r for r, _ in self._stages]), lengths),
            "observation_misfit": spread[0],
            "model_misfit": spread[1],
        }


@eqx.filter_jit
def descend(
    problem: JointProblem,
    now: Search,
    settings: tuple[Array, Array, Array, Array],
    tolerance: Array,
    max_steps: int,
) -> tuple[Search, Int[Array, ""], Float[Array, " max_steps"]]:
    """Levenberg-Marquardt at one ratio: where it ends, iterations, costs before each.

    The cost after the last iteration ends the sequence.
    """
    ratio, free, limit, hold = settings

    def body(loop):
        now, cost, step, costs, _ = loop
        normal = normal_equations(problem, now.at, ratio)
        change = move(normal, now.damping, problem.scale, free, hold)
        new = jax.tree.map(jnp.add, now.at, change)
        there = problem.cost(new, ratio)
        better = there < cost  # false for NaN
        at = jax.tree.map(lambda a, b: jnp.where(better, a, b), new, now.at)
        damping = jnp.where(better, now.damping / 10, now.damping * 10)
        done = jnp.where(
            better, (cost - there) < tolerance * cost, now.damping > 1e6
        ) | ~jnp.isfinite(cost)
        cost = jnp.where(better, there, cost)
        costs = costs.at[step].set(cost)
        return Search(at, jnp.maximum(damping, 1e-14)), cost, step + 1, costs, done

    def wanted(loop):
        return ~loop[4] & (loop[2] < limit)

    cost = problem.cost(now.at, ratio)
    costs = jnp.full(max_steps, jnp.nan, cost.dtype)
    start = (now, cost, jnp.zeros((), limit.dtype), costs, jnp.asarray(False))
    end = jax.lax.while_loop(wanted, body, start)
    return end[0], end[2], end[3]


@eqx.filter_jit
def _misfits(problem, at):
    return problem.misfits(at)


@eqx.filter_jit
def errors_at(
    problem: JointProblem, at: Unknowns, ratio: Array, free: Float[Array, " p"]
) -> tuple[Float[Array, "p p"], Float[Array, "N n n"]]:
    """Covariances of the parameters and of each state at a minimum."""
    return covariances(normal_equations(problem, at, ratio), free)
