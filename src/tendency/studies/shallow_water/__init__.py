"""Floor 5: a jet that breaks into eddies beside a ragged coast.

Nonlinear shallow water on a beta plane, a C grid with land, entered as equations.
`setting` holds the channel and its coast, `budget` what should stay, `waves` the
frequencies of linear waves against theory, `page` the report.
"""

from tendency.studies.shallow_water.study import run as run
