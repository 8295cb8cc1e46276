"""Surface currents emulated: a stencil, and networks beside it or alone.

Daily geostrophic currents (GlobCurrent, the Agulhas region, 2002 in the tables of the
documentation); without a file those of a two-layer quasi-geostrophic ocean.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tendency.cell import AbstractCell
from tendency.networks.maps import Edges
from tendency.report.blocks import Chart, Section
from tendency.report.lines import line_chart
from tendency.scores.records import Score
from tendency.studies._fields.attention import attention_section
from tendency.studies._fields.emulation import Emulated, Setting, study_of
from tendency.studies._fields.emulators import (
    Record,
    Say,
    Stencil,
    Training,
    attention,
    beside,
    conv_lstm,
    fno,
    unet,
)
from tendency.studies._fields.fields import Wanted
from tendency.studies._fields.free_run import (
    energies,
    ratios,
    true_energies,
    with_noise,
)
from tendency.studies._fields.simulated import SOURCES, ocean

UNET, FOURIER, MEMORY = "Stencil + UNet", "Stencil + FNO", "Stencil + ConvLSTM"
RECURRENT = "ConvLSTM"
ATTENTION = "Stencil + attention"
DRAWN = "Stencil + UNet, errors drawn again"
WANTED = (
    Wanted(("uo", "ugos", "u", "eastward_sea_water_velocity"), "m s-1"),
    Wanted(("vo", "vgos", "v", "northward_sea_water_velocity"), "m s-1"),
)
_STENCILS = tuple(Stencil(lags, kernel, 10) for lags in (3, 5) for kernel in (3, 5))
_FREE = 60  # steps of the free run


def _networks(
    record: Record, base: AbstractCell, seed: int
) -> Mapping[str, AbstractCell]:
    edges = Edges("replicate", "replicate")
    return {
        UNET: beside(record, base, unet(record, (8, 16, 32), edges, seed=seed)),
        FOURIER: beside(record, base, fno(record, 12, (8, 12), seed=seed)),
        MEMORY: conv_lstm(record, (16,), edges, history=4, seed=seed, base=base),
        ATTENTION: beside(record, base, attention(record, 32, 2, edges, seed=seed)),
        RECURRENT: conv_lstm(record, (16, 16), edges, history=4, seed=seed),
    }


def _smallest(
    record: Record, base: AbstractCell, seed: int
) -> Mapping[str, AbstractCell]:
    return {
        UNET: beside(record, base, unet(record, (4, 8), Edges(), seed=seed)),
        ATTENTION: beside(record, base, attention(record, 4, 1, Edges(), seed=seed)),
    }


def setting(small: bool) -> Setting:
    """Of the study, or of its quick look."""
    epochs = 1 if small else 8
    training = Training(epochs, 2 if small else 4, batch=8)
    return Setting(
        study="currents",
        title="Surface currents, forecast by networks on maps",
        question="How much better than persistence and regressions do convolutional, "
        "recurrent and spectral networks forecast surface currents from a single year, "
        "and does a long free run keep its energy?",
        how="Give a file of daily surface currents on a grid with --data (GlobCurrent "
        "or any other with eastward and northward velocities, a year or more).",
        wanted=WANTED,
        simulate=_simulate,
        source=SOURCES["currents"],
        split="2002-10-01",
        simulated_split=0.75,
        leads=(1, 2) if small else (1, 5, 10),
        lead_units="days",
        networks=_smallest if small else _networks,
        training={
            **dict.fromkeys((UNET, FOURIER, ATTENTION, MEMORY), training),
            RECURRENT: replace(training, rate=1e-2),  # which has all to learn
        },
        stencils=(Stencil(3, 3, 8),) if small else _STENCILS,
        baselines={"": {"lags": (1,), "ridges": (0.03,)} if small else {}},
        quantity="current",
    )


def _simulate(small: bool, seed: int):
    if small:
        return ocean("currents", days=60, points=16, spin_up=20, seed=seed)
    return ocean("currents", days=360, points=48, seed=seed)


def _free_runs(
    found: Emulated, seed: int, small: bool, say: Say
) -> tuple[list[Score], list[Section]]:
    """Sixty days without data: the kinetic energy, and what the drawn errors cost."""
    record, fields = found.record, found.record.fields
    steps = 10 if small else _FREE
    most = max(m.cell.spin_up_steps for m in found.models.values())
    held = record.split.test
    starts = fields.series.starts(most, 1, first=held[0], stop=held[1])
    reach = len(fields.times) - steps - 1
    starts = starts[starts <= max(reach, starts[0])][:: 3 if small else 6]
    cell = found.models[UNET].cell
    noisy, factor = with_noise(
        record, cell, steps, members=2 if small else 4, seed=seed
    )
    truth = true_energies(record, starts, steps)
    of = {
        name: energies(record, model.cell, starts, steps)
        for name, model in found.models.items()
        if name not in found.beaten
    }
    members = 2 if small else 8
    of[DRAWN] = energies(record, noisy, starts, steps, members=members, seed=seed)
    shares = ratios(of, truth)
    scores = [
        Score("current", name, "kinetic energy ratio", float(step * fields.dt), value)
        for name, values in shares.items()
        for step in sorted({1, steps // 6, steps // 2, steps})
        if np.isfinite(value := float(values[step - 1]))
    ]
    for name, values in shares.items():
        say(
            f"{name}: kinetic energy {values[-1]:.2f} of the truth's after {steps} days"
        )
    leads = fields.dt * np.arange(1, steps + 1)
    lines = {name: (leads, values) for name, values in shares.items()}
    lines["Truth"] = (leads, truth / np.nanmean(truth))
    chart = Chart(
        line_chart(lines, across="lead time [days]", up="kinetic energy / mean"),
        f"Kinetic energy of free runs over the mean of the truth's, {len(starts)} "
        "starts.",
        "Kinetic energy by lead time.",
    )
    text = (
        "A forecast with the least mean square error fades as its knowledge does: its "
        "energy falls. What one step misses, drawn again at each step in its own "
        f"patterns (amplitude {factor:.2f}, set on the training part), gives members "
        "that keep the energy; their mean fades as before."
    )
    free = Section("A free run", text, (chart,))
    return scores, [free, attention_section(found, ATTENTION)]


run = study_of(setting, _free_runs)
