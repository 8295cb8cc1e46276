"""Floor 2: running a cell forward.

`spin_up` informs the memory with a history, `forecast` runs free in one compiled scan,
`stream` does the same chunk by chunk when the result would not fit in memory. All are
written for one member: batch with `jax.vmap`.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, AbstractParallelCell, Carry, Ramp
from tendency.errors import InputError

Save = Callable[[Carry], Any]


def state_of(carry: Carry) -> PyTree[Array]:
    """The state: what `forecast` saves unless asked for something else."""
    return carry.state


def spin_up(
    cell: AbstractCell, history: PyTree[Array], forcing: PyTree[Array] = None
) -> Carry:
    """The carry at the last time of `history`, its memory informed by those before.

    The cell steps through the history and its state is replaced by each observed one;
    an `AbstractParallelCell` reads it at once. Only the last `cell.spin_up_steps + 1`
    times are read.

    Arguments:
        history: states, time first.
        forcing: at the times of the history; each step sees the `Ramp` between two.

    Raises:
        InputError: the history is shorter than `cell.spin_up_steps + 1`, or the
            forcing is not as long as the history.
    """
    history, forcing = jax.tree.map(jnp.asarray, (history, forcing))
    (times,) = _lengths(history, "history")
    needed = cell.spin_up_steps + 1
    if times < needed:
        raise InputError(
            f"the history has {times} times and the cell needs {needed} (spin_up_steps "
            "+ 1): give a longer history"
        )
    if forcing is not None:
        (forcing_times,) = _lengths(forcing, "forcing")
        if forcing_times != times:
            raise InputError(
                f"the forcing has {forcing_times} times and the history {times}, the "
                "same number was expected"
            )
    last, given = jax.tree.map(lambda a: a[times - needed :], (history, forcing))
    if needed == 1:
        return cell.init(jax.tree.map(lambda a: a[0], last))
    return _read(cell, last, given)


@eqx.filter_jit
def _read(cell, history, forcing):
    if isinstance(cell, AbstractParallelCell):
        last = jax.tree.map(lambda a: a[-1], history)
        before, given = jax.tree.map(lambda a: a[:-1], (history, forcing))
        return Carry(last, cell.unfold(before, given)[0])
    between = None if forcing is None else ramps(forcing)
    first, later = (jax.tree.map(lambda a, i=i: a[i], history) for i in _FIRST)

    def one(carry, inputs):
        observed, here = inputs
        return Carry(observed, cell.step(carry, here).memory), None

    return jax.lax.scan(one, cell.init(first), (later, between))[0]


_FIRST = (0, slice(1, None))


def forecast(
    cell: AbstractCell,
    carry: Carry,
    steps: int,
    forcing: PyTree[Array] = None,
    *,
    save: Save = state_of,
    every: int = 1,
    checkpoint: bool | int = False,
    key: PRNGKeyArray | None = None,
) -> tuple[Carry, Any]:
    """The carry after `steps`, and what was saved on the way, lead time first.

    Arguments:
        steps: how many; the longest lead time is `steps * cell.dt`.
        forcing: leaves with `steps` entries are held over each step, leaves with
            `steps + 1` entries are values at its ends and reach the cell as a `Ramp`.
        save: what to keep of a carry, by default its state. Pass a function defined
            once: each new function compiles anew.
        every: save after every so many steps; it must divide `steps`.
        checkpoint: for reverse-mode derivatives of long forecasts, which otherwise
            store every step. `True` recomputes the steps instead, in segments within
            segments: memory grows as the logarithm of `steps`, and so do the forecasts
            that it costs (four more for 1,000 steps). A number recomputes once, in
            segments of so many saves: memory grows as the square root at best.
        key: draws the random part of a stochastic cell, step `i` from
            `fold_in(key, i)`; `None` asks for the deterministic forecast.

    Raises:
        InputError: `steps` is not a positive multiple of `every`, or the forcing has
            neither `steps` nor `steps + 1` entries, or none that is known at some time.
    """
    _check_steps(steps, every)
    forcing = jax.tree.map(jnp.asarray, forcing)  # NumPy's, and those of xarray
    _check_known(forcing)
    return _advance(cell, carry, steps, forcing, save, every, checkpoint, key, 0)


def stream(
    cell: AbstractCell,
    carry: Carry,
    steps: int,
    forcing: PyTree[Array] = None,
    *,
    chunk: int,
    save: Save = state_of,
    every: int = 1,
    key: PRNGKeyArray | None = None,
) -> Iterator[tuple[Carry, Any]]:
    """`forecast` in chunks of `chunk` steps, each yielded as it is done.

    The numbers are those of one long forecast, drawn noise included; memory is that of
    one chunk. Arguments as for `forecast`; `every` must divide `chunk` too. Each carry
    yielded is handed on to the next chunk, so copy it to keep it.

    Raises:
        InputError: as `forecast`.
    """
    _check_steps(steps, every)
    _check_steps(chunk, every)
    forcing = jax.tree.map(jnp.asarray, forcing)
    _check_known(forcing)
    ramped = forcing is not None and forcing_is_ramped(forcing, steps)
    carry = jax.tree.map(jnp.array, carry)  # the caller's own is not donated
    for start in range(0, steps, chunk):
        size = min(chunk, steps - start)
        part = jax.tree.map(lambda a, i=start, n=size: a[i : i + n + ramped], forcing)
        fixed = (cell, part, save, every, key, jnp.asarray(start, jnp.int32))
        carry, saved = _chunk(fixed, carry, size)
        yield carry, saved


@eqx.filter_jit(donate="all-except-first")
def _chunk(fixed, carry, steps):
    cell, forcing, save, every, key, start = fixed
    return _advance(cell, carry, steps, forcing, save, every, False, key, start)


@eqx.filter_jit
def _advance(cell, carry, steps, forcing, save, every, checkpoint, key, start):
    if forcing is not None and forcing_is_ramped(forcing, steps):
        forcing = ramps(forcing)

    def one_step(carry, inputs):
        here, index = inputs
        step_key = None if key is None else jax.random.fold_in(key, index)
        return cell.step(carry, here, key=step_key)

    through = _in_segments if checkpoint is True else jax.lax.scan

    def one_save(carry, inputs):
        if every == 1:
            carry = one_step(carry, inputs)
        else:
            advance = lambda c, xs: (one_step(c, xs), None)  # noqa: E731
            carry, _ = through(advance, carry, inputs)
        return carry, save(carry)

    inputs = (forcing, start + jnp.arange(steps, dtype=jnp.int32))
    if every > 1:
        inputs = _folded(inputs, every)
    return scan(one_save, carry, inputs, checkpoint)


def scan(
    body: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    inputs: PyTree[Array],
    checkpoint: bool | int = False,
) -> tuple[Any, Any]:
    """`jax.lax.scan`, whose reverse mode recomputes as `forecast` says of it."""
    if not checkpoint:
        return jax.lax.scan(body, carry, inputs)
    if checkpoint is True:
        return _in_segments(body, carry, inputs)
    (length,) = _lengths(inputs, "scan")
    one_segment = lambda c, xs: jax.lax.scan(body, c, xs)  # noqa: E731
    return _scan_of_segments(one_segment, carry, inputs, min(checkpoint, length))


_BRANCHES = 6  # segments in a segment: fewer take less memory and more recomputation


def _in_segments(body, carry, inputs):
    """`jax.lax.scan` whose reverse mode keeps few carries, and one step's insides.

    A segment is recomputed when its derivative is wanted, and is itself a scan of
    segments: 1,000 steps are shared out as 5 x 5 x 5 x 8, which keeps 23 carries.
    """
    (length,) = _lengths(inputs, "scan")
    levels = round(math.log(length, _BRANCHES))
    if levels <= 1:
        return jax.lax.scan(jax.checkpoint(body), carry, inputs)
    even = length ** (1 / levels)
    counts = range(round(even * 2 / 3), round(even * 4 / 3) + 1)
    count = min(counts, key=lambda n: (length % n, abs(n - even)))
    one_segment = lambda c, xs: _in_segments(body, c, xs)  # noqa: E731
    return _scan_of_segments(one_segment, carry, inputs, length // count)


def _scan_of_segments(one_segment, carry, inputs, segment: int):
    """`one_segment` over each, recomputed in reverse mode, then over what is left."""
    (length,) = _lengths(inputs, "scan")
    whole = length - length % segment
    body = jax.tree.map(lambda a: a[:whole], inputs)
    again = jax.checkpoint(one_segment)
    carry, saved = jax.lax.scan(again, carry, _folded(body, segment))
    saved = jax.tree.map(lambda a: a.reshape(whole, *a.shape[2:]), saved)
    if whole == length:
        return carry, saved
    tail = jax.tree.map(lambda a: a[whole:], inputs)
    carry, rest = again(carry, tail)
    return carry, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), saved, rest)


def _folded(series: PyTree[Array], size: int) -> PyTree[Array]:
    return jax.tree.map(lambda a: a.reshape(-1, size, *a.shape[1:]), series)


def ramps(forcing: PyTree[Array]) -> Ramp:
    """A forcing at the ends of steps, as what each step sees."""
    start, end = (jax.tree.map(lambda a, s=s: a[s], forcing) for s in _ENDS)
    return Ramp(start, end)


_ENDS = (slice(None, -1), slice(1, None))


def _check_steps(steps: int, every: int) -> None:
    if steps < 1 or every < 1 or steps % every:
        raise InputError(
            f"{steps} steps saved every {every} were asked for, a positive number of "
            "steps that is a multiple of `every` was expected"
        )


def _check_known(forcing: PyTree[Array]) -> None:
    """Whether some of each forcing is known at each time; on land a map may be NaN."""
    for leaf in jax.tree.leaves(forcing):
        if isinstance(leaf, Tracer) or not eqx.is_inexact_array_like(leaf):
            continue
        known = np.isfinite(leaf).reshape(np.shape(leaf)[0], -1).any(1)
        if not known.all():
            raise InputError(
                f"the forcing is missing (NaN) at {int((~known).sum())} of its "
                f"{known.size} times, the first at index {int(np.argmin(known))}, "
                "and is needed all along: give it, or forecast fewer steps"
            )


def forcing_is_ramped(forcing: PyTree[Array], steps: int) -> bool:
    """Whether it is given at the ends of the steps, not held over them.

    Raises:
        InputError: it has neither `steps` nor `steps + 1` entries.
    """
    (times,) = _lengths(forcing, "forcing")
    if times not in (steps, steps + 1):
        raise InputError(
            f"the forcing has {times} times for {steps} steps: give {steps} values, "
            f"each held over its step, or {steps + 1} values at the ends of the steps"
        )
    return times == steps + 1


def _lengths(series: PyTree[Array], name: str) -> set[int]:
    lengths = {a.shape[0] for a in jax.tree.leaves(series)}
    if len(lengths) != 1:
        raise InputError(
            f"the {name} has leaves of {sorted(lengths)} times, the same number was "
            "expected"
        )
    return lengths
