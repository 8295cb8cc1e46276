"""Sea surface temperature, month by month, from eight years of it.

ERSST v5 of 2010 to 2020 in the tables of the documentation; without a file slow
anomalies on an annual cycle.
"""

from collections.abc import Mapping

from tendency.cell import AbstractCell
from tendency.networks.maps import Edges
from tendency.studies._fields.emulation import Setting, study_of
from tendency.studies._fields.emulators import (
    Record,
    Stencil,
    Training,
    beside,
    unet,
)
from tendency.studies._fields.fields import Wanted
from tendency.studies._fields.simulated import SOURCES, surface_temperature

UNET = "Stencil + UNet"


_STENCILS = tuple(
    Stencil(lags, 3, coarse, ridge)
    for lags in (1, 3)
    for coarse in (10, 20)
    for ridge in (0.01, 0.1)
)


def _networks(
    record: Record, base: AbstractCell, seed: int
) -> Mapping[str, AbstractCell]:
    edges = Edges("replicate", "periodic" if _divides(record) else "replicate")
    return {UNET: beside(record, base, unet(record, (8, 16), edges, seed=seed))}


def _divides(record: Record) -> bool:
    """Whether the columns go round the earth, and can be halved."""
    columns = record.fields.axes[1]
    step = columns[1] - columns[0]
    return abs(columns.size * step - 360) < step / 2 and columns.size % 2 == 0


def setting(small: bool) -> Setting:
    """Of the study, or of its quick look."""
    return Setting(
        study="sst",
        title="Sea surface temperature, forecast month by month",
        question="Do anomalies of sea surface temperature hold more than their own "
        "fading? Forecasts of one to six months from eight years of months.",
        how="Give a file of monthly sea surface temperature on a grid with --data "
        "(ERSST or any other, ten years or more).",
        wanted=(Wanted(("sst", "tos", "sea_surface_temperature"), "degC"),),
        simulate=_simulate,
        source=SOURCES["sea surface temperature"],
        split="2018-01",
        simulated_split=0.75,
        leads=(1, 2) if small else (1, 3, 6),
        lead_units="months",
        networks=_networks,
        training={UNET: Training(1 if small else 10, 2 if small else 3, rate=1e-3)},
        stencils=(Stencil(1, ridge=0.1),) if small else _STENCILS,
        cycles=("year",),
        baselines={"": {"lags": (1,), "ridges": (0.03,)} if small else {}},
        quantity="sea surface temperature",
    )


def _simulate(small: bool, seed: int):
    if small:
        return surface_temperature(months=72, shape=(12, 24), seed=seed)
    return surface_temperature(seed=seed)


run = study_of(setting)
