"""Floor 5: scores on a terminal."""

import sys
from collections.abc import Sequence

from tendency.scores.metrics import best_of
from tendency.scores.records import Score


def print_scores(scores: Sequence[Score], unit: str) -> None:
    """A table for each variable and metric, the best model of each lead in bold."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = None if sys.stdout.isatty() else 100
    console = Console(markup=False, width=width)  # [m] is a unit
    for case, metric in dict.fromkeys((s.case, s.metric) for s in scores):
        chosen = [s for s in scores if (s.case, s.metric) == (case, metric)]
        leads = sorted({s.lead for s in chosen if s.lead is not None}) or [None]
        if len(leads) > 6:
            leads = [leads[max(0, i * len(leads) // 5 - 1)] for i in range(6)]
        units = "" if chosen[0].units == "1" else f" [{chosen[0].units}]"
        table = Table(title=f"{case}: {metric}{units}", title_justify="left")
        head = "model" if leads == [None] else f"lead time [{unit}s]"
        table.add_column(head, no_wrap=True)
        for lead in leads:
            head = "score" if lead is None else f"{lead:g}"
            table.add_column(head, justify="right")
        value = {(s.model, s.lead): s.value for s in chosen}
        models = list(dict.fromkeys(s.model for s in chosen))
        among = {at: [value[m, at] for m in models if (m, at) in value] for at in leads}
        best = {at: best_of(v, metric) for at, v in among.items() if len(models) > 1}
        for model in models:
            cells = []
            for lead in leads:
                v = value.get((model, lead))
                text = "" if v is None else f"{v:.4g}"
                cells.append(
                    Text(text, "bold" if v is not None and v == best.get(lead) else "")
                )
            table.add_row(model, *cells)
        console.print(table)
