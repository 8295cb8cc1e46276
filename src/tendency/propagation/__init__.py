"""How uncertainty goes on: mean and covariance of the states of any cell.

`propagate` is the verb, `Propagated` what comes back. `Members` runs an ensemble in
batches and keeps its moments alone, `TangentLinear` carries a covariance along the
forecast by its modes, `Parametric` steps equations (or a network) that have variance
and aspect among their fields.
"""

from tendency.propagation.members import Members as Members
from tendency.propagation.method import AbstractPropagation as AbstractPropagation
from tendency.propagation.parametric import Parametric as Parametric
from tendency.propagation.propagated import Propagated as Propagated
from tendency.propagation.propagated import PropagationFailed as PropagationFailed
from tendency.propagation.tangent import TangentLinear as TangentLinear
from tendency.propagation.verb import propagate as propagate
