"""Floor 1: equations identified from data, sparse in a library of candidate terms.

`sparse_regression` answers with a `SparseTendency`, which prints its equations and
becomes a cell in `Integrated(tendency, dt)`. How the equations are imposed
(`derivatives`, `weak_form`), on which terms (`library`) and by which solver (`stlsq`)
are arguments.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.cell import Constant
from tendency.errors import InputError
from tendency.statistical.derivatives import (
    AbstractFormulation,
    FiniteDifferences,
    Series,
)
from tendency.statistical.equations import equations
from tendency.statistical.library import AbstractLibrary, Polynomial
from tendency.statistical.stlsq import STLSQ, Bagging


class SparseTendency(eqx.Module):
    """dx/dt = C θ(x), or C θ(x, u) with the forcing u where it is `forced`.

    The coefficients that `active` marks may be trained further; the others stay zero.
    """

    library: AbstractLibrary  # θ
    coefficients: Float[Array, "state term"]  # C
    active: Constant  # (state, term), bool
    inclusion: Constant | None = None  # (state, term), of the bags that kept a term
    forced: bool = eqx.field(static=True, default=False)

    def __call__(
        self, state: Float[Array, " state"], forcing: PyTree = None
    ) -> Float[Array, " state"]:
        variables = jnp.concatenate([state, forcing]) if self.forced else state
        return self._coefficients() @ self.library(variables)

    def equations(
        self,
        names: Sequence[str] | None = None,
        *,
        errors: Float[Array | np.ndarray, "state term"] | None = None,
        digits: int = 4,
        latex: bool = False,
    ) -> list[str]:
        """One equation per component: see `equations.equations`."""
        if names is None and self.forced:
            raise InputError(
                "the equations have a forcing without a name: give the names of the "
                "state and of the forcing"
            )
        values = self._coefficients()
        return equations(
            values, self.library, names, errors=errors, digits=digits, latex=latex
        )

    def pruned(self) -> "SparseTendency":
        """With coefficients that are zero no longer among the active."""
        active = Constant(self.active.value & (self.coefficients != 0))
        return eqx.tree_at(lambda t: t.active, self, active)

    def _coefficients(self) -> Float[Array, "state term"]:
        return self.coefficients * self.active.value.astype(self.coefficients.dtype)


def sparse_regression(
    states: Float[Array | np.ndarray, "time state"],
    dt: float,
    library: AbstractLibrary = Polynomial(2),  # noqa: B008
    *,
    formulation: AbstractFormulation = FiniteDifferences(4),  # noqa: B008
    regression: STLSQ = STLSQ(),  # noqa: B008
    ensemble: Bagging | None = None,
    forcing: Float[Array | np.ndarray, "forced_time forcing"] | None = None,
    segments: Sequence[int] | None = None,
    key: PRNGKeyArray | None = None,
) -> SparseTendency:
    """Identify the sparse tendency behind a series (SINDy).

    Args:
        states: the series, at constant intervals.
        dt: the interval [time unit of the tendency].
        library: the candidate terms.
        formulation: `FiniteDifferences` and `GivenDerivatives` for clean data,
            `WeakForm` for clean or noisy, `ReweightedWeakForm` for noisy data.
        regression: the sparse solver, with its threshold.
        ensemble: repeats the last regression on resampled rows, and takes the median.
        forcing: known inputs at the times of the states, which the library sees after
            the state.
        segments: the lengths of contiguous stretches joined into the series.
        key: for an ensemble, or windows at random.

    Raises:
        InputError: NaN in the series; `dt` not positive; a series too short for the
            formulation, or with fewer equations than terms; an ensemble without a key.

    Source: Brunton, Proctor & Kutz (2016, PNAS 113, 3932).
    """
    series = _series(states, dt, forcing, segments)
    if ensemble is not None and key is None:
        raise InputError(
            "an ensemble draws its samples at random and got no key, one was expected: "
            "give key=jax.random.key(seed)"
        )
    # Numbers as arrays: another threshold is then no other program.
    regression, ensemble = jax.tree.map(
        lambda number: jnp.asarray(number, series.states.dtype), (regression, ensemble)
    )
    sizes = _sizes(series, library)
    terms = len(sizes)
    system = _system(formulation, series, library, sizes, None, key)
    coefficients = eqx.filter_jit(regression)(*system).reshape(terms, -1)
    for _ in range(formulation.passes - 1):
        system = _system(formulation, series, library, sizes, coefficients, key)
        coefficients = eqx.filter_jit(regression)(*system).reshape(terms, -1)
    inclusion = None
    if ensemble is not None and key is not None:
        bag_key = jax.random.fold_in(key, 1)
        solution, kept = eqx.filter_jit(ensemble)(
            regression, *system, terms, key=bag_key
        )
        coefficients = solution.reshape(terms, -1)
        inclusion = Constant(kept.reshape(terms, -1).T)
    return SparseTendency(
        library,
        coefficients.T,
        Constant(coefficients.T != 0),
        inclusion,
        forcing is not None,
    )


def _system(formulation, series: Series, library, sizes, coefficients, key):
    """The rows of a formulation, and the size of the term in each of their columns."""
    features, targets = formulation.rows(series, library, coefficients, key=key)
    rows, unknowns = features.shape
    if rows < unknowns:
        raise InputError(
            f"the series gives {rows} equations for {unknowns} unknown coefficients: "
            "give a longer series, or fewer terms"
        )
    return features, targets, jnp.repeat(sizes, unknowns // len(sizes))


@eqx.filter_jit
def _sizes(series: Series, library: AbstractLibrary) -> Float[Array, " term"]:
    return jnp.sqrt(jnp.mean(jax.vmap(library)(series.variables) ** 2, axis=0))


def _series(states, dt: float, forcing, segments: Sequence[int] | None) -> Series:
    if not dt > 0:
        raise InputError(
            f"the sampling interval of the series is {dt}, a positive number was "
            "expected: check the times"
        )
    size = len(states)
    segments = (size,) if segments is None else tuple(segments)
    if sum(segments) != size:
        raise InputError(
            f"the segments hold {sum(segments)} times and the series {size}: give the "
            "length of each contiguous stretch"
        )
    if forcing is not None and len(forcing) != size:
        raise InputError(
            f"the forcing has {len(forcing)} times and the series {size}: give one "
            "forcing per state"
        )
    for name, values in (("series", states), ("forcing", forcing)):
        bad = [] if values is None else np.argwhere(~np.isfinite(np.asarray(values)))
        if len(bad):
            raise InputError(
                f"the {name} holds {len(bad)} NaN or infinite values, the first at "
                f"time index {bad[0][0]}, none was expected: fill them, or cut the "
                "series there and give the segments"
            )
    states = jnp.asarray(states)
    variables = states
    if forcing is not None:
        forcing = jnp.asarray(forcing, states.dtype)
        variables = jnp.concatenate([states, forcing], axis=1)
    return Series(states, variables, float(dt), segments)
