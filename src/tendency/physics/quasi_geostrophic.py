"""Balanced flow with stream functions, as equations.

The stream functions are solved from the vorticities at every step, which only the
spectral method does, on doubly periodic axes.
"""

from tendency.symbolic.system import System


def barotropic_vorticity(
    beta: float = 0.0, drag: float = 0.0, viscosity: float = 0.0
) -> System:
    """Flow in two dimensions on a β plane: ∂q/∂t = -J(ψ, q) - β ∂ψ/∂x - r q + ν ∇²q.

    ∇²ψ = q gives the stream function ψ [length²/time] of the vorticity q [1/time], and
    u = -∂ψ/∂y, v = ∂ψ/∂x. Parameters: `beta` [1/(length time)], r = `drag` [1/time], ν
    = `viscosity` [length²/time]. Vallis (2017, ch. 5).
    """
    return System.of(
        [
            "d_t q = -d_x(u*q) - d_y(v*q) - beta*v - r*q + nu*(d_xx q + d_yy q)",
            "d_xx psi + d_yy psi = q",
            "u = -d_y psi",
            "v = d_x psi",
        ],
        coordinates=["x", "y"],
        parameters={"beta": beta, "r": drag, "nu": viscosity},
        unknown=["psi"],
        name="barotropic_vorticity",
        doc="Flow in two dimensions on a beta plane.",
    )


def two_layer_quasi_geostrophic(
    radius: float = 25e3,
    ratio: float = 0.25,
    shear: float = 0.1,
    beta: float = 1.8e-11,
    drag: float = 5.8e-7,
) -> System:
    """Baroclinic eddies on a uniform shear, in two layers.

    ∂q₁/∂t = -J(ψ₁, q₁) - U ∂q₁/∂x - (β + F₁ U) ∂ψ₁/∂x,
    ∂q₂/∂t = -J(ψ₂, q₂) - (β - F₂ U) ∂ψ₂/∂x - r ∇²ψ₂,
    q₁ = ∇²ψ₁ + F₁ (ψ₂ - ψ₁), q₂ = ∇²ψ₂ + F₂ (ψ₁ - ψ₂), with F₁ = 1 / (Rd² (1 + δ)) and
    F₂ = δ F₁; the upper layer flows at U past the lower one.

    Arguments:
        radius: of deformation Rd [m].
        ratio: of the depths of the layers δ = H₁ / H₂.
        shear: U = U₁ - U₂ [m/s].
        beta: [1/(m s)].
        drag: r at the bottom [1/s].

    Phillips (1954, Tellus 6, 273); Vallis (2017, ch. 5). The scales near the grid step
    need a filter or a hyperviscosity of your own.
    """
    upper = 1 / (radius**2 * (1 + ratio))
    return System.of(
        [
            "d_t q1 = -d_x(u1*q1) - d_y(v1*q1) - U*d_x q1 - (beta + F1*U)*v1",
            "d_t q2 = -d_x(u2*q2) - d_y(v2*q2) - (beta - F2*U)*v2"
            " - r*(d_xx p2 + d_yy p2)",
            "d_xx p1 + d_yy p1 + F1*(p2 - p1) = q1",
            "d_xx p2 + d_yy p2 + F2*(p1 - p2) = q2",
            "u1 = -d_y p1",
            "v1 = d_x p1",
            "u2 = -d_y p2",
            "v2 = d_x p2",
        ],
        coordinates=["x", "y"],
        parameters={
            "F1": upper,
            "F2": ratio * upper,
            "U": shear,
            "beta": beta,
            "r": drag,
        },
        unknown=["p1", "p2"],
        name="two_layer_quasi_geostrophic",
        doc="Baroclinic eddies on a uniform shear, in two layers.",
    )
