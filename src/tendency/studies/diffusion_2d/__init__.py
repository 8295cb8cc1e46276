"""Floor 5: heterogeneous, anisotropic diffusion, in two forms of the same equation.

The tensor field is that of PDE-NetGen's example (Pannekoucke & Fablet, 2020, Geosci.
Model Dev. 13, 3373), 100 x 100. `setting` holds the equations and runs them, `page` is
the report.
"""

from tendency.studies.diffusion_2d.study import run as run
