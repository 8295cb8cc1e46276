"""Nowcasts that nothing is learned for: the last field, where it is or carried on."""

import contextlib
import importlib
import importlib.util
import io
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from tendency.statistical.advection import carried
from tendency.studies.rain.frame import moving, sources
from tendency.studies.rain.setting import HISTORY, Radar

Nowcasts = Float[np.ndarray, "start lead row column"]  # [mm / h]
_FIELDS = 3  # that pysteps' flow is found from


def persistence(radar: Radar, starts: np.ndarray, leads: Sequence[int]) -> Nowcasts:
    """The last field, unchanged."""
    return np.repeat(radar.rate[starts][:, None], len(leads), axis=1)


def advection(radar: Radar, starts: np.ndarray, leads: Sequence[int]) -> Nowcasts:
    """The last field, carried along the flow of the last quarter of an hour."""
    carry = jax.jit(jax.vmap(carried, in_axes=(None, 0)))
    told = []
    for start in starts:
        rate = jnp.asarray(radar.rate[start - HISTORY : start + 1])
        points = sources(moving(rate, radar.seen).flow, max(leads))
        told.append(np.asarray(carry(rate[-1], points[np.array(leads) - 1])))
    return np.stack(told)


def lucas_kanade() -> Callable[..., Nowcasts] | None:
    """Pysteps' extrapolation along its Lucas-Kanade flow; None if not installed.

    Source: Pulkkinen et al. (2019, Geosci. Model Dev. 12, 4185).
    """
    if not all(importlib.util.find_spec(name) for name in ("cv2", "pysteps")):
        return None
    with contextlib.redirect_stdout(io.StringIO()):  # it tells of its files
        motion, nowcasts = (
            importlib.import_module(f"pysteps.{part}")
            for part in ("motion", "nowcasts")
        )
    flow: Any = motion.get_method("LK")
    extrapolate: Any = nowcasts.get_method("extrapolation")

    def nowcast(
        radar: Radar, starts: np.ndarray, leads: Sequence[int], *, decibels: bool
    ) -> Nowcasts:
        known = np.where(radar.seen, radar.rate, np.nan).astype(np.float64)
        told = []
        for start in starts:
            last = known[start - _FIELDS + 1 : start + 1]
            seen = np.maximum(last, 0.1)
            dry = np.where(last > 0.1, 10 * np.log10(seen), -15.0)
            used = np.where(np.isnan(last), np.nan, dry) if decibels else last
            with contextlib.redirect_stdout(io.StringIO()):
                along = flow(np.ma.masked_invalid(used))
                told.append(extrapolate(last[-1], along, max(leads)))
        chosen = np.stack(told)[:, np.array(leads) - 1]
        return np.nan_to_num(chosen).astype(np.float32)

    return nowcast
