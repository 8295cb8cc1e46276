"""Floor 5: the networks on maps of a job, their loss and how they descend."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from tendency.cell import Constant, Standardisation
from tendency.data.layout import Layout
from tendency.errors import InputError
from tendency.fitting import Energy, EnsembleLoss, Gradient, RolloutLoss, Spectral
from tendency.jobs import models
from tendency.jobs.series import Encoded
from tendency.jobs.settings import Job
from tendency.networks.maps import (
    FNO,
    ConvGRU,
    ConvLSTM,
    Convolution,
    Edges,
    Frame,
    MapRecurrent,
    MapStepper,
    MapTransformer,
    PredRNN,
    ResNet,
    UNet,
    stacked_maps,
)


def initial(
    model: models.OnMaps, encoded: Encoded, key: jax.Array
) -> MapStepper | MapRecurrent:
    """The cell before its fit, persistence, with the statistics of the training part.

    One mean and one deviation for all points of a variable, or of a level of it: the
    network sees the shape of its maps.

    Raises:
        InputError: the variables do not lie on one grid, or it is too small.
    """
    layout = encoded.material.layout
    shape, points = layout.grid()
    samples = np.asarray(encoded.samples("train"))
    follows = encoded.material.part("train").follows[1:]
    steps = np.diff(samples, axis=0)[follows]
    mean, std, change = (np.ones(layout.size, samples.dtype) for _ in range(3))
    channels = points // (shape[1] * shape[2])
    for channel in range(shape[0]):
        part = channels == channel
        mean[part], std[part] = samples[:, part].mean(), samples[:, part].std()
        change[part] = steps[:, part].std()
    dtype = samples.dtype
    frame = Frame(
        shape,
        points,
        standardisation=Standardisation(jnp.asarray(mean), jnp.asarray(std)),
        increment_std=jnp.asarray(change),
        **_time(model, layout),
        dtype=dtype,
    )
    parts = _networks(model, frame, key)
    if isinstance(model, models.ConvRecurrent):
        layers, readout = parts
        return MapRecurrent(
            layers, readout, frame, encoded.dt, spin_up_steps=model.history,
            increments=model.increments,
        )  # fmt: skip
    return MapStepper(
        parts[0], frame, encoded.dt, lags=model.lags, increments=model.increments,
        noise=_noise(model),
    )  # fmt: skip


def check_grids(job: Job, layout: Layout) -> None:
    """Whether the models that work on the grid suit it, from shapes alone.

    Raises:
        InputError: the variables do not lie on one grid, or it is too small for a
            network, or a circle that cannot be halved.
    """
    for name, model in job.models.items():
        try:
            if isinstance(model, models.Convolutional):
                layout.grid()
            elif isinstance(model, models.OnMaps):
                _check(model, layout)
        except InputError as error:
            raise InputError(f"models.{name}: {error}") from error


def _check(model: models.OnMaps, layout: Layout) -> None:
    shape, _ = layout.grid()
    frame = Frame(shape, **_time(model, layout), dtype=jnp.float32)

    def run(key: jax.Array) -> Any:
        parts = _networks(model, frame, key)
        reads = jnp.zeros((parts[0].sizes[0], *frame.grid), jnp.float32)
        if isinstance(model, models.ConvRecurrent):
            hidden = parts[0].init(frame.grid, jnp.float32)
            return parts[1](parts[0].step(hidden, reads, frame.land)[1], frame.land)
        condition = jnp.zeros(frame.conditions) if frame.conditions else None
        return parts[0](reads, frame.land, condition)

    eqx.filter_eval_shape(run, jax.random.key(0))


def reads_time(model: models.Model) -> bool:
    """Whether the network reads the phase of a cycle, and so the time of each step."""
    return bool(getattr(model, "cycles", []))


def _time(model: models.OnMaps, layout: Layout) -> dict[str, Any]:
    """What a frame is told of the time that its network reads.

    Raises:
        InputError: a cycle that the step of the data does not resolve.
    """
    names, clock = getattr(model, "cycles", []), layout.clock
    periods = tuple(clock.cycle(name) for name in names)
    for name, period in zip(names, periods, strict=True):
        if period <= 2 * clock.step:
            raise InputError(
                f"the phase of the {name} was asked for and the step is {clock.label}, "
                "less than half a cycle was expected: take it out of cycles"
            )
    return {"forcing_numbers": int(bool(names)), "cycles": periods}


def _networks(model: models.OnMaps, frame: Frame, key: jax.Array) -> tuple[Any, ...]:
    """A network from maps to maps, or recurrent layers and their readout."""
    lags = 1 if isinstance(model, models.ConvRecurrent) else model.lags
    reads, gives = frame.reads(lags) + _noise(model), frame.shape[0]
    like: dict[str, Any] = {"dtype": frame.dtype, "key": key}
    if not isinstance(model, models.ConvRecurrent):
        like["conditions"] = frame.conditions
    if isinstance(model, models.FNO):
        network = FNO(
            reads,
            gives,
            model.width,
            model.depth,
            modes=(model.modes[0], model.modes[1]),
            margin=(model.margin[0], model.margin[1]),
            **like,
        )
        return (network,)
    like["edges"] = Edges(model.rows, model.columns, model.partial)
    if isinstance(model, models.ConvRecurrent):
        below, above = jax.random.split(key)
        widths, beneath = tuple(model.widths), like | {"key": below}
        if model.kind == "predrnn":
            layers = PredRNN(reads, widths[0], len(widths), model.kernel, **beneath)
        else:
            kind = {"conv_lstm": ConvLSTM, "conv_gru": ConvGRU}[model.kind]
            layers = stacked_maps(kind, reads, widths, model.kernel, **beneath)
        readout = Convolution(widths[-1], gives, 1, scale=0.0, **like | {"key": above})
        return layers, readout
    if isinstance(model, models.MapTransformer):
        network = MapTransformer(
            reads,
            gives,
            model.size,
            model.depth,
            patch=model.patch,
            heads=model.heads,
            reach=model.reach,
            window=model.window,
            **like,
        )
        return (network,)
    if isinstance(model, models.UNet):
        return (UNet(reads, gives, model.widths, kernel=model.kernel, **like),)
    return (
        ResNet(reads, gives, model.width, model.depth, kernel=model.kernel, **like),
    )


def _noise(model: models.OnMaps) -> int:
    """Maps of it that the network reads."""
    return 0 if getattr(model, "members", None) is None else 1


def loss_of(
    model: models.OnMaps, cell: MapStepper | MapRecurrent
) -> RolloutLoss | EnsembleLoss:
    """The squares of the errors and the terms, or the score of an ensemble."""
    noise = None
    if model.noise:
        noise = Constant(model.noise * cell.frame.output_std.value)
    kinds = {Gradient: model.gradient, Spectral: model.spectral, Energy: model.energy}
    terms = tuple(kind(weight) for kind, weight in kinds.items() if weight)
    members = getattr(model, "members", None)
    if members is None:
        return RolloutLoss(
            model.horizon, noise=noise, terms=terms, checkpoint=model.checkpoint
        )
    return EnsembleLoss(
        members, model.horizon, noise=noise, checkpoint=model.checkpoint
    )


def options(model: models.OnMaps) -> dict[str, Any]:
    """Of the descent."""
    half = jnp.bfloat16 if model.precision == "half" else None
    return {"precision": half}
