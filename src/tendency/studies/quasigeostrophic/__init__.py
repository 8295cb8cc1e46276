"""Floor 5: an ocean of mesoscale eddies, and how far ahead it can be forecast.

Two quasi-geostrophic layers in a doubly periodic box, entered as equations and stepped
by what the generator made of them. `setting` holds the ocean and its model, `budget`
follows its energy, `statistics` what its sea surface looks like, `skill` forecasts of
it, `page` the report.
"""

from tendency.studies.quasigeostrophic.study import run as run
