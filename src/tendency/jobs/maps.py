"""Floor 5: the networks on maps of a job, their loss and how they descend."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tendency.cell import Constant, Standardisation
from tendency.errors import InputError
from tendency.fitting import Energy, EnsembleLoss, Gradient, RolloutLoss, Spectral
from tendency.jobs import models
from tendency.jobs.series import Encoded
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
    ResNet,
    UNet,
    stacked_maps,
)


def initial(
    model: models.OnMaps, encoded: Encoded, key: jax.Array
) -> MapStepper | MapRecurrent:
    """The cell before its fit, persistence, with the statistics of the training part.

    One mean and one deviation for all points of a variable: the network sees the shape
    of its maps.

    Raises:
        InputError: the variables do not lie on one grid, or it is too small.
    """
    layout = encoded.material.layout
    shape, points = layout.grid()
    samples = np.asarray(encoded.samples("train"))
    follows = encoded.material.part("train").follows[1:]
    steps = np.diff(samples, axis=0)[follows]
    mean, std, change = (np.ones(layout.size, samples.dtype) for _ in range(3))
    for part in layout.parts.values():
        mean[part], std[part] = samples[:, part].mean(), samples[:, part].std()
        change[part] = steps[:, part].std()
    dtype = samples.dtype
    frame = Frame(
        shape,
        points,
        standardisation=Standardisation(jnp.asarray(mean), jnp.asarray(std)),
        increment_std=jnp.asarray(change),
        dtype=dtype,
    )
    edges = Edges(model.rows, model.columns, model.partial)
    if isinstance(model, models.ConvRecurrent):
        kind = {"conv_lstm": ConvLSTM, "conv_gru": ConvGRU}[model.kind]
        below, above = jax.random.split(key)
        layers = stacked_maps(
            kind, frame.reads(), tuple(model.widths), model.kernel, edges=edges,
            dtype=dtype, key=below,
        )  # fmt: skip
        readout = Convolution(
            model.widths[-1],
            shape[0],
            1,
            edges=edges,
            scale=0.0,
            dtype=dtype,
            key=above,
        )
        return MapRecurrent(
            layers, readout, frame, encoded.dt, spin_up_steps=model.history,
            increments=model.increments,
        )  # fmt: skip
    noise = 0 if model.members is None else 1
    sizes = frame.reads(model.lags) + noise, shape[0]
    like: dict[str, Any] = {"dtype": dtype, "key": key}
    if isinstance(model, models.FNO):
        network = FNO(
            *sizes,
            model.width,
            model.depth,
            modes=(model.modes[0], model.modes[1]),
            margin=(model.margin[0], model.margin[1]),
            **like,
        )
    elif isinstance(model, models.MapTransformer):
        network = MapTransformer(
            *sizes,
            model.size,
            model.depth,
            patch=model.patch,
            heads=model.heads,
            reach=model.reach,
            window=model.window,
            edges=edges,
            **like,
        )
    elif isinstance(model, models.UNet):
        network = UNet(*sizes, model.widths, kernel=model.kernel, edges=edges, **like)
    else:
        network = ResNet(
            *sizes, model.width, model.depth, kernel=model.kernel, edges=edges, **like
        )
    return MapStepper(
        network, frame, encoded.dt, lags=model.lags, increments=model.increments,
        noise=noise,
    )  # fmt: skip


def loss_of(
    model: models.OnMaps, cell: MapStepper | MapRecurrent
) -> RolloutLoss | EnsembleLoss:
    """The squares of the errors and the terms, or the score of an ensemble.

    Raises:
        InputError: terms were asked of an ensemble.
    """
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
    if terms:
        raise InputError(
            "members fits the score of an ensemble, which takes no gradient, spectral "
            "or energy term: leave out either"
        )
    return EnsembleLoss(
        members, model.horizon, noise=noise, checkpoint=model.checkpoint
    )


def options(model: models.OnMaps) -> dict[str, Any]:
    """Of the descent."""
    half = jnp.bfloat16 if model.precision == "half" else None
    return {"ema": model.ema, "precision": half}
