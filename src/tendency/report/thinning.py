"""Floor 5, report: data made small enough to travel inside a page."""

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped


def thinned(
    values: Float[np.ndarray, " time"], points: int
) -> Int[np.ndarray, " kept"]:
    """The indices of about `points` values: the extremes of as many short stretches.

    The first and the last are kept, as is the first NaN of a stretch, so that gaps
    stay gaps.
    """
    values = np.asarray(values, dtype=float)
    size = len(values)
    if size <= points:
        return np.arange(size)
    kept = {0, size - 1}
    bounds = np.linspace(0, size, max(2, points // 2) + 1).astype(int)
    for start, stop in itertools.pairwise(bounds):
        stretch = values[start:stop]
        missing = np.isnan(stretch)
        if missing.any():
            kept.add(int(start + np.argmax(missing)))
        if not missing.all():
            kept.add(int(start + np.nanargmin(stretch)))
            kept.add(int(start + np.nanargmax(stretch)))
    return np.array(sorted(kept))


def csv_of(
    columns: Mapping[str, Shaped[np.ndarray, " row"]], dates: Sequence[str] = ()
) -> dict[str, Any]:
    """Vega-Lite data holding `columns` as CSV, numbers to 7 digits, `dates` in UTC."""
    parse = {}
    texts = []
    for name, values in columns.items():
        if name in dates:
            parse[name] = "utc:'%Y-%m-%dT%H:%M:%S'"
            texts.append([_date(value) for value in values])
        elif np.issubdtype(values.dtype, np.number):
            parse[name] = "number"
            texts.append([f"{v:.7g}" if np.isfinite(v) else "" for v in values])
        else:
            texts.append([str(value) for value in values])
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*texts, strict=True))
    return {"values": buffer.getvalue(), "format": {"type": "csv", "parse": parse}}


def _date(value: Any) -> str:
    if isinstance(value, np.datetime64):
        return str(np.datetime_as_string(value, unit="s"))
    return value.isoformat()[:19]  # a datetime, or a cftime of another calendar
