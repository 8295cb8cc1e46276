"""Scores of nowcasts: where it rained and where it was said to, by lead time."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float

from tendency.scores.categorical import categorical_scores, contingency
from tendency.scores.records import Score
from tendency.scores.spatial import fractions, fractions_scores
from tendency.studies.rain.setting import MEASURED, THRESHOLDS, WINDOW, Radar

METRICS = ("csi", "pod", "far")
KNMI = (np.datetime64("2010-08-26"), 92)  # the day and the times that were measured


def truth_of(
    radar: Radar, starts: np.ndarray, leads: Sequence[int]
) -> Float[np.ndarray, "start lead row column"]:
    """What fell after each start, NaN where the radar does not see [mm / h]."""
    fell = radar.rate[starts[:, None] + np.array(leads)]
    return np.where(radar.seen, fell, np.nan)


def scores_of(
    model: str,
    told: Float[np.ndarray, "start lead row column"],
    radar: Radar,
    starts: np.ndarray,
    leads: Sequence[int],
) -> list[Score]:
    """POD, FAR, CSI and FSS at each threshold and lead [min], over all starts."""
    forecast, truth = (
        _labelled(x, radar, starts, leads)
        for x in (told, truth_of(radar, starts, leads))
    )
    window = min(WINDOW, *radar.seen.shape)
    table = categorical_scores(
        contingency(forecast, truth, THRESHOLDS).sum("init_time")
    )
    near = fractions_scores(
        fractions(forecast, truth, THRESHOLDS, [window]).sum("init_time")
    )
    table["fss"] = near["fss"].isel(window=0, drop=True)
    found = []
    for threshold in THRESHOLDS:
        for metric in (*METRICS, "fss"):
            values = table[metric].sel(threshold=threshold)
            for lead, value in zip(leads, values.values, strict=True):
                minutes = lead * radar.minutes
                theirs = None
                if metric == "csi" and threshold == 1 and is_measured(radar):
                    theirs = MEASURED.get(model, {}).get(minutes)
                # Without events or without warnings a score is not defined.
                if np.isfinite(value):
                    case = f"{threshold:g} mm/h"
                    found.append(
                        Score(case, model, metric, minutes, float(value), "1", theirs)
                    )
    return found


def is_measured(radar: Radar) -> bool:
    """Whether these are the data that `MEASURED` is of."""
    times = radar.fields.times
    return (times[0].astype("datetime64[D]"), len(times)) == KNMI


def _labelled(
    values: np.ndarray, radar: Radar, starts: np.ndarray, leads: Sequence[int]
) -> xr.DataArray:
    rows, columns = radar.axes
    names = ("latitude", "longitude") if radar.fields.on_sphere else ("y", "x")
    return xr.DataArray(
        values,
        {
            "init_time": radar.fields.times[starts].astype("datetime64[ns]"),
            "lead_time": [lead * radar.minutes for lead in leads],
            names[0]: rows,
            names[1]: columns,
        },
        ("init_time", "lead_time", *names),
        name="rainfall_rate",
    )
