"""Floor 5: the dynamics of Lorenz-63 learned from x alone.

Two components are never observed. `models` finds them together with their equations,
`study` measures forecasts from windows of past observations, `page` is the report.

Source: Ouala et al. (2020), "Learning latent dynamics for partially observed chaotic
systems", Chaos 30, 103121.
"""

from tendency.studies.lorenz63_latent.study import run as run
