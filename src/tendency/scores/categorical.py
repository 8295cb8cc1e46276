"""Floor 4: scores of yes or no, whether a threshold is reached.

`contingency` counts hits, misses, false alarms and correct negatives by start and lead
time, weighted by cos(latitude) where there is one; `categorical_scores` makes scores of
the counts. Of an ensemble the mean over `member` is scored.
"""

from collections.abc import Sequence

import xarray as xr

from tendency.scores.comparing import compared


def contingency(
    forecast: xr.DataArray, truth: xr.DataArray, thresholds: Sequence[float]
) -> xr.Dataset:
    """The weight of the points of each kind, along `threshold` besides.

    An event is a value of at least the threshold [units of the variable].
    """
    pair = compared(forecast, truth)
    counts = []
    for threshold in thresholds:
        told, seen = pair.forecast >= threshold, pair.truth >= threshold
        kinds = {
            "hits": told & seen,
            "misses": ~told & seen,
            "false_alarms": told & ~seen,
            "correct_negatives": ~told & ~seen,
        }
        counts.append(
            xr.Dataset({k: pair.total(v.astype(float)) for k, v in kinds.items()})
        )
    along = xr.Variable("threshold", [float(t) for t in thresholds])
    return xr.concat(counts, along)  # pyright: ignore[reportReturnType]


def categorical_scores(sums: xr.Dataset) -> xr.Dataset:
    """POD, FAR, CSI, HSS and frequency bias of the counts.

    With a hits, b false alarms, c misses and d correct negatives: `pod` a/(a+c), `far`
    b/(a+b), a ratio of forecasts and not a rate of non-events, `csi` a/(a+b+c), `hss`
    the Heidke skill score 2(ad-bc)/((a+c)(c+d)+(a+b)(b+d)), `frequency_bias`
    (a+b)/(a+c). NaN where a score is not defined: POD without events, FAR without
    warnings.

    Source: Wilks (2019), Statistical Methods in the Atmospheric Sciences, 9.2.
    """
    from scores.categorical import BasicContingencyManager

    counts = {
        "tp_count": sums["hits"],
        "fn_count": sums["misses"],
        "fp_count": sums["false_alarms"],
        "tn_count": sums["correct_negatives"],
    }
    counts["total_count"] = xr.concat(counts.values(), "kind").sum("kind", skipna=False)
    table = BasicContingencyManager(counts)
    return xr.Dataset(
        {
            "pod": table.probability_of_detection(),
            "far": table.false_alarm_ratio(),
            "csi": table.critical_success_index(),
            "hss": table.heidke_skill_score(),
            "frequency_bias": table.frequency_bias(),
        }
    )
