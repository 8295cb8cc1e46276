"""The drag and the law of stress, from what is measured."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.signal import savgol_filter

from tendency.cell import Constant
from tendency.errors import InputError
from tendency.fitting import Fitted, LeastSquares, RolloutLoss, fit, identify
from tendency.integrate import Integrated
from tendency.studies.shallow_water_drag.setting import (
    DRAG,
    Series,
    Size,
    exchange,
    steps,
    unknown_cell,
)
from tendency.windows import Windows

_SPAN = 9  # steps over which starts are smoothed
VISITED = (1.0, 99.0)  # percentiles of the shear between which the law is judged


class Law(NamedTuple):
    """The stress between the layers over the shear s, for a unit density."""

    speed: Float[np.ndarray, " s"]  # [m/s]
    stress: Float[np.ndarray, " s"]  # K(s) s [m²/s²]
    error: Float[np.ndarray, " s"]  # standard error of it


class Recovered(NamedTuple):
    """What is found of the sea."""

    fitted: Fitted
    first: float | None  # the drag by tendencies alone, K as guessed

    @property
    def drag(self) -> tuple[float, float]:
        """With its standard error."""
        value = lambda cell: cell.tendency.values["c"]  # noqa: E731
        return float(value(self.fitted.cell)), float(self.fitted.standard_error(value))

    def law(self, speed: Float[np.ndarray, " s"]) -> Law:
        """At some differences of the velocities."""

        def stress(cell: Integrated):
            tendency = cell.tendency
            return tendency.functions["K"](jnp.asarray(speed**2)) * speed

        found = np.asarray(stress(self.fitted.cell))
        return Law(speed, found, self.fitted.standard_error(stress))


def recover(seen: Series, size: Size, seed: int, *, noisy: bool) -> Recovered:
    """Both together through roll-outs, by Levenberg and Marquardt's method.

    Roll-outs start from what is measured, smoothed where it is `noisy`.
    """
    cell, count = unknown_cell(size, seed), steps(size) + 1
    first = _by_tendencies(seen, cell, count)
    every = (count - _SPAN - size.horizon) // max(size.windows - 1, 1)
    starts = _SPAN // 2 + every * np.arange(size.windows)
    at = (starts + count * np.arange(size.runs)[:, None]).ravel()
    smooth = smoothed(seen, size) if noisy else seen
    series = {}
    for name, values in seen.items():
        cut = [values[i : i + size.horizon + 1].copy() for i in at]
        for one, i in zip(cut, at, strict=True):
            one[0] = smooth[name][i]
        series[name] = np.concatenate(cut)
    length = size.horizon + 1
    windows = Windows.of(series, length, segments=[length] * len(at))
    scale = {name: jnp.asarray(values.std()) for name, values in seen.items()}
    fitted = fit(
        cell,
        windows,
        LeastSquares(max_steps=20, tolerance=1e-4),
        loss=RolloutLoss(scale=Constant(scale)),
        key=jax.random.key(seed),
    )
    return Recovered(fitted, first)


def _by_tendencies(seen: Series, cell: Integrated, count: int) -> float | None:
    """From centred differences of the currents below, in the first run."""
    states = {name: values[1 : count - 1] for name, values in seen.items()}
    slopes = {
        name: (seen[name][2:count] - seen[name][: count - 2]) / (2 * cell.dt)
        for name in ("u2", "v2")
    }
    tendency: Any = cell.tendency
    try:
        return float(identify(tendency, states, slopes).known["c"][0])
    except InputError:  # it would be negative
        return None


def smoothed(seen: Series, size: Size) -> Series:
    """Quadratics over a few steps, without the shortest waves."""
    found = {}
    for name, values in seen.items():
        runs = values.reshape(size.runs, -1, *values.shape[1:])
        runs = np.asarray(savgol_filter(runs, _SPAN, 2, axis=1))
        waves = np.fft.fft2(runs)
        number = np.abs(np.fft.fftfreq(size.points, 1 / size.points))
        short = np.hypot(number[:, None], number[None]) > size.points / 3
        found[name] = np.fft.ifft2(np.where(short, 0, waves)).real
        found[name] = found[name].reshape(values.shape)
    return found


def wrong(found: Recovered, shears: Float[np.ndarray, " _"]) -> dict[str, float]:
    """How far off both are, over the shears that are visited."""
    low, high = np.percentile(shears, VISITED)
    law = found.law(np.linspace(low, high, 200))
    true = exchange(law.speed) * law.speed
    away = np.abs(law.stress - true)
    return {
        "error of the drag coefficient": abs(found.drag[0] / DRAG - 1),
        "error of the stress curve": float(
            np.linalg.norm(law.stress - true) / np.linalg.norm(true)
        ),
        "largest error of the stress, of the greatest": float(away.max() / true.max()),
        "largest error of the stress, of its value": float((away / true).max()),
    }
