"""Floor 5: a drag coefficient and a law of stress found inside shallow water.

Two rotating layers rub against each other and against the bottom. `setting` holds the
sea, `recovery` finds what is unknown of it, `page` is the report.
"""

from tendency.studies.shallow_water_drag.study import run as run
