"""The equations, the initial state, and the exact solution of Cole and Hopf."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.grid import Axis, Grid
from tendency.symbolic.system import System

KAPPA = 0.0025  # diffusivity
POINTS = 241  # on [0, 1)
DT = 0.002
END = 1.0  # time of the comparison
VARIANCE = 2.5e-5  # of the initial errors: 1 % of the largest u
LENGTH = 0.02  # of their correlation exp(-r² / (2 LENGTH²))
CLOSURE = (1.0, 0.75, -2.0)  # of the fourth derivative of the correlation, by theory

BURGERS = System.of(
    ["d_t u = kappa*d_xx u - u*d_x u"],
    coordinates=["x"],
    parameters={"kappa": KAPPA},
    name="Burgers",
    doc="Burgers' equation.",
)

UNCERTAIN = System.of(
    [
        "d_t u = kappa*d_xx u - u*d_x u - d_x V/2",
        "d_t V = -kappa*V/nu + kappa*d_xx V - kappa*(d_x V)^2/(2*V) - u*d_x V"
        " - 2*V*d_x u",
        "d_t nu = 4*kappa*nu^2*C - 3*kappa*d_xx nu - kappa + 6*kappa*(d_x nu)^2/nu"
        " - 2*kappa*nu*d_xx V/V + kappa*d_x V*d_x nu/V + 2*kappa*nu*(d_x V)^2/V^2"
        " - u*d_x nu + 2*nu*d_x u",
        "C = a*d_xx nu/nu^2 + b/nu^2 + c*(d_x nu)^2/nu^3",
    ],
    coordinates=["x"],
    parameters={"kappa": KAPPA, **dict(zip("abc", CLOSURE, strict=True))},
    name="Burgers with uncertainty",
    doc="The mean, the variance and the aspect of errors of Burgers' equation.",
)


def line(points: int) -> Grid:
    """The periodic unit interval."""
    return Grid.of(Axis("x", points))


def start(points: int) -> Float[Array, " x"]:
    """The wave u = (1 + cos 2π(x - 1/4)) / 4."""
    x = line(points).axes[0].positions()
    return jnp.asarray((1 + np.cos(2 * np.pi * (x - 0.25))) / 4)


def cole_hopf(
    x: Float[np.ndarray, " x"], time: float, *, nodes: int = 4000
) -> Float[np.ndarray, " x"]:
    """The exact solution that starts from `start`.

    In the frame of the mean c = 1/4, w = u - c is the mean of ξ / t over
    exp(-ξ² / (4κt) - W(x - ct - ξ) / (2κ)), W being the integral of w at the start
    (Hopf, 1950, Commun. Pure Appl. Math. 3, 201). The integrand is smooth and vanishes
    at both ends, so that the trapezoidal rule converges exponentially.
    """
    mean = 0.25
    # The exponent of the start is bounded by 8: beyond 14 widths nothing is left.
    reach = 14 * np.sqrt(2 * KAPPA * time)
    shift = np.linspace(-reach, reach, nodes)[None, :]
    angle = 2 * np.pi * (x[:, None] - mean * time - shift - 0.25)
    exponent = -(shift**2) / (4 * KAPPA * time) - np.sin(angle) / (16 * np.pi * KAPPA)
    weight = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    return mean + (weight * shift).sum(axis=1) / (time * weight.sum(axis=1))
