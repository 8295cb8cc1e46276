"""The whole map: a stencil in closed form, and networks on maps beside it."""

from collections.abc import Mapping
from dataclasses import replace

from tendency.cell import AbstractCell
from tendency.networks.maps import Edges
from tendency.studies._fields.emulation import Emulated, Setting, compare
from tendency.studies._fields.emulators import (
    Record,
    Say,
    Stencil,
    Training,
    beside,
    conv_lstm,
    unet,
)
from tendency.studies._fields.fields import Fields
from tendency.studies._fields.simulated import SOURCES
from tendency.studies._fields.split import Split
from tendency.studies.sea_level.setting import (
    HOW,
    LEARNED,
    LEVEL,
    STEPS,
    Size,
    simulation,
)

MAPS = "maps"  # the case of its scores
UNET, MEMORY = "Stencil + UNet", "Stencil + ConvLSTM"


def on_map(
    fields: Fields, split: Split, size: Size, seed: int, small: bool, say: Say
) -> Emulated:
    """Forecasts of the map by baselines, the stencil and networks, in centimetres."""
    told = setting(size, edges_of(fields), small)
    return compare(told, centimetres(fields), split, seed=seed, small=small, say=say)


def edges_of(fields: Fields) -> Edges:
    """The simulation is a periodic box."""
    edge = "periodic" if fields.simulated else "replicate"
    return Edges(edge, edge)


def setting(size: Size, edges: Edges, small: bool) -> Setting:
    """Of `compare`."""

    def networks(
        record: Record, base: AbstractCell, seed: int
    ) -> Mapping[str, AbstractCell]:
        if small:  # they take longer to compile than all the rest
            return {}
        corrector = unet(record, size.widths, edges, seed=seed)
        recurrent = conv_lstm(
            record, (size.units,), edges, history=4, seed=seed, base=base
        )
        return {UNET: beside(record, base, corrector), MEMORY: recurrent}

    training = Training(size.map_epochs, 3)
    stencils = tuple(
        Stencil(lags, kernel, coarse=0, around=around, edges=edges)
        for lags in (3, 5)
        for kernel in (3, 5)
        for around in (0, 9)
    )
    return Setting(
        study="sea-level",
        title="Sea level on the map",
        question="How much better than baselines do networks on maps tell sea level?",
        how=HOW,
        wanted=(LEVEL,),
        simulate=lambda _, seed: simulation(size, seed),
        source=SOURCES["sea level"],
        split=LEARNED,
        simulated_split=LEARNED,
        leads=tuple(range(1, STEPS + 1)),
        lead_units="d",
        networks=networks,
        training=dict.fromkeys((UNET, MEMORY), training),
        stencils=stencils[:1] if small else stencils,
        baselines={"": {"modes": size.modes}},
        quantity=MAPS,
        stride=5,
    )


def centimetres(fields: Fields) -> Fields:
    """The same maps, in the unit that sea level is spoken of."""
    variables = tuple(
        replace(v, attributes={**v.attributes, "units": "cm"})
        for v in fields.layout.variables
    )
    series = fields.series
    return replace(
        fields,
        series=replace(series, states=100 * series.states),
        layout=replace(fields.layout, variables=variables),
    )
