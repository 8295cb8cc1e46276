"""Learn, forecast, assimilate and calibrate geophysical dynamics.

Every model is one cell that advances a carry, and every verb is written once over
cells. The names below are imported on first use, so that the command line starts
quickly.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tendency.assimilation import Analyses as Analyses
    from tendency.assimilation import Gaussian as Gaussian
    from tendency.assimilation import assimilate as assimilate
    from tendency.assimilation import ensemble_of as ensemble_of
    from tendency.cell import AbstractCell as AbstractCell
    from tendency.cell import Carry as Carry
    from tendency.cell import Constant as Constant
    from tendency.cell import Ramp as Ramp
    from tendency.cell import Standardisation as Standardisation
    from tendency.cell import forcing_at as forcing_at
    from tendency.cell import trainable as trainable
    from tendency.errors import InputError as InputError
    from tendency.expectation import (
        expectation_maximisation as expectation_maximisation,
    )
    from tendency.fitting import DelayEmbedding as DelayEmbedding
    from tendency.fitting import Descent as Descent
    from tendency.fitting import Diverged as Diverged
    from tendency.fitting import Fitted as Fitted
    from tendency.fitting import JointFit as JointFit
    from tendency.fitting import LeastSquares as LeastSquares
    from tendency.fitting import Pruning as Pruning
    from tendency.fitting import RolloutLoss as RolloutLoss
    from tendency.fitting import fit as fit
    from tendency.fitting import reconstruct as reconstruct
    from tendency.forecasting import forecast as forecast
    from tendency.forecasting import spin_up as spin_up
    from tendency.forecasting import stream as stream
    from tendency.integrate import Diffrax as Diffrax
    from tendency.integrate import Integrated as Integrated
    from tendency.integrate import adams_bashforth3 as adams_bashforth3
    from tendency.integrate import dormand_prince5 as dormand_prince5
    from tendency.integrate import euler as euler
    from tendency.integrate import rk4 as rk4
    from tendency.integrate import ssprk3 as ssprk3
    from tendency.lazy_windows import LazyWindows as LazyWindows
    from tendency.observing import Observations as Observations
    from tendency.propagation import propagate as propagate
    from tendency.sensitivity import adjoint as adjoint
    from tendency.sensitivity import tangent_linear as tangent_linear
    from tendency.stiff import ETDRK4 as ETDRK4
    from tendency.stiff import IMEXRungeKutta as IMEXRungeKutta
    from tendency.stiff import SpectralLinear as SpectralLinear
    from tendency.stiff import ars222 as ars222
    from tendency.stiff import ars343 as ars343
    from tendency.stiff import wavenumbers as wavenumbers
    from tendency.store import load as load
    from tendency.store import save as save
    from tendency.windows import Window as Window
    from tendency.windows import Windows as Windows
    from tendency.wrappers import Augmented as Augmented
    from tendency.wrappers import Latent as Latent
    from tendency.wrappers import PatternNoise as PatternNoise
    from tendency.wrappers import Perturbed as Perturbed
    from tendency.wrappers import Ring as Ring
    from tendency.wrappers import Sum as Sum

__version__ = "0.1.0"

_MODULES = {
    "assimilation": "Analyses Gaussian assimilate ensemble_of",
    "cell": "AbstractCell Carry Constant Ramp Standardisation forcing_at trainable",
    "errors": "InputError",
    "expectation": "expectation_maximisation",
    "fitting": (
        "DelayEmbedding Descent Diverged Fitted JointFit LeastSquares Pruning "
        "RolloutLoss fit reconstruct"
    ),
    "forecasting": "forecast spin_up stream",
    "integrate": "Diffrax Integrated adams_bashforth3 dormand_prince5 euler rk4 ssprk3",
    "lazy_windows": "LazyWindows",
    "observing": "Observations",
    "propagation": "propagate",
    "sensitivity": "adjoint tangent_linear",
    "stiff": "ETDRK4 IMEXRungeKutta SpectralLinear ars222 ars343 wavenumbers",
    "store": "load save",
    "windows": "Window Windows",
    "wrappers": "Augmented Latent PatternNoise Perturbed Ring Sum",
}
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}
__all__ = ["__version__", *_HOME]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tendency' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"tendency.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
