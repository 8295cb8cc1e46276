"""How fast each discretisation converges to the exact solution."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from tendency.forecasting import forecast
from tendency.integrate import Integrated
from tendency.studies.burgers.setting import (
    BURGERS,
    END,
    KAPPA,
    cole_hopf,
    line,
    start,
)
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import generate
from tendency.symbolic.spectral import Spectral

METHODS = {
    **{f"order {order}": Differences(order) for order in (2, 4, 6, 8)},
    "spectral": Spectral(dealias=False),
}
PUBLISHED = {241: 2.42e-3, 482: 6.00e-4, 964: 1.50e-4}  # the tool's scheme, order 2


class Error(NamedTuple):
    """Of one method on one grid."""

    relative: float  # root mean square, over the standard deviation of the solution
    largest: float
    drift: float  # of the mean of u, which is conserved


def solve(method: Differences | Spectral, points: int) -> Float[np.ndarray, " x"]:
    """Solution at the end; the steps err far less than the differences in space."""
    h = 1 / points
    steps = int(np.ceil(END / (0.2 * min(h**2 / (2 * KAPPA), 0.8 * h))))
    cell = Integrated(generate(BURGERS, line(points), method), END / steps)
    carry, _ = forecast(
        cell, cell.init({"u": start(points)}), steps, save=nothing, every=steps
    )
    return np.asarray(carry.state["u"])


def nothing(carry) -> tuple[()]:
    """What to save where only the end is wanted."""
    return ()


def error(method: Differences | Spectral, points: int) -> Error:
    """At the end, against the exact solution."""
    found = solve(method, points)
    exact = cole_hopf(line(points).axes[0].positions(), END)
    difference = found - exact
    return Error(
        float(np.sqrt(np.mean(difference**2) / exact.var())),
        float(np.abs(difference).max()),
        float(abs(found.mean() - 0.25)),
    )
