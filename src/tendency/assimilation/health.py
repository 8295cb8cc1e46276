"""Whether a filter has lost the truth, and what to try then."""

import warnings

import numpy as np

from tendency.assimilation.analyses import Analyses

TIMES, VALUES, RATIO, PART = 10, 100, 4.0, 0.05
"""Innovations are judged over as many times as hold `VALUES` observations, `TIMES` at
least; a consistent filter gives a mean ratio of 1 with a standard deviation of 0.14."""

FEW = 2.0
"""An effective size of particles that is too small; said where more than `PART` of the
times have less."""


class FilterDiverged(ArithmeticError):
    """A member stopped being finite; `analyses` holds what was there before."""

    def __init__(self, message: str, analyses: Analyses):
        super().__init__(message)
        self.analyses = analyses


class FilterDivergence(UserWarning):
    """The ensemble no longer tells how far it is from the observations."""


def examine(analyses: Analyses) -> None:
    """Say what is wrong with finished analyses.

    Raises:
        FilterDiverged: the ensemble is not finite.

    Warns:
        FilterDivergence: members were replaced, the weights of particles are
            degenerate, or the innovations are far larger than the spread and the
            observation errors let expect, at the end or for long.
    """
    failed = np.asarray(analyses.failed)
    misfit = np.asarray(analyses.misfit)
    times = np.flatnonzero(failed.any(1))
    lost = np.flatnonzero(failed.all(1) | ~np.isfinite(misfit))
    if lost.size:
        first = int(times[0]) if times.size else int(lost[0])
        names = ", ".join(map(str, np.flatnonzero(failed[first])[:5])) or "all"
        raise FilterDiverged(
            f"member {names} is not finite at time {first} (step "
            f"{analyses.steps[first]}): try a shorter step of the model, less "
            "inflation, a smaller spread of the prior, or resample=True, which "
            "replaces such members; the analyses so far are in the exception",
            analyses,
        )
    if times.size:
        first = int(times[0])
        names = ", ".join(map(str, np.flatnonzero(failed[first])[:5]))
        warnings.warn(
            f"members were not finite at {times.size} times and copies of others "
            f"replaced them, first member {names} at step {analyses.steps[first]}: try "
            "a shorter step of the model or less inflation",
            FilterDivergence,
            stacklevel=3,
        )
    _say_where_degenerate(analyses)
    seen = np.isfinite(np.asarray(analyses.innovation)).sum(1)
    lost, first, ratio = _lost(misfit, seen)
    if lost:
        warnings.warn(
            f"the filter has lost the truth: from step {analyses.steps[first]}, for "
            f"{lost:.0%} of the times, squared innovations are {ratio:.1f} times what "
            "the ensemble and the observation errors let expect (1 where they are "
            "right): try more inflation, more members, localisation, EnKFN, or larger "
            "observation errors",
            FilterDivergence,
            stacklevel=3,
        )


def _lost(misfit: np.ndarray, seen: np.ndarray) -> tuple[float, int, float]:
    """For what part of the times, the first of them, and their mean ratio.

    None where it has come back at the end and was not away for long, as happens to good
    filters of strongly nonlinear models. The first stretch is left out: a filter may
    start far from the truth.
    """
    used = np.flatnonzero(seen)
    if not used.size:
        return 0.0, 0, 0.0
    width = int(max(TIMES, np.ceil(VALUES / seen[used].mean())))
    if used.size < 2 * width:
        return 0.0, 0, 0.0
    sums = [np.convolve(a[used], np.ones(width), "valid") for a in (misfit, seen)]
    ratios = (sums[0] / sums[1])[width:]
    bad = ratios > RATIO
    if not bad.any() or (bad.mean() < PART and not bad[-1]):
        return 0.0, 0, 0.0
    first = int(used[width + np.argmax(bad)])
    return float(bad.mean()), first, float(ratios[bad].mean())


def _say_where_degenerate(analyses: Analyses) -> None:
    """Particles of which one or two carry all the weight tell of no distribution."""
    if analyses.effective_size is None:
        return
    size = np.asarray(analyses.effective_size)
    seen = np.isfinite(np.asarray(analyses.innovation)).any(1)
    few = np.flatnonzero(seen & (size < FEW))
    if few.size > PART * seen.sum():
        particles = np.asarray(analyses.failed).shape[1]
        warnings.warn(
            f"the weights of the particles are degenerate: at {few.size} of "
            f"{seen.sum()} times, first at step {analyses.steps[few[0]]}, the "
            f"effective size is below {FEW:g}, down to {size[few].min():.2g} of "
            f"{particles}: try more particles, jitter, noise in the model, larger "
            "observation errors, or an ensemble filter",
            FilterDivergence,
            stacklevel=4,
        )
