"""Networks inside the closure: a step of mean, variance and aspect, and its errors.

Several networks, each trained on some of the initial states, tell by how much they
differ; ensembles about states that none has seen tell by how much that is too small
(conformal prediction: Lei et al., 2018, J. Am. Stat. Assoc. 113, 1094).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from tendency.integrate import Integrated
from tendency.propagation import Propagated
from tendency.studies.burgers_uncertainty.rollouts import Known, fitted, forecast_of
from tendency.studies.burgers_uncertainty.setting import Size, cell_of, with_network

COVERED = 0.9  # of the values, by the error bars
TOLD: tuple[str, ...] = ("spread", "length")


class Predicted(NamedTuple):
    """Standard deviation and length, and how far each may be wrong."""

    run: Propagated  # mean of the networks
    apart: dict[str, Float[np.ndarray, "time x"]]  # relative errors that they tell


class Networks(NamedTuple):
    """Trained, and calibrated."""

    cells: list[Integrated]
    residual: dict[str, Float[np.ndarray, " time"]]  # relative, of training states
    factor: dict[str, float]  # of the error bars

    def predict(self, u: Float[Array, " x"]) -> Predicted:
        """About an initial state."""
        runs = [forecast_of(cell, u) for cell in self.cells]
        run = jax.tree.map(lambda *x: jnp.mean(jnp.stack(x), 0), *runs)
        apart = {}
        for name in TOLD:
            each = np.stack([_of(one, name) for one in runs])
            scatter = each.std(0, ddof=1) / each.mean(0)
            size = np.hypot(scatter, self.residual[name][:, None])
            apart[name] = self.factor[name] * size
        return Predicted(run, apart)

    def covered(self, run: Propagated, u: Float[Array, " x"]) -> dict[str, float]:
        """The part of the values of an ensemble that error bars hold; not the first."""
        told = self.predict(u)
        return {name: float((s < 1).mean()) for name, s in _scores(told, run).items()}


def trained(
    pairs: Sequence[Known],
    calibration: Sequence[Known],
    size: Size,
    key: PRNGKeyArray,
) -> Networks:
    """Networks fitted through roll-outs, their error bars from other states."""
    cells = []
    for one in jax.random.split(key, size.networks):
        first, draw = jax.random.split(one)
        shown = jax.random.choice(draw, len(pairs), (size.shown,), replace=False)
        some = [pairs[i] for i in shown]
        cell = cell_of(with_network(first))
        cells.append(fitted(cell, some, size.iterations)[0])
    ones: dict[str, float] = {name: 1.0 for name in TOLD}
    none = {name: np.zeros(len(pairs[0][1].steps)) for name in TOLD}
    raw = Networks(cells, none, ones)
    residual: dict[str, list] = {name: [] for name in TOLD}
    for u, run in pairs:
        found = raw.predict(u).run
        for name in TOLD:
            residual[name].append(_of(found, name) / _of(run, name) - 1)
    left = {n: np.sqrt(np.mean(np.square(r), (0, 2))) for n, r in residual.items()}
    raw = Networks(cells, left, ones)
    scores = [_scores(raw.predict(u), run) for u, run in calibration]
    factor: dict[str, float] = {
        name: float(np.quantile([one[name] for one in scores], COVERED))
        for name in TOLD
    }
    return Networks(cells, left, factor)


def _scores(told: Predicted, run: Propagated) -> dict[str, Float[np.ndarray, "time x"]]:
    """Errors over error bars, after the start."""
    found = {}
    for name in TOLD:
        ours, theirs = _of(told.run, name), _of(run, name)
        found[name] = np.abs(ours - theirs)[1:] / (told.apart[name] * ours)[1:]
    return found


def _of(run: Propagated, name: str) -> Float[np.ndarray, "time x"]:
    """A field of the moments; of the lengths those along the axis that there is."""
    values = np.asarray(getattr(run, name)["u"])
    return values[:, 0] if name == "length" else values
