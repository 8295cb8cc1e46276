"""Maps as few numbers: orthogonal functions, auto-encoders, variational ones.

All hold as many latent numbers, learn from the same times, and are judged on times that
none has seen: by what they give back, and by forecasts of the latent numbers with a
linear regression (`Latent`). Of surface currents, from a file or from a two-layer
quasi-geostrophic ocean.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from tendency.fitting import AutoEncoding, Descent, fit
from tendency.networks.maps import (
    AbstractAutoEncoder,
    ConvAutoEncoder,
    DenseAutoEncoder,
    Edges,
    LinearAutoEncoder,
)
from tendency.report.blocks import Chart, Column, Section, Table
from tendency.report.lines import line_chart
from tendency.report.numbers import with_units
from tendency.report.page import Page
from tendency.report.provenance import Provenance
from tendency.report.results import write_results
from tendency.scores.records import Score
from tendency.statistical.linear_ar import linear_ar
from tendency.studies._fields.baselines import prepared
from tendency.studies._fields.emulators import Record, Say
from tendency.studies._fields.evaluate import forecasts, rmse_by_lead, truth_of
from tendency.studies._fields.fields import read_fields, simulated_fields
from tendency.studies._fields.page import forecast_maps, where_from
from tendency.studies._fields.simulated import SOURCES, ocean
from tendency.studies._fields.split import held_out_starts, split_at
from tendency.studies.currents import WANTED
from tendency.windows import Windows
from tendency.wrappers import Latent

EOF, DENSE, CONVOLUTIONS, DRAWN = "EOF", "Dense", "Convolutional", "Variational"
_HOW = (
    "Give a file of daily surface currents on a grid with --data, a few hundred days "
    "or more."
)
_BETA = 0.01  # what a variational z costs
_LATE = 0.9  # of the training part: what comes later chooses the epoch


@dataclass(frozen=True)
class Size:
    """Of the study, or of its quick look."""

    latent: tuple[int, ...]
    epochs: int
    widths: tuple[int, ...]  # of the convolutions
    leads: tuple[int, ...]  # of the forecasts [steps]


FULL = Size((4, 16, 32), 60, (8, 16, 32), (1, 5))
SMALL = Size((4,), 3, (2, 4), (1, 2))


def run(
    out: Path,
    *,
    seed: int,
    small: bool,
    say: Say,
    data: Path | None = None,
) -> None:
    """Write `scores.json` and `report.html` into `out`.

    Raises:
        InputError: the file does not hold currents, or something cannot be written.
    """
    began = time.perf_counter()
    size = SMALL if small else FULL
    if data is None:
        days, points, spin_up = (60, 16, 20) if small else (360, 48, 500)
        stand_in = ocean(
            "currents", days=days, points=points, spin_up=spin_up, seed=seed
        )
        fields = simulated_fields(stand_in, SOURCES["currents"])
        say(f"no file was given: {SOURCES['currents']}. {_HOW}")
    else:
        fields = read_fields(data, WANTED)
    split = split_at(fields, 0.75)
    record = Record.of(fields, split, prepared(fields, split.train, (), None))
    steps = max(size.leads)
    starts = held_out_starts(fields, split, steps)
    truth = truth_of(fields, starts, steps)
    scores, told = [], {}
    unit = str(fields.layout.variables[0].attributes.get("units", "1"))
    for latent in size.latent:
        for name, codec in _codecs(record, latent, size, seed).items():
            case = f"{latent} numbers"
            back = _given_back(record, codec)
            scores.append(Score(case, name, "reconstruction", None, back, unit))
            values = forecasts(_model(record, codec), fields, starts, steps)
            by_lead = rmse_by_lead(values, truth, fields.areas)
            scores += [
                Score(
                    case, name, "rmse", lead * fields.dt, float(by_lead[lead - 1]), unit
                )
                for lead in size.leads
            ]
            say(
                f"{case}, {name}: given back {back:.3g}, forecasts {by_lead[0]:.3g} ..."
            )
            if latent == size.latent[-1]:
                told[name] = codec
    provenance = Provenance.here(
        seed=seed,
        wall_seconds=time.perf_counter() - began,
        more={"data": fields.source, "precision": "float32"},
    )
    page = Page(
        "Maps as few numbers",
        "How much of a map of currents do a few numbers hold: by orthogonal functions, "
        "by dense and convolutional auto-encoders, by a variational one?",
        tuple(_sections(record, scores, told, size)),
        provenance,
    )
    settings = {"seed": seed, "small": small, "data": fields.source}
    report = write_results(out, "autoencoder", settings, scores, page)
    say(f"{report} after {time.perf_counter() - began:.0f} s")


def _codecs(
    record: Record, latent: int, size: Size, seed: int
) -> Mapping[str, AbstractAutoEncoder]:
    """Fitted to the same times; the epoch chosen by the last of them."""
    first, stop = record.split.train
    middle = first + round(_LATE * (stop - first))
    states, areas = record.states, jnp.asarray(record.fields.areas, jnp.float32)
    frame, keys = record.frame(), jax.random.split(jax.random.key(seed), 4)
    edges = Edges("replicate", "replicate")
    dense = {"widths": (64,), "dtype": jnp.float32}
    networks = {
        DENSE: DenseAutoEncoder(states.shape[1], latent, **dense, key=keys[0]),
        CONVOLUTIONS: ConvAutoEncoder(
            frame, latent, size.widths, edges=edges, key=keys[1]
        ),
        DRAWN: ConvAutoEncoder(
            frame, latent, size.widths, edges=edges, variational=True, key=keys[2]
        ),
    }
    windows = record.windows(first, middle, 1)
    late = record.windows(middle, stop, 1)
    codecs = {EOF: LinearAutoEncoder.of(states[first:stop], latent, weights=areas)}
    batch = min(16, len(windows))
    updates = size.epochs * (len(windows) // batch)
    for name, network in networks.items():
        method = Descent(
            optax.chain(
                optax.clip_by_global_norm(1.0),
                optax.adamw(optax.cosine_decay_schedule(2e-3, updates)),
            ),
            epochs=size.epochs,
            batch=batch,
        )
        loss = AutoEncoding(beta=_BETA if name == DRAWN else 0.0)
        fitted = fit(network, windows, method, loss=loss, validation=late, key=keys[3])
        codecs[name] = fitted.cell
    return codecs


@eqx.filter_jit
def _through(codec, states):
    return jax.lax.map(lambda x: codec.decode(codec.encode(x)), states, batch_size=16)


def _given_back(record: Record, codec: AbstractAutoEncoder) -> float:
    """The error of held-out states through the codec [units of the data]."""
    fields, part = record.fields, slice(*record.split.test)
    t = jnp.asarray(fields.series.t[part])
    told = record.preparation.decode(_through(codec, record.states[part]), t)
    truth = fields.series.states[part]
    return float(
        rmse_by_lead(np.asarray(told)[:, None], truth[:, None], fields.areas)[0]
    )


def _model(record: Record, codec: AbstractAutoEncoder):
    """A linear regression of the latent numbers on those before, between the codec."""
    first, stop = record.split.train
    encode = eqx.filter_jit(lambda c, x: jax.lax.map(c.encode, x, batch_size=16))
    z = encode(codec, record.states[first:stop])
    segments = record.fields.series.part(first, stop).segments
    windows = Windows.of(z, 2, segments=segments)
    cell = linear_ar(windows, ridge=0.03, dt=record.fields.dt, increments=True)
    return record.model(Latent(codec, cell))


def _sections(
    record: Record,
    scores: list[Score],
    codecs: Mapping[str, AbstractAutoEncoder],
    size: Size,
) -> list[Section]:
    fields = record.fields
    names = (EOF, DENSE, CONVOLUTIONS, DRAWN)
    unit = scores[0].units

    def table(metric: str, lead: float | None, caption: str) -> Table:
        at = {(s.case, s.model): s.value for s in scores
              if (s.metric, s.lead) == (metric, lead)}  # fmt: skip
        columns = [Column(f"{n} numbers", unit, best="lowest") for n in size.latent]
        rows = tuple(
            (name, *(at[f"{n} numbers", name] for n in size.latent)) for name in names
        )
        return Table((Column("codec"), *columns), rows, caption)

    lines = {
        name: (
            np.asarray(size.latent, float),
            np.asarray([s.value for s in scores
                        if (s.model, s.metric) == (name, "reconstruction")]),
        )
        for name in names
    }  # fmt: skip
    chart = Chart(
        line_chart(lines, across="latent numbers", up=with_units("error", unit)),
        "What is lost, by how many numbers hold the map.",
        "Reconstruction error by latent size.",
    )
    first = record.split.test[0]
    middle = (first + record.split.test[1]) // 2
    t = jnp.asarray(fields.series.t[middle : middle + 1])
    told = {
        name: fields.on_grid(
            np.asarray(
                record.preparation.decode(
                    _through(codec, record.states[middle : middle + 1]), t
                )
            )
        )[:, 0]
        for name, codec in codecs.items()
        if name in (EOF, CONVOLUTIONS)
    }
    truth = fields.on_grid(fields.series.states[middle : middle + 1])[:, 0]
    maps = forecast_maps(
        fields,
        truth,
        told,
        [str(fields.times[middle])[:10]],
        quantity="current",
        units=unit,
        caption=f"A held-out map through {size.latent[-1]} numbers.",
    )
    text = (
        f"{where_from(fields, _HOW)}\n\nLearned from the first three quarters of the "
        "times, judged on the last quarter. Orthogonal functions are the best linear "
        "code of the times they were made of; a network may bend, and has the same few "
        "times to learn how."
    )
    leads = [
        table("rmse", lead * fields.dt, f"Forecasts, lead time {lead * fields.dt:g} "
              f"{fields.layout.clock.unit}, by a linear regression of the numbers.")
        for lead in size.leads
    ]  # fmt: skip
    back = table("reconstruction", None, "Error of held-out maps, given back.")
    return [
        Section("What is given back", text, (back, chart)),
        Section("A map through its numbers", "", (maps,)),
        Section("Forecasts in latent space", "", tuple(leads)),
    ]
