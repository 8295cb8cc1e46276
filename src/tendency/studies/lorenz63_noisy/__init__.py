"""Floor 5: Lorenz-63 learned from noisy states, by all means there are.

White noise of standard deviation 0.5 on every component and step. `models` makes the
rows, `study` runs them over several seeds, `page` is the report. The truth and the
measures are those of the study `lorenz63`.
"""

from tendency.studies.lorenz63_noisy.study import run as run
