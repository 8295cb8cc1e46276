"""The page of the study."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tendency.report.blocks import Block, Chart, Code, Column, Frames, Section, Table
from tendency.report.lines import line_chart
from tendency.report.maps import plane_frames
from tendency.report.page import Page
from tendency.report.provenance import Provenance
from tendency.studies.heat_source.recovery import Fields, Recovered
from tendency.studies.heat_source.setting import (
    EQUATION,
    Maps,
    Measured,
    Size,
    plate,
    true_maps,
)

Wrong = Mapping[tuple[str, float, float], Mapping[str, float]]
_QUESTION = (
    "Heat diffuses in a plate. Where it is led well, and where it comes from, nobody "
    "knows: both are maps to be found, from temperatures with noise and with gaps. How "
    "much of either do the maps bear?"
)
_NAMES = {"k": "diffusivity", "S": "source"}


def make_page(
    found: Recovered, errors: Wrong, seen: Measured, size: Size, provenance: Provenance
) -> Page:
    """All that the study found."""
    sections = (
        _maps(found, size),
        _known(found, seen, size),
        _measured(seen, size),
        _stages(errors),
    )
    return Page(
        "Heat: where it is led, where it comes from", _QUESTION, sections, provenance,
        kicker="tendency study",
    )  # fmt: skip


def _maps(found: Recovered, size: Size) -> Section:
    true = true_maps(plate(size.points))
    blocks: list[Block] = [Code(EQUATION, "", "The equation, as it was entered:")]
    for name, title in _NAMES.items():
        shown = {
            f"true {title}": true[name],
            "found through roll-outs": found.maps[name],
            "found - true": found.maps[name] - true[name],
        }
        blocks.append(
            _frames(
                shown,
                name,
                f"The {title} {name}.",
                signed=name == "S",
                own=("found - true",),
            )
        )
    return Section(
        "The maps",
        "The diffusivity is kept positive by a change of variable. Either map is a sum "
        f"of {size.modes[0]} x {size.modes[1]} waves, and none of the true ones is "
        "such a sum.",
        tuple(blocks),
    )


def _known(found: Recovered, seen: Measured, size: Size) -> Section:
    errors, true = found.errors, true_maps(plate(size.points))
    away = {n: np.abs(found.maps[n] - true[n]) / errors[n] for n in true}
    rows = tuple(
        (
            title,
            float(np.sqrt((errors[n] ** 2).mean() / (true[n] ** 2).mean())),
            float(np.sqrt(((found.maps[n] - true[n]) ** 2 / true[n] ** 2).mean()))
            if n == "k"
            else None,
            float((away[n] < 2).mean()),
        )
        for n, title in _NAMES.items()
    )
    columns = (
        Column("map"),
        Column("standard error"),
        Column("error point by point"),
        Column("points within 2 standard errors"),
    )
    slope = _slope(seen.truth)
    shown = {"standard error of k, of k": errors["k"] / found.maps["k"]}
    panels = [
        _frames(shown, "of k", "").panels[0],
        _frames({"slope": slope}, "temperature per length", "").panels[0],
    ]
    titles = ("standard error of k, part of k", "slope of the temperature")
    panels = tuple(replace(p, title=t) for p, t in zip(panels, titles, strict=True))
    sure = np.corrcoef(errors["k"].ravel(), 1 / slope.ravel())[0, 1]
    return Section(
        "How well they are known",
        "A diffusivity is seen where the temperature has a slope, and nowhere else. "
        "Standard errors come from the least squares through roll-outs, the unknown "
        "starts among them. They are of the waves that the map is made of: what waves "
        "too short for it would add, they do not tell. The correlation of the standard "
        f"error of k with one over the slope is {sure:.2f} here.",
        (
            Table(columns, rows, "Noise of 2 %, half of the points missing."),
            Frames(panels, ("all times",), "Where k is known, and why.", "Two maps"),
        ),
    )


def _measured(seen: Measured, size: Size) -> Section:
    count = size.times
    shown = {"truth": seen.truth[:count], "measured": seen.seen[:count]}
    labels = [f"time {i} of {count}" for i in range(1, count + 1)]
    positions = plate(size.points).axes[0].positions()
    frames = plane_frames(
        {name: values.transpose(0, 2, 1) for name, values in shown.items()},
        positions,
        positions,
        labels,
        quantity="temperature",
        signed=True,
        aspect=1.0,
        caption=f"The first of {size.runs} runs; grey is missing.",
    )
    return Section(
        "What is measured",
        f"{size.runs} runs of {count} times, each from a temperature of its own that "
        "is not known either. The truth is computed by Fourier series with steps of a "
        "quarter, the model by centred differences of order 4.",
        (frames,),
    )


def _stages(errors: Wrong) -> Section:
    columns = (
        Column("noise [%]"),
        Column("missing [%]"),
        Column("by"),
        Column("k [%]", group="relative error"),
        Column("S [%]", group="relative error"),
    )
    order = sorted(errors, key=lambda key: (key[1], key[2]))
    rows = tuple(
        (
            f"{100 * noise:g}",
            f"{100 * gaps:g}",
            how,
            *(_percent(errors[how, noise, gaps][n]) for n in _NAMES),
        )
        for how, noise, gaps in order
    )
    blocks: list[Block] = [
        Table(columns, rows, "Root mean square, of that of the map.")
    ]
    for i, label, fixed in ((1, "noise [%]", 0.5), (2, "missing [%]", 0.02)):
        cases = [key for key in errors if key[3 - i] == fixed]
        lines = {}
        for how in dict.fromkeys(how for how, *_ in cases):
            for n, title in _NAMES.items():
                own = sorted(key for key in cases if key[0] == how)
                x = np.array([100 * key[i] for key in own])
                y = np.array([100 * errors[key][n] for key in own])
                if np.isfinite(y).sum() > 1:
                    lines[f"{title}, {how}"] = x, y
        if lines:
            at = "half of the points missing" if i == 1 else "noise of 2 %"
            spec = line_chart(lines, across=label, up="relative error [%]", log=i == 1)
            told = f"Error of the maps against {label[:-4]}, {at}."
            blocks.append(Chart(spec, told, told))
    return Section(
        "From tendencies, and through roll-outs",
        "Least squares on single steps need neighbours that are all there: with half "
        "of the points missing hardly a residual is left, and the noise of neighbours "
        "biases what is found. Fields smoothed in space and time give a first guess. "
        "Roll-outs weigh the measurements themselves, wherever they are.",
        tuple(blocks),
    )


def _frames(
    shown: Maps,
    quantity: str,
    caption: str,
    *,
    signed: bool = False,
    own: tuple[str, ...] = (),
) -> Frames:
    positions = plate(len(next(iter(shown.values())))).axes[0].positions()
    main = plane_frames(
        {name: values.T[None] for name, values in shown.items() if name not in own},
        positions,
        positions,
        ["all times"],
        quantity=quantity,
        signed=signed,
        aspect=1.0,
        caption=caption,
    )
    panels = list(main.panels)
    for name in own:
        one = _frames({name: shown[name]}, quantity, caption, signed=True)
        panels.append(replace(one.panels[0], title=name))
    return replace(main, panels=tuple(panels))


def _slope(temperature: Fields) -> np.ndarray:
    """Root mean square over all times [temperature per length of the plate]."""
    points = temperature.shape[1]
    slopes = [
        (np.roll(temperature, -1, axis) - np.roll(temperature, 1, axis)) * points / 2
        for axis in (1, 2)
    ]
    return np.sqrt(sum((slope**2).mean(axis=0) for slope in slopes))


def _percent(value: float) -> float | None:
    return 100 * value if np.isfinite(value) else None
