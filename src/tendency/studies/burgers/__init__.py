"""Floor 5: Burgers' equation and the uncertainty of its solution, from text to source.

The setting is the main example of Pannekoucke & Fablet (2020), "PDE-NetGen 1.0: from
symbolic PDE representations of physical processes to trainable neural network
representations", Geosci. Model Dev. 13, 3373. `setting` holds the equations and the
exact solution, `convergence` and `uncertainty` measure, `page` is the report.
"""

from tendency.studies.burgers.study import run as run
