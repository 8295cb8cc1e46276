"""Observations at many times, and what of them stands at one."""

from collections.abc import Callable
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PyTree

from tendency.errors import InputError
from tendency.observing.covariances import AbstractCovariance, DiagonalCovariance
from tendency.observing.interpolation import Interpolate
from tendency.observing.operators import Select

Operator = Callable[..., Any]


class Observation(eqx.Module):
    """What is observed at one time; what is not `seen` has a value of zero."""

    values: Float[Array, " obs"]
    seen: Bool[Array, " obs"]
    operator: Operator
    error: AbstractCovariance
    arguments: PyTree[Array] = None
    positions: Float[Array, "obs space"] | None = None

    def observe(self, state: PyTree[Array]) -> Float[Array, " obs"]:
        """The model equivalents of the observations, of one member."""
        if self.arguments is None:
            return self.operator(state)
        return self.operator(state, self.arguments)

    def departures(self, equivalents: Float[Array, " obs"]) -> Float[Array, " obs"]:
        """The difference y - H(x), zero where nothing was seen."""
        values = self.values.astype(equivalents.dtype)
        return jnp.where(self.seen, values - equivalents, jnp.zeros_like(values))

    def whiten(self, departures: Float[Array, " obs"]) -> Float[Array, " obs"]:
        """R^-1/2 d, zero where nothing was seen."""
        return self.error.whiten(departures, self.seen)


class Observations(eqx.Module):
    """Values at known steps of a model, their operator and their errors.

    Each time holds the same number of values, of which any may be missing; build it
    with `Observations.of`, which checks. `observations[a:b]` are those of some times.
    """

    values: Float[Array, "time obs"]  # 0 where nothing was seen
    seen: Bool[Array, "time obs"]
    steps: Int[np.ndarray, " time"]  # of the model, from the prior at step 0
    operator: Operator
    error: AbstractCovariance
    arguments: PyTree[Array] = None  # of the operator, time first
    positions: Float[Array | np.ndarray, "*time obs space"] | None = None

    @classmethod
    def of(
        cls,
        values: Array | np.ndarray,
        steps: Any,
        operator: Operator = Select(),  # noqa: B008
        *,
        error: AbstractCovariance | float,
        mask: Any = None,
        arguments: Any = None,
        positions: Array | np.ndarray | None = None,
    ) -> Self:
        """Check and gather observations.

        Arguments:
            values: (time, observed), in the units of what the operator gives; NaN is
                missing.
            steps: after how many steps of the model each time comes, counted from the
                prior: increasing, at any intervals; step 0 is the prior's own time.
            operator: the model equivalents of the values, of a state of one member,
                by default all its components. With `arguments`, `operator(state,
                arguments)` is given those of the time.
            error: the covariance of the errors, or a number, the variance of all
                [square of the units].
            mask: True where there is a value, or once for all times; by default
                wherever `values` is not NaN.
            positions: where each value was observed, (observed, space), or (time,
                observed, space) where that varies; for localisation.

        Raises:
            InputError: shapes that do not fit, steps that do not increase, an infinite
                value, a variance that is not positive.
        """
        if np.ndim(values) != 2:
            raise InputError(
                f"the observations have the shape {np.shape(values)}, (time, observed) "
                "was expected: give one row a time"
            )
        times, size = np.shape(values)
        steps = _checked_steps(steps, times)
        seen = jnp.isfinite(values)
        if mask is not None:
            if np.shape(mask) not in ((size,), (times, size)):
                raise InputError(
                    f"the mask has the shape {np.shape(mask)} and the observations "
                    f"{(times, size)}: give a mask of that shape, True where a value is"
                )
            seen &= jnp.broadcast_to(jnp.asarray(mask, bool), (times, size))
        if not isinstance(values, Tracer):
            infinite = np.isinf(np.asarray(values))
            if infinite.any():
                time, component = np.argwhere(infinite)[0]
                raise InputError(
                    f"value {component} of time {time} is infinite: mark what is "
                    "missing as NaN"
                )
        for leaf in jax.tree.leaves(arguments):
            if np.ndim(leaf) < 1 or np.shape(leaf)[0] != times:
                raise InputError(
                    f"an argument of the operator has the shape {np.shape(leaf)} and "
                    f"there are {times} times: give one entry a time"
                )
        if positions is not None and np.shape(positions)[:-1] not in (
            (size,),
            (times, size),
        ):
            raise InputError(
                f"the positions have the shape {np.shape(positions)} and the "
                f"observations {(times, size)}: give (observed, space) or (time, "
                "observed, space)"
            )
        if not isinstance(error, AbstractCovariance):
            error = DiagonalCovariance(error)
        if isinstance(seen, Tracer):
            known = np.zeros((times, size))
        else:
            known = np.where(np.asarray(seen), 0.0, np.nan)
        values = jnp.asarray(values)
        return cls(
            jnp.where(seen, values, jnp.zeros_like(values)),
            seen,
            steps,
            operator,
            error.checked(known),
            jax.tree.map(jnp.asarray, arguments),
            # Those of NumPy stay so, and are known while a program is traced.
            positions
            if isinstance(positions, Array | None)
            else np.asarray(positions, float),
        )

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, times: slice) -> Self:
        def part(array):
            return array[times]

        error = self.error
        if error.variances().ndim == 2:
            error = jax.tree.map(part, error)
        moving = self.positions is not None and self.positions.ndim == 3
        return type(self)(
            self.values[times],
            self.seen[times],
            self.steps[times],
            self.operator,
            error,
            jax.tree.map(part, self.arguments),
            self.positions[times] if moving else self.positions,  # pyright: ignore
        )

    def at(self, index: int | Array) -> Observation:
        """Those of one time."""
        positions = self.positions
        positions = None if positions is None else jnp.asarray(positions)
        if positions is not None and positions.ndim == 3:
            positions = positions[index]
        return Observation(
            self.values[index],
            self.seen[index],
            self.operator,
            self.error.at(index),
            jax.tree.map(lambda a: a[index], self.arguments),
            positions,
        )

    def check(self, state: PyTree[Array]) -> None:
        """Refuse an operator that does not fit such a state, or these values.

        Raises:
            InputError: what it gives has another shape than a row of values.
        """
        if isinstance(self.operator, Select):
            self.operator.check(state)
        if isinstance(self.operator, Interpolate):
            self.operator.check(state, self.arguments, self.seen)
        size = self.values.shape[1]
        try:
            found = eqx.filter_eval_shape(self.at(0).observe, state)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            shapes = jax.tree.map(lambda a: a.shape, state)
            raise InputError(
                f"the observation operator cannot read a state of the shape {shapes}: "
                f"{type(error).__name__}, {str(error).splitlines()[0]}"
            ) from error
        shape = getattr(found, "shape", None)
        if shape != (size,):
            raise InputError(
                f"the observation operator gives the shape {shape} and a time holds "
                f"{size} values: give an operator of {size} numbers, or observations "
                "of what it gives"
            )


def _checked_steps(steps: Any, times: int) -> Int[np.ndarray, " time"]:
    found = np.asarray(steps)
    if found.shape != (times,) or not times:
        raise InputError(
            f"there are {times} times of observations and steps of the shape "
            f"{found.shape}: give one step a time, and at least one"
        )
    if not np.issubdtype(found.dtype, np.integer):
        raise InputError(
            f"the steps are of the type {found.dtype}, whole steps of the model were "
            "expected: divide the times by the cell's dt and round"
        )
    if found[0] < 0 or (np.diff(found) <= 0).any():
        wrong = 0 if found[0] < 0 else int(np.argmax(np.diff(found) <= 0)) + 1
        raise InputError(
            f"the observations of time {wrong} stand at step {found[wrong]}"
            + (f", after step {found[wrong - 1]}" if wrong else "")
            + ": steps count from the prior and must increase, with all values of a "
            "time in one row"
        )
    return found.astype(np.int32)
