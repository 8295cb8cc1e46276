"""Waves and shallow water, as equations.

`C_GRID` is the staggering that goes with the shallow-water systems (Arakawa & Lamb,
1977, Methods Comput. Phys. 17, 173): pass it to `generate` as `staggered`. With it and
second-order differences the linear system keeps its energy to rounding.
"""

from collections.abc import Mapping

from tendency.errors import InputError
from tendency.symbolic.system import System

C_GRID: Mapping[str, tuple[str, ...]] = {"u": ("x",), "v": ("y",)}


def wave(dimensions: int = 1, speed: float = 1.0) -> System:
    """Waves without dispersion: ∂²u/∂t² = c² ∇²u.

    The state holds u and u_t = ∂u/∂t; the parameter c is the `speed` [length/time].

    Raises:
        InputError: `dimensions` is none of 1, 2, 3.
    """
    if dimensions not in (1, 2, 3):
        raise InputError(f"dimensions is {dimensions}, 1, 2 or 3 was expected")
    axes = ("x", "y", "z")[:dimensions]
    return System.of(
        [f"d_tt u = c**2*({' + '.join(f'd_{x}{x} u' for x in axes)})"],
        coordinates=axes,
        parameters={"c": speed},
        name="wave",
        doc="Waves without dispersion.",
    )


def linear_shallow_water(
    depth: float = 100.0, gravity: float = 9.81, coriolis: float = 1e-4
) -> System:
    """Small waves on a rotating layer at rest.

    ∂η/∂t = -H (∂u/∂x + ∂v/∂y), ∂u/∂t = f v - g ∂η/∂x, ∂v/∂t = -f u - g ∂η/∂y, with η
    [m], u and v [m/s]; parameters H = `depth` [m], g [m/s²], f [1/s]. Vallis (2017,
    Atmospheric and Oceanic Fluid Dynamics, ch. 3).
    """
    return System.of(
        [
            "d_t eta = -H*(d_x u + d_y v)",
            "d_t u = f*v - g*d_x eta",
            "d_t v = -f*u - g*d_y eta",
        ],
        coordinates=["x", "y"],
        parameters={"H": depth, "g": gravity, "f": coriolis},
        name="linear_shallow_water",
        doc="Small waves on a rotating layer at rest.",
    )


def shallow_water(
    gravity: float = 9.81,
    coriolis: float = 1e-4,
    beta: float = 2e-11,
    viscosity: float = 0.0,
) -> System:
    """A rotating layer on a β plane, in vector-invariant form.

    ∂h/∂t = -∂(h u)/∂x - ∂(h v)/∂y, ∂u/∂t = (ζ + f) v - ∂B/∂x + ν ∇²u, ∂v/∂t = -(ζ + f)
    u - ∂B/∂y + ν ∇²v, with ζ = ∂v/∂x - ∂u/∂y, B = g h + (u² + v²)/2 and f = f0 + β y; h
    [m], u and v [m/s]; parameters g [m/s²], f0 [1/s], beta [1/(m s)], nu [m²/s].
    Vallis (2017, ch. 3). Flat bottom; y is bounded unless β = 0.
    """
    return System.of(
        [
            "d_t h = -d_x(h*u) - d_y(h*v)",
            "d_t u = (zeta + f0 + beta*y)*v - d_x(B) + nu*(d_xx u + d_yy u)",
            "d_t v = -(zeta + f0 + beta*y)*u - d_y(B) + nu*(d_xx v + d_yy v)",
            "zeta = d_x v - d_y u",
            "B = g*h + (u**2 + v**2)/2",
        ],
        coordinates=["x", "y"],
        parameters={"g": gravity, "f0": coriolis, "beta": beta, "nu": viscosity},
        name="shallow_water",
        doc="A rotating layer on a beta plane, in vector-invariant form.",
    )
