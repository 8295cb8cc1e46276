"""Floor 3: a model and observations together.

`assimilate` is the verb, `Analyses` what comes back; `Gaussian` and `ensemble_of` make
a prior. Each method is one room: `ETKF` and its kind. `AbstractFilter` is what a method
implements that sees one time after the other, `AbstractEnsembleFilter` one whose belief
is an ensemble, `AbstractMethod` any other.
"""

from tendency.assimilation.analyses import Analyses as Analyses
from tendency.assimilation.background import climatology as climatology
from tendency.assimilation.denkf import DEnKF as DEnKF
from tendency.assimilation.diagnostics import chi_square as chi_square
from tendency.assimilation.diagnostics import desroziers as desroziers
from tendency.assimilation.diagnostics import equivalents as equivalents
from tendency.assimilation.diagnostics import rank_histogram as rank_histogram
from tendency.assimilation.diagnostics import spread_skill as spread_skill
from tendency.assimilation.distances import Euclidean as Euclidean
from tendency.assimilation.distances import GreatCircle as GreatCircle
from tendency.assimilation.ensemble import (
    AbstractEnsembleFilter as AbstractEnsembleFilter,
)
from tendency.assimilation.estimated import EstimatedErrors as EstimatedErrors
from tendency.assimilation.estimated import EstimatedModelError as EstimatedModelError
from tendency.assimilation.etkf import ETKF as ETKF
from tendency.assimilation.finite_size import EnKFN as EnKFN
from tendency.assimilation.four_d_var import FourDVar as FourDVar
from tendency.assimilation.four_d_var import WeakFourDVar as WeakFourDVar
from tendency.assimilation.health import FilterDiverged as FilterDiverged
from tendency.assimilation.health import FilterDivergence as FilterDivergence
from tendency.assimilation.inflation import RTPP as RTPP
from tendency.assimilation.inflation import RTPS as RTPS
from tendency.assimilation.inflation import Adaptive as Adaptive
from tendency.assimilation.inflation import Additive as Additive
from tendency.assimilation.inflation import Combined as Combined
from tendency.assimilation.inflation import Multiplicative as Multiplicative
from tendency.assimilation.inflation import NoInflation as NoInflation
from tendency.assimilation.interpolation import (
    OptimalInterpolation as OptimalInterpolation,
)
from tendency.assimilation.interpolation import ThreeDVar as ThreeDVar
from tendency.assimilation.iterative import IEnKS as IEnKS
from tendency.assimilation.kalman import KalmanFilter as KalmanFilter
from tendency.assimilation.letkf import LETKF as LETKF
from tendency.assimilation.localisation import Localisation as Localisation
from tendency.assimilation.localisation import gaspari_cohn as gaspari_cohn
from tendency.assimilation.method import AbstractFilter as AbstractFilter
from tendency.assimilation.method import AbstractMethod as AbstractMethod
from tendency.assimilation.minimise import GaussNewton as GaussNewton
from tendency.assimilation.particles import ParticleFilter as ParticleFilter
from tendency.assimilation.prior import Gaussian as Gaussian
from tendency.assimilation.prior import ensemble_of as ensemble_of
from tendency.assimilation.serial import SerialEnSRF as SerialEnSRF
from tendency.assimilation.smoothers import EnsembleSmoother as EnsembleSmoother
from tendency.assimilation.smoothers import RauchTungStriebel as RauchTungStriebel
from tendency.assimilation.stochastic import StochasticEnKF as StochasticEnKF
from tendency.assimilation.transformed import (
    AbstractAnamorphosis as AbstractAnamorphosis,
)
from tendency.assimilation.transformed import Affine as Affine
from tendency.assimilation.transformed import Log as Log
from tendency.assimilation.transformed import Logit as Logit
from tendency.assimilation.transformed import Quantiles as Quantiles
from tendency.assimilation.transformed import Some as Some
from tendency.assimilation.transformed import Transformed as Transformed
from tendency.assimilation.verb import assimilate as assimilate
