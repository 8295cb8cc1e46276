"""Floor 2: what is observed, where, when and how well.

`Observations` holds the values and all that is known of them: an operator that computes
their model equivalents from a state (`Select`, `Linear`, `Interpolate`,
or any function), and the
covariance of their errors (`DiagonalCovariance`, `DenseCovariance`,
`CovarianceFunction`). `Observation` is what a method of assimilation sees at one time.
"""

from tendency.observing.covariances import AbstractCovariance as AbstractCovariance
from tendency.observing.covariances import CovarianceFunction as CovarianceFunction
from tendency.observing.covariances import DenseCovariance as DenseCovariance
from tendency.observing.covariances import DiagonalCovariance as DiagonalCovariance
from tendency.observing.interpolation import Interpolate as Interpolate
from tendency.observing.observations import Observation as Observation
from tendency.observing.observations import Observations as Observations
from tendency.observing.operators import Linear as Linear
from tendency.observing.operators import Select as Select
from tendency.observing.operators import flat as flat
