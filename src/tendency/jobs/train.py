"""Floor 5: the networks of a job, made to the size of its data, fitted by descent."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from tendency.cell import AbstractCell, Standardisation
from tendency.errors import InputError
from tendency.fitting import Descent, RolloutLoss, fit
from tendency.integrate import Integrated, euler, rk4
from tendency.jobs import maps, models
from tendency.jobs.series import Encoded
from tendency.networks import (
    GRU,
    LSTM,
    MLP,
    RNN,
    Bilinear,
    CausalConvolutions,
    Convolutional,
    EncoderDecoder,
    Recurrent,
    RecurrentCell,
    TemporalCNN,
    stacked,
    stencil_regression,
)
from tendency.networks.attention import (
    CausalTransformer,
    EncoderDecoderTransformer,
    TransformerCell,
)

_LAYERS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
_SCHEMES = {"euler": euler, "rk4": rk4}
_CLIP = 1.0  # the largest norm of a gradient
_DECAY = 1e-4  # of the weights
_CALM = 0.1  # of the usual size: what gives the step, before the fit

Network = (
    models.MLP
    | models.Bilinear
    | models.Recurrent
    | models.EncoderDecoder
    | models.TemporalCNN
    | models.Transformer
)
Trained = Network | models.Convolutional | models.OnMaps


def network(
    model: Trained,
    encoded: Encoded,
    *,
    seed: int,
    directory: Path,
    report: Callable[[Mapping[str, float]], None] | None = None,
) -> tuple[AbstractCell, dict[str, Any]]:
    """Make the network, fit it through roll-outs, and keep its best epoch.

    AdamW with clipped gradients and a learning rate that falls as a half cosine; the
    epoch is chosen by the validation part, whose windows may read their history in the
    training part. Checkpoints go to `directory`, and a fit that finds its own there
    goes on from it.

    Raises:
        InputError: the data do not suit the model.
        Diverged: the loss stopped being finite.
    """
    make, descend = jax.random.split(jax.random.key(seed))
    loss, more = RolloutLoss(model.horizon), {}
    if isinstance(model, models.OnMaps):
        encoded = encoded.in_single_precision()
        cell = maps.initial(model, encoded, make)
        loss, more = maps.loss_of(model, cell), maps.options(model)
    elif isinstance(model, models.Convolutional):
        encoded = encoded.in_single_precision()
        start = convolutional(model, encoded, make)
        cell = stencil_regression(
            start, encoded.windows("train", model.lags + 1), ridge=model.ridge
        )
    else:
        cell = initial(model, encoded, make)
    past = cell.spin_up_steps
    length = past + 1 + model.horizon
    timed = maps.reads_time(model)
    windows = encoded.windows("train", length, timed=timed)
    validation = None
    first, stop = encoded.material.validation
    if stop > first:
        try:
            validation = encoded.windows("validation", length, past=past, timed=timed)
        except InputError as error:
            raise InputError(
                f"the validation part is too short ({error}); lengthen "
                "split.validation, or set it to 0"
            ) from error
    updates = max(1, len(windows) // min(model.batch, len(windows))) * model.epochs
    method = Descent(
        optax.chain(
            optax.clip_by_global_norm(_CLIP),
            optax.adamw(
                optax.cosine_decay_schedule(model.learning_rate, updates),
                weight_decay=_DECAY,
            ),
        ),
        epochs=model.epochs,
        batch=model.batch,
        patience=None if validation is None else model.patience,
        ema=model.ema,
        **more,
    )
    fitted = fit(
        cell,
        windows,
        method,
        key=descend,
        loss=loss,
        validation=validation,
        directory=directory,
        report=report,
    )
    history = {name: values.tolist() for name, values in fitted.history.items()}
    return fitted.cell, {"history": history, "best_epoch": fitted.best}


def convolutional(
    model: models.Convolutional, encoded: Encoded, key: jax.Array
) -> Convolutional:
    """Convolutions on the grid of the data, before their fit.

    Raises:
        InputError: the variables do not lie on one grid.
    """
    shape, points = encoded.material.layout.grid()
    return Convolutional(
        shape,
        jnp.asarray(points),
        dt=encoded.dt,
        width=model.width,
        depth=model.depth,
        kernel=model.kernel,
        lags=model.lags,
        coarse=model.coarse,
        dtype=encoded.states.dtype,
        key=key,
    )


def initial(model: Network, encoded: Encoded, key: jax.Array) -> AbstractCell:
    """The network before its fit, with the statistics of the training part."""
    samples = encoded.samples("train")
    dtype, size, dt = samples.dtype, samples.shape[1], encoded.dt
    states = Standardisation.of(samples)
    follows = encoded.material.part("train").follows[1:]
    steps = Standardisation.of(jnp.diff(samples, axis=0)[follows]).std.value
    if isinstance(model, models.MLP):
        tendency = MLP(
            size,
            model.width,
            model.depth,
            standardisation=states,
            tendency_std=steps / dt,
            dtype=dtype,
            key=key,
        )
        tendency = _calmed(tendency, lambda m: [m.layers[-1].weight])
        return Integrated(tendency, dt, _SCHEMES[model.scheme])
    if isinstance(model, models.Bilinear):
        tendency = Bilinear(
            size, model.width, standardisation=states, dtype=dtype, key=key
        )
        tendency = _calmed(tendency, lambda m: [m.linear.weight, m.mixing])
        return Integrated(tendency, dt, _SCHEMES[model.scheme])
    keys = jax.random.split(key, 3)
    scaled = {"standardisation": states, "increment_std": steps}
    if isinstance(model, models.TemporalCNN):
        convolutions = CausalConvolutions(
            size,
            size,
            model.width,
            kernel=model.kernel,
            dilations=tuple(2**i for i in range(model.depth)),
            dtype=dtype,
            key=keys[0],
        )
        convolutions = _calmed(convolutions, lambda m: [m.readout.weight])
        return TemporalCNN(convolutions, dt, **scaled)
    if isinstance(model, models.Transformer):
        like: dict[str, Any] = {"size": model.size, "heads": model.heads}
        like["depth"] = model.depth
        like |= {"window": model.window, "dtype": dtype, "key": keys[0]}
        if model.form == "encoder_decoder":
            return EncoderDecoderTransformer(size, dt, **like, **scaled)
        transformer = CausalTransformer(size, size, positions=model.positions, **like)
        return TransformerCell(transformer, dt, **scaled)
    if isinstance(model, models.EncoderDecoder):
        kind, units = _LAYERS[model.layer], (model.width,)
        encoder = stacked(kind, size, units, dtype=dtype, key=keys[0])
        layers = stacked(kind, size, units, dtype=dtype, key=keys[1])
        decoder = Recurrent(layers, size, key=keys[2])
        decoder = _calmed(decoder, lambda m: [m.readout.weight])
        scaled["spin_up_steps"] = model.history
        return EncoderDecoder(encoder, decoder, dt, **scaled)
    layers = stacked(
        _LAYERS[model.kind], size, (model.width,) * model.layers, dtype=dtype,
        key=keys[0],
    )  # fmt: skip
    recurrent = Recurrent(layers, size, key=keys[1])
    recurrent = _calmed(recurrent, lambda m: [m.readout.weight])
    return RecurrentCell(recurrent, dt, spin_up_steps=model.history, **scaled)


def _calmed(module: Any, where: Callable[[Any], list]) -> Any:
    """Near persistence to begin with, so that no first roll-out runs away."""
    return eqx.tree_at(where, module, replace_fn=lambda w: _CALM * w)
