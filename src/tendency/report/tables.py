"""Floor 5, report: a `Table` as HTML."""

import html
import itertools
import math
from typing import Any

from tendency.errors import InputError
from tendency.report.blocks import Column, Table
from tendency.report.numbers import readable, readable_units
from tendency.report.text import inline


def table_html(table: Table) -> str:
    """The table, scrolling sideways in its own frame where the page is narrow."""
    columns = [c if isinstance(c, Column) else Column(c) for c in table.columns]
    for row in table.rows:
        if len(row) != len(columns):
            raise InputError(
                f"a table row has {len(row)} cells and the table {len(columns)} "
                f"columns: give one cell a column (row {row!r})"
            )
    best = [_best(table, i, column) for i, column in enumerate(columns)]
    textual = {
        i for row in table.rows for i, cell in enumerate(row) if isinstance(cell, str)
    }
    body = []
    for row in table.rows:
        cells = [f'<th scope="row">{_cell(row[0], table.digits)}</th>']
        for i, value in enumerate(row[1:], start=1):
            cells.append(_data_cell(value, columns[i], best[i], table.digits))
        body.append(f"<tr>{''.join(cells)}</tr>")
    caption = f"<figcaption>{inline(table.caption)}</figcaption>"
    label = html.escape(table.caption or "table")
    return (
        f'<figure class="table">{caption if table.caption else ""}'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
        f"<table><thead>{_head(columns, textual)}</thead>"
        f"<tbody>{''.join(body)}</tbody></table></div></figure>"
    )


def _head(columns: list[Column], textual: set[int]) -> str:
    groups = ""
    if any(column.group for column in columns):
        cells = []
        for group, members in itertools.groupby(columns, key=lambda c: c.group):
            span = len(list(members))
            if group:
                cells.append(
                    f'<th colspan="{span}" scope="colgroup">'
                    f"<span>{inline(group)}</span></th>"
                )
            else:
                cells.append("<td></td>" * span)
        groups = f'<tr class="groups">{"".join(cells)}</tr>'
    cells = []
    for i, column in enumerate(columns):
        units = html.escape(readable_units(column.units))
        units = f'<span class="units">{units}</span>' if units else ""
        style = _styles(text=i in textual, published=column.published)
        cells.append(f'<th scope="col"{style}>{inline(column.title)}{units}</th>')
    return f"{groups}<tr>{''.join(cells)}</tr>"


def _data_cell(value: Any, column: Column, best: float | None, digits: int) -> str:
    number = _number(value)
    style = _styles(
        text=isinstance(value, str),
        published=column.published,
        best=number is not None and number == best,
    )
    return f"<td{style}>{_cell(value, digits)}</td>"


def _styles(**holds: bool) -> str:
    names = " ".join(name for name, there in holds.items() if there)
    return f' class="{names}"' if names else ""


def _cell(value: Any, digits: int) -> str:
    return inline(value) if isinstance(value, str) else readable(value, digits)


def _number(value: Any) -> float | None:
    if value is None or isinstance(value, str | bool):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _best(table: Table, index: int, column: Column) -> float | None:
    numbers = [n for row in table.rows if (n := _number(row[index])) is not None]
    if column.best is None or len(numbers) < 2:
        return None
    return min(numbers) if column.best == "lowest" else max(numbers)
