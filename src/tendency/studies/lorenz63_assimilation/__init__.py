"""Floor 5: following Lorenz-63 by few observations, with models learned from states.

The assimilation table of Fablet, Ouala & Herzet (2018, arXiv:1712.07003), as summarised
in the lecture of 2022: x alone observed every 8 steps with variance 2. `twin` makes the
segments, `models` the rows, `evaluate` assimilates, `page` is the report.
"""

from tendency.studies.lorenz63_assimilation.study import run as run
