"""The page of the study."""

from collections.abc import Mapping

import numpy as np

from tendency.report.blocks import Chart, Code, Column, Section, Table
from tendency.report.lines import line_chart
from tendency.report.maps import plane_frames
from tendency.report.page import Page
from tendency.report.provenance import Provenance
from tendency.studies.diffusion_2d.setting import (
    FLUX,
    FORMS,
    PRODUCT,
    PUBLISHED,
    WAVES,
    Run,
    model,
)
from tendency.symbolic.differences import Differences

_QUESTION = (
    "Something diffuses along axes that turn from place to place. The equation can be "
    "written as the divergence of a flux, or with its derivatives taken apart by the "
    "product rule: the same on paper. Is it the same on a grid?"
)


def make_page(
    runs: Mapping[tuple[str, int], Run],
    decay: Mapping[tuple[str, int], float],
    provenance: Provenance,
    *,
    at_full_size: bool,
) -> Page:
    """All that the study found."""
    sections = (
        _forms(runs, at_full_size),
        _maps(runs),
        _decay(decay),
        Section(
            "The source",
            "What runs can be written out, and needs nothing of `tendency` then.",
            (
                Code(
                    model(FLUX, Differences(2), 100).source("jax", dt=1 / 600),
                    "python",
                    "The flux form of order 2:",
                ),
            ),
        ),
    )
    return Page(
        "Diffusion: a flux, or its derivatives apart", _QUESTION, sections, provenance,
        kicker="tendency study",
    )  # fmt: skip


def _forms(runs: Mapping[tuple[str, int], Run], at_full_size: bool) -> Section:
    columns = (
        Column("form"),
        Column("order"),
        Column("largest drift of the mass"),
        Column("known", published=True),
        Column("minimum, all times"),
        Column("minimum, t = 1"),
        Column("maximum, t = 1"),
    )
    known = {FLUX: 0.0}
    rows = tuple(
        (
            form,
            order,
            float(np.abs(run.mass - 1).max()),
            PUBLISHED
            if (form, order, at_full_size) == (PRODUCT, 2, True)
            else known.get(form),
            float(run.fields.min()),
            float(run.fields[-1].min()),
            float(run.fields[-1].max()),
        )
        for (form, order), run in runs.items()
    )
    lines = {
        f"{form}, order {order}": (run.times, 100 * (run.mass - 1))
        for (form, order), run in runs.items()
    }
    return Section(
        "Mass",
        "A point source of mass 1 spreads until t = 1. What leaves one cell of the "
        "flux form enters the next, whatever the order. The product-rule form creates "
        "mass: PDE-NetGen, whose example this is (Pannekoucke & Fablet, 2020, "
        "doi:10.5194/gmd-13-3373-2020), expands the derivatives before it discretises, "
        "and its run was measured to gain 1.3 %. Neither form keeps a point source "
        "positive: central differences of a mixed derivative undershoot beside it at "
        "first.",
        (
            *(
                Code("\n".join(system.written), "", f"The {form}, as entered:")
                for form, system in FORMS.items()
            ),
            Table(columns, rows, "Both forms, orders 2 and 4, 600 steps of RK4."),
            Chart(
                line_chart(lines, across="time", up="mass gained [%]"),
                "The mass gained over time.",
                "The mass stays in flux form and drifts in product-rule form.",
            ),
        ),
    )


def _maps(runs: Mapping[tuple[str, int], Run]) -> Section:
    one, other = runs[FLUX, 2], runs[PRODUCT, 2]
    start = 1  # the source itself fills one cell of the first map
    labels = [f"t = {time:.2f}" for time in one.times[start:]]
    shown = {
        FLUX: one.fields[start:],
        PRODUCT: other.fields[start:],
        "product rule - flux form": (other.fields - one.fields)[start:],
    }
    cells = np.arange(one.fields.shape[-1], dtype=float)
    frames = plane_frames(
        shown,
        cells,
        cells,
        labels,
        quantity="concentration",
        signed=True,
        own_scale=("product rule - flux form",),
        caption="The spreading source, order 2.",
        aspect=1.0,
    )
    return Section("The spreading source", "", (frames,))


def _decay(decay: Mapping[tuple[str, int], float]) -> Section:
    names = list(dict.fromkeys(name for name, _ in decay))
    grids = list(dict.fromkeys(points for _, points in decay))
    few, many = grids
    rows = tuple(
        (
            name,
            decay[name, few],
            decay[name, many],
            None
            if name == "spectral"
            else float(np.log2(decay[name, few] / decay[name, many])),
        )
        for name in names
    )
    columns = (
        Column("method"),
        Column(f"{few}² points", group="relative error at t = 1"),
        Column(f"{many}² points", group="relative error at t = 1"),
        Column("order found"),
    )
    p, q = WAVES
    return Section(
        "The decay of a wave",
        f"With a uniform tensor, cos 2π({p}x + {q}y) decays at a known rate. Fourier "
        "transforms leave the error of the steps alone (RK4, 1,000 of them).",
        (Table(columns, rows, "Errors relative to the exact amplitude."),),
    )
