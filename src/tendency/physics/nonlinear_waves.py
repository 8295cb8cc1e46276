"""Fronts, solitons and chaos on a line, as equations without units."""

from tendency.symbolic.system import System


def burgers(kappa: float = 0.0025) -> System:
    """Fronts that sharpen until diffusion holds them: ∂u/∂t = κ ∂²u/∂x² - u ∂u/∂x.

    `u` [length/time], the parameter `kappa` [length²/time]. Burgers (1948, Adv. Appl.
    Mech. 1, 171). A front needs several points within κ / max |u|.
    """
    return System.of(
        ["d_t u = kappa*d_xx u - u*d_x u"],
        coordinates=["x"],
        parameters={"kappa": kappa},
        name="burgers",
        doc="Fronts that sharpen until diffusion holds them.",
    )


def korteweg_de_vries() -> System:
    """Long waves on shallow water: ∂u/∂t = -6 u ∂u/∂x - ∂³u/∂x³.

    Without units. A soliton of speed c is u = c/2 sech²(√c/2 (x - c t)). Korteweg & de
    Vries (1895, Phil. Mag. 39, 422). Stiff: explicit steps are limited by the cube of
    the grid step.
    """
    return System.of(
        ["d_t u = -3*d_x(u**2) - d_xxx u"],
        coordinates=["x"],
        name="korteweg_de_vries",
        doc="Long waves on shallow water.",
    )


def kuramoto_sivashinsky() -> System:
    """Chaos in space and time: ∂u/∂t = -∂²u/∂x² - ∂⁴u/∂x⁴ - u ∂u/∂x.

    Without units; chaotic on periodic domains longer than about 22. Kuramoto & Tsuzuki
    (1976, Prog. Theor. Phys. 55, 356), Sivashinsky (1977, Acta Astronaut. 4, 1177).
    """
    return System.of(
        ["d_t u = -d_xx u - d_xxxx u - d_x(u**2)/2"],
        coordinates=["x"],
        name="kuramoto_sivashinsky",
        doc="Chaos in space and time.",
    )


def allen_cahn(epsilon: float = 0.01) -> System:
    """Two phases that separate and coarsen: ∂u/∂t = ε ∂²u/∂x² + u - u³.

    Without units; ε (the parameter `epsilon`) is the square of the thickness of a
    front, u = tanh(x/√(2ε)). Allen & Cahn (1979, Acta Metall. 27, 1085).
    """
    return System.of(
        ["d_t u = epsilon*d_xx u + u - u**3"],
        coordinates=["x"],
        parameters={"epsilon": epsilon},
        name="allen_cahn",
        doc="Two phases that separate and coarsen.",
    )
