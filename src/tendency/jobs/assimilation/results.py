"""Floor 5: what an assimilation found, as a CF dataset."""

from pathlib import Path

import numpy as np
import xarray as xr

from tendency import __version__
from tendency.jobs.assimilation.parts import KINDS, Found
from tendency.jobs.assimilation.problem import Problem


def dataset_of(problem: Problem, found: Found) -> xr.Dataset:
    """Means and spreads of each variable, and the statistics of the innovations.

    `NAME_background`, `NAME_analysis`, `NAME_smoothed`, each with `_spread`; on the
    points of the model `NAME_observed` and `NAME_withheld` as well.
    """
    layout, dates = problem.modelled.layout, problem.dates
    result = xr.Dataset(attrs={"Conventions": "CF-1.11"})
    told = {}
    for kind in KINDS:
        if kind in found.states:
            told[kind] = found.states[kind]
            told[f"{kind}_spread"] = found.spreads[kind]
    for name in ("used", "withheld"):
        seen = getattr(problem, name)
        if seen.index is not None and np.isfinite(seen.values).any():
            states = np.full((len(dates), layout.size), np.nan)
            states[:, seen.index] = seen.values
            told["observed" if name == "used" else name] = states
    for kind, states in told.items():
        named = layout.unpack(states, dates)
        result = result.assign_coords(named.coords)
        for variable in layout.variables:
            array = named[variable.name]
            title = array.attrs.pop("long_name", variable.name)
            array.attrs["long_name"] = f"{title}, {kind.replace('_', ', ')}"
            if kind.endswith("_spread"):
                # A standard name holds with its modifier alone.
                standard = array.attrs.pop("standard_name", None)
                if standard:
                    array.attrs["standard_name"] = f"{standard} standard_error"
            result[f"{variable.name}_{kind}"] = array
    time = layout.time
    result = result.assign_coords(step=(time, problem.observations.steps))
    result["step"].attrs = {"long_name": "steps of the model", "units": "1"}
    count = np.isfinite(found.innovation).sum(1)
    series = {
        "observations": (count, "values that were assimilated"),
        "misfit": (found.misfit, "squared innovations over what they were expected"),
        "log_likelihood": (found.log_likelihood, "of the values, given those before"),
    }
    for name, (values, title) in series.items():
        result[name] = (time, values, {"long_name": title, "units": "1"})
    if found.ranks.size:
        result["rank_histogram"] = (
            "rank",
            found.ranks,
            {"long_name": "observations between so many members", "units": "1"},
        )
    return result.assign_attrs(
        title=problem.asked.report.title,
        source=f"tendency {__version__}, {problem.modelled.kind}",
        references=Path(problem.asked.observations.path).name,
    )
