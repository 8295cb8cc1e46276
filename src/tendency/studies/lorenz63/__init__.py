"""Floor 5: forecasting Lorenz-63 with all models, beside what was published.

Fablet, Ouala & Herzet (2018), "Bilinear residual neural network for the identification
and forecasting of dynamical systems", arXiv:1712.07003, and the comparison of a course
on dynamical systems and learning. `truth` makes the data, `models` and `tables` the
rows, `evaluate` measures them, `notebook` is the course's part, `page` the report.
"""

from tendency.studies.lorenz63.study import run as run
