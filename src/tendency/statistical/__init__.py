"""Floor 1: models that are fitted in closed form, or are their data."""

from tendency.statistical.analog import AdaptiveGaussian as AdaptiveGaussian
from tendency.statistical.analog import Analog as Analog
from tendency.statistical.analog import Gaussian as Gaussian
from tendency.statistical.analog import Uniform as Uniform
from tendency.statistical.analog import analog as analog
from tendency.statistical.climatology import Climatology as Climatology
from tendency.statistical.climatology import climatology as climatology
from tendency.statistical.conformal import Conformal as Conformal
from tendency.statistical.conformal import split_conformal as split_conformal
from tendency.statistical.derivatives import FiniteDifferences as FiniteDifferences
from tendency.statistical.derivatives import GivenDerivatives as GivenDerivatives
from tendency.statistical.emos import EMOS as EMOS
from tendency.statistical.emos import emos as emos
from tendency.statistical.emos import gaussian_crps as gaussian_crps
from tendency.statistical.library import Concatenation as Concatenation
from tendency.statistical.library import Fourier as Fourier
from tendency.statistical.library import Polynomial as Polynomial
from tendency.statistical.library import (
    polynomial_coefficients as polynomial_coefficients,
)
from tendency.statistical.linear_ar import LinearAR as LinearAR
from tendency.statistical.linear_ar import linear_ar as linear_ar
from tendency.statistical.persistence import DampedPersistence as DampedPersistence
from tendency.statistical.persistence import Persistence as Persistence
from tendency.statistical.persistence import damped_persistence as damped_persistence
from tendency.statistical.sparse_regression import SparseTendency as SparseTendency
from tendency.statistical.sparse_regression import (
    sparse_regression as sparse_regression,
)
from tendency.statistical.stlsq import STLSQ as STLSQ
from tendency.statistical.stlsq import Bagging as Bagging
from tendency.statistical.weak_form import ReweightedWeakForm as ReweightedWeakForm
from tendency.statistical.weak_form import WeakForm as WeakForm
