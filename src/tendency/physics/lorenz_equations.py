"""Lorenz's models as equations without coordinates: every variable is a field."""

from tendency.errors import InputError
from tendency.symbolic.system import System


def lorenz63_equations(
    sigma: float = 10.0, rho: float = 28.0, beta: float = 8 / 3
) -> System:
    """Convection in three variables, as `Lorenz63`: a state of the numbers x, y, z.

    Lorenz (1963, J. Atmos. Sci. 20, 130), eqs 25-27. Its grid is `Grid.of()`.
    """
    return System.of(
        [
            "d_t x = sigma*(y - x)",
            "d_t y = x*(rho - z) - y",
            "d_t z = x*y - beta*z",
        ],
        coordinates=[],
        parameters={"sigma": sigma, "rho": rho, "beta": beta},
        name="lorenz63",
        doc="Convection in three variables.",
    )


def lorenz96_equations(size: int = 40, force: float = 8.0) -> System:
    """Waves around a latitude circle, as `Lorenz96`: a state of x0, x1, ...

    Lorenz (1996, ECMWF Seminar on Predictability). Its grid is `Grid.of()`.

    Raises:
        InputError: fewer than four variables.
    """
    if size < 4:
        raise InputError(f"size is {size}, at least 4 variables were expected")
    return System.of(
        [
            f"d_t x{i} = (x{(i + 1) % size} - x{(i - 2) % size})*x{(i - 1) % size}"
            f" - x{i} + F"
            for i in range(size)
        ],
        coordinates=[],
        parameters={"F": force},
        name="lorenz96",
        doc="Waves around a latitude circle.",
    )
