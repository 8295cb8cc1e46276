"""Emulators of fields: a stencil in closed form, and networks beside it or alone.

The stencil is a regression of the increment on a neighbourhood and on block means; a
UNet or a Fourier neural operator corrects it (`MapCorrector`), as does a ConvLSTM
(`RecurrentCorrector`), which can also stand alone.
Networks learn through roll-outs, what errs in the middle of a cell by its area.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from tendency.cell import AbstractCell
from tendency.data.prepare import Preparation
from tendency.fitting import Descent, RolloutLoss, fit
from tendency.networks import Convolutional, stencil_regression
from tendency.networks.maps import (
    FNO,
    AbstractMapNetwork,
    ConvLSTM,
    Convolution,
    Edges,
    Frame,
    MapCorrector,
    MapRecurrent,
    MapTransformer,
    RecurrentCorrector,
    UNet,
    stacked_maps,
)
from tendency.studies._fields.evaluate import (
    Model,
    encoded,
    forecasts,
    rmse_by_lead,
    truth_of,
)
from tendency.studies._fields.fields import Fields
from tendency.studies._fields.split import Split
from tendency.windows import Windows

Say = Callable[[str], None]
_EARLY = 0.8  # of the training part: what comes later chooses the stencil
_LATE = 0.9  # of the training part: what comes later chooses the epoch
_CLIP = 1.0


@dataclass(frozen=True)
class Stencil:
    """What the regression on a neighbourhood reads."""

    lags: int | tuple[int, ...]  # how many states, or how many steps back
    kernel: int = 3
    coarse: int = 8  # points across a block
    ridge: float = 0.01
    around: int = 0  # points across the square whose means are read
    edges: Edges = field(default_factory=Edges)

    @property
    def past(self) -> int:
        """The states that it must have."""
        return self.lags if isinstance(self.lags, int) else max(self.lags)


@dataclass(frozen=True)
class Training:
    """How a network learns."""

    epochs: int
    horizon: int  # steps of a roll-out
    batch: int = 8
    rate: float = 2e-3
    decay: float = 1e-2


@dataclass(frozen=True, eq=False)
class Record:
    """A record as emulators see it: anomalies in single precision."""

    fields: Fields
    split: Split
    preparation: Preparation
    states: Float[Array, "time state"]
    weights: Float[np.ndarray, "time state"]  # areas, zero where a value is missing

    @classmethod
    def of(cls, fields: Fields, split: Split, preparation: Preparation) -> "Record":
        """All times in the space of the preparation."""
        states = encoded(preparation, fields).astype(jnp.float32)
        areas = fields.areas.astype(np.float32)
        seen = np.isfinite(fields.series.states)
        return cls(fields, split, preparation, states, seen * areas)

    def windows(self, first: int, stop: int, length: int) -> Windows:
        """Windows of that many times, all within a range."""
        part = self.fields.series.part(first, stop)
        return Windows.of(
            self.states[first:stop],
            length,
            weights=self.weights[first:stop],
            segments=part.segments,
        )

    def frame(self) -> Frame:
        """The grid, with the usual size of an increment."""
        first, stop = self.split.train
        steps = np.diff(np.asarray(self.states[first:stop]), axis=0)
        usual = np.sqrt(
            np.mean(steps[self.fields.series.follows[first + 1 : stop]] ** 2)
        )
        return Frame(
            self.fields.shape,
            np.flatnonzero(self.fields.mask),
            increment_std=jnp.asarray(usual, jnp.float32),
            dtype=jnp.float32,
        )

    def model(self, cell: AbstractCell) -> Model:
        """A cell of these states, as `forecasts` takes it."""
        return Model(cell, self.preparation)


def stencil(record: Record, of: Stencil) -> Convolutional:
    """The linear part alone, in closed form from all of the training part."""
    fields = record.fields
    start = Convolutional(
        fields.shape,
        jnp.asarray(np.flatnonzero(fields.mask)),
        dt=fields.dt,
        kernel=of.kernel,
        lags=of.lags,
        coarse=of.coarse,
        around=of.around,
        edges=of.edges,
        dtype=jnp.float32,
        key=jax.random.key(0),
    )
    return stencil_regression(
        start, record.windows(*record.split.train, of.past + 1), ridge=of.ridge
    )


def chosen_stencil(record: Record, options: Sequence[Stencil], steps: int) -> Stencil:
    """The one whose forecasts err least at the end of the training part.

    Fitted to what comes before it; the mean over leads of the error over that of
    persistence, so that no lead counts more than another.
    """
    if len(options) == 1:
        return options[0]
    fields, (first, stop) = record.fields, record.split.train
    middle = first + round(_EARLY * (stop - first))
    early = replace(record, split=Split((first, middle), (middle, stop)))
    past = max(option.past for option in options) - 1
    starts = fields.series.starts(past, steps, first=middle, stop=stop)
    starts = starts[:: max(1, len(starts) // 24)]
    truth = truth_of(fields, starts, steps)
    still = np.repeat(fields.series.states[starts][:, None], steps, axis=1)
    usual = rmse_by_lead(np.nan_to_num(still), truth, fields.areas)

    def error(option: Stencil) -> float:
        told = forecasts(record.model(stencil(early, option)), fields, starts, steps)
        return float(np.mean(rmse_by_lead(told, truth, fields.areas) / usual))

    return min(options, key=error)


def beside(
    record: Record, base: AbstractCell, network: AbstractMapNetwork, lags: int = 1
) -> MapCorrector:
    """A network that corrects the base, and begins at zero."""
    return MapCorrector(base, network, record.frame(), lags=lags)


def unet(
    record: Record, widths: tuple[int, ...], edges: Edges, *, lags: int = 1, seed: int
) -> UNet:
    """A UNet that reads so many states and what the base predicts."""
    return UNet(
        record.frame().reads(lags + 1),
        record.fields.shape[0],
        widths,
        edges=edges,
        dtype=jnp.float32,
        key=jax.random.key(seed),
    )


def fno(
    record: Record, width: int, modes: tuple[int, int], *, lags: int = 1, seed: int
) -> FNO:
    """A Fourier neural operator of two layers, with a margin around the map."""
    return FNO(
        record.frame().reads(lags + 1),
        record.fields.shape[0],
        width,
        2,
        modes=modes,
        margin=modes,
        dtype=jnp.float32,
        key=jax.random.key(seed),
    )


def attention(
    record: Record, size: int, depth: int, edges: Edges, *, lags: int = 1, seed: int
) -> MapTransformer:
    """Blocks of attention within windows of 6 patches of 2 points, and shifted ones."""
    return MapTransformer(
        record.frame().reads(lags + 1),
        record.fields.shape[0],
        size,
        depth,
        patch=2,
        hidden=2 * size,
        reach="window",
        window=6,
        edges=edges,
        dtype=jnp.float32,
        key=jax.random.key(seed),
    )


def conv_lstm(
    record: Record,
    units: tuple[int, ...],
    edges: Edges,
    *,
    history: int,
    seed: int,
    base: AbstractCell | None = None,
) -> AbstractCell:
    """Layers of ConvLSTM and a readout that begins at zero: alone, or beside `base`."""
    frame = record.frame()
    one, two = jax.random.split(jax.random.key(seed))
    reads = frame.reads(1 if base is None else 2)
    layers = stacked_maps(
        ConvLSTM, reads, units, edges=edges, dtype=jnp.float32, key=one
    )
    readout = Convolution(
        units[-1], frame.shape[0], 1, scale=0.0, dtype=jnp.float32, key=two
    )
    if base is not None:
        return RecurrentCorrector(base, layers, readout, frame, spin_up_steps=history)
    return MapRecurrent(layers, readout, frame, record.fields.dt, spin_up_steps=history)


@dataclass(frozen=True, eq=False)
class Learned:
    """A network after its fit, and how that went."""

    model: Model
    history: dict[str, list[float]]
    seconds: float


def learn(
    record: Record,
    cell: AbstractCell,
    training: Training,
    *,
    seed: int,
    name: str,
    say: Say,
    directory: Path | None = None,
) -> Learned:
    """Fit through roll-outs; the epoch is chosen by the end of the training part."""
    began = time.perf_counter()
    first, stop = record.split.train
    middle = first + round(_LATE * (stop - first))
    past = cell.spin_up_steps
    length = past + 1 + training.horizon
    windows = record.windows(first, middle, length)
    late = record.windows(middle - past, stop, length)
    batch = min(training.batch, len(windows))
    updates = training.epochs * (len(windows) // batch)
    optimiser = optax.chain(
        optax.clip_by_global_norm(_CLIP),
        optax.adamw(
            optax.cosine_decay_schedule(training.rate, updates),
            weight_decay=training.decay,
        ),
    )
    fitted = fit(
        cell,
        windows,
        Descent(optimiser, epochs=training.epochs, batch=batch),
        loss=RolloutLoss(training.horizon),
        validation=late,
        key=jax.random.key(seed),
        directory=directory,
    )
    seconds = time.perf_counter() - began
    history = {k: np.asarray(v).tolist() for k, v in fitted.history.items()}
    say(
        f"{name}: {len(windows)} windows, {training.epochs} epochs, best "
        f"{fitted.best + 1}, {seconds:.0f} s"
    )
    return Learned(record.model(fitted.cell), history, seconds)
