"""The verb `assimilate`."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, PRNGKeyArray, PyTree

from tendency.assimilation.analyses import Analyses
from tendency.assimilation.health import examine
from tendency.assimilation.localisation import localised
from tendency.assimilation.method import (
    AbstractMethod,
    Cycle,
    Progress,
    Run,
)
from tendency.cell import AbstractCell
from tendency.errors import InputError
from tendency.forecasting import forcing_is_ramped
from tendency.observing import Observations


def nothing(cycle: Cycle) -> None:
    """Keep nothing besides means, spreads and diagnostics."""


def assimilate(
    cell: AbstractCell,
    prior: Any,
    observations: Observations,
    method: AbstractMethod,
    *,
    forcing: PyTree[Array] = None,
    save: Callable[[Cycle], Any] = nothing,
    key: PRNGKeyArray,
) -> Analyses:
    """Correct a model by observations, time after time, in one compiled scan.

    Arguments:
        prior: what is believed at step 0: an ensemble (a carry with members first, see
            `ensemble_of`), a `Gaussian`, as the method needs; or `analyses.final` of an
            assimilation to go on with, with the same method and the same key: in parts,
            down to one time after the other as in operations, the numbers are those of
            one assimilation in a piece, bit for bit.
        method: `ETKF()` and its kind.
        forcing: from the step of the prior to the last observation, as for `forecast`.
        save: what else to keep of each `Cycle`, a function defined once.

    Raises:
        InputError: observations that do not fit the state or come before the prior, a
            prior that the method cannot use, a forcing of another length.
        FilterDiverged: a member is not finite; the exception holds the analyses.

    Warns:
        FilterDivergence: the innovations are far larger than the ensemble expects, or
            members had to be replaced.
    """
    start = prior
    if not isinstance(prior, Progress):
        start = Progress(method.begin(cell, prior), np.zeros((), np.int32))
    observations.check(method.state(start.belief))
    method = localised(method, observations, method.state(start.belief))
    run = _prepared(start, observations, forcing, save, key)
    end, record = _compiled(cell, method, start, run)
    told = record.diagnostics
    smoothed = record.smoothed or (None, None)
    analyses = Analyses(
        steps=np.asarray(observations.steps),
        times=np.asarray(observations.steps) * float(cell.dt),
        background_mean=record.background[0],
        background_spread=record.background[1],
        analysis_mean=record.analysis[0],
        analysis_spread=record.analysis[1],
        innovation=told.innovation,
        expected_variance=told.expected_variance,
        residual=told.residual,
        misfit=told.misfit,
        log_likelihood=told.log_likelihood,
        failed=told.failed,
        final=end,
        saved=record.saved,
        smoothed_mean=smoothed[0],
        smoothed_spread=smoothed[1],
        effective_size=told.effective_size,
    )
    if not isinstance(told.misfit, Tracer):
        examine(analyses)
    return analyses


@eqx.filter_jit
def _compiled(cell, method, start, run):
    return method.run(cell, start, run)


def _prepared(
    start: Progress,
    observations: Observations,
    forcing: PyTree[Array],
    save: Callable[[Cycle], Any],
    key: PRNGKeyArray,
) -> Run:
    if isinstance(start.step, Tracer) or isinstance(observations.steps, Tracer):
        raise InputError(
            "the steps of the prior and of the observations are traced: close over "
            "them, or build them inside, since the program depends on them"
        )
    steps, first = np.asarray(observations.steps), int(start.step)
    if steps[0] < first:
        raise InputError(
            f"the first observation stands at step {steps[0]} and the prior at step "
            f"{first}: give later observations, or an earlier prior"
        )
    gaps = np.diff(steps, prepend=first).astype(np.int32)
    ramped = False
    if forcing is not None:
        total = int(steps[-1]) - first
        try:
            ramped = forcing_is_ramped(forcing, total)
        except ValueError as error:
            raise InputError(str(error)) from error
    longest = int(gaps.max())
    even = len(gaps) > 1 and bool((gaps == longest).all())
    if not even:  # few lengths of the loop, so that few programs are compiled online
        longest = 1 << (longest - 1).bit_length() if longest else 0
    return Run(
        observations, forcing, key, jnp.asarray(gaps), longest, even, ramped, save
    )
