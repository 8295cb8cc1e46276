"""Closures fitted through the solver, to ensembles about several initial states."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Array, Float

from tendency.fitting import LeastSquares, RolloutLoss, fit
from tendency.integrate import Integrated
from tendency.propagation import Parametric, Propagated, propagate
from tendency.studies.burgers_uncertainty.ensembles import moments_of
from tendency.studies.burgers_uncertainty.setting import TIMES, prior
from tendency.windows import Windows

Known = tuple[Float[Array, " x"], Propagated]  # a state, an ensemble about it


def windows_of(pairs: Sequence[Known]) -> Windows:
    """Roll-outs from the start to the end, weighed as the figures of merit are.

    The residuals of V and of the length L are those over their root mean squares along
    x at each time; a residual of ν is one of L times L. The start is the prior, which
    has no sampling noise.
    """
    states: dict[str, list] = {"u": [], "V": [], "nu": []}
    weights: dict[str, list] = {"u": [], "V": [], "nu": []}
    for u, run in pairs:
        one, first = moments_of(run), prior(u)
        for name in states:
            one[name] = np.concatenate([first[name][None], one[name][1:]])
            states[name].append(one[name])
        size = (one["V"] ** 2).mean(-1, keepdims=True)
        weights["V"].append(np.broadcast_to(1 / size, one["V"].shape))
        weights["nu"].append(1 / (4 * one["nu"] * one["nu"].mean(-1, keepdims=True)))
        weights["u"].append(np.zeros_like(one["u"]))
    joined, weighed = (
        {name: np.concatenate(parts) for name, parts in whole.items()}
        for whole in (states, weights)
    )
    length = TIMES + 1
    segments = [length] * len(pairs)
    return Windows.of(joined, length, weights=weighed, segments=segments)


def fitted(
    cell: Integrated, pairs: Sequence[Known], iterations: int
) -> tuple[Integrated, float]:
    """The cell with its unknowns fitted, and the root mean square of what is left."""
    method = LeastSquares(max_steps=iterations, tolerance=1e-5)
    key = jax.random.key(0)  # nothing is drawn
    found = fit(cell, windows_of(pairs), method, loss=RolloutLoss(), key=key)
    assert isinstance(found.cell, Integrated)
    return found.cell, float(found.history["train_loss"][-1]) ** 0.5


def forecast_of(cell: Integrated, u: Float[Array, " x"]) -> Propagated:
    """The moments that the equations tell, from the prior about a state."""
    return propagate(cell, prior(u), TIMES, Parametric())
