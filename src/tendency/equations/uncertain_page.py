"""Floor 5: the page and the file of a propagation, all methods beside each other."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from tendency import __version__
from tendency.equations.build import Built
from tendency.equations.page import space_limits
from tendency.propagation import Propagated
from tendency.report.blocks import Block, Chart, Code, Column, Section, Table
from tendency.report.charts import series_chart
from tendency.report.lines import line_chart
from tendency.report.maps import plane_frames
from tendency.report.numbers import with_units
from tendency.report.page import Page
from tendency.report.provenance import Provenance
from tendency.symbolic.moments import moments

Found = Mapping[str, Propagated]
_SHOWN = {
    "members": "members",
    "tangent": "tangent-linear covariance",
    "moments": "equations of moments",
}


def dataset_of(built: Built, found: Found) -> xr.Dataset:
    """`u`, `u_spread` and `u_length_x` by each method, in the units of u and x.

    The dimension is `by`, since `method` is a word of xarray's `sel`.
    """
    axes = built.grid.axes
    dims = ("by", "time", *(axis.name for axis in axes))
    one = next(iter(found.values()))
    times = built.asked.time.start + one.times
    coordinates: dict[str, Any] = {"by": list(found), "time": times}
    coordinates["time"] = ("time", times, {"units": built.asked.time.unit})
    for axis in axes:
        attributes = {"units": built.asked.axes[axis.name].unit}
        coordinates[axis.name] = (axis.name, axis.positions(), attributes)
    variables = {}
    for name in built.system.fields:
        told = {"units": built.unit(name)}
        mean, spread = _stacked(found, name, "mean"), _stacked(found, name, "spread")
        variables[name] = (dims, mean, told | {"long_name": f"mean of {name}"})
        variables[f"{name}_spread"] = (
            dims,
            spread,
            told | {"long_name": f"standard deviation of {name}"},
        )
        for i, axis in enumerate(axes):
            length = np.stack([_length(one, name)[:, i] for one in found.values()])
            attributes = {
                "units": built.asked.axes[axis.name].unit,
                "long_name": f"length of the correlation of errors of {name}",
            }
            variables[f"{name}_length_{axis.name}"] = (dims, length, attributes)
    told = {
        "Conventions": "CF-1.11",
        "title": built.asked.system.about or built.asked.system.name,
        "source": f"tendency {__version__}, propagated from equations",
        "equations": "\n".join(built.system.written),
    }
    return xr.Dataset(variables, coordinates, told)


def _stacked(found: Found, name: str, what: str) -> np.ndarray:
    return np.stack([np.asarray(getattr(one, what)[name]) for one in found.values()])


def _length(one: Propagated, name: str) -> np.ndarray:
    return np.asarray(one.length[name])


def make_page(built: Built, found: Found, *, seconds: float, config: str) -> Page:
    """Mean, spread and length by each method, and how far they are apart."""
    asked = built.asked
    assert asked.uncertainty is not None
    names = ", ".join(built.system.fields)
    question = asked.system.about or f"How sure are forecasts of {names}?"
    codes = [Code("\n".join(built.system.written), "", "As they were given:")]
    if "moments" in found:
        derived = moments(built.system)
        closures = asked.uncertainty.closures
        given = {text.partition("=")[0].strip() for text in closures}
        theory = [text for name, text in derived.theory.items() if name not in given]
        text = "\n".join([*derived.equations, *closures, *theory])
        codes.append(Code(text, "", "Of mean, variance and aspect, derived from them:"))
    sections = [
        Section("The equations", "", tuple(codes)),
        *(_field(built, found, name) for name in built.system.fields),
    ]
    if len(found) > 1:
        sections.append(_apart(built, found))
    return Page(
        f"{asked.system.name}: how uncertainty goes on",
        question,
        tuple(sections),
        Provenance.here(
            seed=asked.uncertainty.seed,
            wall_seconds=seconds,
            command=f"tendency propagate {config}",
        ),
        kicker="tendency propagation",
    )


def _field(built: Built, found: Found, name: str) -> Section:
    if len(built.grid.axes) == 1:
        blocks = tuple(_lines(built, found, name))
    else:
        blocks = tuple(_over_time(built, found, name))
        if len(built.grid.axes) == 2:
            blocks += (_maps(built, found, name),)
    return Section(name, "", blocks)


def _lines(built: Built, found: Found, name: str) -> Iterator[Block]:
    """Along the axis, at the end."""
    axis, time = built.grid.axes[0], built.asked.time
    across = with_units(axis.name, built.asked.axes[axis.name].unit)
    one = next(iter(found.values()))
    end = with_units(f"t = {time.start + one.times[-1]:g}", time.unit)
    x = axis.positions()
    parts = (
        ("mean", "mean", built.unit(name), lambda p: p.mean[name]),
        ("standard deviation", "spread", built.unit(name), lambda p: p.spread[name]),
        (
            "length of the correlation",
            "length",
            built.asked.axes[axis.name].unit,
            lambda p: _length(p, name)[:, 0],
        ),
    )
    for title, _, units, of in parts:
        lines = {
            _SHOWN[method]: (x, np.asarray(of(p))[-1]) for method, p in found.items()
        }
        lines = {"at the start": (x, np.asarray(of(one))[0])} | lines
        spec = line_chart(
            lines, across=across, up=with_units(title, units), reference="at the start"
        )
        caption = f"{title.capitalize()} of {name} at {end}."
        yield Chart(spec, caption, caption)


def _over_time(built: Built, found: Found, name: str) -> Iterator[Block]:
    """The spread, root mean square over the grid."""
    one = next(iter(found.values()))
    if len(one.times) < 2:
        return
    series = {
        _SHOWN[method]: np.sqrt(
            np.asarray(p.variance[name]).reshape(len(p.times), -1).mean(1)
        )
        for method, p in found.items()
    }
    spec = series_chart(
        built.asked.time.start + one.times,
        series,
        label=f"standard deviation of {name}",
        units=built.unit(name),
        time_units=built.asked.time.unit,
    )
    over = ", root mean square over the grid" if built.grid.axes else ""
    caption = f"Standard deviation of {name}{over}."
    yield Chart(spec, caption, caption)


def _maps(built: Built, found: Found, name: str) -> Block:
    axes, time = built.grid.axes, built.asked.time
    one = next(iter(found.values()))
    fields = {
        _SHOWN[method]: np.asarray(p.spread[name]).transpose(0, 2, 1)
        for method, p in found.items()
    }
    across, up = axes
    both = np.stack(list(fields.values()))
    return plane_frames(
        fields,
        up.positions(),
        across.positions(),
        [with_units(f"t = {time.start + t:g}", time.unit) for t in one.times],
        quantity=f"standard deviation of {name}",
        units=built.unit(name),
        caption=f"Standard deviation of {name}; {up.name} goes upwards.",
        limits=space_limits(both),
        aspect=(across.upper - across.lower) / (up.upper - up.lower),
        edges=(
            f"{across.lower:g}",
            with_units(across.name, built.asked.axes[across.name].unit),
            f"{across.upper:g}",
        ),
    )


def _apart(built: Built, found: Found) -> Section:
    """Relative distances at the end to the first method."""
    first, *others = found
    rows = []
    for method in others:
        apart = found[method].distance(found[first])
        rows.append(
            (_SHOWN[method], *(apart.get(k) for k in ("mean", "variance", "length")))
        )
    text = f"Relative distances to {_SHOWN[first]} at the end, root mean square."
    members = found[first].members
    if members is not None:
        error = found[first].sampling_error
        text += f" Variances of {members:,} members err by {error:.2g} of themselves."
    columns = (Column("method"), Column("mean"), Column("variance"), Column("length"))
    return Section("How far apart", text, (Table(columns, tuple(rows), ""),))
