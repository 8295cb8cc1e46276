"""Vorticity on a plane: one layer, and the two layers of baroclinic eddies.

Advection is the Jacobian J(ψ, q) = ∂ψ/∂x ∂q/∂y - ∂ψ/∂y ∂q/∂x: the spectral method takes
it as the divergence of the fluxes u q and v q, differences as Arakawa's. On doubly
periodic axes the stream functions have no mean.
"""

from tendency.symbolic.system import System

_AXES = ("y", "x")


def barotropic_vorticity(
    *, beta: float = 0.0, viscosity: float = 0.0, drag: float = 0.0
) -> System:
    """The vorticity ζ of a flow in two dimensions, on a beta plane.

    ∂ζ/∂t = -J(ψ, ζ) - β ∂ψ/∂x + ν ∇²ζ - r ζ,  ∇²ψ = ζ,  u = -∂ψ/∂y,  v = ∂ψ/∂x.
    State: `zeta` [1 / s] over (y, x) [m], with the stream function `psi` [m² / s]
    (Vallis, 2017, Atmospheric and Oceanic Fluid Dynamics, section 5.2).

    Arguments:
        beta: gradient of the Coriolis parameter [1 / (m s)].
        viscosity: ν [m² / s].
        drag: r [1 / s].
    """
    return System.of(
        [
            "d_t zeta = -J_xy(psi, zeta) - beta*d_x psi"
            " + nu*(d_xx zeta + d_yy zeta) - r*zeta",
            "d_xx psi + d_yy psi = zeta",
        ],
        coordinates=_AXES,
        unknown=["psi"],
        parameters={"beta": beta, "nu": viscosity, "r": drag},
        name="barotropic vorticity",
        doc="The vorticity of a flow in two dimensions, on a beta plane.",
    )


def two_layer_quasigeostrophic(
    *,
    deformation_radius: float = 25e3,
    thickness_ratio: float = 0.25,
    upper_velocity: float = 0.1,
    lower_velocity: float = 0.0,
    beta: float = 1.8e-11,
    bottom_drag: float = 5.8e-7,
) -> System:
    """Eddies of two layers about a uniform sheared flow, on a beta plane.

    ∂qᵢ/∂t = -J(ψᵢ, qᵢ) - Uᵢ ∂qᵢ/∂x - Qᵢ ∂ψᵢ/∂x - [i = 2] r ∇²ψ₂,
    q₁ = ∇²ψ₁ + F₁ (ψ₂ - ψ₁),  q₂ = ∇²ψ₂ + F₂ (ψ₁ - ψ₂),
    Q₁ = β + F₁ (U₁ - U₂),  Q₂ = β - F₂ (U₁ - U₂),
    F₁ = 1 / (r_d² (1 + δ)),  F₂ = δ F₁.

    State: `q1`, `q2` [1 / s] over (y, x) [m], with the stream functions `psi1`, `psi2`
    [m² / s]. The notation and the defaults' form are pyqg's (Abernathey et al.,
    doi:10.5281/zenodo.6563667; Flierl, 1978, Dyn. Atmos. Oceans 2, 341). Scales near
    the grid step need a filter, `small_scale_filter`, or a viscosity of your own.

    Arguments:
        deformation_radius: r_d [m].
        thickness_ratio: δ = H₁ / H₂, the upper layer over the lower [1].
        upper_velocity: U₁ of the flow that the eddies live on [m / s].
        lower_velocity: U₂ [m / s].
        beta: gradient of the Coriolis parameter [1 / (m s)].
        bottom_drag: r [1 / s].
    """
    upper = 1 / (deformation_radius**2 * (1 + thickness_ratio))
    return System.of(
        [
            "d_t q1 = -J_xy(psi1, q1) - U1*d_x q1 - (beta + F1*(U1 - U2))*d_x psi1",
            "d_t q2 = -J_xy(psi2, q2) - U2*d_x q2"
            " - (beta - F2*(U1 - U2))*d_x psi2 - rek*(d_xx psi2 + d_yy psi2)",
            "d_xx psi1 + d_yy psi1 + F1*(psi2 - psi1) = q1",
            "d_xx psi2 + d_yy psi2 + F2*(psi1 - psi2) = q2",
        ],
        coordinates=_AXES,
        unknown=["psi1", "psi2"],
        parameters={
            "U1": upper_velocity,
            "U2": lower_velocity,
            "beta": beta,
            "F1": upper,
            "F2": thickness_ratio * upper,
            "rek": bottom_drag,
        },
        name="two-layer quasi-geostrophic",
        doc="Eddies of two layers about a uniform sheared flow, on a beta plane.",
    )
