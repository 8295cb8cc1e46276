"""Advection and diffusion, as equations.

Each function gives a `System`: `tendency.symbolic.generated.generate` puts it on a grid
with the coordinates named here, in their order.
"""

from tendency.errors import InputError
from tendency.symbolic.system import System

_COORDINATES = ("x", "y", "z")
_SPEEDS = ("U", "V", "W")


def advection(dimensions: int = 1, speed: float = 1.0) -> System:
    """A tracer carried by a uniform flow: ∂u/∂t = -c·∇u.

    Parameters U, V, W are the flow [length/time], all of them `speed` to begin with.

    Raises:
        InputError: `dimensions` is none of 1, 2, 3.
    """
    axes = _axes(dimensions)
    speeds = _SPEEDS[:dimensions]
    terms = [f"- {c}*d_{x} u" for c, x in zip(speeds, axes, strict=True)]
    return System.of(
        [f"d_t u = {' '.join(terms)}"],
        coordinates=axes,
        parameters=dict.fromkeys(speeds, speed),
        name="advection",
        doc="A tracer carried by a uniform flow.",
    )


def diffusion(dimensions: int = 1, kappa: float = 1.0) -> System:
    """Diffusion with one coefficient: ∂u/∂t = κ ∇²u.

    The parameter `kappa` [length²/time] is the same everywhere. Fourier (1822).

    Raises:
        InputError: `dimensions` is none of 1, 2, 3.
    """
    axes = _axes(dimensions)
    terms = " + ".join(f"d_{x}{x} u" for x in axes)
    return System.of(
        [f"d_t u = kappa*({terms})"],
        coordinates=axes,
        parameters={"kappa": kappa},
        name="diffusion",
        doc="Diffusion with one coefficient.",
    )


def tensor_diffusion(dimensions: int = 2) -> System:
    """Diffusion with a tensor of fields, in flux form: ∂u/∂t = ∇·(K ∇u).

    The constant fields kxx, kxy, ... [length²/time] are the upper half of the symmetric
    positive K. What leaves a cell enters the next, so that differences keep ∫u dx.

    Raises:
        InputError: `dimensions` is none of 1, 2, 3.
    """
    axes = _axes(dimensions)

    def flux(x: str) -> str:
        return " + ".join(f"k{''.join(sorted((x, y)))}*d_{y} u" for y in axes)

    return System.of(
        [f"d_t u = {' + '.join(f'd_{x}({flux(x)})' for x in axes)}"],
        coordinates=axes,
        constants=[f"k{x}{y}" for i, x in enumerate(axes) for y in axes[i:]],
        name="tensor_diffusion",
        doc="Diffusion with a tensor of fields, in flux form.",
    )


def tracer_on_the_sphere(
    radius: float = 1.0, kappa: float = 1.0, rotation: float = 0.0
) -> System:
    """A tracer turned about the poles and diffused, over longitude and latitude.

    ∂T/∂t = -1/(a cos φ) ∂(u T)/∂λ
            + κ/(a² cos φ) (∂(1/cos φ ∂T/∂λ)/∂λ + ∂(cos φ ∂T/∂φ)/∂φ),  u = ω a cos φ,
    in flux form: differences keep ∫T cos φ dφ dλ within walls, `neumann()` at both ends
    of the latitudes, which may be poles. A spherical harmonic of degree l decays as
    exp(-κ l (l + 1) t / a²) and turns at the rate ω.

    Arguments:
        radius: a [length].
        kappa: κ [length²/time].
        rotation: ω [radians/time].

    Coordinates: `lon` λ and `lat` φ [radians]. Near a pole the points are close, which
    limits explicit steps: κ dt < (a cos φ Δλ)² / 2 or so.
    """
    return System.of(
        [
            "d_t T = -d_lon(u*T)/(a*cos(lat)) + kappa/(a**2*cos(lat))"
            "*(d_lon(d_lon T/cos(lat)) + d_lat(cos(lat)*d_lat T))",
            "u = omega*a*cos(lat)",
        ],
        coordinates=["lon", "lat"],
        parameters={"a": radius, "kappa": kappa, "omega": rotation},
        name="tracer_on_the_sphere",
        doc="A tracer turned about the poles and diffused, on the sphere.",
    )


def _axes(dimensions: int) -> tuple[str, ...]:
    if dimensions not in (1, 2, 3):
        raise InputError(f"dimensions is {dimensions}, 1, 2 or 3 was expected")
    return _COORDINATES[:dimensions]
