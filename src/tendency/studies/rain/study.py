"""The study from radar to report."""

import time
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from tendency.report.provenance import Provenance
from tendency.report.results import write_results
from tendency.studies.rain import extrapolation, networks
from tendency.studies.rain.frame import moving, sources
from tendency.studies.rain.merged import Merged, decided, fit_merged
from tendency.studies.rain.page import ADVECTION, MERGED, PYSTEPS, Shown, make_page
from tendency.studies.rain.setting import (
    FULL,
    HISTORY,
    LEVELS,
    SMALL,
    Radar,
    leads_of,
    open_radar,
    starts_of,
)
from tendency.studies.rain.verify import scores_of


def run(
    out: Path,
    *,
    seed: int,
    small: bool,
    say: Callable[[str], None],
    data: Path | None = None,
) -> None:
    """Write `scores.json` and `report.html` into `out`.

    Raises:
        InputError: the file does not hold what the study reads, or cannot be written.
    """
    began = time.perf_counter()
    size = SMALL if small else FULL
    radar = open_radar(data, size, seed)
    leads = leads_of(radar, size)
    starts = starts_of(radar, leads)
    told, scores = {}, []
    say(
        f"{radar.fields.source}: {radar.split} times to learn from, {len(starts)} "
        f"starts held out, leads to {leads[-1] * radar.minutes:g} min"
    )

    def score(name: str, nowcasts: extrapolation.Nowcasts) -> None:
        told[name] = nowcasts
        found = scores_of(name, nowcasts, radar, starts, leads)
        scores.extend(found)
        csi = [
            f"{s.value:.2f}" for s in found if s.case == "1 mm/h" and s.metric == "csi"
        ]
        say(f"{name}: CSI at 1 mm/h {' '.join(csi)}")

    score("Persistence", extrapolation.persistence(radar, starts, leads))
    pysteps = extrapolation.lucas_kanade()
    if pysteps is None:
        say("pysteps is not installed (pip install 'tendency[rain]'): left out")
    else:
        for name, decibels in (("", False), (", dB", True)):
            found = pysteps(radar, starts, leads, decibels=decibels)
            score(f"{PYSTEPS}{name}", found)
    score(ADVECTION, extrapolation.advection(radar, starts, leads))
    for name, cell in networks.fitted_networks(radar, size, seed).items():
        score(name, networks.rolled_out(cell, radar, starts, leads, size.widest))
    model = fit_merged(radar, size, seed)
    nowcasts, chances = merged_nowcasts(model, radar, starts, leads)
    score(MERGED, nowcasts)
    seconds = time.perf_counter() - began
    more = {"data": radar.fields.source}
    shown = Shown(radar, size, starts, leads, told, chances)
    page = make_page(
        scores, shown, Provenance.here(seed=seed, wall_seconds=seconds, more=more)
    )
    settings = {"seed": seed, "small": small, "source": radar.fields.source,
                "starts": len(starts), **size._asdict()}  # fmt: skip
    report = write_results(out, "rain", settings, scores, page)
    say(f"{report} after {time.perf_counter() - began:.0f} s")


def merged_nowcasts(
    model: Merged, radar: Radar, starts: np.ndarray, leads: tuple[int, ...]
) -> tuple[extrapolation.Nowcasts, extrapolation.Nowcasts]:
    """The levels warned of [mm / h], and the chances of 1 mm/h [1]."""
    rates, chances = [], []
    for start in starts:
        now = moving(radar.rate[start - HISTORY : start + 1], radar.seen)
        points = sources(now.flow, max(leads))
        for lead in leads:
            minutes = jnp.asarray(lead * radar.minutes, jnp.float32)
            p = np.asarray(model.probabilities(now, minutes, points[lead - 1]))
            rates.append(decided(p, radar.seen))
            chances.append(np.where(radar.seen, p[LEVELS.index(1.0)], np.nan))
    shape = (len(starts), len(leads), *radar.seen.shape)
    return np.stack(rates).reshape(shape), np.stack(chances).reshape(shape)
