"""What is told of equations before a run: ill-posed ones, and where they fail."""

import re

import numpy as np
import pytest
from test_equations import BOUNDED, plain

from tendency.equations.check import check
from tendency.equations.doubts import doubts, ill_posed
from tendency.equations.stability import stability
from tendency.equations.start import Start
from tendency.errors import InputError
from tendency.grid import Axis, Grid
from tendency.physics.nonlinear_waves import (
    burgers,
    korteweg_de_vries,
    kuramoto_sivashinsky,
)
from tendency.physics.quasigeostrophic import (
    barotropic_vorticity,
    two_layer_quasigeostrophic,
)
from tendency.physics.shallow_water import shallow_water, wave
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import generate
from tendency.symbolic.spectral import Spectral
from tendency.symbolic.system import System


def start(system, **state):
    """On 8 points along each axis from 0 to 2, around 2 if not said otherwise."""
    grid = Grid.of(*(Axis(str(c), 8, 0.0, 2.0) for c in system.coordinates))
    method = Spectral() if system.implicit else Differences()
    rng = np.random.default_rng(0)
    fields = {f: 2 + 0.1 * rng.normal(size=grid.shape) for f in system.fields}
    return Start.of(generate(system, grid, method), system, grid, fields | state)


def of(*equations, axes="x", **parameters):
    return System.of(equations, coordinates=[*axes], parameters=parameters)


WELL_POSED = {
    "burgers": burgers(),
    "kdv": korteweg_de_vries(),
    "ks": kuramoto_sivashinsky(),  # its second order grows, its fourth dissipates
    "wave": wave(2),
    "shallow water": shallow_water(1.0, 1.0, 0.1),
    "vorticity": barotropic_vorticity(viscosity=0.1),
    "two layers": two_layer_quasigeostrophic(),
    "beam": of("d_tt u = -d_xxxx u"),
    "tensor": of("d_t u = d_xx u + 1.9*d_xy u + d_yy u", axes="xy"),
    "hyperviscosity": of("d_t u = d_xxxxxx u - d_xx u"),
    "advection of a tracer": of("d_t u = -u*d_x u", "d_t c = -u*d_x c - c*d_x u"),
    "mean": of("d_t u = (u - mean(u) + 1)*d_xx u"),  # from .8 to 1.2
    "no space": of("d_t u = u^2", axes=""),
}


@pytest.mark.parametrize("name", WELL_POSED)
def test_well_posed_equations_are_not_doubted(name):
    assert ill_posed(start(WELL_POSED[name])) is None


ILL_POSED = {
    "burgers": (burgers(-0.01), "along x .* as under a diffusion of -0.01:"),
    "fourth order": (of("d_t u = d_xxxx u"), "as the power 4 of the wavenumber"),
    "an elliptic wave": (of("d_tt u = -d_xx u"), "as the power 1 of the wavenumber"),
    "mixed": (
        of("d_t u = d_xx u + 3*d_xy u + d_yy u", axes="xy"),
        "along x and y .* a diffusion of -0.5:",  # (1, -1): eigenvalue 1 - 3/2
    ),
    "a coefficient that changes sign": (
        of("d_t u = d_x((1/4 - x)*d_x u)"),
        "at x = 1.75, as under a diffusion of -1.5:",
    ),
    "mean": (
        of("d_t u = (mean(x) - 15/8)*d_xx u"),
        "a diffusion of -1:",  # the mean of x is 7/8
    ),
    "vorticity": (barotropic_vorticity(viscosity=-0.1), "a diffusion of -0.1:"),
    "two fields": (
        of("d_t u = d_xx u + 2*d_xx v", "d_t v = 2*d_xx u + d_xx v"),
        "a diffusion of -1:",  # the eigenvalues are 3 and -1
    ),
}


@pytest.mark.parametrize("name", ILL_POSED)
def test_ill_posed_equations_are_told_with_their_numbers(name):
    system, said = ILL_POSED[name]
    (found,) = doubts(start(system))
    assert found.startswith("the equations are ill-posed at the initial state, waves ")
    assert re.search(said, found), found


def test_shallow_water_of_negative_depth_is_ill_posed():
    water = shallow_water(1.0, 0.0, 0.0)
    found = ill_posed(start(water, h=np.full((8, 8), -2.0)))
    assert found is not None
    assert "as the power 1" in found


@pytest.mark.parametrize(("a", "posed"), [(1.0, True), (0.76, True), (0.5, False)])
def test_a_closure_is_well_posed_or_not(a, posed):
    """The aspect tensor diffuses by κ (4 a - 3) where its closure holds a ∂²ν/ν²."""
    system = of(
        "d_t u = kappa*d_xx u - u*d_x u - d_x(V)/2",
        "d_t V = -kappa*V/nu + kappa*d_xx V - kappa*(d_x V)^2/(2*V) - u*d_x V"
        " - 2*V*d_x u",
        "d_t nu = 4*kappa*a*d_xx nu - 3*kappa*d_xx nu - kappa + 6*kappa*(d_x nu)^2/nu"
        " - 2*kappa*nu*d_xx(V)/V + kappa*d_x(V)*d_x(nu)/V"
        " + 2*kappa*nu*(d_x V)^2/V^2 - u*d_x nu + 2*nu*d_x u",
        kappa=0.0025,
        a=a,
    )
    found = doubts(start(system))
    assert (found == []) is posed
    if not posed:
        assert "a diffusion of -0.0025:" in found[0]


def test_divisions_roots_and_logarithms():
    system = of("d_t u = d_x(u)/h", "d_t h = -d_x(u*h)")
    assert doubts(start(system)) == []
    (crossing,) = doubts(start(system, h=np.linspace(-1.0, 1.5, 8)))
    assert "equation of u divides by h, which goes from -1 to 1.5 at the" in crossing
    with pytest.raises(
        InputError, match="divides by h, which is 0 at x = 0 of the init"
    ):
        doubts(start(system, h=np.linspace(0.0, 1.0, 8)))
    with pytest.raises(
        InputError, match="equation of u divides by x, which is 0 at x = 0"
    ):
        doubts(start(of("d_t u = d_x(u)/x")))
    (between,) = doubts(start(of("d_t u = d_x(u)/(x - a)", a=0.1)))
    assert "divides by -a + x, which goes from -0.1 to 1.65" in between
    (finite,) = doubts(start(of("d_t u = exp(-1/u^2)"), u=np.linspace(0.0, 1.0, 8)))
    assert "divides by u, which is 0 at x = 0 of the initial state (1 of 8" in finite
    below = np.linspace(-1.0, 1.5, 8)
    for text, said in (
        (
            "sqrt(u)",
            "takes a root of u, which is -1 at x = 0 of the initial state .3 of",
        ),
        ("log(u)", "takes the logarithm of u, which is -1"),
        ("u^(-3/2)", "divides by a root of u, which is -1"),
    ):
        with pytest.raises(InputError, match=said):
            doubts(start(of(f"d_t u = {text}"), u=below))
        assert doubts(start(of(f"d_t u = {text}"))) == []
    with pytest.raises(
        InputError, match="tendency of u is not finite at 3 of 8 points"
    ):
        doubts(start(of("d_t u = u^a/d_x(u*u)", a=0.5), u=below))


def test_a_file_is_told_the_same(capsys):
    negative = plain(**{"parameters.kappa": -0.01})
    found = stability(negative)
    (warning,) = found.doubts
    assert "a diffusion of -0.01:" in warning
    assert found.warnings(negative)[-1] == warning
    assert ("warning", warning) in check(negative, found)["time"]
    with pytest.raises(InputError, match="divides by u, which is 0 at x"):
        stability(
            plain(
                **{"system.equations": ["d_t u = d_x(x)/u"]}
                | {"fields.u.initial": "x - 1/4"}
            )
        )
    forced = {
        "system.equations": ["d_t u = F*d_xx u"],
        "forcings.F": {"values": "t - 1"},
    }
    assert "a diffusion of -1:" in stability(plain(**forced)).doubts[0]
    assert stability(plain(**BOUNDED)).doubts == ()
