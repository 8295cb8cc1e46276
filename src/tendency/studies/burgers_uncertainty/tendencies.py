"""The closure of the uncertainty of Burgers' equation, learned from small ensembles.

As the authors of PDE-NetGen do (Pannekoucke & Fablet, 2020, Geosci. Model Dev. 13,
3373), but by least squares on single steps, with standard errors.
"""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from tendency.cell import Carry
from tendency.fitting import Identified, identify
from tendency.forecasting import forecast
from tendency.integrate import Integrated
from tendency.propagation import Members, propagate
from tendency.studies.burgers.setting import CLOSURE, POINTS, line, start
from tendency.studies.burgers.uncertainty import perturbed
from tendency.studies.burgers_uncertainty.ensembles import burgers, moments_of
from tendency.studies.burgers_uncertainty.setting import closed_by

_SKIPPED, _KEPT = 400, 100  # steps


def closure_of(sets: int, members: int, key: PRNGKeyArray) -> Identified:
    """a, b and c of C = a d_xx ν/ν² + b/ν² + c (d_x ν)²/ν³ by single steps.

    From the last 100 of 500 steps of each ensemble, about a mean that is perturbed
    itself; the standard errors are those of independent ensembles.
    """
    states, segments = moments_of_sets(sets, members, key)
    ensemble = np.repeat(np.arange(sets), segments)
    how: Any = {"segments": segments, "groups": ensemble}
    return identify(closed_by(CLOSURE, 1), states, fields=["nu"], **how)


def moments_of_sets(
    sets: int, members: int, key: PRNGKeyArray
) -> tuple[dict[str, Float[np.ndarray, "time x"]], list[int]]:
    """u, V and ν of the ensembles, one after the other, and how many times of each."""
    cell, found = burgers(), []
    for one in jax.random.split(key, sets):
        first = Carry({"u": _after(cell, members, one)})
        method = Members(batch=members)
        run = propagate(cell, first, _KEPT, method, grid=line(POINTS))
        found.append(moments_of(run))
    joined = {n: np.concatenate([one[n] for one in found]) for n in found[0]}
    return joined, [_KEPT + 1] * sets


@eqx.filter_jit
def _after(
    cell: Integrated, members: int, key: PRNGKeyArray
) -> Float[Array, "member x"]:
    about, errors = jax.random.split(key)
    (mean,) = perturbed(start(POINTS), 1, about)

    def run(first):
        carry, _ = forecast(cell, cell.init({"u": first}), _SKIPPED, every=_SKIPPED)
        return carry.state["u"]

    return jax.vmap(run)(perturbed(mean, members, errors))
