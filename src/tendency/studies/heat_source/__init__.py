"""Floor 5: an unknown diffusivity and an unknown source, from noise and gaps.

Heat diffuses in a plate; neither where it is led well is known, nor where it comes
from. `setting` holds the plate and what is measured, `recovery` finds the maps, `page`
is the report.
"""

from tendency.studies.heat_source.study import run as run
