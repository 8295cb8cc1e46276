"""Floor 5, report: a matrix of shares as cells, names at both sides."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from tendency.errors import InputError
from tendency.report.encodings import single_view

_CELL = 22  # height of a row [px]


def heat_chart(
    values: Float[np.ndarray, "row column"],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    across: str,
    up: str,
    label: str,
) -> dict[str, Any]:
    """One cell a value between 0 and 1, the darker the larger; rows from the top.

    Raises:
        InputError: nothing to draw, or names that are not as many as rows and columns.
    """
    values = np.asarray(values, float)
    if not values.size or values.shape != (len(rows), len(columns)):
        raise InputError(
            f"values of shape {values.shape} have {len(rows)} names of rows and "
            f"{len(columns)} of columns: give one a row and one a column, at least one"
        )
    data = [
        {"i": i, "j": j, "row": rows[i], "column": columns[j], "value": round(v, 4)}
        for (i, j), v in ((place, float(v)) for place, v in np.ndenumerate(values))
    ]

    def axis(field: str, names: Sequence[str], title: str, angle: int) -> dict:
        # By place, as a name may come twice.
        shown = f"{json.dumps(list(names))}[datum.value]"
        return {
            "field": field,
            "type": "ordinal",
            "title": title,
            "axis": {"labelExpr": shown, "labelAngle": angle, "labelOverlap": False},
        }

    encoding = {
        "x": axis("j", columns, across, -40),
        "y": axis("i", rows, up, 0),
        "opacity": {
            "field": "value",
            "type": "quantitative",
            "title": label,
            "scale": {"domain": [0, 1], "range": [0.03, 1]},
            "legend": None,
        },
        "tooltip": [
            {"field": "row", "title": up},
            {"field": "column", "title": across},
            {"field": "value", "title": label, "format": ".2f"},
        ],
    }
    mark = {"type": "rect", "color": "theme:1"}
    height = _CELL * len(rows)
    return single_view({"values": data}, {"mark": mark, "encoding": encoding}, height)
