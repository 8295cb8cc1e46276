"""Floor 5: the uncertainty of Burgers' equation, by equations, ensemble and networks.

The example of Pannekoucke & Fablet (2020, Geosci. Model Dev. 13, 3373): equations of
mean, variance and aspect of errors, derived from Burgers' equation, hold an expectation
C that they do not tell. `tendencies` finds it by least squares on single steps,
`rollouts` through the solver, `networks` with a network that knows its errors;
`ensembles` is what they are compared to, `cost` what it takes, `page` the report.
"""

from tendency.studies.burgers_uncertainty.study import run as run
