"""Windows over the times of observations, which slide: what 4DVar and the IEnKS share.

A window holds `lag` times of observations and begins at the time before them; the next
one begins `shift` times later, so that `lag - shift` times overlap. The first windows
reach back before the prior: those times do not exist, the model stands still there and
nothing is observed.

Where windows overlap an observation is used once, when it is new, or, if `multiple`, in
each of its windows with the weight shift / lag: single and multiple data assimilation
of Bocquet & Sakov (2014, Q. J. R. Meteorol. Soc. 140, 1521).
"""

import abc
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray, PyTree

from tendency.assimilation.method import (
    AbstractMethod,
    Cycle,
    Diagnostics,
    Progress,
    Record,
    Run,
    hidden,
)
from tendency.assimilation.overlap import Past, joined, past_of
from tendency.cell import AbstractCell
from tendency.errors import InputError
from tendency.observing import Observation

Advance = Callable[[Any, PyTree, Any, Any], Any]
"""What is moved, the forcing, the step of the model and an input of it, to the next."""


class Reach(eqx.Module):
    """The belief of a method with windows."""

    start: Any  # at the beginning of the next window
    present: Any  # at the last time of observations
    past: Past | None = None


class Window(eqx.Module):
    """Some times of observations and the model between them."""

    run: Run  # over all times, those before the prior included
    index: Int[Array, " lag"]
    begins: Int[Array, " lag"]  # step of the model at which each interval begins
    offset: Int[Array, ""]  # that step less this is an index of the forcing
    live: Bool[Array, ""]
    lag: int = eqx.field(static=True)
    shift: int = eqx.field(static=True)

    def through(self, advance: Advance, start: Any, inputs: PyTree = None) -> Any:
        """What is moved at all times of the window, its beginning first.

        Arguments:
            inputs: of each step, (lag, steps, ...).
        """
        run = self.run

        def steps(now, interval):
            gap, begin, given = interval

            def one(now, inner):
                i, here = inner

                def step(now):
                    at = begin + i
                    forcing = run.forcing_at(at - self.offset)
                    return advance(now, forcing, at, here)

                if run.even:
                    return step(now), None
                return jax.lax.cond(i < gap, step, lambda now: now, now), None

            each = (jnp.arange(run.longest, dtype=jnp.int32), given)
            return jax.lax.scan(one, now, each)[0]

        def interval(now, here):
            if run.longest:
                now = jax.checkpoint(steps, prevent_cse=False)(now, here)
            return now, now

        each = (run.gaps[self.index], self.begins, inputs)
        _, later = jax.lax.scan(interval, start, each)
        return jax.tree.map(
            lambda a, b: jnp.concatenate([jnp.asarray(a)[None], b]), start, later
        )

    def observation(self, position: int | Array) -> Observation:
        """That of one of its times."""
        found = self.run.observations.at(self.index[position])
        return eqx.tree_at(lambda o: o.seen, found, found.seen & self.live)

    def new(self) -> Int[Array, " shift"]:
        """The positions, among its times, of those that no window held before."""
        return jnp.arange(self.lag - self.shift, self.lag)

    def any_seen(self, positions: Int[Array, " some"]) -> Bool[Array, ""]:
        """Whether anything was seen at some of its times."""
        return jnp.any(self.run.observations.seen[self.index[positions]]) & self.live


class Solved(eqx.Module):
    """What a window gives; positions count from its beginning, the `lag + 1`st last."""

    start: Any  # of the next window
    present: Any  # at the end of this one
    background: PyTree  # beliefs at the new times, as `Cycle` has them
    analysis: PyTree
    diagnostics: Diagnostics  # of the new times
    background_summary: tuple[PyTree[Array], PyTree[Array]]
    summary: tuple[PyTree[Array], PyTree[Array]]  # at all positions


class AbstractWindowMethod(AbstractMethod):
    """A method that solves one window after the other."""

    if TYPE_CHECKING:  # a checker takes an `AbstractVar` for an argument of `__init__`

        @property
        def lag(self) -> int: ...

        @property
        def shift(self) -> int | None: ...

    else:
        lag: eqx.AbstractVar[int]
        shift: eqx.AbstractVar[int | None]

    @abc.abstractmethod
    def solve(
        self, cell: AbstractCell, start: Any, window: Window, key: PRNGKeyArray
    ) -> Solved:
        """The analysis of a window; its key is that of the whole assimilation."""

    def run(
        self, cell: AbstractCell, start: Progress, run: Run
    ) -> tuple[Progress, Record]:
        return slid(self, cell, start, run)


def check_windows(lag: int, shift: int | None, multiple: bool) -> None:
    """Refuse windows that do not fit together.

    Raises:
        InputError: a lag or a shift below one, a shift beyond the lag, or, where
            observations are used more than once, one that does not divide the lag.
    """
    shift = lag if shift is None else shift
    if lag < 1 or not 1 <= shift <= lag:
        raise InputError(
            f"windows of {lag} times that move by {shift} were asked for: give a lag "
            "of at least 1 and a shift from 1 to the lag"
        )
    if multiple and lag % shift:
        raise InputError(
            f"windows of {lag} times that move by {shift} do not hold all "
            "observations equally often, as multiple=True needs: give a shift that "
            "divides the lag"
        )


def slid(
    method: AbstractWindowMethod, cell: AbstractCell, start: Progress, run: Run
) -> tuple[Progress, Record]:
    """Solve all windows in one scan."""
    lag = method.lag
    shift = lag if method.shift is None else method.shift
    overlap, times = lag - shift, len(run.observations)
    if times % shift:
        raise InputError(
            f"there are {times} times of observations and the windows move by {shift}: "
            f"give a multiple of {shift}, times at which nothing is seen (NaN) will do"
        )
    reach: Reach = start.belief
    run, first, offset = joined(run, reach.past, overlap, start.step)
    ends = first + jnp.cumsum(run.gaps)

    def window(number, live):
        index = number * shift + jnp.arange(lag)
        begins = (ends - run.gaps)[index]
        return Window(run, index, begins, offset, live, lag, shift)

    def solve(belief, number, live):
        here = window(number, live)
        found = method.solve(cell, belief, here, run.key)
        new = here.new()

        def keep(inputs):
            position, background, analysis, told = inputs
            observation = here.observation(position)
            cycle = Cycle(background, analysis, observation, told)
            plain = dataclasses.replace(told, transform=None)
            return hidden(plain, observation.seen), run.save(cycle)

        told, saved = jax.lax.map(
            keep, (new, found.background, found.analysis, found.diagnostics)
        )
        at_new = jax.tree.map(lambda a: a[-shift:], found.summary)
        record = Record(found.background_summary, at_new, told, saved)
        head = jax.tree.map(lambda a: a[:shift], found.summary)
        return (found.start, found.present, found.summary), (record, head)

    # As in `cycled`, a second and empty turn keeps the loop a loop, and its rounding.
    turns = times // shift
    numbers = jnp.arange(max(turns, 2))
    live = numbers < turns
    here = (reach.start, reach.present)
    shapes = jax.eval_shape(solve, reach.start, numbers[0], live[0])
    blank = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)

    def turn(now, inputs):
        number, live = inputs

        def go_on(now):
            return solve(now[0], number, live)

        def stay(now):
            return now, blank[1]

        return jax.lax.cond(live, go_on, stay, now)

    begin = (*here, blank[0][2])
    (last, present, tail), (record, head) = jax.lax.scan(
        turn, begin, (jnp.minimum(numbers, turns - 1), live)
    )
    record, head = jax.tree.map(
        lambda a: a[:turns].reshape(times, *a.shape[2:]), (record, head)
    )
    smoothed = jax.tree.map(
        lambda a, b: jnp.concatenate([a, b[shift:]])[-times:], head, tail
    )
    past = past_of(run, overlap, offset, ends) if overlap else None
    record = dataclasses.replace(record, smoothed=smoothed)
    return Progress(Reach(last, present, past), ends[-1]), record
