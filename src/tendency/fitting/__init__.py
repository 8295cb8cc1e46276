"""Floor 3: learning a cell, from windows of states or from observations.

`fit` is the verb; `Descent` and `LeastSquares` are its methods for windows,
`RolloutLoss` what they bring down, with terms of maps (`Gradient`, `Spectral`,
`Energy`); `EnsembleLoss` is the fair CRPS (`fair_crps`) of an ensemble, `Patches` a
loss of patches, `AutoEncoding` that of auto-encoders, `Teaching` that of translators.
`JointFit` is the method for noisy and partial observations, with `Pruning`; `Fitted` is
what comes back, with a `Posterior` there. `reconstruct` finds the states alone, of a
model that is known, and `DelayEmbedding` makes a first guess of what is never observed.
`identify` finds what is unknown in equations by least squares on tendencies,
`sparsity_path` which terms they need.
"""

from tendency.fitting.auto_encoding import AutoEncoding as AutoEncoding
from tendency.fitting.descent import Descent as Descent
from tendency.fitting.embedding import DelayEmbedding as DelayEmbedding
from tendency.fitting.ensemble_loss import EnsembleLoss as EnsembleLoss
from tendency.fitting.fair_crps import fair_crps as fair_crps
from tendency.fitting.identification import Identified as Identified
from tendency.fitting.identification import identify as identify
from tendency.fitting.joint import JointFit as JointFit
from tendency.fitting.least_squares import LeastSquares as LeastSquares
from tendency.fitting.loss import RolloutLoss as RolloutLoss
from tendency.fitting.patches import Patches as Patches
from tendency.fitting.posterior import Posterior as Posterior
from tendency.fitting.problem import Diverged as Diverged
from tendency.fitting.problem import Fitted as Fitted
from tendency.fitting.pruning import Pruning as Pruning
from tendency.fitting.reconstruction import reconstruct as reconstruct
from tendency.fitting.sparsity import SparsityPath as SparsityPath
from tendency.fitting.sparsity import sparsity_path as sparsity_path
from tendency.fitting.teaching import Teaching as Teaching
from tendency.fitting.terms import Energy as Energy
from tendency.fitting.terms import Gradient as Gradient
from tendency.fitting.terms import Spectral as Spectral
from tendency.fitting.verb import fit as fit
