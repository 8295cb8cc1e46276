"""Floor 1: from a series to the linear system whose unknowns are coefficients.

`FiniteDifferences` and `GivenDerivatives` are the pointwise formulations; the integral
ones are in `weak_form`.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from tendency.errors import InputError
from tendency.statistical.library import AbstractLibrary

Rows = tuple[Float[Array, "row unknown"], Float[Array, "row target"]]


class Series(eqx.Module):
    """Contiguous stretches of `states`, one after the other, sampled every `dt`.

    `variables` are what a library sees: the states, then the forcings if there are any.
    """

    states: Float[Array, "time state"]
    variables: Float[Array, "time variable"]
    dt: float = eqx.field(static=True)  # [time unit of the tendency]
    segments: tuple[int, ...] = eqx.field(static=True)  # lengths

    def starts(self, length: int, what: str) -> Int[np.ndarray, " window"]:
        """Where `length` consecutive times begin, none across a joint.

        Raises:
            InputError: no stretch is that long.
        """
        if max(self.segments) < length:
            raise InputError(
                f"the longest contiguous stretch has {max(self.segments)} times and "
                f"{what} needs {length}: give a longer series or a narrower stencil"
            )
        ends = np.cumsum(self.segments)
        stretches = zip(self.segments, ends, strict=True)
        return np.concatenate([np.arange(e - n, e - length + 1) for n, e in stretches])


class AbstractFormulation(eqx.Module):
    """How the equations dx/dt = C θ(x) are imposed on a series.

    The regression is repeated `passes` times, each with the rows that the coefficients
    of the one before ask for.
    """

    @property
    @abc.abstractmethod
    def passes(self) -> int:
        """How often the regression is done."""

    @abc.abstractmethod
    def rows(
        self,
        series: Series,
        library: AbstractLibrary,
        coefficients: Float[Array, "term state"] | None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> Rows:
        """Features and targets: a column per term and a target per component.

        Or, where the components are coupled, a column per term and component (the
        component varying fastest) and one target. `coefficients` are those of the pass
        before, `None` at first.
        """


_stencils = {
    2: (1 / 2,),
    4: (2 / 3, -1 / 12),
    6: (3 / 4, -3 / 20, 1 / 60),
}


class FiniteDifferences(AbstractFormulation):
    """Central differences of order 2, 4 or 6, at every time that has its neighbours.

    For clean, finely sampled series: noise of standard deviation σ enters a derivative
    as about σ / dt.

    Raises:
        InputError: another order.
    """

    order: int = eqx.field(static=True, default=4)

    def __check_init__(self):
        if self.order not in _stencils:
            raise InputError(
                f"finite differences of order {self.order} were asked for, one of "
                f"{', '.join(map(str, _stencils))} was expected: choose one of them"
            )

    @property
    def passes(self) -> int:
        return 1

    def rows(self, series, library, coefficients, *, key=None):
        starts = series.starts(self.order + 1, f"a difference of order {self.order}")
        centres = jnp.asarray(starts + self.order // 2)
        return _difference_rows(series, library, centres, _stencils[self.order])


@eqx.filter_jit
def _difference_rows(series: Series, library, centres, stencil) -> Rows:
    x = series.states
    slopes = jnp.zeros_like(x[centres])
    for i, weight in enumerate(stencil, start=1):
        slopes = slopes + weight * (x[centres + i] - x[centres - i])
    return jax.vmap(library)(series.variables[centres]), slopes / series.dt


class GivenDerivatives(AbstractFormulation):
    """Derivatives that are known or were estimated elsewhere, one per state."""

    values: Float[Array | np.ndarray, "time state"]  # [units of the state / time]

    @property
    def passes(self) -> int:
        return 1

    def rows(self, series, library, coefficients, *, key=None):
        values = jnp.asarray(self.values, series.states.dtype)
        if values.shape != series.states.shape:
            raise InputError(
                f"the derivatives have the shape {values.shape} and the states "
                f"{series.states.shape}: give one derivative per state"
            )
        if not np.isfinite(np.asarray(values)).all():
            raise InputError(
                "the derivatives hold NaN or infinite values, none was expected: fill "
                "them, or give a shorter series"
            )
        return eqx.filter_jit(jax.vmap(library))(series.variables), values
