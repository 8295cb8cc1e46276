"""The roll-out that every loss of a forecast judges, and what it is judged against."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, AbstractParallelCell, Carry, Constant, Ramp
from tendency.errors import InputError
from tendency.forecasting import scan, spin_up
from tendency.windows import Window


class Told(NamedTuple):
    """A roll-out beside the truth, lead time first."""

    states: PyTree[Array]  # (lead, *state)
    truth: PyTree[Array]  # (lead, *state)
    weights: PyTree[Array]  # (lead, *state)


def roll_out(
    cell: AbstractCell,
    window: Window,
    horizon: int | None = None,
    *,
    teacher_forcing: bool = False,
    noise: Constant | None = None,
    areas: Constant | None = None,
    checkpoint: bool | int = False,
    key: PRNGKeyArray | None = None,
) -> Told:
    """Spin up on the first states of a window and run free over the rest.

    Arguments:
        horizon: steps; `None`: to the end of the window.
        teacher_forcing: start each step from the observed state.
        noise: deviation of what is added to the states that are read, where there is a
            `key` [units of the state].
        areas: weights of the components, which multiply those of the window.
        checkpoint: as of `forecast`.
    """
    start = cell.spin_up_steps
    steps = window_length(window) - start - 1 if horizon is None else horizon

    def part(series, first, last):
        return jax.tree.map(lambda a: a[first:last], series)

    read = part(window.states, 0, start + 1 + steps)
    if key is not None and noise is not None:
        key, noise_key = jax.random.split(key)
        read = noisy(read, noise, noise_key)
    at_once = teacher_forcing and window.initial is None  # all states are known
    if at_once and isinstance(cell, AbstractParallelCell):
        last = start + steps
        given = part(window.forcing, 0, last)
        _, states = cell.unfold(part(read, 0, last), given, key=key)
        states = part(states, start, last)
        weights = _weights(part(window.weights, start + 1, last + 1), states, areas)
        return Told(states, part(window.states, start + 1, last + 1), weights)
    carry = spin_up(cell, part(read, 0, start + 1), part(window.forcing, 0, start + 1))
    free_start = window.initial is not None
    if free_start:
        carry = Carry(window.initial, carry.memory)
    first = carry.state
    last = start + 1 + steps
    truth = part(window.states, start + 1, last)
    ramps = None
    if window.forcing is not None:
        ramps = Ramp(
            part(window.forcing, start, last - 1), part(window.forcing, start + 1, last)
        )
    keys = None if key is None else jax.random.split(key, steps)

    def advance(carry, inputs):
        observed, here, step_key = inputs
        new = cell.step(carry, here, key=step_key)
        onward = Carry(observed, new.memory) if teacher_forcing else new
        return onward, new.state

    inputs = (part(read, start + 1, last), ramps, keys)
    _, states = scan(advance, carry, inputs, checkpoint)
    if free_start:
        start_of = lambda a, b: jnp.concatenate([a[None], b])  # noqa: E731
        states = jax.tree.map(start_of, first, states)
        truth = part(window.states, start, last)
    weights = part(window.weights, start + 1 - free_start, last)
    return Told(states, truth, _weights(weights, states, areas))


def check_length(cell: Any, length: int, horizon: int | None, name: str) -> None:
    """Whether the windows called `name`, of `length` times, are long enough.

    Raises:
        InputError: they do not hold the history and the horizon, or it is no cell.
    """
    if not hasattr(cell, "spin_up_steps"):
        raise InputError(
            f"{type(cell).__name__} is no cell and the loss is of forecasts: give "
            "loss=AutoEncoding() for an auto-encoder"
        )
    needed = cell.spin_up_steps + 1 + (horizon or 1)
    if length < needed:
        raise InputError(
            f"{name} windows of {length} times were given and {needed} are needed "
            f"({cell.spin_up_steps} to spin up, 1 to start, {horizon or 1} to "
            "forecast): cut longer windows or shorten the horizon"
        )


def check_horizon(horizon: int | None) -> None:
    """Whether a horizon is possible.

    Raises:
        InputError: it is not.
    """
    if horizon is not None and horizon < 1:
        raise InputError(f"the horizon is {horizon} steps, at least 1 is needed")


def window_length(window: Window) -> int:
    """The number of times in a window."""
    return jax.tree.leaves(window.states)[0].shape[0]


def noisy(states: PyTree[Array], noise: Constant, key: PRNGKeyArray) -> PyTree[Array]:
    """The states, each component with Gaussian noise of its deviation."""
    leaves, structure = jax.tree.flatten(states)
    keys = jax.tree.unflatten(structure, list(jax.random.split(key, len(leaves))))

    def one(x, std, key):
        drawn = jax.random.normal(key, x.shape, x.dtype)
        return x + jnp.broadcast_to(std, x.shape).astype(x.dtype) * drawn

    return jax.tree.map(one, states, like(noise.value, states), keys)


def like(value: PyTree[Array], states: PyTree[Array]) -> PyTree[Array]:
    """One value a leaf of the states, where there is but one for all."""
    leaves = jax.tree.leaves(value)
    if len(leaves) == 1:
        return jax.tree.map(lambda _: leaves[0], states)
    return value


def _weights(
    weights: PyTree[Array], states: PyTree[Array], areas: Constant | None
) -> PyTree[Array]:
    """Over all the axes of the states."""
    if weights is None:
        weights = jax.tree.map(jnp.ones_like, states)
    else:
        weights = jax.tree.map(_broadcast, like(weights, states), states)
    if areas is None:
        return weights

    def times(w, area):
        _check_areas(area.shape, w.shape[1:])
        return w * jnp.broadcast_to(area, w.shape).astype(w.dtype)

    return jax.tree.map(times, weights, like(areas.value, states))


def _check_areas(areas: tuple[int, ...], state: tuple[int, ...]) -> None:
    """Of maps areas are (row, 1): one number a column would count the columns."""
    try:
        fits = jnp.broadcast_shapes(areas, state) == state
    except ValueError:
        fits = False
    if not fits or (len(state) == 3 and len(areas) == 1 and areas != (1,)):
        raise InputError(
            f"the areas have shape {areas} and a state {state}, areas that broadcast "
            "against it from the right were expected: (row, 1) of maps"
        )


def _broadcast(weight: Array, state: Array) -> Array:
    """Weights of leading axes only, over all the axes of the state."""
    shape = weight.shape + (1,) * (state.ndim - weight.ndim)
    return jnp.broadcast_to(weight.reshape(shape), state.shape).astype(state.dtype)
