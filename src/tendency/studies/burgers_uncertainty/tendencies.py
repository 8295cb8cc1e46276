"""The closure of the uncertainty of Burgers' equation, learned from small ensembles.

As the authors of PDE-NetGen do (Pannekoucke & Fablet, 2020, Geosci. Model Dev. 13,
3373), but by least squares on single steps, with standard errors.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from tendency.fitting import Identified, identify
from tendency.forecasting import forecast
from tendency.integrate import Integrated
from tendency.studies.burgers.setting import (
    BURGERS,
    CLOSURE,
    DT,
    KAPPA,
    POINTS,
    UNCERTAIN,
    line,
    start,
)
from tendency.studies.burgers.uncertainty import moments_of, perturbed
from tendency.symbolic.generated import generate
from tendency.symbolic.system import System
from tendency.symbolic.unknowns import Scalar
from tendency.symbolic.well_posed import kept_well_posed

LEARNED = (0.933, 0.752, -1.804)  # a, b, c by the authors, from 400 x 400 members
_SKIPPED, _KEPT = 400, 100  # steps

UNKNOWN = kept_well_posed(
    System.of(
        UNCERTAIN.written,
        coordinates=["x"],
        parameters={"kappa": KAPPA},
        unknowns={n: Scalar(v) for n, v in zip("abc", CLOSURE, strict=True)},
        name=UNCERTAIN.name,
        doc=UNCERTAIN.doc,
    )
)


def closure_of(sets: int, members: int, key: PRNGKeyArray) -> Identified:
    """a, b and c of C = a d_xx ν/ν² + b/ν² + c (d_x ν)²/ν³ by single steps.

    From the last 100 of 500 steps of each ensemble, about a mean that is perturbed
    itself; the standard errors are those of independent ensembles.
    """
    states, segments = moments_of_sets(sets, members, key)
    cell = Integrated(generate(UNKNOWN, line(POINTS)), DT)
    ensemble = np.repeat(np.arange(sets), segments)
    how: Any = {"segments": segments, "groups": ensemble}
    return identify(cell, states, fields=["nu"], **how)


def moments_of_sets(
    sets: int, members: int, key: PRNGKeyArray
) -> tuple[dict[str, Float[np.ndarray, "time x"]], list[int]]:
    """u, V and ν of the ensembles, one after the other, and how many times of each."""
    cell = Integrated(generate(BURGERS, line(POINTS)), DT)
    found: dict[str, list] = {"u": [], "V": [], "nu": []}
    for one in jax.random.split(key, sets):
        moments = moments_of(np.asarray(_last_steps(cell, members, one)))
        found["u"].append(moments.mean)
        found["V"].append(moments.variance)
        found["nu"].append(moments.length**2 / 2)
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    return joined, [_KEPT + 1] * sets


@eqx.filter_jit
def _last_steps(
    cell: Integrated, members: int, key: PRNGKeyArray
) -> Float[Array, "member time x"]:
    about, errors = jax.random.split(key)
    (mean,) = perturbed(start(POINTS), 1, about)

    def run(first):
        carry, _ = forecast(cell, cell.init({"u": first}), _SKIPPED)
        _, saved = forecast(cell, carry, _KEPT)
        return jnp.concatenate([carry.state["u"][None], saved["u"]])

    return jax.vmap(run)(perturbed(mean, members, errors))
