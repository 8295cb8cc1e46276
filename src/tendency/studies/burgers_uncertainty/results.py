"""All that the study found, and what was published."""

from typing import NamedTuple

from tendency.fitting import Identified
from tendency.propagation import Propagated
from tendency.studies.burgers_uncertainty.cost import Cost
from tendency.studies.burgers_uncertainty.networks import Networks
from tendency.studies.burgers_uncertainty.rollouts import Known
from tendency.studies.burgers_uncertainty.setting import Size

PUBLISHED = {  # against 102 400 members, by a hand-written program
    "theory": {"mean": 4.3e-5, "variance": 0.023, "length": 0.023},
    "authors": {"mean": 4.5e-5, "variance": 0.051, "length": 0.019},
    "full covariance": {"mean": 3.9e-5, "variance": 0.013, "length": 0.005},
}


class Found(NamedTuple):
    """All that the study found."""

    size: Size
    ensemble: Propagated
    ways: dict[str, Propagated]  # by name: the moments that it tells
    apart: dict[str, dict[str, float]]  # relative distance from the ensemble at the end
    by_steps: Identified
    closures: dict[str, dict[str, float]]  # fitted through roll-outs
    networks: Networks
    held_out: list[Known]
    others: dict[str, list[dict[str, float]]]  # of each way: for each held-out state
    covered: list[dict[str, float]]  # by error bars, for each held-out state
    costs: dict[str, Cost]
    gradient: float  # CPU time of all steps [s]
