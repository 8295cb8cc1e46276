"""σ, ρ and β read off seven fitted coefficients, with their standard errors."""

import numpy as np

from tendency.fitting import Fitted

PARAMETERS = {"sigma": 10.0, "rho": 28.0, "beta": 8 / 3}
_PLACES = {  # (equation, term of the quadratic library) and their weights
    "sigma": {(0, 1): -0.5, (0, 2): 0.5},
    "rho": {(1, 1): 1.0},
    "beta": {(2, 3): -1.0},
}


def parameters(fitted: Fitted) -> dict[str, tuple[float, float]]:
    """Value and standard error of each; σ is the mean of its two coefficients."""
    values = np.asarray(fitted.cell.tendency.coefficients).ravel()
    covariance = fitted.posterior.parameter_covariance
    found = {}
    for name, places in _PLACES.items():
        weights = np.zeros(values.size)
        for (equation, term), weight in places.items():
            weights[10 * equation + term] = weight
        std = np.sqrt(weights @ covariance @ weights)
        found[name] = (float(weights @ values), float(std))
    return found
