"""Floor 4: how far a score could be off, by drawing blocks of starts again."""

import warnings
from collections.abc import Callable

import numpy as np
import xarray as xr
from jaxtyping import Float

from tendency.errors import InputError
from tendency.scores.comparing import START


def block_bootstrap(
    score: Callable[..., xr.Dataset],
    *tallies: xr.Dataset,
    block: int,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
) -> xr.Dataset:
    """The interval of a score, along `bound` (lower, upper), by percentiles.

    Blocks of consecutive starts are drawn with replacement, around a circle (Politis &
    Romano 1992), so that errors of neighbouring starts stay together. Of several
    tallies the same starts are drawn: `lambda a, b: rmse_of(a) - rmse_of(b)` gives the
    interval of a difference between two models, paired.

    Arguments:
        score: from sums over starts, one argument a tally, to scores.
        tallies: by start, in the order of time.
        block: the length of a block [starts], at least as long as errors are alike.
        level: the share of the resamples within the interval.

    Raises:
        InputError: fewer than two blocks, or a level outside 0 to 1.
    """
    count = tallies[0].sizes[START]
    if not 1 <= block <= count // 2:
        raise InputError(
            f"a bootstrap of blocks of {block} starts was asked for and there are "
            f"{count} starts, at least two blocks were expected: shorten the block"
        )
    if not 0 < level < 1:
        raise InputError(f"the level is {level:g}, expected between 0 and 1: change it")
    times = _drawn(count, block, resamples, seed)
    found = score(*(_sums(tally, times) for tally in tallies))
    tail = (1 - level) / 2
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        # A score that no resample defines has no interval: NaN says so.
        warnings.filterwarnings("ignore", "All-NaN slice")
        bounds = found.quantile([tail, 1 - tail], "resample", skipna=True)
    return bounds.rename(quantile="bound").assign_coords(bound=["lower", "upper"])


def _drawn(
    count: int, block: int, resamples: int, seed: int
) -> Float[np.ndarray, "resample start"]:
    """How many times each start is drawn."""
    rng = np.random.default_rng(seed)
    blocks = -(-count // block)
    first = rng.integers(0, count, (resamples, blocks, 1))
    index = (first + np.arange(block)) % count
    index = index.reshape(resamples, -1)[:, :count]
    place = index + count * np.arange(resamples)[:, None]
    times = np.bincount(place.ravel(), minlength=count * resamples)
    return times.reshape(resamples, count).astype(np.float64)


def _sums(tally: xr.Dataset, times: Float[np.ndarray, "resample start"]) -> xr.Dataset:
    weights = xr.DataArray(times, dims=("resample", START))
    sums = {
        name: xr.dot(weights, values.drop_vars(START, errors="ignore"), dim=START)
        for name, values in tally.data_vars.items()
    }
    return xr.Dataset(sums, attrs=tally.attrs)
