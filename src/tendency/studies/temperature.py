"""Air temperature hour by hour: how a network sees the day that it is in.

ERA5 over the British Isles in March 2019 in the tables of the documentation; without a
file anomalies carried over an island that warms by day.
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
    conv_lstm,
    unet,
)
from tendency.studies._fields.fields import Wanted
from tendency.studies._fields.simulated import SOURCES, temperature

UNET, RECURRENT = "Stencil + UNet", "ConvLSTM"
_DAY = 24  # hours
_EDGES = Edges("replicate", "replicate")
# What the stencil reads: the last hours, and those about the next one on past days.
_DAYS = (1, 2, 3, 4, *(_DAY * k + j for k in (1, 2, 3, 4) for j in (-1, 0, 1)))


def _networks(
    record: Record, base: AbstractCell, seed: int
) -> Mapping[str, AbstractCell]:
    return {
        UNET: beside(record, base, unet(record, (8, 16), _EDGES, seed=seed)),
        RECURRENT: conv_lstm(record, (16,), _EDGES, history=6, seed=seed),
    }


def _smallest(
    record: Record, base: AbstractCell, seed: int
) -> Mapping[str, AbstractCell]:
    return {UNET: beside(record, base, unet(record, (4, 8), Edges(), seed=seed))}


def setting(small: bool) -> Setting:
    """Of the study, or of its quick look."""
    return Setting(
        study="temperature",
        title="Air temperature, forecast hour by hour",
        question="Can networks on maps forecast the next twelve hours of air "
        "temperature from three weeks of it, where the day repeats itself and the "
        "weather does not?",
        how="Give a file of hourly 2 m temperature on a grid with --data (ERA5 or any "
        "other, three weeks or more).",
        wanted=(Wanted(("t2m", "2t", "air_temperature", "t"), "K"),),
        simulate=_simulate,
        source=SOURCES["temperature"],
        split=540 / 744,
        simulated_split=540 / 744,
        leads=(1, 2) if small else (1, 3, 6, 12),
        lead_units="h",
        networks=_smallest if small else _networks,
        training={
            UNET: Training(1 if small else 6, 2 if small else 3, decay=0.05),
            RECURRENT: Training(6, 4, rate=1e-2),
        },
        stencils=(Stencil(_DAY, ridge=0.1),) if small else _STENCILS,
        baselines=_BASELINES if not small else {"": {**_FEW, "cycles": ("day",)}},
        quantity="temperature",
    )


_STENCILS = tuple(
    Stencil(lags, coarse=0, around=around, ridge=ridge, edges=_EDGES)
    for lags in (_DAY, _DAYS)
    for around in (9, 13)
    for ridge in (0.001, 0.01)
)
_RIDGES = (0.003, 0.03, 0.3, 3.0)
_FEW = {"modes": 0.8, "lags": (1,), "ridges": (0.03,)}
_BASELINES = {
    "": {"modes": 0.8, "lags": (1, 2, 3), "ridges": _RIDGES, "cycles": ("day",)},
    ", last day": {"modes": 0.8, "lags": (_DAY,), "ridges": _RIDGES, "cycles": ()},
}


def _simulate(small: bool, seed: int):
    if small:
        return temperature(times=200, shape=(12, 16), seed=seed)
    return temperature(seed=seed)


run = study_of(setting)
