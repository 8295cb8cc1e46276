"""Floor 3: learning a cell from windows of states.

`fit` is the verb; `Descent` and `LeastSquares` are its methods, `RolloutLoss` what they
bring down; `Fitted` is what comes back.
"""

from tendency.fitting.descent import Descent as Descent
from tendency.fitting.least_squares import LeastSquares as LeastSquares
from tendency.fitting.loss import RolloutLoss as RolloutLoss
from tendency.fitting.problem import Diverged as Diverged
from tendency.fitting.problem import Fitted as Fitted
from tendency.fitting.verb import fit as fit
