"""The tensor field, the two forms, and what each does to a point source."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.forecasting import forecast
from tendency.grid import Axis, Grid
from tendency.integrate import Integrated
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import Generated, generate
from tendency.symbolic.spectral import Spectral
from tendency.symbolic.system import System

FLUX, PRODUCT = "flux form", "product rule"
PUBLISHED = 0.013  # mass that the tool's product-rule scheme gained, measured
POINTS, QUICK = 100, 50  # along each axis
STEPS = 600  # to t = 1
_TENSOR = {name: ("x", "y") for name in ("k11", "k12", "k22")}
_AXES = ("x", "y")

FORMS = {
    FLUX: System.of(
        ["d_t c = d_x(k11*d_x c + k12*d_y c) + d_y(k12*d_x c + k22*d_y c)"],
        coordinates=_AXES,
        constants=_TENSOR,
        name="diffusion",
        doc="Diffusion as the divergence of a flux.",
    ),
    PRODUCT: System.of(
        [
            "d_t c = k11*d_xx c + 2*k12*d_xy c + k22*d_yy c"
            " + (d_x k11 + d_y k12)*d_x c + (d_x k12 + d_y k22)*d_y c"
        ],
        coordinates=_AXES,
        constants=_TENSOR,
        name="diffusion",
        doc="The same diffusion, its derivatives taken apart by the product rule.",
    ),
}

MODE = System.of(
    ["d_t c = k11*d_xx c + 2*k12*d_xy c + k22*d_yy c"],
    coordinates=_AXES,
    parameters={"k11": 0.004, "k12": 0.001, "k22": 0.002},
    name="uniform diffusion",
    doc="Diffusion with a uniform tensor.",
)
WAVES = (2, 3)  # along x and y, of the mode that decays


class Run(NamedTuple):
    """What came of a point source of mass 1."""

    fields: Float[np.ndarray, "time x y"]
    times: Float[np.ndarray, " time"]

    @property
    def mass(self) -> Float[np.ndarray, " time"]:
        """Integral over the square, 1 at the start."""
        return self.fields.mean(axis=(1, 2))


def square(points: int) -> Grid:
    """The doubly periodic unit square."""
    return Grid.of(*(Axis(name, points) for name in _AXES))


def tensor(points: int) -> dict[str, Float[Array, "x y"]]:
    """Axes of length 10 and 5 cells of the 100² grid, turned by the angle θ.

    θ = π/3 cos(2π (2x + 3y)), x along the second axis of the arrays as in the example.
    """
    long, short = 10 / POINTS, 5 / POINTS
    at = square(points).coordinates()
    turn = np.pi / 3 * np.cos(2 * np.pi * (2 * at["y"] + 3 * at["x"]))
    c, s = np.cos(turn), np.sin(turn)
    return {
        "k11": jnp.asarray(c**2 * long**2 + s**2 * short**2),
        "k12": jnp.asarray(c * s * (long**2 - short**2)),
        "k22": jnp.asarray(s**2 * long**2 + c**2 * short**2),
    }


def model(form: str, method: Differences | Spectral, points: int) -> Generated:
    """One form on the grid."""
    return generate(FORMS[form], square(points), method, constants=tensor(points))


def spread(form: str, method: Differences | Spectral, points: int) -> Run:
    """A point source in the middle, until t = 1."""
    cell = Integrated(model(form, method, points), 1 / STEPS)
    first = jnp.zeros((points, points)).at[points // 2, points // 2].set(points**2)
    every = STEPS // 30
    _, saved = forecast(cell, cell.init({"c": first}), STEPS, every=every)
    fields = np.concatenate([np.asarray(first)[None], np.asarray(saved["c"])])
    return Run(fields, np.arange(len(fields)) * every / STEPS)


def decay_error(method: Differences | Spectral, points: int) -> float:
    """Of a Fourier mode after t = 1, relative to its exact amplitude.

    c = exp(-(k11 p² + 2 k12 p q + k22 q²) t) cos(p x + q y).
    """
    p, q = (2 * np.pi * wave for wave in WAVES)
    values = {str(k): v for k, v in MODE.parameters.items()}
    rate = values["k11"] * p**2 + 2 * values["k12"] * p * q + values["k22"] * q**2
    at = square(points).coordinates()
    shape = np.cos(p * at["x"] + q * at["y"])
    steps = 1000
    cell = Integrated(generate(MODE, square(points), method), 1 / steps)
    carry, _ = forecast(cell, cell.init({"c": jnp.asarray(shape)}), steps, every=steps)
    exact = np.exp(-rate) * shape
    return float(np.abs(np.asarray(carry.state["c"]) - exact).max() / np.exp(-rate))
