"""Floor 4: scores of ensembles, forecasts along `member` against one truth.

`ensemble` tallies the CRPS and the spread, `ensemble_scores` makes scores of the sums;
`ranks` counts where the truth lies among the members.
"""

import numpy as np
import xarray as xr

from tendency.errors import InputError
from tendency.scores.comparing import MEMBER, Compared, compared


def ensemble(forecast: xr.DataArray, truth: xr.DataArray) -> xr.Dataset:
    """Sums of both estimates of the CRPS, of spread and of error, by start and lead.

    Raises:
        InputError: fewer than two members.
    """
    from scores.probability import crps_for_ensemble

    pair = _members(forecast, truth)
    f, o = pair.forecast, pair.truth
    count = f.sizes[MEMBER]
    fair = crps_for_ensemble(f, o, MEMBER, method="fair", preserve_dims="all")
    empirical = crps_for_ensemble(f, o, MEMBER, method="ecdf", preserve_dims="all")
    variance = f.var(MEMBER, ddof=1)
    return xr.Dataset(
        {
            "weight": pair.weight(),
            "crps_fair": pair.total(fair),  # pyright: ignore[reportArgumentType]
            "crps_empirical": pair.total(empirical),  # pyright: ignore
            "variance": pair.total(variance),
            # What a truth like any member would err by from the mean of the others.
            "expected_square": pair.total(variance) * (1 + 1 / count),
            "square": pair.total((f.mean(MEMBER) - o) ** 2),
        }
    )


def ensemble_scores(sums: xr.Dataset) -> xr.Dataset:
    """`crps_fair`, `crps_empirical`, `spread` and `spread_skill`.

    The empirical CRPS, of the members' distribution as it stands, is mean |x - y| -
    Σ |x_i - x_j| / (2 m²); the fair one divides by 2 m (m - 1) and so estimates without
    bias what infinitely many members would score (Ferro 2014, Q. J. R. Meteorol. Soc.
    140, 1917). `spread` is the root of the mean variance of the members, divided by m -
    1; `spread_skill` is √((1 + 1/m) mean variance / mean square error of the mean), 1
    for members like the truth (Fortin et al. 2014, J. Hydrometeorol. 15, 1708).
    """
    return xr.Dataset(
        {
            "crps_fair": sums["crps_fair"] / sums["weight"],
            "crps_empirical": sums["crps_empirical"] / sums["weight"],
            "spread": np.sqrt(sums["variance"] / sums["weight"]),
            "spread_skill": np.sqrt(sums["expected_square"] / sums["square"]),
        }
    )


def ranks(forecast: xr.DataArray, truth: xr.DataArray, *, seed: int) -> xr.Dataset:
    """The weight of the points at which the truth has each `rank`, 0 to m.

    The rank is the number of members below the truth; where some equal it, it is drawn
    among the ranks that they share (Hamill 2001, Mon. Wea. Rev. 129, 550).

    Raises:
        InputError: fewer than two members.
    """
    pair = _members(forecast, truth)
    below = (pair.forecast < pair.truth).sum(MEMBER)
    equal = (pair.forecast == pair.truth).sum(MEMBER)
    draw = np.random.default_rng(seed).integers(0, equal.values, endpoint=True)
    rank = below + equal.copy(data=draw)
    each = xr.Variable("rank", np.arange(pair.forecast.sizes[MEMBER] + 1))
    counts = [pair.total((rank == i).astype(float)) for i in each.values]
    return xr.Dataset({"count": xr.concat(counts, each)})


def rank_scores(sums: xr.Dataset) -> xr.Dataset:
    """`rank_frequency`, the share of each `rank`: 1 / (m + 1) where all is well."""
    return xr.Dataset({"rank_frequency": sums["count"] / sums["count"].sum("rank")})


def _members(forecast: xr.DataArray, truth: xr.DataArray) -> Compared:
    count = forecast.sizes.get(MEMBER, 1)
    if count < 2:
        raise InputError(
            f"a score of ensembles was asked for and {forecast.name} has {count} "
            "member, at least 2 were expected: give an ensemble, or leave the score out"
        )
    return compared(forecast, truth, members=True)
