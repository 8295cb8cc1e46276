"""Wind-driven gyres of a closed basin, in two quasi-geostrophic layers.

`double_gyre` gives the equations, `WALLS` the conditions at the sides of the basin and
`wall_mode` the constant field that they hold; all go to
`tendency.symbolic.generated.generate`, on a grid of bounded axes y and x.
"""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from tendency.grid import Grid
from tendency.symbolic.boundary import Boundaries, dirichlet
from tendency.symbolic.generated import generate
from tendency.symbolic.system import System

_ZERO = ("psib", "phi0", "phi", "zeta1", "zeta2", "lap1", "lap2")
WALLS: Boundaries = {name: {"y": dirichlet(), "x": dirichlet()} for name in _ZERO}
"""Nothing crosses the walls, which no stress acts on, of either order (free-slip)."""


def double_gyre(
    *,
    length: float = 2.56e6,
    upper_depth: float = 500.0,
    lower_depth: float = 3_500.0,
    reduced_gravity: float = 0.022,
    coriolis: float = 9.3e-5,
    beta: float = 1.8e-11,
    wind_stress: float = 1e-4,
    friction: float = 1e11,
    bottom_drag: float = 1e-7,
) -> System:
    """Two gyres under a steady wind, with the jet between them.

    ∂q₁/∂t = -J(ψ₁, q₁) - β ∂ψ₁/∂x - A ∇⁶ψ₁ - (2π τ / L H₁) sin(2π y / L),
    ∂q₂/∂t = -J(ψ₂, q₂) - β ∂ψ₂/∂x - A ∇⁶ψ₂ - r ∇²ψ₂,
    q₁ = ∇²ψ₁ - F₁ (ψ₁ - ψ₂),  q₂ = ∇²ψ₂ + F₂ (ψ₁ - ψ₂),  Fᵢ = f₀² / (g' Hᵢ),
    the wind being -τ cos(2π y / L). State: `q1`, `q2` [1 / s] over (y, x) [m].

    The barotropic stream function ψ_b = (H₁ ψ₁ + H₂ ψ₂) / H is zero at the walls. The
    baroclinic one, ψ₁ - ψ₂ = φ + C, is the same all along them, and changes with the
    time so that its mean is zero: no layer gains volume (McWilliams, 1977, Dyn. Atmos.
    Oceans 1, 427). φ vanishes at the walls; the constant field `chi`, which `wall_mode`
    finds, is what C adds to it within. Advection is by Arakawa's Jacobian. After
    Holland (1978, J. Phys. Oceanogr. 8, 363).

    Arguments:
        length: L of both sides [m].
        upper_depth: H₁ [m].
        lower_depth: H₂ [m].
        reduced_gravity: g' between the layers [m / s²].
        coriolis: f₀ [1 / s].
        beta: [1 / (m s)].
        wind_stress: τ over the density [m² / s²].
        friction: A, biharmonic [m⁴ / s].
        bottom_drag: r [1 / s].
    """
    upper, lower = (
        coriolis**2 / (reduced_gravity * h) for h in (upper_depth, lower_depth)
    )
    depth = upper_depth + lower_depth
    return System.of(
        [
            "d_t q1 = -J_xy(psi1, zeta1 - F1*phi) - beta*d_x psi1"
            " - A*(d_xx lap1 + d_yy lap1) - wind*sin(2*pi*y/L)",
            "d_t q2 = -J_xy(psi2, zeta2 + F2*phi) - beta*d_x psi2"
            " - A*(d_xx lap2 + d_yy lap2) - r*zeta2",
            "d_xx psib + d_yy psib = h1*q1 + h2*q2",
            "d_xx phi0 + d_yy phi0 - (F1 + F2)*phi0 = q1 - q2",
            "C = -mean(phi0)/(1 + mean(chi))",
            "phi = phi0 + C*chi",
            "psi1 = psib + h2*phi",
            "psi2 = psib - h1*phi",
            "zeta1 = q1 + F1*(phi + C)",
            "zeta2 = q2 - F2*(phi + C)",
            "lap1 = d_xx zeta1 + d_yy zeta1",
            "lap2 = d_xx zeta2 + d_yy zeta2",
        ],
        coordinates=["y", "x"],
        unknown=["psib", "phi0"],
        constants=["chi"],
        parameters={
            "L": length,
            "h1": upper_depth / depth,
            "h2": lower_depth / depth,
            "F1": upper,
            "F2": lower,
            "beta": beta,
            "wind": 2 * math.pi * wind_stress / (length * upper_depth),
            "A": friction,
            "r": bottom_drag,
        },
        name="double gyre",
        doc="Wind-driven gyres of a closed basin, in two layers.",
    )


def wall_mode(system: System, grid: Grid) -> dict[str, Float[Array, "y x"]]:
    """The constant `chi`: (∇² - F₁ - F₂) χ = F₁ + F₂, zero at the walls [1]."""
    values = {str(k): v for k, v in system.parameters.items()}
    mode = System.of(
        ["d_t chi_ = chi", "d_xx chi + d_yy chi - F*chi = F"],
        coordinates=["y", "x"],
        unknown=["chi"],
        parameters={"F": values["F1"] + values["F2"]},
    )
    walls = {"chi": WALLS["phi"]}
    found = generate(mode, grid, boundaries=walls, diagnostics=True)
    return eqx.filter_jit(found)({"chi_": jnp.zeros(grid.shape)})
