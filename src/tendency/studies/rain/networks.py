"""Networks that are not told that rain moves: a ConvLSTM and a UNet, on coarser maps.

Both step the logarithm of the rain and are fitted through roll-outs, as in Shi et al.
(2015, arXiv:1506.04214).
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from tendency.cell import AbstractCell, Standardisation
from tendency.fitting import Descent, RolloutLoss, fit
from tendency.forecasting import forecast, spin_up
from tendency.networks.maps import (
    ConvLSTM,
    Convolution,
    Frame,
    MapRecurrent,
    MapStepper,
    UNet,
    stacked_maps,
)
from tendency.studies.rain.extrapolation import Nowcasts
from tendency.studies.rain.frame import logarithm
from tendency.studies.rain.setting import HISTORY, Radar, Size
from tendency.windows import Windows

_LAGS = 4  # fields that the UNet reads
_BATCH = 2


def fitted_networks(radar: Radar, size: Size, seed: int) -> dict[str, AbstractCell]:
    """Those of `size.networks`, fitted to the rain before the split."""
    maps, seen = coarse_maps(radar, size.widest)
    learn = maps[: radar.split]
    steps = np.diff(learn, axis=0)[..., seen]
    frame = Frame(
        (1, *seen.shape),
        mask=seen[None],
        standardisation=Standardisation(
            jnp.zeros((1, 1, 1)), jnp.full((1, 1, 1), float(learn[..., seen].std()))
        ),
        increment_std=jnp.full((1, 1, 1), float(steps.std())),
        dtype=jnp.float32,
    )
    minutes = float(radar.minutes)
    keys = jax.random.split(jax.random.key(seed), 4)
    like = {"dtype": jnp.float32}
    layers = stacked_maps(
        ConvLSTM, frame.reads(), (size.units,), 5, **like, key=keys[0]
    )
    readout = Convolution(size.units, 1, 1, scale=0.0, **like, key=keys[1])
    unet = UNet(
        frame.reads(_LAGS), 1, (size.units, 2 * size.units), **like, key=keys[2]
    )
    cells = {
        "ConvLSTM": MapRecurrent(
            layers, readout, frame, minutes, spin_up_steps=HISTORY - 1
        ),
        "UNet": MapStepper(unet, frame, minutes, lags=_LAGS),
    }
    return {n: _fitted(cells[n], learn, size, keys[3]) for n in size.networks}


def rolled_out(
    cell: AbstractCell,
    radar: Radar,
    starts: np.ndarray,
    leads: Sequence[int],
    widest: int,
) -> Nowcasts:
    """Forecasts of a fitted cell on the radar's own points [mm / h]."""
    maps, _ = coarse_maps(radar, widest)
    shape, steps = radar.seen.shape, max(leads)
    chosen = np.array(leads) - 1
    told = []
    for start in starts:
        history = jnp.asarray(maps[start - HISTORY : start + 1])
        z = _told(cell, history, steps)[chosen, 0]
        fine = jax.image.resize(z, (len(leads), *shape), "linear")
        rate = 0.1 * np.expm1(np.asarray(fine) * np.log(11.0))
        told.append(np.maximum(rate, 0).astype(np.float32))
    return np.stack(told)


def coarse_maps(
    radar: Radar, widest: int
) -> tuple[Float[np.ndarray, "time 1 row column"], np.ndarray]:
    """The logarithm of the rain in blocks of points, and where any of them is seen.

    Blocks are so large that no side has more than `widest`.
    """
    block = -(-max(radar.seen.shape) // widest)
    z = np.asarray(logarithm(jnp.asarray(radar.rate)))
    pad = [(0, -n % block) for n in radar.seen.shape]
    rows, columns = ((n + p[1]) // block for n, p in zip(z.shape[1:], pad, strict=True))

    def sums(x: np.ndarray) -> np.ndarray:
        x = np.pad(x, [(0, 0), *pad])
        return x.reshape(len(x), rows, block, columns, block).sum((2, 4))

    count = sums(radar.seen[None].astype(np.float32))
    maps = sums(z) / np.maximum(count, 1)
    return maps[:, None].astype(np.float32), count[0] > 0


def _fitted(
    cell: AbstractCell, maps: np.ndarray, size: Size, key: Array
) -> AbstractCell:
    windows = Windows.of(maps, cell.spin_up_steps + 1 + size.horizon)
    updates = size.passes * (len(windows) // _BATCH)
    method = Descent(
        optax.chain(
            optax.clip_by_global_norm(1.0),
            optax.adam(optax.cosine_decay_schedule(3e-3, updates)),
        ),
        epochs=size.passes,
        batch=_BATCH,
    )
    return fit(cell, windows, method, key=key, loss=RolloutLoss(size.horizon)).cell


@eqx.filter_jit
def _told(cell: AbstractCell, history: Array, steps: int) -> Array:
    return forecast(cell, spin_up(cell, history), steps)[1]
