"""Floor 4: CSV files, with or without a header, dates in any of the usual forms."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from tendency.errors import InputError

TABLES = (".csv", ".tsv", ".txt", ".dat")
TIMES = ("time", "date", "datetime", "timestamp", "valid_time", "t")
_PARTS = ("year", "month", "day", "hour", "minute", "second")
_HEADER = re.compile(r"(.+?)\s*[\[(]\s*([^\])]*)\s*[\])]")  # "sst [degC]"


def open_table(path: Path) -> xr.Dataset:
    """A table as a Dataset along `time`, or along `row` where it holds no dates.

    Columns named `sst [degC]` or `sst (degC)` give a variable and its units. Dates are
    a column of that name, one that reads as dates, or columns year, month, day, ...

    Raises:
        InputError: not a table, or dates that cannot be read.
    """
    frame = _read(path)
    index, used = _dates(frame, path)
    dataset = xr.Dataset()
    for column in frame.columns:
        if column in used:
            continue
        values = np.asarray(pd.to_numeric(frame[column], errors="coerce"), float)
        if np.isfinite(values).sum() < 0.5 * frame[column].notna().sum():
            continue  # text
        match = _HEADER.fullmatch(str(column))
        name, units = match.groups() if match else (str(column), None)
        attributes = {"units": units} if units else {}
        dataset[name] = ("row" if index is None else "time", values, attributes)
    if not dataset.data_vars:
        raise InputError(
            f"{path} has no column of numbers, at least one was expected: check the "
            "separator and the decimal sign"
        )
    if index is not None:
        dataset = dataset.assign_coords(time=("time", index))
    return dataset


def _read(path: Path) -> pd.DataFrame:
    try:
        lines = [
            line.strip()
            for line in path.read_text(encoding="utf-8-sig").splitlines()
            if line.strip() and not line.startswith("#")
        ]
        if not lines:
            raise ValueError("it holds no line")
        separator = next((s for s in (",", ";", "\t") if s in lines[0]), r"\s+")
        first = re.split(separator, lines[0])
        headless = all(_is_number(cell) for cell in first)
        return pd.read_csv(
            path,
            sep=separator,
            comment="#",
            header=None if headless else 0,
            names=_names(len(first)) if headless else None,
            skipinitialspace=True,
            encoding="utf-8-sig",
            decimal="," if separator == ";" and "." not in "".join(lines[:9]) else ".",
        )
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path} could not be read as a table ({reason[:120]}), rows of columns "
            "with one separator were expected: check the file"
        ) from error


def _names(columns: int) -> list[str]:
    return ["value"] if columns == 1 else [f"column_{i + 1}" for i in range(columns)]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip() == ""
    return True


def _dates(frame: pd.DataFrame, path: Path) -> tuple[np.ndarray | None, set]:
    """The dates, if there are any, and the columns that they were read from."""
    lower = {str(c).strip().lower(): c for c in frame.columns}
    if "year" in lower and "month" in lower:
        parts = {p: frame[lower[p]] for p in _PARTS if p in lower}
        return _parsed(pd.DataFrame({"day": 1, **parts}), path), {
            lower[p] for p in parts
        }
    named = [lower[t] for t in TIMES if t in lower]
    text = [c for c in frame.columns if not pd.api.types.is_numeric_dtype(frame[c])]
    for column in [*named, *text]:
        cells = frame[column]
        if column in named and pd.api.types.is_numeric_dtype(cells):
            digits = cells.dropna().astype("int64").astype(str)
            form = {8: "%Y%m%d", 6: "%Y%m", 4: "%Y"}.get(digits.str.len().max())
            if form is None or (digits.str.len() != digits.str.len().max()).any():
                continue  # a number of steps: no date
            return _parsed(digits, path, form), {column}
        dates = pd.to_datetime(cells, errors="coerce", format="ISO8601", utc=True)
        if dates.notna().all():
            return dates.dt.tz_localize(None).to_numpy("datetime64[us]"), {column}
        if column in named:
            return _parsed(cells, path), {column}
    return None, set()


def _parsed(
    cells: pd.Series | pd.DataFrame, path: Path, form: str = "ISO8601"
) -> np.ndarray:
    # 01/02/2001 is a day in January or in February: only ISO dates are read.
    try:
        dates = pd.to_datetime(
            cells, format=None if isinstance(cells, pd.DataFrame) else form, utc=True
        )
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"the dates of {path} could not be read ({reason[:120]}), dates like "
            "2001-02-28 or 2001-02-28T06:00 were expected: rewrite that column"
        ) from error
    return dates.dt.tz_localize(None).to_numpy("datetime64[us]")
